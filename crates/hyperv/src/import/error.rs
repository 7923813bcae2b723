//! How making, changing or replacing a VM can fail.

use cim::CimError;
use uuid::Uuid;

use crate::control::ChangeError;
use crate::inventory::PowerState;

/// A planned VM that could not be made, changed, or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The host could not be asked.
    #[error(transparent)]
    Host(#[from] CimError),
    /// A call failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The host says that it cannot be a VM there: all that it says, in its language.
    #[error("it cannot be a VM on this host: {}", .0.join("; "))]
    Invalid(Vec<String>),
    /// The host lacks something that every host has.
    #[error("the host has no {0}")]
    Lacks(String),
    /// What is to be sent to the host cannot be written.
    #[error("the settings cannot be written: {0}")]
    Unwritable(String),
    /// The plan cannot be carried out.
    #[error("the plan cannot be carried out: {0}")]
    NotPossible(String),
    /// Something was not written before.
    #[error("its {0} was not written before: nothing was done")]
    NotWritten(String),
    /// Its id is taken.
    #[error("a VM, or an import that was not finished, has the id {0} already")]
    Exists(Uuid),
    /// It has got another id than the one that it should keep.
    #[error(
        "it has got the id {0}, and not the one that it should keep: restore it with a new one"
    )]
    OtherId(String),
    /// The VM is another one than was meant.
    #[error(
        "the VM {vm} has its configuration in {folder}: it is not the one that is meant, and is left alone"
    )]
    AnotherVm {
        /// Its id.
        vm: Uuid,
        /// Its folder.
        folder: String,
    },
    /// Its configuration was not seen to be aside.
    #[error("{0} is not there: nothing is taken off a host before its configuration is aside")]
    NotAside(String),
    /// Somebody has attached other disks.
    #[error("the disks of the VM {0} are others than those that were to be written")]
    OtherDisks(Uuid),
    /// Somebody has used it.
    #[error("the VM {0} was started and turned off again while its disks were written")]
    RanMeanwhile(Uuid),
    /// What it had replaced is back.
    #[error("the VM that it had replaced is back, with its configuration in {0}")]
    IsBack(String),
    /// It is not there.
    #[error("the VM {0} that was restored is not on this host: it may live on another one")]
    Elsewhere(Uuid),
    /// What was put aside is all that there is of a VM.
    #[error("the VM is not on the host: {0} is needed to bring it back, and stays")]
    OnlyAside(String),
    /// What was put aside could not be seen to.
    #[error("what was put aside: {0}")]
    Aside(String),
    /// What is needed to bring it back could not be kept.
    #[error("what is needed to bring the VM back that is replaced could not be kept: {0}")]
    NotKept(String),
    /// What it had in memory is gone.
    #[error("the VM was {0:?} and is off: what it had in memory is gone")]
    MemoryLost(PowerState),
    /// A replication was to be ended.
    #[error(
        "the VM {0} is replicated still, or the host does not tell that it is not: remove its \
         replication on the host (Remove-VMReplication)"
    )]
    StillReplicated(Uuid),
    /// It was to be taken off the host.
    #[error("the VM {0} is still on the host")]
    StillAVm(Uuid),
    /// The VM is not in the state that it was put into.
    #[error(
        "the host has done what it was asked to, and the VM is in the state {0:?} all the same"
    )]
    OtherState(PowerState),
    /// It is still there.
    #[error(
        "the planned VM {0} is still there: it is in the journal, and the next run tries again"
    )]
    StillThere(String),
    /// What was imported has an id that something else on the host has.
    #[error(
        "what was imported has got the id {0}, which something else on this host has: nothing was \
         changed by that id. Restore it without its checkpoints, or to a host that does not have \
         the VM that was backed up"
    )]
    SharedId(String),
    /// What was imported names a file that was not restored with it.
    #[error(
        "{name:?}, as it was imported, has the disk {file}, which was not restored with it: it \
         makes no VM. Restore it without its checkpoints"
    )]
    NotItsOwn {
        /// The VM, or a checkpoint of it.
        name: String,
        /// The file.
        file: String,
    },
    /// The folder that it should have for itself is another's.
    #[error(
        "{name:?} has its configuration in {folder}: choose another folder for what is restored"
    )]
    FolderInUse {
        /// The folder.
        folder: String,
        /// Whose it is.
        name: String,
    },
}
