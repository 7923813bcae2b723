//! Whether anything of a VM can be had, before its host is troubled for a checkpoint.
//!
//! A checkpoint makes the guest settle and the host write to new files. Where the way to the files
//! is closed that would be for nothing, VM after VM.

use hyperv::files::{FileProblem, HostFiles, HostPath};
use hyperv::inventory::Medium;

use crate::finding::Code;
use crate::source::{SourceError, VmRef};

/// Why nothing of a VM can be had.
pub(super) struct No {
    pub(super) error: SourceError,
    /// Whether its disks may be in other files by now.
    pub(super) may_be_elsewhere: bool,
}

/// Looks at each disk; `None` if there is none or one of them is there. One that is in use is.
pub(super) fn none(vm: &VmRef, media: &[Medium], files: &dyn HostFiles) -> Option<No> {
    let mut first = None;
    let mut may_be_elsewhere = false;
    for medium in media {
        let why = match HostPath::parse(&medium.path) {
            Err(error) => error.to_string(),
            Ok(path) => match files.len(&path) {
                Ok(_) => return None,
                Err(error) => match error.problem {
                    FileProblem::InUse(_) => return None,
                    problem => {
                        may_be_elsewhere |= problem == FileProblem::NotFound;
                        problem.to_string()
                    }
                },
            },
        };
        first.get_or_insert_with(|| format!("{}: {why}", medium.path));
    }
    let message = format!(
        "none of its disks can be had, so the host was not asked for a checkpoint: {}",
        first?
    );
    Some(No {
        error: SourceError {
            code: Code::DiskUnreadable,
            ..SourceError::new(
                vm.name.clone(),
                message,
                "see how the host's files are reached: hyperkeep doctor HOST tells",
            )
        },
        may_be_elsewhere,
    })
}
