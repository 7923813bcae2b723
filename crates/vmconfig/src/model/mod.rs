//! What a virtual machine is, as plain data.
//!
//! A [`VmConfig`] is stored in every restore point and printed by `--json`, so it is serde data
//! whose names are stable, and it can come from a configuration file or from a running host
//! alike. It is a *description*: the configuration file itself is kept byte for byte beside it
//! and is what a restore writes back, so a setting that is not described here is not lost.
//!
//! - What a source does not tell is `None`, never a default.
//! - Every device of the manifest is in [`VmConfig::devices`], known or not.
//! - What needs someone's attention is a [`Finding`].

mod boot;
mod device;
mod drives;
mod finding;
mod read;
mod settings;
mod storage;
#[cfg(test)]
mod tests;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use boot::BootSource;
pub use device::{Device, DeviceKind};
pub use drives::MAX_DRIVES;
pub use finding::Finding;
pub use read::NotAConfiguration;
pub use settings::{
    AutomaticActions, CheckpointSettings, DataRoots, Firmware, HostActions, IntegrationService,
    Memory, NetworkAdapter, Processors, SavedState, Security, SerialPort,
};
pub use storage::{Controller, ControllerKind, Drive, DriveKind, Location, NotALocation, Qos};
pub use write::to_tree;

/// A virtual machine's, or one of its checkpoints', configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VmConfig {
    /// The name that people gave. Not unique.
    pub name: String,
    /// The id that names this configuration's files: the VM's, or the checkpoint's.
    pub id: Option<Uuid>,
    /// The id of the VM, the same in the VM and in all of its checkpoints.
    pub logical_id: Option<Uuid>,
    /// Whether this is a VM or a checkpoint.
    pub kind: Kind,
    /// BIOS or UEFI.
    pub generation: Generation,
    /// Version of the configuration, which decides the hosts that can run the VM.
    pub version: Option<ConfigVersion>,
    /// Free text. Others' products keep ids here.
    pub notes: String,
    /// When the VM was created or the checkpoint taken.
    pub created: Option<Timestamp>,
    /// Virtual processors.
    pub processors: Processors,
    /// Memory.
    pub memory: Memory,
    /// BIOS or UEFI settings.
    pub firmware: Firmware,
    /// Virtual TPM and shielding.
    pub security: Security,
    /// Controllers with their drives, in the order of the manifest.
    pub controllers: Vec<Controller>,
    /// Network adapters.
    pub network_adapters: Vec<NetworkAdapter>,
    /// Integration services that are offered to the guest.
    pub integration_services: Vec<IntegrationService>,
    /// Serial ports.
    pub serial_ports: Vec<SerialPort>,
    /// What happens when the host starts and stops.
    pub automatic: AutomaticActions,
    /// How checkpoints are taken.
    pub checkpoints: CheckpointSettings,
    /// Whether a cluster keeps the VM running.
    pub highly_available: Option<bool>,
    /// Saved memory, if the configuration refers to it.
    pub saved_state: Option<SavedState>,
    /// Whether differencing disks are waiting to be merged: then the whole chain matters.
    pub disk_merge_pending: Option<bool>,
    /// Folders of the configuration.
    pub data_roots: DataRoots,
    /// Ids found under keys that look like a reference to a parent checkpoint. No public source
    /// names the key, so this is a hint to be confirmed, not a fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_hints: Vec<Uuid>,
    /// Everything that the manifest lists.
    pub devices: Vec<Device>,
    /// What needs attention.
    pub findings: Vec<Finding>,
}

/// What a configuration describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A VM.
    #[default]
    Machine,
    /// A checkpoint of a VM.
    Checkpoint,
}

/// A VM's generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generation {
    /// BIOS, IDE boot.
    #[default]
    #[serde(rename = "1")]
    One,
    /// UEFI, SCSI boot.
    #[serde(rename = "2")]
    Two,
}

impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Generation::One => "1",
            Generation::Two => "2",
        })
    }
}

/// A configuration version such as 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigVersion {
    /// The number before the dot.
    pub major: u32,
    /// The number after the dot.
    pub minor: u8,
}

impl ConfigVersion {
    /// Unpacks the number in a configuration: major version times 256 plus minor version.
    pub fn from_packed(packed: i64) -> Option<Self> {
        let packed = u32::try_from(packed).ok()?;
        Some(ConfigVersion {
            major: packed >> 8,
            minor: (packed & 0xff) as u8,
        })
    }

    /// The number as it is stored.
    pub fn packed(self) -> i64 {
        i64::from(self.major) << 8 | i64::from(self.minor)
    }
}

impl std::fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<ConfigVersion> for String {
    fn from(version: ConfigVersion) -> Self {
        version.to_string()
    }
}

impl std::str::FromStr for ConfigVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a configuration version such as 9.0");
        let (major, minor) = text.split_once('.').ok_or_else(bad)?;
        let major = major.parse().map_err(|_| bad())?;
        Ok(ConfigVersion {
            major,
            minor: minor.parse().map_err(|_| bad())?,
        })
    }
}

impl TryFrom<String> for ConfigVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl VmConfig {
    /// Every drive with its place.
    pub fn drives(&self) -> impl Iterator<Item = (Location, &Drive)> {
        self.controllers.iter().flat_map(|controller| {
            controller
                .drives
                .iter()
                .map(|drive| (controller.location(drive), drive))
        })
    }

    /// Paths of all virtual disks as the configuration names them: without ISO files, floppies
    /// and pass-through disks.
    pub fn virtual_disks(&self) -> impl Iterator<Item = (Location, &str)> {
        self.drives().filter_map(|(location, drive)| {
            let path = drive.path.as_deref()?;
            (drive.kind == DriveKind::VirtualDisk).then_some((location, path))
        })
    }

    /// The VM that the configuration belongs to: its logical id, or for a VM its own id.
    pub fn machine_id(&self) -> Option<Uuid> {
        match self.kind {
            Kind::Machine => self.id.or(self.logical_id),
            Kind::Checkpoint => self.logical_id,
        }
    }
}
