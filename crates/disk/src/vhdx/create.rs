//! Writing a new VHDX or AVHDX.
//!
//! The order of writing is what makes a half-written file harmless. Payload and bitmap blocks, the
//! BAT and the metadata go to the file first, with the first MiB left as zeros. After a sync come
//! the identifier and the region tables; after another one the two headers. Without a header no
//! reader opens the file, and with one everything that it leads to is on the medium. The log stays
//! empty: nobody else can have the file open yet.
//!
//! No randomness is made here. All identities are passed in, so that a restored parent can keep
//! the data write GUID by which its children know it.

pub(super) mod bitmap;
mod table;

use uuid::Uuid;

use self::bitmap::OpenBitmap;
use self::table::Table;
use crate::block::{Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::layer::{MetadataItem, ParentLink};
use crate::range::ByteRange;
use crate::vhdx::MIB;
use crate::vhdx::bat::{BatEntry, BatGeometry, PayloadState};
use crate::vhdx::header::{HEADER_OFFSETS, Header};
use crate::vhdx::identifier::Identifier;
use crate::vhdx::locator::ParentLocator;
use crate::vhdx::metadata::Metadata;
use crate::vhdx::region::{BAT, METADATA, REGION_TABLE_OFFSETS, Region, RegionTable};
use crate::write::DiskWrite;
use crate::write::dense::Dense;

/// What a new VHDX shall be.
#[derive(Debug, Clone)]
pub struct VhdxParams {
    /// Size and sector sizes. Sizes up to 64 TiB, sectors of 512 or 4096 bytes.
    pub geometry: Geometry,
    /// Bytes of a block: a power of two from 1 to 256 MiB.
    pub block_size: u32,
    /// How the disk is stored.
    pub layout: VhdxLayout,
    /// The disk's id as the guest sees it; a child has its parent's.
    pub disk_id: Uuid,
    /// Names the content. Children of this disk refer to it.
    pub data_write_guid: Uuid,
    /// Names the file's bytes.
    pub file_write_guid: Uuid,
    /// The program that makes the file, for people.
    pub creator: String,
    /// Further metadata items, kept as they are.
    pub metadata: Vec<MetadataItem>,
}

/// How a new VHDX stores its disk.
#[derive(Debug, Clone)]
pub enum VhdxLayout {
    /// All blocks, in order.
    Fixed,
    /// Only the blocks that were written.
    Dynamic,
    /// Only the sectors that differ from the parent named here. At least one path is needed, and
    /// the parent's data write GUID.
    Differencing(ParentLink),
}

/// A new VHDX being written.
pub struct VhdxWriter<F> {
    dense: Dense<F>,
    geometry: Geometry,
    bat: BatGeometry,
    fixed: bool,
    header: Header,
    identifier: Identifier,
    regions: RegionTable,
    /// The metadata region's bytes.
    metadata: Vec<u8>,
    table: Table,
    bitmap: Option<OpenBitmap>,
    /// Where the next block goes; in a fixed disk, where the first one is.
    end: u64,
}

impl<F: WriteAt> VhdxWriter<F> {
    /// Starts an image on an empty file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the format cannot express what is asked for, or the file already
    /// holds bytes.
    pub fn create(file: F, params: &VhdxParams) -> Result<Self> {
        let invalid = |e: Error| match e {
            Error::Damaged { why, .. } => Error::Invalid(why),
            other => other,
        };
        let Geometry {
            len,
            logical_sector,
            physical_sector,
        } = params.geometry;
        if !matches!(physical_sector, 512 | 4096) {
            let why = format!("physical sector size {physical_sector}");
            return Err(Error::Invalid(why));
        }
        let parent = match &params.layout {
            VhdxLayout::Differencing(link) if link.paths.is_empty() => {
                let why = "a differencing VHDX needs a path of its parent";
                return Err(Error::Invalid(why.into()));
            }
            VhdxLayout::Differencing(link) => Some(ParentLocator::from_link(link)?),
            VhdxLayout::Fixed | VhdxLayout::Dynamic => None,
        };
        let fixed = matches!(params.layout, VhdxLayout::Fixed);
        let bat = BatGeometry::new(len, params.block_size, logical_sector, parent.is_some())
            .map_err(invalid)?;
        let metadata = Metadata {
            block_size: params.block_size,
            leave_allocated: fixed,
            parent,
            disk_len: len,
            disk_id: params.disk_id,
            logical_sector,
            physical_sector,
            other: params.metadata.clone(),
        }
        .encode()?;

        let metadata_region = Region {
            id: METADATA,
            offset: 2 * MIB,
            // At most 128 MiB, as the encoder saw to.
            len: metadata.len() as u32,
            required: true,
        };
        let bat_region = Region {
            id: BAT,
            offset: metadata_region.range().end,
            // At most 513 MiB.
            len: bat.table_len().next_multiple_of(MIB) as u32,
            required: true,
        };
        let end = bat_region.range().end;
        Ok(Self {
            dense: Dense::new(file)?,
            geometry: params.geometry,
            bat,
            fixed,
            header: Header {
                sequence: 1,
                file_write_guid: params.file_write_guid,
                data_write_guid: params.data_write_guid,
                log_guid: Uuid::nil(),
                log_len: MIB as u32,
                log_offset: MIB,
            },
            identifier: Identifier {
                creator: params.creator.clone(),
            },
            regions: RegionTable {
                regions: vec![bat_region, metadata_region],
            },
            metadata,
            table: Table::default(),
            bitmap: None,
            end,
        })
    }

    /// Calls `visit` for the part of each block that lies in the range: the block, where the part
    /// begins in it, and its length.
    fn blocks(
        &self,
        offset: u64,
        len: u64,
    ) -> Result<impl Iterator<Item = (u64, u64, u64)> + use<F>> {
        check_bounds(self.geometry.len, offset, len)?;
        let sector = self.bat.logical_sector();
        let whole_sectors = offset.is_multiple_of(sector) && len.is_multiple_of(sector);
        if self.bat.differencing() && !whole_sectors {
            let why = format!("{len} bytes at {offset} are not whole sectors of {sector}");
            return Err(Error::Invalid(why));
        }
        let block_size = self.bat.block_size();
        let (mut at, end) = (offset, offset + len);
        Ok(std::iter::from_fn(move || {
            let within = at % block_size;
            let part = (block_size - within).min(end - at);
            let item = (at / block_size, within, part);
            at += part;
            (part > 0).then_some(item)
        }))
    }

    fn block_len(&self, block: u64) -> u64 {
        let start = block * self.bat.block_size();
        (self.geometry.len - start).min(self.bat.block_size())
    }

    /// The block's state and place. A fixed disk's blocks are where they are.
    fn entry(&self, block: u64) -> (PayloadState, u64) {
        if self.fixed {
            let at = self.end + block * self.bat.block_size();
            return (PayloadState::FullyPresent, at);
        }
        let entry = self.table.get(self.bat.payload_index(block));
        // Only entries that were put there by `set_entry` can be met.
        let state = entry.payload_state().unwrap_or(PayloadState::NotPresent);
        (state, entry.offset())
    }

    fn set_entry(&mut self, block: u64, state: PayloadState, offset: u64) {
        let index = self.bat.payload_index(block);
        self.table.set(index, BatEntry::payload(state, offset));
    }

    /// Space for a block or bitmap at the end of the file.
    fn allocate(&mut self, len: u64) -> u64 {
        let at = self.end;
        self.end += len;
        at
    }

    /// Prepares a block for bytes at `within` and tells where it is.
    fn place(&mut self, block: u64, within: u64, len: u64) -> Result<u64> {
        use PayloadState::{FullyPresent, NotPresent, PartiallyPresent, Zero};
        let whole = within == 0 && len == self.block_len(block);
        let (state, offset) = self.entry(block);
        match state {
            FullyPresent => Ok(offset),
            NotPresent if self.bat.differencing() && !whole => {
                let at = self.allocate(self.bat.block_size());
                self.set_entry(block, PartiallyPresent, at);
                self.mark(block, within, len)?;
                Ok(at)
            }
            PartiallyPresent if !whole => {
                self.mark(block, within, len)?;
                Ok(offset)
            }
            PartiallyPresent => {
                self.set_entry(block, FullyPresent, offset);
                Ok(offset)
            }
            // What is not written of it stays the zeros that fresh space holds.
            _ => {
                debug_assert!(matches!(state, NotPresent | Zero));
                let at = self.allocate(self.bat.block_size());
                self.set_entry(block, FullyPresent, at);
                Ok(at)
            }
        }
    }

    /// Notes that sectors of a partially present block are stored here.
    fn mark(&mut self, block: u64, within: u64, len: u64) -> Result<()> {
        let chunk = block / self.bat.chunk_ratio();
        if self.bitmap.as_ref().is_none_or(|open| open.chunk != chunk) {
            self.settle_bitmap()?;
            let index = self.bat.bitmap_index(chunk);
            let entry = self.table.get(index);
            let mut open = OpenBitmap::new(chunk, entry.offset());
            if entry.offset() == 0 {
                open.offset = self.allocate(MIB);
                self.table.set(index, BatEntry::bitmap(open.offset));
            } else {
                self.dense.read(open.offset, &mut open.bits)?;
            }
            self.bitmap = Some(open);
        }
        let sector = self.bat.logical_sector();
        let first = (block % self.bat.chunk_ratio() * self.bat.block_size() + within) / sector;
        if let Some(open) = &mut self.bitmap {
            open.set(first, len / sector);
        }
        Ok(())
    }

    /// Writes the open bitmap. Blocks all of whose sectors turned out to be here need it no
    /// longer and become fully present.
    fn settle_bitmap(&mut self) -> Result<()> {
        let Some(open) = self.bitmap.take() else {
            return Ok(());
        };
        let first = open.chunk * self.bat.chunk_ratio();
        let last = (first + self.bat.chunk_ratio()).min(self.bat.payload_blocks());
        let sector = self.bat.logical_sector();
        for block in first..last {
            let (state, offset) = self.entry(block);
            let from = (block - first) * (self.bat.block_size() / sector);
            if state == PayloadState::PartiallyPresent
                && open.all_set(from, self.block_len(block) / sector)
            {
                self.set_entry(block, PayloadState::FullyPresent, offset);
            }
        }
        self.dense.write(open.offset, &open.bits)
    }

    /// Writes the BAT's region, as far as it is not zeros.
    fn write_table(&mut self) -> Result<()> {
        let at = self.regions.regions[0].offset;
        if !self.fixed {
            for (offset, bytes) in self.table.pages() {
                self.dense.write(at + offset, &bytes)?;
            }
            return Ok(());
        }
        let mut table = Table::default();
        for block in 0..self.bat.payload_blocks() {
            let (state, offset) = self.entry(block);
            let index = self.bat.payload_index(block);
            // A page at a time: the table of a large disk is large.
            if let Some((offset, bytes)) =
                table.set_ascending(index, BatEntry::payload(state, offset))
            {
                self.dense.write(at + offset, &bytes)?;
            }
        }
        for (offset, bytes) in table.pages() {
            self.dense.write(at + offset, &bytes)?;
        }
        Ok(())
    }
}

impl<F: WriteAt> DiskWrite for VhdxWriter<F> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let mut rest = data;
        for (block, within, len) in self.blocks(offset, data.len() as u64)? {
            let (now, later) = rest.split_at(len as usize);
            let at = self.place(block, within, len)?;
            self.dense.write(at + within, now)?;
            rest = later;
        }
        Ok(())
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        use PayloadState::{NotPresent, Zero};
        for (block, within, len) in self.blocks(range.start, range.len())? {
            let whole = within == 0 && len == self.block_len(block);
            match self.entry(block).0 {
                Zero => {}
                NotPresent if !self.bat.differencing() => {}
                NotPresent if whole => self.set_entry(block, Zero, 0),
                _ => {
                    let at = self.place(block, within, len)?;
                    self.dense.zero(at + within, len)?;
                }
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.settle_bitmap()?;
        self.dense.settle()?;
        self.dense.sync()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.settle_bitmap()?;
        self.write_table()?;
        self.dense
            .write(self.regions.regions[1].offset, &self.metadata)?;
        let end = match self.fixed {
            true => self.end + self.bat.payload_blocks() * self.bat.block_size(),
            false => self.end,
        };
        self.dense.fill(end)?;
        self.dense.sync()?;

        let put = |at, bytes: &[u8]| {
            let file = self.dense.file();
            file.write_all_at(bytes, at)
                .map_err(Error::io("writing the VHDX's head"))
        };
        put(0, &self.identifier.encode())?;
        let regions = self.regions.encode()?;
        for at in REGION_TABLE_OFFSETS {
            put(at, &regions)?;
        }
        self.dense.sync()?;

        for (at, sequence) in HEADER_OFFSETS.into_iter().zip(1..) {
            let header = Header {
                sequence,
                ..self.header.clone()
            };
            put(at, &header.encode())?;
        }
        self.dense.sync()
    }
}
