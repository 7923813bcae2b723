//! What opens a volume, and how it is stretched.

use zeroize::Zeroizing;

use super::entry::Kind;
use crate::cipher::Hash;
use crate::error::{Error, Result};

/// How often what is given is hashed.
const ROUNDS: u64 = 1 << 20;

/// What opens a volume.
pub struct Secret(Given);

enum Given {
    Nothing,
    /// Its hash.
    Recovery(Zeroizing<Vec<u8>>),
    /// The hash of its hash.
    Passphrase(Zeroizing<Vec<u8>>),
}

impl Secret {
    /// Nothing, which will do for a volume whose protection is suspended.
    pub fn nothing() -> Self {
        Self(Given::Nothing)
    }

    /// A recovery password: eight groups of six digits.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when it is none; the group that is wrong is named.
    pub fn recovery(text: &str) -> Result<Self> {
        let groups: Vec<_> = text.trim().split('-').map(str::trim).collect();
        if groups.len() != 8 {
            let why = "a recovery password has eight groups of six digits";
            return Err(Error::WrongKey(why.into()));
        }
        let mut key = Zeroizing::new(Vec::with_capacity(16));
        for (number, group) in groups.into_iter().enumerate() {
            let digits = group.len() == 6 && group.bytes().all(|byte| byte.is_ascii_digit());
            let value = group
                .parse::<u32>()
                .ok()
                .filter(|value| digits && value % 11 == 0);
            let value = value.and_then(|value| u16::try_from(value / 11).ok());
            let value = value.ok_or_else(|| {
                let number = number + 1;
                Error::WrongKey(format!(
                    "group {number} of the recovery password is misspelt"
                ))
            })?;
            key.extend_from_slice(&value.to_le_bytes());
        }
        let hash = Hash::Sha256.of(&[&key]);
        Ok(Self(Given::Recovery(hash.into())))
    }

    /// A passphrase.
    pub fn passphrase(text: &str) -> Self {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bytes = Zeroizing::new(bytes);
        let hash = Hash::Sha256.of(&[&Hash::Sha256.of(&[&bytes])]);
        Self(Given::Passphrase(hash.into()))
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0 {
            Given::Nothing => Kind::Clear,
            Given::Recovery(_) => Kind::Recovery,
            Given::Passphrase(_) => Kind::Passphrase,
        }
    }

    /// A key of 32 bytes.
    pub(super) fn stretched(&self, salt: &[u8; 16]) -> Zeroizing<Vec<u8>> {
        let first: &[u8] = match &self.0 {
            Given::Nothing => &[],
            Given::Recovery(hash) | Given::Passphrase(hash) => hash,
        };
        let mut last = Zeroizing::new(vec![0; 32]);
        for round in 0..ROUNDS {
            let next = Zeroizing::new(Hash::Sha256.of(&[&last, first, salt, &round.to_le_bytes()]));
            last.copy_from_slice(&next);
        }
        last
    }
}
