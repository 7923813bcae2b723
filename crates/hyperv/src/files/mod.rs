//! Files of a host, by the names that the host has for them.
//!
//! Configurations and disks are named by paths that mean something on the host alone. [`HostFiles`]
//! is the way to them: a mounted share or a copy by [`MappedFiles`]; other ways are behind the same
//! trait.
//!
//! Invariants:
//!
//! - Reading only; nothing is ever created, changed or locked.
//! - A path leads to no file but the one that it names: not upwards, not out of a mapped folder by
//!   a link, not to one of two names that differ in case alone.
//! - What is read is what was there when the file was opened, as far as its length tells: a file
//!   that is shorter or longer than then is an error ([`FrozenFile`]), not other bytes.

mod error;
mod finder;
mod frozen;
mod local;
mod map;
mod path;

use std::sync::Arc;

pub use error::{FileError, FileProblem};
pub use finder::HostFinder;
pub use frozen::FrozenFile;
pub use local::MappedFiles;
pub use map::PathMap;
pub use path::{BadHostPath, HostPath};

/// A way to a host's files.
pub trait HostFiles: Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`FileProblem::NotFound`] and the like; see [`FileError::is_transient`] for those that
    /// waiting may help.
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError>;

    /// Length of a file in bytes.
    fn len(&self, path: &HostPath) -> Result<u64, FileError>;

    /// What is in a folder, by name.
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError>;
}

/// A file or folder in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Its name.
    pub name: String,
    /// Length in bytes; `None` for a folder.
    pub len: Option<u64>,
}
