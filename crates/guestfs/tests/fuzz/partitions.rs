//! What holds for any bytes that are read as a disk with partitions.

use std::sync::atomic::{AtomicU64, Ordering};

use hyperkeep_disk::{BlockRead, ByteRange, Content, Extent, Geometry, Result};
use hyperkeep_guestfs::partitions::{MOST, Oddity, Scheme, Table};

/// Sector 0, 128 boot records, both copies of a GPT for both sizes of sectors.
const MOST_BYTES: u64 = 512 * 130 + 4 * (4096 + (1 << 20));

/// A disk in memory that counts what is read of it.
pub(crate) struct Metered<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) sector: u32,
    read: AtomicU64,
}

impl<'a> Metered<'a> {
    pub(crate) fn new(bytes: &'a [u8], sector: u32) -> Self {
        let read = AtomicU64::new(0);
        Self {
            bytes,
            sector,
            read,
        }
    }
}

impl BlockRead for Metered<'_> {
    fn geometry(&self) -> Geometry {
        Geometry {
            len: self.bytes.len() as u64,
            logical_sector: self.sector,
            physical_sector: 4096,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let start = usize::try_from(offset).expect("an offset on the disk");
        let part = self.bytes.get(start..start + buf.len());
        buf.copy_from_slice(part.expect("a range on the disk"));
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let content = Content::Data;
        Ok(vec![Extent { range, content }])
    }
}

/// Reads `data` as it is, and again with the checksums of both headers made right, without which
/// nothing behind them would be met; with sectors of either size.
///
/// # Panics
/// When more is read than tables have, or an answer has no ground in the bytes.
pub(crate) fn check(data: &[u8]) {
    for sector in [512, 4096] {
        check_one(data, sector);
        let mut mended = data.to_vec();
        let last = (data.len() / sector).saturating_sub(1) * sector;
        for at in [sector, last] {
            mend(&mut mended, at, sector);
        }
        check_one(&mended, sector);
    }
}

fn check_one(data: &[u8], sector: usize) {
    let disk = Metered::new(data, sector as u32);
    let table = Table::read(&disk).expect("memory can be read");
    let read = disk.read.load(Ordering::Relaxed);
    assert!(read <= MOST_BYTES, "{read} bytes were read");
    assert!(table.partitions.len() <= MOST);
    let mut before = 0;
    for partition in &table.partitions {
        assert!(partition.number > before, "{table:?}");
        before = partition.number;
        assert!(partition.range.start < partition.range.end, "{table:?}");
        assert!(partition.range.end <= data.len() as u64, "{table:?}");
    }
    let signed = data.get(510..512) == Some(&[0x55, 0xaa]);
    match table.scheme {
        Scheme::None => assert!(table.partitions.is_empty()),
        Scheme::Mbr { .. } => assert!(signed),
        Scheme::Gpt { sector, .. } => {
            let odd = sector as usize != disk.sector as usize;
            assert_eq!(table.oddities.contains(&Oddity::OtherSectors), odd);
            assert!(!table.oddities.contains(&Oddity::GptLost));
        }
    }
}

/// Makes the checksums of a copy of a GPT right, if there could be one.
fn mend(data: &mut [u8], at: usize, sector: usize) {
    let Some(header) = data.get(at..).filter(|rest| rest.starts_with(b"EFI PART")) else {
        return;
    };
    let number = |at: usize, len: usize| {
        let field = header.get(at..at + len).unwrap_or_default();
        let number = field.iter().rev();
        number.fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    let size = number(12, 4).min(sector as u64) as usize;
    let begin = number(72, 8).saturating_mul(sector as u64);
    let len = number(80, 4).saturating_mul(number(84, 4)).min(1 << 20);
    let end = begin.saturating_add(len);
    let entries = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
    if let Some(entries) = entries.and_then(|(begin, end)| data.get(begin..end)) {
        let sum = crc32(entries);
        if let Some(field) = data.get_mut(at + 88..at + 92) {
            field.copy_from_slice(&sum.to_le_bytes());
        }
    }
    if let Some(field) = data.get_mut(at + 16..at + 20) {
        field.fill(0);
    }
    if let Some(sum) = data.get(at..at + size).map(crc32)
        && let Some(field) = data.get_mut(at + 16..at + 20)
    {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |mut sum: u32, byte: &u8| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
        sum
    };
    !bytes.iter().fold(!0, step)
}
