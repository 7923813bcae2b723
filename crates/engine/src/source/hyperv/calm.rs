//! Leaving a VM alone for now whose replication is at work.
//!
//! A checkpoint beside a delta fails, and has asked the guest to settle for nothing. The plan refuses a
//! VM by the state of its replication as it was in the inventory; here it is looked at as it is now, with
//! the jobs that go on. Once, in the VM's first turn: a job that never ends is no reason not to ask.

use hyperv::control::Control;
use hyperv::inventory::ReplicationMode;
use hyperv::replication::Calm;

use super::{BEGIN, errors};
use crate::finding::Code;
use crate::source::{SourceError, VmRef};

/// Waits a little for the replication of a VM that is on this side of it.
///
/// # Errors
/// When it is at work still: the VM's turn comes again. A host that does not tell is no error.
pub(super) fn wait(
    control: &Control,
    vm: &VmRef,
    side: ReplicationMode,
) -> Result<(), SourceError> {
    if side != ReplicationMode::Primary && !side.is_copy() {
        return Ok(());
    }
    match Calm::wait(control, vm.id, BEGIN.total) {
        Ok(Calm::Yes) => Ok(()),
        Ok(at_work) => Err(SourceError {
            not_now: true,
            code: Code::NotNow,
            ..SourceError::new(
                vm.name.clone(),
                format!("no checkpoint was asked for, since {at_work}"),
                "its turn comes again at the end of the run, and then the host is asked whatever goes on",
            )
        }),
        // The account may not see what goes on, or the VM is gone: the checkpoint tells.
        Err(error) if error.fault_kind().is_some() => Ok(()),
        Err(error) => Err(errors::not_answered(&vm.name, &error)),
    }
}
