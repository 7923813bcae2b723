//! The part of a point that a write-only host can read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::id::{NodeId, PointId, VmKey};

use super::{check_features, distinct};

const WHAT: &str = "restore point's outline";

/// How a point relates to the ones before it. Every point is complete all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Everything was read.
    Full,
    /// What had changed since the parent was read.
    Incremental,
    /// Told relative to the last full point.
    Differential,
    /// A level of a later version.
    #[serde(untagged)]
    Other(String),
}

/// The state in which the VM's disks were caught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The guest's applications had brought their files into order.
    Application,
    /// The guest's file systems had been flushed and frozen.
    FileSystem,
    /// As after a power failure, all disks at one instant.
    Crash,
    /// The VM was off.
    Offline,
    /// The VM was saved or paused; its memory is part of the point or lost.
    Saved,
    /// Nothing is known about it: files were read as they lay.
    Unknown,
    /// A state of a later version.
    #[serde(untagged)]
    Other(String),
}

/// One layer of a disk: where its map begins, and how to recognise it next time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRef {
    /// Number of the layer in this point; [`LayerDetails`](super::LayerDetails) have the same.
    pub id: u32,
    /// What identifies the layer to its source between two backups; opaque here.
    pub identity: Value,
    /// Root of the layer's map.
    pub root: NodeId,
    /// Length of the disk in bytes.
    pub len: u64,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A file kept with the VM: where its map begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRef {
    /// Number of the file in this point; [`FileDetails`](super::FileDetails) have the same.
    pub id: u32,
    /// Root of the file's map.
    pub root: NodeId,
    /// Length of the file in bytes.
    pub len: u64,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What an incremental, a list, and the marking of what is in use need of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Features that a reader must know.
    pub required: Vec<String>,
    /// The point.
    pub point: PointId,
    /// The VM, as the vault's names know it.
    pub vm: VmKey,
    /// When the VM's state was caught, in milliseconds since 1970-01-01 UTC, by the writer's
    /// clock.
    pub taken: u64,
    /// When the point was written, likewise.
    pub written: u64,
    /// How it relates to the points before.
    pub level: Level,
    /// How the source was read: `folder`, `cbt`, `standard`, …
    pub mode: String,
    /// The consistency that was achieved.
    pub consistency: Consistency,
    /// The point that this one was read against. For information: nothing depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<PointId>,
    /// Whether something was not covered; the details say what.
    pub partial: bool,
    /// All layers of all disks.
    pub layers: Vec<LayerRef>,
    /// All files.
    pub files: Vec<FileRef>,
    /// Counters, by name: `bytes_read`, `bytes_stored`, …
    #[serde(default)]
    pub statistics: BTreeMap<String, u64>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Outline {
    /// Every map that the point uses.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> {
        let layers = self.layers.iter().map(|layer| layer.root);
        layers.chain(self.files.iter().map(|file| file.root))
    }

    pub(super) fn check(&self) -> Result<()> {
        check_features(WHAT, &self.required)?;
        distinct(WHAT, "layers", self.layers.iter().map(|layer| layer.id))?;
        distinct(WHAT, "files", self.files.iter().map(|file| file.id))?;
        Ok(())
    }
}
