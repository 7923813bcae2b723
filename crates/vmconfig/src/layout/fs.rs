//! A folder of the local file system. The only module here that touches `std::fs`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::listing::{FileItem, Folder};
use crate::io::ReadAt;

/// A folder of the local file system, listed once.
///
/// Symbolic links are not followed: they may lead out of the folder or in circles. They and
/// folders that cannot be listed are told in [`skipped`](FsFolder::skipped).
#[derive(Debug)]
pub struct FsFolder {
    items: Vec<FileItem>,
    paths: BTreeMap<String, PathBuf>,
    skipped: Vec<(PathBuf, String)>,
}

impl FsFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// When the folder itself cannot be listed.
    pub fn open(root: &Path) -> io::Result<Self> {
        // On Windows this gives a path that may be longer than 260 characters.
        let root = fs::canonicalize(root)?;
        let mut folder = FsFolder {
            items: Vec::new(),
            paths: BTreeMap::new(),
            skipped: Vec::new(),
        };
        let mut queue = vec![(root.clone(), String::new())];
        while let Some((path, prefix)) = queue.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries {
                        match entry {
                            Ok(entry) => folder.add(&entry, &prefix, &mut queue),
                            Err(error) => folder.skipped.push((path.clone(), error.to_string())),
                        }
                    }
                }
                Err(error) if path == root => return Err(error),
                Err(error) => folder.skipped.push((path, error.to_string())),
            }
        }
        folder.items.sort_by(|a, b| a.path.cmp(&b.path));
        folder.skipped.sort();
        Ok(folder)
    }

    fn add(&mut self, entry: &fs::DirEntry, prefix: &str, queue: &mut Vec<(PathBuf, String)>) {
        let path = entry.path();
        let mut name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = match entry.metadata() {
            Ok(kind) => kind,
            Err(error) => return self.skipped.push((path, error.to_string())),
        };
        if kind.is_dir() {
            name.push('/');
            queue.push((path, name));
        } else if kind.is_file() {
            // Names that are not text may look alike once made text.
            while self.paths.contains_key(&name) {
                name.push('\u{fffd}');
            }
            self.items.push(FileItem {
                path: name.clone(),
                len: kind.len(),
            });
            self.paths.insert(name, path);
        } else {
            self.skipped
                .push((path, "a symbolic link or special file".into()));
        }
    }

    /// What is not in the listing, and why.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }

    /// Where a file of the listing lies.
    pub fn path_of(&self, path: &str) -> Option<&Path> {
        self.paths.get(path).map(PathBuf::as_path)
    }
}

impl Folder for FsFolder {
    fn files(&self) -> &[FileItem] {
        &self.items
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        let path = self.path_of(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(FsFile(File::open(path)?)))
    }
}

/// A file that is read at positions.
struct FsFile(File);

impl ReadAt for FsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        hostfile::read_exact_at(&self.0, buf, offset)
    }
}
