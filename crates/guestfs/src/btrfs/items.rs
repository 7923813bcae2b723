//! What items tell: inodes, names, extents, roots.

use super::raw::Raw;
use super::tree::{Key, Tree};
use crate::error::Result;
use crate::node::{Kind, Time, Times};

/// Kinds of items.
pub(super) const INODE: u8 = 1;
pub(super) const XATTR: u8 = 24;
pub(super) const DIR_ITEM: u8 = 84;
pub(super) const DIR_INDEX: u8 = 96;
pub(super) const EXTENT: u8 = 108;
pub(super) const ROOT: u8 = 132;
pub(super) const ROOT_REF: u8 = 156;

/// An inode.
pub(super) struct Inode {
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    rdev: u64,
    flags: u64,
    pub(super) times: Times,
}

impl Inode {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let raw = Raw::new("inode", bytes);
        let time = |at| -> Result<Option<Time>> {
            let nanos = raw.le32(at + 8)?;
            if nanos >= 1_000_000_000 {
                return Err(raw.damaged(format!("a time with {nanos} nanoseconds")));
            }
            let seconds = raw.le64(at)? as i64;
            Ok(Some(Time { seconds, nanos }))
        };
        Ok(Self {
            size: raw.le64(16)?,
            links: raw.le32(40)?,
            uid: raw.le32(44)?,
            gid: raw.le32(48)?,
            mode: raw.le32(52)?,
            rdev: raw.le64(56)?,
            flags: raw.le64(64)?,
            times: Times {
                accessed: time(112)?,
                changed: time(124)?,
                modified: time(136)?,
                created: time(148)?,
            },
        })
    }

    /// Whether its data has checksums.
    pub(super) fn summed(&self) -> bool {
        self.flags & 1 == 0
    }

    pub(super) fn kind(&self) -> Kind {
        let device = |block| Kind::Device {
            block,
            major: (self.rdev >> 20) as u32,
            minor: (self.rdev & 0xf_ffff) as u32,
        };
        match self.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Link,
            0o020_000 => device(false),
            0o060_000 => device(true),
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            _ => Kind::Other,
        }
    }
}

/// A name in a folder, or an extended attribute.
pub(super) struct Named<'a> {
    /// The inode's or subvolume's key.
    pub(super) leads_to: Key,
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Named<'a> {
    /// All of an item; there are several where names have one hash.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let raw = Raw::new("folder entry", rest);
            let value_len = usize::from(raw.le16(25)?);
            let name_len = usize::from(raw.le16(27)?);
            all.push(Self {
                leads_to: Key::parse(&raw, 0)?,
                kind: raw.byte(29)?,
                name: raw.part(30, name_len)?,
                value: raw.part(30 + name_len, value_len)?,
            });
            rest = rest.get(30 + name_len + value_len..).unwrap_or_default();
        }
        Ok(all)
    }

    /// What it leads to, as far as the folder tells.
    pub(super) fn kind(&self) -> Option<Kind> {
        match self.kind {
            1 => Some(Kind::File),
            2 => Some(Kind::Folder),
            5 => Some(Kind::Fifo),
            6 => Some(Kind::Socket),
            7 => Some(Kind::Link),
            _ => None,
        }
    }
}

/// Where a range of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of the file that it is for.
    pub(super) len: u64,
    /// How it is compressed; 0 if not.
    pub(super) packing: u8,
    /// Bytes once unpacked.
    pub(super) unpacked: u64,
    pub(super) at: Place,
}

/// Where an extent's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the item, behind so many bytes.
    Inline(usize),
    /// Nowhere: they are zeros.
    Hole,
    /// In `len` bytes at an address; once unpacked, from `skip` on.
    Data { address: u64, len: u64, skip: u64 },
}

/// The most bytes of a compressed extent, before and after.
const MOST_PACKED: u64 = 128 << 10;

impl Extent {
    /// Of an item for a file from `key.offset` on; what it asks for and is not known, in words.
    pub(super) fn parse(key: Key, bytes: &[u8], sector: u32) -> Result<Result<Self, String>> {
        let raw = Raw::new("file extent", bytes);
        let bad =
            |why: String| Err(raw.damaged(format!("of inode {} at {}: {why}", key.id, key.offset)));
        let unpacked = raw.le64(8)?;
        let packing = raw.byte(16)?;
        let odd = match (packing, raw.byte(17)?, raw.le16(18)?, raw.byte(20)?) {
            (4.., ..) => format!("compressed by the unknown method {packing}"),
            (_, 1.., ..) | (_, _, 1.., _) => "encrypted or encoded".to_owned(),
            (.., 3..) => format!("an extent of the unknown kind {}", raw.byte(20)?),
            (.., 0) => {
                let most = u64::from(sector).max(bytes.len() as u64);
                if unpacked > most || packing == 0 && unpacked != bytes.len() as u64 - 21 {
                    return bad(format!("{unpacked} bytes in an item of {}", bytes.len()));
                }
                return Ok(Ok(Self {
                    len: unpacked,
                    packing,
                    unpacked,
                    at: Place::Inline(21),
                }));
            }
            (.., prealloc) => {
                let (address, stored) = (raw.le64(21)?, raw.le64(29)?);
                let (skip, len) = (raw.le64(37)?, raw.le64(45)?);
                if key.offset.checked_add(len).is_none() || len == 0 {
                    return bad(format!("{len} bytes"));
                }
                let at = if address == 0 || prealloc == 2 {
                    Place::Hole
                } else {
                    let whole = if packing == 0 { stored } else { unpacked };
                    if skip.checked_add(len).is_none_or(|end| end > whole)
                        || address.checked_add(stored).is_none()
                        || packing != 0 && stored.max(unpacked) > MOST_PACKED
                        || !address.is_multiple_of(u64::from(sector))
                    {
                        let why = format!(
                            "{len} bytes from {skip} of {stored} ({unpacked}) at {address}"
                        );
                        return bad(why);
                    }
                    Place::Data {
                        address,
                        len: stored,
                        skip,
                    }
                };
                return Ok(Ok(Self {
                    len,
                    packing,
                    unpacked,
                    at,
                }));
            }
        };
        Ok(Err(odd))
    }
}

/// A tree, as the tree of trees tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RootItem {
    pub(super) tree: Tree,
    /// The inode that is its root.
    pub(super) folder: u64,
    /// Whether it still is to be seen.
    pub(super) alive: bool,
}

impl RootItem {
    pub(super) fn parse(id: u64, bytes: &[u8]) -> Result<Self> {
        let raw = Raw::new("root item", bytes);
        Ok(Self {
            tree: Tree {
                id,
                at: raw.le64(176)?,
                generation: raw.le64(160)?,
                level: raw.byte(238)?,
            },
            folder: raw.le64(168)?,
            alive: raw.le32(216)? > 0,
        })
    }
}
