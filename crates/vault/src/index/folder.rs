//! The cache folder of a vault on the local disk: tables, what is being written, and marks.
//!
//! | file | what |
//! |---|---|
//! | `<name>.table` | a table of the index |
//! | `tmp-<random>` | a table that is being written; its writer holds a lock on it |
//! | `damaged-<hash>` | empty: the pack with this hash was found damaged |
//!
//! Everything in it may vanish or be damaged at any time, and several processes may use it. A file
//! for each damaged pack lets them mark and clear packs at once and undo nothing of each other's.
//! Once something could not be written to it, this process writes nothing more there.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use vault_format::{Entropy, ObjectHash};

const TEMP: &str = "tmp-";
const MARK: &str = "damaged-";

pub(super) struct Folder {
    path: PathBuf,
    given_up: AtomicBool,
}

impl Folder {
    /// Makes the folder if needed, and removes what killed writers left in it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        for item in fs::read_dir(&path)? {
            let item = item?;
            if item.file_name().to_string_lossy().starts_with(TEMP) {
                remove_if_abandoned(&item.path());
            }
        }
        Ok(Self {
            path,
            given_up: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing more is written to the folder.
    pub(super) fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Writes nothing more. `true` for the first one who says so.
    pub(super) fn give_up(&self) -> bool {
        !self.given_up.swap(true, Ordering::Relaxed)
    }

    /// Where the table with this name lies.
    pub(super) fn table(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.table"))
    }

    /// All tables.
    pub(super) fn tables(&self) -> io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(&self.path)?.map(|item| Ok(item?.path()));
        let table = |path: &io::Result<PathBuf>| {
            let extension = path.as_ref().map(|path| path.extension());
            extension.is_ok_and(|e| e.is_some_and(|e| e == "table")) || path.is_err()
        };
        paths.filter(table).collect()
    }

    /// A new file under a temporary name, locked so that nobody takes it for abandoned.
    pub(super) fn temp(&self, rng: &mut dyn Entropy) -> io::Result<Temp> {
        // Only a folder in which every name is taken lets all attempts fail.
        for _ in 0..16 {
            let number = u64::from_le_bytes(vault_format::random(rng));
            let path = self.path.join(format!("{TEMP}{number:016x}"));
            let mut options = File::options();
            let file = match options.read(true).write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let temp = Temp { path, file };
            // Where nothing can be locked, nothing is ever taken for abandoned.
            let locked = !matches!(temp.file.try_lock(), Err(TryLockError::WouldBlock));
            // Whoever looks for abandoned files may have been faster than the lock.
            if locked && temp.path.try_exists()? {
                return Ok(temp);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The packs that are marked as damaged.
    pub(super) fn damaged_packs(&self) -> io::Result<BTreeSet<ObjectHash>> {
        let marked = |name: std::ffi::OsString| name.to_str()?.strip_prefix(MARK)?.parse().ok();
        let names = fs::read_dir(&self.path)?.map(|item| Ok(item?.file_name()));
        names
            .filter_map(|name: io::Result<_>| name.map(marked).transpose())
            .collect()
    }

    /// Marks a pack as damaged, durably.
    pub(super) fn mark_damaged(&self, pack: &ObjectHash) -> io::Result<()> {
        File::create(self.mark(pack))?.sync_all()?;
        // The file is empty: all of it is its name. Windows keeps that with the file.
        #[cfg(unix)]
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }

    /// Takes the mark away, if there is one.
    pub(super) fn clear_damaged(&self, pack: &ObjectHash) -> io::Result<()> {
        match fs::remove_file(self.mark(pack)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn mark(&self, pack: &ObjectHash) -> PathBuf {
        self.path.join(format!("{MARK}{pack}"))
    }
}

/// A file under a temporary name; removed when it is dropped without having been renamed.
pub(super) struct Temp {
    path: PathBuf,
    file: File,
}

impl Temp {
    /// The file, to be written to.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the file its name.
    pub(super) fn rename(self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        // Clones of the file may live on, and on Windows nobody could read it then.
        let _ = self.file.unlock();
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Nothing is there any more after `rename`. The name is random: no other file has it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the file if nobody holds its lock. What cannot be locked at all stays.
fn remove_if_abandoned(path: &Path) {
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return;
    };
    if file.try_lock().is_ok() {
        // Removed under the lock: a writer that has just made the file sees that it is gone.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut(&mut [u8]) {
        let mut n = 0;
        move |out: &mut [u8]| {
            n += 1;
            out.fill(n);
        }
    }

    fn files(folder: &Folder) -> Vec<String> {
        let items = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = items
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_what_a_live_one_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("a/b")).unwrap();
        let live = folder.temp(&mut counter()).unwrap();
        fs::write(folder.path().join("tmp-dead"), b"left").unwrap();
        fs::write(folder.path().join("other"), b"not ours").unwrap();
        let other = Folder::open(folder.path().to_owned()).unwrap();
        assert_eq!(files(&other), ["other", "tmp-0101010101010101"]);
        live.rename(&folder.table("x")).unwrap();
        assert_eq!(files(&other), ["other", "x.table"]);
        // A name that is taken is passed over; a file that is not finished goes with its writer.
        fs::write(folder.path().join("tmp-0101010101010101"), b"").unwrap();
        drop(folder.temp(&mut counter()).unwrap());
        assert_eq!(files(&folder), ["other", "tmp-0101010101010101", "x.table"]);
    }

    #[test]
    fn marks_of_damaged_packs_are_kept_and_cleared_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| Folder::open(dir.path().to_owned()).unwrap());
        assert!(one.damaged_packs().unwrap().is_empty());
        let packs = [1, 2, 3].map(|n| ObjectHash([n; 32]));
        one.mark_damaged(&packs[0]).unwrap();
        other.mark_damaged(&packs[1]).unwrap();
        one.mark_damaged(&packs[1]).unwrap();
        fs::write(dir.path().join("damaged-packs"), b"no hash").unwrap();
        for folder in [&one, &other] {
            assert_eq!(
                folder.damaged_packs().unwrap(),
                BTreeSet::from([packs[0], packs[1]])
            );
        }
        packs
            .iter()
            .for_each(|pack| one.clear_damaged(pack).unwrap());
        assert!(other.damaged_packs().unwrap().is_empty());
        assert_eq!(files(&one), ["damaged-packs"]);
    }
}
