//! Keys and randomness for this crate's own tests: the same in every run.

use crate::keys::VaultKeys;

/// Randomness that is none: SHA-256 of a seed and a counter.
pub(crate) fn counter(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut n = 0u64;
    move |out: &mut [u8]| {
        for part in out.chunks_mut(32) {
            n += 1;
            let hash = crate::crypto::sha256(&[&seed.to_le_bytes(), &n.to_le_bytes()]);
            part.copy_from_slice(&hash[..part.len()]);
        }
    }
}

/// One vault's keys, always the same.
pub(crate) fn keys() -> VaultKeys {
    VaultKeys::generate(&mut counter(0))
}

/// Every variant of `bytes` with one bit flipped (a different one in each byte), and every
/// prefix.
pub(crate) fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let flipped = (0..bytes.len()).map(|i| {
        let mut bad = bytes.to_vec();
        bad[i] ^= 1 << (i % 8);
        bad
    });
    flipped.chain((0..bytes.len()).map(|len| bytes[..len].to_vec()))
}
