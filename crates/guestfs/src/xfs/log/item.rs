//! What an item of a transaction changes, by its first region. Its numbers are those of the guest's own
//! processor, but for new inodes.

use super::super::block::Block;
use crate::error::{Error, Result};

/// Of a buffer: the inodes of its block are not to be taken from it but for one field, which is of no use
/// for reading.
const OF_INODES: u16 = 1;
/// Of a buffer: its block was freed.
const CANCEL: u16 = 2;
/// Of a buffer: quotas.
const QUOTAS: u16 = 4 | 8 | 16;
/// Kinds of blocks that no reader of files needs: heads of AGs, free space of folders, of the realtime
/// device, quotas.
const UNUSED: [u16; 9] = [1, 2, 3, 5, 6, 7, 12, 19, 20];
/// Where the kind begins in a buffer's flags.
const KIND: u32 = 11;

/// The root of a B+tree, and the other forms that a fork has in the log.
pub(super) const LOCAL: u32 = 2;
pub(super) const LIST: u32 = 4;
pub(super) const TREE: u32 = 8;
pub(super) const DEVICE: u32 = 0x10;
pub(super) const CONTENTS: u32 = LOCAL | LIST | TREE;
pub(super) const ATTRIBUTES: u32 = 0x40 | 0x80 | 0x100;
/// Blocks of a tree get another owner.
pub(super) const SWAPPED: u32 = 0x200 | 0x400;

/// What an item is.
#[derive(Debug)]
pub(super) enum What {
    Buffer(Buffer),
    Inode(InodeItem),
    Create(Create),
    /// A step that is to be taken; its kind and number.
    Begin(u16, u64),
    /// The step was taken.
    End(u16, u64),
    /// Of no use for reading.
    Unused,
}

/// Parts of a block.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Sectors of 512 bytes.
    pub(super) at: u64,
    pub(super) len: u32,
    pub(super) cancel: bool,
    /// Whether its bytes are of use for reading.
    pub(super) used: bool,
    /// A bit for each 128 bytes.
    pub(super) map: Vec<u32>,
}

/// An inode.
#[derive(Debug)]
pub(super) struct InodeItem {
    pub(super) number: u64,
    /// What of it: bits.
    pub(super) fields: u32,
    pub(super) device: u32,
    /// The block of inodes that it is in, in sectors of 512 bytes.
    pub(super) block: (u64, u32),
}

/// Inodes that are made where there were none.
#[derive(Debug)]
pub(super) struct Create {
    pub(super) group: u32,
    pub(super) block: u32,
    pub(super) count: u32,
    /// Blocks.
    pub(super) len: u32,
}

impl What {
    pub(super) fn of(block: &Block) -> Result<Self> {
        let kind = block.le16(0)?;
        Ok(match kind {
            0x123c => Self::Buffer(Buffer::of(block)?),
            0x123b => Self::Inode(InodeItem::of(block)?),
            0x123f => Self::Create(Create {
                group: block.be32(4)?,
                block: block.be32(8)?,
                count: block.be32(12)?,
                len: block.be32(20)?,
            }),
            0x1237 | 0x1241 | 0x1243 | 0x1245 | 0x1247 | 0x1249 | 0x124b | 0x124d | 0x124f => {
                Self::End(kind - 1, block.le64(8)?)
            }
            0x1236 | 0x1240 | 0x1242 | 0x1244 | 0x1246 | 0x1248 | 0x124a | 0x124c | 0x124e => {
                Self::Begin(kind, block.le64(8)?)
            }
            0x123d | 0x123e => Self::Unused,
            other => {
                return Err(Error::Unsupported(format!("an item {other:#x} of its log")));
            }
        })
    }
}

impl Buffer {
    fn of(block: &Block) -> Result<Self> {
        let flags = block.le16(4)?;
        let words = block.le32(16)?;
        let of_inodes = flags & OF_INODES != 0;
        let unused = flags & QUOTAS != 0 || UNUSED.contains(&(flags >> KIND));
        let map = (0..words.min(1024) as usize).map(|word| block.le32(20 + word * 4));
        Ok(Self {
            at: block.le64(8)?,
            len: block.le16(6)?.into(),
            cancel: flags & CANCEL != 0,
            used: !of_inodes && !unused,
            map: map.collect::<Result<_>>()?,
        })
    }

    /// Runs of bits that are set: the first one, and how many.
    pub(super) fn runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (index, word) in self.map.iter().enumerate() {
            for bit in (0..32).filter(|bit| word >> bit & 1 != 0) {
                let at = index as u32 * 32 + bit;
                match runs.last_mut() {
                    Some((first, count)) if *first + *count == at => *count += 1,
                    _ => runs.push((at, 1)),
                }
            }
        }
        runs
    }
}

impl InodeItem {
    /// 64-bit kernels leave a gap in it that 32-bit ones did not.
    fn of(block: &Block) -> Result<Self> {
        let at = match block.len() {
            56 => 16,
            52 => 12,
            other => return Err(block.damaged(format!("that of an inode has {other} bytes"))),
        };
        Ok(Self {
            number: block.le64(at)?,
            fields: block.le32(4)?,
            device: block.le32(at + 8)?,
            block: (block.le64(at + 24)?, block.le32(at + 32)?),
        })
    }
}
