//! Changing a VHDX or AVHDX in place.
//!
//! Payload is written where it belongs; every other change (BAT, sector bitmaps, metadata) goes
//! through the log, in the order that makes a crash harmless:
//!
//! 1. Before the first change, the header gets a new file write GUID, and before the first change
//!    of what a guest sees a new data write GUID, together with the GUID of a fresh log.
//! 2. Payload goes to blocks that are in use, or to space that nothing refers to yet.
//! 3. [`sync`](VhdxEditor::sync) makes the payload durable, then writes *one* log entry with all
//!    changed pages and makes it durable, then writes the pages in place. So the pages change
//!    together or not at all, and never refer to payload that is not there.
//! 4. The next sync makes those pages durable as its first step; only then does the log's tail move
//!    past their entry.
//! 5. [`close`](VhdxEditor::close) empties the log. A file that was not closed is dirty, and its
//!    next opening, by anyone, replays the log.
//!
//! Of two copies of the region table that differ the first usable one counts, as for readers, and
//! the other is made like it with the first change.
//!
//! Space that a change gives up is used again only after the entry that gave it up is durable.
//! What was not synced may be old or new after a crash, sector by sector, as on any disk.

mod journal;
mod merge;
mod pages;
mod space;
mod write;

use std::io;

use uuid::Uuid;

pub use self::merge::{MergeIds, Merged, merge};

use self::journal::Journal;
use self::pages::EditPages;
use self::space::Space;
use crate::block::Geometry;
use crate::error::{Error, Result};
use crate::io::{ReadAt, WriteAt};
use crate::layer::{Layer, LayerInfo, ParentLink};
use crate::range::ByteRange;
use crate::vhdx::MIB;
use crate::vhdx::bat::{BatEntry, BatGeometry, ENTRY_LEN, PayloadState, Slot};
use crate::vhdx::header::{CurrentHeader, HEADER_OFFSETS, Header};
use crate::vhdx::image::{VhdxImage, read_head, read_regions, stale_regions};
use crate::vhdx::locator::ParentLocator;
use crate::vhdx::log::replay;
use crate::vhdx::metadata::Metadata;
use crate::vhdx::region::Region;

/// No BAT is longer: 64 TiB in blocks of 1 MiB, with bitmaps.
const MAX_TABLE_LEN: u64 = 513 * MIB;

/// New GUIDs for one opening for writing. All must be random and never used before.
#[derive(Debug, Clone, Copy)]
pub struct EditIds {
    /// Names the file's bytes from the first change on.
    pub file_write_guid: Uuid,
    /// Names the content from the first change on that a guest can see. Children of the file no
    /// longer accept it then.
    pub data_write_guid: Uuid,
    /// Names the log's entries.
    pub log_guid: Uuid,
}

/// How far the header announces changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Announced {
    Nothing,
    File,
    Data,
}

/// A VHDX open for writing.
///
/// Only this editor may use the file until it is closed. Dropping it without
/// [`close`](Self::close) leaves what a crash would leave.
pub struct VhdxEditor<F> {
    file: F,
    ids: EditIds,
    info: LayerInfo,
    announced: Announced,
    slot: usize,
    header: Header,
    journal: Journal,
    bat: BatGeometry,
    bat_offset: u64,
    /// Entries that the BAT's region has room for.
    bat_room: u64,
    fixed: bool,
    metadata: Metadata,
    metadata_region: Region,
    pages: EditPages,
    /// A copy of the region table that differs from the one in use: where it is, and what belongs
    /// there.
    stale: Option<(u64, Vec<u8>)>,
    space: Space,
    /// Space that changes since the last sync gave up.
    released: Vec<ByteRange>,
    /// A log entry or header may be half written: going on could destroy what is still good.
    failed: bool,
}

impl<F: WriteAt> VhdxEditor<F> {
    /// Opens a file for writing. A log that was left by a crash is applied for real; otherwise
    /// nothing is written yet.
    ///
    /// The whole BAT is read and checked, because a write to a block that overlaps another
    /// structure would destroy it.
    ///
    /// # Errors
    /// As for [`VhdxImage::open`]; [`Error::Invalid`] for nil ids; [`Error::Unsupported`] for a
    /// file without a log.
    pub fn open(file: F, ids: EditIds) -> Result<Self> {
        if [ids.file_write_guid, ids.data_write_guid, ids.log_guid].contains(&Uuid::nil()) {
            return Err(Error::Invalid("nil GUIDs for writing a VHDX".into()));
        }
        // Everything is judged before anything is changed, the log's effect included.
        let info = VhdxImage::open(&file)?.info().clone();
        let (_, headers) = read_head(&file)?;
        let CurrentHeader {
            mut slot,
            mut header,
        } = headers.current()?;
        if u64::from(header.log_len) < MIB {
            return Err(Error::Unsupported(
                "the file has no log, so it cannot be changed safely".into(),
            ));
        }
        if header.log_guid == ids.log_guid {
            return Err(Error::Invalid("the log GUID was used before".into()));
        }
        if !header.log_guid.is_nil() {
            apply_log(&file, &header)?;
            header.log_guid = Uuid::nil();
            header.file_write_guid = ids.file_write_guid;
            put_header(&file, &mut slot, &mut header)?;
        }

        let file_len = length(&file)?;
        let regions = read_regions(&file, &mut Vec::new())?;
        let (bat_region, metadata_region) = regions.known()?;
        let metadata = Metadata::read(&file, metadata_region)?;
        let bat = BatGeometry::new(
            metadata.disk_len,
            metadata.block_size,
            metadata.logical_sector,
            metadata.parent.is_some(),
        )?;
        let mut space = Space::new(file_len)?;
        space.take(ByteRange::new(0, MIB))?;
        let log = ByteRange::at(header.log_offset, header.log_len.into());
        space.take(log.ok_or_else(|| Error::damaged("header", "log place"))?)?;
        for region in &regions.regions {
            space.take(region.range())?;
        }
        let mut editor = Self {
            fixed: metadata.leave_allocated && metadata.parent.is_none(),
            bat,
            bat_offset: bat_region.offset,
            bat_room: (u64::from(bat_region.len).min(MAX_TABLE_LEN) / ENTRY_LEN).max(bat.entries()),
            metadata_region: metadata_region.clone(),
            metadata,
            pages: EditPages::default(),
            stale: stale_regions(&file)?.map(|(at, bytes)| (at, bytes.to_vec())),
            journal: Journal::new(&header, ids.log_guid),
            file,
            ids,
            info,
            announced: Announced::Nothing,
            slot,
            header,
            space,
            released: Vec::new(),
            failed: false,
        };
        editor.claim_blocks()?;
        Ok(editor)
    }

    /// Size and sector sizes of the disk.
    pub fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    /// What the file said about itself when it was opened.
    pub fn info(&self) -> &LayerInfo {
        &self.info
    }

    /// Makes everything done so far durable. Once it returns, no crash undoes it.
    ///
    /// # Errors
    /// Of I/O. After one the editor refuses to go on; open the file again.
    pub fn sync(&mut self) -> Result<()> {
        self.guarded(Self::log_and_apply)
    }

    /// Does what must not be tried again in this opening when it fails.
    fn guarded(&mut self, action: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            let why = "an earlier write failed: open the file again";
            return Err(Error::io("writing the VHDX")(io::Error::other(why)));
        }
        let result = action(self);
        self.failed = result.is_err();
        result
    }

    fn log_and_apply(&mut self) -> Result<()> {
        // Payload, and the pages that the last entry brought into place.
        self.file.sync().map_err(Error::io("syncing the VHDX"))?;
        let dirty = self.pages.take_dirty();
        if dirty.is_empty() {
            return Ok(());
        }
        let file_len = length(&self.file)?;
        self.journal.append(&self.file, file_len, &dirty)?;
        for range in self.released.drain(..) {
            self.space.release(range);
        }
        for (offset, bytes) in &dirty {
            self.file
                .write_all_at(&bytes[..], *offset)
                .map_err(Error::io("writing a VHDX's BAT, bitmap or metadata"))?;
        }
        self.pages.shrink();
        Ok(())
    }

    /// Makes everything durable and leaves the file clean, with an empty log.
    pub fn close(self) -> Result<()> {
        self.close_naming(None)
    }

    /// As [`close`](Self::close), giving the content a name that it already has elsewhere.
    fn close_naming(mut self, data_write_guid: Option<Uuid>) -> Result<()> {
        if let Some(id) = data_write_guid {
            self.announce(Announced::Data)?;
            self.header.data_write_guid = id;
        }
        if self.announced == Announced::Nothing && !self.failed {
            return Ok(());
        }
        self.sync()?;
        // The last pages are in place, but not yet durable.
        self.file.sync().map_err(Error::io("syncing the VHDX"))?;
        self.header.log_guid = Uuid::nil();
        // Twice, so that neither copy speaks of the old state any more.
        for _ in 0..2 {
            put_header(&self.file, &mut self.slot, &mut self.header)?;
        }
        Ok(())
    }

    /// Replaces the way in which the file names its parent; with [`close`](Self::close) or the
    /// next sync it is durable. The content's name stays, so children are not affected.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file without a parent, or a link that VHDX cannot express;
    /// [`Error::Unsupported`] when the metadata region has no room for it.
    pub fn set_parent(&mut self, link: &ParentLink) -> Result<()> {
        if self.metadata.parent.is_none() {
            let why = "a file without a parent cannot get one in place";
            return Err(Error::Invalid(why.into()));
        }
        let mut changed = self.metadata.clone();
        changed.parent = Some(ParentLocator::from_link(link)?);
        let bytes = changed.encode()?;
        if bytes.len() as u64 > u64::from(self.metadata_region.len) {
            return Err(Error::Unsupported(
                "the metadata region is too small for the new parent locator".into(),
            ));
        }
        // One entry must hold all of it, so it begins with nothing pending.
        self.sync()?;
        let changes = self
            .pages
            .differing(&self.file, self.metadata_region.offset, &bytes)?;
        if changes.len() > journal::MAX_PAGES {
            return Err(Error::Unsupported(
                "the metadata would have to be rewritten at once".into(),
            ));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.announce(Announced::File)?;
        for (offset, page) in changes {
            self.pages.put(offset, page);
        }
        self.sync()?;
        self.metadata = changed;
        self.info.parent = Some(link.clone());
        Ok(())
    }

    /// Publishes, before the first change of a kind, that the file is going to change.
    fn announce(&mut self, what: Announced) -> Result<()> {
        if self.announced >= what && !self.failed {
            return Ok(());
        }
        self.guarded(|editor| editor.publish(what))
    }

    fn publish(&mut self, what: Announced) -> Result<()> {
        if self.announced == Announced::Nothing {
            // Whole MiB, with all of a last block that some writers leave out beyond the disk.
            if length(&self.file)? < self.space.end() {
                self.file
                    .set_len(self.space.end())
                    .map_err(Error::io("extending the VHDX"))?;
            }
            // The log must hold a valid entry before a header names it.
            self.file.sync().map_err(Error::io("syncing the VHDX"))?;
            self.journal.append(&self.file, length(&self.file)?, &[])?;
        }
        self.header.file_write_guid = self.ids.file_write_guid;
        self.header.log_guid = self.ids.log_guid;
        if what == Announced::Data {
            self.header.data_write_guid = self.ids.data_write_guid;
        }
        put_header(&self.file, &mut self.slot, &mut self.header)?;
        self.announced = what;
        // Two copies that differ are one that is lost as soon as the other is. The log makes them
        // alike in one step; what the file means does not change.
        if let Some((at, bytes)) = self.stale.take() {
            for (at, page) in self.pages.differing(&self.file, at, &bytes)? {
                self.pages.put(at, page);
            }
            self.log_and_apply()?;
        }
        Ok(())
    }

    /// Marks the space of every block as taken.
    ///
    /// An entry that stores nothing may still name space ("soft anchor"): Windows puts the block
    /// there again when the guest writes to it, so nothing else may go there. Nor may it where an
    /// entry behind the disk's end says that a block is, as after a disk was made smaller. Such
    /// space is kept only after all blocks have theirs, because it is not checked against anything.
    fn claim_blocks(&mut self) -> Result<()> {
        let block_size = self.bat.block_size();
        let mut kept = self.bat_room > self.bat.entries();
        let mut partial = false;
        self.each_entry(self.bat.entries(), |editor, slot, entry| {
            let len = match slot {
                Slot::Payload(_) => {
                    let state = entry.payload_state()?;
                    partial |= state == PayloadState::PartiallyPresent;
                    kept |= !is_stored(state) && entry.offset() > 0;
                    block_size * u64::from(is_stored(state))
                }
                Slot::Bitmap(chunk) if editor.bat.differencing() => {
                    let present = entry.bitmap_present()?;
                    if partial && !present {
                        let why = format!("chunk {chunk} has a partial block, but no bitmap");
                        return Err(Error::damaged("BAT", why));
                    }
                    partial = false;
                    MIB * u64::from(present)
                }
                Slot::Bitmap(_) => 0,
                Slot::Beyond => {
                    kept |= entry.offset() > 0;
                    0
                }
            };
            if len > 0 {
                let range = ByteRange::at(entry.offset(), len);
                let range = range.ok_or_else(|| Error::damaged("BAT", "offset"))?;
                editor.space.take(range)?;
            }
            Ok(())
        })?;
        if !kept {
            return Ok(());
        }
        // Beyond the file's end there is nothing to keep, and an invented offset to fear.
        let file_end = self.space.end();
        self.each_entry(self.bat_room, |editor, slot, entry| {
            let len = match slot {
                Slot::Bitmap(chunk) if chunk < editor.bat.bitmap_blocks() => 0,
                Slot::Bitmap(_) if !editor.bat.differencing() => 0,
                Slot::Bitmap(_) => MIB,
                Slot::Payload(_) if entry.payload_state().is_ok_and(is_stored) => 0,
                Slot::Payload(_) | Slot::Beyond => block_size,
            };
            if (1..file_end).contains(&entry.offset())
                && let Some(range) = ByteRange::at(entry.offset(), len)
            {
                editor.space.reserve(range);
            }
            Ok(())
        })
    }

    /// Reads so many entries of the BAT, a piece at a time.
    fn each_entry(
        &mut self,
        entries: u64,
        mut visit: impl FnMut(&mut Self, Slot, BatEntry) -> Result<()>,
    ) -> Result<()> {
        let mut index = 0;
        while index < entries {
            let mut bytes = vec![0; ((entries - index) * ENTRY_LEN).min(MIB) as usize];
            self.file
                .read_exact_at(&mut bytes, self.bat_offset + index * ENTRY_LEN)
                .map_err(Error::io("reading the BAT"))?;
            for bytes in bytes.chunks_exact(8) {
                let mut entry = [0; 8];
                entry.copy_from_slice(bytes);
                let entry = BatEntry(u64::from_le_bytes(entry));
                let slot = self.bat.slot(index);
                visit(self, slot, entry)?;
                index += 1;
            }
        }
        Ok(())
    }

    fn entry(&mut self, index: u64) -> Result<BatEntry> {
        let at = self.bat_offset + index * ENTRY_LEN;
        Ok(BatEntry(self.pages.u64_at(&self.file, at)?))
    }

    fn set_entry(&mut self, index: u64, entry: BatEntry) -> Result<()> {
        let at = self.bat_offset + index * ENTRY_LEN;
        self.pages.set_u64(&self.file, at, entry.0)
    }
}

fn is_stored(state: PayloadState) -> bool {
    matches!(
        state,
        PayloadState::FullyPresent | PayloadState::PartiallyPresent
    )
}

fn length(file: &impl ReadAt) -> Result<u64> {
    file.len()
        .map_err(Error::io("asking for the VHDX's length"))
}

/// Writes the next header to the slot that is not current and makes it durable.
fn put_header(file: &impl WriteAt, slot: &mut usize, header: &mut Header) -> Result<()> {
    header.sequence = header
        .sequence
        .checked_add(1)
        .ok_or_else(|| Error::damaged("header", "the sequence number cannot grow any more"))?;
    *slot = 1 - *slot;
    file.write_all_at(&header.encode(), HEADER_OFFSETS[*slot])
        .and_then(|()| file.sync())
        .map_err(Error::io("writing a VHDX header"))
}

/// Applies a log to its file, and makes the result durable. A crash meanwhile leaves the log as it
/// is, to be applied once more.
fn apply_log(file: &impl WriteAt, header: &Header) -> Result<()> {
    let file_len = length(file)?;
    let view = replay(file, header)?;
    let len = view.virtual_len();
    if len > space::MAX_FILE_LEN {
        let why = format!("it would extend the file to {len} bytes");
        return Err(Error::damaged("log", why));
    }
    let write_error = Error::io("applying the log");
    let apply = || {
        if len > file_len {
            file.set_len(len)?;
        }
        let mut bytes = vec![0; MIB as usize];
        for range in view.patches() {
            // What lies behind the old end is zeros already, unless a sector was logged for it.
            let end = match range.len() > crate::vhdx::SECTOR {
                true => range.end.min(file_len),
                false => range.end,
            };
            let mut at = range.start;
            while at < end {
                let part = &mut bytes[..(end - at).min(MIB) as usize];
                view.read_exact_at(part, at)?;
                file.write_all_at(part, at)?;
                at += part.len() as u64;
            }
        }
        file.sync()
    };
    apply().map_err(write_error)
}
