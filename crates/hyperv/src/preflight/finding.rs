//! What preflight finds, by name.

use std::fmt;

use serde::{Deserialize, Serialize};
use vmconfig::model::{ConfigVersion, Location};

use crate::inventory::{Contact, Health, Operation, PowerState, ReplicationMode};

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
            F::MissingCheckpoint { .. } => Weight::Blocks,
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
            | F::Clustered { .. } => Weight::Note,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Finding as F;
        match self {
            F::PassThroughDisk { location, path } => write!(
                f,
                "{location} is a pass-through disk ({}); it is in no checkpoint: back it up inside \
                 the guest, or replace it by a VHDX",
                path.as_deref().unwrap_or("unnamed")
            ),
            F::FibreChannel { name } => write!(
                f,
                "{name} is a Fibre Channel port; disks behind it cannot be seen from the host: back \
                 them up inside the guest"
            ),
            F::SharedDisk { location, path } => write!(
                f,
                "{location} ({path}) is shared with other VMs, and hosts take no checkpoint of it: \
                 back it up inside the guest, or turn it into a VHD set"
            ),
            F::VhdSet { location, path } => write!(
                f,
                "{location} ({path}) is a VHD set, which only a checkpoint of the whole collection \
                 holds: back it up inside the guest"
            ),
            F::VhdWithoutTracking { location, path } => write!(
                f,
                "{location} ({path}) is a VHD: it is read whole each time; convert it to VHDX to \
                 have its changes tracked"
            ),
            F::UnknownFormat { location, path } => {
                write!(f, "{location} ({path}) has a name of no known format")
            }
            F::UnknownDrive { location, kind } => {
                write!(f, "{location} holds a medium of the unknown type {kind:?}")
            }
            F::HostDevice { name } => {
                write!(f, "{name} is a device of the host: a restored VM needs one as well")
            }
            F::DisksUnknown => f.write_str("the host does not tell the VM's disks: ask again"),
            F::OldVersion { version } => write!(
                f,
                "version {version} of the configuration is older than change tracking: disks are \
                 read whole; upgrade the VM's version to have changes tracked"
            ),
            F::TrackingUncertain { version } => write!(
                f,
                "whether changes of VMs of version {version} are tracked is not certain: the first \
                 backup will tell"
            ),
            F::VersionUnknown => f.write_str("the host does not tell the configuration's version"),
            F::OldHost => f.write_str(
                "the host is older than Windows Server 2016: it has no recovery checkpoints and no \
                 change tracking; only its VSS writer can back up its VMs",
            ),
            F::HostUnknown => f.write_str(
                "the host does not tell whether it has reference points: changes may not be tracked",
            ),
            F::CheckpointsDisabled => f.write_str(
                "checkpoints are switched off for this VM; if its backup fails for that, allow \
                 production checkpoints in its settings",
            ),
            F::BackupServiceOff => f.write_str(
                "the integration service “Backup (volume checkpoint)” is not offered to the guest: \
                 switch it on in the VM's settings",
            ),
            F::BackupServiceUnknown => f.write_str(
                "the host does not tell whether the integration service for backups is offered",
            ),
            F::BackupServiceSilent { contact } => {
                let why = match contact {
                    Some(Contact::Incompatible) => "speaks a protocol that does not fit",
                    Some(Contact::Lost) => "no longer answers",
                    _ => "does not answer",
                };
                write!(
                    f,
                    "the backup service in the guest {why}: see that it runs there and is up to date"
                )
            }
            F::NoScsiController => f.write_str(
                "the VM has no SCSI controller, which its guest needs to settle for a backup: add one",
            ),
            F::CheckpointsElsewhere { path, folder } => write!(
                f,
                "checkpoints go to {folder}, another volume than that of {path}; older guests do \
                 not settle then"
            ),
            F::GuestVolumesUnknown => f.write_str(
                "whether the guest's volumes allow it to settle (no dynamic disks, file systems \
                 with snapshots) shows only when it is tried",
            ),
            F::NoGuestApplications => f.write_str(
                "the guest is no Windows: its file systems are frozen; its applications take part \
                 only by scripts",
            ),
            F::GuestUnknown => f.write_str("what system the guest is, is not known"),
            F::State { state } => write!(f, "the VM is in the state {state:?}"),
            F::AtRest { state } => write!(f, "the VM is {state:?}: its disks are at rest"),
            F::Unwell { health } => write!(f, "the VM is not well: {health:?}"),
            F::Busy { operation } => write!(f, "the host is at work on the VM: {operation:?}"),
            F::Replica { mode } => write!(
                f,
                "the VM is a copy ({mode:?}): a backup of it is crash-consistent at best"
            ),
            F::ReplicationBusy { state } => write!(
                f,
                "its replication is in state {state}, which a checkpoint would come in the way of"
            ),
            F::RecoveryCheckpoint {
                name, instance_id, ..
            } => write!(
                f,
                "there is a recovery checkpoint ({name}, {instance_id}): another backup runs, or \
                 has left it behind"
            ),
            F::MissingCheckpoint { name } => {
                write!(f, "the files of the checkpoint {name} are missing")
            }
            F::CheckpointOrderUnknown => f.write_str("the order of the checkpoints is not known"),
            F::ManyCheckpoints { count } => {
                write!(f, "{count} checkpoints make long chains of disks, and those are slow")
            }
            F::VirtualTpm => f.write_str(
                "the VM has a virtual TPM: restoring needs the guardian's keys on the host",
            ),
            F::Clustered { owner } => write!(
                f,
                "a cluster owns the VM; now it is on {}",
                owner.as_deref().unwrap_or("an unknown node")
            ),
        }
    }
}
