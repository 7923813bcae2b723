//! Files as images see them: positioned reads and writes, no cursor, no path.
//!
//! A parser or writer takes a [`ReadAt`] or [`WriteAt`] and so works equally on a host file, on
//! a file across a network, on memory, or on a recording that a crash test replays.

use std::io;
use std::sync::{Arc, RwLock};

/// A file of known length that can be read at any position from several threads.
pub trait ReadAt: Send + Sync {
    /// Length in bytes at this moment.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`] when the file
    /// ends before that. On failure the contents of `buf` are unspecified.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// Whether the file holds no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file that can also be written.
///
/// A write is durable only after a later [`sync`](WriteAt::sync) has returned; writes between
/// two syncs may reach the medium in any order, or partly. Writers must be correct under exactly
/// this contract, and the crash tests exercise no kinder one.
pub trait WriteAt: ReadAt {
    /// Writes all of `buf` at `offset`, growing the file (with zeros before `offset`) if needed.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything written before this call durable, length included.
    fn sync(&self) -> io::Result<()>;
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

        impl<T: WriteAt + ?Sized> WriteAt for $pointer {
            fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
                (**self).write_all_at(buf, offset)
            }
            fn set_len(&self, len: u64) -> io::Result<()> {
                (**self).set_len(len)
            }
            fn sync(&self) -> io::Result<()> {
                (**self).sync()
            }
        }
    )*};
}
forward!(&T, Box<T>, Arc<T>);

impl ReadAt for [u8] {
    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..)?.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(from);
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

/// A file in memory. Syncing it does nothing.
#[derive(Debug, Default)]
pub struct MemFile(RwLock<Vec<u8>>);

impl MemFile {
    /// A file that holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(RwLock::new(bytes))
    }

    /// A copy of the whole contents.
    pub fn bytes(&self) -> Vec<u8> {
        self.read().clone()
    }

    // A poisoned lock means that a writer panicked between two whole-slice copies; the bytes
    // are still bytes, so the file stays readable.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<u8>> {
        self.0.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<u8>> {
        self.0.write().unwrap_or_else(|e| e.into_inner())
    }
}

impl ReadAt for MemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.read().len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read().as_slice().read_exact_at(buf, offset)
    }
}

impl WriteAt for MemFile {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start
            .checked_add(buf.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut bytes = self.write();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.write().resize(len, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_past_the_end_is_an_error_not_a_short_read() {
        let file = MemFile::new(vec![1, 2, 3]);
        let mut buf = [0; 2];
        file.read_exact_at(&mut buf, 1).unwrap();
        assert_eq!(buf, [2, 3]);
        for offset in [2, 3, u64::MAX] {
            let error = file.read_exact_at(&mut buf, offset).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::UnexpectedEof,
                "offset {offset}"
            );
        }
    }

    #[test]
    fn a_write_past_the_end_fills_the_gap_with_zeros() {
        let file = MemFile::default();
        file.write_all_at(&[7], 3).unwrap();
        assert_eq!(file.bytes(), [0, 0, 0, 7]);
        file.set_len(1).unwrap();
        assert_eq!(file.bytes(), [0]);
    }
}
