//! The dynamic header: the BAT's place, the block size, and the parent.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::vhd::{LocatorEntry, checksum, field};

/// Bytes in a dynamic header.
pub const HEADER_LEN: usize = 1024;

const COOKIE: &[u8; 8] = b"cxsparse";
const NAME: std::ops::Range<usize> = 64..576;

/// A dynamic header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicHeader {
    /// Where the BAT is.
    pub table_offset: u64,
    /// Number of BAT entries; at least the number of blocks.
    pub max_table_entries: u32,
    /// Bytes in a block, without its bitmap.
    pub block_size: u32,
    /// The parent's [`unique_id`](crate::vhd::Footer::unique_id); nil without a parent.
    pub parent_id: Uuid,
    /// The parent's time of change. Windows writes 0 and so do we.
    pub parent_timestamp: u32,
    /// The parent's file name or path.
    pub parent_name: String,
    /// Where the parent may be found.
    pub locators: [LocatorEntry; 8],
}

impl DynamicHeader {
    /// Decodes a dynamic header; the second value tells whether the checksum is right.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is none or has an impossible block size.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(Self, bool)> {
        let damaged = |why: String| Error::damaged("VHD dynamic header", why);
        if &field(bytes, 0) != COOKIE {
            return Err(damaged("it does not begin with \"cxsparse\"".into()));
        }
        let mut summed = *bytes;
        summed[36..40].fill(0);
        let sound = checksum(&summed) == u32::from_be_bytes(field(bytes, 36));

        let version = u32::from_be_bytes(field(bytes, 24));
        if version >> 16 != 1 {
            return Err(Error::Unsupported(format!(
                "VHD dynamic header version {version:#010x}"
            )));
        }
        let block_size = u32::from_be_bytes(field(bytes, 32));
        if !block_size.is_power_of_two() || !(4096..=1 << 30).contains(&block_size) {
            return Err(damaged(format!("block size {block_size}")));
        }
        let units: Vec<u16> = bytes[NAME]
            .chunks_exact(2)
            .map(|b| u16::from_be_bytes([b[0], b[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        let mut locators = [LocatorEntry::default(); 8];
        for (locator, entry) in locators
            .iter_mut()
            .zip(bytes[576..].chunks_exact(LocatorEntry::LEN))
        {
            *locator = LocatorEntry::decode(entry);
        }
        let header = Self {
            table_offset: u64::from_be_bytes(field(bytes, 16)),
            max_table_entries: u32::from_be_bytes(field(bytes, 28)),
            block_size,
            parent_id: Uuid::from_bytes(field(bytes, 40)),
            parent_timestamp: u32::from_be_bytes(field(bytes, 56)),
            parent_name: String::from_utf16_lossy(&units),
            locators,
        };
        Ok((header, sound))
    }

    /// Encodes the header with its checksum. A parent name longer than the field is cut at its
    /// beginning, because its end names the file.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(COOKIE);
        out[8..16].fill(0xFF);
        out[16..24].copy_from_slice(&self.table_offset.to_be_bytes());
        out[24..28].copy_from_slice(&0x0001_0000u32.to_be_bytes());
        out[28..32].copy_from_slice(&self.max_table_entries.to_be_bytes());
        out[32..36].copy_from_slice(&self.block_size.to_be_bytes());
        out[40..56].copy_from_slice(self.parent_id.as_bytes());
        out[56..60].copy_from_slice(&self.parent_timestamp.to_be_bytes());
        let units: Vec<u16> = self.parent_name.encode_utf16().collect();
        let skip = units.len().saturating_sub(NAME.len() / 2 - 1);
        for (slot, unit) in out[NAME].chunks_exact_mut(2).zip(&units[skip..]) {
            slot.copy_from_slice(&unit.to_be_bytes());
        }
        for (slot, locator) in out[576..768]
            .chunks_exact_mut(LocatorEntry::LEN)
            .zip(&self.locators)
        {
            slot.copy_from_slice(&locator.encode());
        }
        let sum = checksum(&out);
        out[36..40].copy_from_slice(&sum.to_be_bytes());
        out
    }
}
