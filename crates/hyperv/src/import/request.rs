//! What somebody wants of a restore.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vmconfig::model::Location;

/// What is wanted. The default is a copy that harms nothing: beside the VM, with another id, with
/// new addresses, connected to nothing, and off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// In place of the VM that is there, or beside it.
    pub place: Place,
    /// Its name; that of the point unless told.
    pub name: Option<String>,
    /// The VM's id, or a new one.
    pub identity: Identity,
    /// The folder of the VM; one of its name below the host's own for VMs unless told.
    pub folder: Option<String>,
    /// That of its checkpoints, if it is another one.
    pub checkpoint_folder: Option<String>,
    /// Folders of single disks, if they are others than `Virtual Hard Disks` below the VM's.
    pub disk_folders: Vec<(Location, String)>,
    /// How it is connected.
    pub network: Network,
    /// What becomes of saved memory.
    pub saved_state: SavedState,
    /// What becomes of checkpoints.
    pub tree: Tree,
    /// How it gets there.
    pub way: WantedWay,
    /// Whether it is started in the end.
    pub start: bool,
    /// Whether replication of the VM that is replaced may be removed.
    pub remove_replication: bool,
    /// Whether the VM that is replaced may have checkpoints, which go with it.
    #[serde(default)]
    pub remove_checkpoints: bool,
    /// Bytes that disks take by now which an earlier run of the same has begun, by their paths on the host:
    /// these are free no more, and needed no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub written: BTreeMap<String, u64>,
}

/// In place or beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Beside whatever is there.
    #[default]
    Beside,
    /// Instead of the VM of the same id.
    InPlace,
}

/// Whose id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// A new one, as a copy needs.
    #[default]
    New,
    /// That of the VM that was backed up.
    Keep,
}

/// How adapters are connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Which switch.
    pub switches: SwitchMap,
    /// Which address.
    pub mac: Mac,
}

/// Which switches adapters are connected to. VLANs are kept wherever there is a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "connect", content = "to")]
pub enum SwitchMap {
    /// None.
    #[default]
    Disconnected,
    /// Those of the same name, or else of the same id.
    Same,
    /// By the names that they had, others as [`SwitchMap::Same`]; nothing means none.
    Map(BTreeMap<String, Option<String>>),
}

/// Which addresses adapters have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mac {
    /// New ones, of the host's choice.
    #[default]
    New,
    /// Those that they had.
    Keep,
}

/// What becomes of saved memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SavedState {
    /// Kept where it is likely to fit, and dropped otherwise.
    #[default]
    Auto,
    /// Kept.
    Keep,
    /// Dropped: the VM starts as after a power cut.
    Discard,
}

/// What becomes of checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tree {
    /// All are there, with the right one current.
    #[default]
    Whole,
    /// There are none: disks are as they are now.
    Flat,
}

/// How a VM gets to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WantedWay {
    /// By its configuration where that can be, or else made anew.
    #[default]
    Auto,
    /// By its configuration.
    Import,
    /// Made anew from what is known of it.
    Define,
}
