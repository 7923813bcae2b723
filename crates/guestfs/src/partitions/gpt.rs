//! GUID partition tables.

use disk::{BlockRead, ByteRange};
use uuid::Uuid;

use super::{Kind, MOST, Oddity, Partition, Scheme, Table, le};

const MAGIC: &[u8] = b"EFI PART";
/// Of a header of the first version, and of its entries.
const HEADER: usize = 92;
const ENTRY: usize = 128;
/// The field of a header that holds its own checksum.
const OWN_CHECKSUM: std::ops::Range<usize> = 16..20;
/// Of all entries together.
const MOST_BYTES: u64 = 1 << 20;

/// A copy of the table whose checksums hold.
struct Copy {
    id: Uuid,
    entry: usize,
    entries: Vec<u8>,
}

/// Takes the partitions in, if there is a whole copy of the table.
pub(super) fn read(disk: &dyn BlockRead, table: &mut Table) -> disk::Result<bool> {
    let own = disk.geometry().logical_sector;
    let other = if own == 512 { 4096 } else { 512 };
    for sector in [own, other] {
        let last = disk.geometry().len / u64::from(sector);
        let first = copy(disk, sector, 1)?;
        let second = match last.checked_sub(1) {
            Some(last) if last > 1 => copy(disk, sector, last)?,
            _ => None,
        };
        let lost = match (&first, &second) {
            (None, _) => Some(Oddity::FirstCopyLost),
            (_, None) => Some(Oddity::LastCopyLost),
            _ => None,
        };
        let Some(copy) = first.or(second) else {
            continue;
        };
        table.oddities.extend(lost);
        if sector != own {
            table.oddities.insert(Oddity::OtherSectors);
        }
        let id = copy.id;
        table.scheme = Scheme::Gpt { id, sector };
        copy.partitions(disk, sector, table);
        return Ok(true);
    }
    Ok(false)
}

/// The copy whose header is in a sector, if its checksums hold.
fn copy(disk: &dyn BlockRead, sector: u32, at: u64) -> disk::Result<Option<Copy>> {
    let (len, sector) = (disk.geometry().len, u64::from(sector));
    let place = at.saturating_mul(sector);
    if place.saturating_add(sector) > len {
        return Ok(None);
    }
    let mut header = vec![0; usize::try_from(sector).unwrap_or(HEADER)];
    disk.read_at(place, &mut header)?;
    let size = usize::try_from(le(&header, 12, 4)).unwrap_or(usize::MAX);
    let (count, entry) = (le(&header, 80, 4), le(&header, 84, 4));
    let bytes = count.saturating_mul(entry);
    let begin = le(&header, 72, 8).saturating_mul(sector);
    let is_whole = header.starts_with(MAGIC)
        && size >= HEADER
        && le(&header, 24, 8) == at
        && entry >= ENTRY as u64
        && bytes <= MOST_BYTES
        && begin.checked_add(bytes).is_some_and(|end| end <= len);
    let sum = le(&header, OWN_CHECKSUM.start, 4);
    let Some(header) = header.get_mut(..size).filter(|_| is_whole) else {
        return Ok(None);
    };
    header.get_mut(OWN_CHECKSUM).unwrap_or_default().fill(0);
    if u64::from(crc32fast::hash(header)) != sum {
        return Ok(None);
    }
    let mut entries = vec![0; usize::try_from(bytes).unwrap_or_default()];
    disk.read_at(begin, &mut entries)?;
    if u64::from(crc32fast::hash(&entries)) != le(header, 88, 4) {
        return Ok(None);
    }
    Ok(Some(Copy {
        id: guid(header, 56),
        entry: usize::try_from(entry).unwrap_or(ENTRY),
        entries,
    }))
}

impl Copy {
    fn partitions(&self, disk: &dyn BlockRead, sector: u32, table: &mut Table) {
        let sector = u64::from(sector);
        let all = self.entries.chunks_exact(self.entry);
        for (number, entry) in (1_u32..).zip(all) {
            let kind = guid(entry, 0);
            let (first, last) = (le(entry, 32, 8), le(entry, 40, 8));
            if kind.is_nil() || last < first {
                continue;
            }
            if table.partitions.len() >= MOST {
                table.oddities.insert(Oddity::TooMany);
                break;
            }
            let start = first.saturating_mul(sector);
            let end = last.saturating_add(1).saturating_mul(sector);
            let name = entry.get(56..ENTRY).unwrap_or_default();
            let units = name.chunks_exact(2).map(|unit| le(unit, 0, 2) as u16);
            let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
            let partition = Partition {
                number,
                range: ByteRange { start, end },
                kind: Kind::Gpt(kind),
                id: Some(guid(entry, 16)),
                name: String::from_utf16_lossy(&units),
            };
            table.push(disk.geometry().len, partition);
        }
    }
}

/// A GUID as Windows writes it.
fn guid(bytes: &[u8], at: usize) -> Uuid {
    let field = bytes.get(at..at.saturating_add(16));
    field.map_or(Uuid::nil(), |field| {
        Uuid::from_slice_le(field).unwrap_or_default()
    })
}
