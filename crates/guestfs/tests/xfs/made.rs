//! File systems made by mkfs.xfs, and files of all kinds in them.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use hyperkeep_guestfs::xfs::Xfs;
use hyperkeep_guestfs::{FileSystem as _, How};
use rustix::fs::{FallocateFlags, FileType, Mode, XattrFlags};
use testkit::image::noise;

use crate::support::kernel::{self, Mounted};
use crate::support::{self, Tree};

/// An image, and its folder while it is needed.
pub(crate) struct Made {
    _folder: tempfile::TempDir,
    pub(crate) image: PathBuf,
}

/// A file system of so many MiB by words for mkfs.xfs; `None` skips the test by name.
pub(crate) fn mkfs(test: &str, mib: u64, words: &[&str]) -> Option<Made> {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("xfs");
    File::create(&image).unwrap().set_len(mib << 20).unwrap();
    let output = Command::new("mkfs.xfs")
        .arg("-q")
        .args(words)
        .arg(&image)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(Made {
            _folder: folder,
            image,
        }),
        Ok(output) => panic!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            testkit::vhd::oracle::skip(test, &format!("mkfs.xfs: {error}"));
            None
        }
    }
}

impl Made {
    pub(crate) fn mounted(&self, test: &str, options: &str) -> Option<Mounted> {
        Mounted::kernel(test, &self.image, "xfs", options)
    }

    pub(crate) fn open(&self) -> Xfs {
        Xfs::open(support::image(&self.image)).unwrap()
    }

    /// The same bytes once more.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("xfs");
        run("cp", &["--sparse=always"], &[&self.image, &image]);
        Self {
            _folder: folder,
            image,
        }
    }
}

pub(crate) fn run(program: &str, words: &[&str], files: &[&Path]) {
    let output = Command::new(program)
        .args(words)
        .args(files)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
}

/// The kernel's tree, without the other names that it gives lists of access to an administrator.
pub(crate) fn theirs(root: &Path) -> Tree {
    let mut tree = kernel::tree(root);
    for seen in tree.values_mut() {
        let xattrs = seen.xattrs.as_mut().unwrap();
        xattrs.retain(|name, _| !name.starts_with("trusted.SGI_ACL"));
    }
    tree
}

/// Compares what we read of an image with what the kernel does, which may write to it.
#[track_caller]
pub(crate) fn compare(test: &str, made: &Made, options: &str, how: How) {
    let fs = made.open();
    assert_eq!(fs.about().state.how, how, "{:?}", fs.about());
    let ours = support::read(&fs);
    support::placed(&fs, &support::image(&made.image));
    let Some(mounted) = made.mounted(test, options) else {
        return;
    };
    support::same(&ours, &theirs(&mounted.path()));
    // Else what was replayed by somebody else, and looked at, has other times by now.
    if options.contains("ro") {
        support::times::same(
            &support::times::read(&fs),
            &support::times::theirs(&mounted.path()),
        );
    }
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// A list of access as Linux takes it: tag, permissions, id.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// Files of all kinds. `many` names are in one folder.
pub(crate) fn populate(root: &Path, many: usize) {
    contents(&root.join("contents"));
    others(&root.join("others"));
    attributes(&root.join("attributes"));
    names(&root.join("names"), many);
}

fn contents(root: &Path) {
    fs::create_dir(root).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    fs::write(root.join("byte"), b"x").unwrap();
    fs::write(root.join("big"), noise(1, 3_000_017)).unwrap();
    // Every other block: first a list of extents, then a tree, then one of more levels.
    for (name, count) in [("few", 12), ("some", 300), ("lots", 2500)] {
        let file = File::create(root.join(name)).unwrap();
        let piece = noise(count, 4096);
        for index in 0..count {
            file.write_all_at(&piece, index * 8192).unwrap();
        }
    }
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"middle", 33_333_333).unwrap();
    sparse.set_len(40_000_001).unwrap();
    let set = File::create(root.join("set aside")).unwrap();
    rustix::fs::fallocate(&set, FallocateFlags::empty(), 0, 1 << 20).unwrap();
    set.write_all_at(&noise(3, 70_000), 300_000).unwrap();
    rustix::fs::fallocate(&set, FallocateFlags::KEEP_SIZE, 1 << 20, 1 << 20).unwrap();
    let holes = File::create(root.join("holes")).unwrap();
    holes.write_all_at(&noise(4, 1 << 20), 0).unwrap();
    holes.sync_all().unwrap();
    for at in [65536, 300_000, 700_001] {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&holes, hole, at, 131_072).unwrap();
    }
    let shared = File::create(root.join("shared")).unwrap();
    // Not every variant can share blocks.
    if rustix::fs::ioctl_ficlone(&shared, File::open(root.join("big")).unwrap()).is_ok() {
        shared.write_all_at(b"but this", 1_000_000).unwrap();
    }
}

fn others(root: &Path) {
    fs::create_dir(root).unwrap();
    fs::write(root.join("file"), b"file").unwrap();
    fs::hard_link(root.join("file"), root.join("again")).unwrap();
    for len in [1, 50, 300, 400, 1000, 1023] {
        symlink("l".repeat(len), root.join(format!("link {len}"))).unwrap();
    }
    for (name, kind, major, minor) in [
        ("char", FileType::CharacterDevice, 4, 65),
        ("block", FileType::BlockDevice, 259, 70_000),
        ("fifo", FileType::Fifo, 0, 0),
    ] {
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name), kind, mode, device).unwrap();
    }
    UnixListener::bind(root.join("socket")).unwrap();
    for (name, seconds) in [
        ("old", -1_000_000_000_i64),
        ("new", 2_147_000_000),
        ("now", 0),
    ] {
        let mut file = File::create(root.join(name)).unwrap();
        file.write_all(name.as_bytes()).unwrap();
        let apart = Duration::new(seconds.unsigned_abs(), 123_456_789);
        let time = match seconds < 0 {
            true => UNIX_EPOCH - apart,
            false => UNIX_EPOCH + apart,
        };
        file.set_modified(time).unwrap();
    }
    std::os::unix::fs::chown(root.join("old"), Some(70_000), Some(4_000_000_000)).unwrap();
    run("chmod", &["6751"], &[&root.join("old")]);
    let mut deep = root.join("deep");
    for depth in 0..40 {
        deep.push(format!("folder {depth}"));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("end"), b"end").unwrap();
}

fn attributes(root: &Path) {
    fs::create_dir(root).unwrap();
    let made = |name: &str| {
        let path = root.join(name);
        fs::write(&path, name).unwrap();
        path
    };
    xattr(&made("one"), "user.one", b"value");
    xattr(&made("nothing"), "user.nothing", b"");
    let spaces = made("spaces");
    xattr(&spaces, "trusted.who", b"root");
    xattr(&spaces, "security.label", b"some");
    for (name, len) in [("medium", 900), ("long", 5000), ("longest", 65536)] {
        xattr(
            &made(name),
            &format!("user.{name}"),
            &noise(len, len as usize),
        );
    }
    let many = made("many");
    for index in 0..700 {
        let value = noise(index, index as usize % 190);
        xattr(&many, &format!("user.attribute {index}"), &value);
    }
    let entries = [
        (1, 6, u32::MAX),
        (2, 4, 1000),
        (4, 4, u32::MAX),
        (8, 7, 4_000_000_000),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    xattr(&made("access"), "system.posix_acl_access", &acl(&entries));
    let folder = root.join("default");
    fs::create_dir(&folder).unwrap();
    xattr(&folder, "system.posix_acl_default", &acl(&entries));
    fs::write(folder.join("heir"), b"heir").unwrap();
    let link = root.join("link");
    symlink("nowhere", &link).unwrap();
    xattr(&link, "trusted.link", &noise(5, 3000));
}

fn names(root: &Path, many: usize) {
    use std::os::unix::ffi::OsStrExt as _;
    fs::create_dir(root).unwrap();
    for (folder, count) in [("few", 3), ("block", 40), ("leaf", 300), ("many", many)] {
        let folder = root.join(folder);
        fs::create_dir(&folder).unwrap();
        let first = folder.join("the first name of all");
        fs::write(&first, b"all").unwrap();
        for index in 0..count {
            fs::hard_link(&first, folder.join(format!("name {index:07}"))).unwrap();
        }
        // Gaps between names.
        for index in (0..count).step_by(7) {
            fs::remove_file(folder.join(format!("name {index:07}"))).unwrap();
        }
    }
    let odd = root.join("odd");
    fs::create_dir(&odd).unwrap();
    let long = [b'x'; 255];
    for name in [
        &b"\xff\xfe\x01"[..],
        b" ",
        b"\n",
        b"...",
        "ä€😀".as_bytes(),
        &long,
        &long[..254],
        b"a\\b:c*",
    ] {
        fs::write(odd.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
}
