//! Noticing that somebody wants a VM to start while it is backed up.
//!
//! A VM that is off when its backup begins can be started meanwhile, and its backup goes on. Who
//! would rather have it start without anything in its way lets the backup end (`--release-on-start`).
//!
//! What can be seen is this: the VM is *starting* (`EnabledState` 10), *waits to be started*
//! (`OperationalStatus` 32771, when the host has no memory for it), or runs. A start that was refused
//! and left no trace cannot be seen, and neither can one that is over before anybody looks and was
//! turned off again; but then the time of its state is another one, which is taken for a start.

use cim::{CimError, CimSession};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::machine;
use crate::inventory::{Operation, PowerState};

/// `EnabledState` of a VM that is starting or resuming; the second is of Hyper-V's first version,
/// the third of its page about changes of state.
const STARTING: [u16; 3] = [10, 32770, 32777];

/// A VM that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    vm: Uuid,
    was: PowerState,
    since: Option<Timestamp>,
}

/// What shows that somebody wants the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// It is starting.
    Starting,
    /// It waits to be started.
    Waiting,
    /// It runs.
    Runs,
    /// It has been something else since.
    Changed,
}

impl Watch {
    /// Begins to watch a VM; `None` if it is not off or saved, so that nobody can want to start it.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn begin(session: &dyn CimSession, vm: Uuid) -> Result<Option<Self>, CimError> {
        let seen = machine(session, vm)?;
        let at_rest = matches!(seen.state, PowerState::Off | PowerState::Saved);
        Ok(at_rest.then_some(Self {
            vm,
            was: seen.state,
            since: seen.since,
        }))
    }

    /// Looks whether somebody wants it now. To be asked between two pieces of work.
    ///
    /// # Errors
    /// When the host cannot be asked, which tells nothing.
    pub fn look(&self, session: &dyn CimSession) -> Result<Option<Wanted>, CimError> {
        let seen = machine(session, self.vm)?;
        Ok(match (seen.state, seen.operation) {
            (_, Some(Operation::WaitingToStart)) => Some(Wanted::Waiting),
            (PowerState::Changing(number), _) if STARTING.contains(&number) => {
                Some(Wanted::Starting)
            }
            (PowerState::Running, _) => Some(Wanted::Runs),
            // Going to be off, and what fails, is nobody's wish to start it.
            (PowerState::Off | PowerState::Saved, _) => {
                let changed = seen.state != self.was || seen.since != self.since;
                changed.then_some(Wanted::Changed)
            }
            _ => None,
        })
    }
}
