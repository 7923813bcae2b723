//! Keys from passphrases, within bounds of time and memory.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::{digest, pbkdf2};
use zeroize::Zeroizing;

/// Memory of one derivation that is not refused: Linux' tools ask for 1 GiB at most.
const MOST_MEMORY_KIB: u32 = 4 << 20;
const MOST_LANES: u32 = 64;

/// What is left of the work that one try may be, in KiB that Argon2 fills once, or hashes that PBKDF2 makes: each
/// takes about a microsecond.
#[derive(Debug)]
pub(crate) struct Effort(u64);

impl Effort {
    /// Some minutes. Linux' tools make slots of two seconds.
    pub(crate) const MOST: u64 = 256 << 20;

    pub(crate) fn new() -> Self {
        Self(Self::MOST)
    }

    /// Takes from what is left; false if it is not enough, and nothing is taken then.
    fn take(&mut self, cost: u64) -> bool {
        let left = self.0.checked_sub(cost);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It asks for more than is allowed, or than is left of it.
    TooMuch(String),
    /// It cannot be made.
    Failed(String),
}

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

    /// What a key of `len` bytes takes, as [`Effort`] counts.
    fn cost(&self, len: usize) -> u64 {
        match *self {
            Self::Pbkdf2 { hash, rounds } => {
                u64::from(rounds).saturating_mul(len.div_ceil(hash.len()) as u64)
            }
            Self::Argon2 {
                passes, memory_kib, ..
            } => u64::from(memory_kib) * u64::from(passes),
        }
    }

    /// Makes a key of `len` bytes, if there is enough left for that.
    pub(crate) fn key(
        &self,
        secret: &[u8],
        salt: &[u8],
        len: usize,
        effort: &mut Effort,
    ) -> Result<Zeroizing<Vec<u8>>, NoKey> {
        let mut key = Zeroizing::new(vec![0; len]);
        match *self {
            Self::Pbkdf2 { hash, rounds } => {
                let what = || format!("{rounds} rounds of PBKDF2");
                let rounds = NonZeroU32::new(rounds).ok_or_else(|| NoKey::Failed(what()))?;
                if !effort.take(self.cost(len)) {
                    return Err(NoKey::TooMuch(what()));
                }
                pbkdf2::derive(hash.pbkdf2(), rounds, salt, secret, &mut key);
            }
            Self::Argon2 {
                id,
                passes,
                memory_kib,
                lanes,
            } => {
                let bounded = memory_kib <= MOST_MEMORY_KIB && lanes <= MOST_LANES;
                if !bounded || !effort.take(self.cost(len)) {
                    return Err(NoKey::TooMuch(format!(
                        "{passes} passes of Argon2 with {memory_kib} KiB of memory in {lanes} lanes"
                    )));
                }
                let failed = |error| NoKey::Failed(format!("Argon2: {error}"));
                let params = Params::new(memory_kib, passes, lanes, Some(len)).map_err(failed)?;
                let mut memory = Vec::new();
                let count = params.block_count();
                let no_room = |_| {
                    let why = format!("Argon2 with {memory_kib} KiB, which this machine has not");
                    NoKey::TooMuch(why)
                };
                memory.try_reserve_exact(count).map_err(no_room)?;
                memory.resize(count, Block::default());
                let kind = if id {
                    Algorithm::Argon2id
                } else {
                    Algorithm::Argon2i
                };
                Argon2::new(kind, Version::V0x13, params)
                    .hash_password_into_with_memory(secret, salt, &mut key, &mut memory)
                    .map_err(failed)?;
            }
        }
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All tries together are bounded, of either kind.
    #[test]
    fn what_is_left_of_an_effort_bounds_the_next_one() {
        let pbkdf2 = Kdf::Pbkdf2 {
            hash: Hash::Sha256,
            rounds: 100,
        };
        let argon2 = Kdf::Argon2 {
            id: true,
            passes: 2,
            memory_kib: 64,
            lanes: 1,
        };
        let salt = [7; 16];
        let mut effort = Effort(2 * 100 + 2 * 64 + 99);
        for kdf in [&pbkdf2, &argon2] {
            // Two hashes of SHA-256 make 64 bytes.
            assert_eq!(kdf.key(b"pass", &salt, 64, &mut effort).unwrap().len(), 64);
        }
        for kdf in [&pbkdf2, &argon2] {
            let refused = kdf.key(b"pass", &salt, 32, &mut effort);
            assert!(matches!(refused, Err(NoKey::TooMuch(_))), "{kdf:?}");
        }
        assert_eq!(effort.0, 99, "what was refused took nothing");
        for most in [u32::MAX, 4 << 20] {
            let much = Kdf::Argon2 {
                id: false,
                passes: u32::MAX,
                memory_kib: most,
                lanes: 1,
            };
            let refused = much.key(b"pass", &salt, 32, &mut Effort::new());
            assert!(matches!(refused, Err(NoKey::TooMuch(_))), "{most}");
        }
        let never = Kdf::Pbkdf2 {
            hash: Hash::Sha1,
            rounds: 0,
        };
        let refused = never.key(b"pass", &salt, 32, &mut Effort::new());
        assert!(matches!(refused, Err(NoKey::Failed(_))));
    }
}
