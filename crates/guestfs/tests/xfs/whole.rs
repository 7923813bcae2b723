//! File systems that were unmounted, in all their variants.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::xfs::Xfs;
use hyperkeep_guestfs::{Error, FileSystem as _, How};

use crate::made::{compare, mkfs, populate};
use crate::support;

#[test]
fn every_variant_is_read_as_the_kernel_reads_it() {
    let test = "every_variant_is_read_as_the_kernel_reads_it";
    let variants: [(&[&str], usize); 6] = [
        (&["-L", "Däta"], 12_000),
        (
            &[
                "-b",
                "size=1024",
                "-m",
                "rmapbt=1,reflink=1",
                "-n",
                "size=16384",
            ],
            4000,
        ),
        (&["-b", "size=65536", "-n", "size=65536"], 2000),
        (
            &[
                "-i",
                "size=1024,nrext64=1",
                "-b",
                "size=2048",
                "-n",
                "size=8192",
            ],
            1000,
        ),
        (
            &[
                "-m",
                "bigtime=0,inobtcount=0,finobt=0,reflink=0",
                "-i",
                "sparse=0",
                "-s",
                "size=4096",
            ],
            1000,
        ),
        (
            &["--unsupported", "-b", "size=1024", "-d", "agcount=9"],
            1000,
        ),
    ];
    for (words, many) in variants {
        let Some(made) = mkfs(test, 320, words) else {
            return;
        };
        let Some(mounted) = made.mounted(test, "rw") else {
            return;
        };
        populate(&mounted.path(), many);
        drop(mounted);
        compare(test, &made, "ro,norecovery", How::Clean);
    }
}

/// What blkid tells of an image.
fn told(image: &Path, tag: &str) -> String {
    let output = Command::new("blkid")
        .args(["-p", "-o", "value", "-s", tag])
        .arg(image)
        .output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn what_it_says_of_itself_is_what_others_say() {
    let test = "what_it_says_of_itself_is_what_others_say";
    let Some(made) = mkfs(test, 320, &["-L", "label", "-b", "size=2048"]) else {
        return;
    };
    let fs = made.open();
    let about = fs.about();
    assert_eq!((about.format, about.label.as_str()), ("xfs", "label"));
    assert_eq!((about.block, about.len), (2048, 320 << 20));
    assert_eq!(about.id, told(&made.image, "UUID"));
    assert!(about.state.notes.is_empty(), "{about:?}");
    assert!(support::read(&fs).is_empty());
    // Another UUID than the one that metadata is marked with.
    let other = "12345678-9abc-4def-8123-456789abcdef";
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    populate(&mounted.path(), 100);
    drop(mounted);
    crate::made::run("xfs_admin", &["-U", other], &[&made.image]);
    assert_eq!(made.open().about().id, other);
    compare(test, &made, "ro,norecovery", How::Clean);
}

fn write(image: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(image).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// Gives a field of the superblock another value by xfs_db, which makes its checksum right.
fn set(image: &Path, field: &str, value: &str) {
    let words = [
        "-x",
        "-c",
        "sb 0",
        "-c",
        &format!("write -d {field} {value}"),
    ];
    crate::made::run("xfs_db", &words, &[image]);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let test = "what_is_not_known_is_refused_by_name";
    for (bits, name) in [
        ("0x10", "needsrepair"),
        ("0x100", "metadir"),
        ("0x100000", "0x100000"),
    ] {
        let Some(made) = mkfs(test, 320, &[]) else {
            return;
        };
        let value = format!("{:#x}", 0xb | u32::from_str_radix(&bits[2..], 16).unwrap());
        set(&made.image, "features_incompat", &value);
        match Xfs::open(support::image(&made.image)) {
            Err(Error::Unsupported(why)) => assert!(why.contains(name), "{why}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{bits} was not noticed"),
        }
    }
}

#[test]
fn a_copy_of_the_superblock_will_do_and_is_told() {
    let test = "a_copy_of_the_superblock_will_do_and_is_told";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    populate(&mounted.path(), 100);
    drop(mounted);
    let before = support::read(&made.open());
    for (at, bytes) in [(8, &[1_u8, 2, 3][..]), (0, &[0; 512])] {
        write(&made.image, at, bytes);
        let fs = made.open();
        let state = &fs.about().state;
        assert_eq!(state.how, How::Damaged);
        assert!(
            state.notes[0].contains("its copy at byte 83886080"),
            "{state:?}"
        );
        support::same(&support::read(&fs), &before);
    }
}

#[test]
fn a_device_that_is_cut_is_told() {
    let test = "a_device_that_is_cut_is_told";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let file = OpenOptions::new().write(true).open(&made.image).unwrap();
    file.set_len(300 << 20).unwrap();
    let fs = made.open();
    let state = &fs.about().state;
    assert_eq!(state.how, How::Damaged);
    assert!(state.notes[0].contains("the rest is missing"), "{state:?}");
}

#[test]
fn files_that_are_elsewhere_are_told() {
    let test = "files_that_are_elsewhere_are_told";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    std::fs::write(mounted.path().join("file"), b"contents").unwrap();
    drop(mounted);
    let fs = made.open();
    let id = fs.find(fs.root(), &"file".into()).unwrap().unwrap();
    let inode = format!("inode {}", id.0);
    let words = ["-x", "-c", &inode, "-c", "write -d core.realtime 1"];
    crate::made::run("xfs_db", &words, &[&made.image]);
    let fs = made.open();
    assert!(fs.node(id).unwrap().obstacle.is_some());
    assert!(matches!(fs.open(id, None), Err(Error::Obstacle(_))));
    // A log that is on another device as well.
    set(&made.image, "logstart", "0");
    let fs = made.open();
    let state = &fs.about().state;
    assert_eq!(state.how, How::NotReplayed);
    assert!(
        state.notes[0].contains("a log on another device"),
        "{state:?}"
    );
}
