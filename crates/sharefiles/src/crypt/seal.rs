//! Encryption of messages.

use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};

use crate::wire::{Cipher, Malformed, TRANSFORM, Transform};

fn key(cipher: Cipher, key: &[u8]) -> LessSafeKey {
    let algorithm = match cipher {
        Cipher::Aes128Gcm => &AES_128_GCM,
        Cipher::Aes256Gcm => &AES_256_GCM,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("the key is as long as it must be"))
}

fn nonce(bytes: &[u8; 16]) -> Nonce {
    let mut nonce = [0; 12];
    nonce.copy_from_slice(bytes.split_at(12).0);
    Nonce::assume_unique_for_key(nonce)
}

/// Encrypts requests. Each has a number of its own, and the key is this session's alone.
pub(crate) struct Sealer {
    key: LessSafeKey,
    next: AtomicU64,
}

impl Sealer {
    pub(super) fn new(cipher: Cipher, bytes: &[u8]) -> Self {
        let next = AtomicU64::new(0);
        let key = key(cipher, bytes);
        Self { key, next }
    }

    /// The encrypted message, or `None` when it is too long for any.
    pub(crate) fn seal(&self, mut message: Vec<u8>, session: u64) -> Option<Vec<u8>> {
        let mut header = Transform {
            tag: [0; 16],
            nonce: [0; 16],
            len: u32::try_from(message.len()).ok()?,
            session,
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        header.nonce[..8].copy_from_slice(&number.to_le_bytes());
        let covered = header.write();
        let tag = self.key.seal_in_place_separate_tag(
            nonce(&header.nonce),
            Aad::from(Transform::covered(&covered)),
            &mut message,
        );
        header.tag.copy_from_slice(tag.ok()?.as_ref());
        let mut out = header.write().to_vec();
        out.extend_from_slice(&message);
        Some(out)
    }
}

/// Decrypts replies.
pub(crate) struct Opener {
    key: LessSafeKey,
}

impl Opener {
    pub(super) fn new(cipher: Cipher, bytes: &[u8]) -> Self {
        let key = key(cipher, bytes);
        Self { key }
    }

    /// Decrypts a whole message in place; the header of encryption stays in front of it.
    pub(crate) fn open(&self, bytes: &mut [u8], session: u64) -> Result<(), Malformed> {
        const { assert!(MAX_TAG_LEN == 16) };
        let header = Transform::read(bytes)?;
        if header.session != session {
            return Err(Malformed("it is of another logon"));
        }
        let (front, message) = bytes
            .split_at_mut_checked(TRANSFORM)
            .ok_or(Malformed("it is too short"))?;
        let covered: &[u8] = front.split_at(20).1;
        self.key
            .open_in_place_separate_tag(
                nonce(&header.nonce),
                Aad::from(covered),
                header.tag.into(),
                message,
                0..,
            )
            .map_err(|_| Malformed("it was changed on its way"))?;
        Ok(())
    }
}
