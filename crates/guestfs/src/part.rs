//! A part of a disk that is a disk again: a partition.

use disk::block::check_bounds;
use disk::{BlockRead, ByteRange, Extent, Geometry};

/// A range of a disk. Offsets count from its start.
pub struct Part<D> {
    disk: D,
    range: ByteRange,
}

impl<D: BlockRead> Part<D> {
    /// The part of `disk` in `range`, cut where the disk ends.
    pub fn new(disk: D, range: ByteRange) -> Self {
        let end = range.end.min(disk.len());
        let range = ByteRange::new(range.start.min(end), end);
        Self { disk, range }
    }
}

impl<D: BlockRead> BlockRead for Part<D> {
    fn geometry(&self) -> Geometry {
        Geometry {
            len: self.range.len(),
            ..self.disk.geometry()
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        check_bounds(self.range.len(), offset, buf.len() as u64)?;
        self.disk.read_at(self.range.start + offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        check_bounds(self.range.len(), range.start, range.len())?;
        let start = self.range.start;
        let there = ByteRange::new(start + range.start, start + range.end);
        let mut found = self.disk.extents(there)?;
        for extent in &mut found {
            let there = extent.range;
            extent.range = ByteRange::new(there.start - start, there.end - start);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::MemFile;
    use disk::raw::RawDisk;

    #[test]
    fn a_part_begins_at_nought_and_ends_where_it_ends() {
        let disk = RawDisk::open(MemFile::new((0..200).collect())).unwrap();
        let part = Part::new(&disk, ByteRange::new(50, 1000));
        assert_eq!(part.len(), 150);
        let mut two = [0; 2];
        part.read_at(148, &mut two).unwrap();
        assert_eq!(two, [198, 199]);
        assert!(part.read_at(149, &mut two).is_err());
        let extents = part.extents(ByteRange::new(10, 20)).unwrap();
        assert_eq!(extents[0].range, ByteRange::new(10, 20));
        assert!(part.extents(ByteRange::new(10, 151)).is_err());
    }
}
