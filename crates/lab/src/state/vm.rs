//! A virtual machine as the host knows it: plain data, no behaviour.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::job::JobId;

/// A virtual machine.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its id, by which everything knows it.
    pub id: Uuid,
    /// Whether it is only planned: an import that nobody has finished.
    pub planned: bool,
    /// Whether it runs.
    pub power: Power,
    /// When that changed last.
    pub power_since: Timestamp,
    /// How often it was started.
    pub starts: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Its present configuration. The id in it is the VM's.
    pub settings: Settings,
    /// The checkpoint that the present state descends from.
    pub parent: Option<Uuid>,
    /// The checkpoint that it went back to last, which may be gone.
    pub last_applied: Option<Uuid>,
    /// Its checkpoints, recovery checkpoints among them, in the order of their making.
    pub checkpoints: Vec<Checkpoint>,
    /// Its reference points, in the order of their making.
    pub reference_points: Vec<ReferencePoint>,
    /// Whether it stands still since its volume is full.
    pub critical: bool,
    /// Whether its disks are not merged until somebody allows it again.
    pub merges_off: bool,
    /// Whether its last merge failed, so that it is not tried again by itself.
    pub merge_failed: bool,
    /// What it is busy with, and the job that does it, if one does.
    pub busy: Option<(Busy, Option<JobId>)>,
    /// What the guest's side of the integration services does.
    pub guest: Guest,
    /// Its replication, if it is replicated.
    pub replication: Option<Replication>,
}

/// Whether a VM runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Power {
    Running,
    Off,
    Saved,
    Paused,
}

/// What a VM can be busy with, as the second `OperationalStatus` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Busy {
    CreatingCheckpoint,
    ApplyingCheckpoint,
    DeletingCheckpoint,
    Merging,
    Migrating,
    Exporting,
    ChangingState,
    /// A replica applies a delta; it has no number there.
    Delta,
    /// Something else that has no number there.
    Other,
}

/// A configuration: of a VM now, or of a checkpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id of the configuration: the VM's, or the checkpoint's.
    pub id: Uuid,
    /// The name for people.
    pub name: String,
    /// Notes for people.
    pub notes: String,
    /// 1 or 2.
    pub generation: u8,
    /// The version of the configuration, such as `9.0`.
    pub version: String,
    /// The folder of the VM's files.
    pub folder: String,
    /// That of its checkpoints' files, if it is another one.
    pub checkpoint_folder: Option<String>,
    /// Whether it belongs to a VM that is only planned, whose files lie apart.
    pub planned: bool,
    /// The id that the guest's firmware tells.
    pub firmware: Uuid,
    /// MiB that it starts with.
    pub memory: u64,
    /// MiB that it has at least and at most, if its memory is dynamic.
    pub dynamic_memory: Option<(u64, u64)>,
    /// Virtual processors.
    pub processors: u64,
    /// `UserSnapshotType`: 2 none, 3 production or standard, 4 production only, 5 standard.
    pub checkpoint_type: u16,
    /// Whether a generation 2 VM verifies what it boots.
    pub secure_boot: bool,
    /// What generation 2 boots from first, by places, as somebody has set it.
    pub boot: Vec<String>,
    /// Whether a boot loader has put itself into the firmware's variables.
    pub boot_file: bool,
    /// Whether it has a virtual TPM.
    pub tpm: bool,
    /// Whether it is shielded from its host.
    pub shielded: bool,
    /// Controllers in their order.
    pub controllers: Vec<Controller>,
    /// Drives with what is in them.
    pub drives: Vec<Drive>,
    /// Network adapters.
    pub adapters: Vec<Adapter>,
    /// Devices of the host that it has.
    pub host_devices: Vec<HostDevice>,
    /// Whether the host offers the guest the service for backups.
    pub backup_service: bool,
    /// When the memory was saved that belongs to it, if some does.
    pub saved: Option<Timestamp>,
    /// What somebody has set otherwise and nothing here follows from.
    pub changed: Vec<Changed>,
}

/// A property that somebody has set.
#[derive(Clone, Debug)]
pub struct Changed {
    /// What follows the configuration in the `InstanceID` of its object; empty for itself.
    pub place: String,
    /// What it is set to.
    pub property: cim::Property,
}

/// The place of a boot loader that is a file.
pub const BOOT_FILE: &str = "BootFile";

/// The id of IDE controllers.
const IDE: Uuid = uuid::uuid!("83f8638b-8dca-4152-9eda-2ca8b33039b4");

/// A controller of disks.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its id within the VM.
    pub id: Uuid,
    /// What it is.
    pub kind: ControllerKind,
    /// Which of its kind, from 0.
    pub number: u32,
}

/// The kinds of controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ControllerKind {
    Ide,
    Scsi,
}

/// A slot of a controller with what is in it.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Which controller, by its place in [`Settings::controllers`].
    pub controller: usize,
    /// The slot.
    pub slot: u32,
    /// What is in it.
    pub medium: Medium,
}

/// What a drive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A virtual disk in a file.
    Disk {
        /// The file that the VM writes to, or in a checkpoint that it wrote to.
        path: String,
        /// Whether several VMs may use it at once.
        shared: bool,
    },
    /// A disk of the host itself, by its number.
    PassThrough(u32),
    /// An optical drive, with the path of the image in it.
    Dvd(Option<String>),
    /// A drive for virtual disks without one.
    Empty,
}

/// A network adapter.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its id within the VM.
    pub id: Uuid,
    /// Its name for people.
    pub name: String,
    /// 12 hexadecimal digits.
    pub mac: String,
    /// Whether the address was chosen by somebody.
    pub static_mac: bool,
    /// The switch that it is connected to, which this host need not have.
    pub switch: Option<Uuid>,
    /// What that was called when it was last seen.
    pub switch_name: Option<String>,
    /// Whether it is one that generation 1 boots from.
    pub legacy: bool,
    /// The VLAN that it is in.
    pub vlan: Option<u16>,
}

/// A device of the host that a VM has: nothing of it is in a checkpoint.
#[derive(Clone, Debug)]
pub struct HostDevice {
    /// Its id within the VM.
    pub id: Uuid,
    /// What it is.
    pub kind: HostDeviceKind,
    /// Its name for people.
    pub name: String,
}

/// The kinds of devices of the host that a VM can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HostDeviceKind {
    FibreChannel,
    PciExpress,
    GpuPartition,
}

/// A checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The configuration at that time; its id is the checkpoint's.
    pub settings: Settings,
    /// Who made it.
    pub kind: CheckpointKind,
    /// The checkpoint that it descends from.
    pub parent: Option<Uuid>,
    /// When it was made.
    pub created: Timestamp,
    /// How consistent it is.
    pub consistency: Consistency,
    /// Its disks, to change tracking.
    pub tracked: Vec<Tracked>,
}

/// A disk at the moment of a checkpoint, to change tracking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The `InstanceID` of the disk's setting within the VM's present configuration.
    pub instance: String,
    /// The id that the guest sees, by which tracking knows the disk.
    pub disk: Uuid,
    /// The id of change tracking; `None` when the disk is not tracked.
    pub id: Option<String>,
    /// The file that was frozen.
    pub path: String,
}

/// The kinds of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// Made by a user.
    User,
    /// Made for a backup.
    Recovery,
    /// Made by replication, as one to fail over to.
    Replica,
    /// Its files were not there when its VM was imported.
    Missing,
}

/// How consistent a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The guest's programs were asked to settle.
    Application,
    /// As after a power cut.
    Crash,
}

/// What a backup leaves behind to ask for changes later.
#[derive(Clone, Debug)]
pub struct ReferencePoint {
    /// Its id.
    pub id: Uuid,
    /// The consistency of the checkpoint that it was made of.
    pub consistency: Consistency,
    /// When it was made.
    pub created: Timestamp,
    /// Its disks.
    pub tracked: Vec<Tracked>,
}

/// What the guest's side of the integration services does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// `OperationalStatus` of the service for backups while the VM runs: 2 good, 3 an older
    /// protocol, 7 an incompatible one, 12 no contact, 13 contact lost.
    pub backup_status: u16,
    /// Whether the guest settles when it is asked to.
    pub settles: bool,
    /// What it tells of its system, if it does.
    pub system: Option<GuestSystem>,
}

/// What a guest tells of its system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSystem {
    /// Such as `Windows Server 2022 Standard`.
    pub name: String,
    /// Such as `10.0.20348`.
    pub version: String,
    /// `OSPlatformId`: 2 is Windows.
    pub platform: u16,
}

/// The replication of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replication {
    /// 1 primary, 2 replica, 3 test replica, 4 extended replica.
    pub mode: u16,
    /// `ReplicationState`.
    pub state: u16,
    /// 1 good, 2 warning, 3 critical.
    pub health: u16,
    /// Seconds between two deltas.
    pub interval: u16,
    /// When the next delta arrives at a replica, if any does.
    pub next: Option<Timestamp>,
    /// How long it takes to apply one.
    pub delta_takes: Duration,
    /// Bytes that one changes.
    pub delta_bytes: u32,
    /// How many there were.
    pub deltas: u32,
    /// Whether it is a copy that is replicated on to a third host.
    pub extended: bool,
}

/// A virtual switch of the host.
#[derive(Clone, Debug)]
pub struct Switch {
    /// Its id.
    pub id: Uuid,
    /// Its name for people.
    pub name: String,
}

impl Vm {
    /// A checkpoint by its id.
    pub fn checkpoint(&self, id: Uuid) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|c| c.settings.id == id)
    }

    /// The present configuration and those of all checkpoints.
    pub fn all_settings(&self) -> impl Iterator<Item = &Settings> {
        let of_checkpoints = self.checkpoints.iter().map(|c| &c.settings);
        std::iter::once(&self.settings).chain(of_checkpoints)
    }
}

impl Controller {
    /// The end of its `InstanceID`. IDE controllers have one id in all VMs and differ by number;
    /// each SCSI controller has an id of its own and the number 0.
    pub fn place(&self) -> String {
        match self.kind {
            ControllerKind::Ide => format!("{}\\{}", upper(IDE), self.number),
            ControllerKind::Scsi => format!("{}\\0", upper(self.id)),
        }
    }
}

impl Settings {
    /// The virtual disks with their files, in the order of the drives.
    pub fn disks(&self) -> impl Iterator<Item = (usize, &str)> {
        let drives = self.drives.iter().enumerate();
        drives.filter_map(|(at, drive)| match &drive.medium {
            Medium::Disk { path, .. } => Some((at, path.as_str())),
            Medium::PassThrough(_) | Medium::Dvd(_) | Medium::Empty => None,
        })
    }

    /// The end of the `InstanceID` of a drive, or of what is in it when `D` or `L` is added: the
    /// place, not the file.
    pub fn place(&self, drive: &Drive) -> String {
        let controller = self.controllers.get(drive.controller);
        let path = controller.map(Controller::place).unwrap_or_default();
        format!("{path}\\{}", drive.slot)
    }

    /// What generation 2 boots from, in its order, by places: what somebody has set, and then the rest.
    pub fn boot_places(&self) -> Vec<String> {
        let file = self.boot_file.then(|| BOOT_FILE.to_owned());
        let drives = self
            .drives
            .iter()
            .map(|drive| format!("{}\\D", self.place(drive)));
        let adapters = self.adapters.iter().map(|adapter| upper(adapter.id));
        let all: Vec<String> = match self.generation {
            2 => file.into_iter().chain(drives).chain(adapters).collect(),
            _ => Vec::new(),
        };
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let set = self.boot.iter();
        let set = set.filter_map(|place| all.iter().find(|own| same(own, place)));
        let mut order: Vec<String> = set.cloned().collect();
        let rest = all.iter().filter(|own| !order.contains(own));
        let rest: Vec<String> = rest.cloned().collect();
        order.extend(rest);
        order
    }

    /// The `InstanceID` of the setting of the disk in a drive.
    pub fn disk_instance(&self, drive: &Drive) -> String {
        format!("Microsoft:{}\\{}\\L", upper(self.id), self.place(drive))
    }
}

impl Vm {
    /// What the service for backups of the guest answers: whether an application-consistent
    /// checkpoint can succeed.
    pub fn can_settle(&self) -> bool {
        self.power == Power::Running
            && self.settings.backup_service
            && matches!(self.guest.backup_status, 2 | 3)
            && self.guest.settles
    }
}

/// An id as Hyper-V writes it: upper case, without braces.
pub fn upper(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}
