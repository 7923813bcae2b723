//! File systems that a driver fills and lists, for what is compared with it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use testkit::vhd::oracle;

use crate::bench::Bench;

/// A kind of file system, and what it keeps.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) make: &'static [&'static str],
    pub(crate) mount: &'static [&'static str],
    pub(crate) mib: u64,
    pub(crate) unix: bool,
    /// Whether the driver tells which file is which, and when it was made.
    pub(crate) ids: bool,
}

pub(crate) const EXT4: Kind = Kind {
    name: "ext4",
    make: &["mkfs.ext4", "-q", "-F"],
    mount: &["mount", "-o", "loop"],
    mib: 64,
    unix: true,
    ids: true,
};
pub(crate) const BTRFS: Kind = Kind {
    name: "btrfs",
    make: &["mkfs.btrfs", "-q", "-f"],
    mount: &["mount", "-o", "loop"],
    mib: 128,
    unix: true,
    ids: true,
};
pub(crate) const XFS: Kind = Kind {
    name: "xfs",
    make: &["mkfs.xfs", "-q", "-f"],
    mount: &["mount", "-o", "loop"],
    mib: 300,
    unix: true,
    ids: true,
};
pub(crate) const NTFS: Kind = Kind {
    name: "ntfs",
    make: &["mkntfs", "-F", "-Q", "-q"],
    mount: &["ntfs-3g"],
    mib: 32,
    unix: false,
    ids: false,
};
pub(crate) const EXFAT: Kind = Kind {
    name: "exfat",
    make: &["mkfs.exfat"],
    mount: &["mount", "-t", "exfat-fuse", "-o", "loop"],
    mib: 32,
    unix: false,
    ids: false,
};

/// A file system that is mounted until this goes.
pub(crate) struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None` where that is not possible, which skips the test by name unless every tool is required.
    pub(crate) fn new(test: &str, words: &[&str], image: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (program, words) = words.split_first().unwrap();
        let output = Command::new(program)
            .args(words)
            .args([image, folder.path()])
            .output();
        match output {
            Ok(output) if output.status.success() => Some(Self(folder)),
            Ok(output) => {
                oracle::forbidden(test, &String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                oracle::skip(test, &format!("{program}: {error}"));
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let umount = || Command::new("umount").arg(self.0.path()).output();
        // What another thread has just started may hold files of ours for a moment.
        let gone = (0..200).any(|_| umount().is_ok_and(|output| output.status.success()));
        assert!(gone, "{:?} stays mounted", self.0.path());
    }
}

/// An image with a new file system; `None` skips the test by name.
pub(crate) fn made(bench: &Bench, kind: &Kind) -> Option<PathBuf> {
    let image = bench.path("image");
    File::create(&image)
        .unwrap()
        .set_len(kind.mib << 20)
        .unwrap();
    let (program, words) = kind.make.split_first().unwrap();
    match Command::new(program).args(words).arg(&image).output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(image)
        }
        Err(error) => {
            oracle::skip(kind.name, &format!("{program}: {error}"));
            None
        }
    }
}

/// What the driver tells of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: &'static str,
    /// Contents, or where a link leads.
    pub(crate) what: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: (i64, i64),
    /// Its number, and when it was made.
    pub(crate) id: (u64, Option<SystemTime>),
}

pub(crate) fn listed(root: &Path) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let (kind, what) = match about.file_type() {
                kind if kind.is_dir() => ("folder", Vec::new()),
                kind if kind.is_symlink() => {
                    let target = fs::read_link(&path).unwrap();
                    ("link", target.into_os_string().into_encoded_bytes())
                }
                _ => ("file", fs::read(&path).unwrap()),
            };
            if kind == "folder" {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let seen = Seen {
                kind,
                what,
                mode: about.mode() & 0o7777,
                owner: (about.uid(), about.gid()),
                modified: (about.mtime(), about.mtime_nsec()),
                id: (about.ino(), about.created().ok()),
            };
            all.insert(name.to_owned(), seen);
        }
    }
    all.remove("lost+found");
    all
}

/// Writes a file whose time is one that it never had.
pub(crate) fn put(path: &Path, bytes: &[u8], clock: &mut u64) {
    fs::write(path, bytes).unwrap();
    touch(path, clock);
}

pub(crate) fn touch(path: &Path, clock: &mut u64) {
    *clock += 10;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*clock);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}
