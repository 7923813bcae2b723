//! The replay log: changes that were promised but perhaps not yet made.
//!
//! A writer first stores the new contents of the places it will change in the log, then changes
//! them. A file copied from a running host may hold such changes; they are applied as an overlay
//! in memory, never to the file.
//!
//! The two public descriptions of an entry disagree on the order of its fields, and neither
//! source replays. Both orders are tried, and one counts only if the checksums of *all* entries
//! and their data match. Otherwise the file is read as it lies, with a warning.

use std::io;

use super::error::{Result, Warning, Warnings};
use super::format::*;
use super::header::Header;
use super::segments::Segments;
use crate::io::{ReadAt, read_vec};

/// More changes than this are not applied; a log of one page has 145.
const MAX_ENTRIES: u32 = 16_384;
/// A larger log is not read; one of one page is usual.
const MAX_LOG: u64 = 16 << 20;

/// A file with outstanding changes applied.
pub(super) struct Overlay<'a> {
    file: &'a dyn ReadAt,
    len: u64,
    changed: Segments,
}

impl ReadAt for Overlay<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset
            .checked_add(buf.len() as u64)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Changes may extend the file: what lies between is zero.
        let stored = self
            .file
            .len()?
            .saturating_sub(offset)
            .min(buf.len() as u64) as usize;
        let (below, above) = buf.split_at_mut(stored);
        self.file.read_exact_at(below, offset)?;
        above.fill(0);
        for (at, data) in self.changed.within(offset..end) {
            let from = offset.max(at);
            let to = end.min(at + data.len() as u64);
            let (from_buf, from_data) = ((from - offset) as usize, (from - at) as usize);
            let len = (to - from) as usize;
            buf[from_buf..from_buf + len].copy_from_slice(&data[from_data..from_data + len]);
        }
        Ok(())
    }
}

/// Reads the log and gives the file as it will be once the changes are made.
pub(super) fn overlay<'a>(
    file: &'a dyn ReadAt,
    header: &Header,
    warnings: &mut Warnings,
) -> Result<Overlay<'a>> {
    let file_len = file.len()?;
    let plain = Overlay {
        file,
        len: file_len,
        changed: Segments::default(),
    };
    let none = |why| Warning::NoReplayLog(why);
    let fits = header
        .log_offset
        .checked_add(header.log_size)
        .is_some_and(|end| end <= file_len);
    if !fits || header.log_size < REPLAY_HEADER_LEN as u64 {
        warnings.push(none("it lies outside the file"));
        return Ok(plain);
    }
    let head = read_vec(file, header.log_offset, REPLAY_HEADER_LEN as u64)?;
    if u32_at(&head, 0) != Some(REPLAY_LOG_SIGNATURE) {
        warnings.push(none("it lacks the signature"));
        return Ok(plain);
    }
    if u32_at(&head, 4) != Some(crc_without(&head, 4)) {
        warnings.push(none("its checksum is wrong"));
        return Ok(plain);
    }
    let entries = u32_at(&head, 8).unwrap_or_default();
    if entries == 0 {
        return Ok(plain);
    }
    match changes(file, header, entries)? {
        Ok(changed) => {
            warnings.push(Warning::Replayed(entries));
            let len = file_len.max(changed.end());
            Ok(Overlay { file, len, changed })
        }
        Err(why) => {
            warnings.push(Warning::ParsedWithoutReplay { entries, why });
            Ok(plain)
        }
    }
}

/// One change: copy `len` bytes from `source` in the log to `target` in the file.
struct Change {
    target: u64,
    len: u32,
    source: u64,
    data_crc: u32,
}

type Changes = std::result::Result<Segments, &'static str>;

fn changes(file: &dyn ReadAt, header: &Header, count: u32) -> Result<Changes> {
    if count > MAX_ENTRIES || header.log_size > MAX_LOG {
        return Ok(Err("the log is too large"));
    }
    let bytes = read_vec(file, header.log_offset, header.log_size)?;
    let entries = bytes
        .get(REPLAY_HEADER_LEN..)
        .and_then(|rest| rest.get(..count as usize * REPLAY_ENTRY_LEN));
    let Some(entries) = entries else {
        return Ok(Err("the log ends before its last entry"));
    };
    for order in [checksum_first, checksum_late] {
        let changes: Option<Vec<Change>> =
            entries.chunks_exact(REPLAY_ENTRY_LEN).map(order).collect();
        if let Some(changes) = changes {
            return Ok(apply(bytes, &changes, header, file.len()?));
        }
    }
    Ok(Err(
        "no known order of fields fits the checksums of its entries",
    ))
}

fn apply(log: Vec<u8>, changes: &[Change], header: &Header, file_len: u64) -> Changes {
    let mut left = log.len();
    let mut changed = Segments::of(log);
    for change in changes {
        let len = change.len as usize;
        left = left
            .checked_sub(len)
            .ok_or("its entries hold more than the log")?;
        let outside = "an entry's data lies outside the log";
        let part = usize::try_from(change.source)
            .ok()
            .and_then(|source| Some(source..source.checked_add(len)?))
            .ok_or(outside)?;
        let data = changed.log().get(part.clone()).ok_or(outside)?;
        if crc32fast::hash(data) != change.data_crc {
            return Err("the checksum of an entry's data does not match");
        }
        // A file grows by allocating at its end; nothing sane grows it by more than a log.
        let limit = file_len.saturating_add(header.log_size);
        let end = change.target.checked_add(len as u64);
        if end.is_none_or(|end| end > limit) || !changed.put(change.target, part) {
            return Err("an entry's target lies outside the file");
        }
    }
    Ok(changed)
}

/// The order told by openvmm: checksum, target, length, source, checksum of the data.
fn checksum_first(entry: &[u8]) -> Option<Change> {
    (u32_at(entry, 0)? == crc_without(entry, 0)).then_some(())?;
    Some(Change {
        target: u64_at(entry, 4)?,
        len: u32_at(entry, 12)?,
        source: u64_at(entry, 16)?,
        data_crc: u32_at(entry, 24)?,
    })
}

/// The order told by dissect.hypervisor: target, length, source (two unknown fields there),
/// checksum, checksum of the data.
fn checksum_late(entry: &[u8]) -> Option<Change> {
    (u32_at(entry, 20)? == crc_without(entry, 20)).then_some(())?;
    Some(Change {
        target: u64_at(entry, 0)?,
        len: u32_at(entry, 8)?,
        source: u64_at(entry, 12)?,
        data_crc: u32_at(entry, 24)?,
    })
}

/// A log of one page without outstanding changes. Windows' loader wants one in every file.
pub(super) fn empty_log() -> Vec<u8> {
    let mut page = vec![0; PAGE];
    let slots = ((PAGE - REPLAY_HEADER_LEN) / REPLAY_ENTRY_LEN) as u32;
    page[0..4].copy_from_slice(&REPLAY_LOG_SIGNATURE.to_le_bytes());
    page[13..17].copy_from_slice(&slots.to_le_bytes());
    let crc = crc_without(&page[..REPLAY_HEADER_LEN], 4);
    page[4..8].copy_from_slice(&crc.to_le_bytes());
    page
}
