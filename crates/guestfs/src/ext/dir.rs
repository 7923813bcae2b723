//! Names in a folder, in the order in which they are stored.
//!
//! A folder is a file of blocks, each with names of its own. The index of a large folder lies in blocks
//! that look like ones without names, so a scan passes over it.

use std::ops::ControlFlow;

use super::bytes::{le16, le32};
use super::feature::incompat;
use super::inode::{Inode, flag};
use super::sum::crc32c;
use super::volume::Volume;
use crate::error::{Error, Result};
use crate::node::Kind;

/// A name and what it leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    pub(super) kind: Option<Kind>,
}

/// What is called for each name.
pub(super) type Each<'a> = &'a mut dyn FnMut(Found<'_>) -> Result<ControlFlow<()>>;

/// What a block of a folder holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Names,
    /// Entries of the index, which begin at a place.
    Index(usize),
}

impl Volume {
    /// Calls `each` for every name of a folder until it breaks.
    pub(super) fn names(&self, folder: &Inode, each: Each<'_>) -> Result<()> {
        let changed = self.fast.changes(folder.number);
        let mut broken = false;
        if !self.fast.made(folder.number) {
            let mut each = |found: Found<'_>| {
                if changed.is_some_and(|changed| changed.hides(found.name, found.inode)) {
                    return Ok(ControlFlow::Continue(()));
                }
                let flow = each(found)?;
                broken = flow.is_break();
                Ok(flow)
            };
            if folder.has(flag::INLINE_DATA) {
                self.inline_names(folder, &mut each)?;
            } else {
                self.block_names(folder, &mut each)?;
            }
        }
        for (name, inode) in changed.into_iter().flat_map(|changed| changed.added()) {
            if broken {
                break;
            }
            let kind = None;
            broken = each(Found { name, inode, kind })?.is_break();
        }
        Ok(())
    }

    fn block_names(&self, folder: &Inode, each: Each<'_>) -> Result<()> {
        for number in 0..self.folder_blocks(folder)? {
            let (block, holds) = self.folder_block(folder, number)?;
            if holds == Holds::Names && self.names_in(folder, &block, 0, each)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Blocks that a folder has.
    pub(super) fn folder_blocks(&self, folder: &Inode) -> Result<u64> {
        let count = folder.size().div_ceil(self.sb.block);
        if count > self.sb.blocks {
            return Err(Error::damaged(
                format!("folder of {}", folder.name()),
                format!(
                    "it has {count} blocks, and the file system {}",
                    self.sb.blocks
                ),
            ));
        }
        Ok(count)
    }

    /// A block of a folder, checked.
    pub(super) fn folder_block(&self, folder: &Inode, number: u64) -> Result<(Vec<u8>, Holds)> {
        let whose = || format!("folder of {}", folder.name());
        let Some(place) = self.place(folder, number)? else {
            return Err(Error::damaged(
                whose(),
                format!("its block {number} is not there"),
            ));
        };
        let block = self.block(place, &whose)?;
        let holds = match folder.has(flag::INDEX) {
            true => self.holds(&block, number),
            false => Holds::Names,
        };
        if self.sb.sums() {
            let sums = match holds {
                Holds::Names => names_sum(folder, &block),
                Holds::Index(at) => index_sum(folder, &block, at),
            };
            let (stored, sum) = sums.ok_or_else(|| {
                Error::damaged(whose(), format!("its block {number} has no checksum"))
            })?;
            if stored != sum {
                return Err(Error::damaged(
                    whose(),
                    format!(
                        "the checksum of block {number} is {stored:#010x} and should be {sum:#010x}"
                    ),
                ));
            }
        }
        Ok((block, holds))
    }

    /// The root of an index lies behind “.” and “..”, and other parts of it in one unused entry.
    fn holds(&self, block: &[u8], number: u64) -> Holds {
        let whole = |at: usize| self.record_len(le16(block, at + 4)) + at == block.len();
        if number == 0 {
            let root = le16(block, 4) == 12 && whole(12) && le32(block, 24) == 0;
            return match usize::from(block.get(29).copied().unwrap_or(0)) {
                8 if root => Holds::Index(32),
                _ => Holds::Names,
            };
        }
        // Without checksums, so looks also a block from which all names are gone: no name is lost.
        match le32(block, 0) == 0 && whole(0) {
            true => Holds::Index(8),
            false => Holds::Names,
        }
    }

    /// In blocks of 64 KiB the length does not fit, and its lowest bits have another meaning.
    fn record_len(&self, stored: u16) -> usize {
        let stored = usize::from(stored);
        match self.sb.block {
            65536 if stored == 65535 || stored == 0 => 65536,
            65536 => (stored & 65532) | (stored & 3) << 16,
            _ => stored,
        }
    }

    fn inline_names(&self, folder: &Inode, each: Each<'_>) -> Result<()> {
        let bytes = self.inline(folder)?;
        // Its parent comes first; names do not go over the end of the first part.
        let (first, second) = bytes.split_at_checked(60).unwrap_or((&bytes, &[]));
        if self.names_in(folder, first, 4, each)?.is_continue() && !second.is_empty() {
            let _ = self.names_in(folder, second, 0, each)?;
        }
        Ok(())
    }

    /// The names in some bytes from a place on.
    pub(super) fn names_in(
        &self,
        folder: &Inode,
        bytes: &[u8],
        from: usize,
        each: Each<'_>,
    ) -> Result<ControlFlow<()>> {
        let typed = self.sb.has_incompat(incompat::FILETYPE);
        let mut at = from;
        while at < bytes.len() {
            let inode = le32(bytes, at);
            let len = self.record_len(le16(bytes, at + 4));
            let name_len = usize::from(bytes.get(at + 6).copied().unwrap_or(0));
            let name = bytes.get(at + 8..at + 8 + name_len);
            let fits = len >= 8 && len.is_multiple_of(4) && at + len <= bytes.len();
            let Some(name) = name.filter(|_| fits && (inode == 0 || name_len + 8 <= len)) else {
                // The end of what is within an inode need not be a whole entry.
                if inode == 0 && len == 0 && folder.has(flag::INLINE_DATA) {
                    break;
                }
                return Err(Error::damaged(
                    format!("folder of {}", folder.name()),
                    format!("an entry of {len} bytes at {at}, its name of {name_len}"),
                ));
            };
            let kind = match bytes.get(at + 7).filter(|_| typed) {
                Some(1) => Some(Kind::File),
                Some(2) => Some(Kind::Folder),
                Some(5) => Some(Kind::Fifo),
                Some(6) => Some(Kind::Socket),
                Some(7) => Some(Kind::Link),
                _ => None,
            };
            if inode != 0 && !matches!(name, b"." | b"..") {
                if inode > self.sb.inodes || name.is_empty() {
                    return Err(Error::damaged(
                        format!("folder of {}", folder.name()),
                        format!(
                            "an entry at {at} leads to inode {inode} of {}",
                            self.sb.inodes
                        ),
                    ));
                }
                if each(Found { name, inode, kind })?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            at += len;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The stored and the right checksum of a block of names.
fn names_sum(folder: &Inode, block: &[u8]) -> Option<(u32, u32)> {
    let at = block.len().checked_sub(12)?;
    let marked = le32(block, at) == 0 && le16(block, at + 4) == 12 && le16(block, at + 6) == 0xde00;
    marked.then(|| (le32(block, at + 8), crc32c(folder.seed, &block[..at])))
}

/// The stored and the right checksum of a block of the index.
fn index_sum(folder: &Inode, block: &[u8], at: usize) -> Option<(u32, u32)> {
    let (most, count) = (
        usize::from(le16(block, at)),
        usize::from(le16(block, at + 2)),
    );
    let tail = at + most * 8;
    if count > most || tail + 8 > block.len() {
        return None;
    }
    let sum = crc32c(folder.seed, &block[..at + count * 8]);
    let sum = crc32c(sum, &block[tail..tail + 4]);
    Some((le32(block, tail + 4), crc32c(sum, &[0; 4])))
}
