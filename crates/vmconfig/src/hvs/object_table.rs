//! The object tables: where key tables and blobs lie.

use std::collections::{BTreeSet, VecDeque};

use super::error::{Error, Result, Warning, Warnings};
use super::format::*;
use crate::io::{ReadAt, read_vec};

/// More object tables, and more places of key tables, are refused. A key table's index has 16 bits,
/// and there are two tables of one index at most, while one of them is replaced.
const MAX_TABLES: usize = 1 << 17;
/// Slots that are read at once.
const SLOTS: u32 = 1 << 16;

/// A key table's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Walks the chain of object tables and gives the key tables, each once, in the order met.
///
/// The chain is followed from any slot, not only the last: that is a superset of what writers
/// do. `budget` bounds the bytes of all object tables together.
pub(super) fn key_tables(
    file: &dyn ReadAt,
    alignment: u32,
    budget: u64,
    warnings: &mut Warnings,
) -> Result<Vec<Place>> {
    let file_len = file.len()?;
    let too_many = |what| Error::TooMany {
        what,
        limit: MAX_TABLES,
    };
    let mut seen = BTreeSet::from([FIRST_OBJECT_TABLE]);
    let mut queue = VecDeque::from([FIRST_OBJECT_TABLE]);
    let mut places = Vec::new();
    // An object table may list one key table a million times.
    let mut known = BTreeSet::new();
    let mut left = budget;
    while let Some(table) = queue.pop_front() {
        let out = |len| Error::OutOfBounds {
            what: "object table",
            offset: table,
            len,
            file_len,
        };
        if table
            .checked_add(OBJECT_TABLE_HEADER_LEN as u64)
            .is_none_or(|end| end > file_len)
        {
            return Err(out(OBJECT_TABLE_HEADER_LEN as u64));
        }
        let head = read_vec(file, table, OBJECT_TABLE_HEADER_LEN as u64)?;
        if u32_at(&head, 0) != Some(OBJECT_TABLE_SIGNATURE) {
            let why = "it lacks the signature";
            return Err(Error::Damaged {
                what: "object table",
                offset: table,
                why,
            });
        }
        let count = u32_at(&head, 4).unwrap_or_default();
        let len = OBJECT_TABLE_HEADER_LEN as u64 + u64::from(count) * OBJECT_ENTRY_LEN as u64;
        if table.checked_add(len).is_none_or(|end| end > file_len) {
            return Err(out(len));
        }
        left = left.checked_sub(len).ok_or(Error::TooLarge {
            what: "object tables",
            limit: budget,
        })?;
        // The count has no checksum, but a table is as full of slots as its aligned size allows.
        let rest = len.next_multiple_of(u64::from(alignment)) - len;
        if rest >= OBJECT_ENTRY_LEN as u64 {
            warnings.push(Warning::OddObjectTable(table));
        }
        for first in (0..count).step_by(SLOTS as usize) {
            let slots = u64::from(SLOTS.min(count - first)) * OBJECT_ENTRY_LEN as u64;
            let skipped = u64::from(first) * OBJECT_ENTRY_LEN as u64;
            let at = table + OBJECT_TABLE_HEADER_LEN as u64 + skipped;
            let bytes = read_vec(file, at, slots)?;
            for (index, slot) in (first..count).zip(bytes.chunks_exact(OBJECT_ENTRY_LEN)) {
                let Some((kind, place)) = entry(slot) else {
                    continue;
                };
                if kind == OBJECT_EMPTY && slot.iter().all(|&b| b == 0) {
                    continue;
                }
                if u32_at(slot, 1) != Some(crc_without(slot, 1)) {
                    warnings.push(Warning::ObjectChecksum { table, index });
                }
                match kind {
                    OBJECT_KEY_TABLE if !known.insert(place) => {}
                    OBJECT_KEY_TABLE if places.len() == MAX_TABLES => {
                        return Err(too_many("key tables"));
                    }
                    OBJECT_KEY_TABLE => places.push(place),
                    OBJECT_TABLE if !seen.insert(place.offset) => {
                        return Err(Error::ObjectTableCycle(place.offset));
                    }
                    OBJECT_TABLE if seen.len() > MAX_TABLES => {
                        return Err(too_many("object tables"));
                    }
                    OBJECT_TABLE => queue.push_back(place.offset),
                    OBJECT_EMPTY
                    | OBJECT_BLOB
                    | OBJECT_FREE
                    | OBJECT_REPLAY_LOG
                    | OBJECT_CHANGE_TRACKING => {}
                    kind => warnings.push(Warning::UnknownObject {
                        kind,
                        offset: place.offset,
                    }),
                }
            }
        }
    }
    Ok(places)
}

fn entry(slot: &[u8]) -> Option<(u8, Place)> {
    let place = Place {
        offset: u64_at(slot, 5)?,
        len: u32_at(slot, 13)?,
    };
    Some((*slot.first()?, place))
}

/// One slot. The last byte is 1 for everything in use: one known reader takes it for
/// *allocated*, another for *required*, and both are content with 1.
pub(super) fn encode_entry(kind: u8, offset: u64, len: u32) -> [u8; OBJECT_ENTRY_LEN] {
    let mut slot = [0; OBJECT_ENTRY_LEN];
    slot[0] = kind;
    slot[5..13].copy_from_slice(&offset.to_le_bytes());
    slot[13..17].copy_from_slice(&len.to_le_bytes());
    slot[17] = u8::from(kind != OBJECT_EMPTY);
    let crc = crc_without(&slot, 1);
    slot[1..5].copy_from_slice(&crc.to_le_bytes());
    slot
}
