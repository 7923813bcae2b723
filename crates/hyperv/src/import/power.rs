//! Starting a VM, and turning one off.
//!
//! What the host says of it is not taken for what it did: the VM is looked at.

use cim::Instance;
use uuid::Uuid;

use super::error::ImportError;
use crate::checkpoint::machine;
use crate::control::{Change, ChangeError, Control};
use crate::ids;
use crate::inventory::PowerState;
use crate::journal::{Call, Outcome};

/// `RequestedState`.
const RUNNING: u16 = 2;
const OFF: u16 = 3;

/// Starts a VM. `of` is the VM that the journal tells of.
///
/// # Errors
/// When it does not run.
pub(super) fn start(control: &Control, of: Uuid, vm: Uuid) -> Result<(), ImportError> {
    change(control, of, vm, (RUNNING, PowerState::Running))
}

/// Lets a VM that was turned off do again what it did before.
///
/// # Errors
/// When it does not run, or had something in memory that is gone.
pub(super) fn again(control: &Control, vm: Uuid, before: PowerState) -> Result<(), ImportError> {
    match before {
        PowerState::Running => start(control, vm, vm),
        PowerState::Off => Ok(()),
        // It did not come to that.
        before if machine(control.session(), vm)?.state == before => Ok(()),
        before => Err(ImportError::MemoryLost(before)),
    }
}

/// Turns a VM off as by its switch; its guest is not asked.
///
/// # Errors
/// When it is not off.
pub(super) fn turn_off(control: &Control, of: Uuid, vm: Uuid) -> Result<(), ImportError> {
    change(control, of, vm, (OFF, PowerState::Off))
}

/// The same of a VM that is not saved: one that is stays so, with what it had in memory.
///
/// # Errors
/// When it is neither off nor saved.
pub(super) fn stop(control: &Control, of: Uuid, vm: Uuid) -> Result<(), ImportError> {
    match machine(control.session(), vm)?.state {
        PowerState::Saved => Ok(()),
        _ => turn_off(control, of, vm),
    }
}

fn change(
    control: &Control,
    of: Uuid,
    vm: Uuid,
    (requested, wanted): (u16, PowerState),
) -> Result<(), ImportError> {
    let session = control.session();
    if machine(session, vm)?.state == wanted {
        return Ok(());
    }
    let inputs = Instance::default().with("RequestedState", requested);
    let change = Change {
        call: Call::ChangePower {
            machine: ids::upper(vm),
            state: requested,
        },
        target: &ids::machine_path(vm),
        method: "RequestStateChange",
        inputs: &inputs,
        cancellable: false,
    };
    let tried = control.change(of, &change, &|_| Ok(None));
    let found = machine(session, vm)?.state;
    if found != wanted {
        tried?;
        return Err(ImportError::OtherState(found));
    }
    if let Err(ChangeError::Unknown { number, .. }) = tried {
        control.settle(number, Outcome::Done { made: None });
    }
    Ok(())
}
