//! The files of a checkpoint's configuration.
//!
//! The host names the configuration file; what belongs to it lies beside it under the same name
//! with another ending. A virtual machine of version 5 keeps its saved state in a folder of that
//! name. Saved state may lie in a root of its own, in the same folder of it as the configuration.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::files::{FileProblem, FrozenFile, HostFiles, HostPath};
use crate::inventory::ConfigFiles;

/// Files of one configuration, at most.
const MOST: usize = 64;

/// A file of the configuration.
pub struct ConfigFile {
    /// The file, as the host spells it.
    pub path: String,
    /// What it is.
    pub role: FileRole,
    /// Its bytes.
    pub data: Arc<FrozenFile>,
}

/// What a file of a configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// The configuration itself (`.vmcx`, `.xml`).
    Configuration,
    /// Runtime state (`.vmrs`), saved device state (`.vsv`).
    RuntimeState,
    /// Saved memory (`.bin`).
    SavedMemory,
    /// Firmware variables and virtual TPM (`.vmgs`).
    GuestState,
}

/// A file of the configuration that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostFile {
    /// The file, as the host spells it.
    pub path: String,
    /// Why.
    pub why: String,
}

impl FileRole {
    /// Whether it is what a VM goes on from.
    pub(super) fn is_state(self) -> bool {
        matches!(self, Self::RuntimeState | Self::SavedMemory)
    }

    fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "vmcx" | "xml" => Self::Configuration,
            "vmrs" | "vsv" => Self::RuntimeState,
            "bin" => Self::SavedMemory,
            "vmgs" => Self::GuestState,
            _ => return None,
        })
    }
}

/// Opens all of them that are there; the configuration itself and a guest state file that the host
/// names must be.
pub(crate) fn open(files: &dyn HostFiles, named: &ConfigFiles) -> (Vec<ConfigFile>, Vec<LostFile>) {
    let mut found = Found::new(files, |_| true);
    let Some(path) = &named.configuration else {
        found.lose("the configuration", "the host does not tell where it is");
        return (found.opened, found.lost);
    };
    match HostPath::parse(path) {
        Ok(path) => {
            found.open(&path);
            found.beside(&path);
            found.in_state_root(&path, named);
        }
        Err(error) => found.lose(path, &error.to_string()),
    }
    // Hosts name one for VMs that have none.
    match named.guest_state.as_deref().map(HostPath::parse) {
        Some(Ok(path)) if !found.has(&path) => found.open_if_there(&path),
        Some(Err(error)) => found.lose("the guest state", &error.to_string()),
        _ => {}
    }
    found.opened.sort_by_key(|file| file.role);
    (found.opened, found.lost)
}

/// Opens what a saved VM goes on from, which lies with its own configuration.
pub(super) fn open_state(
    files: &dyn HostFiles,
    named: &ConfigFiles,
) -> (Vec<ConfigFile>, Vec<LostFile>) {
    let mut found = Found::new(files, FileRole::is_state);
    match named.configuration.as_deref().map(HostPath::parse) {
        Some(Ok(path)) => {
            found.beside(&path);
            found.in_state_root(&path, named);
        }
        Some(Err(error)) => found.lose("the saved state", &error.to_string()),
        None => found.lose("the saved state", "the host does not tell where it is"),
    }
    found.opened.sort_by_key(|file| file.role);
    (found.opened, found.lost)
}

struct Found<'a> {
    files: &'a dyn HostFiles,
    wanted: fn(FileRole) -> bool,
    opened: Vec<ConfigFile>,
    lost: Vec<LostFile>,
}

impl<'a> Found<'a> {
    fn new(files: &'a dyn HostFiles, wanted: fn(FileRole) -> bool) -> Self {
        Self {
            files,
            wanted,
            opened: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// What lies in the root of saved states, if that is another than the configuration's.
    fn in_state_root(&mut self, path: &HostPath, named: &ConfigFiles) {
        let root = named.saved_state_root.as_deref();
        let Some(Ok(mut like)) = root.map(HostPath::parse) else {
            return;
        };
        // The folder of the configuration, such as `Virtual Machines`, has its like there.
        let folder = path.parent();
        let folder = folder.as_ref().and_then(HostPath::name);
        for name in folder.into_iter().chain(path.name()) {
            match like.join(name) {
                Ok(path) => like = path,
                Err(_) => return,
            }
        }
        if like.parent() != path.parent() {
            self.beside(&like);
        }
    }

    /// What lies beside the configuration under its name.
    fn beside(&mut self, path: &HostPath) {
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else {
            return;
        };
        let stem = stem(name);
        let entries = match self.files.list(&folder) {
            Ok(entries) => entries,
            // That was told of the configuration itself.
            Err(error) if error.problem == FileProblem::NotFound => return,
            Err(error) => return self.lose(&folder.to_string(), &error.to_string()),
        };
        for entry in entries {
            let same = self::stem(&entry.name) == stem;
            let Ok(path) = folder.join(&entry.name) else {
                continue;
            };
            match entry.len {
                Some(_) if same && self.wants(&entry.name) && !self.has(&path) => {
                    self.open(&path);
                }
                None if entry.name.to_lowercase() == stem => self.within(&path),
                _ => {}
            }
        }
    }

    /// Saved state of version 5, in a folder of its own.
    fn within(&mut self, folder: &HostPath) {
        let entries = match self.files.list(folder) {
            Ok(entries) => entries,
            Err(error) => return self.lose(&folder.to_string(), &error.to_string()),
        };
        for entry in entries.iter().filter(|entry| entry.len.is_some()) {
            let saved = FileRole::of(&entry.name).is_some_and(FileRole::is_state);
            if let (true, Ok(path)) = (saved, folder.join(&entry.name)) {
                self.open(&path);
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        FileRole::of(name).is_some_and(self.wanted)
    }

    fn open(&mut self, path: &HostPath) {
        if self.opened.len() >= MOST {
            return self.lose(&path.to_string(), "there are too many files beside it");
        }
        match self.files.open(path) {
            Ok(data) => self.opened.push(ConfigFile {
                path: path.to_string(),
                role: FileRole::of(path.name().unwrap_or_default())
                    .unwrap_or(FileRole::Configuration),
                data,
            }),
            Err(error) => self.lose(&error.path, &error.problem.to_string()),
        }
    }

    fn open_if_there(&mut self, path: &HostPath) {
        match self.files.len(path) {
            Err(error) if error.problem == FileProblem::NotFound => {}
            _ => self.open(path),
        }
    }

    fn has(&self, path: &HostPath) -> bool {
        self.opened.iter().any(|file| file.data.path() == path)
    }

    fn lose(&mut self, path: &str, why: &str) {
        self.lost.push(LostFile {
            path: path.to_owned(),
            why: why.to_owned(),
        });
    }
}

/// A name without its ending, as it is compared.
fn stem(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.to_lowercase()
}
