//! Files of guests as a zip archive, and where there are no hard links, as others read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::vhd::oracle;

use crate::bench::{Bench, vm};
use crate::guest_files::{disk, same, tool};

/// A point with a disk, and the files that are on its second volume.
pub(crate) fn point(bench: &Bench) -> Option<(String, PathBuf)> {
    let (bytes, original) = disk(bench, "one", 1)?;
    bench.disk("data.raw", &bytes);
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"].as_str().unwrap();
    Some((id.to_owned(), original))
}

/// The one finding of a report is that hard links became copies.
fn only_copies(report: &Value) {
    let findings = report["findings"].as_array().unwrap();
    let told: Vec<&str> = findings
        .iter()
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 1, "{report:#}");
    assert!(
        told[0].starts_with("that two names are one file"),
        "{told:?}"
    );
    assert_eq!(findings[0]["code"], "not-covered");
}

/// Whether `unzip` is there, and has done so.
fn unzip(archive: &Path, to: &Path) -> bool {
    let mut command = Command::new("unzip");
    command.arg("-q").arg(archive).arg("-d").arg(to);
    // Else it writes names in ASCII.
    match command.env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            true
        }
        Err(error) => {
            oracle::skip("zip archives", &format!("unzip: {error}"));
            false
        }
    }
}

#[test]
fn a_zip_archive_has_what_the_guest_has() {
    let bench = Bench::new();
    let Some((id, original)) = point(&bench) else {
        return;
    };
    let file = bench.path("files.zip");
    let words = [
        "restore",
        "files",
        &id,
        "/d0p2",
        "--zip",
        "files.zip",
        "--json",
    ];
    only_copies(&bench.run(&words).ends(3).json());
    let again = bench.run(&words).ends(1).json();
    assert!(
        again["error"]["message"]
            .as_str()
            .unwrap()
            .contains("already exists")
    );

    let to = bench.path("unzipped");
    if !unzip(&file, &to) {
        return;
    }
    same(&to.join("d0p2"), &original, false);
    for name in ["empty", "hello.txt", "deep", "deep/er/est"] {
        let about = |root: &Path| fs::symlink_metadata(root.join(name)).unwrap();
        let (ours, theirs) = (about(&to.join("d0p2")), about(&original));
        assert_eq!(
            ours.permissions().mode(),
            theirs.permissions().mode(),
            "{name}"
        );
    }
    assert_eq!(fs::read(to.join("d0p2/again.txt")).unwrap(), b"number 1\n");

    // The same into a pipe, which nobody can go back in.
    let words = ["restore", "files", &id, "/d0p2/deep", "--zip", "-"];
    let output = bench.command(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let piped = bench.path("piped.zip");
    fs::write(&piped, &output.stdout).unwrap();
    let Some(python) = oracle::python("zip archives", "zipfile") else {
        return;
    };
    let list = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(*sorted(z.namelist()), sep='|')";
    let listed = python.run(list, &[&piped]).unwrap();
    let expected = [
        "d0p2/deep/",
        "d0p2/deep/er/",
        "d0p2/deep/er/est/",
        "d0p2/deep/er/est/ünï 100%41.txt",
        "d0p2/deep/large.bin",
    ];
    assert_eq!(listed, expected.join("|"));
    // One place, and not two.
    let two = ["restore", "files", &id, "/d0p2", "--zip", "a", "--to", "b"];
    bench.run(&two).ends(2);
    bench
        .run(&["restore", "files", &id, "/d0p2", "--zip", "vault/x"])
        .ends(2);
}

/// A file system that is mounted while this lives.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// FAT has no hard links: what cannot be kept is told, and the contents are there.
#[test]
fn hard_links_become_copies_where_there_are_none() {
    let bench = Bench::new();
    let Some((id, _)) = point(&bench) else {
        return;
    };
    let image = bench.path("target.img");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    if !tool("mkfs.fat", &["-F", "32", image.to_str().unwrap()]) {
        return;
    }
    let at = bench.path("mounted");
    fs::create_dir(&at).unwrap();
    let mount = Command::new("mount")
        .args(["-o", "loop", "-t", "vfat"])
        .arg(&image)
        .arg(&at)
        .output();
    match mount {
        Ok(output) if output.status.success() => {}
        other => {
            eprintln!("skipped: hard links on FAT (nothing can be mounted here: {other:?})");
            return;
        }
    }
    let mounted = Mounted(at);
    let to = mounted.0.to_str().unwrap();
    let words = [
        "restore",
        "files",
        &id,
        "/d0p2/hello.txt",
        "/d0p2/again.txt",
        "--to",
        to,
        "--json",
    ];
    let report = bench.run(&words).ends(3).json();
    let told = report["findings"].to_string();
    assert!(told.contains("that two names are one file"), "{report:#}");
    assert_eq!(report["restored"]["files"], 2);
    for name in ["hello.txt", "again.txt"] {
        let copy = mounted.0.join("d0p2").join(name);
        assert_eq!(fs::read(copy).unwrap(), b"number 1\n", "{name}");
    }
}
