//! Bytes at a position: all that the parsers here ask of a file.
//!
//! A `.vmrs` can be as large as the VM's memory, so parsers never ask for a whole file.

use std::io;

/// A file of known length that can be read at any position.
pub trait ReadAt {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`] when the file
    /// ends before that.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Whether the file holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start
            .checked_add(buf.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ReadAt + ?Sized> ReadAt for $pointer {
            fn len(&self) -> io::Result<u64> {
                (**self).len()
            }
            fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
                (**self).read_exact_at(buf, offset)
            }
        }
    )*};
}
forward!(&T, Box<T>, std::sync::Arc<T>);

/// Reads `len` bytes at `offset` after checking that the file has them, so that a lying length
/// costs no memory.
pub(crate) fn read_vec(file: &dyn ReadAt, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let end = offset
        .checked_add(len)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    if end > file.len()? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_read_within_its_bounds_only() {
        let bytes = vec![1u8, 2, 3];
        let mut two = [0; 2];
        bytes.read_exact_at(&mut two, 1).unwrap();
        assert_eq!(two, [2, 3]);
        for offset in [2, 3, u64::MAX] {
            let error = bytes.read_exact_at(&mut two, offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(read_vec(&bytes, 1, u64::MAX).is_err());
        assert!(read_vec(&bytes, 0, 1 << 40).is_err());
    }
}
