//! A fork of an inode: what maps blocks of a file to blocks of the disk, as a list or as a B+tree.

use super::block::Block;
use super::volume::{TREE, Volume};
use crate::error::{Error, Result};

/// Levels that a tree of extents may have.
const MOST_LEVELS: u16 = 9;
const NOWHERE: u64 = u64::MAX;

/// How a fork is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The number of a device.
    Device,
    /// In the inode.
    Local,
    /// A list of extents in the inode.
    List,
    /// A tree of extents, with its root in the inode.
    Tree,
}

impl Format {
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Device, Self::Local, Self::List, Self::Tree]
            .get(usize::from(number))
            .copied()
    }
}

/// Blocks of a file that follow each other, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first block of the file.
    pub(super) start: u64,
    /// The first block of the disk.
    pub(super) place: u64,
    pub(super) count: u64,
    /// Space is set aside, and what is there is no content: it reads as zeros.
    pub(super) unwritten: bool,
}

impl Extent {
    fn of(block: &Block, at: usize) -> Result<Self> {
        let (high, low) = (block.be64(at)?, block.be64(at + 8)?);
        Ok(Self {
            start: (high & (u64::MAX >> 1)) >> 9,
            place: (high & 0x1ff) << 43 | low >> 21,
            count: low & 0x1f_ffff,
            unwritten: high >> 63 != 0,
        })
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.count
    }
}

/// One fork of an inode.
pub(super) struct Fork {
    inode: u64,
    pub(super) format: Format,
    block: Block,
    /// Extents, as the inode counts them.
    extents: u64,
    /// Blocks of the tree may name another inode, with which this one has exchanged its extents.
    swapped: bool,
}

/// The extents of the leaf that was read last.
#[derive(Default)]
pub(super) struct Leaf(Vec<Extent>);

impl Fork {
    pub(super) fn new(
        inode: u64,
        format: Format,
        bytes: Vec<u8>,
        extents: u64,
        swapped: bool,
        data: bool,
    ) -> Self {
        let which = if data { "contents" } else { "attributes" };
        let block = Block::new(format!("{which} of inode {inode}"), bytes, false);
        Self {
            inode,
            format,
            block,
            extents,
            swapped,
        }
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// The bytes of a fork that is stored in its inode.
    pub(super) fn local(&self) -> Option<&Block> {
        (self.format == Format::Local).then_some(&self.block)
    }

    /// The number of a device.
    pub(super) fn device(&self) -> Option<u32> {
        match self.format {
            Format::Device => self.block.be32(0).ok(),
            _ => None,
        }
    }

    /// Damage of what this fork holds.
    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        self.block.damaged(why)
    }

    /// The extent that `at` lies in, or else the next one behind it.
    pub(super) fn next(&self, volume: &Volume, at: u64, leaf: &mut Leaf) -> Result<Option<Extent>> {
        let within = match leaf.0.as_slice() {
            [first, .., last] => first.start <= at && at < last.end(),
            [only] => only.start <= at && at < only.end(),
            [] => false,
        };
        if !within {
            match self.format {
                Format::List if leaf.0.is_empty() => {
                    let count = usize::try_from(self.extents).unwrap_or(usize::MAX);
                    let all = self.extents_of(volume, &self.block, 0, count)?;
                    *leaf = Leaf(all);
                }
                Format::List => {}
                Format::Tree => *leaf = Leaf(self.descend(volume, at)?),
                Format::Local | Format::Device => return Ok(None),
            }
        }
        let next = leaf.0.partition_point(|extent| extent.end() <= at);
        Ok(leaf.0.get(next).copied())
    }

    /// Extents of a list or leaf: ascending, and on the disk.
    fn extents_of(
        &self,
        volume: &Volume,
        block: &Block,
        at: usize,
        count: usize,
    ) -> Result<Vec<Extent>> {
        if count > block.len().saturating_sub(at) / 16 {
            return Err(block.damaged(format!("it has {count} extents in {} bytes", block.len())));
        }
        let mut all: Vec<Extent> = Vec::with_capacity(count);
        for index in 0..count {
            let extent = Extent::of(block, at + index * 16)?;
            let after = all.last().is_none_or(|last| last.end() <= extent.start);
            if !after || extent.count == 0 {
                return Err(block.damaged(format!("extent {index} does not follow the one before")));
            }
            if volume.sb.bytes_of(extent.place, extent.count).is_none() {
                let Extent { place, count, .. } = extent;
                return Err(block.damaged(format!("{count} blocks at {place} are not on the disk")));
            }
            all.push(extent);
        }
        Ok(all)
    }

    /// The extents of the leaf in which `at` is or would be; if it lies behind all there, of the next one.
    fn descend(&self, volume: &Volume, at: u64) -> Result<Vec<Extent>> {
        let mut level = self.block.be16(0)?;
        if level == 0 || level > MOST_LEVELS {
            return Err(self.block.damaged(format!("its tree has {level} levels")));
        }
        let most = (self.block.len().saturating_sub(4)) / 16;
        let mut place = child(&self.block, 4, self.block.be16(2)?.into(), most, at)?;
        let header = if volume.sb.sums { 72 } else { 24 };
        loop {
            level -= 1;
            let block = self.node(volume, place, level)?;
            let count = usize::from(block.be16(6)?);
            if level > 0 {
                let most = (block.len() - header) / 16;
                place = child(&block, header, count, most, at)?;
                continue;
            }
            let extents = self.extents_of(volume, &block, header, count)?;
            let right = block.be64(16)?;
            if extents.last().is_some_and(|last| last.end() > at) || right == NOWHERE {
                return Ok(extents);
            }
            let block = self.node(volume, right, 0)?;
            let count = usize::from(block.be16(6)?);
            return self.extents_of(volume, &block, header, count);
        }
    }

    fn node(&self, volume: &Volume, place: u64, level: u16) -> Result<Block> {
        let what = || {
            format!(
                "node at block {place} of the extents of inode {}",
                self.inode
            )
        };
        let block = volume.blocks(&what, place, 1)?;
        let magic: &[u8] = if volume.sb.sums { b"BMA3" } else { b"BMAP" };
        if block.slice(0, 4)? != magic {
            return Err(block.damaged("it does not begin as such a node does"));
        }
        let owner = (!self.swapped).then_some(self.inode);
        volume.check(&block, &TREE, place, owner)?;
        let said = block.be16(4)?;
        if said != level {
            return Err(block.damaged(format!("its level is {said}, where {level} is expected")));
        }
        Ok(block)
    }

    /// Where the block `at` of the file lies.
    pub(super) fn place(&self, volume: &Volume, at: u64, leaf: &mut Leaf) -> Result<u64> {
        match self.next(volume, at, leaf)? {
            Some(extent) if extent.start <= at && !extent.unwritten => {
                Ok(extent.place + (at - extent.start))
            }
            _ => Err(self.damaged(format!("its block {at} is nowhere"))),
        }
    }
}

/// The child of a node in which `at` is or would be.
fn child(block: &Block, header: usize, count: usize, most: usize, at: u64) -> Result<u64> {
    if count == 0 || count > most {
        return Err(block.damaged(format!("it has {count} children, and room for {most}")));
    }
    let (mut low, mut high) = (0, count);
    while high - low > 1 {
        let middle = (low + high) / 2;
        match block.be64(header + middle * 8)? <= at {
            true => low = middle,
            false => high = middle,
        }
    }
    block.be64(header + most * 8 + low * 8)
}
