//! Whether the files of VMs can be had.

use std::collections::BTreeMap;

use disk::ReadAt as _;
use serde::{Deserialize, Serialize};

use crate::files::{FileError, FileProblem, HostFiles, HostPath};
use crate::hint::Hint;
use crate::inventory::Inventory;

/// A folder of VMs' disks, and whether a file in it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The folder, as the host spells it.
    pub folder: String,
    /// The file that was looked at.
    pub file: String,
    /// Its length in bytes, if it can be read.
    pub len: Option<u64>,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Opens one disk in each folder that has any, for reading, and closes it at once. To see a file is
/// allowed to many that may not read it.
///
/// A disk that a VM has open counts as one that can be read: the rights were looked at before that,
/// and its checkpoint leaves it free.
pub fn reach(files: &dyn HostFiles, inventory: &Inventory) -> Vec<Reach> {
    let mut folders: BTreeMap<String, (String, String)> = BTreeMap::new();
    for medium in inventory.machines.iter().flat_map(|vm| &vm.settings.media) {
        let folder = match HostPath::parse(&medium.path) {
            Ok(path) => path
                .parent()
                .map_or_else(|| path.to_string(), |p| p.to_string()),
            // Told below, by the same reading of the path.
            Err(_) => medium.path.clone(),
        };
        // Hosts do not tell names by their case.
        let file = medium.path.clone();
        folders
            .entry(folder.to_lowercase())
            .or_insert((folder, file));
    }
    let look = |(folder, file): (String, String)| {
        let found = match HostPath::parse(&file) {
            Ok(path) => {
                let found = match files.open(&path) {
                    Err(error) if matches!(error.problem, FileProblem::InUse(_)) => {
                        files.len(&path)
                    }
                    Err(error) => Err(error),
                    Ok(file) => file.len().map_err(|error| FileError::io(&path, &error)),
                };
                found.map_err(|error| (error.problem.to_string(), error.hint().to_owned()))
            }
            Err(error) => Err((error.to_string(), "see the VM's settings".to_owned())),
        };
        let (len, why) = match found {
            Ok(len) => (Some(len), None),
            Err(why) => (None, Some(why)),
        };
        let (problem, hint) = why.unzip();
        Reach {
            folder,
            file,
            len,
            problem,
            hint,
        }
    };
    folders.into_values().map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{FrozenFile, HostEntry, MappedFiles, PathMap};
    use crate::inventory::Medium;
    use crate::preflight::tests::well;

    #[test]
    fn one_disk_of_each_folder_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.vhdx"), b"1234").unwrap();
        let mut vm = well();
        let medium = vm.settings.media[0].clone();
        let at = |path: &str| Medium {
            path: path.to_owned(),
            ..medium.clone()
        };
        vm.settings.media = vec![
            at("D:\\VMs\\a.vhdx"),
            at("d:\\vms\\b.vhdx"),
            at("E:\\c.vhdx"),
            at("..\\x"),
        ];
        let inventory = Inventory {
            machines: vec![vm],
            ..Inventory::default()
        };
        let map = PathMap::new().with(HostPath::parse("D:\\VMs").unwrap(), dir.path());
        let found = reach(&MappedFiles::new(map), &inventory);
        let told: Vec<(Option<u64>, bool)> = found
            .iter()
            .map(|reach| (reach.len, reach.problem.is_some() && reach.hint.is_some()))
            .collect();
        assert_eq!(
            told,
            [(None, true), (Some(4), false), (None, true)],
            "{found:#?}"
        );
    }

    /// Files that everybody sees, and that opening has a problem with.
    struct Seen(FileProblem);

    impl HostFiles for Seen {
        fn open(&self, path: &HostPath) -> Result<std::sync::Arc<FrozenFile>, FileError> {
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
    fn a_file_that_is_seen_and_may_not_be_read_cannot_be_read() {
        let inventory = Inventory {
            machines: vec![well()],
            ..Inventory::default()
        };
        let denied = Seen(FileProblem::Denied("no".to_owned()));
        for found in reach(&denied, &inventory) {
            assert_eq!(found.len, None, "{found:?}");
            assert!(found.problem.is_some() && found.hint.is_some());
        }
        let in_use = Seen(FileProblem::InUse("the VM runs".to_owned()));
        for found in reach(&in_use, &inventory) {
            assert_eq!((found.len, found.problem), (Some(7), None));
        }
    }
}
