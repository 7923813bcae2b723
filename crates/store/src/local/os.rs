//! The operating system's file system.

use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::fs::{Fs, Item, Kind};
use crate::Stat;

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
    type File = File;

    fn create_new(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // Where it cannot be locked, `is_held` cannot tell either.
        let _ = file.try_lock();
        Ok(file)
    }

    fn is_held(&self, path: &Path) -> io::Result<bool> {
        match OpenOptions::new().write(true).open(path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename_new(&self, held: File, from: &Path, to: &Path) -> io::Result<()> {
        // A lock of Windows would keep readers out of the object as long as the file is open.
        #[cfg(windows)]
        drop(held);
        #[cfg(not(windows))]
        let _held = held;
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                // The file system (NFS, some FUSE) or the kernel does not know the flag.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                done => return done.map_err(Into::into),
            }
        }
        link_new(from, to)?;
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

    #[cfg(unix)]
    fn read_exact_at(&self, path: &Path, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        File::open(path)?.read_exact_at(buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, path: &Path, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        let file = File::open(path)?;
        while !buf.is_empty() {
            match file.seek_read(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// A rename that replaces nothing, for systems without one: a hard link is refused where the
/// name exists. Without hard links (FAT, exFAT) only looking first remains; objects are named by
/// their contents or by random numbers, so a lost race replaces an object by itself.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        Err(_) if to.try_exists()? => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
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

    #[test]
    fn the_fallback_rename_replaces_nothing_either() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, b"a").unwrap();
        fs::write(&b, b"b").unwrap();
        let anew = |a: &Path, b: &Path| {
            let held = OpenOptions::new().write(true).open(a)?;
            OsFs.rename_new(held, a, b)
        };
        for rename in [link_new, anew] {
            let refused = rename(&a, &b).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&b).unwrap(), b"b");
        }
        fs::remove_file(&b).unwrap();
        link_new(&a, &b).unwrap();
        assert!(!a.exists());
        assert_eq!(fs::read(&b).unwrap(), b"a");
    }
}
