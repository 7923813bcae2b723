//! The cache folder of a vault on the local disk: tables, what is being written, and a note.
//!
//! | file | what |
//! |---|---|
//! | `<name>.table` | a table of the index |
//! | `tmp-<random>` | a table that is being written; its writer holds a lock on it |
//! | `damaged-packs` | names of packs that were found damaged, one in each line |
//!
//! Everything in it may vanish or be damaged at any time, and several processes may use it. Once
//! something could not be written to it, this process writes nothing more there.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use vault_format::{Entropy, ObjectHash, ObjectName};

const TEMP: &str = "tmp-";
const NOTE: &str = "damaged-packs";
/// A line of the note has 75 bytes: this is room for more packs than anyone repairs by hand.
const MAX_NOTE: u64 = 16 << 20;

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

    /// The packs that were found damaged. Lines that name no pack are passed over.
    pub(super) fn damaged_packs(&self) -> io::Result<BTreeSet<ObjectHash>> {
        let file = match File::open(self.path.join(NOTE)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_NOTE).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let names = text.lines().filter_map(|line| match line.trim().parse() {
            Ok(ObjectName::Pack(hash)) => Some(hash),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Notes which packs are damaged, all of them.
    pub(super) fn note_damaged(
        &self,
        packs: &BTreeSet<ObjectHash>,
        rng: &mut dyn Entropy,
    ) -> io::Result<()> {
        let path = self.path.join(NOTE);
        if packs.is_empty() {
            return match fs::remove_file(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
        }
        let lines = packs
            .iter()
            .map(|hash| format!("{}\n", ObjectName::Pack(*hash)));
        let temp = self.temp(rng)?;
        io::Write::write_all(&mut &temp.file, lines.collect::<String>().as_bytes())?;
        temp.rename(&path)
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
    fn the_note_of_damaged_packs_is_kept_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().to_owned()).unwrap();
        assert!(folder.damaged_packs().unwrap().is_empty());
        let packs = BTreeSet::from([ObjectHash([1; 32]), ObjectHash([2; 32])]);
        folder.note_damaged(&packs, &mut counter()).unwrap();
        assert_eq!(folder.damaged_packs().unwrap(), packs);
        let note = dir.path().join(NOTE);
        let mut bytes = fs::read(&note).unwrap();
        bytes.extend_from_slice(b"\xff nonsense\npacks/00/11\n");
        fs::write(&note, bytes).unwrap();
        assert_eq!(folder.damaged_packs().unwrap(), packs);
        folder
            .note_damaged(&BTreeSet::new(), &mut counter())
            .unwrap();
        assert!(files(&folder).is_empty());
    }
}
