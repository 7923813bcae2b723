//! The contents of a file: extents, and zeros where there are none.

use disk::{BlockRead as _, ByteRange};

use super::fork::{Extent, Fork, Format, Leaf};
use super::volume::Volume;
use crate::error::{Error, Result};
use crate::fs::{Content, Lies, Place};

/// Contents that are open.
pub(super) struct Contents<'a> {
    volume: &'a Volume,
    fork: Fork,
    len: u64,
    leaf: Leaf,
}

impl<'a> Contents<'a> {
    pub(super) fn new(volume: &'a Volume, fork: Fork, len: u64) -> Result<Self> {
        if !matches!(fork.format, Format::List | Format::Tree) {
            return Err(fork.damaged("those of a file are neither a list nor a tree"));
        }
        let leaf = Leaf::default();
        Ok(Self {
            volume,
            fork,
            len,
            leaf,
        })
    }

    /// The extent that a byte lies in, or the next one, that has content; cut to the file.
    fn next(&mut self, from: u64) -> Result<Option<(ByteRange, Extent)>> {
        let log = self.volume.sb.block_log;
        let mut block = from >> log;
        loop {
            let Some(extent) = self.fork.next(self.volume, block, &mut self.leaf)? else {
                return Ok(None);
            };
            let start = extent.start.checked_mul(1 << log);
            let Some(start) = start.filter(|start| *start < self.len) else {
                return Ok(None);
            };
            if extent.unwritten {
                block = extent.end();
                continue;
            }
            let end = start.saturating_add(extent.count << log).min(self.len);
            return Ok(Some((ByteRange::new(start, end), extent)));
        }
    }
}

impl Content for Contents<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        disk::block::check_bounds(self.len, offset, buf.len() as u64)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let next = self.next(at)?;
            let gap = next.map_or(u64::MAX, |(range, _)| range.start.saturating_sub(at));
            let gap = rest.len().min(usize::try_from(gap).unwrap_or(usize::MAX));
            let (hole, later) = rest.split_at_mut(gap);
            hole.fill(0);
            at += gap as u64;
            rest = later;
            let Some((range, extent)) = next.filter(|_| !rest.is_empty()) else {
                continue;
            };
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(left.min(rest.len()));
            let place = self.volume.sb.byte_of(extent.place);
            let place = place.ok_or_else(|| Error::damaged("extent", "it is not on the disk"))?;
            self.volume
                .device
                .read_at(place + (at - range.start), now)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        if from >= self.len {
            return Ok(None);
        }
        let next = self.next(from)?;
        Ok(next.map(|(range, _)| ByteRange::new(range.start.max(from), range.end)))
    }

    fn place(&mut self, from: u64) -> Result<Option<Place>> {
        let (end, lies) = match self.next(from)? {
            None => (self.len, Lies::Nowhere),
            Some((range, _)) if range.start > from => (range.start, Lies::Nowhere),
            Some((range, extent)) => {
                let place = self.volume.sb.byte_of(extent.place);
                let place =
                    place.ok_or_else(|| Error::damaged("extent", "it is not on the disk"))?;
                (range.end, Lies::At(place + (from - range.start)))
            }
        };
        let range = ByteRange::new(from, end);
        Ok(Some(Place { range, lies }))
    }
}
