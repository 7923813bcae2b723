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
use crate::restore::turn::{Turns, Window};

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
    /// Beside the target, its journal.
    #[error("{0}")]
    Journal(std::io::Error),
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

/// How far a disk is, and who wants to know when it is further.
///
/// A unit is what is fetched at once: a segment of which something is stored, or a part of an extent.
/// They are counted in the order of the disk, and written in it.
pub(crate) struct Course<'a> {
    /// Units that are in the file already.
    pub(crate) done: u64,
    /// Bytes of data after which what is written is made durable.
    pub(crate) every: u64,
    /// Hears how many units are durable.
    pub(crate) durable: &'a mut dyn FnMut(u64) -> Result<(), WriteError>,
}

impl Course<'_> {
    /// Makes what was written durable when it is time; `since` counts what is not.
    fn look(
        &mut self,
        units: u64,
        since: &mut u64,
        writer: &mut dyn DiskWrite,
    ) -> Result<(), WriteError> {
        if *since < self.every {
            return Ok(());
        }
        *since = 0;
        writer.checkpoint().map_err(WriteError::Write)?;
        (self.durable)(units)
    }
}

/// Writes one layer as it is: data, zeros that hide a parent, and holes that do not. A layer
/// without a parent is a whole disk.
pub(crate) fn layer(
    run_: Run<'_>,
    reader: &DiskReader,
    differencing: bool,
    writer: &mut dyn DiskWrite,
    course: &mut Course<'_>,
) -> Result<(), Stop<WriteError>> {
    let segment = u64::from(reader.segment_size());
    let pool: Pool<SegmentBuf> = Mutex::default();
    let done = course.done;
    let window = Window::new(run_.limits, segment, done);
    let mut turns = Turns::new(&window, done);
    let mut since = 0;
    run(
        run_.limits,
        run_.cancel,
        |feeder| {
            stored(reader, |number, index| match number < done {
                true => Ok(()),
                false => window
                    .feed(feeder, number, index, segment)
                    .map_err(|Over| None),
            })
        },
        |(number, index): &mut (u64, u64)| {
            let mut buf = take(&pool);
            reader.read_segment(*index, &mut buf)?;
            let bytes = buf.len() as u64;
            Ok(((*number, *index, buf), bytes))
        },
        |(number, index, buf): &mut (u64, u64, SegmentBuf)| {
            let unit = (*index, std::mem::take(buf));
            turns.take(*number, unit, |number, (index, buf)| {
                let start = index * segment;
                let mut written = 0;
                for (part, kind) in buf.runs() {
                    let at = start + part.start as u64;
                    match content(kind) {
                        Content::Data => {
                            written += part.len() as u64;
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
                run_.meter.add(written);
                give(&pool, buf);
                since += written;
                course.look(number + 1, &mut since, writer)
            })
        },
    )
}

/// Tells a writer all that [`layer`] would tell it of the first `units` units, without the bytes; the
/// bytes of data in them.
pub(crate) fn rehearse_layer(
    reader: &DiskReader,
    differencing: bool,
    writer: &mut dyn DiskWrite,
    units: u64,
    cancel: &Cancel,
) -> Result<u64, Stop<WriteError>> {
    let segment = u64::from(reader.segment_size());
    let nothing = vec![0; segment as usize];
    let mut data = 0;
    rehearsed(stored(reader, |number, index| {
        if number >= units || cancel.is_cancelled() {
            return Err(None);
        }
        let start = index * segment;
        let end = start + u64::from(reader.segment_len(index));
        for extent in reader.extents(start..end).map_err(|e| Some(e.into()))? {
            let range = ByteRange::new(extent.range.start, extent.range.end);
            let told = match content(extent.content) {
                Content::Data => {
                    data += range.len();
                    // Within a segment.
                    writer.write_at(range.start, &nothing[..range.len() as usize])
                }
                Content::Zero if differencing => writer.write_zeros(range),
                Content::Zero | Content::Hole => Ok(()),
            };
            told.map_err(|e| Some(WriteError::Write(e)))?;
        }
        Ok(())
    }))?;
    match cancel.is_cancelled() {
        true => Err(Stop::Cancelled),
        false => Ok(data),
    }
}

/// As [`rehearse_layer`], of what [`flat`] would tell.
pub(crate) fn rehearse_flat(
    disk: &dyn BlockRead,
    writer: &mut dyn DiskWrite,
    units: u64,
    cancel: &Cancel,
) -> Result<u64, Stop<WriteError>> {
    let nothing = vec![0; PART as usize];
    let mut data = 0;
    rehearsed(parts(disk, |number, range| {
        if number >= units || cancel.is_cancelled() {
            return Err(None);
        }
        data += range.len();
        let told = writer.write_at(range.start, &nothing[..range.len() as usize]);
        told.map_err(|e| Some(WriteError::Write(e)))
    }))?;
    match cancel.is_cancelled() {
        true => Err(Stop::Cancelled),
        false => Ok(data),
    }
}

/// The end of a rehearsal is no error.
fn rehearsed(told: Result<(), Option<WriteError>>) -> Result<(), Stop<WriteError>> {
    match told {
        Ok(()) | Err(None) => Ok(()),
        Err(Some(error)) => Err(Stop::Failed(error)),
    }
}

/// Calls `each` for every segment of which something is stored, with how many came before it.
fn stored(
    reader: &DiskReader,
    mut each: impl FnMut(u64, u64) -> Result<(), Option<WriteError>>,
) -> Result<(), Option<WriteError>> {
    const WINDOW: u64 = 1 << 30;
    let segment = u64::from(reader.segment_size());
    let (mut next, mut number) = (0, 0);
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
                each(number, index)?;
                number += 1;
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

/// Most bytes of a part of an extent.
const PART: u64 = 4 << 20;

/// Calls `each` for every part of the disk's data, with how many came before it.
fn parts(
    disk: &dyn BlockRead,
    mut each: impl FnMut(u64, ByteRange) -> Result<(), Option<WriteError>>,
) -> Result<(), Option<WriteError>> {
    let mut number = 0;
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
                each(number, ByteRange::new(at, end))?;
                number += 1;
                at = end;
            }
        }
    }
    Ok(())
}

/// Writes a chain as a disk that stands alone.
pub(crate) fn flat(
    run_: Run<'_>,
    disk: &dyn BlockRead,
    writer: &mut dyn DiskWrite,
    course: &mut Course<'_>,
) -> Result<(), Stop<WriteError>> {
    let pool: Pool<Vec<u8>> = Mutex::default();
    let done = course.done;
    let window = Window::new(run_.limits, PART, done);
    let mut turns = Turns::new(&window, done);
    let mut since = 0;
    run(
        run_.limits,
        run_.cancel,
        |feeder| {
            parts(disk, |number, range| match number < done {
                true => Ok(()),
                false => window
                    .feed(feeder, number, range, range.len())
                    .map_err(|Over| None),
            })
        },
        |(number, range): &mut (u64, ByteRange)| {
            let mut buf = take(&pool);
            // At most PART.
            buf.resize(range.len() as usize, 0);
            disk.read_at(range.start, &mut buf)
                .map_err(WriteError::Read)?;
            Ok(((*number, range.start, buf), range.len()))
        },
        |(number, start, buf): &mut (u64, u64, Vec<u8>)| {
            let unit = (*start, std::mem::take(buf));
            turns.take(*number, unit, |number, (start, buf)| {
                writer.write_at(start, &buf).map_err(WriteError::Write)?;
                let written = buf.len() as u64;
                run_.meter.add(written);
                give(&pool, buf);
                since += written;
                course.look(number + 1, &mut since, writer)
            })
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
