//! Keys that are sealed by other keys: AES-CCM with a nonce of 12 bytes and a code of 16.

use zeroize::Zeroizing;

use super::Key;
use crate::cipher::Aes;

/// Bytes before the key in what was sealed.
const BEFORE: usize = 12;
/// The most bytes that are unsealed.
const MOST: usize = 1024;

/// Something sealed.
pub(super) struct Sealed {
    pub(super) nonce: [u8; 12],
    pub(super) code: [u8; 16],
    pub(super) bytes: Vec<u8>,
}

impl Sealed {
    /// Of the data of an entry.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let (nonce, rest) = data.split_first_chunk()?;
        let (code, bytes) = rest.split_first_chunk()?;
        (bytes.len() <= MOST).then(|| Self {
            nonce: *nonce,
            code: *code,
            bytes: bytes.to_vec(),
        })
    }
}

/// The key that is sealed by another one; none, if that is not the one.
pub(super) fn key(by: &[u8], sealed: &Sealed) -> Option<Key> {
    let aes = Aes::new(by).filter(|_| by.len() == 32)?;
    let block = |flags: u8, number: u32| {
        let [_, high, middle, low] = number.to_be_bytes();
        let mut block = [0; 16];
        let (first, rest) = block.split_at_mut(1);
        first.copy_from_slice(&[flags]);
        let (nonce, last) = rest.split_at_mut(12);
        nonce.copy_from_slice(&sealed.nonce);
        last.copy_from_slice(&[high, middle, low]);
        block
    };
    let mut bytes = Zeroizing::new(sealed.bytes.clone());
    for (number, part) in (1..).zip(bytes.chunks_mut(16)) {
        let mut stream = block(2, number);
        aes.encrypt(&mut stream);
        xor(part, &stream);
    }
    let mut code = block(0x3a, bytes.len() as u32);
    aes.encrypt(&mut code);
    for part in bytes.chunks(16) {
        xor(&mut code, part);
        aes.encrypt(&mut code);
    }
    let mut stream = block(2, 0);
    aes.encrypt(&mut stream);
    xor(&mut code, &stream);
    let whole = code == sealed.code;
    let key = bytes.get(BEFORE..).filter(|key| whole && !key.is_empty())?;
    Some(Zeroizing::new(key.to_vec()))
}

fn xor(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= from;
    }
}
