//! The leaf that is continued: what lies where, and where it may be cut.
//!
//! A *seam* is a place at which the old cuts begin and end: the chunk on its left is used to its
//! end, the one on its right from its beginning. What is cut anew begins and ends on seams, so
//! that it is cut just as if the whole segment were, and comes out as chunks that the vault knows
//! wherever nothing has changed. Between the parts of a split chunk and the patches in it there
//! is no seam.

use vault_format::ChunkId;
use vault_format::map::{Entry, Leaf, Piece, Target};

/// Tells the plain length of a chunk, if it is known.
pub(crate) type ChunkLen<'a> = &'a dyn Fn(&ChunkId) -> Option<u32>;

/// A leaf of a segment of `len` bytes, and the lengths of its chunks.
#[derive(Clone, Copy)]
pub(super) struct OldLeaf<'a> {
    pub(super) leaf: &'a Leaf,
    pub(super) len: u32,
    pub(super) chunk_len: ChunkLen<'a>,
}

impl OldLeaf<'_> {
    /// The piece that holds `at`.
    pub(super) fn at(&self, at: u32) -> Piece {
        let entries = self.leaf.entries();
        let next = self.next(at);
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

    /// Whether no chunk is cut in two at `at`, nor two of its parts or a part and a patch are
    /// parted there. Where nothing is stored on one side, it is enough that the other is whole.
    pub(super) fn is_seam(&self, at: u32) -> bool {
        if at == 0 || at >= self.len {
            return true;
        }
        let entries = self.leaf.entries();
        let (before, behind) = entries.split_at(self.next(at));
        let left = before.iter().rev().find(|e| is_stored(&e.target));
        let right = behind.iter().find(|e| is_stored(&e.target));
        if right.is_some_and(|e| e.offset < at) {
            return false;
        }
        let ends = left.is_none_or(|e| match e.target {
            Target::Chunk { id, within } => {
                (self.chunk_len)(&id).is_some_and(|len| within.checked_add(e.len) == Some(len))
            }
            Target::Zero => true,
        });
        let begins = right.is_none_or(|e| !matches!(e.target, Target::Chunk { within: 1.., .. }));
        match (left, right) {
            (Some(left), Some(right)) if left.end() == right.offset => ends && begins,
            _ => ends || begins,
        }
    }

    /// The last seam at or before `at`.
    pub(super) fn seam_before(&self, mut at: u32) -> u32 {
        while !self.is_seam(at) {
            // Not 0, which is a seam.
            at = self.at(at - 1).offset;
        }
        at
    }

    /// The first seam at or behind `at`.
    pub(super) fn seam_behind(&self, mut at: u32) -> u32 {
        while !self.is_seam(at) {
            let piece = self.at(at);
            at = piece.offset + piece.len;
        }
        at
    }

    /// Index of the first entry that ends behind `at`.
    fn next(&self, at: u32) -> usize {
        self.leaf.entries().partition_point(|e| e.end() <= at)
    }
}

fn is_stored(target: &Target) -> bool {
    matches!(target, Target::Chunk { .. })
}

#[cfg(test)]
mod tests;
