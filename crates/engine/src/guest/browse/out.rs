//! What marks come to, and bringing them into a target.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::ByteRange;
use guestfs::{Content, Extras, FileSystem, Name};

use super::{Browser, Marks};
use crate::cancel::Cancel;
use crate::finding::Finding;
use crate::guest::path::GuestPath;
use crate::guest::restore::{FilesReport, NotWritten, Target, restore_files};
use crate::guest::walk::Found;
use crate::source::Owner;

/// How far it is; shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    things: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Files, folders and links that were come to.
    pub fn things(&self) -> u64 {
        self.0.things.load(Ordering::Relaxed)
    }

    /// Bytes that were come to.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    fn thing(&self) {
        self.0.things.fetch_add(1, Ordering::Relaxed);
    }

    fn more(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What marks come to.
#[derive(Debug, Default)]
pub struct Estimate {
    /// As a restore would tell it: how much, and what is not to be had.
    pub report: FilesReport,
    /// Bytes that are stored of the files, and so would be read; what is between them is holes.
    pub to_read: u64,
}

impl Browser<'_> {
    /// Goes through all that is marked, without its contents.
    pub fn estimate(&self, marks: &Marks, cancel: &Cancel, progress: &Progress) -> Estimate {
        let mut estimate = Estimate::default();
        for (owner, patterns) in marks.by_state() {
            let mut counting = Counting {
                to_read: 0,
                cancel,
                progress,
            };
            let guest = self.guest(&owner);
            let report = restore_files(&guest, &patterns, &mut counting, cancel);
            estimate.report.merge(report);
            estimate.to_read += counting.to_read;
        }
        estimate
    }

    /// Brings all that is marked into a target. Where several states have marks, the names of a checkpoint's
    /// volumes end with the checkpoint: `d0p1@1f0c22aa`.
    pub fn restore(
        &self,
        marks: &Marks,
        target: &mut dyn Target,
        cancel: &Cancel,
        progress: &Progress,
    ) -> FilesReport {
        let mut report = FilesReport::default();
        let states = marks.by_state();
        let several = states.len() > 1;
        let last = states.len().saturating_sub(1);
        for (at, (owner, patterns)) in states.into_iter().enumerate() {
            let suffix = match &owner {
                Owner::Checkpoint(id) if several => {
                    let id = id.simple().to_string();
                    format!("@{}", id.get(..8).unwrap_or(&id))
                }
                _ => String::new(),
            };
            let mut through = Through {
                target: &mut *target,
                suffix,
                is_last: at == last,
                progress,
            };
            let guest = self.guest(&owner);
            report.merge(restore_files(&guest, &patterns, &mut through, cancel));
        }
        report
    }
}

/// A target that keeps nothing, and counts what would be read.
struct Counting<'a> {
    to_read: u64,
    cancel: &'a Cancel,
    progress: &'a Progress,
}

impl Target for Counting<'_> {
    fn folder(&mut self, _: &Found) -> Result<(), NotWritten> {
        self.progress.thing();
        Ok(())
    }

    fn left(&mut self, _: &dyn FileSystem, _: &Found, _: &Extras) -> Result<(), NotWritten> {
        Ok(())
    }

    fn file(
        &mut self,
        _: &dyn FileSystem,
        _: &Found,
        content: &mut dyn Content,
        _: &Extras,
    ) -> Result<(), NotWritten> {
        self.progress.thing();
        let mut from = 0;
        while let Some(range) = content.next_data(from)? {
            if self.cancel.is_cancelled() {
                return Err(NotWritten::Cancelled);
            }
            self.to_read += range.len();
            self.progress.more(range.len());
            from = range.end;
        }
        Ok(())
    }

    fn hard_link(&mut self, _: &Found, _: &GuestPath) -> Result<bool, NotWritten> {
        self.progress.thing();
        Ok(true)
    }

    fn link(&mut self, _: &Found, _: &Name, _: &Extras) -> Result<(), NotWritten> {
        self.progress.thing();
        Ok(())
    }

    fn special(&mut self, _: &Found, _: &Extras) -> Result<(), NotWritten> {
        self.progress.thing();
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        Ok(Vec::new())
    }
}

/// A target that tells how far it is, and whose volumes may have other names.
struct Through<'a> {
    target: &'a mut dyn Target,
    suffix: String,
    is_last: bool,
    progress: &'a Progress,
}

impl Through<'_> {
    fn path(&self, path: &GuestPath) -> GuestPath {
        let mut path = path.clone();
        path.volume.push_str(&self.suffix);
        path
    }

    fn found(&self, found: &Found) -> Found {
        Found {
            path: self.path(&found.path),
            node: found.node.clone(),
        }
    }
}

impl Target for Through<'_> {
    fn folder(&mut self, found: &Found) -> Result<(), NotWritten> {
        self.progress.thing();
        self.target.folder(&self.found(found))
    }

    fn left(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        self.target.left(fs, &self.found(found), extras)
    }

    fn file(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        self.progress.thing();
        let mut watched = Watched {
            content,
            progress: self.progress,
        };
        self.target
            .file(fs, &self.found(found), &mut watched, extras)
    }

    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<bool, NotWritten> {
        let done = self
            .target
            .hard_link(&self.found(found), &self.path(first))?;
        if done {
            self.progress.thing();
        }
        Ok(done)
    }

    fn link(&mut self, found: &Found, target: &Name, extras: &Extras) -> Result<(), NotWritten> {
        self.progress.thing();
        self.target.link(&self.found(found), target, extras)
    }

    fn special(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten> {
        self.progress.thing();
        self.target.special(&self.found(found), extras)
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        match self.is_last {
            true => self.target.finish(),
            false => Ok(Vec::new()),
        }
    }
}

/// Contents that tell how much was read of them.
struct Watched<'a> {
    content: &'a mut dyn Content,
    progress: &'a Progress,
}

impl Content for Watched<'_> {
    fn len(&self) -> u64 {
        self.content.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> guestfs::Result<()> {
        self.content.read_at(offset, buf)?;
        self.progress.more(buf.len() as u64);
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> guestfs::Result<Option<ByteRange>> {
        self.content.next_data(from)
    }
}
