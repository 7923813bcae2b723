//! The index of a large folder: a B+tree from hashes to places of names.

use std::ops::ControlFlow;

use super::super::block::Block;
use super::super::fork::{Fork, Leaf};
use super::super::volume::Volume;
use super::INDEX;
use super::names::search;
use crate::error::Result;

/// Levels that an index may have, its leaves not counted.
const MOST_LEVELS: u16 = 5;

/// A block of the index, and what it says before its pairs.
struct Part {
    block: Block,
    header: usize,
    /// 0 for a leaf.
    level: u16,
    count: usize,
}

fn part(volume: &Volume, fork: &Fork, first: u64, leaf: &mut Leaf) -> Result<Part> {
    let (block, place) = super::block(volume, fork, first, leaf)?;
    let (header, node) = match (block.be16(8)?, volume.sb.sums) {
        (0x3df1 | 0x3dff, true) => (64, false),
        (0x3ebe, true) => (64, true),
        (0xd2f1 | 0xd2ff, false) => (16, false),
        (0xfebe, false) => (16, true),
        (magic, _) => {
            return Err(block.damaged(format!("{magic:#x} is no magic of an index")));
        }
    };
    super::check(volume, &block, true, place, fork)?;
    let counts = if volume.sb.sums { 56 } else { 12 };
    let count = usize::from(block.be16(counts)?);
    let level = if node { block.be16(counts + 2)? } else { 0 };
    if count > (block.len() - header) / 8 || node && !(1..=MOST_LEVELS).contains(&level) {
        return Err(block.damaged(format!("it has {count} pairs and level {level}")));
    }
    Ok(Part {
        block,
        header,
        level,
        count,
    })
}

/// Calls `each` for the places of names with a hash.
pub(super) fn find(
    volume: &Volume,
    fork: &Fork,
    hash: u32,
    each: &mut dyn FnMut(u32) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut leaf = Leaf::default();
    let mut at = INDEX >> volume.sb.block_log;
    let mut now = part(volume, fork, at, &mut leaf)?;
    while now.level > 0 {
        let index = search(&now.block, now.header, now.count, hash)?;
        if index == now.count {
            return Ok(());
        }
        at = now.block.be32(now.header + index * 8 + 4)?.into();
        let below = part(volume, fork, at, &mut leaf)?;
        if below.level + 1 != now.level {
            let why = format!("its level is {} below level {}", below.level, now.level);
            return Err(below.block.damaged(why));
        }
        now = below;
    }
    // Names with one hash may go on in the next leaf; each has at least one, and there are not so many.
    for _ in 0..=u16::MAX {
        let first = search(&now.block, now.header, now.count, hash)?;
        for index in first..now.count {
            let pair = now.header + index * 8;
            if now.block.be32(pair)? != hash {
                return Ok(());
            }
            let place = now.block.be32(pair + 4)?;
            if place != 0 && each(place)?.is_break() {
                return Ok(());
            }
        }
        let right = now.block.be32(0)?;
        if right == 0 {
            return Ok(());
        }
        now = part(volume, fork, right.into(), &mut leaf)?;
        if now.level != 0 {
            return Err(now.block.damaged("it is no leaf, and beside one"));
        }
    }
    Err(now.block.damaged("the leaves of the index have no end"))
}
