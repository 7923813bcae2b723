//! Contents for an archive: an entry is as long as its header says, whatever happens.

use std::io::{self, Read};

use guestfs::Content;

use super::NotWritten;
use crate::cancel::Cancel;

/// Contents from their start, and zeros behind what could be read.
pub(super) struct Reading<'a> {
    content: &'a mut dyn Content,
    at: u64,
    cancel: &'a Cancel,
    /// Why, and from which byte on.
    failed: Option<(u64, guestfs::Error)>,
}

impl<'a> Reading<'a> {
    /// From the start, until somebody asks to stop.
    pub(super) fn new(content: &'a mut dyn Content, cancel: &'a Cancel) -> Self {
        Self {
            content,
            at: 0,
            cancel,
            failed: None,
        }
    }

    /// Whether all was read.
    pub(super) fn end(self) -> Result<(), NotWritten> {
        match self.failed {
            None => Ok(()),
            Some((at, error)) => Err(NotWritten::Zeros { at, error }),
        }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        let left = self.content.len() - self.at;
        let len = left.min(buf.len() as u64) as usize;
        let piece = &mut buf[..len];
        if self.failed.is_none()
            && let Err(error) = self.content.read_at(self.at, piece)
        {
            self.failed = Some((self.at, error));
        }
        if self.failed.is_some() {
            piece.fill(0);
        }
        self.at += len as u64;
        Ok(len)
    }
}
