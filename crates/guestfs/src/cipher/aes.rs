//! AES with a key of any of its lengths.

use aes::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use aes::{Aes128, Aes192, Aes256};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 16;

/// AES.
pub(crate) enum Aes {
    Short(Box<Aes128>),
    Middle(Box<Aes192>),
    Long(Box<Aes256>),
}

impl Aes {
    /// With a key of 16, 24 or 32 bytes; none with any other.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        Some(match key.len() {
            16 => Self::Short(Box::new(Aes128::new_from_slice(key).ok()?)),
            24 => Self::Middle(Box::new(Aes192::new_from_slice(key).ok()?)),
            32 => Self::Long(Box::new(Aes256::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    pub(crate) fn encrypt(&self, block: &mut [u8; BLOCK]) {
        // One type of block for all lengths of keys.
        let mut one: Block<Aes128> = (*block).into();
        match self {
            Self::Short(aes) => aes.encrypt_block(&mut one),
            Self::Middle(aes) => aes.encrypt_block(&mut one),
            Self::Long(aes) => aes.encrypt_block(&mut one),
        }
        *block = one.into();
    }

    /// Decrypts whole blocks, each by itself.
    pub(crate) fn decrypt(&self, bytes: &mut [u8]) {
        let (blocks, _) = Block::<Aes128>::slice_as_chunks_mut(bytes);
        match self {
            Self::Short(aes) => aes.decrypt_blocks(blocks),
            Self::Middle(aes) => aes.decrypt_blocks(blocks),
            Self::Long(aes) => aes.decrypt_blocks(blocks),
        }
    }
}
