//! Keys from passphrases, within bounds of time and memory.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::{digest, pbkdf2};
use zeroize::Zeroizing;

/// Memory of one derivation that is not refused: Linux' tools ask for 1 GiB at most.
const MOST_MEMORY_KIB: u32 = 4 << 20;
/// Memory times passes that is not refused: minutes.
const MOST_ARGON2_KIB: u64 = 256 << 20;
/// Rounds of PBKDF2 that are not refused: minutes.
const MOST_ROUNDS: u32 = 500_000_000;
const MOST_LANES: u32 = 64;

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By its name in headers.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha384 => pbkdf2::PBKDF2_HMAC_SHA384,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    /// Bytes of one.
    pub(crate) fn len(self) -> usize {
        self.digest().output_len()
    }

    /// Of some parts, one after the other.
    pub(crate) fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(self.digest());
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }
}

/// How a key is made from a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kdf {
    Pbkdf2 {
        hash: Hash,
        rounds: u32,
    },
    Argon2 {
        /// Whether it is Argon2id; Argon2i, if not.
        id: bool,
        passes: u32,
        memory_kib: u32,
        lanes: u32,
    },
}

impl Kdf {
    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> u64 {
        match self {
            Self::Pbkdf2 { .. } => 0,
            Self::Argon2 { memory_kib, .. } => u64::from(*memory_kib) << 10,
        }
    }

    /// Makes a key of `len` bytes; an error says in words why not.
    pub(crate) fn key(
        &self,
        secret: &[u8],
        salt: &[u8],
        len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut key = Zeroizing::new(vec![0; len]);
        match *self {
            Self::Pbkdf2 { hash, rounds } => {
                let some = NonZeroU32::new(rounds).filter(|_| rounds <= MOST_ROUNDS);
                let rounds = some.ok_or_else(|| format!("{rounds} rounds of PBKDF2"))?;
                pbkdf2::derive(hash.pbkdf2(), rounds, salt, secret, &mut key);
            }
            Self::Argon2 {
                id,
                passes,
                memory_kib,
                lanes,
            } => {
                let total = u64::from(memory_kib) * u64::from(passes);
                if memory_kib > MOST_MEMORY_KIB || total > MOST_ARGON2_KIB || lanes > MOST_LANES {
                    return Err(format!(
                        "{passes} passes of Argon2 with {memory_kib} KiB of memory in {lanes} lanes"
                    ));
                }
                let params = Params::new(memory_kib, passes, lanes, Some(len));
                let params = params.map_err(|error| format!("Argon2: {error}"))?;
                let mut memory = Vec::new();
                let count = params.block_count();
                let no_room =
                    |_| format!("Argon2 with {memory_kib} KiB, which this machine has not");
                memory.try_reserve_exact(count).map_err(no_room)?;
                memory.resize(count, Block::default());
                let kind = if id {
                    Algorithm::Argon2id
                } else {
                    Algorithm::Argon2i
                };
                Argon2::new(kind, Version::V0x13, params)
                    .hash_password_into_with_memory(secret, salt, &mut key, &mut memory)
                    .map_err(|error| format!("Argon2: {error}"))?;
            }
        }
        Ok(key)
    }
}
