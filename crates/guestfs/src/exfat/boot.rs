//! The boot region of exFAT: where everything lies.

use disk::BlockRead;

use crate::clusters::{Shape, Width};
use crate::error::{Error, Result};
use crate::partitions::le;

/// Sectors that the checksum is of; it fills the next one.
const SUMMED: usize = 11;
/// Sectors of a boot region; behind the first one is its copy.
const REGION: u64 = 12;

/// The volume as its boot sector tells it.
pub(super) struct Boot {
    pub(super) shape: Shape,
    pub(super) root: u32,
    pub(super) len: u64,
    pub(super) serial: u32,
    /// It was in use.
    pub(super) is_dirty: bool,
    /// Reads or writes have failed.
    pub(super) has_failed: bool,
    /// The first boot region is damaged, and this is its copy.
    pub(super) is_copy: bool,
}

impl Boot {
    pub(super) fn read(device: &dyn BlockRead) -> Result<Self> {
        let first = Self::region(device, 0, None);
        if !matches!(first, Err(Error::NotThis(_) | Error::Damaged { .. })) {
            return first;
        }
        // The copy is behind twelve sectors of a size that only it tells.
        for shift in 9..=12 {
            if let Ok(boot) = Self::region(device, REGION << shift, Some(shift)) {
                return Ok(Self {
                    is_copy: true,
                    ..boot
                });
            }
        }
        first
    }

    fn region(device: &dyn BlockRead, place: u64, wanted: Option<u64>) -> Result<Self> {
        let mut sector = [0; 512];
        if device.len() < place.saturating_add(512) {
            return Err(Error::NotThis("exFAT"));
        }
        device.read_at(place, &mut sector)?;
        let field = |at, len| le(&sector, at, len);
        let is_zero = sector.iter().take(64).skip(11).all(|byte| *byte == 0);
        if !sector
            .get(3..)
            .is_some_and(|rest| rest.starts_with(b"EXFAT   "))
            || !is_zero
        {
            return Err(Error::NotThis("exFAT"));
        }
        let damaged = |why: String| Err(Error::damaged("boot sector", why));
        let (shift, per_cluster) = (field(108, 1), field(109, 1));
        if !(9..=12).contains(&shift) || per_cluster > 25 - shift {
            return damaged(format!(
                "sectors of 2^{shift} bytes, clusters of 2^{per_cluster} sectors"
            ));
        }
        if wanted.is_some_and(|wanted| wanted != shift) {
            return Err(Error::NotThis("exFAT"));
        }
        if device.len() < place.saturating_add(REGION << shift) {
            return damaged("the volume ends within its boot region".to_owned());
        }
        let mut region = vec![0; (REGION << shift) as usize];
        device.read_at(place, &mut region)?;
        let (summed, sums) = region.split_at(SUMMED << shift);
        let sum = checksum(summed);
        if sums
            .as_chunks::<4>()
            .0
            .iter()
            .any(|field| u32::from_le_bytes(*field) != sum)
        {
            return damaged(format!("the checksum of its region is not {sum:#010x}"));
        }
        let version = field(104, 2);
        if version >> 8 != 1 {
            return Err(Error::Unsupported(format!(
                "exFAT of version {version:#06x}"
            )));
        }
        let (flags, copies) = (field(106, 2), field(110, 1));
        let bytes = |sectors: u64| sectors.checked_shl(shift as u32).unwrap_or(u64::MAX);
        let (sectors, count) = (field(72, 8), field(92, 4));
        let (table, table_len, heap) = (field(80, 4), field(84, 4), field(88, 4));
        let is_placed = table >= 2 * REGION
            && (1..=2).contains(&copies)
            && heap >= table + table_len * copies
            && Width::ExFat.entries(bytes(table_len)) >= count + 2
            && sectors < 1 << (62 - shift)
            && heap + (count << per_cluster) <= sectors
            && (1..=0xffff_fff5).contains(&count);
        if !is_placed {
            return damaged("its parts do not fit into one another".to_owned());
        }
        let active = if copies == 2 { flags & 1 } else { 0 };
        Ok(Self {
            shape: Shape {
                width: Width::ExFat,
                table: bytes(table + active * table_len),
                other: None,
                heap: bytes(heap),
                size: 1 << (shift + per_cluster),
                count: count as u32,
            },
            root: field(96, 4) as u32,
            len: bytes(sectors),
            serial: field(100, 4) as u32,
            is_dirty: flags & 2 != 0,
            has_failed: flags & 4 != 0,
            is_copy: false,
        })
    }
}

/// Of the first sectors of a boot region, without what changes in use.
fn checksum(bytes: &[u8]) -> u32 {
    let summed = bytes
        .iter()
        .enumerate()
        .filter(|(at, _)| !matches!(at, 106 | 107 | 112));
    summed.fold(0_u32, |sum, (_, byte)| {
        sum.rotate_right(1).wrapping_add(u32::from(*byte))
    })
}
