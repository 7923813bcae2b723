//! Where names are: in the inode of a small folder, else in blocks.

use std::ops::ControlFlow;

use super::super::block::Block;
use super::super::fork::{Fork, Leaf};
use super::super::volume::Volume;
use crate::error::Result;
use crate::node::Entry;

/// The names of a folder that is stored in its inode.
pub(super) fn short(
    volume: &Volume,
    block: &Block,
    each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let count = block.byte(0)?;
    let wide = block.byte(1)? > 0;
    let inode = if wide { 8 } else { 4 };
    let types = usize::from(volume.sb.types);
    let mut at = 2 + inode;
    for _ in 0..count {
        let len = usize::from(block.byte(at)?);
        let name = block.slice(at + 3, len)?;
        at += 3 + len;
        let kind = block.slice(at, types)?.first().copied();
        at += types;
        let number = match wide {
            true => block.be64(at)?,
            false => block.be32(at)?.into(),
        };
        at += inode;
        if each(super::entry(block, name, number, kind)?).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The block that a place of an index lies in, and where in that block: places count eights of bytes.
pub(super) fn address(volume: &Volume, place: u32) -> (u64, usize) {
    let byte = u64::from(place) << 3;
    let len = volume.sb.folder_block() as u64;
    let first = (byte / len) << volume.sb.folder_log;
    (first, (byte % len) as usize)
}

/// A block with names.
pub(super) struct Names {
    block: Block,
    types: usize,
    start: usize,
    end: usize,
    /// Entries of the index at the end, if this block is the whole folder.
    places: Option<usize>,
}

impl Names {
    /// The block of a folder at its block `first`.
    pub(super) fn read(volume: &Volume, fork: &Fork, first: u64, leaf: &mut Leaf) -> Result<Self> {
        let (block, place) = super::block(volume, fork, first, leaf)?;
        let (only, start) = match (block.slice(0, 4)?, volume.sb.sums) {
            (b"XDB3", true) => (true, 64),
            (b"XDD3", true) => (false, 64),
            (b"XD2B", false) => (true, 16),
            (b"XD2D", false) => (false, 16),
            _ => return Err(block.damaged("it does not begin as a block of names does")),
        };
        super::check(volume, &block, false, place, fork)?;
        let (mut end, mut places) = (block.len(), None);
        if only {
            let count = block.be32(end - 8)?;
            let room = (end - 8 - start) / 8;
            let count = usize::try_from(count).ok().filter(|count| *count <= room);
            let count = count.ok_or_else(|| block.damaged("its index is longer than it"))?;
            end -= 8 + count * 8;
            places = Some(count);
        }
        Ok(Self {
            block,
            types: usize::from(volume.sb.types),
            start,
            end,
            places,
        })
    }

    /// The entry at a byte, with its length.
    fn parse(&self, at: usize) -> Result<(Entry, usize)> {
        let block = &self.block;
        let len = usize::from(block.byte(at + 8)?);
        let all = (9 + len + self.types + 2).next_multiple_of(8);
        if !at.is_multiple_of(8) || at < self.start || at + all > self.end {
            return Err(block.damaged(format!("its entry at byte {at} lies behind its end")));
        }
        if usize::from(block.be16(at + all - 2)?) != at {
            return Err(block.damaged(format!("its entry at byte {at} has the mark of another")));
        }
        let kind = block.slice(at + 9 + len, self.types)?.first().copied();
        let entry = super::entry(block, block.slice(at + 9, len)?, block.be64(at)?, kind)?;
        Ok((entry, all))
    }

    /// The entry at a byte that an index has given.
    pub(super) fn at(&self, at: usize) -> Result<Entry> {
        if self.block.be16(at)? == 0xffff {
            return Err(self
                .block
                .damaged(format!("there is no entry at byte {at}")));
        }
        self.parse(at).map(|(entry, _)| entry)
    }

    /// All entries but “.” and “..”.
    pub(super) fn each(
        &self,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let block = &self.block;
        let mut at = self.start;
        while at < self.end {
            if block.be16(at)? == 0xffff {
                let len = usize::from(block.be16(at + 2)?);
                if len < 8 || len % 8 != 0 || at + len > self.end {
                    return Err(block.damaged(format!("a gap at byte {at} has {len} bytes")));
                }
                at += len;
                continue;
            }
            let (entry, len) = self.parse(at)?;
            at += len;
            if !matches!(entry.name.as_bytes(), b"." | b"..") && each(entry).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Where entries with a hash begin, if this block has the index.
    pub(super) fn places(&self, hash: u32) -> Result<Option<Vec<usize>>> {
        let Some(count) = self.places else {
            return Ok(None);
        };
        let first = search(&self.block, self.end, count, hash)?;
        let mut all = Vec::new();
        for index in first..count {
            let at = self.end + index * 8;
            if self.block.be32(at)? != hash {
                break;
            }
            let place = self.block.be32(at + 4)? as usize;
            if place != 0 {
                all.push(place * 8);
            }
        }
        Ok(Some(all))
    }
}

/// The first of `count` pairs of a hash and a number from byte `start` on whose hash is not below `hash`.
pub(super) fn search(block: &Block, start: usize, count: usize, hash: u32) -> Result<usize> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = (low + high) / 2;
        match block.be32(start + middle * 8)? < hash {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}
