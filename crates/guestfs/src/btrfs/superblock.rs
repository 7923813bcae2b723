//! The superblock and its copies.
//!
//! A commit writes all copies; the record of an fsync goes to the first one alone. So the newest whole copy
//! counts, and the first of those that are equally new. Copies of another file system, which was there
//! before, do not count beside a whole first one.

use disk::BlockRead;

use super::chunk::Chunk;
use super::raw::Raw;
use super::sums::Sum;
use super::tree::{Key, Tree};
use crate::error::{Error, Result};

/// Where the copies are.
const PLACES: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];
const LEN: usize = 4096;
const MAGIC: &[u8] = b"_BHRfS_M";

/// Features that one must know, by their bits, and whether they are read here.
const FEATURES: [(u64, &str, bool); 17] = [
    (1 << 0, "MIXED_BACKREF", true),
    (1 << 1, "DEFAULT_SUBVOL", true),
    (1 << 2, "MIXED_GROUPS", true),
    (1 << 3, "COMPRESS_LZO", true),
    (1 << 4, "COMPRESS_ZSTD", true),
    (1 << 5, "BIG_METADATA", true),
    (1 << 6, "EXTENDED_IREF", true),
    (1 << 7, "RAID56", true),
    (1 << 8, "SKINNY_METADATA", true),
    (1 << 9, "NO_HOLES", true),
    (1 << 10, "METADATA_UUID", true),
    (1 << 11, "RAID1C34", true),
    (1 << 12, "ZONED", false),
    (1 << 13, "EXTENT_TREE_V2", false),
    (1 << 14, "RAID_STRIPE_TREE", false),
    (1 << 16, "SIMPLE_QUOTA", true),
    (1 << 17, "REMAP_TREE", false),
];
const METADATA_UUID: u64 = 1 << 10;

/// What the superblock tells.
pub(super) struct Superblock {
    pub(super) sum: Sum,
    /// By what people know the file system.
    pub(super) fsid: [u8; 16],
    /// What its tree blocks bear.
    pub(super) block_fsid: [u8; 16],
    pub(super) label: String,
    pub(super) sector: u32,
    pub(super) node: u32,
    pub(super) roots: Tree,
    pub(super) chunks: Tree,
    /// Whether there is a log of fsyncs.
    pub(super) log: bool,
    pub(super) devices: u64,
    /// The number of this device.
    pub(super) device: u64,
    /// Bytes that it takes of this device.
    pub(super) device_len: u64,
    /// Chunks of the tree of chunks.
    pub(super) system: Vec<Chunk>,
    /// What is odd about the copies.
    pub(super) oddities: Vec<String>,
}

/// Reads the copies, and takes the best one.
pub(super) fn read(device: &dyn BlockRead) -> Result<Superblock> {
    let mut best: Option<(u64, Superblock)> = None;
    let mut failed = None;
    let mut oddities = Vec::new();
    let mut bytes = vec![0; LEN];
    for (number, place) in PLACES.into_iter().enumerate() {
        if place + LEN as u64 > device.len() {
            continue;
        }
        device.read_at(place, &mut bytes)?;
        let raw = Raw::new("superblock", &bytes);
        match checked(&raw, place) {
            Ok(generation) => {
                let parsed = parse(&raw);
                let (better, same) = match (&best, &parsed) {
                    (Some((old, best)), Ok(new)) => (generation > *old, best.fsid == new.fsid),
                    (Some(_), Err(_)) => (false, true),
                    (None, _) => (true, true),
                };
                if !same {
                    oddities.push(format!(
                        "the superblock at {place} is another file system's"
                    ));
                } else if better {
                    best = Some((generation, parsed?));
                }
            }
            Err(error) if number == 0 => failed = Some(error),
            Err(Error::NotThis(_)) => {}
            Err(error) => oddities.push(error.to_string()),
        }
    }
    let Some((_, mut best)) = best else {
        return Err(failed.unwrap_or(Error::NotThis("btrfs")));
    };
    if let Some(error) = failed {
        oddities.insert(0, format!("{error}: a copy is used"));
    }
    best.oddities = oddities;
    Ok(best)
}

/// The generation of a copy that is whole.
fn checked(raw: &Raw<'_>, place: u64) -> Result<u64> {
    if raw.part(64, 8)? != MAGIC {
        return Err(Error::NotThis("btrfs"));
    }
    let sum = Sum::of_number(raw.le16(0xc4)?)?;
    if !sum.fits(raw.part(32, LEN - 32)?, raw.part(0, 32)?) {
        return Err(raw.damaged(format!("the checksum at {place} does not fit")));
    }
    let told = raw.le64(48)?;
    if told != place {
        return Err(raw.damaged(format!("the one at {place} says that it is at {told}")));
    }
    raw.le64(72)
}

fn parse(raw: &Raw<'_>) -> Result<Superblock> {
    let features = raw.le64(0xbc)?;
    refuse_unknown(features)?;
    let sector = raw.le32(0x90)?;
    let node = raw.le32(0x94)?;
    for (what, size, least) in [("sectors", sector, 512), ("nodes", node, sector)] {
        if !size.is_power_of_two() || size < least || !(512..=65536).contains(&size) {
            return Err(raw.damaged(format!("{what} of {size} bytes")));
        }
    }
    if node < 4096 {
        return Err(raw.damaged(format!("nodes of {node} bytes")));
    }
    let fsid = raw.array(0x20)?;
    let label = raw.part(0x12b, 256)?;
    let label = label.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Superblock {
        sum: Sum::of_number(raw.le16(0xc4)?)?,
        fsid,
        block_fsid: match features & METADATA_UUID {
            0 => fsid,
            _ => raw.array(0x23b)?,
        },
        label: String::from_utf8_lossy(label).into_owned(),
        sector,
        node,
        roots: Tree {
            id: Tree::ROOTS,
            at: raw.le64(0x50)?,
            generation: raw.le64(0x48)?,
            level: raw.byte(0xc6)?,
        },
        chunks: Tree {
            id: Tree::CHUNKS,
            at: raw.le64(0x58)?,
            generation: raw.le64(0xa4)?,
            level: raw.byte(0xc7)?,
        },
        log: raw.le64(0x60)? != 0,
        devices: raw.le64(0x88)?,
        device: raw.le64(0xc9)?,
        device_len: raw.le64(0xd1)?,
        system: system_chunks(raw)?,
        oddities: Vec::new(),
    })
}

fn refuse_unknown(features: u64) -> Result<()> {
    let mut rest = features;
    let mut unread = Vec::new();
    for (bit, name, read) in FEATURES {
        if features & bit != 0 && !read {
            unread.push(name.to_owned());
        }
        rest &= !bit;
    }
    if rest != 0 {
        unread.push(format!("unknown ones ({rest:#x})"));
    }
    match unread.is_empty() {
        true => Ok(()),
        false => {
            let why = format!("btrfs with the features {}", unread.join(", "));
            Err(Error::Unsupported(why))
        }
    }
}

/// Chunks that are told in the superblock itself, so that the tree of chunks can be found.
fn system_chunks(raw: &Raw<'_>) -> Result<Vec<Chunk>> {
    let len = raw.le32(0xa0)? as usize;
    if len > 2048 {
        return Err(raw.damaged(format!(
            "{len} bytes of system chunks, and there is room for 2048"
        )));
    }
    let mut rest = raw.part(0x32b, len)?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let key = Key::parse(&Raw::new("system chunk", rest), 0)?;
        let item = rest.get(Key::LEN..).unwrap_or_default();
        let (chunk, len) = Chunk::parse(key, item)?;
        rest = item.get(len..).unwrap_or_default();
        chunks.push(chunk);
    }
    Ok(chunks)
}
