//! What the kernel, or a driver in user space, reads of an image: the other side of a comparison.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Seen, Tree, escaped, sum};

/// A file system that is mounted until this goes.
pub struct Mounted {
    folder: tempfile::TempDir,
}

impl Mounted {
    /// Mounts an image by a command that is given the folder as its last word; `None` where that is not
    /// possible, which skips the test by name unless every tool is required.
    pub fn by(test: &str, command: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (program, words) = command.split_first().unwrap();
        let output = Command::new(program)
            .args(words)
            .arg(folder.path())
            .output();
        match output {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                testkit::vhd::oracle::forbidden(test, &format!("{command:?}: {why}"));
                None
            }
            Err(error) => {
                testkit::vhd::oracle::skip(test, &format!("{program}: {error}"));
                None
            }
        }
    }

    /// Mounts an image by the kernel, with more options (`ro,norecovery`…; `loop` is there).
    pub fn kernel(test: &str, image: &Path, kind: &str, options: &str) -> Option<Self> {
        let options = format!("loop,{options}");
        let image = image.to_str().unwrap();
        Self::by(test, &["mount", "-t", kind, "-o", &options, image])
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Mounted {
    /// What another thread has just started may hold files of ours for a moment, until it runs; and a folder
    /// that is still mounted must not be removed, as that would empty what is mounted.
    fn drop(&mut self) {
        let umount = |words: &[&str]| {
            let mut command = Command::new("umount");
            let output = command.args(words).arg(self.folder.path()).output();
            output.is_ok_and(|output| output.status.success())
        };
        let gone = (0..200).any(|_| umount(&[]));
        if !gone {
            umount(&["--lazy"]);
        }
    }
}

/// The tree in a folder, as the system tells it; extended attributes by getfattr's own library.
pub fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((path, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}/{}", escaped(entry.file_name().as_bytes()));
            let seen = see(&entry.path());
            if seen.kind == "folder" {
                folders.push((path.clone(), entry.path()));
            }
            tree.insert(path, seen);
        }
    }
    tree
}

fn see(path: &Path) -> Seen {
    let about = fs::symlink_metadata(path).unwrap();
    let kind = about.file_type();
    let device = || {
        let number = about.rdev();
        let major = number >> 8 & 0xfff | number >> 32 & !0xfff;
        let minor = number & 0xff | number >> 12 & !0xff;
        format!("{major}:{}", minor & 0xffff_ffff)
    };
    let (kind, what) = match () {
        () if kind.is_file() => ("file", sum(&fs::read(path).unwrap())),
        () if kind.is_dir() => ("folder", String::new()),
        () if kind.is_symlink() => {
            let target = fs::read_link(path).unwrap();
            ("link", escaped(target.as_os_str().as_bytes()))
        }
        () if kind.is_fifo() => ("fifo", String::new()),
        () if kind.is_socket() => ("socket", String::new()),
        () if kind.is_char_device() => ("char", device()),
        () if kind.is_block_device() => ("block", device()),
        () => ("other", String::new()),
    };
    let is_file = kind == "file";
    Seen {
        kind: kind.to_owned(),
        len: if is_file { about.len() } else { 0 },
        what,
        links: is_file.then_some(about.nlink() as u32),
        owner: Some((about.uid(), about.gid(), (about.mode() & 0o7777) as u16)),
        modified: Some((about.mtime(), about.mtime_nsec() as u32)),
        xattrs: Some(xattrs(path)),
    }
}

/// Extended attributes, by their names.
fn xattrs(path: &Path) -> BTreeMap<String, String> {
    let mut names = vec![0; 65536];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        (escaped(name), sum(&value[..len]))
    };
    names.map(value).collect()
}
