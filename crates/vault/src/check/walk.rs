//! Follows all maps, each node once, and collects what is broken.

use std::collections::{BTreeMap, HashMap, HashSet};

use vault_format::map::{Node, Target};
use vault_format::{ChunkId, NodeId, ObjectHash};

use crate::error::{Error, Result, pack_name};
use crate::index::Index;
use crate::objects::Objects;
use crate::packs::Place;
use crate::tree::Nodes;

use super::data::Places;
use super::{Broken, as_chunk};

pub(super) struct Walk<'a> {
    objects: &'a Objects,
    nodes: &'a Nodes,
    index: &'a Index,
    damaged: &'a HashSet<ChunkId>,
    places: Option<&'a Places>,
    /// Nodes, and the height at which each was reached: one that is reached at two is wrong at one.
    seen: HashSet<(NodeId, u8)>,
    /// Leaves that others are deltas of. They count as read, and are no leaves of a map by that.
    bases: HashSet<NodeId>,
    used: HashSet<ObjectHash>,
    broken: Broken,
    pub(super) references: u64,
}

/// In place of a height, for roots.
const ROOT: u8 = u8::MAX;

impl<'a> Walk<'a> {
    /// `damaged` are chunks and nodes that are known not to open, `places` those where the packs
    /// hold chunks, as far as they were read.
    pub(super) fn new(
        objects: &'a Objects,
        nodes: &'a Nodes,
        index: &'a Index,
        damaged: &'a HashSet<ChunkId>,
        places: Option<&'a Places>,
    ) -> Self {
        Self {
            objects,
            nodes,
            index,
            damaged,
            places,
            seen: HashSet::new(),
            bases: HashSet::new(),
            used: HashSet::new(),
            broken: BTreeMap::new(),
            references: 0,
        }
    }

    /// Nodes that were read.
    pub(super) fn count(&self) -> u64 {
        let nodes: HashSet<_> = self.seen.iter().map(|(id, _)| *id).collect();
        nodes.union(&self.bases).count() as u64
    }

    /// Packs that hold something which was reached.
    pub(super) fn used(&self) -> &HashSet<ObjectHash> {
        &self.used
    }

    pub(super) fn into_broken(self) -> Broken {
        self.broken
    }

    /// Follows the map with this root, and tells its length if that can be read.
    pub(super) fn map(&mut self, root: &NodeId) -> Result<Option<u64>> {
        let nodes = self.nodes;
        let new = self.visit(*root, ROOT);
        let map = match nodes.root(root) {
            Ok(map) if !new => return Ok(Some(map.len)),
            Ok(map) => map,
            Err(e) => {
                self.note(as_chunk(*root), e)?;
                return Ok(None);
            }
        };
        // Heights are told by the root and checked at every step, so depth is bounded.
        let mut todo: Vec<(NodeId, u8)> =
            map.top.map(|top| (top, map.height())).into_iter().collect();
        while let Some((id, height)) = todo.pop() {
            if !self.visit(id, height) {
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
        Ok(Some(map.len))
    }

    /// `true` if the node was not reached at this height before.
    fn visit(&mut self, id: NodeId, height: u8) -> bool {
        let new = self.seen.insert((id, height));
        if new {
            self.use_place(self.index.known(&as_chunk(id)));
        }
        new
    }

    fn use_place(&mut self, place: Option<Place>) {
        self.used.extend(place.map(|place| place.pack.hash));
    }

    fn leaf(&mut self, id: &NodeId) -> Result<()> {
        let leaf = self.nodes.leaf(id)?;
        if let Node::Delta(delta) = &*self.nodes.get(id)? {
            let base = delta.base();
            if self.bases.insert(base) {
                self.use_place(self.index.known(&as_chunk(base)));
            }
        }
        let mut lens: HashMap<ChunkId, Option<Place>> = HashMap::new();
        for entry in leaf.entries() {
            let Target::Chunk { id: chunk, within } = entry.target else {
                continue;
            };
            self.references += 1;
            let place = *lens
                .entry(chunk)
                .or_insert_with(|| self.index.known(&chunk));
            self.use_place(place);
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
                Some(place) if self.is_denied(&chunk, &place) => {
                    let pack = pack_name(place.pack.hash);
                    let damaged = |all: &Places| all.damaged.contains(&place.pack.hash);
                    match self.places.is_some_and(damaged) {
                        true => format!("it lies in {pack}, which is damaged"),
                        false => {
                            format!("the index leads to {pack}, which does not hold it there")
                        }
                    }
                }
                Some(_) => continue,
            };
            self.broken.insert(chunk, why);
        }
        Ok(())
    }

    /// Whether the chunk is not where the index leads, and in none of its other places either.
    fn is_denied(&self, chunk: &ChunkId, place: &Place) -> bool {
        self.places.is_some_and(|all| {
            let elsewhere = || self.index.places(chunk).iter().any(|p| all.hold(chunk, p));
            all.deny(chunk, place) && !elsewhere()
        })
    }

    /// Keeps what is wrong with a node; only a store that cannot be asked ends the check.
    fn note(&mut self, id: ChunkId, e: Error) -> Result<()> {
        let e = self.objects.of_one(e)?;
        self.broken.insert(id, e.to_string());
        Ok(())
    }
}
