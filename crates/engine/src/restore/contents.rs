//! What a restored disk is made of, and the writer that it goes to.

use std::sync::Arc;

use disk::chain::Chain;
use disk::layer::ParentPath;
use disk::qcow2::Qcow2Writer;
use disk::write::Rehearsal;
use disk::{BlockRead, DiskWrite, LayerInfo, WriteAt, rebuild};
use vault::{Losses, NodeId};

use crate::cancel::Cancel;
use crate::pipeline::Stop;
use crate::restore::alone::alone;
use crate::restore::disks::DiskError;
use crate::restore::layer::{VaultLayer, open_chain_or_lose};
use crate::restore::plan::{DiskFile, DiskFormat, Holds};
use crate::restore::write::{Course, Run, WriteError, flat, layer, rehearse_flat, rehearse_layer};
use crate::restore::{Opened, Task};

/// A disk file's contents in the vault, and what the file says about itself.
pub(crate) struct Contents {
    info: LayerInfo,
    format: DiskFormat,
    parent: Option<Vec<ParentPath>>,
    source: Source,
}

/// A layer by itself is read segment by segment, which is cheaper.
enum Source {
    Layer(Box<VaultLayer>),
    Chain(Chain),
}

impl Source {
    fn disk(&self) -> &dyn BlockRead {
        match self {
            Self::Layer(layer) => &**layer,
            Self::Chain(chain) => chain,
        }
    }
}

impl Contents {
    /// Opens what `file` holds. `parent` says where the parent of a layer is. With `losses` there are zeros
    /// for what is lost, which is noted there.
    pub(crate) fn open(
        task: &Task<'_>,
        point: &Opened,
        file: &DiskFile,
        parent: Option<Vec<ParentPath>>,
        losses: Option<&Arc<Losses>>,
    ) -> Result<Self, Stop<DiskError>> {
        let read = |e: disk::Error| Stop::Failed(DiskError::Vault(e.to_string()));
        let format = file.format;
        let (source, info, parent) = match file.holds {
            Holds::Layer { layer, .. } => {
                let source = Source::Layer(Box::new(open_layer(task, point, layer, losses)?));
                (source, point.details.layers[layer].info.clone(), parent)
            }
            Holds::Chain { top } => {
                let recorded = &point.details.layers[top].info;
                let source = match *point.details.chain(top) {
                    [only] if recorded.parent.is_none() => {
                        Source::Layer(Box::new(open_layer(task, point, only, losses)?))
                    }
                    _ => {
                        let roots = &point.layer_roots;
                        let chain =
                            open_chain_or_lose(task.vault, &point.details, roots, top, losses);
                        Source::Chain(chain.map_err(read)?)
                    }
                };
                let info = alone(recorded, source.disk(), format, &point.id, top);
                (source, info, None)
            }
        };
        Ok(Self {
            info,
            format,
            parent,
            source,
        })
    }

    /// A writer of the file, over an empty one.
    pub(crate) fn writer<F: WriteAt + 'static>(
        &self,
        file: F,
    ) -> Result<Box<dyn DiskWrite>, disk::Error> {
        match self.format {
            DiskFormat::Qcow2 => {
                let writer = Qcow2Writer::create(file, self.info.geometry.len)?;
                Ok(Box::new(writer))
            }
            _ => rebuild(file, &self.info, self.parent.as_deref()),
        }
    }

    /// A writer over a file that holds `done` units from an earlier run, and how many bytes of data
    /// they have.
    pub(crate) fn going_on<F: WriteAt + 'static>(
        &self,
        file: F,
        done: u64,
        cancel: &Cancel,
    ) -> Result<(Box<dyn DiskWrite>, u64), Stop<WriteError>> {
        let write = |e| Stop::Failed(WriteError::Write(e));
        let file = Arc::new(Rehearsal::begin(file));
        if done == 0 {
            file.perform();
            let writer = self.writer(Arc::clone(&file)).map_err(write)?;
            return Ok((writer, 0));
        }
        let mut writer = self.writer(Arc::clone(&file)).map_err(write)?;
        let there = self.rehearse(&mut *writer, done, cancel)?;
        writer.checkpoint().map_err(write)?;
        file.perform();
        Ok((writer, there))
    }

    /// Tells a writer where the first `units` units go, and how many bytes of data are in them.
    pub(crate) fn rehearse(
        &self,
        writer: &mut dyn DiskWrite,
        units: u64,
        cancel: &Cancel,
    ) -> Result<u64, Stop<WriteError>> {
        match &self.source {
            Source::Layer(whole) => {
                rehearse_layer(whole.reader(), self.differencing(), writer, units, cancel)
            }
            Source::Chain(chain) => rehearse_flat(chain, writer, units, cancel),
        }
    }

    /// Writes all units that are not done.
    pub(crate) fn write(
        &self,
        run: Run<'_>,
        writer: &mut dyn DiskWrite,
        course: &mut Course<'_>,
    ) -> Result<(), Stop<WriteError>> {
        match &self.source {
            Source::Layer(whole) => layer(run, whole.reader(), self.differencing(), writer, course),
            Source::Chain(chain) => flat(run, chain, writer, course),
        }
    }

    /// The disk that is restored.
    pub(crate) fn disk(&self) -> &dyn BlockRead {
        self.source.disk()
    }

    fn differencing(&self) -> bool {
        self.info.parent.is_some()
    }
}

fn open_layer(
    task: &Task<'_>,
    point: &Opened,
    index: usize,
    losses: Option<&Arc<Losses>>,
) -> Result<VaultLayer, Stop<DiskError>> {
    let root: &NodeId = point.layer_roots.get(index).ok_or_else(|| {
        Stop::Failed(DiskError::Vault(format!(
            "the point has no map for layer {index}"
        )))
    })?;
    VaultLayer::open(task.vault, root, &point.details.layers[index].info)
        .map(|layer| layer.tolerating(losses))
        .map_err(|e| Stop::Failed(DiskError::Vault(e.to_string())))
}
