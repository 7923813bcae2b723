//! Pages of 4 KiB of BAT, bitmaps and metadata: read once, changed in memory, logged together.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::vhdx::SECTOR;
use crate::vhdx::bytes::{put, u64_at};
use crate::vhdx::log::entry::{SECTOR_LEN, Sector};

/// Pages that may stay in memory between syncs: 16 MiB.
const KEPT: usize = 4096;

/// The pages, by their offset in the file.
#[derive(Default)]
pub(super) struct EditPages {
    pages: HashMap<u64, Page>,
    dirty: usize,
}

struct Page {
    bytes: Box<Sector>,
    dirty: bool,
}

impl EditPages {
    /// How many pages wait for a sync.
    pub(super) fn dirty(&self) -> usize {
        self.dirty
    }

    fn page(&mut self, file: &impl ReadAt, offset: u64) -> Result<&mut Page> {
        use std::collections::hash_map::Entry;
        match self.pages.entry(offset) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(place) => {
                let mut bytes = Box::new([0; SECTOR_LEN]);
                file.read_exact_at(&mut bytes[..], offset)
                    .map_err(Error::io("reading a VHDX's BAT or bitmap"))?;
                Ok(place.insert(Page {
                    bytes,
                    dirty: false,
                }))
            }
        }
    }

    /// The eight bytes at `at`, a multiple of eight.
    pub(super) fn u64_at(&mut self, file: &impl ReadAt, at: u64) -> Result<u64> {
        let page = self.page(file, at / SECTOR * SECTOR)?;
        Ok(u64_at(&page.bytes[..], (at % SECTOR) as usize))
    }

    /// Changes the eight bytes at `at`.
    pub(super) fn set_u64(&mut self, file: &impl ReadAt, at: u64, value: u64) -> Result<()> {
        self.change(file, at, 8, |bytes, _| put(bytes, 0, &value.to_le_bytes()))
    }

    /// Gives `change` the bytes from `at`, in pieces that lie within a page, each with the number
    /// of its first byte counted from `at`. Pages that it really changes will be logged.
    pub(super) fn change(
        &mut self,
        file: &impl ReadAt,
        at: u64,
        len: u64,
        mut change: impl FnMut(&mut [u8], u64),
    ) -> Result<()> {
        self.walk(file, at, len, |page, from, to, skipped| {
            let before = page.bytes[from..to].to_vec();
            change(&mut page.bytes[from..to], skipped);
            let changed = page.bytes[from..to] != before[..];
            let first = changed && !page.dirty;
            page.dirty |= changed;
            first
        })
    }

    /// As [`change`](Self::change), only looking.
    pub(super) fn look(
        &mut self,
        file: &impl ReadAt,
        at: u64,
        len: u64,
        mut look: impl FnMut(&[u8], u64),
    ) -> Result<()> {
        self.walk(file, at, len, |page, from, to, skipped| {
            look(&page.bytes[from..to], skipped);
            false
        })
    }

    fn walk(
        &mut self,
        file: &impl ReadAt,
        at: u64,
        len: u64,
        mut visit: impl FnMut(&mut Page, usize, usize, u64) -> bool,
    ) -> Result<()> {
        let mut done = 0;
        while done < len {
            let from = (at + done) % SECTOR;
            let part = (SECTOR - from).min(len - done);
            let page = self.page(file, at + done - from)?;
            let newly_dirty = visit(page, from as usize, (from + part) as usize, done);
            self.dirty += usize::from(newly_dirty);
            done += part;
        }
        Ok(())
    }

    /// The pages of `bytes`, meant for `offset`, that differ from what is there.
    pub(super) fn differing(
        &mut self,
        file: &impl ReadAt,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Vec<(u64, Box<Sector>)>> {
        let mut out = Vec::new();
        for (n, new) in bytes.chunks_exact(SECTOR_LEN).enumerate() {
            let at = offset + (n * SECTOR_LEN) as u64;
            let mut old = [0; SECTOR_LEN];
            file.read_exact_at(&mut old, at)
                .map_err(Error::io("reading a VHDX's metadata"))?;
            if old[..] != *new {
                old.copy_from_slice(new);
                out.push((at, Box::new(old)));
            }
        }
        Ok(out)
    }

    /// Replaces a page.
    pub(super) fn put(&mut self, offset: u64, bytes: Box<Sector>) {
        let page = Page { bytes, dirty: true };
        let before = self.pages.insert(offset, page);
        self.dirty += usize::from(!before.is_some_and(|page| page.dirty));
    }

    /// The changed pages, in the order of the file. They count as unchanged from now on.
    pub(super) fn take_dirty(&mut self) -> Vec<(u64, Box<Sector>)> {
        let mut out = Vec::with_capacity(self.dirty);
        if self.dirty > 0 {
            for (offset, page) in self.pages.iter_mut().filter(|(_, page)| page.dirty) {
                page.dirty = false;
                out.push((*offset, page.bytes.clone()));
            }
        }
        self.dirty = 0;
        out.sort_unstable_by_key(|(offset, _)| *offset);
        out
    }

    /// Forgets pages when they are many. Called when none is dirty and all are in place.
    pub(super) fn shrink(&mut self) {
        if self.pages.len() > KEPT {
            self.pages.clear();
        }
    }
}
