//! The BAT of an open file: looked up page by page, each page judged when it is first read.
//!
//! A page is judged as a whole: states, bits, whether blocks lie in the file, and whether they
//! overlap anything that a page before it claimed. So overlapping blocks are found as soon as both
//! of their pages have been read, and every walk over the whole disk finds all of them.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::overlap::Claims;
use crate::vhdx::MIB;
use crate::vhdx::bat::{BatEntry, BatGeometry, ENTRY_LEN, PayloadState, Slot};
use crate::vhdx::bytes::u64_at;
use crate::vhdx::log::View;
use crate::vhdx::pages::{PAGE, Page, Pages};

/// A table of up to this many bytes is judged as a whole when the file is opened.
const JUDGED_AT_OPEN: u64 = 4 << 20;

/// Where the bytes of a payload block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: the parent's, or zeros.
    Hole,
    /// Zeros.
    Zero,
    /// At this offset of the file.
    Whole(u64),
    /// The sectors whose bit is set at an offset of the file, the others nowhere. The bits of the
    /// block begin at another offset, least significant first.
    Partial {
        /// Where the block is.
        data: u64,
        /// Where its bits are.
        bits: u64,
    },
}

/// The BAT of an open file.
#[derive(Debug)]
pub(crate) struct Table {
    geometry: BatGeometry,
    /// Where in the file the table is.
    offset: u64,
    pages: Pages,
    judged: Mutex<Judged>,
}

#[derive(Debug)]
struct Judged {
    pages: HashSet<u64>,
    claims: Claims,
}

/// Remembers the page used last, so that a walk looks each one up once.
#[derive(Debug, Default)]
pub(crate) struct Cursor(Option<(u64, Page)>);

impl Table {
    /// The table at `offset`; `claims` has everything in the file that is no block.
    ///
    /// # Errors
    /// What judging a small table finds.
    pub(crate) fn open(
        view: &View<impl ReadAt>,
        geometry: BatGeometry,
        offset: u64,
        claims: Claims,
    ) -> Result<Self> {
        let table = Self {
            geometry,
            offset,
            pages: Pages::default(),
            judged: Mutex::new(Judged {
                pages: HashSet::new(),
                claims,
            }),
        };
        if geometry.table_len() <= JUDGED_AT_OPEN {
            for at in (0..geometry.table_len()).step_by(PAGE as usize) {
                table.page(view, at / PAGE)?;
            }
        }
        Ok(table)
    }

    pub(crate) fn geometry(&self) -> &BatGeometry {
        &self.geometry
    }

    /// Where a payload block is.
    pub(crate) fn place(
        &self,
        view: &View<impl ReadAt>,
        block: u64,
        cursor: &mut Cursor,
    ) -> Result<Place> {
        let g = &self.geometry;
        let entry = self.entry(view, g.payload_index(block), cursor)?;
        Ok(match entry.payload_state()? {
            PayloadState::NotPresent => Place::Hole,
            PayloadState::Undefined | PayloadState::Zero | PayloadState::Unmapped => Place::Zero,
            PayloadState::FullyPresent => Place::Whole(entry.offset()),
            // Without a parent there is nothing to be partial to. Microsoft's implementation
            // reads such a block as a whole one.
            PayloadState::PartiallyPresent if !g.differencing() => Place::Whole(entry.offset()),
            PayloadState::PartiallyPresent => {
                let chunk = block / g.chunk_ratio();
                let bitmap = self.entry(view, g.bitmap_index(chunk), &mut Cursor::default())?;
                if !bitmap.bitmap_present()? {
                    let why = format!("block {block} is partial, and its bitmap is not there");
                    return Err(Error::damaged("BAT", why));
                }
                let bits = block % g.chunk_ratio() * g.block_size() / g.logical_sector();
                Place::Partial {
                    data: entry.offset(),
                    bits: bitmap.offset() + bits / 8,
                }
            }
        })
    }

    /// A page of a bitmap block. It begins at `offset` of the file.
    pub(crate) fn bitmap_page(&self, view: &View<impl ReadAt>, offset: u64) -> Result<Page> {
        self.pages
            .get(view, offset, "reading a sector bitmap", |_| Ok(()))
    }

    fn entry(&self, view: &View<impl ReadAt>, index: u64, cursor: &mut Cursor) -> Result<BatEntry> {
        let at = index * ENTRY_LEN;
        let number = at / PAGE;
        let page = match &cursor.0 {
            Some((kept, page)) if *kept == number => page,
            _ => {
                let page = self.page(view, number)?;
                &cursor.0.insert((number, page)).1
            }
        };
        Ok(BatEntry(u64_at(page, (at % PAGE) as usize)))
    }

    fn page(&self, view: &View<impl ReadAt>, number: u64) -> Result<Page> {
        let offset = self.offset + number * PAGE;
        self.pages.get(view, offset, "reading the BAT", |bytes| {
            // The lock is held throughout: of two threads with one page, one judges.
            let mut judged = self.judged.lock().unwrap_or_else(|e| e.into_inner());
            if judged.pages.contains(&number) {
                return Ok(());
            }
            let first = number * PAGE / ENTRY_LEN;
            let rest = self.geometry.entries().saturating_sub(first);
            for (index, bytes) in (first..).zip(bytes.chunks_exact(8)).take(rest as usize) {
                let entry = BatEntry(u64_at(bytes, 0));
                self.judge(index, entry, view.virtual_len(), &mut judged.claims)?;
            }
            judged.pages.insert(number);
            Ok(())
        })
    }

    fn judge(&self, index: u64, entry: BatEntry, file_len: u64, claims: &mut Claims) -> Result<()> {
        let g = &self.geometry;
        let (what, number, len, used) = match self.geometry.slot(index) {
            Slot::Payload(block) => match entry.payload_state()? {
                PayloadState::FullyPresent | PayloadState::PartiallyPresent => {
                    // Of the last block only what the disk reaches into must be in the file.
                    let rest = g.disk_len() - block * g.block_size();
                    ("payload", block, g.block_size(), g.block_size().min(rest))
                }
                // Offsets that remain here are reservations at best ("soft anchors").
                _ => return Ok(()),
            },
            // Without a parent, some writers leave garbage in these.
            Slot::Bitmap(_) if !g.differencing() => return Ok(()),
            Slot::Bitmap(chunk) if entry.bitmap_present()? => ("bitmap", chunk, MIB, MIB),
            Slot::Bitmap(_) | Slot::Beyond => return Ok(()),
        };
        let offset = entry.offset();
        if offset.checked_add(used).is_none_or(|end| end > file_len) {
            return Err(Error::damaged(
                "BAT",
                format!(
                    "{what} block {number} at {offset} runs past the file's end at {file_len}: \
                     the file was cut short, or the entry is wrong"
                ),
            ));
        }
        if !claims.take(offset, len) {
            let why = format!("{what} block {number} at {offset} overlaps something else");
            return Err(Error::damaged("BAT", why));
        }
        Ok(())
    }
}
