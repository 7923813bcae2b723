//! Host files: the one place of this crate that touches the operating system.

use std::fs::File;
use std::io;

pub use hostfile::DirectFile;

use crate::io::{ReadAt, WriteAt};
use crate::range::{ByteRange, ByteRanges};
use crate::raw::AllocationProbe;

impl ReadAt for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        hostfile::read_exact_at(self, buf, offset)
    }
}

impl WriteAt for File {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        hostfile::write_all_at(self, buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

impl ReadAt for DirectFile {
    fn len(&self) -> io::Result<u64> {
        DirectFile::len(self)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        DirectFile::read_exact_at(self, buf, offset)
    }
}

impl WriteAt for DirectFile {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        DirectFile::write_all_at(self, buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        DirectFile::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        DirectFile::sync(self)
    }
}

impl AllocationProbe for File {
    /// Asks the file system by `SEEK_DATA` and `SEEK_HOLE`. This moves the file's cursor, which
    /// nothing here uses. A file system that keeps no account of holes answers "all data".
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn allocated(&self, range: ByteRange) -> io::Result<ByteRanges> {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;

        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let data = match seek(self, SeekFrom::Data(at)) {
                Ok(data) => data.max(at),
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL) => {
                    found.push(ByteRange::new(at, range.end));
                    break;
                }
                Err(e) => return Err(e.into()),
            };
            if data >= range.end {
                break;
            }
            // A file that shrinks meanwhile may answer with anything; always move forward.
            let hole = match seek(self, SeekFrom::Hole(data)) {
                Ok(hole) => hole.clamp(data + 1, range.end),
                Err(Errno::NXIO) => break,
                Err(e) => return Err(e.into()),
            };
            found.push(ByteRange::new(data, hole));
            at = hole;
        }
        Ok(found.into_iter().collect())
    }

    /// This system is not asked: everything counts as stored.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn allocated(&self, range: ByteRange) -> io::Result<ByteRanges> {
        Ok([range].into_iter().collect())
    }
}

impl<T: AllocationProbe + ?Sized> AllocationProbe for std::sync::Arc<T> {
    fn allocated(&self, range: ByteRange) -> io::Result<ByteRanges> {
        (**self).allocated(range)
    }
}
