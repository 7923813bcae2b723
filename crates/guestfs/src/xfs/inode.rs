//! An inode: what is told of a file, and the two forks in which it keeps contents and attributes.

use super::block::Block;
use super::fork::{Fork, Format};
use super::superblock::Super;
use crate::error::{Error, Result};
use crate::node::{Kind, Node, NodeId, Obstacle, Owner, Time, Times};

/// Bytes before the forks, without and with what version 3 has.
const CORE: usize = 100;
const CORE_3: usize = 176;

const REALTIME: u16 = 1;
const BIG_TIME: u64 = 1 << 3;
const BIG_COUNTS: u64 = 1 << 4;

/// An inode that is in use.
pub(super) struct Inode {
    pub(super) node: Node,
    /// Bytes, of whatever it is.
    pub(super) size: u64,
    /// Contents, or names, or where a link leads.
    pub(super) data: Fork,
    /// Extended attributes.
    pub(super) attributes: Option<Fork>,
}

impl Inode {
    /// Reads an inode. `swapped` says that blocks of its forks may still name another owner.
    pub(super) fn of(sb: &Super, number: u64, block: &Block, swapped: bool) -> Result<Self> {
        if block.slice(0, 2)? != b"IN" {
            return Err(block.damaged("it does not begin with IN"));
        }
        let version = block.byte(4)?;
        if !(1..=3).contains(&version) || (version == 3) != sb.sums {
            return Err(block.damaged(format!("its version is {version}")));
        }
        let mode = block.be16(2)?;
        let mut flags2 = 0;
        if sb.sums {
            block.check_sum(100)?;
            let said = block.be64(152)?;
            if said != number {
                return Err(block.damaged(format!("it says that it is inode {said}")));
            }
            if block.slice(160, 16)? != sb.meta_uuid {
                return Err(block.damaged("it is of another file system"));
            }
            flags2 = block.be64(120)?;
        }
        if mode == 0 {
            return Err(Error::NotFound(format!("inode {number}")));
        }
        let core = if version == 3 { CORE_3 } else { CORE };
        let offset = usize::from(block.byte(82)?) * 8;
        let end = block.len();
        let split = if offset == 0 { end } else { core + offset };
        if split > end {
            return Err(block.damaged(format!("its attributes begin at byte {split} of {end}")));
        }
        let (extents, attribute_extents) = match flags2 & BIG_COUNTS {
            0 => (block.be32(76)?.into(), block.be16(80)?.into()),
            _ => (block.be64(24)?, block.be32(76)?.into()),
        };
        let fork = |format: u8, start: usize, end: usize, extents: u64| -> Result<Fork> {
            let bytes = block.slice(start, end - start)?.to_vec();
            let format = Format::of(format)
                .ok_or_else(|| block.damaged(format!("the format of a fork is {format}")))?;
            Ok(Fork::new(
                number,
                format,
                bytes,
                extents,
                swapped,
                start == core,
            ))
        };
        let data = fork(block.byte(5)?, core, split, extents)?;
        let attributes = match split < end {
            true => Some(fork(block.byte(83)?, split, end, attribute_extents)?),
            false => None,
        };
        let size = block.be64(56)?;
        if size > i64::MAX as u64 {
            return Err(block.damaged(format!("its size is {size}")));
        }
        let kind = kind(mode, &data).ok_or_else(|| {
            block.damaged(format!("its mode is {mode:o}, which is no kind of file"))
        })?;
        let is_file = kind == Kind::File;
        let elsewhere = is_file && size > 0 && extents > 0 && block.be16(90)? & REALTIME != 0;
        let time =
            |at| -> Result<Option<Time>> { time(block, at, flags2 & BIG_TIME != 0).map(Some) };
        let links = match version {
            1 => block.be16(6)?.into(),
            _ => block.be32(16)?,
        };
        let node = Node {
            id: NodeId(number),
            kind,
            len: if is_file { size } else { 0 },
            // Folders count those below them that lead up again.
            links: if kind == Kind::Folder { 1 } else { links },
            owner: Some(Owner {
                uid: block.be32(8)?,
                gid: block.be32(12)?,
                mode: mode & 0o7777,
            }),
            times: Times {
                modified: time(40)?,
                accessed: time(32)?,
                created: if version == 3 { time(144)? } else { None },
                changed: time(48)?,
            },
            attributes: None,
            obstacle: elsewhere
                .then(|| Obstacle::Elsewhere("on the file system's realtime device".into())),
        };
        Ok(Self {
            node,
            size,
            data,
            attributes,
        })
    }
}

fn kind(mode: u16, data: &Fork) -> Option<Kind> {
    let device = |block| {
        let number = data.device()?;
        Some(Kind::Device {
            block,
            major: number >> 18,
            minor: number & 0x3_ffff,
        })
    };
    match mode >> 12 {
        0x1 => Some(Kind::Fifo),
        0x2 => device(false),
        0x4 => Some(Kind::Folder),
        0x6 => device(true),
        0x8 => Some(Kind::File),
        0xa => Some(Kind::Link),
        0xc => Some(Kind::Socket),
        _ => None,
    }
}

/// Seconds and nanoseconds; or large, nanoseconds since the first second that 32 bits had.
fn time(block: &Block, at: usize, big: bool) -> Result<Time> {
    if big {
        let nanos = block.be64(at)?;
        return Ok(Time {
            seconds: (nanos / 1_000_000_000) as i64 - (1 << 31),
            nanos: (nanos % 1_000_000_000) as u32,
        });
    }
    let nanos = block.be32(at + 4)?;
    if nanos >= 1_000_000_000 {
        return Err(block.damaged(format!("a time of it has {nanos} nanoseconds")));
    }
    let seconds = i64::from(block.be32(at)? as i32);
    Ok(Time { seconds, nanos })
}
