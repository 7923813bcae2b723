//! A node with up to 256 children.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 1 | node type, 3 |
//! | 1 | 1 | node version, 1 |
//! | 2 | 1 | height: 1 when the children are leaves, otherwise one more than theirs |
//! | 3 | 1 | reserved, 0 |
//! | 4 | 4 | number of children n, 1 to 256 |
//! | 8 | n | the children's places, ascending |
//! | 8 + n | 32·n | the children's ids, in the same order |

use crate::bytes::Cursor;
use crate::error::{Error, Result};
use crate::id::NodeId;

use super::root::MAX_HEIGHT;
use super::{INNER, NODE_VERSION};

const WHAT: &str = "inner node";
/// Children that an inner node has room for.
pub const FANOUT: u64 = 256;

/// An inner node: children by place; a place without child was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    height: u8,
    children: Vec<(u8, NodeId)>,
}

impl Inner {
    /// A node of `height` (1 above leaves) with these children, by ascending place.
    ///
    /// # Errors
    /// When there is no child, the places are not ascending, or the height is out of range.
    pub fn new(height: u8, children: Vec<(u8, NodeId)>) -> Result<Self> {
        let node = Self { height, children };
        node.check().map_err(Error::into_invalid)?;
        Ok(node)
    }

    fn check(&self) -> Result<()> {
        if self.height == 0 || self.height > MAX_HEIGHT {
            return Err(Error::damaged(WHAT, format!("height {}", self.height)));
        }
        if self.children.is_empty() {
            return Err(Error::damaged(
                WHAT,
                "it has no children and should be absent",
            ));
        }
        if !self.children.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Error::damaged(
                WHAT,
                "its children are not in ascending order",
            ));
        }
        Ok(())
    }

    /// 1 when the children are leaves, otherwise one more than theirs.
    pub fn height(&self) -> u8 {
        self.height
    }

    /// The children by ascending place.
    pub fn children(&self) -> &[(u8, NodeId)] {
        &self.children
    }

    /// The child at `place`.
    pub fn child(&self, place: u8) -> Option<NodeId> {
        let at = self
            .children
            .binary_search_by_key(&place, |(place, _)| *place)
            .ok()?;
        self.children.get(at).map(|(_, id)| *id)
    }

    /// The bytes of the node.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![INNER, NODE_VERSION, self.height, 0];
        out.extend_from_slice(&(self.children.len() as u32).to_le_bytes());
        out.extend(self.children.iter().map(|(place, _)| place));
        self.children
            .iter()
            .for_each(|(_, id)| out.extend_from_slice(&id.0));
        out
    }

    pub(super) fn decode(mut cursor: Cursor<'_>) -> Result<Self> {
        let height = cursor.u8()?;
        cursor.reserved(1)?;
        let count = cursor.u32()?;
        crate::error::limit(WHAT, "number of children", count.into(), FANOUT)?;
        let places = cursor.take(count as usize)?;
        let ids = cursor.items(count, NodeId::LEN)?;
        cursor.end()?;
        let children = places
            .iter()
            .zip(ids)
            .map(|(place, id)| Ok((*place, NodeId(Cursor::new(WHAT, id).array()?))))
            .collect::<Result<_>>()?;
        let node = Self { height, children };
        node.check()?;
        Ok(node)
    }
}
