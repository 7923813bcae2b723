//! Finding items in a tree.
//!
//! Keys rise within a block, from block to block, and a block begins with the key that the one above tells:
//! so no block is met twice, whatever the bytes are.

use std::sync::Arc;

use super::tree::{Block, Key, Tree};
use super::volume::Volume;
use crate::error::{Error, Result};

/// An item where it was found.
pub(super) struct Found {
    pub(super) key: Key,
    block: Arc<Block>,
    number: usize,
}

impl Found {
    fn new(block: &Arc<Block>, number: usize) -> Option<Self> {
        let (key, _) = block.item(number)?;
        let block = block.clone();
        Some(Self { key, block, number })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.block.item(self.number).map_or(&[], |(_, bytes)| bytes)
    }
}

/// Gives the items of a tree from some key on.
pub(super) struct Cursor<'a> {
    volume: &'a Volume,
    tree: Tree,
    /// Blocks from the root to a leaf, and what comes next in each.
    path: Vec<(Arc<Block>, usize)>,
    last: Option<Key>,
}

impl<'a> Cursor<'a> {
    /// Begins at the first item that is not before `key`.
    pub(super) fn new(volume: &'a Volume, tree: Tree, key: Key) -> Result<Self> {
        let mut path = Vec::new();
        let mut at = tree.root();
        loop {
            let block = volume.block(&at, tree.id)?;
            // Of blocks below the one that may have the key, of items the first one at or behind it.
            let behind = block.keys().partition_point(|other| *other <= key);
            match block.below(behind.saturating_sub(1)) {
                Some(below) => {
                    path.push((block, behind.saturating_sub(1) + 1));
                    at = below;
                }
                None => {
                    let first = block.keys().partition_point(|other| *other < key);
                    path.push((block, first));
                    break;
                }
            }
        }
        Ok(Self {
            volume,
            tree,
            path,
            last: None,
        })
    }

    /// The next item.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        while let Some((block, number)) = self.path.last_mut() {
            let now = *number;
            *number += 1;
            if let Some(found) = Found::new(block, now) {
                if self.last.is_some_and(|last| last >= found.key) {
                    let why = format!("its key {} is out of order", found.key);
                    return Err(Error::damaged(format!("btrfs tree {}", self.tree.id), why));
                }
                self.last = Some(found.key);
                return Ok(Some(found));
            }
            match block.below(now) {
                Some(below) => {
                    let block = self.volume.block(&below, self.tree.id)?;
                    self.path.push((block, 0));
                }
                None => {
                    self.path.pop();
                }
            }
        }
        Ok(None)
    }

    /// The next item if it is of this object and kind.
    pub(super) fn next_of(&mut self, id: u64, kind: u8) -> Result<Option<Found>> {
        let next = self.next()?;
        Ok(next.filter(|found| (found.key.id, found.key.kind) == (id, kind)))
    }
}

/// The item with this key.
pub(super) fn exact(volume: &Volume, tree: Tree, key: Key) -> Result<Option<Found>> {
    let found = at_or_before(volume, tree, key)?;
    Ok(found.filter(|found| found.key == key))
}

/// The last item of this object and kind whose offset is not behind `offset`.
pub(super) fn last_of(volume: &Volume, tree: Tree, key: Key) -> Result<Option<Found>> {
    let found = at_or_before(volume, tree, key)?;
    Ok(found.filter(|found| (found.key.id, found.key.kind) == (key.id, key.kind)))
}

/// The last item that is not behind `key`.
fn at_or_before(volume: &Volume, tree: Tree, key: Key) -> Result<Option<Found>> {
    let mut at = tree.root();
    loop {
        let block = volume.block(&at, tree.id)?;
        let behind = block.keys().partition_point(|other| *other <= key);
        let Some(number) = behind.checked_sub(1) else {
            return Ok(None);
        };
        match block.below(number) {
            Some(below) => at = below,
            None => return Ok(Found::new(&block, number)),
        }
    }
}
