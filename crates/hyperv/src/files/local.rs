//! Files of a host that are found in this machine's file system.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{FileError, FileProblem};
use super::frozen::FrozenFile;
use super::map::PathMap;
use super::path::HostPath;
use super::{HostEntry, HostFiles};

/// Entries that a folder may have.
const MOST_ENTRIES: usize = 1 << 16;

/// Files found by rules: shares that are mounted, copies, or the host's own.
#[derive(Clone, Debug, Default)]
pub struct MappedFiles {
    map: PathMap,
}

impl MappedFiles {
    /// Files found by these rules.
    pub fn new(map: PathMap) -> Self {
        Self { map }
    }

    /// Where a file or folder that is there is found here.
    ///
    /// Each name is taken as it is, or else as the only one that differs from it in case alone: a
    /// host does not tell them apart, this system may. Links are followed as long as they stay in
    /// the mapped folder.
    ///
    /// # Errors
    /// When its folder is not mapped, it is not there, or it leads out of that folder.
    pub fn find(&self, path: &HostPath) -> Result<PathBuf, FileError> {
        let failed = |error: io::Error| FileError::io(path, &error);
        let found = self.map.find(path);
        let (folder, names) = found.ok_or_else(|| FileError::new(path, FileProblem::Unmapped))?;
        let root = fs::canonicalize(folder).map_err(failed)?;
        let mut at = root.clone();
        for name in names {
            let exact = at.join(name);
            at = match fs::symlink_metadata(&exact) {
                Ok(_) => exact,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    at.join(alike(path, &at, name)?)
                }
                Err(error) => return Err(failed(error)),
            };
        }
        let at = fs::canonicalize(&at).map_err(failed)?;
        if !at.starts_with(&root) {
            return Err(FileError::new(path, FileProblem::Escapes));
        }
        Ok(at)
    }
}

/// Places of new files.
impl MappedFiles {
    /// Where a file or folder of the host is found here, or will be once it is made. Nothing is made.
    ///
    /// # Errors
    /// When its folder is not mapped, and when it would be another one than it says.
    pub fn place(&self, path: &HostPath) -> Result<PathBuf, FileError> {
        let failed = |error: io::Error| FileError::io(path, &error);
        let found = self.map.find(path);
        let (folder, names) = found.ok_or_else(|| FileError::new(path, FileProblem::Unmapped))?;
        let root = fs::canonicalize(folder).map_err(failed)?;
        let mut at = root.clone();
        let mut there = true;
        for name in names {
            let exact = at.join(name);
            let known = match fs::symlink_metadata(&exact) {
                _ if !there => None,
                Ok(_) => Some(exact.clone()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match alike(path, &at, name) {
                        Ok(alike) => Some(at.join(alike)),
                        Err(error) if error.problem == FileProblem::NotFound => None,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(failed(error)),
            };
            at = match known {
                Some(known) => {
                    let known = fs::canonicalize(known).map_err(failed)?;
                    if !known.starts_with(&root) {
                        return Err(FileError::new(path, FileProblem::Escapes));
                    }
                    known
                }
                None => {
                    there = false;
                    exact
                }
            };
        }
        Ok(at)
    }
}

/// The one name in a folder that differs in case alone.
fn alike(path: &HostPath, folder: &Path, name: &str) -> Result<String, FileError> {
    let wanted = name.to_lowercase();
    let names = names(path, folder)?;
    let mut found: Vec<String> = names
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.to_lowercase() == wanted)
        .collect();
    found.sort();
    match found.pop() {
        None => Err(FileError::new(path, FileProblem::NotFound)),
        Some(one) if found.is_empty() => Ok(one),
        Some(one) => {
            found.push(one);
            Err(FileError::new(path, FileProblem::Ambiguous(found)))
        }
    }
}

/// What is in a folder. Names that are no text cannot be a host's and are left out.
fn names(path: &HostPath, folder: &Path) -> Result<Vec<(String, fs::DirEntry)>, FileError> {
    let failed = |error: io::Error| FileError::io(path, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if found.len() >= MOST_ENTRIES {
            return Err(FileError::new(path, FileProblem::TooMany(MOST_ENTRIES)));
        }
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry));
        }
    }
    Ok(found)
}

impl HostFiles for MappedFiles {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let here = self.find(path)?;
        let failed = |error: io::Error| FileError::io(path, &error);
        // Looked at before it is opened: opening a pipe would wait for a writer.
        if !fs::metadata(&here).map_err(failed)?.is_file() {
            return Err(FileError::new(path, FileProblem::Not("file")));
        }
        let file = File::open(&here).map_err(failed)?;
        FrozenFile::new(path.clone(), Arc::new(file)).map(Arc::new)
    }

    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        let found = fs::metadata(self.find(path)?).map_err(|error| FileError::io(path, &error))?;
        match found.is_file() {
            true => Ok(found.len()),
            false => Err(FileError::new(path, FileProblem::Not("file"))),
        }
    }

    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        let here = self.find(folder)?;
        let failed = |error: io::Error| FileError::io(folder, &error);
        if !fs::metadata(&here).map_err(failed)?.is_dir() {
            return Err(FileError::new(folder, FileProblem::Not("folder")));
        }
        let mut found = Vec::new();
        for (name, entry) in names(folder, &here)? {
            // A link counts as what it leads to; one that leads nowhere is nothing.
            let about = match fs::metadata(entry.path()) {
                Ok(about) => about,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let len = (!about.is_dir()).then_some(about.len());
            found.push(HostEntry { name, len });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}
