//! A structure's bytes, with its name: whatever is wrong in it is told by that name.

use crate::error::{Error, Result};

/// Bytes of one structure of the disk. A number that would lie behind their end is damage.
pub(super) struct Block {
    /// What it is, in the format's terms, and where.
    what: String,
    bytes: Vec<u8>,
    /// Whether the log has changed it. Checksums are made when blocks are written, so those of a changed
    /// one are old.
    pub(super) changed: bool,
}

impl Block {
    pub(super) fn new(what: String, bytes: Vec<u8>, changed: bool) -> Self {
        Self {
            what,
            bytes,
            changed,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(self.what.clone(), why)
    }

    pub(super) fn slice(&self, at: usize, len: usize) -> Result<&[u8]> {
        let part = at.checked_add(len).and_then(|end| self.bytes.get(at..end));
        part.ok_or_else(|| {
            let all = self.bytes.len();
            self.damaged(format!("{len} bytes at {at} lie behind its end at {all}"))
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N)?);
        Ok(array)
    }

    pub(super) fn byte(&self, at: usize) -> Result<u8> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    pub(super) fn be16(&self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn be32(&self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn be64(&self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_be_bytes)
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

    /// Checks the checksum at `at` over all bytes, unless the log has changed them.
    pub(super) fn check_sum(&self, at: usize) -> Result<()> {
        if self.changed {
            return Ok(());
        }
        let stored = self.le32(at)?;
        let (before, after) = (self.slice(0, at)?, self.bytes.get(at + 4..));
        let sum = sum_without(before, after.unwrap_or_default());
        if sum != stored {
            return Err(self.damaged(format!(
                "its checksum is {stored:08x}, and that of its bytes {sum:08x}"
            )));
        }
        Ok(())
    }
}

/// CRC-32C of two parts and four zeros between them, where the sum itself is stored.
pub(super) fn sum_without(before: &[u8], after: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
    crc32c::crc32c_append(sum, after)
}
