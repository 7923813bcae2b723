//! A cursor over foreign bytes: every take is checked, nothing is copied.

use crate::error::{Error, Result};

/// Takes fields off the front of a slice.
pub(crate) struct Cursor<'a> {
    object: &'static str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(object: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            object,
            rest: bytes,
        }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Error::truncated(
                self.object,
                format!("a field of {len} bytes, where {} are left", self.rest.len()),
            )),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// `count` items of `size` bytes each, checked against what is there before any is read.
    pub(crate) fn items(
        &mut self,
        count: u32,
        size: usize,
    ) -> Result<std::slice::ChunksExact<'a, u8>> {
        let len = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(size))
            .unwrap_or(usize::MAX);
        Ok(self.take(len)?.chunks_exact(size))
    }

    /// A reserved field of `len` bytes, which must be zero.
    pub(crate) fn reserved(&mut self, len: usize) -> Result<()> {
        if self.take(len)?.iter().any(|b| *b != 0) {
            return Err(Error::damaged(self.object, "a reserved field is not zero"));
        }
        Ok(())
    }

    pub(crate) fn end(self) -> Result<()> {
        if !self.rest.is_empty() {
            return Err(Error::damaged(
                self.object,
                format!("{} bytes follow its end", self.rest.len()),
            ));
        }
        Ok(())
    }
}
