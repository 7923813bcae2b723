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
