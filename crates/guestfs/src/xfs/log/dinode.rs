//! An inode from its parts in the log, where its numbers are those of the guest's own processor.

use super::super::superblock::Super;
use super::changes::InodeChange;
use super::item;
use super::record::Reader;
use crate::error::{Error, Result};

/// Bytes of the core in the log: without what version 3 has, and with it.
const CORE: usize = 96;
const CORE_3: usize = 176;
/// Where the forks begin.
const FORKS: usize = 100;

const BIG_TIME: u64 = 1 << 3;
const BIG_COUNTS: u64 = 1 << 4;

/// Numbers of the core: where, and how many bytes. Single bytes, and the UUID, are as they are.
const NUMBERS: [(usize, usize); 16] = [
    (0, 2),
    (2, 2),
    (6, 2),
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 2),
    (22, 2),
    (56, 8),
    (64, 8),
    (72, 4),
    (76, 4),
    (84, 4),
    (88, 2),
    (90, 2),
    (92, 4),
];
const NUMBERS_3: [(usize, usize); 5] = [(104, 8), (112, 8), (120, 8), (128, 4), (152, 8)];
const TIMES: [usize; 3] = [32, 40, 48];
const MADE: usize = 144;

/// An inode that was just made, and is of nothing.
pub(super) fn new(sb: &Super, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    put(&mut bytes, 0, b"IN\0\0\x03");
    put(&mut bytes, 152, &number.to_be_bytes());
    put(&mut bytes, 160, &sb.meta_uuid);
    bytes
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    let end = (at + part.len()).min(bytes.len());
    if let Some(place) = bytes.get_mut(at..end) {
        let len = place.len();
        place.copy_from_slice(&part[..len]);
    }
}

fn swap(bytes: &mut [u8], at: usize, len: usize) {
    if let Some(number) = bytes.get_mut(at..at + len) {
        number.reverse();
    }
}

/// Puts the parts of an inode into what lies on the disk of it.
pub(super) fn apply(
    sb: &Super,
    reader: &Reader<'_>,
    change: &InodeChange,
    number: u64,
    bytes: &mut [u8],
) -> Result<()> {
    let damaged = |why: String| Error::damaged(format!("inode {number} in the log"), why);
    let mut core = change.core.read(reader)?;
    let want = if sb.sums { CORE_3 } else { CORE };
    if core.len() < want {
        return Err(damaged(format!("it has {} bytes", core.len())));
    }
    core.truncate(want);
    to_disk(&mut core);
    if sb.sums {
        // What is neither changed nor logged.
        put(&mut core, 160, &sb.meta_uuid);
    }
    put(bytes, 0, &core);
    let start = if sb.sums { CORE_3 } else { FORKS };
    let byte = |at: usize| usize::from(core.get(at).copied().unwrap_or(0));
    let split = match byte(82) {
        0 => bytes.len(),
        eights => (start + eights * 8).min(bytes.len()),
    };
    let (data, attributes) = bytes.split_at_mut(split);
    let data = data.get_mut(start..).unwrap_or_default();
    if let (0, Some(device)) = (byte(5), change.device) {
        put(data, 0, &device.to_be_bytes());
    }
    // A fork that has got another form since is not what it was.
    for (place, form, part, shift) in [
        (data, byte(5), &change.data, 0),
        (attributes, byte(83), &change.attributes, 5),
    ] {
        let Some((kind, region)) = part else {
            continue;
        };
        match (form, kind >> shift) {
            (1, item::LOCAL) | (2, item::LIST) => put(place, 0, &region.read(reader)?),
            (3, item::TREE) => root(sb, &region.read(reader)?, place)
                .ok_or_else(|| damaged("the root of its extents does not fit".into()))?,
            _ => {}
        }
    }
    Ok(())
}

fn to_disk(core: &mut [u8]) {
    let flags = core.get(120..128).and_then(|flags| flags.try_into().ok());
    let flags = flags.map_or(0, u64::from_le_bytes);
    for (at, len) in NUMBERS.iter().chain(&NUMBERS_3) {
        swap(core, *at, *len);
    }
    for at in TIMES.into_iter().chain([MADE]) {
        if flags & BIG_TIME != 0 {
            swap(core, at, 8);
        } else {
            swap(core, at, 4);
            swap(core, at + 4, 4);
        }
    }
    match flags & BIG_COUNTS {
        0 => swap(core, 30, 2),
        _ => swap(core, 24, 8),
    }
    swap(core, 80, 2);
}

/// The root of a tree of extents: in the log it has the header of a block, and room of its own for keys.
fn root(sb: &Super, logged: &[u8], place: &mut [u8]) -> Option<()> {
    let header = if sb.sums { 72 } else { 24 };
    let count = usize::from(u16::from_be_bytes(logged.get(6..8)?.try_into().ok()?));
    let had = logged.len().checked_sub(header)? / 16;
    let has = place.len().checked_sub(4)? / 16;
    if count > had || count > has {
        return None;
    }
    put(place, 0, logged.get(4..8)?);
    put(place, 4, logged.get(header..header + count * 8)?);
    let pointers = header + had * 8;
    put(
        place,
        4 + has * 8,
        logged.get(pointers..pointers + count * 8)?,
    );
    Some(())
}
