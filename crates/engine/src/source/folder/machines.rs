//! VMs with a configuration: which files, disks and checkpoints are theirs, as `vmconfig` finds
//! them, joined with what the disks themselves say.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use uuid::Uuid;
use vmconfig::layout::{
    AttachedDisk, DiskGraph, FileItem, Folder, Inventory, Layer, Machine, Options, inventory,
};

use crate::source::RelPath;
use crate::source::folder::catalog::Catalog;
use crate::source::folder::open::open_file;
use crate::source::folder::walk::FoundFile;

/// The files of a folder as `vmconfig` wants to see them.
pub(crate) struct Listed<'a> {
    items: Vec<FileItem>,
    files: HashMap<&'a str, &'a FoundFile>,
}

impl<'a> Listed<'a> {
    pub(crate) fn new(files: &'a [FoundFile]) -> Self {
        let len = |file: &FoundFile| std::fs::metadata(&file.path).map_or(0, |meta| meta.len());
        Self {
            items: files
                .iter()
                .map(|file| FileItem {
                    path: file.rel.to_string(),
                    len: len(file),
                })
                .collect(),
            files: files.iter().map(|file| (file.rel.as_str(), file)).collect(),
        }
    }
}

impl Folder for Listed<'_> {
    fn files(&self) -> &[FileItem] {
        &self.items
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn vmconfig::ReadAt + '_>> {
        let found = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let file = open_file(&found.path).map_err(|f| io::Error::other(f.message))?;
        Ok(Box::new(ConfigFile(file)))
    }
}

/// A file as `vmconfig` reads it.
pub(super) struct ConfigFile<F>(pub(super) F);

impl<F: disk::ReadAt> vmconfig::ReadAt for ConfigFile<F> {
    fn len(&self) -> io::Result<u64> {
        disk::ReadAt::len(&self.0)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        disk::ReadAt::read_exact_at(&self.0, buf, offset)
    }
}

/// Which VMs there are, and whose the disks are.
pub(crate) struct Machines {
    pub(crate) inventory: Inventory,
    /// For each machine, its images.
    pub(crate) images: Vec<Vec<usize>>,
    /// Images, by their places.
    pub(super) by_rel: HashMap<String, usize>,
    /// Images that could not be opened, by their places.
    pub(super) bad_by_rel: HashMap<String, usize>,
    /// All files, by their places.
    pub(super) file_by_rel: HashMap<String, usize>,
    /// What some machine has, and what some configuration names.
    claimed: HashSet<usize>,
    named: HashSet<String>,
}

impl Machines {
    /// Looks through a folder whose disks are in `catalog`.
    pub(crate) fn find(files: &[FoundFile], catalog: &Catalog) -> Self {
        let by_rel: HashMap<String, usize> = catalog
            .images
            .iter()
            .enumerate()
            .map(|(index, image)| (image.file.rel.to_string(), index))
            .collect();
        let mut graph = DiskGraph::default();
        let own = |index: &usize| !catalog.images[*index].file.lent;
        for index in (0..catalog.images.len()).filter(own) {
            let image = &catalog.images[index];
            let layer = match (catalog.own_parent(index), &image.orphan) {
                (Some(parent), _) => Layer::ChildOf(catalog.images[parent].file.rel.to_string()),
                // One that stands on a lent image begins a chain as far as the folder goes.
                (None, Some(orphan)) => Layer::ParentMissing {
                    expected: orphan.message.clone(),
                },
                (None, None) => Layer::Base,
            };
            graph.layers.insert(image.file.rel.to_string(), layer);
        }
        let inventory = inventory(&Listed::new(files), &graph, &Options::default());
        let images = claims(&inventory, catalog, &by_rel);
        let places = |files: &mut dyn Iterator<Item = &FoundFile>| -> HashMap<String, usize> {
            let numbered = files.enumerate();
            numbered
                .map(|(i, file)| (file.rel.to_string(), i))
                .collect()
        };
        let attached = inventory.machines.iter().flat_map(all_disks);
        let named = attached.filter_map(|disk| disk.file.path());
        Self {
            claimed: images.iter().flatten().copied().collect(),
            named: named.map(str::to_owned).collect(),
            images,
            by_rel,
            bad_by_rel: places(&mut catalog.bad.iter().map(|(file, _)| file)),
            file_by_rel: places(&mut files.iter()),
            inventory,
        }
    }

    /// Whether some machine has this image.
    pub(crate) fn has(&self, image: usize) -> bool {
        self.claimed.contains(&image)
    }

    /// Whether a machine's configuration names this file, readable or not.
    pub(crate) fn names(&self, file: &FoundFile) -> bool {
        self.named.contains(file.rel.as_str())
    }
}

pub(super) fn all_disks(machine: &Machine) -> impl Iterator<Item = &AttachedDisk> {
    let own = machine.disks.iter();
    own.chain(machine.checkpoints.iter().flat_map(|c| c.disks.iter()))
}

/// Each machine has the chains that its configuration and its checkpoints name. An image that
/// nobody names but that stands on a machine's disk is that machine's, too: it may be what a
/// crash or another backup program left, and nobody else would save it.
fn claims(
    inventory: &Inventory,
    catalog: &Catalog,
    by_rel: &HashMap<String, usize>,
) -> Vec<Vec<usize>> {
    let mut claimed: Vec<Vec<usize>> = inventory
        .machines
        .iter()
        .map(|machine| {
            let tops = all_disks(machine).filter_map(|disk| by_rel.get(disk.file.path()?));
            let mut images: Vec<usize> = tops
                .flat_map(|top| std::iter::successors(Some(*top), |i| catalog.images[*i].parent))
                .collect();
            images.sort_unstable();
            images.dedup();
            images
        })
        .collect();
    let mut owners: Vec<Option<usize>> = vec![None; catalog.images.len()];
    for (machine, images) in claimed.iter().enumerate() {
        for image in images {
            owners[*image].get_or_insert(machine);
        }
    }
    // Of which it is known that they stand on no machine's disk.
    let mut loose = vec![false; catalog.images.len()];
    for image in 0..catalog.images.len() {
        if catalog.images[image].file.lent || owners[image].is_some() {
            continue;
        }
        let mut walked = vec![image];
        let below = std::iter::successors(catalog.own_parent(image), |i| catalog.own_parent(*i));
        let mut owner = None;
        for ancestor in below {
            owner = owners[ancestor];
            if owner.is_some() || loose[ancestor] {
                break;
            }
            walked.push(ancestor);
        }
        for image in walked {
            owners[image] = owner;
            loose[image] = owner.is_none();
            if let Some(machine) = owner {
                claimed[machine].push(image);
            }
        }
    }
    claimed
}

/// Where a VM's identity comes from: its own id, unless a copy of it has that already.
pub(crate) fn identity(config_id: Option<Uuid>, file: &Path, taken: &HashSet<Uuid>) -> Uuid {
    match config_id {
        Some(id) if !id.is_nil() && !taken.contains(&id) => id,
        _ => super::derived_id("configuration", file),
    }
}

/// A name for a VM whose configuration gives none.
pub(crate) fn name_or_file(name: &str, path: &str) -> String {
    if !name.trim().is_empty() {
        return name.to_owned();
    }
    match RelPath::new(path) {
        Ok(path) => path.file_name().to_owned(),
        Err(_) => path.to_owned(),
    }
}
