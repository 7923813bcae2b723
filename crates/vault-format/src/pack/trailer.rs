//! The last 88 bytes of a pack: where the directory is, and the writer's signature.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 8 | offset of the sealed directory in the pack |
//! | 8 | 4 | length of the sealed directory |
//! | 12 | 4 | reserved, 0 |
//! | 16 | 64 | Ed25519 signature |
//! | 80 | 8 | end mark `HKVPKEND` |

use crate::bytes::Cursor;
use crate::error::{Error, Result, limit};
use crate::keys::SIGNATURE_LEN;

use super::directory::MAX_SEALED_LEN;
use super::{MAX_PACK_LEN, PackHeader};

/// Size of the trailer in bytes.
pub const TRAILER_LEN: usize = 16 + SIGNATURE_LEN + 8;
const END: &[u8; 8] = b"HKVPKEND";

/// Where a pack's directory is, and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// Offset of the sealed directory in the pack.
    pub directory_offset: u64,
    /// Length of the sealed directory.
    pub directory_len: u32,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

impl Trailer {
    pub(super) fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut out = [0; TRAILER_LEN];
        out[..16].copy_from_slice(&self.position());
        out[16..80].copy_from_slice(&self.signature);
        out[80..].copy_from_slice(END);
        out
    }

    /// The part of the trailer that is signed.
    pub(super) fn position(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.directory_offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.directory_len.to_le_bytes());
        out
    }

    /// Reads the trailer off the end of a pack of `pack_len` bytes; `end` may be longer.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the end mark is missing: the pack was never finished, or was
    /// cut short.
    pub fn decode(end: &[u8], pack_len: u64) -> Result<Self> {
        limit("pack", "length", pack_len, MAX_PACK_LEN)?;
        let trailer = end
            .len()
            .checked_sub(TRAILER_LEN)
            .and_then(|at| end.get(at..))
            .filter(|trailer| trailer.ends_with(END))
            .ok_or_else(|| Error::truncated("pack", "it does not end with the end mark"))?;
        let mut cursor = Cursor::new("pack", trailer);
        let directory_offset = cursor.u64()?;
        let directory_len = cursor.u32()?;
        cursor.reserved(4)?;
        let signature = cursor.array()?;
        limit(
            "pack",
            "directory length",
            directory_len.into(),
            MAX_SEALED_LEN as u64,
        )?;
        let end = directory_offset
            .checked_add(directory_len.into())
            .and_then(|end| end.checked_add(TRAILER_LEN as u64));
        if end != Some(pack_len) || directory_offset < PackHeader::MIN_LEN as u64 {
            return Err(Error::damaged(
                "pack",
                format!(
                    "the directory ({directory_len} bytes at {directory_offset}) does not lie \
                     between chunks and trailer of a pack of {pack_len} bytes"
                ),
            ));
        }
        Ok(Self {
            directory_offset,
            directory_len,
            signature,
        })
    }
}
