//! What failed on a host, as the engine tells it.

use std::fmt::Display;

use cim::CimError;
use hyperv::Hint;
use hyperv::checkpoint::CheckpointError;
use hyperv::frozen::{Asked, Choose, FreezeError, Frozen};
use hyperv::inventory::Medium;
use hyperv::plan::NoPlan;
use hyperv::replication::Conflict;

use crate::finding::Code;
use crate::source::{SourceError, VmRef};

/// An error with the advice that comes with it.
pub(super) fn hinted(object: &str, error: &(impl Display + Hint)) -> SourceError {
    SourceError::new(object, error.to_string(), error.hint())
}

/// A question that the host did not answer: one that may do so later is asked later.
pub(super) fn not_answered(object: &str, error: &CimError) -> SourceError {
    let told = hinted(object, error);
    match error.is_transient() {
        true => SourceError {
            not_now: true,
            code: Code::NotNow,
            ..told
        },
        false => told,
    }
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

/// A VM that could not be made to hold still. `notes` tell what may have been left on the host,
/// `conflict` that its replication was at work.
pub(super) fn freeze(
    vm: &VmRef,
    error: &FreezeError,
    conflict: Option<&Conflict>,
    notes: &[String],
    cancelled: bool,
) -> SourceError {
    let message = conflict.map_or_else(|| error.to_string(), ToString::to_string);
    let not_now = conflict.is_some() || is_not_now(error);
    let hint = conflict.map_or_else(|| error.hint(), Conflict::hint);
    let error = SourceError {
        cancelled,
        not_now,
        code: if not_now { Code::NotNow } else { Code::Failed },
        ..SourceError::new(vm.name.clone(), message, hint)
    };
    with_notes(error, notes)
}

/// Refuses a VM none of whose disks is wanted.
pub(super) fn none_wanted(
    vm: &VmRef,
    media: &[Medium],
    choose: &Choose<'_>,
) -> Result<(), SourceError> {
    let unwanted = |medium: &Medium| {
        let files = None;
        choose(&Asked { medium, files }) == Some(false)
    };
    match !media.is_empty() && media.iter().all(unwanted) {
        true => Err(SourceError::all_left_out(vm)),
        false => Ok(()),
    }
}

/// Why there is nothing to save of a VM that has disks, when none of them can be read.
pub(super) fn no_disks(vm: &VmRef, frozen: &Frozen) -> Option<SourceError> {
    let of_tree = frozen.tree.iter().flat_map(|tree| &tree.layers).count();
    let lost = frozen.lost.first()?;
    if !frozen.disks.is_empty() || of_tree != 0 {
        return None;
    }
    Some(SourceError {
        code: Code::DiskUnreadable,
        ..SourceError::new(
            vm.name.clone(),
            format!(
                "none of its disks can be read, as {}: {}",
                lost.medium.path, lost.why
            ),
            "see how the host's files are reached: hyperkeep doctor HOST tells",
        )
    })
}

/// The error, and what may have been left on the host.
pub(super) fn with_notes(mut error: SourceError, notes: &[String]) -> SourceError {
    for note in notes {
        error.message.push_str("; ");
        error.message.push_str(note);
    }
    error
}

/// Whether others are at work on the VM, and it may be possible when they are done.
fn is_not_now(error: &FreezeError) -> bool {
    match error {
        FreezeError::Checkpoint(error) => match error {
            CheckpointError::Busy(_)
            | CheckpointError::Occupied(_)
            | CheckpointError::Conflict(_) => true,
            CheckpointError::Change(error) => error.is_worth_waiting(),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use hyperv::replication::ToldBy;
    use uuid::Uuid;

    use super::*;

    /// What no code tells to be worth waiting for is waited for all the same if it was a conflict.
    #[test]
    fn a_vm_whose_replication_was_at_work_is_tried_again() {
        let vm = VmRef {
            key: "a".to_owned(),
            id: Uuid::from_u128(1),
            name: "copy".to_owned(),
            kind: Default::default(),
        };
        let error = FreezeError::DisksUnknown("C1".to_owned());
        let conflict = Conflict {
            told_by: ToldBy::Job(108),
            said: "Es geht nicht.".to_owned(),
        };
        let notes = ["a note".to_owned()];
        let told = freeze(&vm, &error, Some(&conflict), &notes, false);
        assert!(told.not_now && told.code == Code::NotNow);
        let text = format!("{told:?}");
        assert!(text.contains("108") && text.contains("a note") && text.contains("suspend"));
        let told = freeze(&vm, &error, None, &notes, false);
        assert!(!told.not_now && told.code == Code::Failed);
        // It was one when it failed, whatever the host is at by now.
        let error = FreezeError::Checkpoint(CheckpointError::Conflict(Box::new(conflict)));
        let told = freeze(&vm, &error, None, &notes, false);
        assert!(told.not_now && told.code == Code::NotNow);
    }
}
