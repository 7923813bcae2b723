//! What files have besides their contents, in folders and tar archives that they are restored into.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{
    FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink,
};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::image::noise;

use crate::bench::{Bench, vm};
use crate::guest_driver::{EXT4, Mounted, NTFS, made};
use crate::guest_files::tool;

const MIB: u64 = 1 << 20;

/// What is compared of a file or folder; times are in nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct About {
    mode: u32,
    owner: (u32, u32),
    modified: i128,
    /// Of files: folders are read while they are looked at.
    accessed: Option<i128>,
    /// As getfattr prints them.
    xattrs: Vec<String>,
}

/// Extended attributes of a file, and not of what a link leads to.
fn xattrs(path: &Path) -> Vec<String> {
    let words = ["-d", "-m", "-", "-h", "-e", "hex", "--absolute-names"];
    let output = Command::new("getfattr").args(words).arg(path).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains('='));
    let mut all: Vec<_> = lines.map(str::to_owned).collect();
    all.sort();
    all
}

fn set(path: &Path, name: &str, value: &str) {
    let words = ["-h", "-n", name, "-v", value, path.to_str().unwrap()];
    assert!(tool("setfattr", &words));
}

fn listed(root: &Path) -> BTreeMap<PathBuf, About> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("lost+found") {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let nanos =
                |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let accessed = nanos(about.atime(), about.atime_nsec());
            let one = About {
                mode: about.mode(),
                owner: (about.uid(), about.gid()),
                modified: nanos(about.mtime(), about.mtime_nsec()),
                accessed: about.is_file().then_some(accessed),
                xattrs: xattrs(&path),
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), one);
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
    all
}

/// A file with a hole of 8 MiB.
fn with_hole(path: &Path) {
    let file = File::create(path).unwrap();
    file.write_all_at(&noise(1, MIB as usize), 0).unwrap();
    file.write_all_at(b"end", 9 * MIB).unwrap();
    file.sync_all().unwrap();
}

fn time(path: &Path, word: &str, when: &str) {
    let words = ["-h", word, "-d", when, path.to_str().unwrap()];
    assert!(tool("touch", &words));
}

/// A restore point of an image, by its id.
fn point(bench: &Bench, image: &Path) -> String {
    bench.disk("data.raw", &fs::read(image).unwrap());
    let report = bench.backup(0);
    vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn restore(bench: &Bench, id: &str, to: &[&str], code: i32) -> Value {
    let words = ["restore", "files", id, "/d0", "--json"];
    bench.run(&[&words[..], to].concat()).ends(code).json()
}

fn messages(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|one| one["message"].as_str().unwrap())
        .collect()
}

fn unpacked(bench: &Bench, tar: &Path, name: &str) -> PathBuf {
    let to = bench.path(name);
    fs::create_dir(&to).unwrap();
    let words = [
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-xpf",
        tar.to_str().unwrap(),
        "-C",
        to.to_str().unwrap(),
    ];
    assert!(tool("tar", &words));
    to.join("d0")
}

#[test]
fn a_folder_and_a_tar_archive_keep_owners_attributes_times_and_holes() {
    let test = "a_folder_and_a_tar_archive_keep_owners_attributes_times_and_holes";
    let bench = Bench::new();
    let Some(image) = made(&bench, &EXT4) else {
        return;
    };
    let Some(mounted) = Mounted::new(test, EXT4.mount, &image) else {
        return;
    };
    let root = mounted.path();
    fs::create_dir(root.join("folder")).unwrap();
    let plain = root.join("folder/plain");
    fs::write(&plain, b"plain").unwrap();
    with_hole(&root.join("sparse"));
    symlink("folder/plain", root.join("link")).unwrap();
    for (path, name, value) in [
        ("folder/plain", "user.word", "0x610062"),
        ("folder/plain", "user.empty", "\"\""),
        ("folder", "user.of a folder", "yes"),
        ("sparse", "trusted.mine", "0xff"),
        // rwx for the owner, r-- for user 4242, r-x for all others.
        (
            "folder/plain",
            "system.posix_acl_access",
            "0x0200000001000600ffffffff02000400921000000400040\
             0ffffffff10000400ffffffff20000400ffffffff",
        ),
    ] {
        set(&root.join(path), name, value);
    }
    chown(&plain, Some(1234), Some(70_000)).unwrap();
    chown(root.join("folder"), Some(77), Some(0)).unwrap();
    lchown(root.join("link"), Some(5), Some(6)).unwrap();
    fs::set_permissions(root.join("folder"), Permissions::from_mode(0o2750)).unwrap();
    for path in ["folder/plain", "sparse", "link", "folder"] {
        time(&root.join(path), "-m", "2001-02-03 04:05:06.789012345 UTC");
        time(&root.join(path), "-a", "2011-12-13 14:15:16.000000017 UTC");
    }
    let original = listed(root);
    drop(mounted);
    let id = point(&bench, &image);

    let to = bench.path("restored");
    let report = restore(&bench, &id, &["--to", to.to_str().unwrap()], 0);
    assert_eq!(
        report["findings"].as_array().unwrap().len(),
        0,
        "{report:#}"
    );
    let mut ours = listed(&to.join("d0"));
    ours.remove(Path::new("lost+found"));
    assert_eq!(ours, original);
    let sparse = fs::metadata(to.join("d0/sparse")).unwrap();
    assert_eq!(sparse.len(), 9 * MIB + 3);
    assert!(
        sparse.blocks() * 512 < 2 * MIB,
        "{} blocks",
        sparse.blocks()
    );

    let tar = bench.path("files.tar");
    let report = restore(&bench, &id, &["--tar", tar.to_str().unwrap()], 0);
    assert_eq!(
        report["findings"].as_array().unwrap().len(),
        0,
        "{report:#}"
    );
    let root = unpacked(&bench, &tar, "unpacked");
    let mut ours = listed(&root);
    ours.remove(Path::new("lost+found"));
    for (path, theirs) in &original {
        let ours = &ours[path];
        assert_eq!(
            (ours.mode, ours.owner, ours.modified, &ours.xattrs),
            (theirs.mode, theirs.owner, theirs.modified, &theirs.xattrs),
            "{path:?}"
        );
    }
    assert_eq!(ours.len(), original.len());
}

/// Rights that a guest gives to a program are nobody's here; an archive tells of them.
#[test]
fn no_program_gets_capabilities_by_being_restored() {
    let test = "no_program_gets_capabilities_by_being_restored";
    let bench = Bench::new();
    let Some(image) = made(&bench, &EXT4) else {
        return;
    };
    let Some(mounted) = Mounted::new(test, EXT4.mount, &image) else {
        return;
    };
    let program = mounted.path().join("program");
    fs::write(&program, b"#!").unwrap();
    // cap_net_raw, effective.
    set(
        &program,
        "security.capability",
        "0x0100000200200000000000000000000000000000",
    );
    let before = xattrs(&program);
    assert_eq!(before.len(), 1);
    drop(mounted);
    let id = point(&bench, &image);
    let to = bench.path("restored");
    let report = restore(&bench, &id, &["--to", to.to_str().unwrap()], 3);
    assert_eq!(
        messages(&report),
        ["the right to run with capabilities is not kept here"]
    );
    assert_eq!(xattrs(&to.join("d0/program")), Vec::<String>::new());
    let tar = bench.path("files.tar");
    restore(&bench, &id, &["--tar", tar.to_str().unwrap()], 0);
    assert_eq!(
        xattrs(&unpacked(&bench, &tar, "unpacked").join("program")),
        before
    );
}

#[test]
fn streams_and_security_descriptors_go_where_they_can() {
    let test = "streams_and_security_descriptors_go_where_they_can";
    let bench = Bench::new();
    let Some(image) = made(&bench, &NTFS) else {
        return;
    };
    let Some(mounted) = Mounted::new(test, NTFS.mount, &image) else {
        return;
    };
    let root = mounted.path();
    fs::create_dir(root.join("folder")).unwrap();
    for name in ["one", "large", "many"] {
        fs::write(root.join("folder").join(name), name).unwrap();
    }
    set(&root.join("folder/one"), "user.small", "a stream");
    set(&root.join("folder"), "user.of a folder", "yes");
    // Streams of a file are extended attributes to this driver, of 64 KiB at most; so larger ones are written otherwise.
    let streams = Mounted::new;
    drop(mounted);
    let Some(mounted) = streams(
        test,
        &["ntfs-3g", "-o", "streams_interface=windows"],
        &image,
    ) else {
        return;
    };
    let root = mounted.path();
    fs::write(root.join("folder/large:big"), noise(1, 70_000)).unwrap();
    for number in 0..20 {
        let stream = format!("folder/many:s{number:02}");
        fs::write(root.join(stream), noise(number, 60_000)).unwrap();
    }
    drop(mounted);
    let Some(mounted) = Mounted::new(test, NTFS.mount, &image) else {
        return;
    };
    // The system's own, and everybody may read it.
    let descriptor = concat!(
        "0x0100048014000000200000000000000",
        "02c000000",
        // Owner and group, and the list with its one entry.
        "010100000000000512000000",
        "010100000000000512000000",
        "02001c0001000000",
        "00001400a9001200010100000000000100000000",
    );
    let one = mounted.path().join("folder/one");
    set(&one, "system.ntfs_acl", descriptor);
    let of = |path: &Path| {
        let words = [
            "-h",
            "-n",
            "system.ntfs_acl",
            "-e",
            "hex",
            "--absolute-names",
            "--only-values",
        ];
        let output = Command::new("getfattr")
            .args(words)
            .arg(path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let theirs = of(&one);
    drop(mounted);
    let id = point(&bench, &image);

    // A folder of Linux.
    let to = bench.path("restored");
    let report = restore(&bench, &id, &["--to", to.to_str().unwrap()], 3);
    let told = messages(&report);
    let has = |words: &str| told.iter().any(|one| one.starts_with(words));
    assert!(has("a security descriptor of Windows"), "{told:?}");
    // Of the large one.
    assert!(has("an alternate data stream is not kept"), "{told:?}");
    let small = "user.small=0x612073747265616d".to_owned();
    assert_eq!(xattrs(&to.join("d0/folder/one")), [small.as_str()]);
    assert_eq!(xattrs(&to.join("d0/folder")).len(), 1);

    // A tar archive, which has no more than 896 KiB of them for a file.
    let tar = bench.path("files.tar");
    let report = restore(&bench, &id, &["--tar", tar.to_str().unwrap()], 3);
    let told = messages(&report);
    let stream = told
        .iter()
        .find(|one| one.starts_with("an alternate data stream"));
    // The large one, and those of “many” for which there is no room any more.
    assert!(
        stream.is_some_and(|one| one.contains("; 5 others alike")),
        "{told:?}"
    );
    let finding = &report["findings"][0];
    assert!(
        !finding["hint"].as_str().unwrap().contains("tar"),
        "{finding:#}"
    );
    let listing = Command::new("tar")
        .args(["--xattrs", "-vvtf", tar.to_str().unwrap()])
        .output()
        .unwrap();
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    assert!(listing.contains(" 8 user.small"), "{listing}");
    assert!(listing.contains("user.of a folder"), "{listing}");
    assert_eq!(listing.matches(" 60000 user.s").count(), 15, "{listing}");

    // NTFS, which has all of it.
    let other = Bench::new();
    let Some(target) = made(&other, &NTFS) else {
        return;
    };
    let Some(mounted) = Mounted::new(test, NTFS.mount, &target) else {
        return;
    };
    let to = mounted.path().join("restored");
    let report = restore(&bench, &id, &["--to", to.to_str().unwrap()], 3);
    let told = messages(&report);
    assert!(
        told.iter().all(|one| !one.contains("security descriptor")),
        "{told:?}"
    );
    let ours = to.join("d0/folder/one");
    assert_eq!(of(&ours), theirs);
    assert_eq!(xattrs(&ours).iter().filter(|one| **one == small).count(), 1);
    drop(mounted);
}
