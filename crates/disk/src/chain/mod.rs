//! A stack of layers as one disk.
//!
//! The leaf comes first, then its parent, and so on. What a layer does not store is looked up in
//! the one below; what none stores reads as zeros and is a hole of the whole.
//!
//! A chain exists only if it is the right one: every layer names the one below by its identity,
//! the last names none.

use std::sync::Arc;

use crate::block::{BlockRead, Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::extent::{Content, Extent, ExtentList};
use crate::layer::Layer;
use crate::range::ByteRange;

/// The most layers of one chain.
pub const MAX_LAYERS: usize = 256;

/// Layers that belong on each other, as one disk.
#[derive(Clone)]
pub struct Chain {
    /// The leaf first; never empty.
    layers: Vec<Arc<dyn Layer>>,
    geometry: Geometry,
}

impl Chain {
    /// Stacks layers, the leaf first.
    ///
    /// # Errors
    /// [`Error::BrokenChain`] when a layer does not belong on the next one, when the last one has
    /// a parent, when one appears twice, or when there are none or more than [`MAX_LAYERS`].
    pub fn new(layers: Vec<Arc<dyn Layer>>) -> Result<Self> {
        let broken = |why: String| Err(Error::BrokenChain(why));
        if layers.len() > MAX_LAYERS {
            return broken(format!(
                "{} layers; {MAX_LAYERS} are the most",
                layers.len()
            ));
        }
        let (Some(leaf), Some(base)) = (layers.first(), layers.last()) else {
            return broken("no layers".into());
        };
        let geometry = leaf.geometry();
        if let Some(link) = &base.info().parent {
            return broken(format!(
                "layer {} of {} needs a parent with the identity {}",
                layers.len(),
                layers.len(),
                or_list(&link.identities)
            ));
        }
        for (i, pair) in layers.windows(2).enumerate() {
            if let Err(why) = belongs(&*pair[0], &*pair[1]) {
                return broken(format!(
                    "layer {} does not belong on the next: {why}",
                    i + 1
                ));
            }
        }
        let mut names: Vec<_> = layers.iter().filter_map(|l| l.info().identity()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return broken(format!("the identity {} appears twice: a cycle", pair[0]));
        }
        Ok(Self { layers, geometry })
    }

    /// The layers, the leaf first.
    pub fn layers(&self) -> &[Arc<dyn Layer>] {
        &self.layers
    }

    /// One layer alone: 0 is the leaf.
    pub fn layer(&self, index: usize) -> Option<&Arc<dyn Layer>> {
        self.layers.get(index)
    }

    /// The same chain without its first `count` layers: the disk as it was at an earlier
    /// checkpoint. `None` when no layer would be left.
    pub fn below(&self, count: usize) -> Option<Self> {
        let layers = self.layers.get(count..).filter(|rest| !rest.is_empty())?;
        Some(Self {
            geometry: layers[0].geometry(),
            layers: layers.to_vec(),
        })
    }

    /// Calls `visit` for each piece of `range` with the content and the layer that says so; the
    /// pieces come layer by layer, ascending within each. What no layer stores comes last, as
    /// holes without a layer.
    fn pieces(
        &self,
        range: ByteRange,
        mut visit: impl FnMut(ByteRange, Content, Option<&dyn Layer>) -> Result<()>,
    ) -> Result<()> {
        check_bounds(
            self.geometry.len,
            range.start,
            range.end.saturating_sub(range.start),
        )?;
        let mut open = vec![range];
        for layer in &self.layers {
            let mut holes = Vec::new();
            for hole in open {
                // A child may have been enlarged: beyond its parent's end there is nothing.
                let end = hole.end.min(layer.len());
                if hole.start < end {
                    for extent in layer.extents(ByteRange::new(hole.start, end))? {
                        match extent.content {
                            Content::Hole => holes.push(extent.range),
                            content => visit(extent.range, content, Some(&**layer))?,
                        }
                    }
                }
                let beyond = hole.start.max(end);
                if beyond < hole.end {
                    visit(ByteRange::new(beyond, hole.end), Content::Hole, None)?;
                }
            }
            open = holes;
        }
        open.into_iter()
            .try_for_each(|hole| visit(hole, Content::Hole, None))
    }
}

impl BlockRead for Chain {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        check_bounds(self.geometry.len, offset, buf.len() as u64)?;
        let range = ByteRange::new(offset, offset + buf.len() as u64);
        if let [only] = self.layers.as_slice() {
            return only.read_at(offset, buf);
        }
        self.pieces(range, |piece, content, layer| {
            let from = (piece.start - offset) as usize;
            let out = &mut buf[from..from + piece.len() as usize];
            match (content, layer) {
                (Content::Data, Some(layer)) => layer.read_at(piece.start, out),
                _ => {
                    out.fill(0);
                    Ok(())
                }
            }
        })
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let mut pieces = Vec::new();
        self.pieces(range, |range, content, _| {
            pieces.push(Extent { range, content });
            Ok(())
        })?;
        pieces.sort_unstable_by_key(|extent| extent.range.start);
        let mut list = ExtentList::new();
        for piece in pieces {
            list.push(piece.range, piece.content);
        }
        Ok(list.into_vec())
    }
}

/// Whether `child` was made on `parent`, as it is now.
///
/// # Errors
/// Why not, as the end of a sentence.
pub(crate) fn belongs(child: &dyn Layer, parent: &dyn Layer) -> Result<(), String> {
    let (child, parent) = (child.info(), parent.info());
    let Some(link) = &child.parent else {
        return Err("it stands alone and has no parent".into());
    };
    if child.format.name() != parent.format.name() {
        let (child, parent) = (child.format.name(), parent.format.name());
        return Err(format!("a {child} child cannot have a {parent} parent"));
    }
    if !link.accepts(parent.identity()) {
        let wanted = or_list(&link.identities);
        let found = or_list(parent.identity().as_slice());
        return Err(format!(
            "it needs a parent with the identity {wanted}, this one has {found}; the parent was \
             written to after the child was made, or is another disk"
        ));
    }
    let (child, parent) = (
        child.geometry.logical_sector,
        parent.geometry.logical_sector,
    );
    if child != parent {
        return Err(format!(
            "its sectors have {child} bytes, the parent's {parent}"
        ));
    }
    Ok(())
}

/// Identities in a sentence.
pub(crate) fn or_list(identities: &[uuid::Uuid]) -> String {
    let texts: Vec<_> = identities.iter().map(ToString::to_string).collect();
    texts.join(" or ")
}
