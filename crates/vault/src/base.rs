//! An earlier map that a new one is to be built on: whether all that it leads to is there, and
//! which bytes it stands for.
//!
//! Ids alone answer both, so a holder of a write-only key can ask.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use vault_format::map::{MapKind, Node, Root, Target};
use vault_format::{ChunkId, NodeId, ObjectName};

use crate::error::{Error, Result};
use crate::session::{Session, Shared};

/// See the [module](self).
pub struct Base {
    shared: Arc<Shared>,
    id: NodeId,
    root: Root,
}

/// What a map has for a part of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where on the disk.
    pub range: Range<u64>,
    /// What is there.
    pub held: Held,
}

/// See [`Piece`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing is stored: zeros in a disk by itself, the parent's bytes in a difference.
    Hole,
    /// Explicit zeros.
    Zero,
    /// One whole chunk, whose id tells whether bytes are those.
    Chunk(ChunkId),
    /// A part of a chunk, of which no id tells.
    Part,
}

impl Session {
    /// The map with this root, to be leaned on.
    ///
    /// # Errors
    /// When the root is missing or damaged; see [`Error::is_of_map`].
    pub fn base(&self, root: &NodeId) -> Result<Base> {
        Ok(Base {
            id: *root,
            root: self.shared.nodes.root(root)?,
            shared: self.shared.clone(),
        })
    }
}

impl Base {
    /// What the map maps.
    pub fn kind(&self) -> MapKind {
        self.root.kind
    }

    /// Bytes of a segment; the last one may have less.
    pub fn segment_size(&self) -> u32 {
        self.root.segment
    }

    /// Number of segments.
    pub fn segments(&self) -> u64 {
        self.root.segments()
    }

    /// Follows the whole map and returns how many bytes of data it leads to. Costs the nodes of
    /// the map and a lookup for each chunk: much more than a small change.
    ///
    /// # Errors
    /// When a node cannot be read, or a node or chunk is in no pack that is there and whole.
    pub fn survey(&self) -> Result<u64> {
        self.plain_len(&self.id.into())?;
        match self.root.top {
            None => Ok(0),
            Some(top) => self.sum(&top, self.root.height(), &mut HashMap::new()),
        }
    }

    /// Data below a node. Each level is one lower, so this ends.
    fn sum(&self, id: &NodeId, height: u8, known: &mut HashMap<NodeId, u64>) -> Result<u64> {
        if let Some(sum) = known.get(id) {
            return Ok(*sum);
        }
        self.plain_len(&(*id).into())?;
        let mut sum = 0u64;
        if height > 0 {
            for (_, child) in self.shared.nodes.inner(id, height)?.children() {
                sum = sum.saturating_add(self.sum(child, height - 1, known)?);
            }
        } else {
            sum = self.leaf(id)?;
        }
        known.insert(*id, sum);
        Ok(sum)
    }

    /// Data of a leaf.
    fn leaf(&self, id: &NodeId) -> Result<u64> {
        if let Node::Delta(delta) = &*self.shared.nodes.get(id)? {
            self.plain_len(&delta.base().into())?;
        }
        let mut sum = 0u64;
        for entry in self.shared.nodes.leaf(id)?.entries() {
            if let Target::Chunk { id, .. } = entry.target {
                self.plain_len(&id)?;
                sum = sum.saturating_add(entry.len.into());
            }
        }
        Ok(sum)
    }

    /// Follows a part of the map, for whoever cannot afford all of it each time: from segment
    /// `first` on, until `count` segments with anything in them were seen or the disk ends. Returns
    /// the segment to go on with, 0 after the last one.
    ///
    /// # Errors
    /// As [`survey`](Self::survey).
    pub fn survey_part(&self, first: u64, count: u64) -> Result<u64> {
        let nodes = &self.shared.nodes;
        self.plain_len(&self.id.into())?;
        let (mut index, mut left) = (first, count);
        while left > 0 && index < self.segments() {
            match nodes.blank_until(&self.root, index)? {
                // At least one further, and mostly by many nodes.
                Some(next) => index = next,
                None => {
                    for height in 0..=self.root.height() {
                        if let Some(id) = nodes.descend(&self.root, index, height)? {
                            self.plain_len(&id.into())?;
                            if height == 0 {
                                self.leaf(&id)?;
                            }
                        }
                    }
                    index += 1;
                    left -= 1;
                }
            }
        }
        Ok(if index < self.segments() { index } else { 0 })
    }

    fn plain_len(&self, id: &ChunkId) -> Result<u32> {
        let place = self.shared.index.get(id);
        Ok(place.ok_or(Error::ChunkMissing { id: *id })?.plain_len)
    }

    /// If nothing is stored in segment `index`: the first segment behind it of which that is not
    /// known as well.
    ///
    /// # Errors
    /// When a node cannot be read.
    pub fn blank_until(&self, index: u64) -> Result<Option<u64>> {
        self.shared.nodes.blank_until(&self.root, index)
    }

    /// What the map has for segment `index`, from its beginning to its end.
    ///
    /// # Errors
    /// When a node cannot be read, or a chunk is in no pack that the store has.
    pub fn pieces(&self, index: u64) -> Result<Vec<Piece>> {
        let leaf = match self.shared.nodes.descend(&self.root, index, 0)? {
            Some(id) => self.shared.nodes.leaf(&id)?,
            None => Default::default(),
        };
        let start = index * u64::from(self.root.segment);
        let piece = |piece: vault_format::map::Piece| {
            let from = start + u64::from(piece.offset);
            Ok(Piece {
                range: from..from + u64::from(piece.len),
                held: match piece.target {
                    None => Held::Hole,
                    Some(Target::Zero) => Held::Zero,
                    Some(Target::Chunk { id, within }) => {
                        let whole = self.plain_len(&id)? == piece.len && within == 0;
                        if whole { Held::Chunk(id) } else { Held::Part }
                    }
                },
            })
        };
        let pieces = leaf.pieces(0, self.root.segment_len(index));
        pieces.into_iter().map(piece).collect()
    }

    /// Whether these are the bytes of this chunk.
    pub fn is_chunk(&self, id: &ChunkId, bytes: &[u8]) -> bool {
        self.shared.keys.chunk_id(bytes) == *id
    }
}

impl Error {
    /// Whether this tells that a map or what it leads to is missing, damaged or cannot be read, so
    /// that doing without that map helps.
    pub fn is_of_map(&self) -> bool {
        use store::Error::{Io, NotFound, TooShort};
        let is_pack = |name: &str| matches!(name.parse(), Ok(ObjectName::Pack(_)));
        match self {
            Self::ChunkMissing { .. }
            | Self::ChunkDamaged { .. }
            | Self::Map { .. }
            | Self::Object { .. }
            | Self::WrongHash { .. } => true,
            Self::Store(NotFound { .. } | TooShort { .. }) => true,
            // What a session cannot write ends it, and comes as another error.
            Self::Store(Io { name, .. }) => is_pack(name),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
