//! A leaf told by what changed against another one.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 1 | node type, 2 |
//! | 1 | 1 | node version, 1 |
//! | 2 | 2 | reserved, 0 |
//! | 4 | 32 | id of the base, which must be a leaf (type 1) |
//! | 36 | 4 | number of chunks n |
//! | 40 | 4 | number of changes m |
//! | 44 | 32·n | ids of the chunks, in the order in which the changes first use them |
//! | 44 + 32·n | 16·m | changes, like the entries of a leaf; chunk number `FFFFFFFE`: nothing stored |
//!
//! A change replaces whatever the base has in its range.

use crate::bytes::Cursor;
use crate::error::{Error, Result};
use crate::id::NodeId;

use super::leaf::{Entry, Leaf, Target, decode_entries, encode_entries};
use super::{DELTA, NODE_VERSION};

const WHAT: &str = "leaf delta";

/// One range of a segment that is not as in the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// First byte, counted from the start of the segment.
    pub offset: u32,
    /// Number of bytes; not 0.
    pub len: u32,
    /// What they are now; `None`: nothing is stored for them any more.
    pub target: Option<Target>,
}

impl Change {
    fn end(&self) -> u32 {
        self.offset + self.len
    }

    fn joins(&self, next: &Self) -> bool {
        self.end() == next.offset
            && match (self.target, next.target) {
                (None, None) | (Some(Target::Zero), Some(Target::Zero)) => true,
                (
                    Some(Target::Chunk { id: a, within }),
                    Some(Target::Chunk { id: b, within: to }),
                ) => a == b && within.checked_add(self.len) == Some(to),
                _ => false,
            }
    }
}

/// The changes that make a leaf out of its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafDelta {
    base: NodeId,
    segment: u32,
    changes: Vec<Change>,
}

impl LeafDelta {
    /// The smallest delta that makes `leaf` out of `base`, whose id is `base_id`.
    pub fn between(base_id: NodeId, base: &Leaf, leaf: &Leaf, segment: u32) -> Self {
        // Both maps cut at every boundary of either: pieces are equal or not as a whole.
        let mut cuts: Vec<u32> = [base, leaf]
            .iter()
            .flat_map(|leaf| leaf.entries())
            .flat_map(|entry| [entry.offset, entry.end()])
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut changes: Vec<Change> = Vec::new();
        for window in cuts.windows(2) {
            let [start, end] = window else { continue };
            let at = |leaf: &Leaf| {
                leaf.pieces(*start, *end)
                    .first()
                    .and_then(|piece| piece.target)
            };
            let target = at(leaf);
            if target == at(base) {
                continue;
            }
            let change = Change {
                offset: *start,
                len: end - start,
                target,
            };
            match changes.last_mut() {
                Some(last) if last.joins(&change) => last.len += change.len,
                _ => changes.push(change),
            }
        }
        Self {
            base: base_id,
            segment,
            changes,
        }
    }

    /// The leaf against which the changes are told.
    pub fn base(&self) -> NodeId {
        self.base
    }

    /// The changes, ascending.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The leaf that this delta stands for. `base` must be the leaf with the id
    /// [`base`](Self::base); that it is a leaf and no delta, [`Node::into_leaf`](super::Node)
    /// has made sure.
    pub fn apply(&self, base: &Leaf) -> Leaf {
        let mut out = Leaf::default();
        let mut at = 0;
        let mut old = base.entries();
        let mut keep = |out: &mut Leaf, from: u32, to: u32| {
            while let Some(entry) = old.first() {
                if let Some(part) = entry.part(from, to) {
                    out.push(part);
                }
                if entry.end() > to {
                    break;
                }
                old = &old[1..];
            }
        };
        for change in &self.changes {
            keep(&mut out, at, change.offset);
            if let Some(target) = change.target {
                out.push(Entry {
                    offset: change.offset,
                    len: change.len,
                    target,
                });
            }
            at = change.end();
        }
        keep(&mut out, at, self.segment);
        out
    }

    /// The bytes of the node.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![DELTA, NODE_VERSION, 0, 0];
        out.extend_from_slice(&self.base.0);
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|c| (c.offset, c.len, c.target))
            .collect();
        encode_entries(&changes, &mut out);
        out
    }

    pub(super) fn decode(mut cursor: Cursor<'_>, segment: u32) -> Result<Self> {
        cursor.reserved(2)?;
        let base = NodeId(cursor.array()?);
        let mut changes: Vec<Change> = Vec::new();
        for (offset, len, target) in decode_entries(WHAT, cursor, true)? {
            let change = Change {
                offset,
                len,
                target,
            };
            let last = changes.last();
            // A change obeys the rules of an entry; what is removed lies in the segment too.
            let entry = Entry {
                offset,
                len,
                target: target.unwrap_or(Target::Zero),
            };
            super::leaf::check(&entry, last.map_or(0, Change::end), segment)?;
            if last.is_some_and(|last| last.joins(&change)) {
                return Err(Error::damaged(WHAT, "two of its changes should be one"));
            }
            changes.push(change);
        }
        Ok(Self {
            base,
            segment,
            changes,
        })
    }
}
