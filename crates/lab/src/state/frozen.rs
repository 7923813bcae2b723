//! Copies of what checkpoints for backups froze, for whoever compares a restored disk with them.
//!
//! When such a checkpoint is taken, by whomever, and before any guest writes again, the files of the
//! disks that it froze are copied with all that is below them: to `FOLDER/ID OF THE VM/NUMBER`, and
//! there to where they lie in the host's own folder. The first one has the number 1, the next one 2.

use std::fs;
use std::path::PathBuf;

use uuid::Uuid;

use super::files::{FileError, Files};
use super::host::Host;

impl Host {
    /// From now on keeps what each checkpoint for a backup freezes.
    pub fn keep_frozen(&mut self, folder: impl Into<PathBuf>) {
        self.kept = Some(folder.into());
    }

    /// Keeps what a checkpoint of the VM has frozen: these files, and all below them.
    pub(super) fn keep<'a>(
        &self,
        vm: Uuid,
        frozen: impl Iterator<Item = &'a str>,
    ) -> Result<(), FileError> {
        let Some(folder) = &self.kept else {
            return Ok(());
        };
        let of_vm = folder.join(vm.hyphenated().to_string());
        let failed = |error| FileError::Io {
            path: of_vm.display().to_string(),
            error,
        };
        fs::create_dir_all(&of_vm).map_err(failed)?;
        let before = fs::read_dir(&of_vm).map_err(failed)?.count();
        let kept = Files::new(of_vm.join((before + 1).to_string()));
        for path in self.with_all_below(frozen) {
            self.files.copy_out(&path, &kept, &path)?;
        }
        Ok(())
    }
}
