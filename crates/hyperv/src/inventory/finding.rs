//! What was odd about a host's answers.
//!
//! An inventory is never refused because one property is not as documented, and never quietly
//! poorer because of it either: whatever was not understood is here, with the object's name.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most findings of one list; the rest is only counted.
const MOST: usize = 256;

/// Something about the host's answers that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// A property is not as documented; it is left out.
    Unreadable {
        /// The object.
        object: String,
        /// What is wrong.
        problem: String,
    },
    /// The host refused to tell something.
    NotTold {
        /// What: the class, or what it would have told.
        what: String,
        /// Why.
        why: String,
    },
    /// A checkpoint is left out of a tree, since it is none of those that are wanted.
    LeftOut {
        /// The checkpoint's name on the host.
        checkpoint: String,
        /// Why.
        why: String,
    },
    /// No VM was seen.
    NoMachines,
    /// Two VMs have one id; the first one told counts.
    DuplicateMachine {
        /// The id.
        id: Uuid,
    },
    /// Settings of a VM of which the host does not tell otherwise: it went or came meanwhile.
    NoMachine {
        /// The id.
        id: Uuid,
        /// The name.
        name: String,
    },
    /// The host tells no settings of a VM: nothing is known of it but its state.
    NoSettings,
    /// The host tells no devices of a configuration, and none has none.
    NoDevices {
        /// The configuration's name on the host.
        settings: String,
    },
    /// A checkpoint belongs to no VM that the host tells of.
    StrayCheckpoint {
        /// The checkpoint's name on the host.
        checkpoint: String,
    },
    /// The checkpoint that another one, or the present state, was made after is not there.
    NoParent {
        /// The checkpoint, or `now`.
        of: String,
        /// The one that is missing, as the host names it.
        parent: String,
    },
    /// Checkpoints are each other's parents.
    Cycle {
        /// One of them.
        checkpoint: String,
    },
    /// A disk belongs to no configuration that the host tells of.
    StrayDisk {
        /// The disk's name on the host.
        disk: String,
        /// Its file.
        path: String,
    },
    /// The place of a drive is not told; it is listed in a place of its own.
    UnplacedDrive {
        /// The drive's name on the host.
        drive: String,
    },
    /// Two drives are told to be in one place.
    DuplicatePlace {
        /// The second drive's name on the host.
        drive: String,
    },
    /// More drives than any VM has; the others are not listed.
    TooManyDrives,
    /// The devices of a configuration were found by association, as their names do not tell.
    AskedForDevices {
        /// The configuration's name on the host.
        settings: String,
    },
    /// The lists of disks and of change tracking ids of a reference point have different lengths.
    UnevenReferencePoint {
        /// The reference point's name on the host.
        reference_point: String,
    },
    /// A role of the cluster tells no VM's id.
    UnknownRole {
        /// Its name.
        role: String,
    },
    /// The guest took part in a checkpoint, and the host has no way to tell it what the backup is
    /// for.
    BackupKindUntold,
    /// There were more findings than are kept.
    More {
        /// How many more.
        count: u64,
    },
}

/// Collects findings, so many and no more.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    found: Vec<Finding>,
    more: u64,
}

impl Notes {
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.found.len() < MOST {
            self.found.push(finding);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn into_findings(mut self) -> Vec<Finding> {
        if self.more > 0 {
            self.found.push(Finding::More { count: self.more });
        }
        self.found
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { object, problem } => {
                write!(f, "{object}: {problem}; it is left out")
            }
            Self::NotTold { what, why } => write!(f, "the host does not tell {what}: {why}"),
            Self::LeftOut { checkpoint, why } => {
                write!(f, "the checkpoint {checkpoint} is left out: {why}")
            }
            Self::BackupKindUntold => f.write_str(
                "the host cannot tell the guest whether the backup is a copy: its databases may \
                 take it for a full backup and cut their logs",
            ),
            Self::NoMachines => f.write_str(
                "no VMs were seen: either the host has none, or the account may not see them \
                 (it needs to be in Hyper-V Administrators or Administrators, with its rights \
                 not filtered by UAC)",
            ),
            Self::DuplicateMachine { id } => write!(f, "two VMs have the id {id}"),
            Self::NoMachine { id, name } => write!(
                f,
                "the host tells settings of the VM {name} ({id}) but not the VM itself: it came \
                 or went meanwhile; ask again"
            ),
            Self::NoSettings => f.write_str(
                "the host tells no settings of this VM, so its disks are not known; ask again",
            ),
            Self::NoDevices { settings } => write!(
                f,
                "the host tells no devices of {settings}, so its disks are not known; ask again"
            ),
            Self::StrayCheckpoint { checkpoint } => {
                write!(
                    f,
                    "the checkpoint {checkpoint} belongs to no VM that the host tells of"
                )
            }
            Self::NoParent { of, parent } => {
                write!(
                    f,
                    "{of} was made after the checkpoint {parent}, which is not there"
                )
            }
            Self::Cycle { checkpoint } => {
                write!(f, "the checkpoint {checkpoint} is its own ancestor")
            }
            Self::StrayDisk { disk, path } => {
                write!(
                    f,
                    "the disk {disk} ({path}) belongs to no VM that the host tells of"
                )
            }
            Self::UnplacedDrive { drive } => {
                write!(
                    f,
                    "the host does not tell where the drive {drive} is attached"
                )
            }
            Self::DuplicatePlace { drive } => {
                write!(f, "the drive {drive} is told to be where another one is")
            }
            Self::TooManyDrives => {
                f.write_str("more drives than a VM can have; not all are listed")
            }
            Self::AskedForDevices { settings } => write!(
                f,
                "the devices of {settings} have names that do not tell what they belong to; they \
                 were asked for one configuration at a time"
            ),
            Self::UnevenReferencePoint { reference_point } => write!(
                f,
                "the reference point {reference_point} does not tell change tracking for every disk"
            ),
            Self::UnknownRole { role } => {
                write!(
                    f,
                    "the role {role} of the cluster does not tell which VM it is"
                )
            }
            Self::More { count } => write!(f, "{count} more findings of this kind are not kept"),
        }
    }
}
