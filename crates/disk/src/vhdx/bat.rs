//! The block allocation table (MS-VHDX 2.5): one entry for each block, and where it is found.
//!
//! The disk is cut into payload blocks. [`BatGeometry::chunk_ratio`] of them make a chunk, whose
//! sectors (always 2^23) are the bits of one 1 MiB bitmap block. The table interleaves them: the
//! payload entries of a chunk, then its bitmap entry. The bitmap slots exist in every file, but
//! only those of a differencing file mean anything; some writers leave garbage in the others.

use crate::error::{Error, Result};
use crate::vhdx::{MAX_DISK_LEN, MIB};

/// Virtual sectors that one bitmap block covers.
pub const SECTORS_PER_CHUNK: u64 = 1 << 23;

/// Bytes of an entry.
pub const ENTRY_LEN: u64 = 8;

/// What the file says about a payload block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadState {
    /// Nothing is stored: the parent's block, or zeros.
    NotPresent = 0,
    /// Anything may be read; zeros are. The parent is not asked.
    Undefined = 1,
    /// Zeros. The parent is not asked.
    Zero = 2,
    /// Trimmed by the guest: zeros. The parent is not asked.
    Unmapped = 3,
    /// The whole block is stored.
    FullyPresent = 6,
    /// The sectors are stored whose bit is set; the parent has the others.
    PartiallyPresent = 7,
}

/// One entry, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BatEntry(pub u64);

impl BatEntry {
    /// The entry of a payload block; `offset` is a multiple of 1 MiB.
    ///
    /// # Panics
    /// In debug builds, for an offset that is not.
    pub fn payload(state: PayloadState, offset: u64) -> Self {
        debug_assert!(offset.is_multiple_of(MIB));
        Self(offset | state as u64)
    }

    /// The entry of a bitmap block that is stored at `offset`, a multiple of 1 MiB.
    ///
    /// # Panics
    /// In debug builds, for an offset that is not.
    pub fn bitmap(offset: u64) -> Self {
        Self::payload(PayloadState::FullyPresent, offset)
    }

    /// Where the block is in the file, if the state says that it is anywhere.
    pub fn offset(self) -> u64 {
        self.0 & !(MIB - 1)
    }

    /// The state of a payload block.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a state or bits that are reserved.
    pub fn payload_state(self) -> Result<PayloadState> {
        self.check_reserved()?;
        Ok(match self.0 & 7 {
            0 => PayloadState::NotPresent,
            1 => PayloadState::Undefined,
            2 => PayloadState::Zero,
            3 => PayloadState::Unmapped,
            6 => PayloadState::FullyPresent,
            7 => PayloadState::PartiallyPresent,
            state => {
                let why = format!("payload block in the reserved state {state}");
                return Err(Error::damaged("BAT", why));
            }
        })
    }

    /// Whether a bitmap block is stored.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a state or bits that are reserved.
    pub fn bitmap_present(self) -> Result<bool> {
        self.check_reserved()?;
        match self.0 & 7 {
            0 => Ok(false),
            6 | 7 => Ok(true),
            state => Err(Error::damaged(
                "BAT",
                format!("bitmap block in the reserved state {state}"),
            )),
        }
    }

    fn check_reserved(self) -> Result<()> {
        if self.0 & 0xF_FFF8 == 0 {
            return Ok(());
        }
        let why = format!("entry {:#018x} has reserved bits set", self.0);
        Err(Error::damaged("BAT", why))
    }
}

/// The table's arithmetic, for one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatGeometry {
    disk_len: u64,
    block_size: u32,
    logical_sector: u32,
    differencing: bool,
}

impl BatGeometry {
    /// Checks the parameters against the limits of the format.
    ///
    /// # Errors
    /// [`Error::Damaged`], naming the parameter.
    pub fn new(
        disk_len: u64,
        block_size: u32,
        logical_sector: u32,
        differencing: bool,
    ) -> Result<Self> {
        let damaged = |why: String| Err(Error::damaged("metadata", why));
        if !matches!(logical_sector, 512 | 4096) {
            return damaged(format!("logical sector size {logical_sector}"));
        }
        if !block_size.is_power_of_two() || !(1 << 20..=256 << 20).contains(&block_size) {
            return damaged(format!("block size {block_size}"));
        }
        if disk_len == 0
            || disk_len > MAX_DISK_LEN
            || !disk_len.is_multiple_of(u64::from(logical_sector))
        {
            return damaged(format!(
                "disk size {disk_len} (with sectors of {logical_sector} bytes)"
            ));
        }
        Ok(Self {
            disk_len,
            block_size,
            logical_sector,
            differencing,
        })
    }

    /// Bytes of the disk.
    pub fn disk_len(&self) -> u64 {
        self.disk_len
    }

    /// Bytes of a payload block.
    pub fn block_size(&self) -> u64 {
        u64::from(self.block_size)
    }

    /// Bytes of a virtual sector, one bit of a bitmap.
    pub fn logical_sector(&self) -> u64 {
        u64::from(self.logical_sector)
    }

    /// Whether the table is a differencing file's.
    pub fn differencing(&self) -> bool {
        self.differencing
    }

    /// Payload blocks that one bitmap block covers: 16 to 32768.
    pub fn chunk_ratio(&self) -> u64 {
        SECTORS_PER_CHUNK * self.logical_sector() / self.block_size()
    }

    /// Payload blocks of the disk, the last one perhaps only partly used.
    pub fn payload_blocks(&self) -> u64 {
        self.disk_len.div_ceil(self.block_size())
    }

    /// Bitmap blocks that the disk would need.
    pub fn bitmap_blocks(&self) -> u64 {
        self.payload_blocks().div_ceil(self.chunk_ratio())
    }

    /// Entries of the table.
    pub fn entries(&self) -> u64 {
        if self.differencing {
            self.bitmap_blocks() * (self.chunk_ratio() + 1)
        } else {
            self.payload_index(self.payload_blocks() - 1) + 1
        }
    }

    /// Bytes of the table, not rounded up to whole MiB as its region is.
    pub fn table_len(&self) -> u64 {
        self.entries() * ENTRY_LEN
    }

    /// The entry of a payload block.
    pub fn payload_index(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    /// The entry of a chunk's bitmap block.
    pub fn bitmap_index(&self, chunk: u64) -> u64 {
        (chunk + 1) * self.chunk_ratio() + chunk
    }

    /// What the entry at `index` is about.
    pub fn slot(&self, index: u64) -> Slot {
        let ratio = self.chunk_ratio();
        let (chunk, within) = (index / (ratio + 1), index % (ratio + 1));
        if within == ratio {
            return Slot::Bitmap(chunk);
        }
        match chunk * ratio + within {
            block if block < self.payload_blocks() => Slot::Payload(block),
            _ => Slot::Beyond,
        }
    }
}

/// What an entry of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// This payload block.
    Payload(u64),
    /// The bitmap block of this chunk.
    Bitmap(u64),
    /// A payload block behind the disk's end.
    Beyond,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn geometry(len: u64, block_mib: u32, sector: u32, differencing: bool) -> BatGeometry {
        BatGeometry::new(len, block_mib << 20, sector, differencing).unwrap()
    }

    #[test]
    fn chunk_ratios_are_the_published_ones() {
        let ratio = |mib, sector| geometry(MIB, mib, sector, false).chunk_ratio();
        let of = |sector| [1, 2, 8, 32, 256].map(|mib| ratio(mib, sector));
        assert_eq!(of(512), [4096, 2048, 512, 128, 16]);
        assert_eq!(of(4096), [32768, 16384, 4096, 1024, 128]);
    }

    #[test]
    fn the_largest_table_has_513_mib() {
        let largest = geometry(MAX_DISK_LEN, 1, 512, true);
        assert_eq!(largest.table_len().div_ceil(MIB), 513);
    }

    #[test]
    fn parameters_outside_the_format_are_damage() {
        for (len, block, sector) in [
            (0, 1 << 20, 512),
            (MAX_DISK_LEN + 512, 1 << 20, 512),
            (1000, 1 << 20, 512),
            (512, 1 << 20, 4096),
            (512, 1 << 19, 512),
            (512, 512 << 20, 512),
            (512, 3 << 20, 512),
            (512, 0, 512),
            (512, 1 << 20, 0),
            (512, 1 << 20, 1024),
        ] {
            assert!(
                BatGeometry::new(len, block, sector, false).is_err(),
                "{len} {block} {sector}"
            );
        }
    }

    #[test]
    fn reserved_states_and_bits_are_damage() {
        for raw in [4, 5, 8 | 6, (1 << 19) | 6] {
            assert!(BatEntry(raw).payload_state().is_err(), "{raw:#x}");
        }
        for raw in [1, 2, 3, 4, 5, 8] {
            assert!(BatEntry(raw).bitmap_present().is_err(), "{raw:#x}");
        }
        let entry = BatEntry::payload(PayloadState::PartiallyPresent, 7 * MIB);
        assert_eq!(
            entry.payload_state().unwrap(),
            PayloadState::PartiallyPresent
        );
        assert_eq!(entry.offset(), 7 * MIB);
    }

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        /// Every block has an entry of its own within the table, and `slot` finds back from it.
        #[test]
        fn entries_and_blocks_correspond(
            sectors in 1..=(MAX_DISK_LEN / 4096),
            block_shift in 0..=8u32,
            large_sector: bool,
            differencing: bool,
            pick: prop::sample::Index,
        ) {
            let sector = if large_sector { 4096 } else { 512 };
            let g = geometry(sectors * 4096, 1 << block_shift, sector, differencing);
            let block = pick.index(g.payload_blocks() as usize) as u64;
            let index = g.payload_index(block);
            prop_assert!(index < g.entries());
            prop_assert_eq!(g.slot(index), Slot::Payload(block));
            let chunk = block / g.chunk_ratio();
            prop_assert_eq!(g.slot(g.bitmap_index(chunk)), Slot::Bitmap(chunk));
            prop_assert_eq!(g.bitmap_index(chunk) < g.entries(),
                differencing || chunk + 1 < g.bitmap_blocks());
        }
    }
}
