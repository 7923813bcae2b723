//! The leaf that is continued: what lies where, and where it may be cut.
//!
//! Every entry tells where its whole chunk would lie, had nothing of it been replaced. Where these
//! places overlap they make up a *window*; a *seam* is any place that lies inside of none. So
//! between the parts of a split chunk, and the patches in it, there is no seam. What is cut anew
//! begins and ends on seams: it is cut just as if no chunk had ever been split, and comes out as
//! chunks that the vault knows wherever nothing has changed.

use std::ops::Range;

use vault_format::ChunkId;
use vault_format::map::{Entry, Leaf, Piece, Target};

/// Tells the plain length of a chunk, if it is known.
pub(crate) type ChunkLen<'a> = &'a dyn Fn(&ChunkId) -> Option<u32>;

/// A leaf of a segment of `len` bytes, and where its chunks lie.
pub(super) struct OldLeaf<'a> {
    pub(super) leaf: &'a Leaf,
    pub(super) len: u32,
    chunk_len: ChunkLen<'a>,
    /// Where chunks lie, or have lain; ascending, and two may touch.
    pub(super) windows: Vec<Range<u32>>,
}

/// A chunk of which something is used.
pub(super) struct Place {
    pub(super) id: ChunkId,
    /// Its length, if it is known.
    pub(super) len: Option<u32>,
    /// Where all of it would lie in the segment; just what is used, and what is before it, if
    /// nobody knows how long it is.
    pub(super) range: Range<u32>,
}

impl<'a> OldLeaf<'a> {
    /// Asks once for the length of the chunk of each entry.
    pub(super) fn new(leaf: &'a Leaf, len: u32, chunk_len: ChunkLen<'a>) -> Self {
        let mut old = Self {
            leaf,
            len,
            chunk_len,
            windows: Vec::new(),
        };
        let entries = leaf.entries().iter();
        let places = entries.filter_map(|e| old.place(e.offset, e.len, Some(e.target)));
        old.windows = joined(places.map(|place| place.range).collect());
        old
    }

    /// Where the chunk lies of which `target` is used at `offset`, if it is one.
    pub(super) fn place(&self, offset: u32, len: u32, target: Option<Target>) -> Option<Place> {
        let Some(Target::Chunk { id, within }) = target else {
            return None;
        };
        let whole = (self.chunk_len)(&id);
        let start = i64::from(offset) - i64::from(within);
        let used = i64::from(offset) + i64::from(len);
        let end = whole.map_or(used, |whole| used.max(start + i64::from(whole)));
        let inside = |at: i64| at.clamp(0, self.len.into()) as u32;
        Some(Place {
            id,
            len: whole,
            range: inside(start)..inside(end),
        })
    }

    /// The piece that holds `at`.
    pub(super) fn at(&self, at: u32) -> Piece {
        let entries = self.leaf.entries();
        let next = entries.partition_point(|e| e.end() <= at);
        match entries.get(next) {
            Some(entry) if entry.offset <= at => Piece {
                offset: entry.offset,
                len: entry.len.min(self.len - entry.offset),
                target: Some(entry.target),
            },
            other => {
                let before = next.checked_sub(1).and_then(|i| entries.get(i));
                let offset = before.map_or(0, Entry::end);
                let end = other.map_or(self.len, |e| e.offset.min(self.len));
                Piece {
                    offset,
                    len: end - offset,
                    target: None,
                }
            }
        }
    }

    /// Whether the old cuts end or begin at `at`, or nothing is stored around it.
    pub(super) fn is_seam(&self, at: u32) -> bool {
        self.window(at).is_none()
    }

    /// The last seam at or before `at`.
    pub(super) fn seam_before(&self, at: u32) -> u32 {
        self.window(at).map_or(at, |window| window.start)
    }

    /// The first seam at or behind `at`.
    pub(super) fn seam_behind(&self, at: u32) -> u32 {
        self.window(at).map_or(at, |window| window.end)
    }

    /// The window that `at` is inside of; its borders are not.
    fn window(&self, at: u32) -> Option<&Range<u32>> {
        let next = self.windows.partition_point(|w| w.end <= at);
        self.windows.get(next).filter(|w| w.start < at)
    }
}

/// What ranges cover together, where those that overlap are one. Ranges that only touch stay two.
pub(super) fn joined(mut ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    ranges.sort_unstable_by_key(|r| (r.start, r.end));
    let mut out: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.end > range.start => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests;
