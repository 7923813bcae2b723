//! Whether anything of a VM can be had, before its host is troubled for a checkpoint.
//!
//! A checkpoint makes the guest settle and the host write to new files. Where the way to the files
//! is closed that would be for nothing, VM after VM.

use hyperv::files::{FileProblem, HostFiles, HostPath};
use hyperv::inventory::{Machine, Medium, PowerState};

use crate::finding::Code;
use crate::source::{SourceError, VmRef};

/// Why nothing of a VM can be had.
pub(super) struct No {
    pub(super) error: SourceError,
    /// Whether its disks may be in other files by now.
    pub(super) may_be_elsewhere: bool,
}

/// Opens each disk, for reading; `None` if there is none or one of them can be had. One that is in use
/// can, and a host may call it denied what a VM that is not off has open. To see a file is allowed to
/// many that may not read it.
pub(super) fn none(vm: &VmRef, machine: &Machine, files: &dyn HostFiles) -> Option<No> {
    none_of(vm, machine.state, &machine.settings.media, files)
}

fn none_of(vm: &VmRef, state: PowerState, media: &[Medium], files: &dyn HostFiles) -> Option<No> {
    let mut first = None;
    let mut may_be_elsewhere = false;
    for medium in media {
        let why = match HostPath::parse(&medium.path) {
            Err(error) => error.to_string(),
            Ok(path) => match files.open(&path) {
                Ok(_) => return None,
                Err(error) => match error.problem {
                    FileProblem::InUse(_) => return None,
                    FileProblem::Denied(_) if state != PowerState::Off => return None,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyperv::files::{FileError, FrozenFile, HostEntry};
    use vmconfig::model::{ControllerKind, Location};

    use super::*;
    use crate::source::VmKind;

    /// Files that everybody sees, and that opening has a problem with.
    struct Seen(FileProblem);

    impl HostFiles for Seen {
        fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
            Err(FileError {
                path: path.to_string(),
                problem: self.0.clone(),
            })
        }

        fn len(&self, _: &HostPath) -> Result<u64, FileError> {
            Ok(7)
        }

        fn list(&self, _: &HostPath) -> Result<Vec<HostEntry>, FileError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn disks_that_are_seen_and_may_not_be_read_cannot_be_had() {
        let vm = VmRef {
            key: "1".to_owned(),
            id: uuid::Uuid::from_u128(1),
            name: "web".to_owned(),
            kind: VmKind::Vm,
        };
        let medium = Medium {
            location: Location {
                controller: ControllerKind::Scsi,
                number: 0,
                position: 0,
            },
            instance_id: "a".to_owned(),
            path: "D:\\VMs\\a.vhdx".to_owned(),
        };
        let denied = Seen(FileProblem::Denied("no".to_owned()));
        let media = [medium];
        let none = |state, media, files| none_of(&vm, state, media, files).is_none();
        let (off, running) = (PowerState::Off, PowerState::Running);
        assert!(!none(off, &media, &denied));
        assert!(none(running, &media, &denied));
        assert!(none(off, &[], &denied));
        let in_use = Seen(FileProblem::InUse("the VM runs".to_owned()));
        assert!(none(off, &media, &in_use));
        let absent = Seen(FileProblem::NotFound);
        assert!(!none(running, &media, &absent));
    }
}
