//! All times of all files, as we read them and as the system tells them.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hyperkeep_guestfs::{FileSystem, Time};

use super::escaped;

/// Seconds and nanoseconds.
type Moment = Option<(i64, u32)>;

/// When something was last written, read, and changed in any way, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub modified: Moment,
    pub accessed: Moment,
    pub changed: Moment,
    pub created: Moment,
}

/// By paths as in a tree.
pub type All = BTreeMap<String, Times>;

/// Those that we read.
pub fn read(fs: &dyn FileSystem) -> All {
    let moment = |time: Option<Time>| time.map(|time| (time.seconds, time.nanos));
    let mut all = All::new();
    let mut folders = vec![(String::new(), fs.root())];
    while let Some((path, folder)) = folders.pop() {
        let mut entries = Vec::new();
        fs.list(folder, &mut |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })
        .unwrap();
        for entry in entries {
            let path = format!("{path}/{}", escaped(entry.name.as_bytes()));
            let node = fs.node(entry.node).unwrap();
            if node.kind == hyperkeep_guestfs::Kind::Folder {
                folders.push((path.clone(), node.id));
            }
            let times = Times {
                modified: moment(node.times.modified),
                accessed: moment(node.times.accessed),
                changed: moment(node.times.changed),
                created: moment(node.times.created),
            };
            all.insert(path, times);
        }
    }
    all
}

/// Those of what is mounted read-only, so that looking changes none.
pub fn theirs(root: &Path) -> All {
    let mut all = All::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((path, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}/{}", escaped(entry.file_name().as_bytes()));
            let about = fs::symlink_metadata(entry.path()).unwrap();
            if about.is_dir() {
                folders.push((path.clone(), entry.path()));
            }
            let times = Times {
                modified: Some((about.mtime(), about.mtime_nsec() as u32)),
                accessed: Some((about.atime(), about.atime_nsec() as u32)),
                changed: Some((about.ctime(), about.ctime_nsec() as u32)),
                created: about.created().ok().map(since_1970),
            };
            all.insert(path, times);
        }
    }
    all
}

fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let nanos = before.subsec_nanos();
            let whole = -(before.as_secs() as i64);
            match nanos {
                0 => (whole, 0),
                _ => (whole - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

/// Fails with the first path whose times differ, or when there are none to compare.
#[track_caller]
pub fn same(ours: &All, theirs: &All) {
    assert!(!theirs.is_empty());
    for (path, theirs) in theirs {
        assert_eq!(ours.get(path), Some(theirs), "{path}");
    }
    assert_eq!(ours.len(), theirs.len());
}
