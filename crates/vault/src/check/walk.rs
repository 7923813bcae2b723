//! Follows all maps, each node once, and collects what is broken.

use std::collections::{BTreeMap, HashMap, HashSet};

use vault_format::map::{Node, Target};
use vault_format::{ChunkId, NodeId};

use crate::error::{Error, Result, pack_name};
use crate::index::Index;
use crate::packs::Place;
use crate::tree::Nodes;

use super::data::Places;
use super::{Broken, as_chunk};

pub(super) struct Walk<'a> {
    nodes: &'a Nodes,
    index: &'a Index,
    damaged: &'a HashSet<ChunkId>,
    places: Option<&'a Places>,
    seen: HashSet<NodeId>,
    broken: Broken,
    pub(super) references: u64,
}

impl<'a> Walk<'a> {
    /// `damaged` are chunks and nodes that are known not to open, `places` those where the packs
    /// hold chunks, as far as they were read.
    pub(super) fn new(
        nodes: &'a Nodes,
        index: &'a Index,
        damaged: &'a HashSet<ChunkId>,
        places: Option<&'a Places>,
    ) -> Self {
        Self {
            nodes,
            index,
            damaged,
            places,
            seen: HashSet::new(),
            broken: BTreeMap::new(),
            references: 0,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn into_broken(self) -> Broken {
        self.broken
    }

    /// Follows the map with this root.
    pub(super) fn map(&mut self, root: &NodeId) -> Result<()> {
        let nodes = self.nodes;
        if !self.seen.insert(*root) {
            return Ok(());
        }
        let map = match nodes.root(root) {
            Ok(map) => map,
            Err(e) => return self.note(as_chunk(*root), e),
        };
        // Heights are told by the root and checked at every step, so depth is bounded.
        let mut todo: Vec<(NodeId, u8)> =
            map.top.map(|top| (top, map.height())).into_iter().collect();
        while let Some((id, height)) = todo.pop() {
            if !self.seen.insert(id) {
                continue;
            }
            if height > 0 {
                match nodes.inner(&id, height) {
                    Ok(inner) => {
                        todo.extend(
                            inner
                                .children()
                                .iter()
                                .map(|(_, child)| (*child, height - 1)),
                        );
                    }
                    Err(e) => self.note(as_chunk(id), e)?,
                }
            } else if let Err(e) = self.leaf(&id) {
                self.note(as_chunk(id), e)?;
            }
        }
        Ok(())
    }

    fn leaf(&mut self, id: &NodeId) -> Result<()> {
        let leaf = self.nodes.leaf(id)?;
        if let Node::Delta(delta) = &*self.nodes.get(id)? {
            self.seen.insert(delta.base());
        }
        let mut lens: HashMap<ChunkId, Option<Place>> = HashMap::new();
        for entry in leaf.entries() {
            let Target::Chunk { id: chunk, within } = entry.target else {
                continue;
            };
            self.references += 1;
            let place = lens.entry(chunk).or_insert_with(|| self.index.get(&chunk));
            let why = match place {
                None => "it is in no pack of the vault".to_owned(),
                Some(_) if self.damaged.contains(&chunk) => "it cannot be read".to_owned(),
                Some(place)
                    if u64::from(within) + u64::from(entry.len) > u64::from(place.plain_len) =>
                {
                    format!(
                        "{} bytes at {within} of its {} are referred to",
                        entry.len, place.plain_len
                    )
                }
                Some(place) if self.places.is_some_and(|all| all.deny(&chunk, place)) => {
                    format!(
                        "the index leads to {}, which does not hold it there",
                        pack_name(place.pack.hash)
                    )
                }
                Some(_) => continue,
            };
            self.broken.insert(chunk, why);
        }
        Ok(())
    }

    /// Keeps what is wrong with a node; only a store that cannot be asked ends the check.
    fn note(&mut self, id: ChunkId, e: Error) -> Result<()> {
        match e {
            Error::Store(
                store::Error::NotFound { .. }
                | store::Error::TooShort { .. }
                | store::Error::TooLarge { .. },
            ) => {}
            Error::Store(e) => return Err(e.into()),
            _ => {}
        }
        self.broken.insert(id, e.to_string());
        Ok(())
    }
}
