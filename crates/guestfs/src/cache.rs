//! The blocks of a device that were read last, so that metadata is fetched once.
//!
//! Metadata is small, near to other metadata, and read again and again; contents are read once, and in
//! large pieces. So small reads go through blocks that are kept, and large ones past them.

use std::sync::{Arc, Mutex, PoisonError};

use disk::{BlockRead, ByteRange, Extent, Geometry};

use crate::recent::Recent;

/// Bytes of a block.
const BLOCK: u64 = 16 << 10;
/// Reads of more bytes are not kept.
const LARGE: usize = 128 << 10;
/// Blocks that are kept: 16 MiB.
const MOST: usize = 1024;

/// A device with a bounded memory of what was read.
pub struct Cached<D> {
    device: D,
    kept: Mutex<Recent<Arc<[u8]>>>,
}

impl<D: BlockRead> Cached<D> {
    /// Keeps what is read of `device` by small reads.
    pub fn new(device: D) -> Self {
        let kept = Mutex::new(Recent::new(MOST));
        Self { device, kept }
    }

    fn block(&self, number: u64) -> disk::Result<Arc<[u8]>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = kept().get(number) {
            return Ok(block);
        }
        let start = number * BLOCK;
        let len = BLOCK.min(self.device.len() - start);
        let mut block = vec![0; len as usize];
        self.device.read_at(start, &mut block)?;
        let block: Arc<[u8]> = block.into();
        kept().put(number, block.clone());
        Ok(block)
    }
}

impl<D: BlockRead> BlockRead for Cached<D> {
    fn geometry(&self) -> Geometry {
        self.device.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        disk::block::check_bounds(self.device.len(), offset, buf.len() as u64)?;
        if buf.len() > LARGE {
            return self.device.read_at(offset, buf);
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let block = self.block(at / BLOCK)?;
            let within = (at % BLOCK) as usize;
            let len = rest.len().min(block.len() - within);
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(&block[within..within + len]);
            rest = later;
            at += len as u64;
        }
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.device.extents(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::MemFile;
    use disk::raw::RawDisk;
    use testkit::image::noise;

    #[test]
    fn reads_anywhere_of_any_length_are_those_of_the_device() {
        let bytes = noise(1, 20_000_000);
        let disk = RawDisk::open(MemFile::new(bytes.clone())).unwrap();
        let cached = Cached::new(&disk);
        let mut seed = 7_u64;
        for _ in 0..3000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let offset = (seed >> 20) as usize % bytes.len();
            let len = (seed as usize % 40_000).min(bytes.len() - offset);
            let mut read = vec![0; len];
            cached.read_at(offset as u64, &mut read).unwrap();
            assert!(read == bytes[offset..offset + len], "{len} at {offset}");
        }
        assert!(cached.kept.lock().unwrap().len() <= MOST);
        assert!(cached.read_at(19_999_999, &mut [0; 2]).is_err());
    }
}
