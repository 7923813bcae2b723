//! Folders: names in the inode, in one block, or in many with an index by hash behind them.
//!
//! Names lie in blocks of the first 32 GiB of a folder's own space, and from there on the index, which
//! maps a hash of each name to its place. A folder of one block has the index at that block's end.

mod hash;
mod index;
mod names;

use std::ops::ControlFlow;

use super::block::Block;
use super::fork::{Fork, Leaf};
use super::volume::{self, Volume};
use crate::error::Result;
use crate::name::Name;
use crate::node::{Entry, Kind, NodeId};
use names::Names;

/// Where the index begins, in bytes.
const INDEX: u64 = 32 << 30;

/// Calls `each` for every name in order of their places.
pub(super) fn list(
    volume: &Volume,
    fork: &Fork,
    each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
) -> Result<()> {
    if let Some(block) = fork.local() {
        return names::short(volume, block, each).map(|_| ());
    }
    let per = 1_u64 << volume.sb.folder_log;
    let end = INDEX >> volume.sb.block_log;
    let (mut at, mut seen) = (0, 0);
    let mut leaf = Leaf::default();
    while let Some(extent) = fork
        .next(volume, at, &mut leaf)?
        .filter(|next| next.start < end)
    {
        let first = extent.start.max(at) / per * per;
        seen += per;
        if seen > volume.sb.blocks {
            return Err(fork.damaged("it has more blocks than the disk"));
        }
        let names = Names::read(volume, fork, first, &mut leaf)?;
        if names.each(each)?.is_break() {
            return Ok(());
        }
        at = first + per;
    }
    match seen {
        0 => Err(fork.damaged("a folder has not one block")),
        _ => Ok(()),
    }
}

/// A name as it is stored, by the index.
pub(super) fn find(volume: &Volume, fork: &Fork, name: &Name) -> Result<Option<Entry>> {
    let mut found = Found {
        name,
        folded: volume.sb.folded,
        best: None,
    };
    if let Some(block) = fork.local() {
        let _ = names::short(volume, block, &mut |entry| found.take(&entry))?;
        return Ok(found.best);
    }
    let hash = hash::of(name.as_bytes(), volume.sb.folded);
    let mut leaf = Leaf::default();
    let first = Names::read(volume, fork, 0, &mut leaf)?;
    if let Some(places) = first.places(hash)? {
        for place in places {
            if found.take(&first.at(place)?).is_break() {
                break;
            }
        }
        return Ok(found.best);
    }
    index::find(volume, fork, hash, &mut |place| {
        let (first, within) = names::address(volume, place);
        let entry = Names::read(volume, fork, first, &mut leaf)?.at(within)?;
        Ok(found.take(&entry))
    })?;
    Ok(found.best)
}

/// The name that is looked for, and the best that was found.
struct Found<'a> {
    name: &'a Name,
    folded: bool,
    best: Option<Entry>,
}

impl Found<'_> {
    fn take(&mut self, entry: &Entry) -> ControlFlow<()> {
        if entry.name == *self.name {
            self.best = Some(entry.clone());
            return ControlFlow::Break(());
        }
        let same = || hash::same(entry.name.as_bytes(), self.name.as_bytes());
        if self.folded && self.best.is_none() && same() {
            self.best = Some(entry.clone());
        }
        ControlFlow::Continue(())
    }
}

/// A block of a folder, whose parts may lie apart.
fn block(volume: &Volume, fork: &Fork, first: u64, leaf: &mut Leaf) -> Result<(Block, u64)> {
    let what = || format!("block {first} of folder {}", fork.inode());
    let place = fork.place(volume, first, leaf)?;
    let mut whole = volume.blocks(&what, place, 1)?;
    if volume.sb.folder_log == 0 {
        return Ok((whole, place));
    }
    let mut bytes = whole.bytes().to_vec();
    for part in 1..1 << volume.sb.folder_log {
        let place = fork.place(volume, first + part, leaf)?;
        let next = volume.blocks(&what, place, 1)?;
        bytes.extend_from_slice(next.bytes());
        whole.changed |= next.changed;
    }
    Ok((Block::new(what(), bytes, whole.changed), place))
}

/// What an entry says of its kind. A device has numbers, which only its inode knows.
fn kind(number: u8) -> Option<Kind> {
    match number {
        1 => Some(Kind::File),
        2 => Some(Kind::Folder),
        5 => Some(Kind::Fifo),
        6 => Some(Kind::Socket),
        7 => Some(Kind::Link),
        _ => None,
    }
}

/// A name as an entry; a folder cannot hold one that is empty or has a slash.
fn entry(block: &Block, name: &[u8], inode: u64, number: Option<u8>) -> Result<Entry> {
    if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(block.damaged(format!("\"{}\" is no name", name.escape_ascii())));
    }
    Ok(Entry {
        name: Name::new(name),
        node: NodeId(inode),
        kind: number.and_then(kind),
    })
}

/// Checks the marks of a block of names or of the index.
fn check(volume: &Volume, block: &Block, index: bool, place: u64, fork: &Fork) -> Result<()> {
    let marks = if index {
        &volume::INDEX
    } else {
        &volume::NAMES
    };
    volume.check(block, marks, place, Some(fork.inode()))
}
