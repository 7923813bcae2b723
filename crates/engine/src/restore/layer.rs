//! A layer in a vault as the `disk` crate sees layers, so that a chain of them is one disk.

use std::sync::Arc;

use disk::chain::Chain;
use disk::{BlockRead, ByteRange, Content, Extent, Geometry, Layer, LayerInfo};
use vault::{DiskReader, Losses, NodeId, Vault};

use crate::point::Details;

/// One layer of a restore point.
pub struct VaultLayer {
    info: LayerInfo,
    reader: DiskReader,
}

impl VaultLayer {
    /// Opens the map at `root` as the layer that `info` describes.
    ///
    /// # Errors
    /// When the map cannot be read, or is of another length than the layer.
    pub fn open(vault: &Vault, root: &NodeId, info: &LayerInfo) -> Result<Self, vault::Error> {
        let reader = vault.disk(root)?;
        if reader.len() != info.geometry.len {
            return Err(vault::Error::Invalid(format!(
                "the map has {} bytes and the disk {}",
                reader.len(),
                info.geometry.len
            )));
        }
        Ok(Self {
            info: info.clone(),
            reader,
        })
    }

    /// With zeros for what is lost, which is noted, if there is where to note it.
    pub(crate) fn tolerating(mut self, losses: Option<&Arc<Losses>>) -> Self {
        if let Some(losses) = losses {
            self.reader = self.reader.tolerating(Arc::clone(losses));
        }
        self
    }

    /// The map.
    pub fn reader(&self) -> &DiskReader {
        &self.reader
    }
}

fn failed(error: vault::Error) -> disk::Error {
    disk::Error::Io {
        what: "reading the vault",
        source: std::io::Error::other(error),
    }
}

impl BlockRead for VaultLayer {
    fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        disk::block::check_bounds(self.reader.len(), offset, buf.len() as u64)?;
        self.reader.read_at(offset, buf).map_err(failed)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        disk::block::check_bounds(self.reader.len(), range.start, range.len())?;
        let extents = self
            .reader
            .extents(range.start..range.end)
            .map_err(failed)?;
        Ok(extents
            .into_iter()
            .map(|extent| Extent {
                range: ByteRange::new(extent.range.start, extent.range.end),
                content: content(extent.content),
            })
            .collect())
    }
}

impl Layer for VaultLayer {
    fn info(&self) -> &LayerInfo {
        &self.info
    }
}

/// What the vault says, in the words of the `disk` crate.
pub(crate) fn content(content: vault::Content) -> Content {
    match content {
        vault::Content::Data => Content::Data,
        vault::Content::Zero => Content::Zero,
        vault::Content::Hole => Content::Hole,
    }
}

/// The disk whose topmost layer is `top`, as a guest would see it.
///
/// # Errors
/// When a layer cannot be opened, or the layers do not belong on each other.
pub fn open_chain(
    vault: &Vault,
    details: &Details,
    roots: &[NodeId],
    top: usize,
) -> Result<Chain, disk::Error> {
    open_chain_or_lose(vault, details, roots, top, None)
}

/// As [`open_chain`], with zeros for what is lost, which is noted in `losses`.
pub(crate) fn open_chain_or_lose(
    vault: &Vault,
    details: &Details,
    roots: &[NodeId],
    top: usize,
    losses: Option<&Arc<Losses>>,
) -> Result<Chain, disk::Error> {
    let layers: Result<Vec<Arc<dyn Layer>>, disk::Error> = details
        .chain(top)
        .into_iter()
        .map(|index| {
            let root = roots.get(index).ok_or_else(|| {
                disk::Error::Invalid(format!("the point has no map for layer {index}"))
            })?;
            let layer = VaultLayer::open(vault, root, &details.layers[index].info);
            let layer = layer.map_err(failed)?.tolerating(losses);
            Ok(Arc::new(layer) as Arc<dyn Layer>)
        })
        .collect();
    Chain::new(layers?)
}
