//! Changes that lie between the same seams, and what becomes of them.

use std::collections::HashSet;
use std::ops::Range;

use vault_format::map::Target;

use super::old::OldLeaf;

/// Changes that touch the same old chunks.
pub(super) struct Cluster<'a> {
    pub(super) changed: &'a [Range<u32>],
    /// From the last seam before the changes to the first one behind them.
    pub(super) window: Range<u32>,
}

/// The clusters of `changed`, which are ascending, not empty, and do not touch.
pub(super) fn clusters<'a>(old: OldLeaf<'_>, changed: &'a [Range<u32>]) -> Vec<Cluster<'a>> {
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
    /// Most pieces that a window is left in, of patches and parts of chunks; more would shred it.
    const MAX_PIECES: usize = 12;

    /// Whether the changes are stored by themselves, in place of what they cover and beside what
    /// is left of the old chunks, instead of cutting the window anew.
    ///
    /// That pays where much more would have to be read than has changed. It is allowed while the
    /// pieces are few, and while the chunks that the window then needs are together no more than
    /// twice its length: so what is stored, and what a restore reads, never grows beyond that.
    pub(super) fn is_patch(&self, old: OldLeaf<'_>) -> bool {
        let length = |r: &Range<u32>| u64::from(r.end - r.start);
        let changed: u64 = self.changed.iter().map(length).sum();
        let window = length(&self.window);
        if window * 2 <= changed * 3 {
            return false;
        }
        let mut pieces = self.changed.len();
        let mut needed = changed;
        let mut known = HashSet::new();
        let ends = self.changed.iter().map(|r| r.end);
        let starts = self.changed.iter().map(|r| r.start);
        let kept = std::iter::once(self.window.start)
            .chain(ends)
            .zip(starts.chain([self.window.end]))
            .filter(|(start, end)| start < end);
        for piece in kept.flat_map(|(start, end)| old.leaf.pieces(start, end)) {
            pieces += usize::from(piece.target.is_some());
            if let Some(Target::Chunk { id, .. }) = piece.target
                && known.insert(id)
            {
                let Some(len) = (old.chunk_len)(&id) else {
                    return false;
                };
                needed += u64::from(len);
            }
        }
        pieces <= Self::MAX_PIECES && needed <= window * 2
    }
}
