//! The boot sector of FAT: where everything lies.

use disk::{BlockRead, ByteRange};

use crate::clusters::{Shape, Width};
use crate::error::{Error, Result};
use crate::partitions::le;

/// The volume as its boot sector tells it.
pub(super) struct Boot {
    pub(super) shape: Shape,
    /// Bytes of a table.
    pub(super) table_len: u64,
    /// Where the root folder lies, of FAT12 and FAT16.
    pub(super) root: ByteRange,
    /// Where it begins, of FAT32.
    pub(super) root_cluster: u32,
    /// Bytes of the volume.
    pub(super) len: u64,
    pub(super) serial: Option<u32>,
    pub(super) label: Vec<u8>,
    /// What an operating system notes here while it has the volume mounted.
    pub(super) is_dirty: bool,
}

impl Boot {
    pub(super) fn read(device: &dyn BlockRead) -> Result<Self> {
        let mut bytes = [0; 512];
        if device.len() < 512 {
            return Err(Error::NotThis("FAT"));
        }
        device.read_at(0, &mut bytes)?;
        let field = |at, len| le(&bytes, at, len);
        let (sector, per_cluster) = (field(11, 2), field(13, 1));
        let (reserved, copies, entries) = (field(14, 2), field(16, 1), field(17, 2));
        let is_fat = matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=4).contains(&copies);
        if !is_fat {
            return Err(Error::NotThis("FAT"));
        }
        let either = |short, long| match short {
            0 => long,
            short => short,
        };
        let sectors = either(field(19, 2), field(32, 4));
        // Windows and Linux both tell FAT32 by this, and not by its number of clusters.
        let is_32 = field(22, 2) == 0;
        let table_sectors = either(field(22, 2), field(36, 4));
        let root_sectors = (entries * 32).div_ceil(sector);
        let before = reserved + copies * table_sectors;
        let Some(data) = sectors.checked_sub(before + root_sectors) else {
            return Err(Error::damaged(
                "boot sector",
                format!("the volume has {sectors} sectors, and FAT and root folder need more"),
            ));
        };
        let clusters = data / per_cluster;
        let width = match clusters {
            _ if is_32 => Width::Fat32,
            ..4085 => Width::Fat12,
            _ => Width::Fat16,
        };
        let table_len = table_sectors * sector;
        // What the table has no entry for is not there.
        let count = clusters.min(width.entries(table_len).saturating_sub(2));
        let flags = field(40, 2);
        let (active, is_mirrored) = match is_32 && flags & 0x80 != 0 {
            true => (flags & 15, false),
            false => (0, true),
        };
        if count == 0 || count >= 0x0fff_fff5 || active >= copies {
            let why = format!("{count} clusters, and table {active} of {copies} in use");
            return Err(Error::damaged("boot sector", why));
        }
        let table = (reserved + active * table_sectors) * sector;
        let extended = if is_32 { 64 } else { 36 };
        let (signature, own) = (field(extended + 2, 1), field(extended + 3, 4));
        let label = bytes.get(extended + 7..extended + 18).unwrap_or_default();
        Ok(Self {
            shape: Shape {
                width,
                table,
                other: (is_mirrored && copies > 1).then_some(table + table_len),
                heap: (before + root_sectors) * sector,
                size: (per_cluster * sector) as u32,
                count: count as u32,
            },
            table_len,
            root: ByteRange::new(before * sector, (before + root_sectors) * sector),
            root_cluster: if is_32 { field(44, 4) as u32 } else { 0 },
            len: sectors * sector,
            serial: matches!(signature, 0x28 | 0x29).then_some(own as u32),
            label: match signature {
                0x29 => label.to_vec(),
                _ => Vec::new(),
            },
            is_dirty: field(extended + 1, 1) & 1 != 0,
        })
    }
}
