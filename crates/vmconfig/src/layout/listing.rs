//! What a folder must offer to be looked through.

use std::collections::BTreeMap;
use std::io;

use crate::io::ReadAt;

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// Path relative to the folder, its parts separated by `/`.
    pub path: String,
    /// Length in bytes.
    pub len: u64,
}

/// A folder: all files below it, and a way to open one.
pub trait Folder {
    /// All files, at any depth.
    fn files(&self) -> &[FileItem];

    /// Opens a file of the listing.
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>>;
}

/// A folder in memory.
#[derive(Clone, Debug, Default)]
pub struct MemFolder {
    items: Vec<FileItem>,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl MemFolder {
    /// A folder with these files.
    pub fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let bytes: BTreeMap<_, _> = files.into_iter().collect();
        let item = |(path, bytes): (&String, &Vec<u8>)| FileItem {
            path: path.clone(),
            len: bytes.len() as u64,
        };
        MemFolder {
            items: bytes.iter().map(item).collect(),
            bytes,
        }
    }
}

impl Folder for MemFolder {
    fn files(&self) -> &[FileItem] {
        &self.items
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        let bytes = self.bytes.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}
