//! A folder as an object store that keeps its word through a loss of power.
//!
//! A put writes a temporary file, syncs it, renames it to its name without replacing anything,
//! and syncs the folder (and, the first time, every folder above it that may be new). So a name
//! exists only with all of its bytes, and when the put returns, name and bytes are on the medium.
//!
//! Temporary files live in `.tmp` in the same file system, are never listed, and belong to their
//! writer alone because they are created exclusively, and locked while they are written. What dead
//! writers left there is removed: nobody holds it, and it is an hour old by the file system's own
//! clock, or a day where there are no locks. Should its writer live after all, the rename fails and
//! the put with it, and nothing wrong becomes visible.

mod fs;
mod os;

#[cfg(test)]
mod crash_tests;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::{Entry, Stat, Store, name};
use fs::{Fs, Kind};
use os::OsFs;

const TMP: &str = ".tmp";
/// Locks may be unknown to other hosts that share the folder: hence an age beside them.
const UNHELD_AGE: Duration = Duration::from_secs(3600);
/// Where there are no locks.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// A folder on a local disk or share.
pub struct LocalStore(Folder<OsFs>);

impl LocalStore {
    /// Opens an existing folder. Nothing is written before the first put.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the folder is not there, for example because its disk is not
    /// mounted.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Folder::open(OsFs, root.into()).map(Self)
    }

    /// Makes the folder (and those above it) if needed, and opens it.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self> {
        Folder::create(OsFs, root.into()).map(Self)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }
}

impl Store for LocalStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.put(name, bytes)
    }
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.0.put_new(name, bytes)
    }
    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        self.0.get(name, limit)
    }
    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.0.get_range(name, offset, buf)
    }
    fn stat(&self, name: &str) -> Result<Stat> {
        self.0.stat(name)
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
        self.0.list(prefix, each)
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.0.delete(name)
    }
}

/// [`LocalStore`] over any file system, so that crash tests can bring their own.
struct Folder<F> {
    fs: F,
    root: PathBuf,
    /// Folders whose own entry is known to be durable.
    settled: Mutex<HashSet<PathBuf>>,
    next_tmp: AtomicU64,
    cleaned: Mutex<bool>,
}

impl<F: Fs> Folder<F> {
    fn open(fs: F, root: PathBuf) -> Result<Self> {
        let folder = Self {
            fs,
            root,
            settled: Mutex::default(),
            next_tmp: AtomicU64::new(0),
            cleaned: Mutex::new(false),
        };
        folder.check_root()?;
        Ok(folder)
    }

    fn create(fs: F, root: PathBuf) -> Result<Self> {
        let shown = root.display().to_string();
        let above: Vec<_> = root.ancestors().collect();
        for dir in above.into_iter().rev().filter(|p| p.parent().is_some()) {
            make_dir(&fs, dir, false).map_err(|e| Error::io(&shown, "make the folder", e))?;
        }
        Self::open(fs, root)
    }

    /// An unmounted disk must not look like an empty vault.
    fn check_root(&self) -> Result<()> {
        let shown = || self.root.display().to_string();
        match self.fs.stat(&self.root) {
            Ok((Kind::Folder, _)) => Ok(()),
            Ok(_) => Err(Error::io(
                &shown(),
                "open the folder",
                io::ErrorKind::NotADirectory.into(),
            )),
            Err(e) => Err(Error::io(&shown(), "open the folder", e)),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        name::check(name)?;
        Ok(name.split('/').fold(self.root.clone(), |p, s| p.join(s)))
    }

    /// Makes `dir`, which lies below the root, and everything between. Each folder's parent is
    /// synced even if another writer made the folder: it may have died before syncing.
    fn settle(&self, dir: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        for above in dir.ancestors().take_while(|p| *p != self.root) {
            if self.lock_settled().contains(above) {
                break;
            }
            missing.push(above.to_owned());
        }
        for dir in missing.into_iter().rev() {
            make_dir(&self.fs, &dir, true)?;
            self.lock_settled().insert(dir);
        }
        Ok(())
    }

    fn lock_settled(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.settled.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn write_temp(&self, bytes: &[u8]) -> io::Result<(F::File, PathBuf)> {
        let dir = self.root.join(TMP);
        match self.fs.create_dir(&dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => self.clean(&dir)?,
        }
        loop {
            let n = self.next_tmp.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{}-{n}", std::process::id()));
            let file = match self.fs.create_new(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let written = self
                .fs
                .write_all(&file, bytes)
                .and_then(|()| self.fs.sync(&file));
            if let Err(e) = written {
                drop(file);
                // The first error is the one to tell; the leftover is cleaned later.
                let _ = self.fs.remove_file(&path);
                return Err(e);
            }
            return Ok((file, path));
        }
    }

    /// Removes what dead writers left, once in the life of this store.
    fn clean(&self, dir: &Path) -> io::Result<()> {
        let mut cleaned = self.cleaned.lock().unwrap_or_else(|e| e.into_inner());
        if std::mem::replace(&mut *cleaned, true) {
            return Ok(());
        }
        let left = self.fs.read_dir(dir)?;
        if left.is_empty() {
            return Ok(());
        }
        // Ages are differences of the file system's own times: the host's clock may be wrong.
        let n = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        let probe = dir.join(format!("{}-{n}", std::process::id()));
        match self.fs.create_new(&probe) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            file => drop(file?),
        }
        let (_, now) = self.fs.stat(&probe)?;
        self.fs.remove_file(&probe)?;
        for item in left {
            // A time later than now is no age.
            let age = now.modified.duration_since(item.stat.modified);
            let age = age.unwrap_or_default();
            if item.kind != Kind::File || age <= UNHELD_AGE {
                continue;
            }
            let path = dir.join(&item.name);
            let dead = match self.fs.is_held(&path) {
                Ok(held) => !held,
                Err(_) => age > LEFTOVER_AGE,
            };
            if dead {
                // Another cleaner may have been faster.
                let _ = self.fs.remove_file(&path);
            }
        }
        Ok(())
    }

    fn insert(&self, name: &str, bytes: &[u8], same_is_fine: bool) -> Result<()> {
        let path = self.path(name)?;
        let parent = path.parent().unwrap_or(&self.root);
        let failed = |e| Error::io(name, "store", e);
        let taken = || Error::AlreadyExists { name: name.into() };

        if self.fs.stat(&path).is_ok() {
            if !same_is_fine || !self.holds(&path, bytes).map_err(failed)? {
                return Err(taken());
            }
            self.settle(parent).map_err(failed)?;
            return self.fs.sync_dir(parent).map_err(failed);
        }
        self.check_root()?;
        self.settle(parent).map_err(failed)?;
        let (held, temp) = self.write_temp(bytes).map_err(failed)?;
        match self.fs.rename_new(held, &temp, &path) {
            Ok(()) => {}
            Err(e) => {
                let _ = self.fs.remove_file(&temp);
                if e.kind() != io::ErrorKind::AlreadyExists {
                    return Err(failed(e));
                }
                if !same_is_fine || !self.holds(&path, bytes).map_err(failed)? {
                    return Err(taken());
                }
            }
        }
        self.fs.sync_dir(parent).map_err(|source| Error::Ambiguous {
            name: name.into(),
            doing: "storing",
            source,
        })
    }

    fn holds(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        let (kind, stat) = self.fs.stat(path)?;
        if kind != Kind::File || stat.len != bytes.len() as u64 {
            return Ok(false);
        }
        let mut buf = vec![0; bytes.len().min(1 << 20)];
        let mut offset = 0;
        for piece in bytes.chunks(1 << 20) {
            let buf = &mut buf[..piece.len()];
            self.fs.read_exact_at(path, offset, buf)?;
            if buf != piece {
                return Ok(false);
            }
            offset += piece.len() as u64;
        }
        Ok(true)
    }

    /// Tells the objects below `dir`, whose names begin with `base` and are to begin with
    /// `prefix`.
    fn walk(
        &self,
        dir: &Path,
        base: &str,
        prefix: &str,
        each: &mut dyn FnMut(Entry),
    ) -> Result<()> {
        let items = match self.fs.read_dir(dir) {
            Ok(items) => items,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.check_root(),
            Err(e) => return Err(Error::io(&format!("{base}*"), "list", e)),
        };
        // Folders sort as if their slash belonged to the name, which makes full names ascend.
        let mut items: Vec<_> = items
            .into_iter()
            .filter(|item| name::is_segment(&item.name))
            .map(|item| match item.kind {
                Kind::Folder => (format!("{base}{}/", item.name), item),
                _ => (format!("{base}{}", item.name), item),
            })
            .filter(|(full, _)| full.starts_with(prefix) || prefix.starts_with(full))
            .collect();
        items.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (full, item) in items {
            match item.kind {
                Kind::Folder if full.len() < name::MAX_LEN => {
                    self.walk(&dir.join(&item.name), &full, prefix, each)?;
                }
                Kind::File if full.starts_with(prefix) => each(Entry {
                    name: full,
                    stat: item.stat,
                }),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes one folder; with `settle`, its entry is durable afterwards even if it was there.
fn make_dir<F: Fs>(fs: &F, dir: &Path, settle: bool) -> io::Result<()> {
    let new = match fs.create_dir(dir) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        // Folders above the store may forbid writing and yet be there.
        Err(e) if !settle && fs.stat(dir).is_ok() => {
            drop(e);
            false
        }
        Err(e) => return Err(e),
    };
    match dir.parent() {
        Some(parent) if new || settle => fs.sync_dir(parent),
        _ => Ok(()),
    }
}

impl<F: Fs> Store for Folder<F> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.insert(name, bytes, true)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.insert(name, bytes, false)
    }

    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let len = self.stat(name)?.len;
        let too_large = || Error::TooLarge {
            name: name.into(),
            len,
            limit,
        };
        if len > limit {
            return Err(too_large());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| too_large())?];
        self.get_range(name, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        let path = self.path(name)?;
        let end = offset.saturating_add(buf.len() as u64);
        // No file reaches beyond i64; what a system says to such an offset differs.
        let read = if i64::try_from(end).is_ok() {
            self.fs.read_exact_at(&path, offset, buf)
        } else {
            self.stat(name)?;
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        match read {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Error::TooShort {
                name: name.into(),
                end,
            }),
            other => other.map_err(|e| Error::io(name, "read", e)),
        }
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        match self.fs.stat(&self.path(name)?) {
            Ok((Kind::File, stat)) => Ok(stat),
            Ok(_) => Err(Error::NotFound { name: name.into() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.check_root()?;
                Err(Error::NotFound { name: name.into() })
            }
            Err(e) => Err(Error::io(name, "look at", e)),
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
        name::check_prefix(prefix)?;
        let base = prefix.rfind('/').map_or("", |i| &prefix[..=i]);
        let dir = base
            .split('/')
            .filter(|s| !s.is_empty())
            .fold(self.root.clone(), |p, s| p.join(s));
        self.walk(&dir, base, prefix, each)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match self.fs.remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.check_root(),
            Err(e) => return Err(Error::io(name, "remove", e)),
        }
        let parent = path.parent().unwrap_or(&self.root);
        self.fs.sync_dir(parent).map_err(|source| Error::Ambiguous {
            name: name.into(),
            doing: "removing",
            source,
        })
    }
}
