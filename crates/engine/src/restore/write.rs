//! Writing one disk or file out of a vault: workers fetch, decrypt and decompress, one thread
//! writes.
//!
//! What is written was verified on the way: every chunk's contents must hash to the id by which
//! the map names it, or the restore fails at that disk.

use std::sync::Mutex;

use disk::block::windows;
use disk::{BlockRead, ByteRange, Content, DiskWrite, WriteAt};
use vault::{DiskReader, SegmentBuf};

use crate::cancel::Cancel;
use crate::pipeline::{Limits, Over, Stop, run};
use crate::progress::Meter;
use crate::restore::layer::content;

/// Why a disk could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Out of the vault.
    #[error("{0}")]
    Vault(#[from] vault::Error),
    /// Out of a chain of layers in the vault.
    #[error("{0}")]
    Read(disk::Error),
    /// Into the target.
    #[error("{0}")]
    Write(disk::Error),
    /// Into the target, a plain file.
    #[error("{0}")]
    WriteFile(std::io::Error),
}

/// Buffers that go round.
type Pool<T> = Mutex<Vec<T>>;

fn take<T: Default>(pool: &Pool<T>) -> T {
    pool.lock()
        .unwrap_or_else(|e| e.into_inner())
        .pop()
        .unwrap_or_default()
}

fn give<T>(pool: &Pool<T>, buf: T) {
    pool.lock().unwrap_or_else(|e| e.into_inner()).push(buf);
}

/// How a restore runs.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) limits: Limits,
    pub(crate) cancel: &'a Cancel,
    pub(crate) meter: &'a Meter<'a>,
}

/// Writes one layer as it is: data, zeros that hide a parent, and holes that do not. A layer
/// without a parent is a whole disk.
pub(crate) fn layer(
    run_: Run<'_>,
    reader: &DiskReader,
    differencing: bool,
    writer: &mut dyn DiskWrite,
) -> Result<(), Stop<WriteError>> {
    let segment = u64::from(reader.segment_size());
    let pool: Pool<SegmentBuf> = Mutex::default();
    run(
        run_.limits,
        run_.cancel,
        |feeder| {
            stored(reader, |index| {
                feeder.feed(index, segment).map_err(|Over| None)
            })
        },
        |index: &mut u64| {
            let mut buf = take(&pool);
            reader.read_segment(*index, &mut buf)?;
            let bytes = buf.len() as u64;
            Ok(((*index, buf), bytes))
        },
        |(index, buf): &mut (u64, SegmentBuf)| {
            let start = *index * segment;
            let mut done = 0;
            for (part, kind) in buf.runs() {
                let at = start + part.start as u64;
                match content(kind) {
                    Content::Data => {
                        done += part.len() as u64;
                        writer
                            .write_at(at, &buf.bytes()[part])
                            .map_err(WriteError::Write)?;
                    }
                    Content::Zero if differencing => {
                        let range = ByteRange::new(at, start + part.end as u64);
                        writer.write_zeros(range).map_err(WriteError::Write)?;
                    }
                    Content::Zero | Content::Hole => {}
                }
            }
            run_.meter.add(done);
            give(&pool, std::mem::take(buf));
            Ok(())
        },
    )
}

/// Calls `each` for every segment of which something is stored.
fn stored(
    reader: &DiskReader,
    mut each: impl FnMut(u64) -> Result<(), Option<WriteError>>,
) -> Result<(), Option<WriteError>> {
    const WINDOW: u64 = 1 << 30;
    let segment = u64::from(reader.segment_size());
    let mut next = 0;
    for window in windows(reader.len(), WINDOW) {
        let extents = reader
            .extents(window.start..window.end)
            .map_err(|e| Some(e.into()))?;
        for extent in extents {
            if extent.content == vault::Content::Hole {
                continue;
            }
            for index in
                (extent.range.start / segment).max(next)..extent.range.end.div_ceil(segment)
            {
                each(index)?;
            }
            next = next.max(extent.range.end.div_ceil(segment));
        }
    }
    Ok(())
}

/// Bytes of data of a map; a progress bar's full length.
pub(crate) fn data_len(disk: &dyn BlockRead) -> disk::Result<u64> {
    let mut total = 0u64;
    for window in windows(disk.len(), 1 << 30) {
        for extent in disk.extents(window)? {
            if extent.content == Content::Data {
                total = total.saturating_add(extent.range.len());
            }
        }
    }
    Ok(total)
}

/// Writes a chain as a disk that stands alone.
pub(crate) fn flat(
    run_: Run<'_>,
    disk: &dyn BlockRead,
    writer: &mut dyn DiskWrite,
) -> Result<(), Stop<WriteError>> {
    const PART: u64 = 4 << 20;
    let pool: Pool<Vec<u8>> = Mutex::default();
    run(
        run_.limits,
        run_.cancel,
        |feeder| {
            for window in windows(disk.len(), 64 * PART) {
                for extent in disk
                    .extents(window)
                    .map_err(|e| Some(WriteError::Read(e)))?
                {
                    if extent.content != Content::Data {
                        continue;
                    }
                    // No chunk reaches beyond a segment, so none is fetched for two parts.
                    let mut at = extent.range.start;
                    while at < extent.range.end {
                        let end = extent.range.end.min((at / PART + 1) * PART);
                        let range = ByteRange::new(at, end);
                        feeder.feed(range, range.len()).map_err(|Over| None)?;
                        at = end;
                    }
                }
            }
            Ok(())
        },
        |range: &mut ByteRange| {
            let mut buf = take(&pool);
            // At most PART.
            buf.resize(range.len() as usize, 0);
            disk.read_at(range.start, &mut buf)
                .map_err(WriteError::Read)?;
            Ok(((range.start, buf), range.len()))
        },
        |(start, buf): &mut (u64, Vec<u8>)| {
            writer.write_at(*start, buf).map_err(WriteError::Write)?;
            run_.meter.add(buf.len() as u64);
            give(&pool, std::mem::take(buf));
            Ok(())
        },
    )
}

/// Writes a file byte for byte.
pub(crate) fn file(
    run_: Run<'_>,
    reader: &DiskReader,
    target: &dyn WriteAt,
) -> Result<(), Stop<WriteError>> {
    target
        .set_len(reader.len())
        .map_err(|e| Stop::Failed(WriteError::WriteFile(e)))?;
    let segment = u64::from(reader.segment_size());
    let pool: Pool<SegmentBuf> = Mutex::default();
    run(
        run_.limits,
        run_.cancel,
        |feeder| {
            (0..reader.segments())
                .try_for_each(|index| feeder.feed(index, segment).map_err(|Over| None))
        },
        |index: &mut u64| {
            let mut buf = take(&pool);
            reader.read_segment(*index, &mut buf)?;
            let bytes = buf.len() as u64;
            Ok(((*index, buf), bytes))
        },
        |(index, buf): &mut (u64, SegmentBuf)| {
            target
                .write_all_at(buf.bytes(), *index * segment)
                .map_err(WriteError::WriteFile)?;
            run_.meter.add(buf.len() as u64);
            give(&pool, std::mem::take(buf));
            Ok(())
        },
    )
}
