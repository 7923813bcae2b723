//! Numbers in the bytes of a structure, all little-endian.

use crate::error::{Error, Result};

/// The bytes of a structure that may be shorter than it should be.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Its name, for errors.
    pub(super) what: &'static str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes }
    }

    pub(super) fn part(&self, at: usize, len: usize) -> Result<&'a [u8]> {
        let end = at.checked_add(len);
        let part = end.and_then(|end| self.bytes.get(at..end));
        part.ok_or_else(|| {
            let why = format!(
                "it ends at {} and needs {at} + {len} bytes",
                self.bytes.len()
            );
            self.damaged(why)
        })
    }

    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.part(at, N)?);
        Ok(array)
    }

    pub(super) fn byte(&self, at: usize) -> Result<u8> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    pub(super) fn le16(&self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn le32(&self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn le64(&self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(format!("btrfs {}", self.what), why)
    }
}
