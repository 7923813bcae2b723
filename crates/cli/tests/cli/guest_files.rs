//! Files of guests out of restore points: listed, found and restored, from any checkpoint.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::image::noise;
use testkit::vhd::oracle;

use crate::bench::{Bench, files_below, vm};

const MIB: u64 = 1 << 20;
/// Where the two partitions lie.
const FAT: u64 = MIB;
const BTRFS: u64 = 32 * MIB;
const LEN: u64 = 192 * MIB;

/// Runs a tool on files; false, and told by name, where there is none.
pub(crate) fn tool(program: &str, args: &[&str]) -> bool {
    match Command::new(program).args(args).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program} {args:?}: {output:?}");
            true
        }
        Err(error) => {
            oracle::skip("guest files", &format!("{program}: {error}"));
            false
        }
    }
}

/// Files of all kinds below a folder.
fn fill(folder: &Path, number: u64) {
    fs::create_dir_all(folder.join("deep/er/est")).unwrap();
    fs::write(folder.join("hello.txt"), format!("number {number}\n")).unwrap();
    fs::write(folder.join("deep/large.bin"), noise(number, 3 << 20)).unwrap();
    fs::write(folder.join("deep/er/est/ünï 100%41.txt"), b"odd").unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
}

/// A disk with a FAT and a btrfs, made of two folders; `None` without the tools.
pub(crate) fn disk(bench: &Bench, name: &str, number: u64) -> Option<(Vec<u8>, PathBuf)> {
    let folder = bench.path(&format!("{name}.files"));
    fill(&folder, number);
    let whole = bench.path(&format!("{name}.img"));
    let part = |name_of: &str, len: u64| {
        let path = bench.path(&format!("{name}.{name_of}"));
        fs::File::create(&path).unwrap().set_len(len).unwrap();
        path
    };
    let fat = part("fat", BTRFS - FAT);
    let fat_name = fat.to_str().unwrap();
    let files = folder.join("deep");
    let copied = ["-i", fat_name, "-s", "-m", files.to_str().unwrap(), "::/"];
    if !tool("mkfs.fat", &["-F", "16", "-n", "BOOT", fat_name]) || !tool("mcopy", &copied) {
        return None;
    }
    // What only file systems of Unix have.
    symlink("deep/large.bin", folder.join("link")).unwrap();
    fs::hard_link(folder.join("hello.txt"), folder.join("again.txt")).unwrap();
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("empty"), private).unwrap();
    let btrfs = part("btrfs", LEN - BTRFS - MIB);
    let root = [
        "--rootdir",
        folder.to_str().unwrap(),
        "-L",
        "data",
        btrfs.to_str().unwrap(),
    ];
    if !tool("mkfs.btrfs", &root) {
        return None;
    }
    fs::File::create(&whole).unwrap().set_len(LEN).unwrap();
    let table = format!(
        "label: gpt\nstart={}, size={}, type=uefi, name=boot\nstart={}, size={}, name=data\n",
        FAT / 512,
        (BTRFS - FAT) / 512,
        BTRFS / 512,
        (LEN - BTRFS - MIB) / 512
    );
    let sfdisk = oracle::sfdisk("guest files")?;
    sfdisk.write(&whole, &table).unwrap();
    let mut bytes = fs::read(&whole).unwrap();
    for (at, part) in [(FAT, fat), (BTRFS, btrfs)] {
        let part = fs::read(part).unwrap();
        bytes[at as usize..][..part.len()].copy_from_slice(&part);
    }
    Some((bytes, folder))
}

/// All that is below two folders is alike.
pub(crate) fn same(restored: &Path, original: &Path, modes: bool) {
    let names = |root: &Path| -> Vec<PathBuf> {
        let all = files_below(root).into_iter();
        all.map(|path| path.strip_prefix(root).unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(restored), names(original));
    for name in names(original) {
        let (ours, theirs) = (restored.join(&name), original.join(&name));
        let (a, b) = (
            fs::symlink_metadata(&ours).unwrap(),
            fs::symlink_metadata(&theirs).unwrap(),
        );
        assert_eq!(a.file_type(), b.file_type(), "{name:?}");
        if a.is_symlink() {
            assert_eq!(
                fs::read_link(&ours).unwrap(),
                fs::read_link(&theirs).unwrap()
            );
            continue;
        }
        assert!(
            fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
            "{name:?}"
        );
        // FAT counts in two seconds.
        assert!((a.mtime() - b.mtime()).abs() <= 2, "{name:?}");
        if modes {
            // Not every mkfs.btrfs keeps parts of seconds.
            assert_eq!((a.mode(), a.nlink()), (b.mode(), b.nlink()), "{name:?}");
        }
    }
}

fn paths(document: &Value) -> Vec<String> {
    let all = document["files"].as_array().unwrap().iter();
    all.map(|one| one["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn files_are_listed_found_and_restored_out_of_a_disk() {
    let bench = Bench::new();
    let Some((bytes, original)) = disk(&bench, "one", 1) else {
        return;
    };
    bench.disk("data.raw", &bytes);
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned();

    let seen = bench
        .run(&["ls", &format!("{id}:/"), "--json"])
        .ends(0)
        .json();
    let volumes = seen["volumes"].as_array().unwrap();
    let told: Vec<_> = volumes
        .iter()
        .map(|one| ["volume", "what", "label", "state"].map(|key| one[key].clone()))
        .collect();
    let expected = [
        ["d0p1", "vfat", "BOOT", "clean"].map(|word| json!(word)),
        ["d0p2", "btrfs", "data", "clean"].map(|word| json!(word)),
    ];
    assert_eq!(told, expected, "{seen:#}");

    let ls = |path: &str| bench.run(&["ls", &format!("{id}:{path}"), "--json"]);
    let listed = ls("/d0p2").ends(0).json();
    assert_eq!(
        paths(&listed),
        [
            "d0p2/again.txt",
            "d0p2/deep",
            "d0p2/empty",
            "d0p2/hello.txt",
            "d0p2/link"
        ]
    );
    assert_eq!(listed["files"][4]["target"], "deep/large.bin");
    assert_eq!(listed["files"][2]["mode"], 0o600);
    let odd = "d0p2/deep/er/est/ünï 100%2541.txt";
    assert_eq!(paths(&ls("/d0p2/deep/er/est").ends(0).json()), [odd]);
    assert_eq!(paths(&ls(&format!("/{odd}")).ends(0).json()), [odd]);
    for (path, words) in [
        ("/d0p3", "there are d0p1, d0p2"),
        ("/d0p2/deep/none", "/deep/none is not there"),
        ("/d0p2/hello.txt/x", "in something that is no folder"),
    ] {
        let failed = ls(path).ends(1);
        assert!(failed.err.contains(words), "{path}: {}", failed.err);
    }

    let find = |pattern: &str| bench.run(&["find", &id, pattern, "--json"]).ends(0).json();
    let found = paths(&find("*.txt"));
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(
        paths(&find("/*/deep/l*")),
        ["d0p1/deep/large.bin", "d0p2/deep/large.bin"]
    );

    let out = bench.path("restored");
    let to = out.to_str().unwrap();
    let report = bench
        .run(&[
            "restore",
            "files",
            &id,
            "/d0p2",
            "/d0p1/deep",
            "--to",
            to,
            "--json",
        ])
        .ends(0)
        .json();
    assert_eq!(report["restored"]["links"], 1, "{report:#}");
    same(&out.join("d0p2"), &original, true);
    same(
        &out.join("d0p1/deep"),
        &original.join("deep").clone(),
        false,
    );
}

#[test]
fn nothing_is_overwritten_or_written_through_a_link_and_what_is_not_there_is_told() {
    let bench = Bench::new();
    let Some((bytes, original)) = disk(&bench, "one", 1) else {
        return;
    };
    bench.disk("data.raw", &bytes);
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned();
    let out = bench.path("restored");
    fs::create_dir_all(out.join("d0p2")).unwrap();
    fs::write(out.join("d0p2/hello.txt"), b"mine").unwrap();
    let elsewhere = bench.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, out.join("d0p2/deep")).unwrap();
    let to = out.to_str().unwrap();
    let restore = |path: &str| bench.run(&["restore", "files", &id, path, "--to", to, "--json"]);
    let report = restore("/d0p2").ends(4).json();
    assert_eq!(fs::read(out.join("d0p2/hello.txt")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let codes: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.iter().all(|code| *code == "target-exists"),
        "{report:#}"
    );
    assert!(out.join("d0p2/empty").exists() && out.join("d0p2/link").is_symlink());
    let none = restore("/d0p2/no*").ends(1).json();
    assert_eq!(none["findings"][0]["code"], "nothing-selected");

    // The whole of it as an archive, read by another program.
    let tar = bench.path("files.tar");
    let archive = [
        "restore",
        "files",
        &id,
        "/d0p2",
        "--tar",
        tar.to_str().unwrap(),
    ];
    bench.run(&archive).ends(0);
    bench.run(&archive).ends(1);
    let unpacked = bench.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let args = [
        "-xpf",
        tar.to_str().unwrap(),
        "-C",
        unpacked.to_str().unwrap(),
    ];
    if tool("tar", &args) {
        same(&unpacked.join("d0p2"), &original, true);
    }
}
