//! The host's own folders.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::ReadAt;
use crate::resolve::Finder;

/// Looks for images in the file system of the machine that this runs on.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    search: Vec<PathBuf>,
    mounts: Vec<(String, PathBuf)>,
}

impl Folders {
    /// No search path, and nothing known about where Windows paths are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder to the search path.
    pub fn search(mut self, folder: impl Into<PathBuf>) -> Self {
        self.search.push(folder.into());
        self
    }

    /// Says where a part of a Windows host's name space is found here, such as `C:\`, `\\nas\vms`
    /// or `Volume{…}`, with or without `\\?\`.
    pub fn mount(mut self, windows_prefix: &str, folder: impl Into<PathBuf>) -> Self {
        self.mounts.push((plain(windows_prefix), folder.into()));
        self
    }
}

impl Finder for Folders {
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(Some(Arc::new(File::open(path)?))),
            // Not a folder, and above all not a pipe, whose opening would wait for a writer.
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        match fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn locate(&self, windows_path: &str) -> Option<(PathBuf, String)> {
        let path = plain(windows_path);
        for (prefix, folder) in &self.mounts {
            let stem = prefix.trim_end_matches('\\');
            let Some((start, rest)) = path.split_at_checked(stem.len()) else {
                continue;
            };
            let whole = rest.is_empty() || rest.starts_with('\\');
            if whole && start.to_lowercase() == stem.to_lowercase() {
                return Some((folder.clone(), rest.trim_start_matches('\\').to_owned()));
            }
        }
        // On Windows itself, the path is where it says that it is.
        #[cfg(windows)]
        if let Some(path) = Path::new(windows_path).parent()
            && let Some(name) = Path::new(windows_path).file_name()
        {
            return Some((path.to_owned(), name.to_string_lossy().into_owned()));
        }
        None
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.search.clone()
    }
}

/// A Windows path without the prefix that only switches parsing off, and with backslashes.
fn plain(path: &str) -> String {
    let path = path.replace('/', "\\");
    match path.strip_prefix(r"\\?\") {
        Some(unc) if unc.to_ascii_uppercase().starts_with(r"UNC\") => format!(r"\\{}", &unc[4..]),
        Some(rest) => rest.to_owned(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_in_any_spelling_and_at_whole_names_only() {
        let folders = Folders::new()
            .mount(r"C:\", "/mnt/c")
            .mount(r"\\nas\vms", "/mnt/nas")
            .mount(r"\\?\Volume{ab}\", "/mnt/v");
        let locate = |path| {
            let (folder, rest) = folders.locate(path)?;
            Some((folder.display().to_string(), rest))
        };
        let found = |folder: &str, rest: &str| Some((folder.to_owned(), rest.to_owned()));
        assert_eq!(locate(r"\\?\c:\a\b"), found("/mnt/c", r"a\b"));
        assert_eq!(locate("C:/a"), found("/mnt/c", "a"));
        assert_eq!(locate(r"\\?\UNC\NAS\vms\x"), found("/mnt/nas", "x"));
        assert_eq!(locate(r"\\?\volume{AB}\x"), found("/mnt/v", "x"));
        #[cfg(not(windows))]
        for elsewhere in [r"D:\a", r"\\nas\vms2\x", "C", ""] {
            assert_eq!(locate(elsewhere), None, "{elsewhere}");
        }
    }
}
