//! The seam to the file system: exactly the operations whose order decides about durability.

use std::io;
use std::path::Path;

use crate::Stat;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link, a device: nothing of ours.
    Other,
}

/// One line of a folder.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) stat: Stat,
}

/// A file system. What was written is durable only after a sync of the file, what was created,
/// renamed or removed only after a sync of the folder that holds the name.
pub(super) trait Fs: Send + Sync {
    type File;

    /// A new file, held against [`is_held`](Fs::is_held) where the file system has locks.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    /// Whether a living process holds the file.
    ///
    /// # Errors
    /// Where the file system has no locks: nobody knows.
    fn is_held(&self, path: &Path) -> io::Result<bool>;
    /// Writes the contents of a new file.
    fn write_all(&self, file: &Self::File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Names the held file `from` anew. Fails with `AlreadyExists` where `to` exists.
    fn rename_new(&self, held: Self::File, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn stat(&self, path: &Path) -> io::Result<(Kind, Stat)>;
    /// Entries whose names are not Unicode are left out: they are not ours.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<Item>>;
    fn read_exact_at(&self, path: &Path, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}
