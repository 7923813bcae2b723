//! Reading again a little of what is said to be unchanged, and comparing.
//!
//! Whoever says what changed is believed: a range that is left out is a change that no later
//! backup by ranges will ever save. So each such backup looks at a sample of the rest and compares
//! it with the map of the last point. A difference means that the word cannot be trusted: the
//! layer is read in full, which makes the point right, and the disk is named in a warning.
//!
//! # What is looked at, and what it costs
//!
//! The sample of a layer has [`Audit::percent`] of the bytes that are said to have changed, and at
//! least [`Audit::least`]. So a backup by ranges reads at most that much more, and one segment of the
//! map, whatever the disk's size. Who wants the whole disk to be compared in so many backups asks for
//! it by [`Audit::runs`], and has the sweep come that far each time, whatever that costs. One half of it is a *sweep*: it goes on where that of the
//! last point ended, told by a cursor in the point, so that after enough backups every byte of the
//! disk was compared. The other half are *spot checks* at random, which find sooner what lies
//! close together. Where neither the map nor the disk has anything, the sweep only asks for
//! extents, 256 MiB of the disk in a step and at most 64 steps.
//!
//! Comparing takes ids of chunks alone, so a write-only key is enough. A map that refers to a part
//! of a chunk has no id for it: such a part is added to what is read as changed.

use std::num::NonZeroU32;

use disk::{BlockRead, ByteRange, ByteRanges, Content};
use vault::{Base, Held, MapKind, Piece, SegmentBuf};
use vault_format::Entropy;

use crate::backup::layer::{LayerError, append_extents};

/// How much of a disk's empty parts is asked for its extents in one step.
const BLANK: u64 = 256 << 20;
/// Most steps of a sweep that read nothing, and spot checks at least.
const STEPS: u32 = 64;
/// How much is read at once where there should be zeros.
const STEP: u64 = 256 << 10;

/// How much to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Percent of the changed bytes. 0 looks at nothing.
    pub percent: u8,
    /// Bytes of a layer at least.
    pub least: u64,
    /// In how many backups the whole of a layer shall be compared; otherwise it takes as many as it
    /// takes.
    pub runs: Option<NonZeroU32>,
}

impl Default for Audit {
    /// 5 %, and at least 1 MiB of each layer.
    fn default() -> Self {
        Self::percent(5)
    }
}

impl Audit {
    /// That much of what changed, and at least 1 MiB of each layer; with 0 nothing.
    pub fn percent(percent: u8) -> Self {
        Self {
            percent,
            least: 1 << 20,
            runs: None,
        }
    }

    /// Nothing is looked at.
    pub const OFF: Self = Self {
        percent: 0,
        least: 0,
        runs: None,
    };

    /// Bytes to look at beside `changed` bytes.
    fn budget(self, changed: u64) -> u64 {
        match self.percent {
            0 => 0,
            percent => (changed / 100)
                .saturating_mul(percent.into())
                .max(self.least),
        }
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Audited {
    /// Bytes that were read and are what the map has.
    pub(super) compared: u64,
    /// Where the next sweep begins.
    pub(super) next: u64,
    /// Bytes that cannot be compared and shall be read as if they had changed.
    pub(super) again: ByteRanges,
    /// The first place with other bytes than the map has: then the rest was not looked at.
    pub(super) differs: Option<u64>,
}

/// Compares a sample of `disk` outside `changed` with `base`; see the [module](self). The sweep
/// begins at `from`.
///
/// # Errors
/// When the disk cannot be read; when the map cannot be, or leads to what is gone
/// ([`vault::Error::is_of_map`]).
pub(super) fn audit(
    how: Audit,
    base: &Base,
    disk: &dyn BlockRead,
    kind: MapKind,
    changed: &ByteRanges,
    from: u64,
    rng: &mut dyn Entropy,
) -> Result<Audited, LayerError> {
    let mut look = Look {
        base,
        disk,
        kind,
        changed,
        read: 0,
        buf: SegmentBuf::new(),
        again: Vec::new(),
        found: Audited {
            compared: 0,
            next: if from < disk.len() { from } else { 0 },
            again: ByteRanges::default(),
            differs: None,
        },
    };
    let told = changed.within(ByteRange::new(0, disk.len()));
    let budget = how.budget(told.map(|range| range.len()).sum());
    if budget > 0 && !disk.is_empty() {
        let share = how.runs.map_or(0, |n| disk.len().div_ceil(n.get().into()));
        look.sweep(budget.div_ceil(2), share)?;
        look.spots(budget.max(look.read.saturating_add(budget / 2)), rng)?;
    }
    Ok(Audited {
        again: look.again.into_iter().collect(),
        ..look.found
    })
}

struct Look<'a> {
    base: &'a Base,
    disk: &'a dyn BlockRead,
    kind: MapKind,
    changed: &'a ByteRanges,
    /// Bytes that were read, and those that will be read again.
    read: u64,
    buf: SegmentBuf,
    again: Vec<ByteRange>,
    found: Audited,
}

impl Look<'_> {
    fn done(&self, budget: u64) -> bool {
        self.read >= budget || self.found.differs.is_some()
    }

    /// Goes on from the cursor until its share of the disk was seen and the budget is spent, or all
    /// of the disk was seen.
    fn sweep(&mut self, budget: u64, share: u64) -> Result<(), LayerError> {
        let len = self.disk.len();
        let segment = u64::from(self.base.segment_size());
        let (mut left, mut free) = (len, 0);
        while left > 0 && self.found.differs.is_none() {
            let seen = len - left;
            if seen >= share && (free >= STEPS || self.done(budget)) {
                break;
            }
            let at = self.found.next;
            // As far as the share goes it may cost what it costs.
            let owed = at.saturating_add(share.saturating_sub(seen));
            let budget_at = |at: u64| if at < owed { u64::MAX } else { budget };
            let (index, before) = (at / segment, self.read);
            let mut next = at;
            if let Some(until) = self.base.blank_until(index)? {
                let end = until.saturating_mul(segment).min(at + BLANK).min(len);
                next = self.blank(ByteRange::new(at, end), budget_at(at))?;
            } else {
                for piece in self.base.pieces(index)? {
                    if piece.range.end > at && !self.done(budget_at(next)) {
                        next = piece.range.end;
                        self.piece(&piece)?;
                    }
                }
            }
            if self.read == before {
                free += 1;
            }
            left = left.saturating_sub(next - at);
            self.found.next = if next < len { next } else { 0 };
        }
        Ok(())
    }

    /// Looks at chunks here and there.
    fn spots(&mut self, budget: u64, rng: &mut dyn Entropy) -> Result<(), LayerError> {
        let segments = self.base.segments();
        let most = STEPS.max(u32::try_from(budget >> 16).unwrap_or(u32::MAX));
        for _ in 0..most {
            if self.done(budget) {
                break;
            }
            let Some(index) = self.stored_from(below(segments, rng))? else {
                break;
            };
            let pieces = self.base.pieces(index)?;
            let pick = below(pieces.len() as u64, rng);
            if let Some(piece) = pieces.get(pick as usize) {
                self.piece(piece)?;
            }
        }
        Ok(())
    }

    /// The first segment from `start` on, or else from the first one on, that has anything.
    fn stored_from(&self, start: u64) -> Result<Option<u64>, LayerError> {
        for start in [start, 0] {
            let mut index = start;
            // Each step leaves one node of the map behind, so few lead to the next segment.
            while let Some(until) = self.base.blank_until(index)? {
                index = until;
                if index >= self.base.segments() {
                    break;
                }
            }
            if index < self.base.segments() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Compares a piece of the map. A chunk of which some is said to have changed is passed over:
    /// what the change leaves of it is a piece by itself the next time.
    fn piece(&mut self, piece: &Piece) -> Result<(), LayerError> {
        let range = ByteRange::new(piece.range.start, piece.range.end);
        let touched = self.changed.within(range).next().is_some();
        match piece.held {
            Held::Hole | Held::Zero => {
                for part in self.changed.complement(range).iter() {
                    self.empty(part, piece.held, u64::MAX)?;
                }
            }
            Held::Chunk(_) | Held::Part if touched => {}
            Held::Part => {
                self.read = self.read.saturating_add(range.len());
                self.again.push(range);
            }
            Held::Chunk(id) => {
                self.fetch(range)?;
                let mut runs = self.buf.runs();
                let hole = self.kind == MapKind::Difference
                    && runs.any(|(_, content)| content == vault::Content::Hole);
                if hole || !self.base.is_chunk(&id, self.buf.bytes()) {
                    self.found.differs = Some(range.start);
                } else {
                    self.found.compared += range.len();
                }
            }
        }
        Ok(())
    }

    /// Compares a range of which the map has nothing at all; returns how far it came.
    fn blank(&mut self, range: ByteRange, budget: u64) -> Result<u64, LayerError> {
        for part in self.changed.complement(range).iter() {
            let end = self.empty(part, Held::Hole, budget)?;
            if end < part.end {
                return Ok(end);
            }
        }
        Ok(range.end)
    }

    /// Looks whether there is still nothing, or zeros. Where the disk says that it stores data,
    /// only reading tells. Returns how far it came.
    fn empty(&mut self, range: ByteRange, held: Held, budget: u64) -> Result<u64, LayerError> {
        for extent in self.disk.extents(range).map_err(LayerError::Read)? {
            let Some(part) = extent.range.intersect(&range) else {
                continue;
            };
            let differs = match (self.kind, held, extent.content) {
                // In a difference these are not the same: a hole shows the parent.
                (MapKind::Difference, Held::Hole, content) => content != Content::Hole,
                (MapKind::Difference, _, Content::Hole) => true,
                (_, _, Content::Hole | Content::Zero) => false,
                (_, _, Content::Data) => {
                    let end = self.zeros(part, budget)?;
                    if end < part.end {
                        return Ok(end);
                    }
                    false
                }
            };
            if differs {
                self.found.differs = Some(part.start);
                return Ok(part.start);
            }
        }
        Ok(range.end)
    }

    /// Reads on while there are zeros and the budget lasts; returns how far it came.
    fn zeros(&mut self, range: ByteRange, budget: u64) -> Result<u64, LayerError> {
        for part in disk::block::windows(range.len(), STEP) {
            if self.done(budget) {
                return Ok(range.start + part.start);
            }
            let part = ByteRange::new(range.start + part.start, range.start + part.end);
            self.fetch(part)?;
            if self.buf.bytes().iter().any(|byte| *byte != 0) {
                self.found.differs = Some(part.start);
                return Ok(part.start);
            }
            self.found.compared += part.len();
        }
        Ok(range.end)
    }

    /// Reads a range into the buffer.
    fn fetch(&mut self, range: ByteRange) -> Result<(), LayerError> {
        self.buf.clear();
        let extents = self.disk.extents(range).map_err(LayerError::Read)?;
        append_extents(self.disk, range, &extents, &mut self.buf).map_err(LayerError::Read)?;
        self.read = self.read.saturating_add(range.len());
        Ok(())
    }
}

/// A random number below `n`, or 0.
fn below(n: u64, rng: &mut dyn Entropy) -> u64 {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes);
    u64::from_le_bytes(bytes).checked_rem(n).unwrap_or(0)
}
