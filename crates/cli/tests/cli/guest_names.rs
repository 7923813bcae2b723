//! Names of a guest that are one name where its files go: each file is there, and whose name has changed is told.

use std::fs::{self, File};
use std::path::Path;

use serde_json::Value;
use testkit::vhd::oracle;

use crate::bench::{Bench, files_below, vm};
use crate::guest_driver::{EXFAT, Mounted, made};
use crate::guest_files::tool;

/// Those that Windows or a zip archive takes for the same stand together; each has its name in it.
const NAMES: [&str; 8] = [
    "a%3Ab",
    "a:b",
    "Docs/one",
    "docs/one",
    "docs/two",
    "README.txt",
    "Readme.txt",
    "readme (2).txt",
];

/// The id of a point with these files on an ext4; `None` skips.
fn point(bench: &Bench) -> Option<String> {
    let folder = bench.path("files");
    for name in NAMES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let image = bench.path("source/data.raw");
    File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let (from, to) = (folder.to_str().unwrap(), image.to_str().unwrap());
    if !tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", from, to]) {
        return None;
    }
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"].as_str().unwrap();
    Some(id.to_owned())
}

/// The contents of all files, in order: each is its own name in the guest.
fn contents(root: &Path) -> Vec<String> {
    let files = files_below(root).into_iter();
    let mut all: Vec<_> = files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    all.sort();
    all
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

/// Objects of findings that tell of another name.
fn renamed(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let told = findings.filter(|one| {
        let message = one["message"].as_str().unwrap();
        message.contains("has its name here already")
    });
    told.map(|one| one["object"].as_str().unwrap()).collect()
}

#[test]
fn no_file_takes_the_place_of_another_in_a_zip_archive() {
    let bench = Bench::new();
    let Some(id) = point(&bench) else { return };
    let words = ["restore", "files", &id, "/d0", "--zip", "a.zip", "--json"];
    let report = bench.run(&words).ends(3).json();
    // Four where the folder has `readme (2).txt` behind those that want a number.
    assert!(matches!(renamed(&report).len(), 3 | 4), "{report:#}");
    assert_eq!(report["restored"]["files"], NAMES.len());
    let Some(python) = oracle::python("zip archives", "zipfile") else {
        return;
    };
    let list = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nprint(*(f'{i.filename}|{z.read(i).decode()}' for i in z.infolist() if not i.is_dir()), sep='\\n')";
    let listed = python.run(list, &[&bench.path("a.zip")]).unwrap();
    let (mut places, mut found) = (Vec::new(), Vec::new());
    for line in listed.lines() {
        let (place, content) = line.split_once('|').unwrap();
        places.push(place.to_lowercase());
        found.push(content);
    }
    assert_eq!(sorted(&found), sorted(&NAMES));
    places.sort();
    places.dedup();
    assert_eq!(places.len(), NAMES.len(), "{listed}");
    // A folder with a number has all that is its own.
    let of = |content: &str| {
        let line = listed.lines().find(|line| line.ends_with(content));
        let place = line.unwrap().split('|').next().unwrap();
        place.rsplit_once('/').unwrap().0.to_owned()
    };
    assert_eq!(of("|docs/one"), of("|docs/two"));
    assert_ne!(of("|Docs/one"), of("|docs/one"));
}

#[test]
fn names_stay_where_all_of_them_are_different() {
    let bench = Bench::new();
    let Some(id) = point(&bench) else { return };
    let words = ["restore", "files", &id, "/d0", "--to", "out", "--json"];
    let report = bench.run(&words).ends(0).json();
    assert!(renamed(&report).is_empty(), "{report:#}");
    for name in NAMES {
        let at = bench.path("out/d0").join(name);
        assert_eq!(fs::read_to_string(at).unwrap(), name);
    }
    let words = ["restore", "files", &id, "/d0", "--tar", "a.tar", "--json"];
    let report = bench.run(&words).ends(0).json();
    assert!(renamed(&report).is_empty(), "{report:#}");
}

/// Names of exFAT are the same for Linux that are so for Windows.
#[test]
fn no_file_takes_the_place_of_another_where_case_does_not_count() {
    let bench = Bench::new();
    let Some(id) = point(&bench) else { return };
    let Some(image) = made(&bench, &EXFAT) else {
        return;
    };
    let Some(mounted) = Mounted::new("names on exFAT", EXFAT.mount, &image) else {
        return;
    };
    let to = mounted.path().to_str().unwrap();
    let words = [
        "restore", "files", &id, "/d0/?ocs", "/d0/R*", "/d0/r*", "--to", to, "--json",
    ];
    let report = bench.run(&words).ends(3).json();
    assert_eq!(renamed(&report).len(), 3, "{report:#}");
    assert_eq!(contents(mounted.path()), sorted(&NAMES[2..]));
}
