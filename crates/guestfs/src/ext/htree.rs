//! A name in a large folder, by its index: a tree of hashes, at most three levels high.

use super::bytes::{le16, le32};
use super::dir::{Each, Holds};
use super::feature::{compat, incompat};
use super::hash::Hash;
use super::inode::{Inode, flag};
use super::volume::Volume;
use crate::error::{Error, Result};

/// A place in one block of the index.
struct Level {
    block: Vec<u8>,
    /// Where its entries begin.
    start: usize,
    /// Entries that it has.
    count: usize,
    /// Which one was followed.
    at: usize,
}

impl Level {
    /// The hash of an entry; the first one has none, and begins with the lowest.
    fn hash(&self, at: usize) -> u32 {
        match at {
            0 => 0,
            at => le32(&self.block, self.start + at * 8),
        }
    }

    /// The block that the followed entry leads to.
    fn child(&self) -> u64 {
        u64::from(le32(&self.block, self.start + self.at * 8 + 4) & 0x0fff_ffff)
    }
}

impl Volume {
    /// Calls `each` for names with the hash of `name`, and for others with those near it; answers with
    /// `false` if the folder has no index that can be asked for this name, and is to be scanned.
    pub(super) fn near(&self, folder: &Inode, name: &[u8], each: Each<'_>) -> Result<bool> {
        let indexed = self.sb.has_compat(compat::DIR_INDEX) && folder.has(flag::INDEX);
        // What fast commits changed is in no index.
        if !indexed || folder.has(flag::INLINE_DATA) || self.fast.changes(folder.number).is_some() {
            return Ok(false);
        }
        let (root, holds) = self.folder_block(folder, 0)?;
        let Holds::Index(start) = holds else {
            return Ok(false);
        };
        let (number, levels) = (root[28], usize::from(root[30]));
        let Some((kind, unsigned)) = Hash::by_number(number) else {
            return Ok(false);
        };
        let ascii = name.is_ascii();
        let signed = match self.sb.hash_signed() {
            _ if unsigned => false,
            Some(signed) => signed,
            // It is all the same for names of ASCII.
            None if ascii => true,
            None => return Ok(false),
        };
        let folded;
        let mut hashed = name;
        if folder.has(flag::CASEFOLD) && self.sb.has_incompat(incompat::CASEFOLD) {
            if !ascii {
                return Ok(false);
            }
            folded = name.to_ascii_lowercase();
            hashed = &folded;
        }
        let hash = kind.of(hashed, self.sb.hash_seed(), signed);
        let most = if self.sb.has_incompat(incompat::LARGEDIR) {
            3
        } else {
            2
        };
        if levels >= most {
            return Err(bad(
                folder,
                format!("an index with {levels} levels below its root"),
            ));
        }
        let mut path = vec![level(folder, root, start, hash)?];
        self.descend(folder, &mut path, levels, hash)?;
        // A hash may go on in the next blocks, as many as there are.
        for _ in 0..self.folder_blocks(folder)? {
            let Some(last) = path.last() else { break };
            let (leaf, holds) = self.folder_block(folder, last.child())?;
            if holds == Holds::Names && self.names_in(folder, &leaf, 0, each)?.is_break() {
                break;
            }
            if !self.next(folder, &mut path, levels, hash)? {
                break;
            }
        }
        Ok(true)
    }

    fn descend(
        &self,
        folder: &Inode,
        path: &mut Vec<Level>,
        levels: usize,
        hash: u32,
    ) -> Result<()> {
        while let Some(last) = path.last().filter(|_| path.len() <= levels) {
            let child = last.child();
            let (block, holds) = self.folder_block(folder, child)?;
            let Holds::Index(start @ 8) = holds else {
                return Err(bad(
                    folder,
                    format!("block {child} is no part of the index"),
                ));
            };
            path.push(level(folder, block, start, hash)?);
        }
        Ok(())
    }

    /// Goes on to the next leaf if names with this hash may be there as well.
    fn next(
        &self,
        folder: &Inode,
        path: &mut Vec<Level>,
        levels: usize,
        hash: u32,
    ) -> Result<bool> {
        while path.last().is_some_and(|last| last.at + 1 >= last.count) {
            path.pop();
        }
        let Some(last) = path.last_mut() else {
            return Ok(false);
        };
        last.at += 1;
        // The lowest bit says that the hash before goes on.
        if last.hash(last.at) != hash | 1 {
            return Ok(false);
        }
        while let Some(last) = path.last().filter(|_| path.len() <= levels) {
            let child = last.child();
            let (block, holds) = self.folder_block(folder, child)?;
            let Holds::Index(start @ 8) = holds else {
                return Err(bad(
                    folder,
                    format!("block {child} is no part of the index"),
                ));
            };
            let mut first = level(folder, block, start, hash)?;
            first.at = 0;
            path.push(first);
        }
        Ok(true)
    }
}

fn bad(folder: &Inode, why: String) -> Error {
    Error::damaged(format!("folder of {}", folder.name()), why)
}

/// A block of the index with the entry that a hash leads to.
fn level(folder: &Inode, block: Vec<u8>, start: usize, hash: u32) -> Result<Level> {
    let (most, count) = (
        usize::from(le16(&block, start)),
        usize::from(le16(&block, start + 2)),
    );
    if count == 0 || count > most || start + count * 8 > block.len() {
        return Err(bad(
            folder,
            format!("{count} of {most} entries in a block of the index"),
        ));
    }
    let mut level = Level {
        block,
        start,
        count,
        at: 0,
    };
    let (mut low, mut high) = (1, count);
    while low < high {
        let middle = (low + high) / 2;
        match level.hash(middle) > hash {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    level.at = low - 1;
    Ok(level)
}
