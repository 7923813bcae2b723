//! A file that writers only seem to write.
//!
//! Where a writer puts things follows from the calls that it gets, in their order, and not from the
//! bytes. So the same calls, rehearsed without the bytes, tell how large an image will be; and they
//! bring a new writer to where another one was when it was stopped: up to its last
//! [`checkpoint`](crate::DiskWrite::checkpoint) the file has all that the calls would write, and what it has
//! beyond that is written again.
//!
//! - While the rehearsal lasts, the file below is not changed.
//! - What is read back is what the file has, and zeros beyond its end.
//! - After it, the writer is to be told [`checkpoint`](crate::DiskWrite::checkpoint) before
//!   [`perform`](Rehearsal::perform): what it has collected was never meant.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::io::{ReadAt, WriteAt};

/// See the [module](self).
#[derive(Debug)]
pub struct Rehearsal<F> {
    file: F,
    rehearsing: AtomicBool,
    /// The length that the file would have.
    len: AtomicU64,
    /// Bytes that would have been written.
    written: AtomicU64,
}

impl<F: WriteAt> Rehearsal<F> {
    /// Begins over `file`, which a writer will take for an empty one.
    pub fn begin(file: F) -> Self {
        Self {
            file,
            rehearsing: AtomicBool::new(true),
            len: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// From here on the file is written.
    pub fn perform(&self) {
        self.rehearsing.store(false, Ordering::SeqCst);
    }

    /// The length that the file would have by now, and the bytes that would have been written to it:
    /// where it keeps holes it takes no more room than that.
    pub fn size(&self) -> (u64, u64) {
        let len = self.len.load(Ordering::SeqCst);
        (len, self.written.load(Ordering::SeqCst).min(len))
    }

    fn rehearsing(&self) -> bool {
        self.rehearsing.load(Ordering::SeqCst)
    }
}

impl<F: WriteAt> ReadAt for Rehearsal<F> {
    fn len(&self) -> io::Result<u64> {
        match self.rehearsing() {
            true => Ok(self.len.load(Ordering::SeqCst)),
            false => self.file.len(),
        }
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.rehearsing() {
            return self.file.read_exact_at(buf, offset);
        }
        let there = self.file.len()?.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(buf.len());
        let (found, beyond) = buf.split_at_mut(there);
        beyond.fill(0);
        self.file.read_exact_at(found, offset)
    }
}

impl<F: WriteAt> WriteAt for Rehearsal<F> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if !self.rehearsing() {
            return self.file.write_all_at(buf, offset);
        }
        let end = offset.checked_add(buf.len() as u64);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        self.len.fetch_max(end, Ordering::SeqCst);
        self.written.fetch_add(buf.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.rehearsing() {
            return self.file.set_len(len);
        }
        self.len.store(len, Ordering::SeqCst);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.rehearsing() {
            true => Ok(()),
            false => self.file.sync(),
        }
    }
}
