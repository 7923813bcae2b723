//! Reading one layer or file into the vault.

use std::ops::Range;

use disk::{BlockRead, ByteRange, ByteRanges, Content, ReadAt};
use vault::{DiskWriter, Layout, NodeId, SegmentBuf, Session, Written};

use crate::backup::hands::Hands;
use crate::backup::plan;
use crate::backup::prior::kind;
use crate::pipeline::{Over, Stop, run};
use crate::point::Stats;
use crate::progress::Meter;
use crate::source::FrozenLayer;

/// Why a layer could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    /// It could not be read; others may be.
    #[error("{0}")]
    Read(disk::Error),
    /// A file could not be read; others may be.
    #[error("{0}")]
    ReadFile(std::io::Error),
    /// The vault failed, and with it the VM.
    #[error("{0}")]
    Vault(vault::Error),
}

impl From<vault::Error> for LayerError {
    /// A vault that reports the source's own error only passed it on.
    fn from(error: vault::Error) -> Self {
        match error {
            vault::Error::Source(source) => match source.downcast::<disk::Error>() {
                Ok(disk) => Self::Read(*disk),
                Err(source) => Self::Vault(vault::Error::Source(source)),
            },
            error => Self::Vault(error),
        }
    }
}

fn layout(layer: &FrozenLayer) -> Layout {
    let geometry = layer.info.geometry;
    Layout {
        kind: kind(layer),
        len: geometry.len,
        logical_sector: geometry.logical_sector,
        physical_sector: geometry.physical_sector,
    }
}

/// A map in the making.
struct Map {
    writer: DiskWriter,
    /// Bytes of data that the map leads to which it continues.
    base_data: u64,
}

/// A map that is complete.
pub(crate) struct Mapped {
    pub(crate) root: NodeId,
    pub(crate) stats: Stats,
    /// Bytes that it takes in packs.
    pub(crate) stored: u64,
}

impl Map {
    /// With a base, its root and the bytes of data that it leads to.
    fn begin(
        session: &Session,
        layout: Layout,
        base: Option<(NodeId, u64)>,
    ) -> Result<Self, Stop<LayerError>> {
        let writer = session
            .disk(layout, base.map(|(root, _)| root))
            .map_err(|e| Stop::Failed(e.into()))?;
        Ok(Self {
            writer,
            base_data: base.map_or(0, |(_, data)| data),
        })
    }

    /// Completes it; `read` bytes were read for it.
    fn finish(self, read: u64) -> Result<Mapped, Stop<LayerError>> {
        let data = self
            .base_data
            .saturating_add_signed(self.writer.data_change());
        let finished = self.writer.finish_telling();
        let (root, Written { new_data, stored }) = finished.map_err(|e| Stop::Failed(e.into()))?;
        let stats = Stats {
            data,
            read,
            new: new_data,
        };
        Ok(Mapped {
            root,
            stats,
            stored,
        })
    }
}

/// Reads everything that a layer stores.
pub(crate) fn full(
    hands: &Hands<'_>,
    session: &Session,
    layer: &FrozenLayer,
    meter: &Meter<'_>,
) -> Result<Mapped, Stop<LayerError>> {
    let disk = &*layer.data;
    let map = Map::begin(session, layout(layer), None)?;
    let writer = &map.writer;
    let (job, pool) = (hands.job, &hands.pool);
    let mut read = 0;
    run(
        job.limits,
        job.cancel,
        |feeder| {
            plan::stored_segments(disk, writer.segment_size(), |index, range, extents| {
                // Before it is read: what is read is in memory.
                let Some(loan) = hands.budget.take(range.len(), &|| feeder.is_over()) else {
                    return Err(None);
                };
                let mut buf = pool.take();
                append_extents(disk, range, extents, &mut buf).map_err(Some)?;
                let bytes = buf.len() as u64;
                let fed = feeder.feed((index, buf, loan), bytes);
                fed.map_err(|Over| None)
            })
            .map_err(|stop| stop.map(LayerError::Read))
        },
        |(index, buf, _)| {
            writer.put_segment(*index, buf)?;
            let data = data_bytes(buf);
            pool.give(std::mem::take(buf));
            Ok((data, 0))
        },
        |bytes| count(meter, &mut read, *bytes),
    )?;
    map.finish(read)
}

/// Reads what changed in a layer since the map `base` was made of it, which leads to `base_data`
/// bytes of data.
pub(crate) fn changed(
    hands: &Hands<'_>,
    session: &Session,
    layer: &FrozenLayer,
    base: (NodeId, u64),
    ranges: &ByteRanges,
    meter: &Meter<'_>,
) -> Result<Mapped, Stop<LayerError>> {
    let disk = &*layer.data;
    let map = Map::begin(session, layout(layer), Some(base))?;
    let writer = &map.writer;
    let segment = u64::from(writer.segment_size());
    let (job, pool) = (hands.job, &hands.pool);
    let mut read = 0;
    run(
        job.limits,
        job.cancel,
        |feeder| {
            // Each unit counts as a whole segment, which is the most that its work reads at once.
            plan::touched(disk.len(), segment, ranges).try_for_each(|index| {
                let Some(loan) = hands.budget.take(segment, &|| feeder.is_over()) else {
                    return Err(None);
                };
                let fed = feeder.feed((index, loan), segment);
                fed.map_err(|Over| None)
            })
        },
        |(index, _)| {
            let start = *index * segment;
            let window = ByteRange::new(start, (start + segment).min(disk.len()));
            let within: Vec<Range<u32>> = ranges
                .within(window)
                .map(|r| (r.start - start) as u32..(r.end - start) as u32)
                .collect();
            let mut buf = pool.take();
            let mut bytes = 0;
            writer.put_changed(*index, &within, &mut buf, |part, buf| {
                let range =
                    ByteRange::new(start + u64::from(part.start), start + u64::from(part.end));
                let from = buf.len();
                let extents = disk.extents(range).map_err(vault::Error::source)?;
                append_extents(disk, range, &extents, buf).map_err(vault::Error::source)?;
                bytes += (buf.len() - from) as u64;
                Ok(())
            })?;
            pool.give(buf);
            Ok((bytes, 0))
        },
        |bytes| count(meter, &mut read, *bytes),
    )?;
    map.finish(read)
}

fn count(meter: &Meter<'_>, read: &mut u64, bytes: u64) -> Result<(), LayerError> {
    meter.add(bytes);
    *read += bytes;
    Ok(())
}

/// Appends the contents of `range`, of which `extents` are the extents.
pub(crate) fn append_extents(
    disk: &dyn BlockRead,
    range: ByteRange,
    extents: &[disk::Extent],
    buf: &mut SegmentBuf,
) -> disk::Result<()> {
    for extent in extents {
        let Some(part) = extent.range.intersect(&range) else {
            continue;
        };
        // A range within a segment, whose size is bounded.
        let len = part.len() as usize;
        match extent.content {
            Content::Data => disk.read_at(part.start, buf.push_data_mut(len))?,
            Content::Zero => buf.push(vault::Content::Zero, len),
            Content::Hole => buf.push(vault::Content::Hole, len),
        }
    }
    Ok(())
}

fn data_bytes(buf: &SegmentBuf) -> u64 {
    buf.runs()
        .filter(|(_, content)| *content == vault::Content::Data)
        .map(|(range, _)| range.len() as u64)
        .sum()
}

/// Reads a whole file.
pub(crate) fn file(
    hands: &Hands<'_>,
    session: &Session,
    data: &dyn ReadAt,
    meter: &Meter<'_>,
) -> Result<(Mapped, u64), Stop<LayerError>> {
    let read_error = |e| Stop::Failed(LayerError::ReadFile(e));
    let len = data.len().map_err(read_error)?;
    let map = Map::begin(session, Layout::file(len), None)?;
    let writer = &map.writer;
    let (job, pool) = (hands.job, &hands.pool);
    run(
        job.limits,
        job.cancel,
        |feeder| {
            for index in 0..writer.segments() {
                let size = writer.segment_len(index) as usize;
                let Some(loan) = hands.budget.take(size as u64, &|| feeder.is_over()) else {
                    return Err(None);
                };
                let mut buf = pool.take();
                let offset = index * u64::from(writer.segment_size());
                data.read_exact_at(buf.push_data_mut(size), offset)
                    .map_err(|e| Some(LayerError::ReadFile(e)))?;
                feeder
                    .feed((index, buf, loan), size as u64)
                    .map_err(|Over| None)?;
            }
            Ok(())
        },
        |(index, buf, _)| {
            writer.put_segment(*index, buf)?;
            let bytes = buf.len() as u64;
            pool.give(std::mem::take(buf));
            Ok((bytes, 0))
        },
        |bytes| {
            meter.add(*bytes);
            Ok(())
        },
    )?;
    Ok((map.finish(len)?, len))
}
