//! Which files make up which VM: live folders, checkpoints, exports, loose disks.
//!
//! Nothing but a listing of files and a way to open them is needed ([`Folder`]); no Hyper-V, no
//! Windows. What only the disks themselves know, their parents, comes from the caller as a
//! [`DiskGraph`], since this crate does not read disks.
//!
//! ```text
//! listing ─► configurations ─► disks by their paths ─► chains by the graph ─► checkpoint tree
//!                └────────► state files by name         └─► what belongs to nobody
//! ```
//!
//! Invariants:
//!
//! - One unreadable file never hides another VM.
//! - A configured path stands for one file or none; where several fit, it is
//!   [`Resolution::Ambiguous`], and where only another VM's disk fits, it is missing.
//! - An order of checkpoints is told by the disks' chains, or else by a hint in the
//!   configuration, or else it is [`ParentCheckpoint::Unknown`]. Times never make an order.
//! - Every file of the listing is in exactly one of: a VM's files or disks, [`Inventory::loose`],
//!   [`Inventory::orphans`], [`Inventory::unreadable`], [`Inventory::other`]. (A disk that two
//!   VMs share is in both.)

mod classify;
mod configs;
mod disks;
mod files;
pub mod fs;
mod graph;
mod index;
mod listing;
mod order;
mod owner;
mod scan;
mod settle;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{Location, VmConfig};

pub use classify::{Role, is_disk};
pub use disks::Found;
pub use graph::{Chain, ChainEnd, DiskGraph, Layer};
pub use listing::{FileItem, Folder, MemFolder};
pub use scan::{Options, inventory};

/// Everything that was found below a folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// VMs, in the order of their configuration files' paths.
    pub machines: Vec<Machine>,
    /// Disks that no configuration refers to, one entry for each chain's youngest disk.
    pub loose: Vec<LooseDisk>,
    /// State files and checkpoints that belong to no VM here.
    pub orphans: Vec<Orphan>,
    /// Configurations that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Files that are none of a VM's, with those that only a running host needs.
    pub other: Vec<String>,
    /// What concerns more than one VM, or none.
    pub findings: Vec<Finding>,
}

/// A VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its configuration file: its identity within the folder, since names and even ids repeat.
    pub path: String,
    /// What the configuration says.
    pub config: VmConfig,
    /// Configuration and state files.
    pub files: Vec<OwnedFile>,
    /// The disks that are attached.
    pub disks: Vec<AttachedDisk>,
    /// Whether there is saved memory; `None` if that cannot be told.
    pub saved: Option<bool>,
    /// Checkpoints, in the order of creation times and paths, which need not be that of the
    /// tree.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that the VM's present state descends from.
    pub parent: ParentCheckpoint,
    /// What concerns this VM.
    pub findings: Vec<Finding>,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its configuration file.
    pub path: String,
    /// What the configuration says. Its id is the one that names the file.
    pub config: VmConfig,
    /// Configuration and state files.
    pub files: Vec<OwnedFile>,
    /// The disks that it froze.
    pub disks: Vec<AttachedDisk>,
    /// Whether there is saved memory; `None` if that cannot be told.
    pub saved: Option<bool>,
    /// The checkpoint that it was taken after.
    pub parent: ParentCheckpoint,
}

/// What a checkpoint, or the present state, was made after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "parent", rename_all = "kebab-case")]
pub enum ParentCheckpoint {
    /// No checkpoint.
    None,
    /// Another checkpoint.
    Of {
        /// Its index in [`Machine::checkpoints`].
        checkpoint: usize,
        /// What tells so.
        evidence: Evidence,
    },
    /// Order unknown.
    Unknown {
        /// Why.
        why: UnknownOrder,
    },
}

/// What tells an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The chains of disks.
    Disks,
    /// An id in the configuration under a key that is not publicly known to be the parent's.
    Hint,
}

/// Why an order is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownOrder {
    /// No virtual disks could tell.
    NoDisks,
    /// A disk is missing, or its chain is broken or was not examined.
    BrokenChain,
    /// Several checkpoints froze the same file, or the disks contradict each other.
    Contradiction,
}

/// A file that belongs to a VM or a checkpoint, disks excepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedFile {
    /// Path in the folder.
    pub path: String,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub role: Role,
}

/// A virtual disk as a configuration names it, and the file that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedDisk {
    /// Where it is attached.
    pub location: Location,
    /// The path in the configuration.
    pub configured: String,
    /// The file.
    pub file: Resolution,
    /// The file and its parents, youngest first; absent if there is no file.
    pub chain: Option<Chain>,
}

/// The file that a configured path stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "file", rename_all = "kebab-case")]
pub enum Resolution {
    /// One file.
    Found {
        /// Its path in the folder.
        path: String,
        /// How it was found.
        by: Found,
    },
    /// Several files fit equally well.
    Ambiguous {
        /// Their paths.
        candidates: Vec<String>,
    },
    /// No file.
    Missing,
}

impl Resolution {
    /// The file's path, if there is one file.
    pub fn path(&self) -> Option<&str> {
        match self {
            Resolution::Found { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// A disk that no configuration refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LooseDisk {
    /// Path in the folder.
    pub path: String,
    /// Length in bytes.
    pub len: u64,
    /// The disk and its parents, youngest first.
    pub chain: Chain,
}

/// A file that should belong to a VM but does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orphan {
    /// Path in the folder.
    pub path: String,
    /// Length in bytes.
    pub len: u64,
    /// What it is.
    pub role: Role,
    /// The configuration, for a checkpoint.
    pub config: Option<Box<VmConfig>>,
}

/// A configuration that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Path in the folder.
    pub path: String,
    /// The id that the file's name tells.
    pub id: Option<Uuid>,
    /// Why.
    pub error: String,
    /// The configuration file and the state files beside it.
    pub files: Vec<OwnedFile>,
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// A disk is not there.
    MissingDisk {
        /// The configuration that refers to it.
        config: String,
        /// Where it is attached.
        location: Location,
        /// The path in the configuration.
        configured: String,
    },
    /// Several files could be the disk.
    AmbiguousDisk {
        /// The configuration that refers to it.
        config: String,
        /// Where it is attached.
        location: Location,
        /// The path in the configuration.
        configured: String,
        /// The files that fit.
        candidates: Vec<String>,
    },
    /// A disk's parents are not all there.
    BrokenChain {
        /// The oldest disk that is there.
        disk: String,
        /// The parent that it names; empty if the disk was not examined.
        expected: String,
    },
    /// A disk is its own ancestor.
    CyclicChain {
        /// The disk.
        disk: String,
    },
    /// Several configurations have one id: a copy and its original, for instance.
    DuplicateId {
        /// The id.
        id: Uuid,
        /// The configuration files.
        configs: Vec<String>,
    },
    /// A differencing disk that no configuration refers to stands on a VM's disk.
    UnreferencedDifference {
        /// The disk.
        disk: String,
        /// The VM's configuration.
        machine: String,
    },
    /// A checkpoint whose VM is not here, or cannot be told.
    OrphanCheckpoint {
        /// The checkpoint's configuration.
        path: String,
    },
    /// A configuration that could not be read.
    UnreadableConfig {
        /// Its path.
        path: String,
        /// Why.
        error: String,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::MissingDisk {
                config,
                location,
                configured,
            } => {
                write!(
                    f,
                    "{config}: the disk {configured} at {location} is missing"
                )
            }
            Finding::AmbiguousDisk {
                config,
                location,
                configured,
                candidates,
            } => write!(
                f,
                "{config}: the disk {configured} at {location} could be any of {}",
                candidates.join(", ")
            ),
            Finding::BrokenChain { disk, expected } if expected.is_empty() => {
                write!(
                    f,
                    "{disk} was not examined: whether it has parents is not known"
                )
            }
            Finding::BrokenChain { disk, expected } => {
                write!(f, "the parent of {disk} is missing: {expected}")
            }
            Finding::CyclicChain { disk } => write!(f, "{disk} is its own ancestor"),
            Finding::DuplicateId { id, configs } => {
                write!(
                    f,
                    "the id {id} is used more than once: {}",
                    configs.join(", ")
                )
            }
            Finding::UnreferencedDifference { disk, machine } => write!(
                f,
                "{disk} stands on a disk of {machine}, but no configuration refers to it: do not \
                 delete it before you know why"
            ),
            Finding::OrphanCheckpoint { path } => {
                write!(
                    f,
                    "{path}: the VM of this checkpoint is not here or cannot be told"
                )
            }
            Finding::UnreadableConfig { path, error } => {
                write!(f, "{path} cannot be read: {error}")
            }
        }
    }
}
