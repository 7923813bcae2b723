//! The database of a group: its header, and records that are put together out of blocks.

use std::collections::BTreeMap;

use super::head::{be, text};
use super::record::{Component, Disk, Object, Part, Volume};
use crate::error::{Error, Result};

/// Bytes of a block before its part of a record.
const HEAD: usize = 16;
/// Blocks that a record may have: two are enough for all that Windows writes.
const MOST_PIECES: usize = 16;

/// What a database tells, by the ids of its objects.
#[derive(Default)]
pub(super) struct Database {
    /// The name of the group.
    pub(super) group: String,
    /// By what it is known.
    pub(super) group_id: String,
    /// The number of the last change to it.
    pub(super) sequence: u64,
    pub(super) disks: BTreeMap<u64, Disk>,
    pub(super) volumes: BTreeMap<u64, Volume>,
    pub(super) components: BTreeMap<u64, Component>,
    pub(super) parts: Vec<Part>,
    pub(super) notes: Vec<String>,
}

fn bad(why: impl Into<String>) -> Error {
    Error::damaged("dynamic disk's database", why)
}

impl Database {
    /// Reads all of it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(b"VMDB") {
            return Err(bad("it does not begin with its own name"));
        }
        let version = (be(bytes, 0x12, 2), be(bytes, 0x14, 2));
        if version.0 != 4 {
            let why = format!("a dynamic disk's database {}.{}", version.0, version.1);
            return Err(Error::Unsupported(why));
        }
        let mut database = Self {
            group: text(bytes, 0x16, 31),
            group_id: text(bytes, 0x35, 64),
            sequence: be(bytes, 0x75, 8),
            ..Self::default()
        };
        if be(bytes, 0x10, 2) != 1 || be(bytes, 0x7d, 8) != database.sequence {
            let note = "its database was being changed: only what was committed is taken";
            database.notes.push(note.to_owned());
        }
        for record in records(bytes)? {
            match Object::parse(&record)? {
                Some(Object::Disk(id, disk)) => once(&mut database.disks, id, disk)?,
                Some(Object::Volume(id, one)) => once(&mut database.volumes, id, one)?,
                Some(Object::Component(id, one)) => once(&mut database.components, id, one)?,
                Some(Object::Part(part)) => database.parts.push(part),
                None => {}
            }
        }
        let counts = [
            ("volumes", 0x85, database.volumes.len()),
            ("components", 0x89, database.components.len()),
            ("parts", 0x8d, database.parts.len()),
            ("disks", 0x91, database.disks.len()),
        ];
        for (what, at, are) in counts {
            let should = be(bytes, at, 4);
            if should != are as u64 {
                return Err(bad(format!("it has {are} {what}, and says {should}")));
            }
        }
        Ok(database)
    }
}

fn once<T>(map: &mut BTreeMap<u64, T>, id: u64, object: T) -> Result<()> {
    match map.insert(id, object) {
        None => Ok(()),
        Some(_) => Err(bad(format!("two objects have the id {id}"))),
    }
}

/// Records, each put together out of its blocks wherever they lie.
fn records(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let size = usize::try_from(be(bytes, 8, 4)).unwrap_or(usize::MAX);
    let first = usize::try_from(be(bytes, 12, 4)).unwrap_or(usize::MAX);
    if !(64..=4096).contains(&size) || first < 0xc5 {
        return Err(bad(format!("blocks of {size} bytes from byte {first} on")));
    }
    let mut groups: BTreeMap<u64, Vec<Option<&[u8]>>> = BTreeMap::new();
    let blocks = bytes.get(first..).unwrap_or_default().chunks_exact(size);
    for block in blocks.filter(|block| block.starts_with(b"VBLK")) {
        let (group, number, of) = (be(block, 8, 4), be(block, 12, 2), be(block, 14, 2));
        // One that is not in use.
        if of == 0 {
            continue;
        }
        let (number, of) = (number as usize, of as usize);
        if number >= of || of > MOST_PIECES {
            return Err(bad(format!("block {number} of {of} of record {group}")));
        }
        let pieces = groups.entry(group).or_insert_with(|| vec![None; of]);
        let count = pieces.len();
        match pieces.get_mut(number) {
            Some(piece @ None) if count == of => *piece = block.get(HEAD..),
            _ => {
                return Err(bad(format!(
                    "two blocks are block {number} of record {group}"
                )));
            }
        }
    }
    let whole = |(group, pieces): (u64, Vec<Option<&[u8]>>)| {
        let pieces: Option<Vec<&[u8]>> = pieces.into_iter().collect();
        let pieces = pieces.ok_or_else(|| bad(format!("a block of record {group} is missing")))?;
        Ok(pieces.concat())
    };
    groups.into_iter().map(whole).collect()
}
