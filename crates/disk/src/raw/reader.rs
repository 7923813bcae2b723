//! Reading a raw image.

use crate::block::{BlockRead, Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::extent::{Content, Extent, ExtentList};
use crate::io::ReadAt;
use crate::layer::{Format, Layer, LayerInfo};
use crate::range::ByteRange;
use crate::raw::AllocationProbe;

/// A raw image open for reading. Its size is the file's length when it was opened.
pub struct RawDisk<F> {
    file: F,
    info: LayerInfo,
    probe: Option<Box<dyn AllocationProbe>>,
}

impl<F: ReadAt> RawDisk<F> {
    /// Opens `file`; every byte counts as data.
    pub fn open(file: F) -> Result<Self> {
        let len = file
            .len()
            .map_err(Error::io("asking for the raw image's length"))?;
        Ok(Self {
            file,
            info: LayerInfo {
                geometry: Geometry {
                    len,
                    logical_sector: 512,
                    physical_sector: 512,
                },
                format: Format::Raw,
                parent: None,
            },
            probe: None,
        })
    }

    /// Adds a probe that knows the file's holes.
    pub fn with_probe(mut self, probe: impl AllocationProbe + 'static) -> Self {
        self.probe = Some(Box::new(probe));
        self
    }
}

impl<F: ReadAt> Layer for RawDisk<F> {
    fn info(&self) -> &LayerInfo {
        &self.info
    }
}

impl<F: ReadAt> BlockRead for RawDisk<F> {
    fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_bounds(self.info.geometry.len, offset, buf.len() as u64)?;
        self.file
            .read_exact_at(buf, offset)
            .map_err(Error::io("reading the raw image"))
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        check_bounds(self.info.geometry.len, range.start, range.len())?;
        let mut list = ExtentList::new();
        let Some(probe) = &self.probe else {
            list.push(range, Content::Data);
            return Ok(list.into_vec());
        };
        let allocated = probe
            .allocated(range)
            .map_err(Error::io("asking for the raw image's holes"))?;
        let mut from = range.start;
        for data in allocated.within(range) {
            list.push(ByteRange::new(from, data.start), Content::Hole);
            list.push(data, Content::Data);
            from = data.end;
        }
        list.push(ByteRange::new(from, range.end), Content::Hole);
        Ok(list.into_vec())
    }
}
