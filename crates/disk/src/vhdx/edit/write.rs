//! Changing what a guest sees, block by block.

use crate::block::check_bounds;
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::range::ByteRange;
use crate::vhdx::bat::{BatEntry, PayloadState};
use crate::vhdx::create::bitmap::{all_set, set_bits};
use crate::vhdx::edit::{Announced, VhdxEditor, is_stored};
use crate::vhdx::{MIB, SECTOR};
use crate::write::DiskWrite;

/// Pages that may be dirty before a change of one block begins; that adds at most 19: two of the
/// BAT and, for 256 MiB of 512-byte sectors, 17 of the bitmap.
const DIRTY: usize = 64;

/// The part of a block that a request touches.
#[derive(Debug, Clone, Copy)]
struct Part {
    block: u64,
    /// First byte, counted from the block's beginning.
    within: u64,
    len: u64,
    /// All of the block's bytes that are on the disk.
    whole: bool,
}

impl<F: WriteAt> VhdxEditor<F> {
    /// Stores `data` at `offset` of the disk.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`]; [`Error::Invalid`] for half sectors in a differencing file.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let mut rest = data;
        for part in self.parts(offset, data.len() as u64)? {
            let (now, later) = rest.split_at(part.len as usize);
            self.write_part(part, Some(now))?;
            rest = later;
        }
        Ok(())
    }

    /// Makes `range` read as zeros, whatever a parent holds. Whole blocks give up their space,
    /// except in a fixed disk.
    ///
    /// # Errors
    /// As for [`write_at`](Self::write_at).
    pub fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        use PayloadState::{NotPresent, Undefined, Unmapped, Zero};
        for part in self.parts(range.start, range.len())? {
            match self.state(part.block)?.0 {
                Zero | Undefined | Unmapped => {}
                NotPresent if !self.bat.differencing() => {}
                _ if part.whole && !self.fixed => self.drop_block(part.block, Zero)?,
                _ => self.write_part(part, None)?,
            }
        }
        Ok(())
    }

    /// Tells that the guest no longer needs `range`. Whole blocks in it read as zeros from then
    /// on and give up their space; the rest keeps its contents. A fixed disk keeps everything.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`].
    pub fn unmap(&mut self, range: ByteRange) -> Result<()> {
        use PayloadState::{NotPresent, Undefined, Unmapped, Zero};
        check_bounds(self.bat.disk_len(), range.start, range.len())?;
        if self.fixed {
            return Ok(());
        }
        for part in self.cut(range.start, range.len()).filter(|part| part.whole) {
            match self.state(part.block)?.0 {
                Zero | Undefined | Unmapped => {}
                NotPresent if !self.bat.differencing() => {}
                _ => self.drop_block(part.block, Unmapped)?,
            }
        }
        Ok(())
    }

    fn parts(&self, offset: u64, len: u64) -> Result<impl Iterator<Item = Part> + use<F>> {
        check_bounds(self.bat.disk_len(), offset, len)?;
        let sector = self.bat.logical_sector();
        let whole_sectors = offset.is_multiple_of(sector) && len.is_multiple_of(sector);
        if self.bat.differencing() && !whole_sectors {
            let why = format!("{len} bytes at {offset} are not whole sectors of {sector}");
            return Err(Error::Invalid(why));
        }
        Ok(self.cut(offset, len))
    }

    fn cut(&self, offset: u64, len: u64) -> impl Iterator<Item = Part> + use<F> {
        let (block_size, disk_len) = (self.bat.block_size(), self.bat.disk_len());
        let (mut at, end) = (offset, offset + len);
        std::iter::from_fn(move || {
            let (block, within) = (at / block_size, at % block_size);
            let len = (block_size - within).min(end - at);
            at += len;
            let on_disk = block_size.min(disk_len.saturating_sub(block * block_size));
            (len > 0).then_some(Part {
                block,
                within,
                len,
                whole: len == on_disk,
            })
        })
    }

    fn state(&mut self, block: u64) -> Result<(PayloadState, u64)> {
        let entry = self.entry(self.bat.payload_index(block))?;
        let state = match entry.payload_state()? {
            // Nothing to be partial to: readers take it for a whole block.
            PayloadState::PartiallyPresent if !self.bat.differencing() => {
                PayloadState::FullyPresent
            }
            state => state,
        };
        Ok((state, entry.offset()))
    }

    /// Gets ready for a change of one block.
    fn begin(&mut self) -> Result<()> {
        self.announce(Announced::Data)?;
        if self.pages.dirty() >= DIRTY {
            self.sync()?;
        }
        Ok(())
    }

    /// Takes a block's contents away.
    fn drop_block(&mut self, block: u64, state: PayloadState) -> Result<()> {
        self.begin()?;
        let (before, offset) = self.state(block)?;
        if is_stored(before) {
            let range = ByteRange::new(offset, offset + self.bat.block_size());
            self.released.push(range);
        }
        let index = self.bat.payload_index(block);
        self.set_entry(index, BatEntry::payload(state, 0))
    }

    /// Writes data, or zeros, to a part of a block.
    fn write_part(&mut self, part: Part, data: Option<&[u8]>) -> Result<()> {
        use PayloadState::{FullyPresent, NotPresent, PartiallyPresent};
        self.begin()?;
        let index = self.bat.payload_index(part.block);
        let (state, offset) = self.state(part.block)?;
        match state {
            FullyPresent => self.put(offset + part.within, part.len, data),
            PartiallyPresent => {
                self.put(offset + part.within, part.len, data)?;
                if part.whole || self.set_sectors(part)? {
                    self.set_entry(index, BatEntry::payload(FullyPresent, offset))?;
                }
                Ok(())
            }
            _ => {
                let block_size = self.bat.block_size();
                let at = self.space.allocate(block_size)?;
                // The space may hold what another block once held, or be a hole of the file.
                self.put(at, part.within, None)?;
                self.put(at + part.within, part.len, data)?;
                let end = part.within + part.len;
                self.put(at + end, block_size - end, None)?;
                let partial = state == NotPresent && self.bat.differencing() && !part.whole;
                let state = match partial {
                    true => PartiallyPresent,
                    false => FullyPresent,
                };
                if partial {
                    self.clear_sectors(part.block)?;
                    self.set_sectors(part)?;
                }
                self.set_entry(index, BatEntry::payload(state, at))
            }
        }
    }

    fn put(&self, offset: u64, len: u64, data: Option<&[u8]>) -> Result<()> {
        let write = |at, bytes: &[u8]| {
            self.file
                .write_all_at(bytes, at)
                .map_err(Error::io("writing a VHDX block"))
        };
        if let Some(data) = data {
            return write(offset, data);
        }
        let zeros = vec![0; MIB.min(len) as usize];
        let mut done = 0;
        while done < len {
            let take = MIB.min(len - done);
            write(offset + done, &zeros[..take as usize])?;
            done += take;
        }
        Ok(())
    }

    /// Where the bits of a block are: the byte of the first one. A block has at least 256 of them
    /// (1 MiB of 4 KiB sectors), so it begins on a byte.
    fn bits_of(&mut self, block: u64) -> Result<u64> {
        let chunk = block / self.bat.chunk_ratio();
        let index = self.bat.bitmap_index(chunk);
        let entry = self.entry(index)?;
        let offset = match entry.bitmap_present()? {
            true => entry.offset(),
            false => {
                let at = self.space.allocate(MIB)?;
                self.put(at, MIB, None)?;
                self.set_entry(index, BatEntry::bitmap(at))?;
                at
            }
        };
        let sectors = self.bat.block_size() / self.bat.logical_sector();
        Ok(offset + block % self.bat.chunk_ratio() * sectors / 8)
    }

    /// Sets the bits of a part, and tells whether the block has all of them now.
    fn set_sectors(&mut self, part: Part) -> Result<bool> {
        let at = self.bits_of(part.block)?;
        let sector = self.bat.logical_sector();
        let (first, count) = (part.within / sector, part.len / sector);
        let end = first + count;
        let from = first / 8;
        self.pages.change(
            &self.file,
            at + from,
            end.div_ceil(8) - from,
            |bytes, skipped| {
                let base = (from + skipped) * 8;
                let start = first.max(base) - base;
                let stop = end.min(base + bytes.len() as u64 * 8) - base;
                set_bits(bytes, start, stop.saturating_sub(start));
            },
        )?;
        let start = part.block * self.bat.block_size();
        let rest = self.bat.disk_len() - start;
        let sectors = self.bat.block_size().min(rest) / sector;
        let mut all = true;
        self.pages
            .look(&self.file, at, sectors.div_ceil(8), |bytes, skipped| {
                let bits = (bytes.len() as u64 * 8).min(sectors - skipped * 8);
                all &= all_set(bytes, 0, bits);
            })?;
        Ok(all)
    }

    /// Clears the bits of a block that was not present: they may be left from earlier days.
    fn clear_sectors(&mut self, block: u64) -> Result<()> {
        let at = self.bits_of(block)?;
        let bytes = self.bat.block_size() / self.bat.logical_sector() / 8;
        self.pages
            .change(&self.file, at, bytes, |bytes, _| bytes.fill(0))
    }
}

impl<F: WriteAt> DiskWrite for VhdxEditor<F> {
    fn geometry(&self) -> crate::block::Geometry {
        self.geometry()
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.write_at(offset, data)
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        self.write_zeros(range)
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.sync()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.close()
    }
}

// A page of the log holds whole BAT entries and whole bytes of bitmaps.
const _: () = assert!(SECTOR.is_multiple_of(8));
