//! The contents of a file: blocks, or bytes within the inode.

use disk::{BlockRead, ByteRange};

use super::inode::{Inode, flag};
use super::map::Leaf;
use super::volume::Volume;
use crate::error::{Error, Result};
use crate::fs::{Content, Lies, Place};

/// Parts of a block map without anything in them that are passed over one after the other.
const MOST_EMPTY: u32 = 1 << 20;

/// Contents that are read from where they lie.
pub(super) struct Stored<'a> {
    volume: &'a Volume,
    inode: Inode,
    len: u64,
    inline: Option<Vec<u8>>,
    leaf: Leaf,
}

impl<'a> Stored<'a> {
    /// All that an inode has.
    pub(super) fn new(volume: &'a Volume, inode: Inode) -> Result<Self> {
        let len = inode.size();
        if len > i64::MAX as u64 {
            return Err(Error::damaged(inode.name(), format!("it has {len} bytes")));
        }
        let inline = match inode.has(flag::INLINE_DATA) {
            true => Some(volume.inline(&inode)?),
            false => None,
        };
        if let Some(bytes) = &inline
            && (bytes.len() as u64) < len
        {
            return Err(Error::damaged(
                inode.name(),
                format!("it has {len} bytes, and {} within the inode", bytes.len()),
            ));
        }
        Ok(Self {
            volume,
            inode,
            len,
            inline,
            leaf: Leaf::none(),
        })
    }

    fn leaf(&mut self, block: u64) -> Result<&Leaf> {
        if !self.leaf.range.contains(&block) {
            self.leaf = self.volume.leaf(&self.inode, block)?;
        }
        Ok(&self.leaf)
    }

    /// All of it, if it is no more than `most` bytes.
    pub(super) fn all(&mut self, most: u64) -> Result<Vec<u8>> {
        if self.len > most {
            return Err(Error::damaged(
                self.inode.name(),
                format!("it has {} bytes where {most} are the most", self.len),
            ));
        }
        let mut bytes = vec![0; self.len as usize];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

impl Content for Stored<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        disk::block::check_bounds(self.len, offset, buf.len() as u64)?;
        if let Some(bytes) = &self.inline {
            let there = bytes.get(offset as usize..).unwrap_or_default();
            let there = there.get(..buf.len()).unwrap_or_default();
            buf.copy_from_slice(there);
            return Ok(());
        }
        let size = self.volume.sb.block;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let block = at / size;
            let leaf = self.leaf(block)?;
            let run = leaf.from(block);
            let end = match run {
                Some(run) if run.start <= block => run.end(),
                Some(run) => run.start,
                None => leaf.range.end,
            };
            let len = end
                .saturating_mul(size)
                .saturating_sub(at)
                .min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(len as usize);
            match run.filter(|run| run.start <= block) {
                Some(run) => {
                    let place = (run.place + (block - run.start)) * size + at % size;
                    self.volume.device().read_at(place, now)?;
                }
                None => now.fill(0),
            }
            rest = later;
            at += len;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        if from >= self.len {
            return Ok(None);
        }
        if self.inline.is_some() {
            return Ok(Some(ByteRange::new(from, self.len)));
        }
        let (size, len) = (self.volume.sb.block, self.len);
        let mut block = from / size;
        for _ in 0..MOST_EMPTY {
            let leaf = self.leaf(block)?;
            if let Some(run) = leaf.from(block) {
                let start = (run.start.max(block)).saturating_mul(size).max(from);
                if start >= len {
                    return Ok(None);
                }
                let mut end = run.end();
                let at = leaf.runs.partition_point(|other| other.start <= run.start);
                for next in leaf.runs.get(at..).unwrap_or_default() {
                    if next.start != end {
                        break;
                    }
                    end = next.end();
                }
                let end = end.saturating_mul(size).min(len);
                return Ok(Some(ByteRange::new(start, end)));
            }
            block = leaf.range.end;
            if block.saturating_mul(size) >= len {
                return Ok(None);
            }
        }
        Err(Error::damaged(
            format!("block map of {}", self.inode.name()),
            "too many of its parts lead to nothing",
        ))
    }

    fn place(&mut self, from: u64) -> Result<Option<Place>> {
        let told = |end: u64, lies| {
            let range = ByteRange::new(from, end);
            Some(Place { range, lies })
        };
        if self.inline.is_some() {
            return Ok(told(self.len, Lies::Apart));
        }
        let (size, len) = (self.volume.sb.block, self.len);
        let block = from / size;
        let leaf = self.leaf(block)?;
        let run = leaf.from(block);
        let Some(run) = run.filter(|run| run.start <= block) else {
            let end = run.map_or(leaf.range.end, |run| run.start);
            return Ok(told(end.saturating_mul(size).min(len), Lies::Nowhere));
        };
        let first = run.place + (block - run.start);
        // What the journal has is read from there.
        let (until, lies) = match self.volume.next_moved(first) {
            Some(moved) if moved == first => (block + 1, Lies::Apart),
            moved => {
                let until = moved.map_or(u64::MAX, |moved| block.saturating_add(moved - first));
                (until.min(run.end()), Lies::At(first * size + from % size))
            }
        };
        Ok(told(until.saturating_mul(size).min(len), lies))
    }
}
