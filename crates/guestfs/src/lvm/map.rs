//! A logical volume as a device: where each of its bytes lies.

use disk::block::check_bounds;
use disk::{BlockRead, ByteRange, Content, Extent, Geometry};

use crate::fs::Device;

/// A part of a volume whose extents lie on so many devices by turns: one of them if it is linear.
#[derive(Clone)]
pub(crate) struct Segment {
    /// Where in the volume it is.
    pub(crate) range: ByteRange,
    /// What it lies on, and where there it begins.
    pub(crate) stripes: Vec<(Device, u64)>,
    /// Bytes that lie in a row before it is the next one's turn.
    pub(crate) stripe: u64,
}

impl Segment {
    /// Where a byte lies, and how many behind it lie there too. `offset` is within the segment.
    fn place(&self, offset: u64) -> Option<(&Device, u64, u64)> {
        let count = self.stripes.len() as u64;
        let rest = self.range.len().checked_sub(offset)?;
        if count == 1 {
            let (device, start) = self.stripes.first()?;
            return Some((device, start.checked_add(offset)?, rest));
        }
        let (turn, within) = (offset.checked_div(self.stripe)?, offset % self.stripe);
        let (row, which) = (turn / count, turn % count);
        let (device, start) = self.stripes.get(usize::try_from(which).ok()?)?;
        let at = start
            .checked_add(row.checked_mul(self.stripe)?)?
            .checked_add(within)?;
        Some((device, at, (self.stripe - within).min(rest)))
    }
}

/// Segments that make a device.
pub(crate) struct Mapped {
    name: String,
    segments: Vec<Segment>,
    geometry: Geometry,
}

impl Mapped {
    /// Of segments in their order, that lie one behind the other from 0 on.
    pub(crate) fn new(name: String, segments: Vec<Segment>) -> Self {
        let devices = segments.iter().flat_map(|one| &one.stripes);
        let sectors = devices.map(|(device, _)| {
            let geometry = device.geometry();
            (geometry.logical_sector, geometry.physical_sector)
        });
        let (logical, physical) =
            sectors.fold((512, 512), |all, one| (all.0.max(one.0), all.1.max(one.1)));
        Self {
            name,
            geometry: Geometry {
                len: segments.last().map_or(0, |last| last.range.end),
                logical_sector: logical,
                physical_sector: physical,
            },
            segments,
        }
    }

    /// Calls `each` with every piece of a range: where in the volume, on which device, and where there.
    fn pieces(
        &self,
        range: ByteRange,
        each: &mut dyn FnMut(ByteRange, &Device, u64) -> disk::Result<()>,
    ) -> disk::Result<()> {
        check_bounds(self.geometry.len, range.start, range.len())?;
        let mut at = range.start;
        let first = self
            .segments
            .partition_point(|segment| segment.range.end <= at);
        let mut segments = self.segments.iter().skip(first);
        let mut segment = segments.next();
        while at < range.end {
            if segment.is_some_and(|one| one.range.end <= at) {
                segment = segments.next();
            }
            let offset = |one: &Segment| at.checked_sub(one.range.start);
            let place = segment.and_then(|one| one.place(offset(one)?));
            let Some((device, there, len)) = place.filter(|(_, _, len)| *len > 0) else {
                let why = format!("logical volume {}: byte {at} lies nowhere", self.name);
                return Err(disk::Error::Invalid(why));
            };
            let end = (at + len).min(range.end);
            each(ByteRange::new(at, end), device, there)?;
            at = end;
        }
        Ok(())
    }
}

impl BlockRead for Mapped {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        check_bounds(self.geometry.len, offset, buf.len() as u64)?;
        let range = ByteRange::new(offset, offset + buf.len() as u64);
        let mut rest = buf;
        self.pieces(range, &mut |range, device, there| {
            let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
            rest = later;
            device.read_at(there, now)
        })
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        let mut all: Vec<Extent> = Vec::new();
        self.pieces(range, &mut |range, device, there| {
            for extent in device.extents(ByteRange::new(there, there + range.len()))? {
                let start = range.start + (extent.range.start - there);
                let here = ByteRange::new(start, start + extent.range.len());
                push(&mut all, here, extent.content);
            }
            Ok(())
        })?;
        Ok(all)
    }
}

fn push(all: &mut Vec<Extent>, range: ByteRange, content: Content) {
    match all.last_mut() {
        Some(last) if last.content == content && last.range.end == range.start => {
            last.range.end = range.end;
        }
        _ => all.push(Extent { range, content }),
    }
}
