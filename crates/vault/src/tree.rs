//! Reading disk maps: nodes by id, through a cache that all readers of a vault share.

use std::sync::Arc;

use vault_format::map::{Inner, Leaf, Node, Root};
use vault_format::{NodeId, ObjectName};

use crate::error::{Error, Result};
use crate::index::Index;
use crate::lru::Lru;
use crate::packs::Packs;

/// Nodes of maps, fetched when wanted.
pub(crate) struct Nodes {
    index: Arc<Index>,
    packs: Arc<Packs>,
    segment: u32,
    cache: Lru<NodeId, Arc<Node>>,
}

const CACHE: usize = 16 << 20;

impl Nodes {
    pub(crate) fn new(index: Arc<Index>, packs: Arc<Packs>, segment: u32) -> Self {
        Self {
            index,
            packs,
            segment,
            cache: Lru::new(CACHE),
        }
    }

    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    pub(crate) fn get(&self, id: &NodeId) -> Result<Arc<Node>> {
        if let Some(node) = self.cache.get(id) {
            return Ok(node);
        }
        let mut place = self.index.find(&(*id).into())?;
        let bytes = loop {
            match self.packs.node(id, &place) {
                Ok(bytes) => break bytes,
                Err(e) => match self.index.find_after(&e, &(*id).into(), &place)? {
                    Some(other) => place = other,
                    None => return Err(e),
                },
            }
        };
        let name = ObjectName::Pack(place.pack.hash);
        let node = Arc::new(Node::decode(&bytes, self.segment).map_err(Error::object(name))?);
        // Decoded nodes take about as much as encoded ones, and a bookkeeping's worth more.
        self.cache.insert(*id, node.clone(), bytes.len() + 200);
        Ok(node)
    }

    pub(crate) fn root(&self, id: &NodeId) -> Result<Root> {
        match &*self.get(id)? {
            Node::Root(root) => Ok(*root),
            other => Err(wrong("root", id, other)),
        }
    }

    /// An inner node of just this height: so no path is longer than its root says.
    pub(crate) fn inner(&self, id: &NodeId, height: u8) -> Result<Inner> {
        self.with_inner(id, height, Inner::clone)
    }

    fn with_inner<T>(&self, id: &NodeId, height: u8, f: impl FnOnce(&Inner) -> T) -> Result<T> {
        match &*self.get(id)? {
            Node::Inner(inner) if inner.height() == height => Ok(f(inner)),
            other => Err(wrong("inner node of the right height", id, other)),
        }
    }

    /// A leaf, whole, also if it is stored as a delta.
    pub(crate) fn leaf(&self, id: &NodeId) -> Result<Leaf> {
        match &*self.get(id)? {
            Node::Leaf(leaf) => Ok(leaf.clone()),
            Node::Delta(delta) => Ok(delta.apply(&self.whole_leaf(&delta.base())?)),
            other => Err(wrong("leaf", id, other)),
        }
    }

    /// The whole leaf that a leaf is, or is a delta of, with its id.
    pub(crate) fn delta_base(&self, id: &NodeId) -> Result<(NodeId, Leaf)> {
        let base = match &*self.get(id)? {
            Node::Delta(delta) => delta.base(),
            _ => *id,
        };
        Ok((base, self.whole_leaf(&base)?))
    }

    fn whole_leaf(&self, id: &NodeId) -> Result<Leaf> {
        match &*self.get(id)? {
            Node::Leaf(leaf) => Ok(leaf.clone()),
            other => Err(wrong("whole leaf", id, other)),
        }
    }

    /// The node of `height` that holds segment `segment` in the map of `root`, if anything is
    /// stored there. Height 0 is the leaf.
    pub(crate) fn descend(&self, root: &Root, segment: u64, height: u8) -> Result<Option<NodeId>> {
        if segment >= root.segments() || height > root.height() {
            return Ok(None);
        }
        let Some(mut id) = root.top else {
            return Ok(None);
        };
        let mut at = root.height();
        for place in root.path(segment) {
            if at == height {
                break;
            }
            match self.with_inner(&id, at, |inner| inner.child(place))? {
                Some(child) => id = child,
                None => return Ok(None),
            }
            at -= 1;
        }
        Ok(Some(id))
    }

    /// If nothing is stored at segment `index` of the map of `root`: the first segment behind it
    /// of which that is not known by the same node.
    pub(crate) fn blank_until(&self, root: &Root, index: u64) -> Result<Option<u64>> {
        let Some(mut id) = root.top else {
            return Ok(Some(root.segments()));
        };
        let mut height = root.height();
        for place in root.path(index) {
            let inner = self.inner(&id, height)?;
            height -= 1;
            match inner.child(place) {
                Some(child) => id = child,
                None => {
                    let shift = 8 * u32::from(height);
                    let next = inner
                        .children()
                        .iter()
                        .map(|(p, _)| *p)
                        .find(|p| *p > place);
                    let parent = index >> shift >> 8 << 8;
                    let next = parent + next.map_or(256, u64::from);
                    return Ok(Some((next << shift).min(root.segments())));
                }
            }
        }
        Ok(None)
    }
}

fn wrong(expected: &str, id: &NodeId, found: &Node) -> Error {
    Error::map(format!(
        "node {id} is a {} and not a {expected}",
        found.name()
    ))
}
