//! A restore point as a folder, so that what its files are is found out as for any folder of VMs.

use std::collections::HashMap;
use std::io;

use vault::DiskReader;
use vmconfig::layout::{DiskGraph, FileItem, Folder, Layer};

use crate::finding::{Code, Finding, Severity};
use crate::restore::{Opened, Task};

/// How the point's layers stand on each other.
pub(super) fn graph(point: &Opened) -> DiskGraph {
    let layers = &point.details.layers;
    let mut graph = DiskGraph::default();
    for layer in layers {
        let told = match (layer.parent, &layer.info.parent) {
            (Some(parent), _) => Layer::ChildOf(layers[parent].path.to_string()),
            (None, Some(link)) => Layer::ParentMissing {
                expected: link
                    .paths
                    .first()
                    .map_or_else(String::new, |p| p.path.clone()),
            },
            (None, None) => Layer::Base,
        };
        graph.layers.insert(layer.path.to_string(), told);
    }
    graph
}

/// A point as a folder.
pub(crate) struct PointFolder {
    items: Vec<FileItem>,
    pub(super) readers: HashMap<String, DiskReader>,
}

impl PointFolder {
    pub(super) fn open(task: &Task<'_>, point: &Opened) -> Result<Self, Finding> {
        let mut items = Vec::new();
        let mut readers = HashMap::new();
        for (file, root) in point.details.files.iter().zip(&point.file_roots) {
            let reader = task.vault.disk(root).map_err(|error| {
                Finding::new(
                    Code::Failed,
                    Severity::Error,
                    file.path.as_str(),
                    format!("cannot be read from the vault: {error}"),
                )
                .hint("`hyperkeep check` shows what is wrong with the vault")
            })?;
            items.push(FileItem {
                path: file.path.to_string(),
                len: reader.len(),
            });
            readers.insert(file.path.to_string(), reader);
        }
        for layer in &point.details.layers {
            items.push(FileItem {
                path: layer.path.to_string(),
                len: layer.info.geometry.len,
            });
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { items, readers })
    }
}

impl Folder for PointFolder {
    fn files(&self) -> &[FileItem] {
        &self.items
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn vmconfig::ReadAt + '_>> {
        let reader = self.readers.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(VaultFile(reader)))
    }
}

struct VaultFile<'a>(&'a DiskReader);

impl vmconfig::ReadAt for VaultFile<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.0.len() => {
                self.0.read_at(offset, buf).map_err(io::Error::other)
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
