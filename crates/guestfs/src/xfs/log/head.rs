//! Where a log ends, and from where on it is needed.
//!
//! The first sectors are of this round and the rest of the one before; where that changes is found by
//! halves. Records are written several at a time, so that close before that place one may be missing: the
//! log ends where the chain of whole records does.

use super::super::volume::Volume;
use super::record::{MAGIC, Record};
use super::ring::{Ring, SECTOR};
use crate::error::{Error, Result};

/// Sectors in which a record may be missing: 8 records of 256 KiB under way, and one before them.
const UNSURE: u32 = (9 * (256 << 10) + 4096) / SECTOR;
/// Records that are written at a time. With so many whole ones behind it, one is damaged and not missing.
const UNDER_WAY: u32 = 8;
/// The operation that ends a log when its file system is unmounted.
const UNMOUNT: u8 = 0x20;

/// What is at the end of a log.
pub(super) enum Head {
    /// The file system was unmounted, or never mounted: nothing is to be replayed.
    Closed,
    /// Records are to be replayed.
    Open {
        /// Cycle and sector of the first one.
        tail: u64,
        /// The sector behind the last one.
        end: u32,
        /// Whether records behind it are not whole, or one before them is missing.
        torn: bool,
    },
}

impl Head {
    pub(super) fn find(volume: &Volume, ring: Ring) -> Result<Self> {
        let round = |at: u32| -> Result<u32> {
            let mut words = [0; 8];
            ring.read(volume.cached(), at, 0, &mut words)?;
            let [a, b, c, d, e, f, g, h] = words;
            // The first word of a header is its magic.
            Ok(match u32::from_be_bytes([a, b, c, d]) {
                MAGIC => u32::from_be_bytes([e, f, g, h]),
                word => word,
            })
        };
        let first = round(0)?;
        if first == 0 {
            // Zeros, as an old mkfs.xfs or a repair leaves a log.
            return match round(ring.len - 1)? {
                0 => Ok(Self::Closed),
                _ => Err(Error::damaged("log", "it begins with zeros")),
            };
        }
        let change = match round(ring.len - 1)? == first {
            true => ring.len,
            false => {
                let (mut low, mut high) = (0, ring.len - 1);
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    match round(middle)? == first {
                        true => low = middle,
                        false => high = middle,
                    }
                }
                high
            }
        };
        let (last, end, torn) = last(volume, ring, change)?;
        let operations = last
            .operations(volume, ring)?
            .ok_or_else(|| last.broken())?;
        if !torn && last.operations == 1 && operations.byte(9)? & UNMOUNT != 0 {
            return Ok(Self::Closed);
        }
        let tail = last.tail;
        Ok(Self::Open { tail, end, torn })
    }
}

/// The last of the whole records before the place where rounds change, the sector behind it, and whether
/// others follow that are not whole.
fn last(volume: &Volume, ring: Ring, change: u32) -> Result<(Record, u32, bool)> {
    let window = UNSURE.min(ring.len / 2);
    let from = ring.after(change % ring.len, ring.len - window);
    let mut sectors = vec![0; (window * SECTOR) as usize];
    ring.read(volume.cached(), from, 0, &mut sectors)?;
    let mut found: Option<(Record, u32)> = None;
    let mut apart = 0;
    for (index, sector) in sectors.chunks(SECTOR as usize).enumerate() {
        let at = ring.after(from, index as u32);
        if !sector.starts_with(&MAGIC.to_be_bytes()) {
            continue;
        }
        let Some(record) = Record::parse(volume, at, sector.to_vec())? else {
            continue;
        };
        let whole = record.operations(volume, ring)?.is_some();
        let Some((before, end)) = found else {
            found = whole.then(|| (record, ring.after(at, record.sectors())));
            continue;
        };
        if whole && apart == 0 && end == at && record.cycle == expected(ring, &before) {
            found = Some((record, ring.after(at, record.sectors())));
            continue;
        }
        // What does not follow the last whole one was written while one before it was missing; or it is of
        // the round before.
        let wrapped = u32::from(at < before.at);
        if whole && record.cycle > before.cycle.wrapping_add(wrapped).wrapping_sub(1) {
            apart += 1;
        }
    }
    if apart >= UNDER_WAY {
        let why = format!("{apart} whole records follow one that is damaged");
        return Err(Error::damaged("log", why));
    }
    let mut torn = apart > 0;
    // Where the rounds change is known by halves alone: whole records may follow.
    let mut found =
        found.ok_or_else(|| Error::damaged("log", "no whole record is where it ends"))?;
    for _ in 0..UNSURE {
        let Some(next) = Record::header(volume, ring, found.1)? else {
            break;
        };
        let follows = next.cycle == expected(ring, &found.0);
        if !follows || next.operations(volume, ring)?.is_none() {
            torn |= follows;
            break;
        }
        found = (next, ring.after(next.at, next.sectors()));
    }
    Ok((found.0, found.1, torn))
}

/// The cycle of the record that follows.
pub(super) fn expected(ring: Ring, record: &Record) -> u32 {
    let wraps = u64::from(record.at) + u64::from(record.sectors()) >= ring.len.into();
    match record.cycle.wrapping_add(wraps.into()) {
        MAGIC => MAGIC + 1,
        cycle => cycle,
    }
}
