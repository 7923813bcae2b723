//! What a saved VM goes on from.
//!
//! No recovery checkpoint holds memory: the saved state of a VM lies with its own configuration and
//! belongs to the disks of a checkpoint that is taken of it, as nothing has run in between. It stays
//! what it is until somebody starts the VM or drops the state, which is looked for when all was read.

use super::{Frozen, LostFile, config};
use crate::files::{FileError, FileProblem, HostFiles};
use crate::inventory::{ConfigFiles, PowerState};

impl Frozen {
    /// Opens the saved state of a VM that was saved when the checkpoint was taken, in place of the
    /// checkpoint's, which has none. `own` tells where the VM's own configuration is.
    pub(super) fn take_state(&mut self, files: &dyn HostFiles, own: Option<&ConfigFiles>) {
        if self.checkpoint.state_before() != PowerState::Saved {
            return;
        }
        let named = own.cloned().unwrap_or_default();
        let (found, mut lost) = config::open_state(files, &named);
        if found.is_empty() && lost.is_empty() {
            lost.push(LostFile {
                path: "the saved state".to_owned(),
                why: "it is not beside the VM's configuration".to_owned(),
            });
        }
        self.lost_files.extend(lost);
        if found.is_empty() {
            return;
        }
        self.files.retain(|file| !file.role.is_state());
        for file in found {
            self.state.push(file.data.path().clone());
            self.opened.push(file.data.clone());
            self.files.push(file);
        }
        self.files.sort_by_key(|file| file.role);
    }

    /// Which files of the saved state may not be what they were: all, once the VM was started.
    pub(super) fn moved_state(&self) -> Vec<FileError> {
        if self.state.is_empty() {
            return Vec::new();
        }
        let problem = match self.checkpoint.is_as_before() {
            Ok(true) => return Vec::new(),
            Ok(false) => FileProblem::NotSavedAnyMore,
            Err(error) => FileProblem::Unwatched(error.to_string()),
        };
        let moved = self.state.iter().map(|path| FileError {
            path: path.to_string(),
            problem: problem.clone(),
        });
        moved.collect()
    }
}
