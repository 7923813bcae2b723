//! The top of a map: what is mapped, how long it is, and where the tree begins.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 1 | node type, 4 |
//! | 1 | 1 | node version, 1 |
//! | 2 | 1 | kind: 1 disk, 2 difference layer, 3 file |
//! | 3 | 1 | height of the top node: 0 leaf, 1 inner node above leaves, … |
//! | 4 | 4 | segment size in bytes |
//! | 8 | 8 | length in bytes |
//! | 16 | 4 | logical sector size (512 or 4096; 0 for a file) |
//! | 20 | 4 | physical sector size (512 or 4096; 0 for a file) |
//! | 24 | 4 | 1 when a top node follows, 0 when nothing at all was stored |
//! | 28 | 32 | id of the top node, if one follows |

use crate::bytes::Cursor;
use crate::error::{Error, Result, limit};
use crate::id::NodeId;

use super::{FANOUT, MAX_SEGMENT, MIN_SEGMENT, NODE_VERSION, ROOT};

const WHAT: &str = "map root";
/// Longest disk or file that can be mapped, in bytes.
pub const MAX_DISK_LEN: u64 = 1 << 56;
pub(super) const MAX_HEIGHT: u8 = 5;

/// What a map maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// A disk by itself: what is absent reads as zeros.
    Disk,
    /// A layer that holds differences to a parent: what is absent reads as the parent does.
    Difference,
    /// A file: what is absent reads as zeros.
    File,
}

impl MapKind {
    fn code(self) -> u8 {
        match self {
            Self::Disk => 1,
            Self::Difference => 2,
            Self::File => 3,
        }
    }
}

/// The root of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// What is mapped.
    pub kind: MapKind,
    /// Segment size in bytes: the vault's.
    pub segment: u32,
    /// Length of the disk or file in bytes.
    pub len: u64,
    /// Logical sector size of a disk; 0 for a file.
    pub logical_sector: u32,
    /// Physical sector size of a disk; 0 for a file.
    pub physical_sector: u32,
    /// The top of the tree, of height [`height_for`]`(len, segment)`; `None` when nothing at
    /// all was stored.
    pub top: Option<NodeId>,
}

impl Root {
    /// Checks what a root must satisfy. [`encode`](Self::encode) writes any root; check the ones
    /// that are made of foreign numbers first.
    pub fn check(&self) -> Result<()> {
        check_segment(self.segment)?;
        limit(WHAT, "length", self.len, MAX_DISK_LEN)?;
        let sectors = [self.logical_sector, self.physical_sector];
        let fine = match self.kind {
            MapKind::File => sectors == [0, 0],
            MapKind::Disk | MapKind::Difference => sectors.iter().all(|s| matches!(s, 512 | 4096)),
        };
        if !fine {
            return Err(Error::damaged(
                WHAT,
                format!("{:?} with sectors {sectors:?}", self.kind),
            ));
        }
        if self.len == 0 && self.top.is_some() {
            return Err(Error::damaged(WHAT, "a tree for no bytes"));
        }
        Ok(())
    }

    /// Number of segments, the last one perhaps shorter.
    pub fn segments(&self) -> u64 {
        self.len.div_ceil(self.segment.into())
    }

    /// Height of the top node: 0 for a leaf.
    pub fn height(&self) -> u8 {
        height_for(self.len, self.segment)
    }

    /// Number of bytes of segment `index` that lie on the disk.
    pub fn segment_len(&self, index: u64) -> u32 {
        let start = index.saturating_mul(self.segment.into());
        self.len.saturating_sub(start).min(self.segment.into()) as u32
    }

    /// The places to descend through from the top node to the leaf of segment `index`; empty
    /// when the top is the leaf.
    pub fn path(&self, index: u64) -> impl Iterator<Item = u8> + use<> {
        (0..self.height())
            .rev()
            .map(move |level| (index >> (8 * level)) as u8)
    }

    /// The bytes of the node.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ROOT, NODE_VERSION, self.kind.code(), self.height()];
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.logical_sector.to_le_bytes());
        out.extend_from_slice(&self.physical_sector.to_le_bytes());
        out.extend_from_slice(&u32::from(self.top.is_some()).to_le_bytes());
        out.extend(self.top.iter().flat_map(|id| id.0));
        out
    }

    pub(super) fn decode(mut cursor: Cursor<'_>, segment: u32) -> Result<Self> {
        let kind = match cursor.u8()? {
            1 => MapKind::Disk,
            2 => MapKind::Difference,
            3 => MapKind::File,
            other => return Err(Error::damaged(WHAT, format!("unknown kind {other}"))),
        };
        let height = cursor.u8()?;
        let mut root = Self {
            kind,
            segment: cursor.u32()?,
            len: cursor.u64()?,
            logical_sector: cursor.u32()?,
            physical_sector: cursor.u32()?,
            top: None,
        };
        root.top = match cursor.u32()? {
            0 => None,
            1 => Some(NodeId(cursor.array()?)),
            other => return Err(Error::damaged(WHAT, format!("{other} top nodes"))),
        };
        cursor.end()?;
        root.check()?;
        if root.segment != segment {
            return Err(Error::damaged(
                WHAT,
                format!(
                    "segments of {} bytes in a vault whose segments have {segment}",
                    root.segment
                ),
            ));
        }
        if root.height() != height {
            return Err(Error::damaged(
                WHAT,
                format!(
                    "height {height}, where {} bytes take {}",
                    root.len,
                    root.height()
                ),
            ));
        }
        Ok(root)
    }
}

/// Height of the top node of a map of `len` bytes: the least with which all segments fit.
pub fn height_for(len: u64, segment: u32) -> u8 {
    let mut room = 1u64;
    let mut height = 0;
    while room < len.div_ceil(segment.max(1).into()) {
        room = room.saturating_mul(FANOUT);
        height += 1;
    }
    height
}

/// Checks a segment size: a power of two from [`MIN_SEGMENT`] to [`MAX_SEGMENT`].
pub fn check_segment(segment: u32) -> Result<()> {
    if !segment.is_power_of_two() || !(MIN_SEGMENT..=MAX_SEGMENT).contains(&segment) {
        return Err(Error::damaged(
            "map",
            format!(
                "a segment size of {segment} is no power of two from {MIN_SEGMENT} to {MAX_SEGMENT}"
            ),
        ));
    }
    Ok(())
}
