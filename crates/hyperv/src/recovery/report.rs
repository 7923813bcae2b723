//! What recovery did, and what it left.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was done and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Checkpoints, reference points and exports that were removed.
    pub removed: Vec<Removed>,
    /// Replications that were suspended and go on now.
    #[serde(default)]
    pub resumed: Vec<Resumed>,
    /// VMs that were being replaced and are back.
    #[serde(default)]
    pub returned: Vec<Returned>,
    /// What may be ours or somebody else's, and was left alone. A person has to decide.
    pub suspects: Vec<Suspect>,
    /// What could not be seen to.
    pub left: Vec<Left>,
    /// What can be told only later, of a VM that was not waited for long enough.
    #[serde(default)]
    pub waiting: Vec<Left>,
}

/// Something of ours that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The VM.
    pub vm: Uuid,
    /// The host's name for it.
    pub id: String,
    /// What told that it was ours.
    pub known_by: KnownBy,
}

/// A replication that goes on now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The VM.
    pub vm: Uuid,
    /// The host's name for it.
    pub relationship: String,
}

/// A VM that was being replaced and is back. It is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The VM.
    pub vm: Uuid,
    /// The folder that its configuration is in now.
    pub folder: String,
    /// That in which it was before.
    #[serde(default)]
    pub was: Option<String>,
}

/// What tells that something is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// The run had written it down.
    Journal,
    /// It has the name that the run would give it.
    Name,
    /// The job of the run's call made it.
    Job,
    /// It lies in a folder that is the run's alone.
    Folder,
    /// It is the only new one, was made by the host's clock when the run's call was, and has borne
    /// the name that hosts give since.
    Time,
}

/// What there is on a host of ours and of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// A recovery checkpoint.
    Checkpoint,
    /// A reference point.
    ReferencePoint,
    /// A planned VM.
    Planned,
}

/// Something that may be ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The VM.
    pub vm: Uuid,
    /// What it is.
    pub what: Thing,
    /// The host's name for it.
    pub id: String,
    /// Why it is not known to be ours.
    pub why: String,
}

/// Something that the next run tries again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The VM.
    pub vm: Option<Uuid>,
    /// What, and what was in the way.
    pub what: String,
}

impl Suspect {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self.what {
            Thing::Checkpoint => format!(
                "if no other backup is at work on the VM, remove it on the host: \
                 Get-VM -Id {} | Get-VMSnapshot -SnapshotType Recovery | Remove-VMSnapshot",
                self.vm
            ),
            Thing::Planned => "if nobody is importing a VM, remove it by DestroySystem of \
                 Msvm_VirtualSystemManagementService, with its Msvm_PlannedComputerSystem"
                .to_owned(),
            Thing::ReferencePoint => "another backup may need it: if none protects the VM, remove \
                 it by DestroyReferencePoint of Msvm_VirtualSystemReferencePointService"
                .to_owned(),
        }
    }
}

impl Left {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "the journal keeps it: the next run tries again"
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, id, why, .. } = self;
        write!(f, "VM {vm}: {id} may be what a killed run left: {why}")
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vm {
            Some(vm) => write!(f, "VM {vm}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
