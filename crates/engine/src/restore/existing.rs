//! What happens to files that are where a restored disk is to go.
//!
//! It is decided for all disks before the first of them is written, so that questions come at once and
//! a child knows its parent's name. Only a regular file is ever replaced, in one step by one that
//! is whole and durable, and only as long as it is the one that was there when it was decided. One of
//! which an undo file keeps something is never replaced, nor is its name taken: what is kept could be put
//! into another disk.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use vmconfig::names::Names;

use crate::restore::plan::free_name;
use crate::restore::rollback::undo_path;
use crate::restore::target::TargetError;

/// More files of one name are not looked past.
const MOST_BESIDE: usize = 10_000;

/// What to do about a file that is where a disk is to go.
#[derive(Clone, Copy, Default)]
pub enum Existing<'a> {
    /// Leave it, and do not restore the disk.
    #[default]
    Keep,
    /// Leave it, and restore the disk beside it under a name that is free.
    Rename,
    /// Replace it if it was last written to before the point was made.
    Older,
    /// Replace it.
    Replace,
    /// Replace it if somebody says so.
    Ask(&'a (dyn Fn(&Path) -> bool + Sync)),
}

impl fmt::Debug for Existing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Rename => "Rename",
            Self::Older => "Older",
            Self::Replace => "Replace",
            Self::Ask(_) => "Ask",
        })
    }
}

/// What a restored file means for what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// Nothing was there.
    New,
    /// It is beside a file that has the name that it would have.
    Beside,
    /// It replaced another file.
    Replaced,
}

/// Where a file will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) path: PathBuf,
    pub(crate) became: Became,
    /// The file that it may replace.
    pub(crate) over: Option<Seen>,
}

impl Spot {
    /// Where nothing is, or the file will not be made.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            became: Became::New,
            over: None,
        }
    }
}

/// A file as it was when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    len: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    /// The regular file at `path`.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        found.is_file().then(|| Self {
            len: found.len(),
            modified: found.modified().ok(),
        })
    }

    fn older_than(&self, seconds: u64) -> bool {
        let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        match (self.modified, moment) {
            (Some(modified), Some(moment)) => modified < moment,
            _ => false,
        }
    }
}

impl Existing<'_> {
    /// Where the file `name` goes in `folder`; `taken` is when the point was made, and `names` are
    /// those of all files of the restore.
    pub(crate) fn spot(
        &self,
        folder: &Path,
        name: &str,
        names: &mut Names,
        taken: u64,
    ) -> Result<Spot, TargetError> {
        let path = folder.join(name);
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        let kept = |path: &Path| is_there(&undo_path(path));
        if !is_there(&path) && !kept(&path) {
            return Ok(Spot::new(&path));
        }
        let left = |why| {
            let path = path.clone();
            Err(TargetError::Left { path, why })
        };
        if let Self::Rename = self {
            for _ in 0..MOST_BESIDE {
                let beside = folder.join(free_name(names, name));
                if !is_there(&beside) && !kept(&beside) {
                    return Ok(Spot {
                        path: beside,
                        became: Became::Beside,
                        over: None,
                    });
                }
            }
            return left("and thousands of files beside it exist already");
        }
        if kept(&path) {
            return left(
                "has an undo file beside it, of a rollback that is to be confirmed or undone first, and \
                 was left alone",
            );
        }
        let Some(seen) = Seen::at(&path) else {
            return left("exists, is no regular file, and was left alone");
        };
        let replace = match self {
            Self::Keep | Self::Rename => return Err(TargetError::Exists(path)),
            Self::Replace => true,
            Self::Older if !seen.older_than(taken) => {
                return left("was written to after the restore point was made, and was left alone");
            }
            Self::Older => true,
            Self::Ask(ask) => ask(&path),
        };
        match replace {
            true => Ok(Spot {
                path,
                became: Became::Replaced,
                over: Some(seen),
            }),
            false => left("exists and was left alone, as it was answered"),
        }
    }
}

/// Gives a durable file the name of the one that it replaces.
pub(crate) fn replace(from: &Path, spot: &Spot, seen: Seen) -> Result<(), TargetError> {
    let path = &spot.path;
    if Seen::at(path) != Some(seen) {
        return Err(TargetError::Left {
            path: path.clone(),
            why: "was changed while the disk was restored, and was left alone",
        });
    }
    fs::rename(from, path).map_err(|e| TargetError::io(path, "replacing it", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Later than any file of a test, and earlier.
    const LATER: u64 = 1 << 33;
    const EARLIER: u64 = 1;

    #[test]
    fn each_way_does_what_it_says_with_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (yes, no) = (|_: &Path| true, |_: &Path| false);
        let spot = |existing: Existing<'_>, taken| {
            let mut names = Names::default();
            free_name(&mut names, "a.vhdx");
            existing.spot(dir.path(), "a.vhdx", &mut names, taken)
        };
        let never_asked = |_: &Path| unreachable!("nothing is there");
        let all = [
            Existing::Keep,
            Existing::Rename,
            Existing::Older,
            Existing::Replace,
            Existing::Ask(&never_asked),
        ];
        for existing in all {
            assert_eq!(spot(existing, EARLIER).unwrap().became, Became::New);
        }
        let path = dir.path().join("a.vhdx");
        fs::write(&path, b"theirs").unwrap();
        fs::write(dir.path().join("a (2).vhdx"), b"theirs").unwrap();
        for (existing, taken) in [
            (Existing::Replace, EARLIER),
            (Existing::Older, LATER),
            (Existing::Ask(&yes), EARLIER),
        ] {
            let spot = spot(existing, taken).unwrap();
            assert_eq!((&spot.path, spot.became), (&path, Became::Replaced));
            assert_eq!(spot.over, Seen::at(&path));
        }
        for (existing, taken) in [
            (Existing::Keep, LATER),
            (Existing::Older, EARLIER),
            (Existing::Ask(&no), LATER),
        ] {
            let refused = spot(existing, taken).unwrap_err();
            assert_eq!(refused.code(), crate::finding::Code::TargetExists);
        }
        let beside = spot(Existing::Rename, LATER).unwrap();
        assert_eq!(beside.path, dir.path().join("a (3).vhdx"));
        assert_eq!(beside.became, Became::Beside);

        // What an undo file keeps is of the file that is there, or was.
        let undo = undo_path(&path);
        fs::write(&undo, b"kept").unwrap();
        fs::write(undo_path(&dir.path().join("a (3).vhdx")), b"kept").unwrap();
        for there in [true, false] {
            for existing in [Existing::Keep, Existing::Replace, Existing::Ask(&yes)] {
                let refused = spot(existing, LATER).unwrap_err();
                assert!(matches!(refused, TargetError::Left { .. }), "{there}");
            }
            let beside = spot(Existing::Rename, LATER).unwrap();
            assert_eq!(beside.path, dir.path().join("a (4).vhdx"));
            if there {
                fs::remove_file(&path).unwrap();
            }
        }
        fs::remove_file(&undo).unwrap();
        fs::create_dir(&path).unwrap();
        for existing in [Existing::Replace, Existing::Older, Existing::Ask(&yes)] {
            assert!(spot(existing, LATER).is_err(), "{existing:?}");
        }
    }
}
