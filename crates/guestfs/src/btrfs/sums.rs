//! The four kinds of checksums.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};

use crate::error::{Error, Result};

/// A kind of checksum, for metadata and data alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    Crc32c,
    Xxhash64,
    Sha256,
    Blake2b,
}

/// Bytes of a checksum, zeros behind the shorter ones.
pub(super) type Bytes = [u8; 32];

impl Sum {
    pub(super) fn of_number(number: u16) -> Result<Self> {
        Ok(match number {
            0 => Self::Crc32c,
            1 => Self::Xxhash64,
            2 => Self::Sha256,
            3 => Self::Blake2b,
            _ => {
                let why = format!("a btrfs with checksums of the unknown kind {number}");
                return Err(Error::Unsupported(why));
            }
        })
    }

    /// Bytes of one.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Xxhash64 => 8,
            Self::Sha256 | Self::Blake2b => 32,
        }
    }

    /// Whether `sum` begins with the checksum of `bytes`.
    pub(super) fn fits(self, bytes: &[u8], sum: &[u8]) -> bool {
        sum.get(..self.len()) == self.of(bytes).get(..self.len())
    }

    fn of(self, bytes: &[u8]) -> Bytes {
        let mut sum = [0; 32];
        let mut put = |bytes: &[u8]| {
            for (to, from) in sum.iter_mut().zip(bytes) {
                *to = *from;
            }
        };
        match self {
            Self::Crc32c => put(&crc32c::crc32c(bytes).to_le_bytes()),
            Self::Xxhash64 => put(&xxhash_rust::xxh64::xxh64(bytes, 0).to_le_bytes()),
            Self::Sha256 => put(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref()),
            Self::Blake2b => put(&Blake2b::<U32>::digest(bytes)),
        }
        sum
    }
}

/// By what a folder's entry, or an extended attribute, is found: CRC-32C from 0xfffffffe on, not inverted.
pub(super) fn name_hash(name: &[u8]) -> u32 {
    !crc32c::crc32c_append(1, name)
}
