//! Which parts of which points need what is broken.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use vault_format::map::Target;
use vault_format::{ChunkId, NodeId, PointId, VmKey};

use crate::error::Result;
use crate::points::Point;
use crate::tree::Nodes;

use super::{Broken, Finding, as_chunk};

/// Most ranges that are told for one chunk and map.
const MAX_RANGES: usize = 64;

/// A map of a point, by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOf {
    /// A layer of a disk.
    Layer(u32),
    /// A file.
    File(u32),
}

impl std::fmt::Display for MapOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layer(id) => write!(f, "layer {id}"),
            Self::File(id) => write!(f, "file {id}"),
        }
    }
}

/// Something that cannot be restored whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The VM, by its name in the vault.
    pub vm: VmKey,
    /// The restore point.
    pub point: PointId,
    /// The layer or file.
    pub map: MapOf,
    /// The bytes of it that are lost, ascending; at most 64 ranges are told.
    pub ranges: Vec<Range<u64>>,
}

impl std::fmt::Display for Affected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "point {} of VM {}, {}", self.point, self.vm, self.map)?;
        self.ranges
            .iter()
            .try_for_each(|r| write!(f, " {}..{}", r.start, r.end))
    }
}

/// All maps of a point, with the lengths that it tells.
pub(super) fn maps(point: &Point) -> impl Iterator<Item = (NodeId, u64, MapOf)> + '_ {
    let layers = point.outline.layers.iter();
    let layers = layers.map(|l| (l.root, l.len, MapOf::Layer(l.id)));
    let files = point.outline.files.iter();
    layers.chain(files.map(|file| (file.root, file.len, MapOf::File(file.id))))
}

type Ranges = BTreeMap<ChunkId, Vec<Range<u64>>>;

/// One finding for every broken chunk or node.
pub(super) fn affected(nodes: &Nodes, points: &[Point], broken: Broken) -> Result<Vec<Finding>> {
    if broken.is_empty() {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<ChunkId, Vec<Affected>> = BTreeMap::new();
    let mut by_root: HashMap<NodeId, Ranges> = HashMap::new();
    for point in points {
        for (root, len, map) in maps(point) {
            let ranges = by_root
                .entry(root)
                .or_insert_with(|| broken_ranges(nodes, &root, len, &broken));
            for (id, ranges) in ranges {
                found.entry(*id).or_default().push(Affected {
                    vm: point.outline.vm,
                    point: point.outline.point,
                    map,
                    ranges: ranges.clone(),
                });
            }
        }
    }
    let findings = broken.into_iter().map(|(id, why)| Finding::ChunkLost {
        id,
        why,
        affected: found.remove(&id).unwrap_or_default(),
    });
    Ok(findings.collect())
}

/// The ranges of a map that need something broken. What cannot be followed is broken itself.
fn broken_ranges(nodes: &Nodes, root: &NodeId, len: u64, broken: &Broken) -> Ranges {
    let mut out = Ranges::new();
    let mut lose = |id: ChunkId, range: Range<u64>| {
        let ranges = out.entry(id).or_default();
        let full = ranges.len() >= MAX_RANGES;
        match ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ if full => {}
            _ => ranges.push(range),
        }
    };
    let Ok(map) = nodes.root(root) else {
        lose(as_chunk(*root), 0..len);
        return out;
    };
    let segment = u64::from(map.segment);
    // Ascending: the stack holds what is left, the first child on top.
    let mut todo: Vec<_> = map
        .top
        .map(|top| (top, map.height(), 0u64))
        .into_iter()
        .collect();
    while let Some((id, height, first)) = todo.pop() {
        let start = first * segment;
        let span = segment << (8 * u32::from(height));
        let whole = start..start.saturating_add(span).min(map.len);
        if height > 0 {
            match nodes.inner(&id, height) {
                Ok(inner) => todo.extend(inner.children().iter().rev().map(|(place, child)| {
                    let below = u64::from(*place) << (8 * u32::from(height - 1));
                    (*child, height - 1, first + below)
                })),
                Err(_) => lose(as_chunk(id), whole),
            }
            continue;
        }
        match nodes.leaf(&id) {
            Ok(leaf) => {
                for entry in leaf.entries() {
                    if let Target::Chunk { id, .. } = entry.target
                        && broken.contains_key(&id)
                    {
                        let from = start + u64::from(entry.offset);
                        lose(id, from..from + u64::from(entry.len));
                    }
                }
            }
            Err(_) => lose(as_chunk(id), whole),
        }
    }
    out
}
