//! The operating system's file system.

use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hostfile::DirectFile;

use super::fs::{Fs, Item, Kind};
use crate::{Stat, rename_new};

pub(super) struct OsFs;

fn kind(t: FileType) -> Kind {
    match () {
        () if t.is_file() => Kind::File,
        () if t.is_dir() => Kind::Folder,
        () => Kind::Other,
    }
}

fn stat(meta: &Metadata) -> Stat {
    Stat {
        len: meta.len(),
        modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

impl Fs for OsFs {
    type File = DirectFile;

    fn create_new(&self, path: &Path) -> io::Result<DirectFile> {
        let mut new = OpenOptions::new();
        let file = new.read(true).write(true).create_new(true).open(path)?;
        // Where it cannot be locked, `is_held` cannot tell either.
        let _ = file.try_lock();
        Ok(DirectFile::writing(Arc::new(file)))
    }

    fn is_held(&self, path: &Path) -> io::Result<bool> {
        match OpenOptions::new().write(true).open(path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn write_all(&self, file: &DirectFile, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, 0)
    }

    fn sync(&self, file: &DirectFile) -> io::Result<()> {
        file.sync()
    }

    fn rename_new(&self, held: DirectFile, from: &Path, to: &Path) -> io::Result<()> {
        // A lock of Windows would keep readers out of the object as long as the file is open.
        #[cfg(windows)]
        drop(held);
        #[cfg(not(windows))]
        let _held = held;
        rename_new(from, to)?;
        settle_name(to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    #[cfg(not(windows))]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match File::open(path)?.sync_all() {
            // Some network file systems know no sync of folders: their server decides alone.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }

    /// Names are journalled by NTFS and ReFS, and `settle_name` has flushed the journal by
    /// flushing the file under its new name; folders have no flush of their own.
    #[cfg(windows)]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<(Kind, Stat)> {
        let meta = fs::metadata(path)?;
        Ok((kind(meta.file_type()), stat(&meta)))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = kind(entry.file_type()?);
            let stat = match entry.metadata() {
                Ok(meta) => stat(&meta),
                // Removed while we were listing.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            items.push(Item { name, kind, stat });
        }
        Ok(items)
    }

    fn read_exact_at(&self, path: &Path, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        hostfile::read_exact_at(&File::open(path)?, buf, offset)
    }
}

#[cfg(windows)]
fn settle_name(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

#[cfg(not(windows))]
#[allow(clippy::unnecessary_wraps)]
fn settle_name(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_by_the_one_who_makes_it_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = OsFs.create_new(&path).unwrap();
        assert!(OsFs.is_held(&path).unwrap());
        drop(file);
        assert!(!OsFs.is_held(&path).unwrap());
    }
}
