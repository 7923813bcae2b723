//! What there is to restore, as plain data.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{Location, VmConfig};

/// A VM as a restore point has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The VM.
    pub vm: Uuid,
    /// What it is.
    pub config: VmConfig,
    /// Its checkpoints, parents before children.
    pub checkpoints: Vec<PointCheckpoint>,
    /// The checkpoint that its present state was made after.
    pub parent: Option<Uuid>,
    /// Every file of its disks that is to be written.
    pub disks: Vec<PointDisk>,
    /// Why its configuration cannot be imported; `None` if nothing is known against it.
    pub not_importable: Option<String>,
    /// Whether it holds saved memory.
    pub memory: bool,
    /// Whether it holds what protects the key of its TPM.
    pub key_protector: bool,
    /// The host that it was backed up from, if one told its name.
    pub host: Option<String>,
}

/// A checkpoint of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointCheckpoint {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The checkpoint that it descends from.
    pub parent: Option<Uuid>,
    /// Whether it is known to descend from none.
    #[serde(default)]
    pub first: bool,
    /// Whether it holds saved memory; nothing if that cannot be told.
    #[serde(default)]
    pub memory: Option<bool>,
}

/// A file of its disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointDisk {
    /// Where its disk is attached.
    pub location: Location,
    /// The path that it had.
    pub path: String,
    /// Bytes that it will take at most.
    pub bytes: u64,
    /// Whether it is what the VM writes to, and not below that.
    pub leaf: bool,
}
