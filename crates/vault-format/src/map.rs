//! Disk maps: which chunk holds which bytes of a disk, as a tree by virtual address.
//!
//! The disk is cut into segments (4 MiB unless the vault says otherwise). A [`Leaf`] maps one
//! segment, an [`Inner`] node has up to 256 children, a [`Root`] names the top of the tree and
//! says how long the disk is. Nodes are named by a keyed hash of their encoded bytes and stored
//! as chunks of map packs, so two disks, or two days of one disk, share every part in which they
//! are equal. What is absent (no entry, no child) was not stored: it reads as zeros, or, in a
//! difference layer, as the parent.
//!
//! A leaf may also be stored as a [`LeafDelta`]: the changes against another leaf, which must be
//! a whole one. So a small change costs a small node, and reading costs at most one node more.
//!
//! Encodings are canonical: one value has one encoding, and decoders refuse any other. Files are
//! mapped the same way as disks. `docs/format/map.md` has the tables.

mod delta;
mod inner;
mod leaf;
mod root;

pub use delta::{Change, LeafDelta};
pub use inner::{FANOUT, Inner};
pub use leaf::{Entry, Leaf, Piece, Target};
pub use root::{MAX_DISK_LEN, MapKind, Root, check_segment, height_for};

use crate::bytes::Cursor;
use crate::error::{Error, Result};
use crate::id::NodeId;

/// Largest encoded node, in bytes.
pub const MAX_NODE_LEN: usize = 8 << 20;
/// Smallest segment size that a vault may choose.
pub const MIN_SEGMENT: u32 = 64 << 10;
/// Largest segment size that a vault may choose.
pub const MAX_SEGMENT: u32 = 16 << 20;
/// The segment size of new vaults.
pub const DEFAULT_SEGMENT: u32 = 4 << 20;

const NODE_VERSION: u8 = 1;
const LEAF: u8 = 1;
const DELTA: u8 = 2;
const INNER: u8 = 3;
const ROOT: u8 = 4;

/// A node of a disk map, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// The map of one segment.
    Leaf(Leaf),
    /// The same, told by its difference to another leaf.
    Delta(LeafDelta),
    /// Up to 256 children.
    Inner(Inner),
    /// The top.
    Root(Root),
}

impl Node {
    /// Reads a node of a map whose segments have `segment` bytes.
    ///
    /// # Errors
    /// When the type or version is unknown, or the node breaks any rule of its type.
    pub fn decode(bytes: &[u8], segment: u32) -> Result<Self> {
        const WHAT: &str = "map node";
        check_segment(segment)?;
        crate::error::limit(WHAT, "length", bytes.len() as u64, MAX_NODE_LEN as u64)?;
        let mut cursor = Cursor::new(WHAT, bytes);
        let (kind, version) = (cursor.u8()?, cursor.u8()?);
        if !(LEAF..=ROOT).contains(&kind) {
            return Err(Error::damaged(
                WHAT,
                format!("node type {kind} of version {version}, which this program does not know"),
            ));
        }
        if version != NODE_VERSION {
            return Err(Error::UnknownVersion {
                object: WHAT,
                version: version.into(),
                known: NODE_VERSION.into(),
            });
        }
        Ok(match kind {
            LEAF => Self::Leaf(Leaf::decode(cursor, segment)?),
            DELTA => Self::Delta(LeafDelta::decode(cursor, segment)?),
            INNER => Self::Inner(Inner::decode(cursor)?),
            _ => Self::Root(Root::decode(cursor, segment)?),
        })
    }

    /// The bytes of the node.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(node) => node.encode(),
            Self::Delta(node) => node.encode(),
            Self::Inner(node) => node.encode(),
            Self::Root(node) => node.encode(),
        }
    }

    /// Other nodes that this one names: children, the base of a delta, the top of the tree.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Leaf(_) => Vec::new(),
            Self::Delta(delta) => vec![delta.base()],
            Self::Inner(inner) => inner.children().iter().map(|(_, id)| *id).collect(),
            Self::Root(root) => root.top.into_iter().collect(),
        }
    }

    /// What the node is, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Leaf(_) => "leaf",
            Self::Delta(_) => "leaf delta",
            Self::Inner(_) => "inner node",
            Self::Root(_) => "map root",
        }
    }
}

macro_rules! into_node {
    ($($variant:ident($type:ty), $take:ident, $what:literal;)*) => {$(
        impl From<$type> for Node {
            fn from(node: $type) -> Self {
                Self::$variant(node)
            }
        }

        impl Node {
            #[doc = concat!("The ", $what, ", or an error that tells what the node is instead.")]
            pub fn $take(self) -> Result<$type> {
                match self {
                    Self::$variant(node) => Ok(node),
                    other => Err(Error::WrongKind { expected: $what, found: other.name().to_owned() }),
                }
            }
        }
    )*};
}
into_node! {
    Leaf(Leaf), into_leaf, "leaf";
    Delta(LeafDelta), into_delta, "leaf delta";
    Inner(Inner), into_inner, "inner node";
    Root(Root), into_root, "map root";
}

#[cfg(test)]
mod tests;
