//! What preflight finds, by name.

use serde::{Deserialize, Serialize};
use vmconfig::model::{ConfigVersion, Location};

use crate::inventory::{Contact, Health, Operation, PowerState, ReplicationMode};
use crate::space::Shortage;

/// How much a finding matters to a backup, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// The backup is less than it could be: less consistent, or slower.
    Limits,
    /// Something of the VM is in no backup.
    NotCovered,
    /// Not now; later it may be possible.
    Wait,
    /// There can be no backup of this VM in this way.
    Blocks,
}

/// Something that decides what a backup of a VM can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// A disk of the host is passed through: no checkpoint holds it.
    PassThroughDisk {
        /// Where.
        location: Location,
        /// Its name on the host.
        path: Option<String>,
    },
    /// Disks behind a virtual Fibre Channel port cannot be seen from the host.
    FibreChannel {
        /// The port's name.
        name: String,
    },
    /// A VHDX that other VMs may write at the same time: hosts take no checkpoint of it.
    SharedDisk {
        /// Where.
        location: Location,
        /// Its file.
        path: String,
    },
    /// A VHD set: only a checkpoint of the whole collection of VMs holds it.
    VhdSet {
        /// Where.
        location: Location,
        /// Its file.
        path: String,
    },
    /// A VHD: it is read whole each time, as changes are only tracked in VHDX.
    VhdWithoutTracking {
        /// Where.
        location: Location,
        /// Its file.
        path: String,
    },
    /// A disk whose format is not known by its name.
    UnknownFormat {
        /// Where.
        location: Location,
        /// Its file.
        path: String,
    },
    /// A drive with something unknown in it.
    UnknownDrive {
        /// Where.
        location: Location,
        /// What the host calls it.
        kind: String,
    },
    /// A device of the host: a restored VM needs one as well.
    HostDevice {
        /// Its name.
        name: String,
    },
    /// The host does not tell what disks there are.
    DisksUnknown,
    /// The configuration is older than change tracking.
    OldVersion {
        /// Its version.
        version: ConfigVersion,
    },
    /// Sources disagree on whether changes of VMs of this version are tracked: the first reference
    /// point will tell.
    TrackingUncertain {
        /// Its version.
        version: ConfigVersion,
    },
    /// The host does not tell the version of the configuration.
    VersionUnknown,
    /// The host is older than reference points: changes are not tracked, and there are no recovery
    /// checkpoints either.
    OldHost,
    /// The host does not tell whether it has reference points.
    HostUnknown,
    /// Checkpoints are switched off for this VM. Whether that includes those of backups is not
    /// documented; it will be tried.
    CheckpointsDisabled,
    /// The service by which guests settle for a backup is not offered to this one.
    BackupServiceOff,
    /// The host does not tell whether it is.
    BackupServiceUnknown,
    /// That service does not answer in the guest.
    BackupServiceSilent {
        /// How it is; `None` if the host does not tell.
        contact: Option<Contact>,
    },
    /// There is no SCSI controller, which guests need to settle for a backup.
    NoScsiController,
    /// Checkpoints of this VM go to another volume than a disk; older guests do not settle then.
    CheckpointsElsewhere {
        /// The disk.
        path: String,
        /// Where checkpoints go.
        folder: String,
    },
    /// Nobody but the guest knows its volumes: with dynamic disks or file systems without
    /// snapshots it does not settle, and that shows only when it is tried.
    GuestVolumesUnknown,
    /// An earlier backup has seen that the guest has dynamic disks, with which it does not settle.
    GuestDynamicDisks {
        /// Their paths.
        disks: Vec<String>,
    },
    /// The guest is no Windows: its file systems are frozen, its applications take part only by
    /// scripts.
    NoGuestApplications,
    /// What system the guest is, is not known.
    GuestUnknown,
    /// The VM's state is not one in which it can be backed up.
    State {
        /// The state.
        state: PowerState,
    },
    /// Nothing runs: the disks are at rest.
    AtRest {
        /// The state.
        state: PowerState,
    },
    /// The VM is not well.
    Unwell {
        /// How it is.
        health: Health,
    },
    /// The host is doing something with the VM.
    Busy {
        /// What.
        operation: Operation,
    },
    /// Its memory is saved, in its own files, as no recovery checkpoint holds memory: without it a
    /// restored VM starts as after a power cut.
    SavedMemory,
    /// It is a replica: it changes only by what it receives, and is crash-consistent at best.
    Replica {
        /// On which side.
        mode: ReplicationMode,
    },
    /// Its replication is at something that a checkpoint would come in the way of.
    ReplicationBusy {
        /// The state, as the host's number.
        state: u16,
    },
    /// There is a recovery checkpoint: another backup runs, or one has left it behind.
    RecoveryCheckpoint {
        /// Its name.
        name: String,
        /// The host's name for it.
        instance_id: String,
        /// When it was taken, by the host's clock.
        created: Option<jiff::Timestamp>,
    },
    /// A checkpoint's files are missing.
    MissingCheckpoint {
        /// Its name.
        name: String,
    },
    /// The order of checkpoints is not known.
    CheckpointOrderUnknown,
    /// So many checkpoints that chains get slow.
    ManyCheckpoints {
        /// How many.
        count: usize,
    },
    /// A restored VM starts with its TPM only where the guardian's keys are.
    VirtualTpm,
    /// So little is free where its disks are that a checkpoint could fill the volume.
    LowSpace(Shortage),
    /// The host does not tell how much is free where a disk is.
    SpaceUnknown {
        /// The disk.
        path: String,
    },
    /// A cluster owns the VM: another node may have it in a moment.
    Clustered {
        /// The node that owns it now.
        owner: Option<String>,
    },
}

impl Finding {
    /// How much it matters.
    pub fn weight(&self) -> Weight {
        use Finding as F;
        match self {
            F::PassThroughDisk { .. } | F::FibreChannel { .. } | F::UnknownDrive { .. } => {
                Weight::NotCovered
            }
            F::SharedDisk { .. } | F::VhdSet { .. } | F::DisksUnknown | F::OldHost => {
                Weight::Blocks
            }
            F::MissingCheckpoint { .. } | F::LowSpace(_) => Weight::Blocks,
            F::State { state } => match state {
                PowerState::Changing(_) => Weight::Wait,
                PowerState::Critical(_) => Weight::Blocks,
                _ => Weight::Limits,
            },
            F::Unwell { health } => match health {
                Health::MajorFailure | Health::CriticalFailure => Weight::Blocks,
                _ => Weight::Note,
            },
            F::Busy { .. } | F::ReplicationBusy { .. } | F::RecoveryCheckpoint { .. } => {
                Weight::Wait
            }
            F::VhdWithoutTracking { .. }
            | F::UnknownFormat { .. }
            | F::OldVersion { .. }
            | F::HostUnknown
            | F::VersionUnknown
            | F::CheckpointsDisabled
            | F::BackupServiceOff
            | F::BackupServiceUnknown
            | F::BackupServiceSilent { .. }
            | F::NoScsiController
            | F::Replica { .. }
            | F::SavedMemory
            | F::GuestDynamicDisks { .. }
            | F::NoGuestApplications
            | F::CheckpointOrderUnknown => Weight::Limits,
            F::HostDevice { .. }
            | F::TrackingUncertain { .. }
            | F::CheckpointsElsewhere { .. }
            | F::GuestVolumesUnknown
            | F::GuestUnknown
            | F::AtRest { .. }
            | F::ManyCheckpoints { .. }
            | F::VirtualTpm
            | F::SpaceUnknown { .. }
            | F::Clustered { .. } => Weight::Note,
        }
    }
}
