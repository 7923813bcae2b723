//! What a plan of a restore finds, by name.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{ConfigVersion, Location};

use crate::inventory::ReplicationMode;

/// How much a finding matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// The restored VM is less than it was, or somebody must see to something.
    Limits,
    /// It cannot be done so.
    Blocks,
}

/// Something that decides what a restore comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// The VM that shall be replaced is not there.
    NothingToReplace,
    /// A VM or planned VM has the id already.
    IdClash {
        /// The id.
        id: Uuid,
        /// The name of who has it.
        name: String,
    },
    /// The host tells that another VM has the name, which is allowed.
    SameName {
        /// The name.
        name: String,
    },
    /// Replacing a VM gives the new one its id.
    NewIdInPlace,
    /// The VM that shall be replaced is part of a replication.
    Replicated {
        /// Its side.
        mode: ReplicationMode,
        /// Whether it may be removed.
        removed: bool,
    },
    /// The VM that shall be replaced runs, and will be turned off.
    WillBeStopped {
        /// Its name.
        name: String,
    },
    /// The host is at work on the VM that shall be replaced.
    Busy {
        /// Its name.
        name: String,
    },
    /// Checkpoints of the VM that shall be replaced go with it.
    CheckpointsGo {
        /// How many.
        count: usize,
        /// Whether they may.
        removed: bool,
    },
    /// What backups of the VM that shall be replaced ask for changes by goes with it, for good.
    ReferencePointsGo {
        /// How many.
        count: usize,
    },
    /// Restoring a VM that a cluster has is left to people.
    Clustered {
        /// Its role.
        role: String,
    },
    /// The host cannot have a configuration of this version.
    Version {
        /// The version.
        version: ConfigVersion,
        /// The least and the most that it can have.
        host: (ConfigVersion, ConfigVersion),
    },
    /// Nobody tells which versions there can be, or which one this is.
    VersionUnknown,
    /// The configuration cannot be imported.
    NotImportable {
        /// Why.
        why: String,
    },
    /// The VM is made anew from what is known of it.
    Defined {
        /// What is not known again.
        lost: Vec<String>,
    },
    /// Checkpoints cannot be made anew.
    TreeFlattened {
        /// How many are not there afterwards.
        count: usize,
    },
    /// An adapter's switch is not on the host.
    SwitchMissing {
        /// The adapter.
        adapter: String,
        /// The switch that it had, or that was named.
        switch: String,
    },
    /// Another VM has an adapter's address.
    MacClash {
        /// The adapter.
        adapter: String,
        /// The address.
        mac: String,
        /// Who has it.
        name: String,
    },
    /// Saved memory goes.
    SavedStateDropped {
        /// Why.
        why: String,
    },
    /// Saved memory fits hosts with the same features of processors alone, and no host tells them.
    SavedStateMayNotFit,
    /// Saved memory of checkpoints goes.
    CheckpointMemoryDropped {
        /// Of how many that have it, or of which nobody can tell.
        count: usize,
    },
    /// Saved memory of checkpoints is of another host, and stays.
    CheckpointMemoryMayNotFit {
        /// Of how many that have it, or of which nobody can tell.
        count: usize,
    },
    /// There was no saved memory to keep.
    NoSavedState,
    /// The TPM needs keys that this host may not have.
    Tpm {
        /// Whether the point holds what protects its key.
        protector: bool,
    },
    /// A disk is not in the point.
    DiskMissing {
        /// Where.
        location: Location,
        /// Its path.
        path: String,
    },
    /// A disk of the old host was passed through, and is taken out.
    PassThrough {
        /// Where.
        location: Location,
    },
    /// An image is taken out of a drive.
    ImageTakenOut {
        /// Where.
        location: Location,
        /// Its path.
        path: String,
    },
    /// A device of the old host is not there.
    HostDevice {
        /// Its name.
        name: String,
    },
    /// There is a file of a VM where one would be written.
    InUse {
        /// The path.
        path: String,
        /// Whose it is.
        name: String,
    },
    /// Two files would have one path.
    SamePath {
        /// The path.
        path: String,
    },
    /// A folder or path is none of a Windows host.
    BadPath {
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// The folder that was asked for is not free, or one beside it that a restore needs: what is
    /// made there could not be told from what is there.
    FolderInUse {
        /// The folder.
        path: String,
        /// Whose it is.
        name: String,
    },
    /// There is no folder for it.
    NoFolder,
    /// There is not enough room.
    NoRoom {
        /// The volume.
        volume: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The host does not tell how much is free.
    RoomUnknown {
        /// The path.
        path: String,
    },
}

impl Finding {
    /// How much it matters.
    pub fn weight(&self) -> Weight {
        match self {
            Self::NothingToReplace
            | Self::IdClash { .. }
            | Self::NewIdInPlace
            | Self::Replicated { removed: false, .. }
            | Self::CheckpointsGo { removed: false, .. }
            | Self::Busy { .. }
            | Self::Clustered { .. }
            | Self::Version { .. }
            | Self::NotImportable { .. }
            | Self::SwitchMissing { .. }
            | Self::MacClash { .. }
            | Self::NoSavedState
            | Self::DiskMissing { .. }
            | Self::InUse { .. }
            | Self::SamePath { .. }
            | Self::BadPath { .. }
            | Self::FolderInUse { .. }
            | Self::NoFolder
            | Self::NoRoom { .. } => Weight::Blocks,
            Self::Replicated { removed: true, .. }
            | Self::WillBeStopped { .. }
            | Self::CheckpointsGo { removed: true, .. }
            | Self::ReferencePointsGo { .. }
            | Self::VersionUnknown
            | Self::Defined { .. }
            | Self::TreeFlattened { .. }
            | Self::SavedStateDropped { .. }
            | Self::SavedStateMayNotFit
            | Self::CheckpointMemoryDropped { .. }
            | Self::CheckpointMemoryMayNotFit { .. }
            | Self::Tpm { .. }
            | Self::PassThrough { .. }
            | Self::HostDevice { .. }
            | Self::RoomUnknown { .. } => Weight::Limits,
            Self::SameName { .. } | Self::ImageTakenOut { .. } => Weight::Note,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToReplace => f.write_str(
                "the host has no VM of this id to restore in place of: restore it as a VM beside \
                 the others, with its id kept",
            ),
            Self::IdClash { id, name } => write!(
                f,
                "{name:?} has the id {id} already: restore in its place, or with a new id"
            ),
            Self::SameName { name } => write!(f, "there is another VM of the name {name:?}"),
            Self::NewIdInPlace => {
                f.write_str("a VM that is replaced keeps its id: ask for no new one, or for a copy")
            }
            Self::Replicated {
                mode,
                removed: false,
            } => write!(
                f,
                "the VM is part of a replication ({mode:?}), which would go on from a wrong state: \
                 let it be removed (--remove-replication; on a copy that was made to try it, end that on its \
                 host), or restore a copy"
            ),
            Self::Replicated {
                mode,
                removed: true,
            } => write!(
                f,
                "the VM's replication ({mode:?}) is removed before anything else of it is touched, and does not \
                 come back, even if the VM does: remove it on the other host too, and set it up again afterwards"
            ),
            Self::WillBeStopped { name } => write!(f, "{name:?} runs and will be turned off"),
            Self::Busy { name } => {
                write!(
                    f,
                    "the host is at work on {name:?}: wait until that has ended"
                )
            }
            Self::CheckpointsGo {
                count,
                removed: false,
            } => write!(
                f,
                "the VM has {count} checkpoints, which would go with it: allow that, or restore a copy"
            ),
            Self::CheckpointsGo {
                count,
                removed: true,
            } => write!(
                f,
                "{count} checkpoints of the VM go with it, and come back with it if it is brought back"
            ),
            Self::ReferencePointsGo { count } => write!(
                f,
                "{count} reference points of the VM go with it, whoever made them, and do not come back: \
                 the next backup reads everything"
            ),
            Self::Clustered { role } => write!(
                f,
                "the VM is the role {role:?} of a cluster: remove the role first, or restore a copy"
            ),
            Self::Version {
                version,
                host: (least, most),
            } => write!(
                f,
                "its configuration has version {version}, and this host can have {least} to {most}: \
                 make it anew, or choose another host"
            ),
            Self::VersionUnknown => {
                f.write_str("whether the host can have a configuration of its version is not known")
            }
            Self::NotImportable { why } => write!(f, "its configuration cannot be imported: {why}"),
            Self::Defined { lost } => {
                f.write_str("it is made anew from what is known of it")?;
                match lost.as_slice() {
                    [] => Ok(()),
                    lost => write!(f, ", without {}", lost.join(", ")),
                }
            }
            Self::TreeFlattened { count } => {
                write!(
                    f,
                    "{count} checkpoints are not restored: its disks are as they were last"
                )
            }
            Self::SwitchMissing { adapter, switch } => write!(
                f,
                "{adapter:?} was connected to {switch:?}, which the host does not have: name another \
                 switch for it, or none"
            ),
            Self::MacClash { adapter, mac, name } => write!(
                f,
                "the address {mac} of {adapter:?} is that of an adapter of {name:?}: ask for new ones"
            ),
            Self::SavedStateDropped { why } => write!(f, "its saved memory is dropped: {why}"),
            Self::SavedStateMayNotFit => f.write_str(
                "its saved memory fits processors like those of its host alone, and hosts do not \
                 tell what theirs are: if it cannot be started, restore it without",
            ),
            Self::CheckpointMemoryDropped { count } => write!(
                f,
                "the saved memory that {count} of its checkpoints have, or may have, is dropped: \
                 one that goes back to them starts as after a power cut"
            ),
            Self::CheckpointMemoryMayNotFit { count } => write!(
                f,
                "{count} of its checkpoints have saved memory of another host, or may have: a VM that \
                 goes back to one of them is saved, and if it cannot be started here its saved \
                 memory has to go (Remove-VMSavedState); or have all of it dropped"
            ),
            Self::NoSavedState => f.write_str("there is no saved memory to keep"),
            Self::Tpm { protector: true } => f.write_str(
                "it has a virtual TPM, and starts only where the host has the keys of a guardian that \
                 its key protector names. Whether this host has them was not looked at: see \
                 Get-HgsGuardian there, and take the certificates with their private keys along \
                 (Shielded VM Local Certificates)",
            ),
            Self::Tpm { protector: false } => f.write_str(
                "it has a virtual TPM whose key protector was not backed up: it may not start",
            ),
            Self::DiskMissing { location, path } => {
                write!(
                    f,
                    "the disk at {location} ({path}) is not in the restore point"
                )
            }
            Self::PassThrough { location } => write!(
                f,
                "the disk at {location} was one of its host's own, and is taken out"
            ),
            Self::ImageTakenOut { location, path } => {
                write!(
                    f,
                    "the image {path} is taken out of the drive at {location}"
                )
            }
            Self::HostDevice { name } => write!(
                f,
                "{name:?} was a device of its host: give it one of this host's afterwards"
            ),
            Self::InUse { path, name } => write!(
                f,
                "{path} is a disk of {name:?} and will not be written: choose another folder"
            ),
            Self::FolderInUse { path, name } => write!(
                f,
                "{name:?} has its configuration or disks in {path}: choose a folder that no VM has"
            ),
            Self::SamePath { path } => {
                write!(f, "two disks would be {path}: choose folders for them")
            }
            Self::BadPath { path, why } => write!(f, "{path}: {why}"),
            Self::NoFolder => f.write_str(
                "the host does not tell where its VMs go: say which folder it shall have",
            ),
            Self::NoRoom {
                volume,
                needed,
                free,
            } => write!(
                f,
                "{} MiB are needed on {volume}, and {} MiB are free",
                needed >> 20,
                free >> 20
            ),
            Self::RoomUnknown { path } => {
                write!(
                    f,
                    "the host does not tell how much is free where {path} will be"
                )
            }
        }
    }
}
