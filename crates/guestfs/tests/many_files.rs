//! Disks with many files: all of them as the system's own driver reads them, and one folder and one file by a
//! number of reads that does not grow with the disk.
//!
//! An ordinary run makes some thousands of files, a nightly one a hundred thousand.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

mod support;

#[allow(dead_code, reason = "tests of NTFS need more of it")]
#[path = "ntfs/mount.rs"]
mod ntfs;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyperkeep_disk::{BlockRead, ByteRange, Extent, Geometry};
use hyperkeep_guestfs::volumes::find;
use hyperkeep_guestfs::{Device, FileSystem, Name};
use testkit::vary;
use testkit::vhd::oracle;

use support::kernel::{Mounted, tree};
use support::{Tree, image, read, same};

/// Files of a folder, and folders of the root.
const FILES: usize = 100;
const FOLDERS: usize = 10;
/// Files of the smaller of two disks, and of the larger one in an ordinary run.
const FEW: usize = 1000;
const MANY: u32 = 5000;

/// A device that counts how often and how much is read of it.
struct Counting {
    device: Device,
    reads: AtomicU64,
    bytes: AtomicU64,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
struct Cost {
    reads: u64,
    bytes: u64,
}

impl Counting {
    fn cost(&self) -> Cost {
        Cost {
            reads: self.reads.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl BlockRead for Counting {
    fn geometry(&self) -> Geometry {
        self.device.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> hyperkeep_disk::Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.device.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> hyperkeep_disk::Result<Vec<Extent>> {
        self.device.extents(range)
    }
}

/// How a kind of file system is made and mounted.
struct Kind {
    make: &'static [&'static str],
    /// As `mount` knows it; `mcopy` for what it does not.
    mount: &'static str,
    /// Whether its driver tells owners, links and attributes that are on the disk.
    of_unix: bool,
}

const EXT4: Kind = Kind {
    make: &["mke2fs", "-q", "-F", "-t", "ext4", "-N", "200000"],
    mount: "ext4",
    of_unix: true,
};
const XFS: Kind = Kind {
    make: &["mkfs.xfs", "-q", "-f"],
    mount: "xfs",
    of_unix: true,
};
const BTRFS: Kind = Kind {
    make: &["mkfs.btrfs", "-q", "-f"],
    mount: "btrfs",
    of_unix: true,
};
const NTFS: Kind = Kind {
    make: &["mkntfs", "-q", "-F", "-Q"],
    mount: "ntfs-3g",
    of_unix: false,
};
const EXFAT: Kind = Kind {
    make: &["mkfs.exfat"],
    mount: "exfat-fuse",
    of_unix: false,
};

const FAT: Kind = Kind {
    make: &["mkfs.fat", "-F", "32"],
    mount: "mcopy",
    of_unix: false,
};

/// A file system that is mounted until this goes.
enum Driver {
    /// Which tells when it has written all.
    Ntfs(ntfs::Mounted),
    Other(Mounted),
    /// A folder that is copied into it.
    Copied(PathBuf),
}

impl Driver {
    fn path(&self) -> PathBuf {
        match self {
            Self::Ntfs(mounted) => mounted.path().to_owned(),
            Self::Other(mounted) => mounted.path(),
            Self::Copied(folder) => folder.clone(),
        }
    }
}

/// A disk with so many files.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mounted(&self, test: &str, kind: &Kind) -> Option<Driver> {
        Some(match kind.mount {
            "mcopy" => Driver::Copied(self.folder.path().join("files")),
            "ntfs-3g" => Driver::Ntfs(ntfs::Mounted::new(test, &self.path(), "rw")?),
            other => Driver::Other(Mounted::kernel(test, &self.path(), other, "rw")?),
        })
    }

    fn made(test: &str, kind: &Kind, files: usize) -> Option<Self> {
        let disk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let (program, words) = kind.make.split_first().unwrap();
        // Of another length, the driver may lay things out in another way: both disks have the same.
        File::create(disk.path()).unwrap().set_len(2 << 30).unwrap();
        match Command::new(program).args(words).arg(disk.path()).output() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => {
                oracle::skip(test, &format!("{program}: {error}"));
                return None;
            }
        }
        let mounted = disk.mounted(test, kind)?;
        fill(&mounted.path(), files, kind.of_unix);
        if let Driver::Copied(folder) = &mounted {
            let all = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path());
            let mut mcopy = Command::new("mcopy");
            let mcopy = mcopy.arg("-i").arg(disk.path()).args(["-s", "-Q"]);
            match mcopy.args(all).arg("::/").output() {
                Ok(output) => assert!(output.status.success(), "{output:?}"),
                Err(error) => {
                    oracle::skip(test, &format!("mcopy: {error}"));
                    return None;
                }
            }
        }
        Some(disk)
    }

    /// The file system, over a device that counts from its opening on.
    fn opened(&self) -> (Box<dyn FileSystem>, Arc<Counting>) {
        let device = Arc::new(Counting {
            device: image(&self.path()),
            reads: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let found = find(&[("d0".to_owned(), Arc::<Counting>::clone(&device))]);
        (found.volumes[0].open().unwrap(), device)
    }

    /// What it takes to open it; and then to list a folder, with all that is told of what is in it, and to read a
    /// file.
    fn cost(&self, files: usize) -> [Cost; 2] {
        let (fs, device) = self.opened();
        let opening = device.cost();
        let at = |names: &[String]| {
            let names: Vec<_> = names.iter().map(|name| Name::from(name.as_str())).collect();
            hyperkeep_guestfs::by_path(fs.as_ref(), &names).unwrap()
        };
        let middle = files / FILES / FOLDERS / 2;
        let folder = vec!["a 7".to_owned(), format!("b {middle}")];
        let mut entries = Vec::new();
        fs.list(at(&folder), &mut |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(entries.len() >= FILES, "{}", entries.len());
        for entry in entries {
            fs.node(entry.node).unwrap();
        }
        let name = format!("file {}", FILES / 2);
        let file = at(&[&folder[..], std::slice::from_ref(&name)].concat());
        let mut content = fs.open(file, None).unwrap();
        let mut bytes = vec![0; content.len() as usize];
        content.read_at(0, &mut bytes).unwrap();
        assert!(bytes.starts_with(contents(7, middle, FILES / 2).as_bytes()));
        let all = device.cost();
        let looking = Cost {
            reads: all.reads - opening.reads,
            bytes: all.bytes - opening.bytes,
        };
        [opening, looking]
    }
}

fn contents(one: usize, two: usize, file: usize) -> String {
    format!("{one} {two} {file}\n")
}

/// Folders in folders of the root, each with as many files; some of them with other names too, some larger.
fn fill(root: &Path, files: usize, of_unix: bool) {
    for one in 0..FOLDERS {
        for two in 0..files / FILES / FOLDERS {
            let folder = root.join(format!("a {one}/b {two}"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FILES {
                let mut bytes = contents(one, two, file).into_bytes();
                if file % 50 == 49 {
                    bytes.resize(10_000, b'.');
                }
                fs::write(folder.join(format!("file {file}")), bytes).unwrap();
            }
            if of_unix {
                fs::hard_link(folder.join("file 0"), folder.join("again")).unwrap();
                symlink("file 1", folder.join("link")).unwrap();
            }
        }
    }
}

/// A tree without what a driver of no file system of Unix makes up.
fn told(mut tree: Tree, kind: &Kind) -> Tree {
    let (of_unix, copied) = (kind.of_unix, kind.mount == "mcopy");
    for seen in tree.values_mut().filter(|_| !of_unix) {
        (seen.owner, seen.xattrs, seen.links) = (None, None, None);
    }
    // Copies are new.
    for seen in tree.values_mut().filter(|_| copied) {
        seen.modified = None;
    }
    tree
}

fn check(test: &str, kind: &Kind, many: u32) {
    let many = vary::cases(many) as usize;
    let Some(large) = Disk::made(test, kind, many) else {
        return;
    };
    let theirs = tree(&large.mounted(test, kind).unwrap().path());
    assert!(theirs.len() > many);
    let (fs, _) = large.opened();
    same(&told(read(fs.as_ref()), kind), &told(theirs, kind));
    let small = Disk::made(test, kind, FEW).unwrap();
    let [(_, few), (opening, lots)] =
        [small.cost(FEW), large.cost(many)].map(|[opening, looking]| (opening, looking));
    println!("{test}: {few:?} for {FEW} files, {opening:?} and {lots:?} for {many}");
    // The end of a log is looked at, however long that is; not more.
    assert!(
        opening.reads <= 1000 && opening.bytes <= 16 << 20,
        "{opening:?}"
    );
    // A tree may have become higher, and what was beside each other lie apart.
    assert!(
        lots.reads <= 2 * few.reads + 20,
        "{lots:?}, and {few:?} for {FEW} files"
    );
    assert!(
        lots.bytes <= 2 * few.bytes + (1 << 20),
        "{lots:?}, and {few:?} for {FEW} files"
    );
}

#[test]
fn many_files_of_ext4() {
    check("many_files_of_ext4", &EXT4, MANY);
}

#[test]
fn many_files_of_xfs() {
    check("many_files_of_xfs", &XFS, MANY);
}

#[test]
fn many_files_of_btrfs() {
    check("many_files_of_btrfs", &BTRFS, MANY);
}

#[test]
fn many_files_of_ntfs() {
    check("many_files_of_ntfs", &NTFS, MANY);
}

#[test]
fn many_files_of_exfat() {
    // Its driver takes its time.
    check("many_files_of_exfat", &EXFAT, 2000);
}

#[test]
fn many_files_of_fat() {
    check("many_files_of_fat", &FAT, MANY);
}
