//! Which blocks a file has where: extents, and the maps of blocks before them.
//!
//! Asked for one block, either answers with a [`Leaf`]: all that the same block of the tree tells. Each
//! step goes one level down, so nothing can go in circles.

use std::ops::Range;

use super::bytes::{le16, le32};
use super::inode::{Inode, flag};
use super::sum::crc32c;
use super::volume::Volume;
use crate::error::{Error, Result};

/// Behind the last block of any file.
pub(super) const END: u64 = u64::MAX;
/// Levels that extents may have.
const DEEPEST: u16 = 5;

/// Blocks that follow one another in the file and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) place: u64,
}

impl Run {
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// What is known of a range of a file's blocks. What is in no run is zeros.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) range: Range<u64>,
    /// Ascending, within the range.
    pub(super) runs: Vec<Run>,
}

impl Leaf {
    /// Of nothing.
    pub(super) fn none() -> Self {
        Self {
            range: 0..0,
            runs: Vec::new(),
        }
    }

    /// The first run that ends behind a block.
    pub(super) fn from(&self, block: u64) -> Option<Run> {
        let at = self.runs.partition_point(|run| run.end() <= block);
        self.runs.get(at).copied()
    }
}

impl Volume {
    /// What is known of the range in which a block of a file lies.
    pub(super) fn leaf(&self, inode: &Inode, block: u64) -> Result<Leaf> {
        let leaf = if inode.has(flag::EXTENTS) {
            self.extents(inode, block)?
        } else {
            self.pointers(inode, block)?
        };
        Ok(self.fast.over(inode.number, leaf))
    }

    /// The place of one block.
    pub(super) fn place(&self, inode: &Inode, block: u64) -> Result<Option<u64>> {
        let leaf = self.leaf(inode, block)?;
        let run = leaf.from(block).filter(|run| run.start <= block);
        Ok(run.map(|run| run.place + (block - run.start)))
    }

    fn extents(&self, inode: &Inode, block: u64) -> Result<Leaf> {
        let bad = |why: String| Error::damaged(format!("extents of {}", inode.name()), why);
        let mut node = inode.block().to_vec();
        let mut depth = None;
        let mut range = 0..END;
        loop {
            let (magic, count, most) = (le16(&node, 0), le16(&node, 2), le16(&node, 4));
            let level = le16(&node, 6);
            let room = (node.len() - 12) / 12;
            if magic != 0xf30a || count > most || usize::from(most) > room {
                return Err(bad(format!(
                    "magic {magic:#06x}, {count} of {most} entries, room for {room}"
                )));
            }
            if level > DEEPEST || depth.is_some_and(|depth| level + 1 != depth) {
                return Err(bad(format!("level {level} below {depth:?}")));
            }
            let tail = 12 + 12 * usize::from(most);
            if depth.is_some() && self.sb.sums() {
                let sum = crc32c(inode.seed, node.get(..tail).unwrap_or_default());
                let stored = le32(&node, tail);
                if tail + 4 <= node.len() && stored != sum {
                    return Err(bad(format!(
                        "the checksum of a block is {stored:#010x} and should be {sum:#010x}"
                    )));
                }
            }
            let entries: Vec<&[u8]> = node[12..].chunks_exact(12).take(count.into()).collect();
            if level == 0 {
                let runs = self.runs(&entries, &range).map_err(bad)?;
                return Ok(Leaf { range, runs });
            }
            let key = |entry: &[u8]| u64::from(le32(entry, 0));
            let ordered = entries.windows(2).all(|two| key(two[0]) < key(two[1]));
            let Some(first) = entries.first().filter(|_| ordered) else {
                return Err(bad(format!(
                    "the keys of level {level} do not ascend, or are none"
                )));
            };
            if block < key(first).max(range.start) {
                let end = key(first).min(range.end);
                return Ok(Leaf {
                    range: range.start..end.max(range.start),
                    runs: Vec::new(),
                });
            }
            let at = entries.partition_point(|entry| key(entry) <= block) - 1;
            let end = entries.get(at + 1).map_or(range.end, |entry| key(entry));
            let start = key(entries[at]);
            if start < range.start || end > range.end {
                return Err(bad(format!("blocks {start}..{end} below {range:?}")));
            }
            range = start..end;
            let place = u64::from(le32(entries[at], 4)) | u64::from(le16(entries[at], 8)) << 32;
            node = self.block(place, &|| format!("extents of {}", inode.name()))?;
            depth = Some(level);
        }
    }

    /// The written ones among extents.
    fn runs(&self, entries: &[&[u8]], range: &Range<u64>) -> Result<Vec<Run>, String> {
        let mut runs: Vec<Run> = Vec::with_capacity(entries.len());
        let mut before = range.start;
        for entry in entries {
            let start = u64::from(le32(entry, 0));
            let len = u64::from(le16(entry, 4));
            let place = u64::from(le32(entry, 8)) | u64::from(le16(entry, 6)) << 32;
            let (len, written) = match len {
                0..=32768 => (len, true),
                len => (len - 32768, false),
            };
            if len == 0 || start < before || start + len > range.end {
                return Err(format!(
                    "{len} blocks at {start} behind {before} within {range:?}"
                ));
            }
            if !self.sb.holds(place, len) {
                let all = self.sb.blocks;
                return Err(format!("{len} blocks lie at {place} of {all}"));
            }
            before = start + len;
            if written {
                runs.push(Run { start, len, place });
            }
        }
        Ok(runs)
    }

    fn pointers(&self, inode: &Inode, block: u64) -> Result<Leaf> {
        let whose = || format!("block map of {}", inode.name());
        let per = self.sb.block / 4;
        let mut start = 12;
        if block < start {
            return self
                .pointed(&inode.block()[..48], 0, 1, None)
                .map_err(|why| Error::damaged(whose(), why));
        }
        for level in 1..=3_u32 {
            let len = per.pow(level);
            if block - start >= len {
                start += len;
                continue;
            }
            let at = 44 + 4 * level as usize;
            let mut table = inode.block()[at..at + 4].to_vec();
            // What one pointer of the table stands for, and where the table begins.
            let mut each = len;
            let mut begin = start;
            loop {
                let index = (block - begin) / each;
                let pointer = u64::from(le32(&table, index as usize * 4));
                if each == 1 || pointer == 0 {
                    let wanted = Some(index);
                    return self
                        .pointed(&table, begin, each, wanted)
                        .map_err(|why| Error::damaged(whose(), why));
                }
                begin += index * each;
                each /= per;
                table = self.block(pointer, &whose)?;
            }
        }
        Ok(Leaf {
            range: start..END,
            runs: Vec::new(),
        })
    }

    /// What a table of pointers tells, each for `each` blocks from `begin`: all of it, or if they are no
    /// single blocks the hole in which the wanted one lies.
    fn pointed(
        &self,
        table: &[u8],
        begin: u64,
        each: u64,
        wanted: Option<u64>,
    ) -> Result<Leaf, String> {
        let pointers: Vec<u64> = table
            .chunks_exact(4)
            .map(|at| u64::from(le32(at, 0)))
            .collect();
        if each > 1 {
            let wanted = wanted.unwrap_or(0) as usize;
            let zeros = pointers
                .iter()
                .skip(wanted)
                .take_while(|to| **to == 0)
                .count()
                .max(1);
            let start = begin + wanted as u64 * each;
            return Ok(Leaf {
                range: start..start + zeros as u64 * each,
                runs: Vec::new(),
            });
        }
        let mut runs: Vec<Run> = Vec::new();
        for (start, place) in (begin..).zip(&pointers) {
            match runs.last_mut() {
                _ if *place == 0 => {}
                _ if !self.sb.holds(*place, 1) => {
                    return Err(format!(
                        "block {start} lies at {place} of {}",
                        self.sb.blocks
                    ));
                }
                Some(last) if last.end() == start && last.place + last.len == *place => {
                    last.len += 1
                }
                _ => runs.push(Run {
                    start,
                    len: 1,
                    place: *place,
                }),
            }
        }
        Ok(Leaf {
            range: begin..begin + pointers.len() as u64,
            runs,
        })
    }
}
