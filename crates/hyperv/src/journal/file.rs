//! The files of journals.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{Entry, Intent, Outcome};
use super::read::{MOST_LINE, Reading, line, read};

/// Ending of journals' names.
const ENDING: &str = "journal";
/// How often a journal is made.
const MOST_TRIES: u32 = 8;
/// Bytes of a journal that are read: more than a run of thousands of VMs writes.
const MOST_BYTES: u64 = 256 << 20;

/// A journal that cannot be written or read. While it cannot be written, no host is changed.
#[derive(Debug, thiserror::Error)]
#[error("the journal {path}: {problem}; nothing on a host is changed without it")]
pub struct JournalError {
    /// The file or folder.
    pub path: String,
    /// What failed.
    pub problem: String,
}

fn failed(path: &Path, problem: impl ToString) -> JournalError {
    JournalError {
        path: path.display().to_string(),
        problem: problem.to_string(),
    }
}

/// The journal of this run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// None when its run has ended. It is closed to give its lock up, not unlocked: Wine calls that
    /// an error.
    file: Option<File>,
    next: u64,
    /// A write failed and may have left half a line.
    torn: bool,
}

impl Inner {
    fn file(&mut self) -> io::Result<&mut File> {
        let ended = || io::Error::other("its run has ended");
        self.file.as_mut().ok_or_else(ended)
    }
}

impl Journal {
    /// Begins the journal of a run in a folder, which is made if need be.
    ///
    /// # Errors
    /// When the file cannot be made, locked and made durable.
    pub fn create(folder: &Path, run: Uuid) -> Result<Self, JournalError> {
        let new = !folder.try_exists().map_err(|error| failed(folder, error))?;
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let path = folder.join(format!("{run}.{ENDING}"));
        let fail = |error: io::Error| failed(&path, error);
        let file = make(&path).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        sync_folder(folder).map_err(|error| failed(folder, error))?;
        let above = folder
            .parent()
            .filter(|above| !above.as_os_str().is_empty());
        if let (true, Some(above)) = (new, above) {
            sync_folder(above).map_err(|error| failed(above, error))?;
        }
        Ok(Self {
            path,
            inner: Mutex::new(Inner {
                file: Some(file),
                next: 1,
                torn: false,
            }),
        })
    }

    /// Writes down which host it is about, by what that calls itself: a run that reaches the host
    /// otherwise, or writes to another vault, knows by it that the journal is of this host.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn host(&self, name: &str) -> Result<(), JournalError> {
        let name = name.to_owned();
        self.add(&Entry::Host { name })
    }

    /// Writes down what will be done, durably, and gives the number to end it by.
    ///
    /// # Errors
    /// Then it must not be done.
    pub fn begin(&self, intent: Intent) -> Result<u64, JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inner.next;
        inner.next = number.saturating_add(1);
        self.append(&mut inner, &Entry::Begin { number, intent })?;
        Ok(number)
    }

    /// Writes down which job goes on with it.
    ///
    /// # Errors
    /// When that cannot be written; it is done all the same.
    pub fn job(&self, number: u64, path: &str) -> Result<(), JournalError> {
        let path = path.to_owned();
        self.add(&Entry::Job { number, path })
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// When that cannot be written: then it stays open, and the next run looks at the host.
    pub fn end(&self, number: u64, outcome: Outcome) -> Result<(), JournalError> {
        self.add(&Entry::End { number, outcome })
    }

    /// Writes down that a reference point is remembered elsewhere.
    ///
    /// # Errors
    /// When that cannot be written: then the next run asks again.
    pub fn release(&self, vm: Uuid, reference_point: &str) -> Result<(), JournalError> {
        let reference_point = reference_point.to_owned();
        self.add(&Entry::Release {
            vm,
            reference_point,
        })
    }

    fn add(&self, entry: &Entry) -> Result<(), JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(&mut inner, entry)
    }

    fn append(&self, inner: &mut Inner, entry: &Entry) -> Result<(), JournalError> {
        let mut bytes = line(entry).map_err(|error| failed(&self.path, error))?;
        if bytes.len() > MOST_LINE {
            return Err(failed(&self.path, "the entry is too long"));
        }
        let torn = inner.torn;
        let file = inner.file().map_err(|error| failed(&self.path, error))?;
        if torn {
            bytes.insert(0, b'\n');
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        inner.torn = written.is_err();
        written.map_err(|error| failed(&self.path, error))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it tells so far.
    ///
    /// # Errors
    /// When it cannot be read, or its run has ended.
    pub fn reading(&self) -> Result<Reading, JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = inner.file().and_then(read_all);
        reading.map_err(|error| failed(&self.path, error))
    }

    /// Ends the run: a journal in which nothing is open is removed, any other is left to the next
    /// run. After this nothing can be written to it.
    ///
    /// # Errors
    /// When it cannot be read or removed, or has been closed.
    pub fn close(&self) -> Result<Reading, JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = inner.file().and_then(read_all);
        let reading = reading.map_err(|error| failed(&self.path, error));
        if reading.as_ref().is_ok_and(Reading::is_settled) {
            remove(&self.path)?;
        }
        // What is left is the next run's, which may be in this process.
        inner.file = None;
        reading
    }
}

/// Makes a file and locks it. Between the two another run may take it for that of a run that is
/// gone, find nothing in it and remove it: then it is made anew.
fn make(path: &Path) -> io::Result<File> {
    for _ in 0..MOST_TRIES {
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create_new(true);
        let file = options.open(path)?;
        file.lock()?;
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
    Err(io::Error::other("it is removed each time that it is made"))
}

/// Whether a file is the one at a path, and not one that was removed, or replaced.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Names of runs are never used again, so one that is there is this one's.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Whether a run is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It holds its journal.
    Alive,
    /// Its journal is there, and nobody holds it.
    Dead,
    /// There is no journal of it: it ended well, or elsewhere, or the journal was lost.
    Unknown,
}

/// Whether a run is alive, by the journals in a folder.
///
/// # Errors
/// When the folder or the journal cannot be looked at.
pub fn run_state(folder: &Path, run: Uuid) -> Result<RunState, JournalError> {
    let path = folder.join(format!("{run}.{ENDING}"));
    let file = match OpenOptions::new().read(true).append(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RunState::Unknown),
        Err(error) => return Err(failed(&path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(RunState::Dead),
        Err(TryLockError::WouldBlock) => Ok(RunState::Alive),
        Err(TryLockError::Error(error)) => Err(failed(&path, error)),
    }
}

/// The journals in a folder whose runs are gone, taken over: what is settled is written to them,
/// and nobody else takes them. Those of runs that are alive are passed over.
///
/// # Errors
/// When the folder or a journal cannot be read. A folder that is not there has none.
pub fn dead(folder: &Path) -> Result<Vec<Journal>, JournalError> {
    let take = |path: &PathBuf| take(path, &|_| true).transpose();
    journals(folder)?.iter().filter_map(take).collect()
}

/// The same of those that tell what is wanted. All others are not even held for a moment, so that
/// whoever they belong to finds them free; one that cannot be read keeps nobody from the rest.
///
/// # Errors
/// When the folder cannot be read. A folder that is not there has none.
pub fn dead_that(
    folder: &Path,
    wanted: &dyn Fn(&Reading) -> bool,
) -> Result<Vec<Result<Journal, JournalError>>, JournalError> {
    let take = |path: &PathBuf| take(path, wanted).transpose();
    Ok(journals(folder)?.iter().filter_map(take).collect())
}

/// The journals in a folder, whosever they are.
fn journals(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Takes a journal over; `None` if its run is alive, it is gone, or nobody wants what it tells.
fn take(path: &Path, wanted: &dyn Fn(&Reading) -> bool) -> Result<Option<Journal>, JournalError> {
    let fail = |error: io::Error| failed(path, error);
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        // Another run has seen to it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    // Windows lets nobody read what another process has locked: the lock itself tells then.
    if read_all(&mut file).is_ok_and(|reading| !wanted(&reading)) {
        return Ok(None);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    // Whoever held the lock before may have removed the file.
    if !is_at(&file, path).map_err(fail)? {
        return Ok(None);
    }
    let reading = read_all(&mut file).map_err(fail)?;
    if !wanted(&reading) {
        return Ok(None);
    }
    let inner = Inner {
        next: reading.last.saturating_add(1),
        // Its last line may be torn.
        torn: reading.damaged > 0,
        file: Some(file),
    };
    Ok(Some(Journal {
        inner: Mutex::new(inner),
        path: path.to_owned(),
    }))
}

fn read_all(file: &mut File) -> io::Result<Reading> {
    let mut bytes = Vec::new();
    if file.metadata()?.len() > MOST_BYTES {
        return Err(io::Error::other("it is longer than any journal of ours"));
    }
    file.seek(SeekFrom::Start(0))?;
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(read(&bytes))
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, error)),
    }
    // If this does not last, the file is back after a power cut, and says nothing new.
    let _ = path.parent().map(sync_folder);
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Windows keeps names with the file's own flush.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What another run does between a file's being made and its being locked is done here before.
    /// Older versions of Windows keep the name of a file that is open.
    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_or_replaced_is_not_the_one_at_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.journal");
        let file = make(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        let other = make(&path).unwrap();
        assert!(is_at(&other, &path).unwrap() && !is_at(&file, &path).unwrap());
    }

    /// Runs that begin while others look for journals of runs that are gone keep their own.
    #[test]
    fn a_journal_that_was_made_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let ended = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(ended) {
                        for gone in dead(dir.path()).unwrap() {
                            gone.close().unwrap();
                        }
                    }
                });
            }
            for run in 0..50 {
                let made = Journal::create(dir.path(), Uuid::from_u128(run)).unwrap();
                let there = made.path().try_exists().unwrap();
                if !there {
                    stop.store(true, ended);
                }
                assert!(there, "{run}");
                made.close().unwrap();
            }
            stop.store(true, ended);
        });
    }
}
