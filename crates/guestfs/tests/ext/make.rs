//! Images that mke2fs makes and the kernel fills.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, Timespec, Timestamps, XattrFlags, fallocate,
    lsetxattr, makedev, mknodat, utimensat,
};
use testkit::image::noise;

/// A folder with one image in it.
pub(crate) struct Image {
    folder: tempfile::TempDir,
    /// Whether it has fast commits.
    pub(crate) fast: bool,
}

impl Image {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// A copy of the image as it is now.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let copy = self.folder.path().join(name);
        run("cp", &["--sparse=always", text(&self.path()), text(&copy)]);
        copy
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a program; answers with what it printed.
#[track_caller]
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An image by mke2fs, or a named skip.
pub(crate) fn image(test: &str, mib: u64, words: &str) -> Option<Image> {
    if Command::new("mke2fs").arg("-V").output().is_err() {
        testkit::vhd::oracle::skip(test, "no mke2fs");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let fast = words.contains("fast_commit");
    let made = Image { folder, fast };
    File::create(made.path())
        .unwrap()
        .set_len(mib << 20)
        .unwrap();
    let path = made.path();
    let mut all = vec!["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    all.extend(words.split_whitespace());
    all.push(text(&path));
    run("mke2fs", &all);
    Some(made)
}

/// A list of access control as Linux takes it: owner, a user, group, mask, others.
fn acl() -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (0x01_u16, 6_u16, u32::MAX),
        (0x02, 7, 4711),
        (0x04, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// What an image can hold.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Names in one folder.
    pub(crate) names: usize,
    /// Bytes of one extended attribute.
    pub(crate) xattr: usize,
}

/// Everything that a file system of Unix has, in a folder.
pub(crate) fn fill(root: &Path, room: Room) {
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("tiny"), b"x").unwrap();
    fs::write(root.join("short"), noise(1, 100)).unwrap();
    fs::write(root.join("file"), noise(2, 300_001)).unwrap();
    fs::hard_link(root.join("file"), root.join("second name")).unwrap();
    symlink("file", root.join("short link")).unwrap();
    symlink("a/".repeat(29) + "x", root.join("link of 59")).unwrap();
    symlink("a/".repeat(30), root.join("link of 60")).unwrap();
    symlink("b/".repeat(400), root.join("long link")).unwrap();
    sparse(root);
    odd_names(root);
    special(root);
    times(root);
    attributes(root, room);
    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for at in 0..room.names {
        let name = format!("{at:05}-{}", "n".repeat(at % 23));
        File::create(many.join(name)).unwrap();
    }
    // Names of bytes that signed and unsigned characters differ in.
    for at in 0..room.names / 8 {
        let mut name = format!("ä{at}").into_bytes();
        name.push(0x80 | (at % 127) as u8);
        File::create(many.join(std::ffi::OsStr::from_bytes(&name))).unwrap();
    }
    // Holes among names.
    for at in (0..room.names).step_by(7) {
        let name = format!("{at:05}-{}", "n".repeat(at % 23));
        fs::remove_file(many.join(name)).unwrap();
    }
    let mut deep = root.to_owned();
    for at in 0..60 {
        deep.push(format!("d{at}"));
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("bottom"), b"here").unwrap();
    let few = root.join("few");
    fs::create_dir(&few).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(few.join(name), name).unwrap();
    }
}

fn sparse(root: &Path) {
    let file = File::create(root.join("sparse")).unwrap();
    for at in [0, 1, 5, 12, 13, 40, 300, 5000, 70_000] {
        file.write_all_at(&noise(at, 700), at * 1024).unwrap();
    }
    file.set_len(80_000 * 1024 + 77).unwrap();
    File::create(root.join("hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    // Written in two turns, so that pieces of both lie among each other.
    let one = File::create(root.join("pieces 1")).unwrap();
    let two = File::create(root.join("pieces 2")).unwrap();
    for at in 0..40 {
        one.write_all_at(&noise(at, 4096), at * 4096).unwrap();
        if at % 2 == 0 {
            one.sync_data().unwrap();
        }
        two.write_all_at(&noise(at + 999, 5000), at * 9000).unwrap();
        if at % 3 == 0 {
            two.sync_data().unwrap();
        }
    }
    let mut unwritten = File::create(root.join("unwritten")).unwrap();
    // Not there for files with a map of blocks.
    if fallocate(&unwritten, FallocateFlags::empty(), 0, 400_000).is_ok() {
        unwritten.seek(SeekFrom::Start(100_000)).unwrap();
        unwritten.write_all(&noise(7, 50_000)).unwrap();
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&unwritten, punch, 110_000, 9000).unwrap();
    }
}

fn odd_names(root: &Path) {
    let folder = root.join("odd names");
    fs::create_dir(&folder).unwrap();
    let long = vec![b'l'; 255];
    let names: [&[u8]; 8] = [
        b" ",
        b"\xff\xfe",
        b"new\nline",
        "Größe €".as_bytes(),
        b"\\",
        b"...",
        b"C:*?\"<>|",
        &long,
    ];
    for name in names {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
}

fn special(root: &Path) {
    let make = |name: &str, kind, device| {
        let mode = Mode::from_raw_mode(0o640);
        mknodat(CWD, root.join(name), kind, mode, device).unwrap();
    };
    make("fifo", FileType::Fifo, 0);
    make("old device", FileType::CharacterDevice, makedev(5, 1));
    make("new device", FileType::BlockDevice, makedev(259, 70_000));
    drop(UnixListener::bind(root.join("socket")).unwrap());
    fs::write(root.join("setuid"), b"#!").unwrap();
    chown(root.join("setuid"), Some(70_000), Some(4_000_000_000)).unwrap();
    let mode = fs::Permissions::from_mode(0o6755);
    fs::set_permissions(root.join("setuid"), mode).unwrap();
}

fn times(root: &Path) {
    for (name, seconds, nanos) in [
        ("before 1970", -1_000_000_000, 123_456_789),
        ("after 2038", 3_000_000_000, 999_999_999),
        ("after 2106", 4_500_000_000, 1),
        ("the last", 15_032_385_535, 0),
    ] {
        let path = root.join(name);
        File::create(&path).unwrap();
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        };
        let both = Timestamps {
            last_access: time,
            last_modification: time,
        };
        utimensat(CWD, &path, &both, AtFlags::empty()).unwrap();
    }
}

fn attributes(root: &Path, room: Room) {
    let path = root.join("attributes");
    fs::write(&path, b"with attributes").unwrap();
    let set = |name: &str, value: &[u8]| {
        lsetxattr(&path, name, value, XattrFlags::empty()).unwrap();
    };
    set("user.small", b"1");
    set("user.empty", b"");
    set("trusted.own", b"root's");
    set("security.other", &noise(3, 20));
    set("user.large", &noise(4, room.xattr));
    // Its target is in the inode all the same.
    let link = root.join("link with attributes");
    symlink("b", &link).unwrap();
    let large = noise(5, room.xattr);
    lsetxattr(&link, "trusted.large", &large, XattrFlags::empty()).unwrap();
    set("system.posix_acl_access", &acl());
    let folder = root.join("folder with a default");
    fs::create_dir(&folder).unwrap();
    let none = XattrFlags::empty();
    lsetxattr(&folder, "system.posix_acl_default", &acl(), none).unwrap();
    fs::write(folder.join("heir"), b"").unwrap();
}
