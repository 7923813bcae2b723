//! What preflight's findings say, and what to do about them.

use std::fmt;

use super::finding::Finding;
use crate::inventory::{Contact, Health, PowerState};

impl Finding {
    /// What to do about it; `None` where there is nothing to do.
    pub fn hint(&self) -> Option<&'static str> {
        use Finding as F;
        const IN_GUEST: &str = "back up what is on it inside the guest";
        Some(match self {
            F::PassThroughDisk { .. } => "back it up inside the guest, or replace it by a VHDX",
            F::FibreChannel { .. } => IN_GUEST,
            F::SharedDisk { .. } => "back it up inside the guest, or turn it into a VHD set",
            F::VhdSet { .. } => IN_GUEST,
            F::VhdWithoutTracking { .. } => "convert it to VHDX to have its changes tracked",
            F::UnknownFormat { .. } => "see in the VM's settings what this file is",
            F::UnknownDrive { .. } => "see in the VM's settings what is in this drive",
            F::DisksUnknown => "run it again; if it stays so, look at the account's rights",
            F::OldVersion { .. } => {
                "upgrade the VM's configuration version to have changes tracked"
            }
            F::VersionUnknown | F::BackupServiceUnknown => {
                "see that the account may read the VM's settings"
            }
            F::OldHost => "only this host's VSS writer can back up its VMs: upgrade it",
            F::HostUnknown => "see that the account is in Hyper-V Administrators on the host",
            F::CheckpointsDisabled => {
                "if the backup fails for that, allow production checkpoints in the VM's settings"
            }
            F::BackupServiceOff => {
                "switch on “Backup (volume checkpoint)” among the VM's integration services"
            }
            F::BackupServiceSilent { .. } => {
                "see that the service runs in the guest and is up to date"
            }
            F::NoScsiController => "add a SCSI controller to the VM",
            F::NoGuestApplications => "where its applications need it, use the guest's own scripts",
            F::State { state } => match state {
                PowerState::Changing(_) => "it is tried again when the VM has settled",
                PowerState::Critical(_) => "see to the VM's storage on the host",
                _ => "resume the VM to have its guest take part",
            },
            F::SavedMemory => "start the VM, or shut it down, to have more than its disks",
            F::Unwell { health } => match health {
                Health::MajorFailure | Health::CriticalFailure => {
                    "see to the VM on the host: storage that is full or gone, above all"
                }
                _ => return None,
            },
            F::Busy { .. } | F::ReplicationBusy { .. } => {
                "it is tried again when the host is done with it"
            }
            F::Replica { .. } => "back up the primary VM to have its guest take part",
            F::RecoveryCheckpoint { .. } => {
                "wait for the other backup; if there is none, remove the checkpoint on the host: \
                 Get-VMSnapshot -SnapshotType Recovery | Remove-VMSnapshot"
            }
            F::MissingCheckpoint { .. } => "bring its files back, or remove it on the host",
            F::CheckpointOrderUnknown => "run it again when nobody changes the VM's checkpoints",
            F::GuestDynamicDisks { .. } => {
                "back up all dynamic disks of the VM together; have the guest use basic disks or \
                 storage spaces if its applications are to take part"
            }
            F::ManyCheckpoints { .. } => "remove the checkpoints that nobody needs",
            F::VirtualTpm => "keep the certificates of the host's guardian where backups are",
            F::LowSpace(short) => short.hint(),
            F::HostDevice { .. }
            | F::SpaceUnknown { .. }
            | F::TrackingUncertain { .. }
            | F::CheckpointsElsewhere { .. }
            | F::GuestVolumesUnknown
            | F::GuestUnknown
            | F::AtRest { .. }
            | F::Clustered { .. } => return None,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Finding as F;
        match self {
            F::PassThroughDisk { location, path } => write!(
                f,
                "{location} is a pass-through disk ({}), which is in no checkpoint",
                path.as_deref().unwrap_or("unnamed")
            ),
            F::FibreChannel { name } => write!(
                f,
                "{name} is a Fibre Channel port; disks behind it cannot be seen from the host"
            ),
            F::SharedDisk { location, path } => write!(
                f,
                "{location} ({path}) is shared with other VMs, and hosts take no checkpoint of it"
            ),
            F::VhdSet { location, path } => write!(
                f,
                "{location} ({path}) is a VHD set, which only a checkpoint of the whole collection \
                 holds"
            ),
            F::VhdWithoutTracking { location, path } => {
                write!(f, "{location} ({path}) is a VHD: it is read whole each time")
            }
            F::UnknownFormat { location, path } => {
                write!(f, "{location} ({path}) has a name of no known format")
            }
            F::UnknownDrive { location, kind } => {
                write!(f, "{location} holds a medium of the unknown type {kind:?}")
            }
            F::HostDevice { name } => {
                write!(f, "{name} is a device of the host: a restored VM needs one as well")
            }
            F::DisksUnknown => f.write_str("the host does not tell the VM's disks"),
            F::OldVersion { version } => write!(
                f,
                "version {version} of the configuration is older than change tracking: disks are \
                 read whole"
            ),
            F::TrackingUncertain { version } => write!(
                f,
                "whether changes of VMs of version {version} are tracked is not certain: the first \
                 backup will tell"
            ),
            F::VersionUnknown => f.write_str("the host does not tell the configuration's version"),
            F::OldHost => f.write_str(
                "the host is older than Windows Server 2016: it has no recovery checkpoints and no \
                 change tracking",
            ),
            F::HostUnknown => f.write_str(
                "the host does not tell whether it has reference points: changes may not be tracked",
            ),
            F::CheckpointsDisabled => f.write_str("checkpoints are switched off for this VM"),
            F::BackupServiceOff => f.write_str(
                "the integration service by which guests settle for a backup is not offered",
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
                write!(f, "the backup service in the guest {why}")
            }
            F::NoScsiController => f.write_str(
                "the VM has no SCSI controller, which its guest needs to settle for a backup",
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
            F::GuestDynamicDisks { disks } => write!(
                f,
                "its last backup has seen dynamic disks of the guest, with which it does not settle: \
                 {}",
                disks.join(", ")
            ),
            F::NoGuestApplications => f.write_str(
                "the guest is no Windows: its file systems are frozen; its applications take part \
                 only by scripts",
            ),
            F::GuestUnknown => f.write_str("what system the guest is, is not known"),
            F::State { state } => write!(f, "the VM is in the state {state:?}"),
            F::AtRest { state } => write!(f, "the VM is {state:?}: its disks are at rest"),
            F::SavedMemory => f.write_str(
                "the VM is saved: without its saved state, which no recovery checkpoint holds and \
                 which is read from its own files, a restored VM starts as after a power cut",
            ),
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
            F::LowSpace(short) => write!(f, "{short}"),
            F::SpaceUnknown { path } => {
                write!(f, "the host does not tell how much is free where {path} is")
            }
            F::Clustered { owner } => write!(
                f,
                "a cluster owns the VM; now it is on {}",
                owner.as_deref().unwrap_or("an unknown node")
            ),
        }
    }
}
