//! The whole tree of checkpoints: every layer and every configuration, for `all-checkpoints`.
//!
//! While a recovery checkpoint is there, the host writes to no file that it or any other
//! checkpoint refers to. So the whole tree can be read file by file, on desktop Windows as well.
//! The recovery checkpoint is how “now” is read: its disks and files are the VM's present state,
//! and it is not among the checkpoints itself.
//!
//! Layers that have not changed need not be read again. What tells that of a file at rest is its
//! format: a VHDX names its content and its bytes, and the names change with them. [MS-VHDX 2.2.2,
//! DataWriteGuid, FileWriteGuid] Of the file that the VM wrote to only change tracking tells what
//! changed: a host that keeps it open gives it new names once, when it begins to write.

use std::collections::HashMap;
use std::sync::Arc;

use cim::CimError;
use disk::layer::Layer;
use disk::{ByteRanges, Format};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::Location;

use super::disk::{LostDisk, Reading};
use super::protector::Pair;
use super::{ConfigFile, Frozen, LostFile, Opened, Request, config};
use crate::checkpoint::checkpoints;
use crate::files::{FrozenFile, HostFiles, HostPath};
use crate::ids;
use crate::inventory::{self, Configuration, Medium, Parent, Settings};
use crate::tracking::{Token, TokenLayer};

/// Checkpoints of one VM that are accepted; Hyper-V allows far fewer.
const MOST: usize = 512;

/// The tree of a VM's checkpoints.
#[derive(Default)]
pub struct Tree {
    /// Every image file, alone; parents before children.
    pub layers: Vec<TreeLayer>,
    /// Which layers the VM and its checkpoints have attached.
    pub uses: Vec<TreeUse>,
    /// The checkpoints, in the order of their times.
    pub checkpoints: Vec<TreeCheckpoint>,
    /// The checkpoint that the VM's present state was made after.
    pub current: Parent,
    /// Disks that cannot be had.
    pub lost: Vec<(Owner, LostDisk)>,
    /// Disks that are not wanted.
    pub left_out: Vec<(Owner, Medium)>,
    /// Files that cannot be had.
    pub lost_files: Vec<(Owner, LostFile)>,
    /// What was odd about the host's answers.
    pub findings: Vec<inventory::Finding>,
}

/// An image file, alone.
pub struct TreeLayer {
    /// The file, as the host spells it.
    pub path: String,
    /// Its bytes.
    pub layer: Arc<dyn Layer>,
    /// Index of its parent among the layers; smaller than its own.
    pub parent: Option<usize>,
    /// What of it is to be read.
    pub reading: LayerReading,
    /// The disk of the present state that it is the topmost layer of, by its place.
    top_of: Option<String>,
}

/// What of a layer is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerReading {
    /// Nothing: it is what it was.
    Unchanged,
    /// These bytes of it changed since the token.
    Changed(ByteRanges),
    /// Everything, and why.
    Full(String),
}

/// The VM as it is, or one of its checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of", content = "id")]
pub enum Owner {
    /// The VM's present state.
    Vm,
    /// The checkpoint with this id.
    Checkpoint(Uuid),
}

/// A disk that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeUse {
    /// Whose disk.
    pub owner: Owner,
    /// Where it is attached.
    pub location: Location,
    /// Index of its topmost layer.
    pub layer: usize,
}

/// A checkpoint.
pub struct TreeCheckpoint {
    /// Its id.
    pub id: Uuid,
    /// The checkpoint that it was made after.
    pub parent: Parent,
    /// The VM as it was.
    pub settings: Settings,
    /// The files of its configuration, its memory among them.
    pub files: Vec<ConfigFile>,
    /// What its virtual TPM's state is encrypted for.
    pub key_protector: Option<Vec<u8>>,
}

/// Takes the tree of a VM that holds still.
pub(super) fn take(
    frozen: &mut Frozen,
    files: &dyn HostFiles,
    (parent, request): (Parent, &Request<'_>),
) -> Result<Tree, CimError> {
    let session = frozen.control.session();
    let mut tree = Tree {
        current: parent,
        ..Tree::default()
    };
    let mut known = Known::default();
    // The present disks are open already.
    for disk in &frozen.disks {
        let layers = disk.files.iter().zip(&disk.layers);
        let layers = layers.map(|(path, found)| (path.clone(), Arc::clone(&found.layer)));
        let top = known.add(&mut tree.layers, layers.collect());
        tree.attach(Owner::Vm, disk.medium.location, top);
        if let Some(layer) = top.and_then(|top| tree.layers.get_mut(top)) {
            layer.top_of = Some(disk.medium.instance_id.clone());
        }
    }
    let seen = checkpoints(session, frozen.checkpoint.vm())?;
    let others = seen.into_iter().filter(|c| !c.recovery);
    for (at, seen) in others.enumerate() {
        if at >= MOST {
            tree.findings.push(inventory::Finding::NotTold {
                what: format!("more than {MOST} checkpoints"),
                why: "no more are read".to_owned(),
            });
            break;
        }
        if !seen.user {
            tree.left_out(&seen.instance_id, "it is none that people made");
            continue;
        }
        let told = match inventory::configuration(session, &seen.instance_id) {
            Ok(told) => told,
            Err(error) if error.fault_kind().is_some() => {
                tree.not_told(&seen.instance_id, &error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(id) = ids::configuration(&seen.instance_id) else {
            tree.not_told(&seen.instance_id, "its name is no checkpoint's");
            continue;
        };
        // It was made of what the VM wrote since, after a checkpoint that will not be there.
        if !frozen.checkpoint.was_before(&seen.instance_id) && tree.current != Parent::Of(id) {
            tree.left_out(&seen.instance_id, "it was made after the VM was frozen");
            continue;
        }
        let opened = tree.checkpoint(frozen, (files, request), &mut known, id, told)?;
        frozen.opened.extend(opened);
    }
    tree.checkpoints
        .sort_by_key(|c| (c.settings.config.created, c.id));
    Ok(tree)
}

impl Tree {
    fn attach(&mut self, owner: Owner, location: Location, layer: Option<usize>) {
        self.uses.extend(layer.map(|layer| TreeUse {
            owner,
            location,
            layer,
        }));
    }

    /// A checkpoint that is none of those that are wanted.
    fn left_out(&mut self, checkpoint: &str, why: &str) {
        self.findings.push(inventory::Finding::LeftOut {
            checkpoint: checkpoint.to_owned(),
            why: why.to_owned(),
        });
    }

    fn not_told(&mut self, checkpoint: &str, why: &str) {
        self.findings.push(inventory::Finding::NotTold {
            what: format!("the checkpoint {checkpoint}"),
            why: why.to_owned(),
        });
    }

    /// Adds a checkpoint, and gives the files that were opened for it.
    fn checkpoint(
        &mut self,
        frozen: &Frozen,
        (files, request): (&dyn HostFiles, &Request<'_>),
        known: &mut Known,
        id: Uuid,
        told: Configuration,
    ) -> Result<Vec<Arc<FrozenFile>>, CimError> {
        let owner = Owner::Checkpoint(id);
        let mut opened = Vec::new();
        self.findings.extend(told.findings);
        for medium in &told.settings.media {
            if let Some(top) = known.get(&medium.path) {
                self.attach(owner, medium.location, Some(top));
                continue;
            }
            let pace = frozen.control.pace();
            match request.open(pace, files, medium.clone(), frozen.begun) {
                Opened::Disk(disk, more) => {
                    let layers = disk.files.iter().zip(&disk.layers);
                    let layers =
                        layers.map(|(path, found)| (path.clone(), Arc::clone(&found.layer)));
                    let top = known.add(&mut self.layers, layers.collect());
                    self.attach(owner, medium.location, top);
                    opened.extend(more);
                }
                Opened::LeftOut(medium) => self.left_out.push((owner, medium)),
                Opened::Lost(lost) => self.lost.push((owner, lost)),
            }
        }
        let (found, lost) = config::open(files, &told.settings.files);
        opened.extend(found.iter().map(|file| Arc::clone(&file.data)));
        let instance_id = format!("Microsoft:{}", ids::upper(id));
        let session = frozen.control.session();
        let pair = Pair::of(session, &instance_id, &told.settings, &found)?;
        let lost = lost.into_iter().chain(pair.lost);
        self.lost_files.extend(lost.map(|lost| (owner, lost)));
        self.findings.extend(pair.finding);
        self.checkpoints.push(TreeCheckpoint {
            id,
            parent: told.parent,
            settings: told.settings,
            files: found,
            key_protector: pair.protector,
        });
        Ok(opened)
    }

    /// Says of each layer what is to be read of it. `disks` are the present ones, with what is to
    /// be read of each as a whole.
    pub(super) fn decide(
        &mut self,
        token: Option<&Token>,
        disks: &[(String, Reading)],
        full: bool,
    ) {
        let then: HashMap<String, &TokenLayer> = token
            .into_iter()
            .flat_map(|token| &token.layers)
            .filter_map(|layer| Some((key(&layer.path)?, layer)))
            .collect();
        for layer in &mut self.layers {
            let was = key(&layer.path).and_then(|path| then.get(&path).copied());
            layer.reading = match was {
                _ if full => LayerReading::Full("a full backup was asked for".to_owned()),
                None => LayerReading::Full("the file is new".to_owned()),
                Some(was) => since(layer, was, disks),
            };
        }
    }

    /// What the next backup needs to know of the layers.
    pub(super) fn token_layers(&self) -> Vec<TokenLayer> {
        let layers = self.layers.iter();
        layers
            .map(|layer| TokenLayer {
                path: layer.path.clone(),
                content: content(layer),
                file: file(layer),
                len: layer.layer.info().geometry.len,
                top_of: layer.top_of.clone(),
            })
            .collect()
    }
}

/// What names the content of a file and changes with it. The id of a VHD stays the same.
fn content(layer: &TreeLayer) -> Option<Uuid> {
    match &layer.layer.info().format {
        Format::Vhdx(vhdx) => Some(vhdx.data_write_guid),
        Format::Vhd(_) | Format::Raw => None,
    }
}

/// What names the bytes of a file and changes with every opening for writing.
fn file(layer: &TreeLayer) -> Option<Uuid> {
    match &layer.layer.info().format {
        Format::Vhdx(vhdx) => Some(vhdx.file_write_guid),
        Format::Vhd(_) | Format::Raw => None,
    }
}

fn since(layer: &TreeLayer, was: &TokenLayer, disks: &[(String, Reading)]) -> LayerReading {
    let info = layer.layer.info();
    if info.geometry.len != was.len {
        return LayerReading::Full("the disk has another size".to_owned());
    }
    let names = [content(layer), file(layer)];
    let same = names.iter().all(Option::is_some) && names == [was.content, was.file];
    let Some(top_of) = &was.top_of else {
        return match same {
            true => LayerReading::Unchanged,
            false => LayerReading::Full("the file is not what it was".to_owned()),
        };
    };
    // It was the one that the VM wrote to, and whatever was written to it is among what was
    // written to the disk. Its names tell little: a host that keeps it open need not change them.
    let place = ids::place(top_of);
    let mut disks = disks.iter();
    let disk = disks.find(|(at, _)| place.is_some() && ids::place(at) == place);
    match disk {
        Some((_, Reading::Changed(ranges))) if same && ranges.is_empty() => LayerReading::Unchanged,
        Some((_, Reading::Changed(ranges))) => LayerReading::Changed(ranges.clone()),
        Some((_, Reading::Full(why))) => LayerReading::Full(why.clone()),
        None => LayerReading::Full("the disk is not attached any more".to_owned()),
    }
}

/// Layers by their files.
#[derive(Default)]
struct Known(HashMap<String, usize>);

impl Known {
    fn get(&self, path: &str) -> Option<usize> {
        self.0.get(&key(path)?).copied()
    }

    /// Adds the layers of a chain, youngest first, that are not known yet; gives the youngest one.
    fn add(
        &mut self,
        layers: &mut Vec<TreeLayer>,
        chain: Vec<(String, Arc<dyn Layer>)>,
    ) -> Option<usize> {
        let mut parent = None;
        for (path, layer) in chain.into_iter().rev() {
            let key = key(&path).unwrap_or_else(|| path.clone());
            let at = *self.0.entry(key).or_insert_with(|| {
                layers.push(TreeLayer {
                    path,
                    layer,
                    parent,
                    reading: LayerReading::Full("there is nothing to compare with".to_owned()),
                    top_of: None,
                });
                layers.len() - 1
            });
            parent = Some(at);
        }
        parent
    }
}

/// A file's name as it is compared.
fn key(path: &str) -> Option<String> {
    let path = HostPath::parse(path).ok()?;
    Some(path.to_string().to_lowercase())
}
