//! A host's files as the search for parents of differencing disks needs them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use disk::ReadAt;
use disk::resolve::Finder;

use super::HostFiles;
use super::error::{FileError, FileProblem};
use super::frozen::FrozenFile;
use super::path::HostPath;

/// Looks for layers of a chain among a host's files, by the host's paths.
///
/// Paths are spelled with forward slashes here, which every system takes apart. All files that it
/// opens are kept, so that in the end each can be looked at: [`HostFinder::verify`].
pub struct HostFinder<'a> {
    files: &'a dyn HostFiles,
    opened: Mutex<Vec<Arc<FrozenFile>>>,
    /// Whether a file could not be had for now.
    held: AtomicBool,
}

impl<'a> HostFinder<'a> {
    /// Looks among these files.
    pub fn new(files: &'a dyn HostFiles) -> Self {
        Self {
            files,
            opened: Mutex::new(Vec::new()),
            held: AtomicBool::new(false),
        }
    }

    /// A path as [`disk::resolve::resolve`] wants it.
    pub fn path(path: &HostPath) -> PathBuf {
        PathBuf::from(path.slashed())
    }

    /// The files that were opened, in their order.
    pub fn opened(&self) -> Vec<Arc<FrozenFile>> {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a file, the image itself or whatever was looked at in search of its parents, could not
    /// be had and may be in a moment.
    pub fn was_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Looks whether each file is what it was when it was opened.
    ///
    /// # Errors
    /// For the first one that is not.
    pub fn verify(&self) -> Result<(), FileError> {
        self.opened().iter().try_for_each(|file| file.verify())
    }
}

/// A path that was made by taking another apart; `None` when it is none of a host.
fn host_path(path: &Path) -> Option<HostPath> {
    let mut text = path.to_str()?.to_owned();
    // A drive or share alone is its root.
    if !text.ends_with('/') {
        text.push('/');
    }
    HostPath::parse(&text).ok()
}

impl Finder for HostFinder<'_> {
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn ReadAt>>> {
        let Some(path) = host_path(path) else {
            return Ok(None);
        };
        match self.files.open(&path) {
            Ok(file) => {
                file.note_head()?;
                let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.push(Arc::clone(&file));
                Ok(Some(file))
            }
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => {
                self.held.fetch_or(error.is_transient(), Ordering::Relaxed);
                Err(io::Error::other(error))
            }
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let Some(folder) = host_path(folder) else {
            return Ok(Vec::new());
        };
        match self.files.list(&folder) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name.into()).collect()),
            Err(error) if is_nothing(&error) => Ok(Vec::new()),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn locate(&self, windows_path: &str) -> Option<(PathBuf, String)> {
        let path = HostPath::parse(windows_path).ok()?;
        let folder = path.parent()?;
        Some((Self::path(&folder), path.name()?.to_owned()))
    }

    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Whether there is nothing at a path, rather than something that cannot be had.
fn is_nothing(error: &FileError) -> bool {
    matches!(
        error.problem,
        FileProblem::NotFound | FileProblem::Unmapped | FileProblem::Not(_)
    )
}
