//! The contents of a file.

use disk::ByteRange;
use disk::block::check_bounds;

use super::items::{EXTENT, Extent, Place};
use super::tree::{Key, Tree};
use super::unpack::unpack;
use super::volume::Volume;
use crate::error::{Error, Result};
use crate::fs::Content;
use crate::node::Obstacle;

/// The contents of an inode.
pub(super) struct Contents<'a> {
    pub(super) volume: &'a Volume,
    pub(super) tree: Tree,
    pub(super) inode: u64,
    pub(super) len: u64,
    pub(super) summed: bool,
    held: Option<Span>,
}

/// A range of a file, and what is there.
struct Span {
    range: ByteRange,
    what: What,
}

enum What {
    Hole,
    /// Bytes from the range's start on, zeros behind them.
    Bytes(Vec<u8>),
    Data(u64),
}

impl<'a> Contents<'a> {
    pub(super) fn new(volume: &'a Volume, tree: Tree, inode: u64, len: u64, summed: bool) -> Self {
        Self {
            volume,
            tree,
            inode,
            len,
            summed,
            held: None,
        }
    }

    fn extent(&self, key: Key, bytes: &[u8]) -> Result<Extent> {
        let sector = self.volume.superblock.sector;
        Extent::parse(key, bytes, sector)?
            .map_err(|odd| Error::Obstacle(Obstacle::Unknown(format!("btrfs data, {odd}"))))
    }

    /// What is at `offset`.
    fn span(&self, offset: u64) -> Result<Span> {
        let key = Key::new(self.inode, EXTENT, offset);
        let found = self.volume.find_last(self.tree, key)?;
        if let Some(found) = found {
            let extent = self.extent(found.key, found.bytes())?;
            let start = found.key.offset;
            let end = start.saturating_add(extent.len);
            if offset < end {
                let range = ByteRange::new(start, end);
                let what = self.what(range, &extent, found.bytes())?;
                return Ok(Span { range, what });
            }
        }
        let mut next = self.volume.from(self.tree, key)?;
        let next = next.next_of(self.inode, EXTENT)?;
        let end = next.map_or(self.len, |found| found.key.offset.min(self.len));
        Ok(Span {
            range: ByteRange::new(offset, end.max(offset + 1)),
            what: What::Hole,
        })
    }

    fn what(&self, range: ByteRange, extent: &Extent, item: &[u8]) -> Result<What> {
        let sector = self.volume.superblock.sector as usize;
        let unpacked = |bytes: &[u8]| {
            // What the item says was checked against the most that an extent has.
            unpack(extent.packing, bytes, extent.unpacked as usize, sector).map_err(|why| {
                let name = format!(
                    "btrfs file extent of inode {} at {}",
                    self.inode, range.start
                );
                Error::damaged(name, why)
            })
        };
        Ok(match extent.at {
            Place::Hole => What::Hole,
            Place::Inline(at) => {
                let bytes = item.get(at..).unwrap_or_default();
                What::Bytes(match extent.packing {
                    0 => bytes.to_vec(),
                    _ => unpacked(bytes)?,
                })
            }
            Place::Data { address, skip, .. } if extent.packing == 0 => What::Data(address + skip),
            Place::Data { address, len, skip } => {
                let mut bytes = vec![0; len as usize];
                self.volume.data(address, &mut bytes, self.summed)?;
                What::Bytes(unpacked(&bytes)?.split_off(skip as usize))
            }
        })
    }
}

impl Content for Contents<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_bounds(self.len, offset, buf.len() as u64)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let held = self.held.take();
            let span = match held.filter(|span| span.range.start <= at && at < span.range.end) {
                Some(span) => span,
                None => self.span(at)?,
            };
            let len = (span.range.end - at).min(rest.len() as u64) as usize;
            let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
            let within = at - span.range.start;
            match &span.what {
                What::Hole => now.fill(0),
                What::Bytes(bytes) => {
                    now.fill(0);
                    let bytes = bytes.get(within as usize..).unwrap_or_default();
                    let len = bytes.len().min(now.len());
                    now[..len].copy_from_slice(&bytes[..len]);
                }
                What::Data(address) => self.volume.data(address + within, now, self.summed)?,
            }
            rest = later;
            at += len as u64;
            self.held = Some(span);
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        let stored = |found: &super::cursor::Found| -> Result<Option<ByteRange>> {
            let extent = self.extent(found.key, found.bytes())?;
            let start = found.key.offset.max(from);
            let end = found.key.offset.saturating_add(extent.len).min(self.len);
            let there = extent.at != Place::Hole && start < end;
            Ok(there.then_some(ByteRange::new(start, end)))
        };
        if from >= self.len {
            return Ok(None);
        }
        let key = Key::new(self.inode, EXTENT, from);
        let before = self.volume.find_last(self.tree, key)?;
        if let Some(range) = before.as_ref().map(stored).transpose()?.flatten() {
            return Ok(Some(range));
        }
        let mut cursor = self.volume.from(self.tree, key)?;
        while let Some(found) = cursor.next_of(self.inode, EXTENT)? {
            if found.key.offset >= self.len {
                break;
            }
            if let Some(range) = stored(&found)? {
                return Ok(Some(range));
            }
        }
        Ok(None)
    }
}
