//! Whether the files of VMs can be had.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::files::{FileError, HostFiles, HostPath};
use crate::hint::Hint;
use crate::inventory::Inventory;

/// A folder of VMs' disks, and whether a file in it can be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The folder, as the host spells it.
    pub folder: String,
    /// The file that was looked at.
    pub file: String,
    /// Its length in bytes, if it can be had.
    pub len: Option<u64>,
    /// Why it cannot be had.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Asks for the length of one disk in each folder that has any. Nothing is opened for long, so
/// that a host that starts a VM just then is not in the way.
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
            Ok(path) => files
                .len(&path)
                .map_err(|error: FileError| (error.problem.to_string(), error.hint().to_owned())),
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
    use crate::files::{MappedFiles, PathMap};
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
}
