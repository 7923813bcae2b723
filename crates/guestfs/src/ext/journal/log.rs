//! The journal as a ring of blocks, by what its superblock says. All numbers in it are big-endian.

use crate::error::{Error, Result};
use crate::ext::bytes::{be32, be64};
use crate::ext::inode::Inode;
use crate::ext::map::Leaf;
use crate::ext::sum::{crc32_be, crc32c};
use crate::ext::volume::Volume;

pub(super) const MAGIC: u32 = 0xc03b_3998;

/// Blocks that a journal may have: mke2fs makes none of more than 10,240,000. All that is looked at in it is
/// bounded by this.
const MOST_BLOCKS: u64 = 16 << 20;

/// The checksums that a journal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    None,
    /// One CRC-32 for the descriptors and blocks of a transaction, in its last block.
    Whole,
    /// CRC-32C in each of its blocks, and 16 bits of one for each block in it.
    V2,
    /// The same, with all 32 bits.
    V3,
}

/// A journal whose superblock was checked.
pub(in crate::ext) struct Log<'a> {
    volume: &'a Volume,
    inode: Inode,
    leaf: Leaf,
    pub(super) sums: Sums,
    pub(super) seed: u32,
    pub(super) wide: bool,
    pub(super) asynchronous: bool,
    /// First block of the ring, and the one behind its last.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Blocks of fast commits, behind the ring.
    pub(super) fast: std::ops::Range<u64>,
    /// The number of the first transaction in it.
    pub(super) sequence: u32,
    /// Where that begins; 0 if there is none.
    pub(super) start: u64,
    /// Why the guest gave the journal up, as a number of Linux; 0 if it did not.
    pub(in crate::ext) error: i32,
}

fn bad(why: String) -> Error {
    Error::damaged("journal", why)
}

impl<'a> Log<'a> {
    pub(in crate::ext) fn open(volume: &'a Volume) -> Result<Self> {
        let inode = volume.inode(volume.sb.journal_inode())?;
        if !inode.is_file() {
            return Err(bad(format!("{} is no file", inode.name())));
        }
        let mut log = Self {
            volume,
            inode,
            leaf: Leaf::none(),
            sums: Sums::None,
            seed: 0,
            wide: false,
            asynchronous: false,
            first: 0,
            last: 0,
            fast: 0..0,
            sequence: 0,
            start: 0,
            error: 0,
        };
        log.superblock()?;
        Ok(log)
    }

    fn superblock(&mut self) -> Result<()> {
        let (_, block) = self.block(0)?;
        let (magic, kind) = (be32(&block, 0), be32(&block, 4));
        if magic != MAGIC || !matches!(kind, 3 | 4) {
            return Err(bad(format!(
                "its superblock has the magic {magic:#010x} and is of kind {kind}"
            )));
        }
        let field = |at| if kind == 3 { 0 } else { be32(&block, at) };
        let (compat, incompat) = (field(36), field(40));
        let unknown = incompat & !0x3f;
        if unknown != 0 {
            return Err(Error::Unsupported(format!(
                "a journal with the features {unknown:#x}"
            )));
        }
        self.sums = match incompat & 0x18 {
            0 if compat & 1 == 0 => Sums::None,
            0 => Sums::Whole,
            0x08 => Sums::V2,
            0x10 => Sums::V3,
            _ => return Err(bad("it says that it has checksums of two forms".into())),
        };
        self.seed = crc32c(!0, &block[48..64]);
        if matches!(self.sums, Sums::V2 | Sums::V3) {
            let sum = crc32c(crc32c(!0, &block[..252]), &[0; 4]);
            let (stored, sum) = (be32(&block, 252), crc32c(sum, &block[256..1024]));
            if stored != sum {
                return Err(bad(format!(
                    "the checksum of its superblock is {stored:#010x} and should be {sum:#010x}"
                )));
            }
        }
        self.wide = incompat & 0x2 != 0;
        self.asynchronous = incompat & 0x4 != 0;
        self.sequence = be32(&block, 24);
        self.start = u64::from(be32(&block, 28));
        self.error = be32(&block, 32) as i32;
        let (size, all) = (u64::from(be32(&block, 12)), u64::from(be32(&block, 16)));
        self.first = u64::from(be32(&block, 20));
        self.last = all;
        if incompat & 0x20 != 0 {
            let fast = match be32(&block, 84) {
                0 => 256,
                blocks => u64::from(blocks),
            };
            self.last = all.saturating_sub(fast);
            self.fast = self.last + 1..all;
        }
        let there = self.inode.size() / self.volume.sb.block;
        let starts = self.start == 0 || (self.first..self.last).contains(&self.start);
        let ring = self.first > 0 && self.first < self.last && all <= there;
        if size != self.volume.sb.block || !ring || !starts {
            return Err(bad(format!(
                "blocks of {size} bytes, {}..{} of {there}, from {}",
                self.first, self.last, self.start
            )));
        }
        // An inode may give one block to many places of its file.
        let held = self.volume.sb.blocks;
        if all > held {
            return Err(bad(format!("{all} blocks in a file system of {held}")));
        }
        if all > MOST_BLOCKS {
            return Err(Error::Unsupported(format!("a journal of {all} blocks")));
        }
        Ok(())
    }

    /// Whether nothing is in it.
    pub(in crate::ext) fn is_empty(&self) -> bool {
        self.start == 0
    }

    /// Bytes of a block.
    pub(super) fn block_size(&self) -> usize {
        self.volume.sb.block as usize
    }

    /// Whether a block of the file system may be replaced.
    pub(super) fn replaces(&self, block: u64) -> bool {
        block < self.volume.sb.all_blocks
    }

    /// The block behind one of the ring.
    pub(super) fn after(&self, at: u64) -> u64 {
        match at + 1 {
            next if next >= self.last => self.first,
            next => next,
        }
    }

    /// Where a block of the journal lies on the disk.
    pub(super) fn place(&mut self, at: u64) -> Result<u64> {
        if !self.leaf.range.contains(&at) {
            self.leaf = self.volume.leaf(&self.inode, at)?;
        }
        let run = self.leaf.from(at).filter(|run| run.start <= at);
        let place = run.map(|run| run.place + (at - run.start));
        place.ok_or_else(|| bad(format!("its block {at} is not there")))
    }

    /// A block of the journal, and where it lies on the disk.
    pub(super) fn block(&mut self, at: u64) -> Result<(u64, Vec<u8>)> {
        let place = self.place(at)?;
        Ok((place, self.volume.block(place, &|| "journal".into())?))
    }

    /// Whether the checksum of a block is right; its place in the block is given.
    pub(super) fn sum_is_right(&self, block: &[u8], at: usize) -> bool {
        if !matches!(self.sums, Sums::V2 | Sums::V3) {
            return true;
        }
        let sum = crc32c(self.seed, block.get(..at).unwrap_or_default());
        let sum = crc32c(sum, &[0; 4]);
        crc32c(sum, block.get(at + 4..).unwrap_or_default()) == be32(block, at)
    }
}

/// One block in a transaction, as its descriptor tells.
pub(super) struct Tag {
    /// The block of the file system that it is a version of.
    pub(super) block: u64,
    /// Whether its first four bytes are the journal's own magic, and are stored as zeros.
    pub(super) escaped: bool,
    sum: u32,
}

impl Log<'_> {
    /// The blocks that a descriptor tells of.
    pub(super) fn tags(&self, descriptor: &[u8]) -> Vec<Tag> {
        let len = match (self.sums, self.wide) {
            (Sums::V3, _) => 16,
            (Sums::V2, true) => 14,
            (Sums::V2, false) => 10,
            (_, true) => 12,
            (_, false) => 8,
        };
        let tail = match self.sums {
            Sums::V2 | Sums::V3 => 4,
            _ => 0,
        };
        let end = descriptor.len() - tail;
        let (mut at, mut tags) = (12, Vec::new());
        while at + len <= end {
            let low = u64::from(be32(descriptor, at));
            let (flags, high, sum) = match self.sums {
                Sums::V3 => (
                    be32(descriptor, at + 4),
                    be32(descriptor, at + 8),
                    be32(descriptor, at + 12),
                ),
                _ => {
                    let both = be32(descriptor, at + 4);
                    (both & 0xffff, be32(descriptor, at + 8), both >> 16)
                }
            };
            let high = if self.wide { u64::from(high) << 32 } else { 0 };
            tags.push(Tag {
                block: low | high,
                escaped: flags & 1 != 0,
                sum,
            });
            // Another journal's identifier, which is ours.
            at += len + if flags & 2 == 0 { 16 } else { 0 };
            if flags & 8 != 0 {
                break;
            }
        }
        tags
    }

    /// Whether a block is what its tag says.
    pub(super) fn is_right(&self, tag: &Tag, sequence: u32, bytes: &[u8]) -> bool {
        let sum = crc32c(crc32c(self.seed, &sequence.to_be_bytes()), bytes);
        match self.sums {
            Sums::V3 => sum == tag.sum,
            Sums::V2 => sum & 0xffff == tag.sum,
            _ => true,
        }
    }

    /// The blocks that a revoke block says are not to be replaced by what was stored before; `None` if
    /// its length is wrong.
    pub(super) fn revoked(&self, block: &[u8]) -> Option<Vec<u64>> {
        let tail = if matches!(self.sums, Sums::V2 | Sums::V3) {
            4
        } else {
            0
        };
        let used = be32(block, 12) as usize;
        if used < 16 || used > block.len() - tail {
            return None;
        }
        let list = block.get(16..used)?;
        Some(match self.wide {
            true => list.chunks_exact(8).map(|at| be64(at, 0)).collect(),
            false => list.chunks_exact(4).map(|at| be32(at, 0).into()).collect(),
        })
    }

    /// Goes on with the checksum of a whole transaction, where there is one.
    pub(super) fn go_on(&self, sum: u32, block: &[u8]) -> u32 {
        match self.sums {
            Sums::Whole => crc32_be(sum, block),
            _ => sum,
        }
    }
}
