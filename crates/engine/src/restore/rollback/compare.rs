//! Where a disk file differs from a restore point.
//!
//! Of a disk whose point has one layer only the ids of chunks are looked at where they tell that bytes
//! are the same, and the vault is read where they do not. Where both have nothing, nothing is read.

use disk::block::windows;
use disk::{BlockRead, ByteRange, ByteRanges, Chain, Content};
use vault::DiskReader;

use super::RollbackError;
use crate::pipeline::Stop;
use crate::restore::write::Run;

/// What is compared and written in. Every sector size divides it.
const PAGE: u64 = 4096;
/// How much of a disk is asked for its extents at once.
const WINDOW: u64 = 256 << 20;
/// What is read at once of a disk whose point has several layers.
const PART: u64 = 4 << 20;
/// Differing ranges that are remembered at once, so that memory does not grow with the disk.
const MOST: usize = 1 << 20;

/// A disk of a restore point.
pub(super) struct PointDisk {
    pub(super) chain: Chain,
    /// Its only layer.
    pub(super) alone: Option<DiskReader>,
}

/// What a comparison found.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) differing: ByteRanges,
    /// Where it ended; the end of the disk, if there were not too many ranges.
    pub(super) end: u64,
}

/// Compares from `from` on, which is 0 or where another comparison ended.
pub(super) fn compare(
    run: Run<'_>,
    point: &PointDisk,
    disk: &dyn BlockRead,
    from: u64,
) -> Result<Compared, Stop<RollbackError>> {
    let mut look = Look {
        point,
        disk,
        differing: Vec::new(),
        ours: Vec::new(),
        theirs: Vec::new(),
    };
    let part = match &point.alone {
        Some(reader) => u64::from(reader.segment_size()),
        None => PART,
    };
    let len = disk.len();
    for window in windows(len, WINDOW).skip((from / WINDOW) as usize) {
        for stored in look.stored(window)?.iter() {
            let mut at = stored.start;
            while at < stored.end {
                if run.cancel.is_cancelled() {
                    return Err(Stop::Cancelled);
                }
                let end = stored.end.min((at / part + 1) * part);
                look.piece(ByteRange::new(at, end))?;
                at = end;
            }
        }
        run.meter.add(window.len());
        if look.differing.len() >= MOST {
            return Ok(look.ended(window.end));
        }
    }
    Ok(look.ended(len))
}

struct Look<'a> {
    point: &'a PointDisk,
    disk: &'a dyn BlockRead,
    differing: Vec<ByteRange>,
    ours: Vec<u8>,
    theirs: Vec<u8>,
}

impl Look<'_> {
    fn ended(self, end: u64) -> Compared {
        let len = self.disk.len();
        let whole = self.differing.iter().map(|range| {
            let whole = range.align_out(PAGE);
            ByteRange::new(whole.start, whole.end.min(len))
        });
        Compared {
            differing: whole.collect(),
            end,
        }
    }

    /// Where one of both has data.
    fn stored(&self, window: ByteRange) -> Result<ByteRanges, Stop<RollbackError>> {
        let here = self.disk.extents(window).map_err(RollbackError::disk)?;
        let there = self.point.chain.extents(window);
        let there = there.map_err(RollbackError::vault)?;
        let data = here.into_iter().chain(there);
        let data = data.filter(|extent| extent.content == Content::Data);
        Ok(data.map(|extent| extent.range).collect())
    }

    fn piece(&mut self, range: ByteRange) -> Result<(), Stop<RollbackError>> {
        // A part at most, which is a segment or PART.
        self.ours.resize(range.len() as usize, 0);
        let read = self.disk.read_at(range.start, &mut self.ours);
        read.map_err(RollbackError::disk)?;
        let unlike = match &self.point.alone {
            Some(reader) => reader
                .unlike(range.start, &self.ours)
                .map_err(|e| Stop::Failed(RollbackError::Vault(e.to_string())))?,
            None => std::iter::once(range.start..range.end).collect(),
        };
        for part in unlike {
            self.theirs.resize((part.end - part.start) as usize, 0);
            let read = self.point.chain.read_at(part.start, &mut self.theirs);
            read.map_err(RollbackError::vault)?;
            let from = (part.start - range.start) as usize;
            let ours = self.ours.get(from..).unwrap_or_default();
            let pages = ours.chunks(PAGE as usize);
            let pages = pages.zip(self.theirs.chunks(PAGE as usize));
            let mut at = part.start;
            for (ours, theirs) in pages {
                let next = at + theirs.len() as u64;
                if ours.get(..theirs.len()) != Some(theirs) {
                    match self.differing.last_mut() {
                        Some(last) if last.end == at => last.end = next,
                        _ => self.differing.push(ByteRange::new(at, next)),
                    }
                }
                at = next;
            }
        }
        Ok(())
    }
}
