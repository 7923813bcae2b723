//! What a log has changed: bytes of blocks, and inodes, by their places in the log.

use std::collections::{BTreeMap, BTreeSet};

use disk::BlockRead;

use super::super::block::Block;
use super::super::superblock::Super;
use super::dinode;
use super::item::{self, InodeItem};
use super::record::{Piece, Reader};
use super::ring::Ring;
use super::transaction::{Item, Region};
use crate::error::{Error, Result};

/// What is to be seen instead of what lies on the disk.
pub(in crate::xfs) struct Changes {
    ring: Ring,
    /// Pieces by the byte of the device at which they begin; none overlaps another.
    bytes: BTreeMap<u64, Piece>,
    inodes: BTreeMap<u64, InodeChange>,
    /// Inodes that were made, by the first of some: how many.
    made: BTreeMap<u64, u64>,
    /// Pieces of inodes.
    of_inodes: usize,
}

/// The newest parts of an inode.
#[derive(Default)]
pub(super) struct InodeChange {
    pub(super) core: Region,
    /// Contents: in which form, and what.
    pub(super) data: Option<(u32, Region)>,
    pub(super) attributes: Option<(u32, Region)>,
    pub(super) device: Option<u32>,
    swapped: bool,
}

impl Changes {
    pub(super) fn new(ring: Ring) -> Self {
        Self {
            ring,
            bytes: BTreeMap::new(),
            inodes: BTreeMap::new(),
            made: BTreeMap::new(),
            of_inodes: 0,
        }
    }

    /// Whether all of them are of the superblock alone, which counts what is free and is written to leave a
    /// log in order.
    pub(super) fn is_empty(&self) -> bool {
        let superblock = self.bytes.keys().all(|at| *at < 512);
        superblock && self.inodes.is_empty() && self.made.is_empty()
    }

    /// How many places are kept.
    pub(super) fn pieces(&self) -> usize {
        self.bytes.len() + self.of_inodes + self.inodes.len() + self.made.len()
    }

    /// From byte `at` of the device on, `len` bytes are those of `pieces`.
    pub(super) fn put(&mut self, at: u64, len: u32, pieces: &[Piece]) {
        self.clear(at, at + u64::from(len));
        let (mut at, mut left) = (at, len);
        for piece in pieces {
            let len = piece.len.min(left);
            if len > 0 {
                self.bytes.insert(at, piece.part(0, len));
            }
            at += u64::from(len);
            left -= len;
        }
    }

    /// Forgets what was there.
    fn clear(&mut self, start: u64, end: u64) {
        if let Some((&at, &piece)) = self.bytes.range(..start).next_back() {
            let piece_end = at + u64::from(piece.len);
            if piece_end > start {
                self.bytes.insert(at, piece.part(0, (start - at) as u32));
                if piece_end > end {
                    let rest = piece.part((end - at) as u32, (piece_end - end) as u32);
                    self.bytes.insert(end, rest);
                }
            }
        }
        let within: BTreeSet<u64> = self.bytes.range(start..end).map(|(at, _)| *at).collect();
        for at in within {
            if let Some(piece) = self.bytes.remove(&at) {
                let piece_end = at + u64::from(piece.len);
                if piece_end > end {
                    let rest = piece.part((end - at) as u32, (piece_end - end) as u32);
                    self.bytes.insert(end, rest);
                }
            }
        }
    }

    /// Inodes are made: nothing is left of what was in their places.
    pub(super) fn create(&mut self, first: u64, count: u64) {
        let old: Vec<u64> = self
            .inodes
            .range(first..first + count)
            .map(|(at, _)| *at)
            .collect();
        for number in old {
            self.inodes.remove(&number);
        }
        self.made.insert(first, count);
    }

    fn was_made(&self, number: u64) -> bool {
        let before = self.made.range(..=number).next_back();
        before.is_some_and(|(first, count)| number - first < *count)
    }

    pub(super) fn has_inode(&self, number: u64) -> bool {
        self.inodes.contains_key(&number) || self.was_made(number)
    }

    /// Takes in the parts of an inode that a transaction has.
    pub(super) fn put_inode(&mut self, inode: &InodeItem, item: &Item) -> Result<()> {
        let lost = || Error::damaged("log", format!("inode {} has lost a region", inode.number));
        let mut regions = item.regions.iter().skip(1);
        let core = regions.next().ok_or_else(lost)?.clone();
        let change = self.inodes.entry(inode.number).or_default();
        let mut forks = [
            (item::CONTENTS, &mut change.data),
            (item::ATTRIBUTES, &mut change.attributes),
        ];
        change.core = core;
        for (mask, fork) in &mut forks {
            let form = inode.fields & *mask;
            if form != 0 {
                let region = regions.next().ok_or_else(lost)?.clone();
                self.of_inodes += region.pieces().len();
                **fork = Some((form, region));
            }
        }
        if inode.fields & item::DEVICE != 0 {
            change.device = Some(inode.device);
        }
        change.swapped |= inode.fields & item::SWAPPED != 0;
        self.of_inodes += 1;
        Ok(())
    }

    /// Puts into `buf`, which was read from byte `at` of the device, what has changed of it. Whether anything
    /// has.
    pub(in crate::xfs) fn patch(
        &self,
        device: &dyn BlockRead,
        at: u64,
        buf: &mut [u8],
    ) -> Result<bool> {
        let reader = Reader {
            device,
            ring: self.ring,
        };
        let end = at + buf.len() as u64;
        let before = self.bytes.range(..at).next_back();
        let mut changed = false;
        for (&start, &piece) in before.into_iter().chain(self.bytes.range(at..end)) {
            let piece_end = start + u64::from(piece.len);
            if piece_end <= at {
                continue;
            }
            let (from, to) = (start.max(at), piece_end.min(end));
            let part = piece.part((from - start) as u32, (to - from) as u32);
            if let Some(place) = buf.get_mut((from - at) as usize..(to - at) as usize) {
                part.read(&reader, place)?;
            }
            changed = true;
        }
        Ok(changed)
    }

    /// An inode as the log leaves it; and whether its trees may name another owner.
    pub(in crate::xfs) fn inode(
        &self,
        device: &dyn BlockRead,
        sb: &Super,
        number: u64,
        block: Block,
    ) -> Result<(Block, bool)> {
        let made = self.was_made(number);
        let change = self.inodes.get(&number);
        if change.is_none() && !made {
            return Ok((block, false));
        }
        let reader = Reader {
            device,
            ring: self.ring,
        };
        let mut bytes = match made {
            true => dinode::new(sb, number, block.len()),
            false => block.bytes().to_vec(),
        };
        if let Some(change) = change {
            dinode::apply(sb, &reader, change, number, &mut bytes)?;
        }
        let swapped = change.is_some_and(|change| change.swapped);
        Ok((Block::new(format!("inode {number}"), bytes, true), swapped))
    }
}
