//! A device on which what is in the journal is in its place.

use disk::block::check_bounds;
use disk::{BlockRead, ByteRange, Content, Extent, Geometry};

use super::log::MAGIC;
use super::scan::ESCAPED;
use crate::fs::Device;

/// Blocks of a device, some of which are read from elsewhere on it.
pub(in crate::ext) struct Overlay {
    device: Device,
    block: u64,
    /// Blocks in ascending order, and where each is read from.
    moved: Vec<(u64, u64)>,
}

impl Overlay {
    pub(in crate::ext) fn new(device: Device, block: u64, moved: Vec<(u64, u64)>) -> Self {
        Self {
            device,
            block,
            moved,
        }
    }

    /// The first block from this one on that is read from elsewhere.
    pub(in crate::ext) fn next_moved(&self, block: u64) -> Option<u64> {
        let at = self.moved.partition_point(|(moved, _)| *moved < block);
        self.moved.get(at).map(|(moved, _)| *moved)
    }

    /// Reads a part of a block that is elsewhere.
    fn moved(&self, place: u64, within: u64, buf: &mut [u8]) -> disk::Result<()> {
        let there = place & !ESCAPED;
        self.device.read_at(there * self.block + within, buf)?;
        if place & ESCAPED != 0 {
            let magic = MAGIC.to_be_bytes();
            let head = magic.get(within as usize..).unwrap_or_default();
            for (byte, right) in buf.iter_mut().zip(head) {
                *byte = *right;
            }
        }
        Ok(())
    }
}

impl BlockRead for Overlay {
    fn geometry(&self) -> Geometry {
        self.device.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        check_bounds(self.device.len(), offset, buf.len() as u64)?;
        let (mut at, mut rest) = (offset, buf);
        let mut next = self
            .moved
            .partition_point(|(block, _)| *block < at / self.block);
        while !rest.is_empty() {
            let (block, within) = (at / self.block, at % self.block);
            let moved = self.moved.get(next).copied();
            let until = match moved {
                Some((first, _)) if first == block => self.block - within,
                Some((first, _)) => (first - block).saturating_mul(self.block) - within,
                None => u64::MAX,
            };
            let len = until.min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(len as usize);
            match moved {
                Some((first, place)) if first == block => {
                    self.moved(place, within, now)?;
                    next += 1;
                }
                _ => self.device.read_at(at, now)?,
            }
            rest = later;
            at += len;
        }
        Ok(())
    }

    /// All of it, since what is a hole below may be in the journal.
    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        check_bounds(self.device.len(), range.start, range.len())?;
        let content = Content::Data;
        Ok(match range.is_empty() {
            true => Vec::new(),
            false => vec![Extent { range, content }],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use disk::MemFile;
    use disk::raw::RawDisk;
    use testkit::image::noise;

    use super::*;

    #[test]
    fn any_read_sees_blocks_in_their_places() {
        let bytes = noise(3, 64 * 100 + 17);
        let moved = vec![(2, 90), (3, 91 | ESCAPED), (7, 20), (99, 5)];
        let mut right = bytes.clone();
        for (block, place) in &moved {
            let there = (place & !ESCAPED) as usize * 64;
            right[*block as usize * 64..][..64].copy_from_slice(&bytes[there..there + 64]);
        }
        right[3 * 64..][..4].copy_from_slice(&MAGIC.to_be_bytes());
        let device: Device = Arc::new(RawDisk::open(MemFile::new(bytes)).unwrap());
        let overlay = Overlay::new(device, 64, moved);
        for offset in (0..right.len()).step_by(7) {
            for len in [0, 1, 3, 64, 65, 200, 5000] {
                let len = len.min(right.len() - offset);
                let mut read = vec![0; len];
                overlay.read_at(offset as u64, &mut read).unwrap();
                assert!(read == right[offset..offset + len], "{len} at {offset}");
            }
        }
        assert!(overlay.read_at(right.len() as u64, &mut [0]).is_err());
    }
}
