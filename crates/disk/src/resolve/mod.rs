//! Finding the parents of a differencing image.
//!
//! A child names its parent twice: by identity, which is certain, and by paths, which were right
//! on the host where the child was made. So paths only say where to look first; what is found
//! there counts only with the right identity, and in the end any file with it will do:
//!
//! 1. each path in the order of the link: relative ones from the child's folder, absolute ones
//!    where the [`Finder`] says that they are;
//! 2. each path's file name beside the child;
//! 3. any image in the child's folder or the search path, by identity.
//!
//! Names are compared without regard to case, as Windows does, where the exact one is not there.

mod folders;
mod search;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::{Chain, MAX_LAYERS};
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::layer::Layer;
use crate::open::{OpenAs, open};

pub use folders::Folders;
use search::Search;

/// Where image files are looked for: a file system, a share, a snapshot, a test.
pub trait Finder {
    /// Opens a file; `None` when there is none at this path.
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn ReadAt>>>;

    /// The names in a folder, of files and of folders; none when there is no such folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Where an absolute Windows path is found here: a folder, and the rest of the path within it.
    /// The path may be on a drive, a share or a volume, with or without `\\?\`.
    fn locate(&self, windows_path: &str) -> Option<(PathBuf, String)>;

    /// Folders in which every image is looked at when no path leads to a parent.
    fn search_path(&self) -> Vec<PathBuf>;
}

/// An image file and where it was found.
#[derive(Clone)]
pub struct Found {
    /// Its path, as the [`Finder`] spells it.
    pub path: PathBuf,
    /// The image, alone.
    pub layer: Arc<dyn Layer>,
}

/// A place where a parent was looked for, and what was there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The path, or the folder whose images were all looked at.
    pub path: String,
    /// What was there.
    pub outcome: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.outcome)
    }
}

/// Opens the image at `leaf` and everything below it, the leaf first.
///
/// # Errors
/// [`Error::ParentMissing`] names the child, the identity that its parent must have, and every
/// place that was tried; [`Error::BrokenChain`] for a cycle or more than [`MAX_LAYERS`] layers; for
/// the leaf itself what [`open`] finds.
pub fn resolve(finder: &dyn Finder, leaf: &Path) -> Result<Vec<Found>> {
    let file = finder
        .open(leaf)
        .and_then(|file| file.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(Error::io("opening the image"))?;
    let layer = open(file, OpenAs::by_name(leaf))?;
    let mut search = Search::new(finder);
    let mut found = vec![Found {
        path: leaf.to_owned(),
        layer,
    }];
    while let Some(child) = found
        .last()
        .filter(|last| last.layer.info().parent.is_some())
    {
        if found.len() == MAX_LAYERS {
            let why = format!(
                "more than {MAX_LAYERS} layers above {}",
                child.path.display()
            );
            return Err(Error::BrokenChain(why));
        }
        let parent = search.parent(child)?;
        let identity = parent.layer.info().identity();
        if found
            .iter()
            .any(|above| above.layer.info().identity() == identity)
        {
            return Err(Error::BrokenChain(format!(
                "{} is its own parent's parent: a cycle",
                parent.path.display()
            )));
        }
        found.push(parent);
    }
    Ok(found)
}

/// [`resolve`], as one disk.
///
/// # Errors
/// As for [`resolve`] and [`Chain::new`].
pub fn open_chain(finder: &dyn Finder, leaf: &Path) -> Result<Chain> {
    let found = resolve(finder, leaf)?;
    Chain::new(found.into_iter().map(|found| found.layer).collect())
}
