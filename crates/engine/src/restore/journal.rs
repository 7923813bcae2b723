//! What of a restore of disks is durable, so that the next one goes on where it was stopped.
//!
//! It lies in the folder that is restored into, beside the unfinished files, and is named after what
//! is restored: the same restore finds it, and no other one does. It is gone when the restore has
//! ended with nothing left to go on with, and not before the unfinished files that it tells of. Only
//! one process has it at a time.
//!
//! - What it says of a file became durable before it was said: of units when the file was synced,
//!   of a name before the file gets it.
//! - A file that is begun anew is told to have nothing before it is made: what was noted of one that is
//!   gone never counts for another one.
//! - Lines stand for themselves: each has a checksum, and what follows a torn one counts for nothing.
//! - A file is known again by its length and the time it was last written to; whoever changed it
//!   meanwhile keeps it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::restore::existing::Became;
use crate::restore::target::{TEMP_PREFIX, TEMP_SUFFIX, TargetError, sync_folder};

/// How the name of a journal ends; it begins as that of an unfinished file.
pub const JOURNAL_SUFFIX: &str = ".journal";
/// A longer one is not read; it would tell of far more than the largest disks.
const MOST: u64 = 256 << 20;
/// Raised when writers put things elsewhere than before: what an older program began is begun again.
const LAYOUT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Line {
    /// So many units of a file are durable.
    Units {
        file: usize,
        #[serde(flatten)]
        begun: Begun,
    },
    /// A file is whole, and is about to get its name.
    Whole {
        file: usize,
        #[serde(flatten)]
        whole: Whole,
    },
}

/// How far a file is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Units that are durable.
    pub(crate) units: u64,
    /// The file's length then.
    pub(crate) len: u64,
    /// What it says its parent's name is.
    pub(crate) parent: Option<String>,
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whole {
    name: String,
    data: u64,
    became: Became,
    len: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Whole {
    /// What a file is whose name is still another one. It is said to have been changed now: systems may
    /// put off telling of writes, and tell of them later.
    pub(crate) fn of(file: &File, name: &str, data: u64, became: Became) -> io::Result<Self> {
        file.set_modified(SystemTime::now())?;
        let (len, modified) = stamp(&file.metadata()?)?;
        Ok(Self {
            name: name.to_owned(),
            data,
            became,
            len,
            modified,
        })
    }

    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    pub(crate) fn data(&self) -> u64 {
        self.data
    }

    pub(crate) fn became(&self) -> Became {
        self.became
    }

    /// Whether it is there, as it was.
    fn is_there(&self, folder: &Path) -> bool {
        let found = self.path(folder).symlink_metadata();
        let stamp = found.and_then(|found| match found.is_file() {
            true => stamp(&found),
            false => Err(io::ErrorKind::NotFound.into()),
        });
        stamp.is_ok_and(|stamp| stamp == (self.len, self.modified))
    }
}

fn stamp(of: &fs::Metadata) -> io::Result<(u64, u64)> {
    let since = of.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.map_err(io::Error::other)?.as_nanos();
    Ok((of.len(), u64::try_from(since).map_err(io::Error::other)?))
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    stem: String,
    file: File,
    begun: HashMap<usize, Begun>,
    whole: HashMap<usize, Whole>,
    /// It is to stay.
    left: bool,
    /// It says something.
    noted: bool,
}

impl Journal {
    /// Opens or makes the journal of the restore that `what` tells all about. There is none where files
    /// cannot be locked: two runs of one restore would have the same unfinished files.
    pub(crate) fn open(folder: &Path, what: &str) -> Result<Option<Self>, TargetError> {
        let stem = stem(what);
        let path = folder.join(format!("{TEMP_PREFIX}{stem}{JOURNAL_SUFFIX}"));
        let fail = |what| {
            let path = path.clone();
            move |error| TargetError::io(&path, what, error)
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail("opening the restore's journal"))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => {}
            // Whoever had it has removed it meanwhile.
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(TargetError::Busy(path)),
            Err(TryLockError::Error(_)) => {
                let removed = fs::remove_file(&path);
                removed.map_err(fail("removing a journal that cannot be locked"))?;
                return Ok(None);
            }
        }
        let mut bytes = Vec::new();
        let read = (&file).take(MOST).read_to_end(&mut bytes);
        read.map_err(fail("reading the restore's journal"))?;
        let mut journal = Self {
            folder: folder.to_path_buf(),
            stem,
            file,
            begun: HashMap::new(),
            whole: HashMap::new(),
            left: false,
            noted: false,
        };
        let good = journal.take_in(&bytes);
        journal.noted = good > 0;
        if good < bytes.len() {
            // New lines must not follow a torn one.
            let cut = journal.file.set_len(good as u64);
            let cut = cut.and_then(|()| journal.file.seek(SeekFrom::End(0)));
            cut.map_err(fail("mending the restore's journal"))?;
        }
        let durable = journal.file.sync_all();
        durable.map_err(fail("making the restore's journal durable"))?;
        sync_folder(folder).map_err(fail("making its name durable"))?;
        Ok(Some(journal))
    }

    /// Reads the journal of a restore, if there is one, and changes nothing.
    pub(crate) fn look(folder: &Path, what: &str) -> Result<Option<Self>, TargetError> {
        let stem = stem(what);
        let path = folder.join(format!("{TEMP_PREFIX}{stem}{JOURNAL_SUFFIX}"));
        let fail = |error| TargetError::io(&path, "reading the restore's journal", error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if is_nowhere(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut bytes = Vec::new();
        let read = (&file).take(MOST).read_to_end(&mut bytes);
        read.map_err(fail)?;
        let mut journal = Self {
            folder: folder.to_path_buf(),
            stem,
            file,
            begun: HashMap::new(),
            whole: HashMap::new(),
            left: true,
            noted: true,
        };
        journal.take_in(&bytes);
        Ok(Some(journal))
    }

    /// Understands lines up to the first torn one, and tells where that begins.
    fn take_in(&mut self, bytes: &[u8]) -> usize {
        let mut good = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line_) = understood(line) else { break };
            match line_ {
                Line::Units { file, begun } => drop(self.begun.insert(file, begun)),
                Line::Whole { file, whole } => drop(self.whole.insert(file, whole)),
            }
            good += line.len();
        }
        good
    }

    /// The unfinished file of the file with this number in the plan.
    pub(crate) fn temp(&self, file: usize) -> PathBuf {
        let name = format!("{TEMP_PREFIX}{}-{file}{TEMP_SUFFIX}", self.stem);
        self.folder.join(name)
    }

    /// How far this file is, if it is there and as long as it was.
    fn begun(&self, file: usize, parent: Option<&str>) -> u64 {
        let Some(begun) = self.begun.get(&file) else {
            return 0;
        };
        let found = self.temp(file).symlink_metadata();
        let there = found.is_ok_and(|found| found.is_file() && found.len() >= begun.len);
        match there && begun.parent.as_deref() == parent {
            true => begun.units,
            false => 0,
        }
    }

    /// This file, if it was made whole and is there.
    pub(crate) fn whole(&self, file: usize) -> Option<&Whole> {
        let whole = self.whole.get(&file)?;
        whole.is_there(&self.folder).then_some(whole)
    }

    /// Notes durably how far a file is.
    pub(crate) fn note_units(&mut self, file: usize, begun: Begun) -> io::Result<()> {
        self.note(&Line::Units { file, begun })
    }

    /// How far this file is. Of one that is about to be made anew, what was noted is taken back durably:
    /// another kill could leave one that is as long and has nothing of it.
    pub(crate) fn go_on(&mut self, file: usize, parent: Option<&str>) -> io::Result<u64> {
        let units = self.begun(file, parent);
        if units == 0
            && self
                .begun
                .remove(&file)
                .is_some_and(|begun| begun.units > 0)
        {
            self.note_units(file, Begun::default())?;
        }
        Ok(units)
    }

    /// Notes durably that a file is whole.
    pub(crate) fn note_whole(&mut self, file: usize, whole: Whole) -> io::Result<()> {
        self.note(&Line::Whole { file, whole })
    }

    fn note(&mut self, line: &Line) -> io::Result<()> {
        let text = serde_json::to_string(line)?;
        let line = format!("{} {text}\n", sum(text.as_bytes()));
        self.noted = true;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }

    /// Whether this file was noted to be whole, whatever has become of it since.
    pub(crate) fn was_whole(&self, file: usize) -> bool {
        self.whole.contains_key(&file)
    }

    /// Something is left to go on with: the journal stays.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    /// Whether an unfinished file of this restore is there. What cannot be looked at may have one.
    fn leads_somewhere(&self) -> bool {
        let start = format!("{TEMP_PREFIX}{}-", self.stem);
        let is_ours = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(&start) && name.ends_with(TEMP_SUFFIX)
            })
        };
        match fs::read_dir(&self.folder) {
            Ok(mut entries) => entries.any(is_ours),
            Err(error) => !is_nowhere(&error),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let stays = (self.left && self.noted) || self.leads_somewhere();
        if !stays {
            // What stays of it leads to nothing, and is recognised by its name.
            let name = format!("{TEMP_PREFIX}{}{JOURNAL_SUFFIX}", self.stem);
            let _ = fs::remove_file(self.folder.join(name));
        }
    }
}

/// What the names of a restore's files have in common.
fn stem(what: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hyperkeep engine, what is restored");
    hasher.update(format!("{LAYOUT}\n{}\n{what}", env!("CARGO_PKG_VERSION")).as_bytes());
    let mut stem = hasher.finalize().to_hex().to_string();
    stem.truncate(24);
    stem
}

/// Whether this file is the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    let (open, named) = (file.metadata().map(id), path.symlink_metadata().map(id));
    open.is_ok_and(|open| named.is_ok_and(|named| named == open))
}

/// Whether there is a file of that name: one that was removed and is open here keeps its name from
/// others.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether there is no such file, nor perhaps its folder.
fn is_nowhere(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn sum(text: &[u8]) -> String {
    let mut sum = blake3::hash(text).to_hex().to_string();
    sum.truncate(8);
    sum
}

fn understood(line: &[u8]) -> Option<Line> {
    let line = line.strip_suffix(b"\n")?;
    let (sum_, text) = line.split_at_checked(8)?;
    let text = text.strip_prefix(b" ")?;
    if sum(text).as_bytes() != sum_ {
        return None;
    }
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(units: u64) -> Begun {
        Begun {
            units,
            len: 4,
            parent: Some("base".to_owned()),
        }
    }

    #[test]
    fn what_was_noted_is_known_again_up_to_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let open = |what| Journal::open(dir.path(), what).unwrap();
        let mut journal = open("this").unwrap();
        let other = Journal::open(dir.path(), "this");
        assert!(matches!(other, Err(TargetError::Busy(_))));
        fs::write(journal.temp(1), "half").unwrap();
        for units in [3, 9] {
            journal.note_units(1, begun(units)).unwrap();
        }
        let whole = dir.path().join("whole");
        fs::write(&whole, "whole").unwrap();
        let file = File::options().write(true).open(&whole).unwrap();
        let noted = Whole::of(&file, "whole", 5, Became::New).unwrap();
        journal.note_whole(2, noted.clone()).unwrap();
        journal.leave();
        drop(journal);
        let path = |journal: &Journal| {
            let name = format!("{TEMP_PREFIX}{}{JOURNAL_SUFFIX}", journal.stem);
            dir.path().join(name)
        };

        let mut again = open("this").unwrap();
        assert_eq!(again.begun(1, Some("base")), 9);
        assert_eq!((again.begun(1, None), again.begun(2, None)), (0, 0));
        assert_eq!(again.whole(2), Some(&noted));
        again.leave();
        let path = path(&again);
        drop(again);

        // Cut anywhere, it tells of what came before.
        let lines = fs::read(&path).unwrap();
        for cut in 0..lines.len() {
            fs::write(&path, &lines[..cut]).unwrap();
            let mut torn = open("this").unwrap();
            assert!([0, 3, 9].contains(&torn.begun(1, Some("base"))), "{cut}");
            assert_eq!(torn.whole(2), None, "{cut}");
            torn.note_units(1, begun(20)).unwrap();
            torn.leave();
            drop(torn);
            let mut mended = open("this").unwrap();
            assert_eq!(mended.begun(1, Some("base")), 20, "{cut}");
            mended.leave();
        }
        // What was changed by somebody is theirs, and what is shorter than it was is not trusted.
        fs::write(&path, &lines).unwrap();
        let other = File::options().write(true).open(&whole).unwrap();
        other.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let shorter = open("this").unwrap();
        fs::write(shorter.temp(1), "hal").unwrap();
        assert_eq!(shorter.begun(1, Some("base")), 0);
        assert_eq!(shorter.whole(2), None);
        let unfinished = shorter.temp(1);
        drop(shorter);
        assert!(path.exists(), "an unfinished file is there");
        fs::remove_file(unfinished).unwrap();
        drop(open("this"));
        assert!(!path.exists());
        assert_eq!(open("other").unwrap().begun(1, Some("base")), 0);
    }
    /// A file that is made anew may soon be as long as the one that is gone.
    #[test]
    fn what_was_noted_of_a_file_does_not_count_for_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Journal::open(dir.path(), "this").unwrap().unwrap();
        let mut journal = open();
        fs::write(journal.temp(1), "half").unwrap();
        journal.note_units(1, begun(9)).unwrap();
        // It failed, and another one was stopped.
        fs::remove_file(journal.temp(1)).unwrap();
        journal.leave();
        drop(journal);
        let mut again = open();
        assert_eq!(again.go_on(1, Some("base")).unwrap(), 0);
        fs::write(again.temp(1), "0000").unwrap();
        // Killed.
        drop(again);
        let third = open();
        assert_eq!(third.begun(1, Some("base")), 0);
        assert_eq!(third.begun(1, None), 0);
    }
}
