//! What failed on a host, as the engine tells it.

use std::fmt::Display;

use hyperv::Hint;
use hyperv::checkpoint::CheckpointError;
use hyperv::frozen::FreezeError;
use hyperv::plan::NoPlan;

use crate::finding::Code;
use crate::source::{SourceError, VmRef};

/// An error with the advice that comes with it.
pub(super) fn hinted(object: &str, error: &(impl Display + Hint)) -> SourceError {
    SourceError::new(object, error.to_string(), error.hint())
}

/// A VM with which nothing will be done.
pub(super) fn no_plan(vm: &VmRef, no: &NoPlan) -> SourceError {
    let told = no.findings().iter().find_map(|finding| finding.hint());
    let not_now = no.is_worth_waiting();
    SourceError {
        not_now,
        code: if not_now { Code::NotNow } else { Code::Failed },
        ..SourceError::new(
            vm.name.clone(),
            no.to_string(),
            told.unwrap_or_else(|| no.hint()),
        )
    }
}

/// A VM that could not be made to hold still. `notes` tell what may have been left on the host.
pub(super) fn freeze(
    vm: &VmRef,
    error: &FreezeError,
    notes: &[String],
    cancelled: bool,
) -> SourceError {
    let mut message = error.to_string();
    for note in notes {
        message.push_str("; ");
        message.push_str(note);
    }
    let not_now = is_not_now(error);
    SourceError {
        cancelled,
        not_now,
        code: if not_now { Code::NotNow } else { Code::Failed },
        ..SourceError::new(vm.name.clone(), message, error.hint())
    }
}

/// Whether others are at work on the VM, and it may be possible when they are done.
fn is_not_now(error: &FreezeError) -> bool {
    match error {
        FreezeError::Checkpoint(error) => match error {
            CheckpointError::Busy(_) | CheckpointError::Occupied(_) => true,
            CheckpointError::Change(error) => error.is_worth_waiting(),
            _ => false,
        },
        _ => false,
    }
}
