//! What a scenario may say of a VM.

use serde::Deserialize;

/// A VM.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct VmSpec {
    /// Its name; its configuration lies in a folder of that name unless told.
    pub name: String,
    /// The node of a cluster that has it; the first if it is not told.
    pub node: Option<String>,
    /// 1 or 2.
    pub generation: u8,
    /// The version of its configuration.
    pub version: String,
    /// Whether it is only planned: an import that nobody has finished. It must be off.
    pub planned: bool,
    /// Whether it runs.
    pub state: State,
    /// The folder of its files.
    pub folder: Option<String>,
    /// MiB of memory.
    pub memory: u64,
    /// MiB that it has at least and at most, if its memory is dynamic.
    pub dynamic_memory: Option<(u64, u64)>,
    /// Processors.
    pub processors: u64,
    /// `UserSnapshotType`.
    pub checkpoint_type: u16,
    /// Whether its guest's boot loader is in its firmware's variables.
    pub boot_file: bool,
    /// Virtual TPM.
    pub tpm: bool,
    /// Shielded from its host.
    pub shielded: bool,
    /// SCSI controllers; 1 if it is not told.
    pub scsi_controllers: Option<u32>,
    /// Virtual disks, on SCSI in generation 2 and the first two of generation 1 on IDE.
    pub disks: Vec<DiskSpec>,
    /// The tree of its checkpoints: at most one that descends from none.
    pub checkpoints: Vec<CheckpointSpec>,
    /// What its guest has written since.
    pub writes: Vec<WriteSpec>,
    /// Numbers of disks of the host that it has for itself.
    pub pass_through: Vec<u32>,
    /// Optical drives, each with the path of the image in it, or null.
    pub dvds: Vec<Option<String>>,
    /// Devices of the host that it has.
    pub host_devices: Vec<HostDeviceSpec>,
    /// Network adapters.
    pub adapters: Vec<AdapterSpec>,
    /// Whether the host offers it the service for backups.
    pub backup_service: bool,
    /// The state of that service while it runs: 2, 3, 7, 12 or 13.
    pub backup_status: u16,
    /// Whether its guest settles when asked to.
    pub settles: bool,
    /// What its guest tells of its system, if it does.
    pub guest: Option<GuestSpec>,
    /// Replication.
    pub replication: Option<ReplicationSpec>,
}

impl Default for VmSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            node: None,
            generation: 2,
            version: "9.0".to_owned(),
            planned: false,
            state: State::Running,
            folder: None,
            memory: 1024,
            dynamic_memory: None,
            processors: 1,
            checkpoint_type: 3,
            boot_file: false,
            tpm: false,
            shielded: false,
            scsi_controllers: None,
            disks: Vec::new(),
            checkpoints: Vec::new(),
            writes: Vec::new(),
            pass_through: Vec::new(),
            dvds: Vec::new(),
            host_devices: Vec::new(),
            adapters: Vec::new(),
            backup_service: true,
            backup_status: 2,
            settles: true,
            guest: None,
            replication: None,
        }
    }
}

/// A checkpoint, and what descends from it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Its name.
    pub name: String,
    /// What the guest wrote before it was taken, since the one that it descends from.
    pub writes: Vec<WriteSpec>,
    /// Whose it is.
    pub kind: CheckpointKindSpec,
    /// Whether it holds memory.
    pub memory: bool,
    /// Whether the VM went back to it, and has gone on from there.
    pub now: bool,
    /// Those that descend from it, in the order of their making.
    pub checkpoints: Vec<CheckpointSpec>,
}

/// Whose a checkpoint is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointKindSpec {
    /// A user's.
    #[default]
    User,
    /// For somebody's backup.
    Recovery,
    /// Replication's.
    Replica,
}

/// Something that a guest writes: bytes that follow from a number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WriteSpec {
    /// Which drive of the VM, from 0.
    pub drive: usize,
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes, whole sectors.
    pub length: u32,
    /// The number; 0 writes zeros.
    pub seed: u32,
}

/// What a guest tells of its system.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestSpec {
    /// The system's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// 2 for Windows.
    pub platform: u16,
}

/// Whether a VM runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum State {
    Running,
    Off,
    Saved,
    Paused,
}

/// A virtual disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskSpec {
    /// Its file on the host.
    pub path: String,
    /// Bytes of the disk, for one that is to be made; the file must be there otherwise.
    #[serde(default)]
    pub size: Option<u64>,
    /// Whether several VMs may use it.
    #[serde(default)]
    pub shared: bool,
    /// Where it is; the first free place if it is not told.
    #[serde(default)]
    pub place: Option<PlaceSpec>,
    /// What its guest writes by itself.
    #[serde(default)]
    pub guest: Option<ReplaySpec>,
}

/// A place for a disk.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlaceSpec {
    /// The controller, IDE before SCSI, from 0.
    pub controller: usize,
    /// The slot of it.
    pub slot: u32,
}

/// Images of a whole disk that a guest goes through, from the last to the first again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplaySpec {
    /// Files as large as the disk, beside the scenario unless their paths are whole. The disk has
    /// the first one's content to begin with.
    pub images: Vec<std::path::PathBuf>,
    /// Milliseconds between two pieces of at most 64 KiB.
    pub every_ms: u64,
}

/// A network adapter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdapterSpec {
    /// The name of the switch that it is connected to.
    pub switch: Option<String>,
    /// Its address, 12 hexadecimal digits, if it was chosen.
    pub mac: Option<String>,
    /// Whether it is one that generation 1 boots from.
    pub legacy: bool,
    /// The VLAN that it is in.
    pub vlan: Option<u16>,
}

/// A device of the host that a VM has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostDeviceSpec {
    /// What it is.
    pub kind: HostDeviceKindSpec,
    /// Its name.
    pub name: String,
}

/// The kinds of devices of the host.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum HostDeviceKindSpec {
    FibreChannel,
    PciExpress,
    GpuPartition,
}

/// Replication of a VM.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplicationSpec {
    /// 1 primary, 2 replica, 3 test replica, 4 extended replica.
    pub mode: u16,
    /// `ReplicationState`.
    pub state: u16,
    /// 1 good, 2 warning, 3 critical.
    pub health: u16,
    /// Seconds between two deltas; a replica gets none with 0.
    pub interval: u16,
    /// Milliseconds that a replica needs to apply one.
    #[serde(default = "two_seconds")]
    pub delta_ms: u64,
    /// Bytes that one changes.
    #[serde(default)]
    pub delta_bytes: u32,
    /// Whether it is a copy that is replicated on to a third host.
    #[serde(default)]
    pub extended: bool,
}

fn two_seconds() -> u64 {
    2000
}
