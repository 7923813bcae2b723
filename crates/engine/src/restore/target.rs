//! A new file that appears whole or not at all.
//!
//! It is written under a temporary name in the folder where it will lie, made durable, and only
//! then given its name: never over something that is already there, unless that is the very file that
//! it was said to replace. Dropped before that, or after
//! an error, the temporary file is removed; what a killed process leaves behind is recognised by
//! its name, [`TEMP_PREFIX`] … [`TEMP_SUFFIX`]. A file with a journal may be kept for the next run.
//!
//! No file is marked as sparse. On Windows, where that takes a call of its own, none has holes then, and
//! none is refused for them when it is attached; elsewhere what is not written is a hole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use disk::DirectFile;
use store::rename_new;

use crate::finding::Code;
use crate::restore::existing::{Spot, replace};

/// How the name of an unfinished file begins. It is short and does not hold the final name, which
/// may already be as long as a name can be.
pub const TEMP_PREFIX: &str = ".hyperkeep-";
/// How the name of an unfinished file ends.
pub const TEMP_SUFFIX: &str = ".part";

/// Why a file could not be brought into place.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Something is already there.
    #[error("{}: already exists", .0.display())]
    Exists(PathBuf),
    /// Something is there, and what to do about it left it alone.
    #[error("{}: {why}", path.display())]
    Left {
        /// The file that is there.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Another process restores the same.
    #[error("{}: another process is at this very restore", .0.display())]
    Busy(PathBuf),
    /// The file system has no room left.
    #[error("{}: the target is full", .0.display())]
    Full(PathBuf),
    /// Anything else.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file's final path.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl TargetError {
    /// Classifies what the operating system said about `path`.
    pub fn io(path: &Path, what: &'static str, source: io::Error) -> Self {
        use io::ErrorKind::{AlreadyExists, FileTooLarge, QuotaExceeded, StorageFull};
        match source.kind() {
            AlreadyExists => Self::Exists(path.to_path_buf()),
            StorageFull | QuotaExceeded => Self::Full(path.to_path_buf()),
            FileTooLarge => Self::Io {
                path: path.to_path_buf(),
                what: "the target's file system does not take a file that large",
                source,
            },
            _ => Self::Io {
                path: path.to_path_buf(),
                what,
                source,
            },
        }
    }

    /// The file that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Exists(path) | Self::Full(path) | Self::Busy(path) => path,
            Self::Left { path, .. } | Self::Io { path, .. } => path,
        }
    }

    /// The stable word for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Exists(_) | Self::Left { .. } => Code::TargetExists,
            Self::Full(_) => Code::TargetFull,
            Self::Io { .. } | Self::Busy(_) => Code::TargetFailed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        use io::ErrorKind::{
            FileTooLarge, InvalidFilename, NotADirectory, PermissionDenied, ReadOnlyFilesystem,
        };
        match self {
            Self::Exists(_) => {
                "restore into another folder, or move what is there away; `restore disks --overwrite` \
                 says when files are replaced"
            }
            Self::Left { .. } => {
                "restore into another folder, or beside it with --overwrite rename"
            }
            Self::Busy(_) => "wait until it has ended, or restore into another folder",
            Self::Full(_) => {
                "free some space or restore to another folder; the unfinished file was removed"
            }
            Self::Io { source, .. } => match source.kind() {
                PermissionDenied | ReadOnlyFilesystem | NotADirectory => {
                    "restore into a folder that you may write to"
                }
                FileTooLarge => "restore to a file system for large files, such as NTFS or ext4",
                InvalidFilename => {
                    "restore into a folder with a shorter path, or on another system"
                }
                _ => "see whether the target is in order, or restore to another one",
            },
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct NewFile {
    file: Arc<File>,
    temp: PathBuf,
    spot: Spot,
    /// What is at its temporary name stays there.
    keep: bool,
}

impl NewFile {
    /// Starts a file that will be `path`. Its folder must exist.
    ///
    /// # Errors
    /// [`TargetError::Exists`] when something is already at `path`, and what the system says.
    pub fn create(path: &Path) -> Result<Self, TargetError> {
        Self::at(Spot::new(path))
    }

    /// Starts a file that will be at this spot. Its folder must exist.
    pub(crate) fn at(spot: Spot) -> Result<Self, TargetError> {
        let path = &spot.path;
        if spot.over.is_none() && path.symlink_metadata().is_ok() {
            return Err(TargetError::Exists(path.clone()));
        }
        let folder = folder_of(path);
        loop {
            // A leftover of a dead process with the same numbers is skipped, never taken.
            let temp = folder.join(unique());
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&temp);
            match opened {
                Ok(file) => {
                    return Ok(Self {
                        file: Arc::new(file),
                        temp,
                        spot,
                        keep: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(TargetError::io(path, "creating a file", error)),
            }
        }
    }

    /// Goes on with the file `temp`, or begins it anew, which is what it is without `going_on`. Nobody
    /// else may have it: whoever calls has the journal.
    pub(crate) fn again(spot: Spot, temp: PathBuf, going_on: bool) -> Result<Self, TargetError> {
        let path = &spot.path;
        if spot.over.is_none() && path.symlink_metadata().is_ok() {
            return Err(TargetError::Exists(path.clone()));
        }
        if !going_on {
            match remove_now(&temp) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(TargetError::io(path, "removing an unfinished file", error));
                }
                _ => {}
            }
        }
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(!going_on)
            .open(&temp);
        Ok(Self {
            file: Arc::new(opened.map_err(|e| TargetError::io(path, "creating a file", e))?),
            temp,
            spot,
            keep: false,
        })
    }

    /// Leaves what was written for the next run.
    pub(crate) fn leave(mut self) {
        self.keep = true;
    }

    /// The file as the system knows it.
    pub(crate) fn host_file(&self) -> &File {
        &self.file
    }

    /// What it is called until it has its name.
    pub(crate) fn temp(&self) -> &Path {
        &self.temp
    }

    /// The file, for a writer.
    pub fn file(&self) -> DirectFile {
        DirectFile::writing(Arc::clone(&self.file))
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.spot.path
    }

    /// Gives it its name, for whoever makes many files durable at once in the end.
    ///
    /// # Errors
    /// [`TargetError::Exists`] when something appeared there meanwhile; it is left alone.
    pub(crate) fn place_unsynced(mut self) -> Result<(), TargetError> {
        if self.spot.over.is_some() {
            return self.place();
        }
        let placed = rename_new(&self.temp, &self.spot.path);
        placed.map_err(|error| TargetError::io(&self.spot.path, "giving it its name", error))?;
        self.keep = true;
        Ok(())
    }

    /// Makes it durable and gives it its name.
    ///
    /// # Errors
    /// [`TargetError::Exists`] when something appeared there meanwhile, and [`TargetError::Left`] when
    /// the file that it was to replace is another one by now; they are left alone.
    pub fn place(mut self) -> Result<(), TargetError> {
        let fail = |what| {
            let path = self.spot.path.clone();
            move |error| TargetError::io(&path, what, error)
        };
        self.file.sync_all().map_err(fail("making it durable"))?;
        match self.spot.over {
            Some(seen) => replace(&self.temp, &self.spot, seen)?,
            None => {
                rename_new(&self.temp, &self.spot.path).map_err(fail("giving it its name"))?;
            }
        }
        self.keep = true;
        sync_folder(folder_of(&self.spot.path)).map_err(fail("making its name durable"))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.keep {
            // It failed or was given up; what cannot be removed now is recognised by its name.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// Removes a file whose name is wanted at once. Windows keeps the name as long as somebody has the file
/// open, as a scanner may, or what is left of a run that was killed: it goes under another one.
fn remove_now(temp: &Path) -> io::Result<()> {
    let old = temp.with_file_name(unique());
    fs::rename(temp, &old)?;
    fs::remove_file(old)
}

/// A name of an unfinished file, unique among the live ones of this machine.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{TEMP_PREFIX}{}-{}{TEMP_SUFFIX}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// On Windows the rename was written through; a folder cannot be synced.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_classified() {
        use io::ErrorKind::{
            AlreadyExists, FileTooLarge, PermissionDenied, QuotaExceeded, StorageFull,
        };
        for (kind, code) in [
            (StorageFull, Code::TargetFull),
            (QuotaExceeded, Code::TargetFull),
            (AlreadyExists, Code::TargetExists),
            (FileTooLarge, Code::TargetFailed),
            (PermissionDenied, Code::TargetFailed),
        ] {
            let error = TargetError::io(Path::new("disk"), "writing", kind.into());
            assert_eq!(error.code(), code, "{kind}");
            assert!(!error.hint().is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk ü 💾.vhdx");
        let dropped = NewFile::create(&path).unwrap();
        dropped.file().write_all_at(b"half", 0).unwrap();
        assert!(!path.exists());
        drop(dropped);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let whole = NewFile::create(&path).unwrap();
        whole.file().write_all_at(b"whole", 0).unwrap();
        whole.place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_overwritten_not_even_what_appears_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let late = NewFile::create(&path).unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert!(matches!(late.place(), Err(TargetError::Exists(_))));
        assert!(matches!(
            NewFile::create(&path),
            Err(TargetError::Exists(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_file_that_was_seen_is_replaced_and_no_other() {
        use crate::restore::existing::{Became, Seen};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let over = |seen| {
            let spot = Spot {
                path: path.clone(),
                became: Became::Replaced,
                over: Some(seen),
            };
            let new = NewFile::at(spot).unwrap();
            new.file().write_all_at(b"new", 0).unwrap();
            new
        };
        fs::write(&path, b"old").unwrap();
        let seen = Seen::at(&path).unwrap();
        drop(over(seen));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let late = over(seen);
        fs::write(&path, b"another").unwrap();
        assert!(matches!(late.place(), Err(TargetError::Left { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"another");
        over(Seen::at(&path).unwrap()).place().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_as_long_as_names_can_be_works() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n".repeat(255));
        NewFile::create(&path).unwrap().place().unwrap();
        assert!(path.exists());
        // And so does a path that is longer than old programs of Windows can open.
        let folder = dir.path().join("f".repeat(200)).join("g".repeat(200));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("n".repeat(255));
        NewFile::create(&path).unwrap().place().unwrap();
        assert!(path.exists());
    }
}
