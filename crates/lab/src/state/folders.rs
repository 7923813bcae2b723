//! The folders of a host, as Windows tells them and removes them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{FileError, Files};

impl Files {
    /// All folders, with the names that the host has for them.
    pub fn folders(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, path) in self.drives() {
            within(&name, &path, &mut |name, _| found.push(name.to_owned()));
        }
        found
    }

    /// All files in folders, with the names that the host has for them, and their bytes.
    pub fn all(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for (name, path) in self.drives() {
            within(&name, &path, &mut |name, path| {
                let Ok(entries) = fs::read_dir(path) else {
                    return;
                };
                let file = |entry: io::Result<fs::DirEntry>| {
                    let entry = entry.ok()?;
                    let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                    let own = entry.file_name().into_string().ok()?;
                    Some((format!("{name}\\{own}"), about.len()))
                };
                found.extend(entries.filter_map(file));
            });
        }
        found.sort();
        found
    }

    /// Removes a folder, named in any case, with all that is in it if that is wanted; `false` when
    /// it is not empty and that is not.
    pub fn remove_folder(&self, folder: &str, recursive: bool) -> Result<bool, FileError> {
        let wanted = folder.to_lowercase();
        let mut here = None;
        for (name, path) in self.drives() {
            within(&name, &path, &mut |name, path| {
                if name.to_lowercase() == wanted {
                    here = Some(path.to_owned());
                }
            });
        }
        let here = here.ok_or_else(|| FileError::Missing(folder.to_owned()))?;
        let io = |error: io::Error| FileError::Missing(format!("{folder}: {error}"));
        if recursive {
            fs::remove_dir_all(here).map_err(io)?;
            return Ok(true);
        }
        match fs::remove_dir(here) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(io(error)),
        }
    }

    /// Drives by the letters that their folders have.
    fn drives(&self) -> Vec<(String, PathBuf)> {
        let drive = |(name, path): (String, PathBuf)| {
            let letter = name.len() == 1 && name.bytes().all(|b| b.is_ascii_alphabetic());
            letter.then(|| (format!("{name}:"), path))
        };
        children(self.root())
            .into_iter()
            .filter_map(drive)
            .collect()
    }
}

/// Everything that is a folder below one. Links are followed nowhere.
fn within(name: &str, path: &Path, each: &mut dyn FnMut(&str, &Path)) {
    for (child, path) in children(path) {
        let name = format!("{name}\\{child}");
        each(&name, &path);
        within(&name, &path, each);
    }
}

fn children(path: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let child = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let folder = entry.file_type().ok()?.is_dir();
        let name = entry.file_name().into_string().ok()?;
        folder.then(|| (name, entry.path()))
    };
    let mut found: Vec<_> = entries.filter_map(child).collect();
    found.sort();
    found
}
