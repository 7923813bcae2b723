//! Changes that lie between the same seams, and what becomes of them.

use std::collections::HashSet;
use std::ops::Range;

use super::old::{OldLeaf, joined};

/// Changes that touch the same old chunks.
pub(super) struct Cluster<'a> {
    pub(super) changed: &'a [Range<u32>],
    /// From the last seam before the changes to the first one behind them.
    pub(super) window: Range<u32>,
}

/// The clusters of `changed`, which are ascending, not empty, and do not touch.
pub(super) fn clusters<'a>(old: &OldLeaf<'_>, changed: &'a [Range<u32>]) -> Vec<Cluster<'a>> {
    let mut out: Vec<Cluster<'a>> = Vec::new();
    let mut first = 0;
    for (i, range) in changed.iter().enumerate() {
        let window = old.seam_before(range.start)..old.seam_behind(range.end);
        match out.last_mut() {
            Some(last) if last.window.end > window.start => {
                last.window.end = last.window.end.max(window.end);
                last.changed = &changed[first..=i];
            }
            _ => {
                first = i;
                out.push(Cluster {
                    changed: &changed[i..=i],
                    window,
                });
            }
        }
    }
    out
}

impl Cluster<'_> {
    /// Most pieces that a window is left in, of changes and parts of chunks; more would shred it.
    const MAX_PIECES: usize = 12;

    /// Whether the changes are stored by themselves, in place of what they cover and beside what
    /// is left of the old chunks, instead of cutting the window anew.
    ///
    /// That pays where much more would have to be read than has changed. It is allowed while the
    /// pieces of each window are few, and while the chunks that it then needs are together no
    /// more than twice its length: so what is stored, and what a restore reads, never grows
    /// beyond that. A change counts as one piece, although a long one is cut into several.
    pub(super) fn is_patch(&self, old: &OldLeaf<'_>) -> bool {
        let length = |r: &Range<u32>| u64::from(r.end - r.start);
        let changed: u64 = self.changed.iter().map(length).sum();
        if length(&self.window) * 2 <= changed * 3 {
            return false;
        }
        let ends = self.changed.iter().map(|r| r.end);
        let starts = self.changed.iter().map(|r| r.start);
        let kept = std::iter::once(self.window.start)
            .chain(ends)
            .zip(starts.chain([self.window.end]))
            .filter(|(start, end)| start < end)
            .flat_map(|(start, end)| old.leaf.pieces(start, end));
        // What each piece needs, and where all of that lies.
        let mut pieces: Vec<(Range<u32>, u64)> = Vec::new();
        let mut known = HashSet::new();
        for piece in kept {
            let Some(place) = old.place(piece.offset, piece.len, piece.target) else {
                continue;
            };
            let Some(len) = place.len else {
                return false;
            };
            // The parts of a chunk need it once.
            let first = known.insert((place.id, place.range.start));
            let needed = if first { len.into() } else { 0 };
            pieces.push((place.range, needed));
        }
        pieces.sort_unstable_by_key(|(range, _)| (range.start, range.end));
        let mut rest = &pieces[..];
        let windows = joined(pieces.iter().map(|(range, _)| range.clone()).collect());
        windows.iter().all(|window| {
            let inside = rest.partition_point(|(range, _)| range.end <= window.end);
            let (kept, behind) = rest.split_at(inside);
            rest = behind;
            // Of a change that reaches beyond, the rest is as long as what it needs.
            let first = self.changed.partition_point(|r| r.end <= window.start);
            let new = self.changed[first..]
                .iter()
                .take_while(|r| r.start < window.end)
                .map(|r| r.start.max(window.start)..r.end.min(window.end));
            let count = kept.len() + new.clone().count();
            let kept: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
            let new: u64 = new.map(|r| length(&r)).sum();
            count <= Self::MAX_PIECES && kept + new <= length(window) * 2
        })
    }
}
