//! The lines of a journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::import::Aside;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Which host all of it is about. Earlier versions did not write it down.
    Host {
        /// What the host calls itself.
        name: String,
    },
    /// Something will be done.
    Begin {
        /// Its number, which its end repeats.
        number: u64,
        /// What will be done.
        intent: Intent,
    },
    /// The host goes on with it after the call has returned.
    Job {
        /// The number of its beginning.
        number: u64,
        /// The path of the job.
        path: String,
    },
    /// It ended.
    End {
        /// The number of its beginning.
        number: u64,
        /// How.
        outcome: Outcome,
    },
    /// A reference point that was made is remembered elsewhere.
    Release {
        /// The VM.
        vm: Uuid,
        /// The reference point.
        reference_point: String,
    },
}

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The VM.
    pub vm: Uuid,
    /// The call.
    pub call: Call,
    /// When, by the clock of this machine. Nothing is ordered by it.
    pub at: Timestamp,
}

/// A call that changes a host. Objects are named as the host names them (`InstanceID`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Takes a recovery checkpoint.
    CreateCheckpoint {
        /// The name that it will be given.
        name: String,
        /// Every checkpoint that the VM had before: the new one is none of these.
        before: Vec<String>,
        /// The VM's name, with which the names begin that hosts give.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vm_name: Option<String>,
        /// Milliseconds by which the host's clock was ahead of ours, where it told its time. With
        /// [`Intent::at`] that is when the call was made by the host's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock_ahead: Option<i64>,
    },
    /// Gives a checkpoint our name.
    RenameCheckpoint {
        /// The checkpoint.
        checkpoint: String,
        /// The name.
        name: String,
    },
    /// Makes a reference point of a checkpoint, which ends the checkpoint.
    ConvertCheckpoint {
        /// The checkpoint.
        checkpoint: String,
        /// Every reference point that the VM had before: the new one is none of these.
        before: Vec<String>,
    },
    /// Removes a checkpoint.
    DestroyCheckpoint {
        /// The checkpoint.
        checkpoint: String,
    },
    /// Removes a reference point.
    DestroyReferencePoint {
        /// The reference point.
        reference_point: String,
    },
    /// Suspends a replication that was going on when this was written.
    SuspendReplication {
        /// The relationship.
        relationship: String,
    },
    /// Ends a replication for good, as somebody wanted of a restore.
    RemoveReplication {
        /// The relationship.
        relationship: String,
    },
    /// Exports the VM with its memory.
    ExportMemory {
        /// Our folder of the host, which is not there before.
        folder: String,
        /// The host that has the folder, which stays there when its VM moves. Earlier versions did
        /// not write it down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Removes an export.
    RemoveExport {
        /// Its folder.
        folder: String,
        /// The host that has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Makes a planned VM.
    MakePlanned {
        /// The folder of its configuration, which is ours alone.
        folder: String,
        /// Every planned VM that there was before: the new one is none of these.
        before: Vec<String>,
    },
    /// Changes a planned VM, or lets the host look at it.
    ChangePlanned {
        /// Its id.
        planned: String,
    },
    /// Makes a VM of a planned one.
    RealizePlanned {
        /// Its id.
        planned: String,
    },
    /// Removes a planned VM.
    DestroyPlanned {
        /// Its id.
        planned: String,
    },
    /// Exports the configuration of a VM that will be replaced, without its disks.
    PutAside {
        /// Where it will be.
        aside: Aside,
    },
    /// Replaces a VM: from before it is taken off the host until there is a new one.
    Replace {
        /// Where its configuration is.
        aside: Aside,
        /// The folder of the new one's configuration.
        folder: String,
        /// That of the old one's. Earlier versions did not write it down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<String>,
    },
    /// Keeps a VM off that runs, from before it is turned off until it runs again, another is in its
    /// place, or somebody was told.
    KeepOff {
        /// Its id.
        machine: String,
    },
    /// Writes to the disks of a VM that is off, until they are what they were at another time.
    RollBack {
        /// The files that are written.
        disks: Vec<String>,
    },
    /// Takes a VM off the host: one that a restore made, or that was put aside.
    DestroyMachine {
        /// Its id.
        machine: String,
    },
    /// Starts a VM, or turns it off.
    ChangePower {
        /// Its id.
        machine: String,
        /// The state that it shall have (`RequestedState`).
        state: u16,
    },
    /// Lets a replication go on.
    ResumeReplication {
        /// The relationship.
        relationship: String,
    },
}

impl Call {
    /// Whether it is none that a host is asked for, but holds while several are.
    pub(crate) fn is_span(&self) -> bool {
        matches!(
            self,
            Self::Replace { .. } | Self::RollBack { .. } | Self::KeepOff { .. }
        )
    }

    /// Whether it is of a restore: then the VM that it is about need not be there.
    pub(crate) fn is_restore(&self) -> bool {
        matches!(
            self,
            Self::MakePlanned { .. }
                | Self::ChangePlanned { .. }
                | Self::RealizePlanned { .. }
                | Self::DestroyPlanned { .. }
                | Self::PutAside { .. }
                | Self::Replace { .. }
                | Self::RollBack { .. }
                | Self::KeepOff { .. }
                | Self::DestroyMachine { .. }
                | Self::ChangePower { .. }
        )
    }
}

/// The folder of an export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Export {
    /// The folder.
    pub folder: String,
    /// The host that has it, if that is known.
    pub node: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done.
    Done {
        /// What it made, if it makes something.
        made: Option<String>,
    },
    /// It was not done, for sure.
    NotDone {
        /// Why.
        why: String,
    },
    /// Nobody knows: the host must be looked at.
    Unknown {
        /// Why.
        why: String,
    },
}
