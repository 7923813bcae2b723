//! An image that is changed only when what it held is kept.
//!
//! Writes are collected, and reach the image with the next sync, or when there are many: what they
//! overwrite is then made durable in the [`Undo`] file first, all of it at once. Whoever writes sees
//! what it wrote at once, and is promised no more than [`WriteAt`] promises of any file.

use std::io;
use std::sync::{Mutex, MutexGuard};

use disk::{ReadAt, WriteAt};

use super::undo::{Stamp, Undo};

/// Writes that are collected, and bytes of them.
const MANY: usize = 256;
const MUCH: u64 = 16 << 20;

/// See the [module](self).
pub(crate) struct Kept<I, U> {
    image: I,
    inner: Mutex<Inner<U>>,
}

struct Inner<U> {
    undo: Undo<U>,
    writes: Vec<(u64, Vec<u8>)>,
    bytes: u64,
    /// Something failed: what the image has is not known any more.
    failed: bool,
}

impl<I: WriteAt, U: WriteAt> Kept<I, U> {
    pub(crate) fn new(image: I, undo: Undo<U>) -> Self {
        Self {
            image,
            inner: Mutex::new(Inner {
                undo,
                writes: Vec::new(),
                bytes: 0,
                failed: false,
            }),
        }
    }

    /// Notes durably how the image was left at the restore point.
    pub(crate) fn note_done(&self, stamp: Stamp) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.failed || !inner.writes.is_empty() {
            return Err(io::Error::other("the image was not brought to its end"));
        }
        inner.undo.note_done(stamp)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<U>> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Keeps what all collected writes overwrite, and writes them.
    fn settle(&self, inner: &mut Inner<U>) -> io::Result<()> {
        if inner.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        if inner.writes.is_empty() {
            return Ok(());
        }
        let done = (|| {
            let len = self.image.len()?;
            let mut held = Vec::with_capacity(inner.writes.len());
            for (at, bytes) in &inner.writes {
                let there = len.saturating_sub(*at).min(bytes.len() as u64);
                // Where nothing was there is nothing to be kept but that.
                if there > 0 {
                    // No longer than the write.
                    let mut before = vec![0; there as usize];
                    self.image.read_exact_at(&mut before, *at)?;
                    held.push((*at, before));
                }
            }
            inner.undo.keep(len, &held)?;
            drop(held);
            for (at, bytes) in inner.writes.drain(..) {
                self.image.write_all_at(&bytes, at)?;
            }
            inner.bytes = 0;
            Ok(())
        })();
        inner.failed = done.is_err();
        done
    }
}

impl<I: WriteAt, U: WriteAt + Send + Sync> ReadAt for Kept<I, U> {
    fn len(&self) -> io::Result<u64> {
        let inner = self.lock();
        let ends = inner.writes.iter().map(|(at, b)| at + b.len() as u64);
        Ok(ends.max().unwrap_or(0).max(self.image.len()?))
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.lock();
        let len = buf.len() as u64;
        let end = offset.checked_add(len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let ends = inner.writes.iter().map(|(at, b)| at + b.len() as u64);
        let below = self.image.len()?;
        if end > ends.max().unwrap_or(0).max(below) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = below.saturating_sub(offset).min(len) as usize;
        let (found, beyond) = buf.split_at_mut(there);
        if !found.is_empty() {
            self.image.read_exact_at(found, offset)?;
        }
        beyond.fill(0);
        for (at, bytes) in &inner.writes {
            let (from, to) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < to {
                let source = &bytes[(from - at) as usize..(to - at) as usize];
                buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(())
    }
}

impl<I: WriteAt, U: WriteAt + Send + Sync> WriteAt for Kept<I, U> {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        offset
            .checked_add(buf.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut inner = self.lock();
        if inner.failed {
            return Err(io::Error::other("an earlier write failed"));
        }
        if buf.is_empty() {
            return Ok(());
        }
        inner.writes.push((offset, buf.to_vec()));
        inner.bytes += buf.len() as u64;
        match inner.writes.len() >= MANY || inner.bytes >= MUCH {
            true => self.settle(&mut inner),
            false => Ok(()),
        }
    }

    /// It is never made shorter.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.lock();
        self.settle(&mut inner)?;
        let now = self.image.len()?;
        if len < now {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if len > now {
            inner.undo.keep(now, &[])?;
            self.image.set_len(len)?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.lock();
        self.settle(&mut inner)?;
        self.image.sync()
    }
}
