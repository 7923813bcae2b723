//! Recovery checkpoints: taken, held, and ended on every path.
//!
//! ```text
//! create ─► RecoveryCheckpoint ─► frozen disks are read ─┬─► convert ─► reference point
//!                                                        └─► destroy
//!           dropped on the way ─► destroy
//! ```
//!
//! Invariants:
//!
//! - A checkpoint is ours by the answer of the call that made it, by its job, or by the name that
//!   we gave it, and by nothing else. What merely appeared meanwhile is told, and left alone.
//! - Once it exists it is ended: by conversion, by removal, or when it is dropped. What cannot be
//!   ended is in the notes and stays in the journal.
//! - Another backup's checkpoint is never touched, and none is taken beside it.

mod create;
mod end;
mod look;
mod mark;
mod point;

use std::fmt;
use std::sync::Arc;

use cim::CimError;
use uuid::Uuid;

pub use create::{Consistency, GuestBackup, Options};
pub use end::destroy_checkpoint;
pub use look::{SeenCheckpoint, checkpoints, reference_points};
pub(crate) use look::{SeenMachine, clock, machine, still_here};
pub use mark::Mark;
pub use point::destroy_reference_point;

use crate::control::{ChangeError, Control};
use crate::ids::fold;
use crate::inventory::{Operation, PowerState};
use crate::replication::Conflict;

/// A recovery checkpoint of ours that is there.
pub struct RecoveryCheckpoint {
    control: Arc<Control>,
    vm: Uuid,
    instance_id: String,
    /// The checkpoints that the VM had before.
    before: Vec<String>,
    /// The VM before.
    machine: SeenMachine,
    /// What the host was asked for.
    pub asked: Consistency,
    /// Whether the guest was asked and could not be told what the backup is for.
    pub kind_untold: bool,
    held: bool,
}

/// A checkpoint that could not be taken or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The host could not be asked; nothing was done.
    #[error(transparent)]
    Host(#[from] CimError),
    /// The call failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A recovery checkpoint is there already: another backup runs, or has left it behind.
    #[error("there is a recovery checkpoint already, “{name}” ({id})", name = .0.name, id = .0.instance_id)]
    Occupied(Box<SeenCheckpoint>),
    /// The host is at work on the VM, and has been for as long as was waited.
    #[error("the host is at work on the VM: {0:?}")]
    Busy(Operation),
    /// The host was at work on the VM when it failed.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// The host has no service for this, or several.
    #[error("the host has {found} objects of {class} where there is one: is Hyper-V running?")]
    NoService {
        /// The class.
        class: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A value could not be written.
    #[error("the settings cannot be written: {0}")]
    Unwritable(String),
    /// What was to be removed is still there.
    #[error(
        "the checkpoint {0} is still there: it is in the journal, and the next run tries again"
    )]
    StillThere(String),
    /// The checkpoint is gone, and what it became is not known.
    #[error(
        "the checkpoint {0} is gone and its reference point is not to be told: the next backup reads in full"
    )]
    NoReferencePoint(String),
}

impl RecoveryCheckpoint {
    /// The VM.
    pub fn vm(&self) -> Uuid {
        self.vm
    }

    /// Whether nothing ran while it was taken: the VM was off before, and the host tells that it has
    /// not been anything else since.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn was_off(&self) -> Result<bool, CimError> {
        Ok(self.machine.state == PowerState::Off && self.is_as_before()?)
    }

    /// Whether the VM is in the state that it was in just before, and has been in no other since.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub(crate) fn is_as_before(&self) -> Result<bool, CimError> {
        let now = machine(self.control.session(), self.vm)?;
        let since = self.machine.since.is_some() && now.since == self.machine.since;
        Ok(now.state == self.machine.state && since)
    }

    /// What state the VM was in just before it was taken.
    pub fn state_before(&self) -> PowerState {
        self.machine.state
    }

    /// The VM's other checkpoints, in the order of their names, if they are the ones that it had
    /// before.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn others_unchanged(&self) -> Result<Option<Vec<String>>, CimError> {
        let seen = checkpoints(self.control.session(), self.vm)?;
        let others = seen.into_iter().filter(|c| !c.is(&self.instance_id));
        let mut others: Vec<String> = others.map(|c| fold(&c.instance_id)).collect();
        let mut before: Vec<String> = self.before.iter().map(|id| fold(id)).collect();
        others.sort();
        before.sort();
        Ok((others == before).then_some(others))
    }

    /// Whether the VM had another checkpoint before this one.
    pub fn was_before(&self, instance_id: &str) -> bool {
        let id = fold(instance_id);
        self.before.iter().any(|known| fold(known) == id)
    }

    /// Whether every checkpoint that the VM had before is there still. What the host does with the
    /// disks of one that is not, it does to those that are left.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn others_are_there(&self) -> Result<bool, CimError> {
        let seen = checkpoints(self.control.session(), self.vm)?;
        let mut before = self.before.iter();
        Ok(before.all(|id| seen.iter().any(|c| c.is(id))))
    }

    /// The host's name for the checkpoint.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }
}

impl fmt::Debug for RecoveryCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryCheckpoint({} of {})", self.instance_id, self.vm)
    }
}

/// Whatever happens on the way, the host does not keep it.
impl Drop for RecoveryCheckpoint {
    fn drop(&mut self) {
        if self.held
            && let Err(error) = self.remove()
        {
            self.control.note(error.to_string());
        }
    }
}
