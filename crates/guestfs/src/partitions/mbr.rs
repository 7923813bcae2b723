//! Tables in sector 0, and the chain of boot records behind an extended partition.

use std::collections::BTreeSet;

use disk::{BlockRead, ByteRange};

use super::{Kind, Oddity, Partition, Scheme, Table, le};

/// Of every boot record, whatever the sectors of the disk are.
const RECORD: usize = 512;
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
const PROTECTIVE: u8 = 0xee;
/// So many records are looked at in a chain, with a partition in them or none: each may lie anywhere.
const MOST_RECORDS: u32 = 128;

/// What sector 0 is.
pub(super) enum Found {
    /// A table with partitions, which have been taken in.
    Table,
    /// The boot sector of a file system that is the whole disk.
    FileSystem,
    /// It says that there is a GPT.
    Protective,
    /// Nothing that is known.
    Nothing,
}

/// An entry that is not empty.
#[derive(Clone, Copy)]
struct Entry {
    kind: u8,
    /// In sectors.
    start: u64,
    count: u64,
}

impl Entry {
    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

pub(super) fn read(disk: &dyn BlockRead, table: &mut Table) -> disk::Result<Found> {
    let Some(record) = record(disk, 0)? else {
        return Ok(Found::Nothing);
    };
    if is_file_system(&record) {
        return Ok(Found::FileSystem);
    }
    let Some(entries) = entries(&record) else {
        return Ok(Found::Nothing);
    };
    if entries
        .iter()
        .flatten()
        .any(|entry| entry.kind == PROTECTIVE)
    {
        return Ok(Found::Protective);
    }
    if entries.iter().flatten().next().is_none() {
        return Ok(Found::Nothing);
    }
    let signature = u32::try_from(le(&record, 440, 4)).unwrap_or_default();
    table.scheme = Scheme::Mbr { signature };
    for (number, entry) in (1..).zip(entries) {
        let Some(entry) = entry else { continue };
        match entry.is_extended() {
            true => logical(disk, table, entry)?,
            false => push(disk, table, number, 0, entry),
        }
    }
    table.partitions.sort_by_key(|one| one.number);
    Ok(Found::Table)
}

/// The logical partitions: each record has one, and where the next record is.
fn logical(disk: &dyn BlockRead, table: &mut Table, extended: Entry) -> disk::Result<()> {
    let sector = u64::from(disk.geometry().logical_sector);
    // Where this record is, in sectors behind the beginning of the extended partition.
    let (mut at, mut number) = (0_u64, 5_u32);
    let mut met = BTreeSet::from([at]);
    for _ in 0..MOST_RECORDS {
        let begin = extended.start.saturating_add(at);
        let record = record(disk, begin.saturating_mul(sector))?;
        let entries = record.and_then(|record| entries(&record));
        let Some([own, next, ..]) = entries else {
            table.oddities.insert(Oddity::BrokenChain);
            return Ok(());
        };
        if let Some(own) = own.filter(|own| !own.is_extended()) {
            push(disk, table, number, begin, own);
            number += 1;
        }
        match next.filter(|next| next.is_extended()) {
            None => return Ok(()),
            // One that was made anew in a gap comes last, wherever it is.
            Some(next) if !met.insert(next.start) => {
                table.oddities.insert(Oddity::BrokenChain);
                return Ok(());
            }
            Some(next) => at = next.start,
        }
    }
    table.oddities.insert(Oddity::TooMany);
    Ok(())
}

fn push(disk: &dyn BlockRead, table: &mut Table, number: u32, base: u64, entry: Entry) {
    let geometry = disk.geometry();
    let sector = u64::from(geometry.logical_sector);
    // Of 32-bit numbers of sectors neither sum nor product overflows.
    let start = base.saturating_add(entry.start).saturating_mul(sector);
    let end = start.saturating_add(entry.count.saturating_mul(sector));
    let partition = Partition {
        number,
        range: ByteRange { start, end },
        kind: Kind::Mbr(entry.kind),
        id: None,
        name: String::new(),
    };
    table.push(geometry.len, partition);
}

fn record(disk: &dyn BlockRead, offset: u64) -> disk::Result<Option<[u8; RECORD]>> {
    let end = offset.checked_add(RECORD as u64);
    if end.is_none_or(|end| end > disk.geometry().len) {
        return Ok(None);
    }
    let mut record = [0; RECORD];
    disk.read_at(offset, &mut record)?;
    Ok(Some(record))
}

/// The four entries of a record; `None` if it is no table.
fn entries(record: &[u8; RECORD]) -> Option<[Option<Entry>; 4]> {
    if !record.ends_with(&[0x55, 0xaa]) {
        return None;
    }
    let mut all = [None; 4];
    for (entry, bytes) in all.iter_mut().zip(record.get(ENTRIES..)?.chunks(ENTRY)) {
        let status = le(bytes, 0, 1);
        if status != 0 && status != 0x80 {
            return None;
        }
        let kind = u8::try_from(le(bytes, 4, 1)).unwrap_or_default();
        let (start, count) = (le(bytes, 8, 4), le(bytes, 12, 4));
        *entry = (kind != 0 && count != 0).then_some(Entry { kind, start, count });
    }
    Some(all)
}

/// Whether it is the boot sector of a file system, which ends like a table and has code where that has
/// its entries.
fn is_file_system(record: &[u8; RECORD]) -> bool {
    let has = |at: usize, name: &[u8]| record.get(at..).is_some_and(|rest| rest.starts_with(name));
    has(3, b"NTFS    ")
        || has(3, b"EXFAT   ")
        || has(3, b"ReFS")
        || has(54, b"FAT1")
        || has(82, b"FAT32   ")
}
