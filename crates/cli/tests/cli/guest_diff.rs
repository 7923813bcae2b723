//! What changed of a guest's files between two backups, against what the kernel, or another driver, lists of
//! them before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::Value;
use testkit::crash::Random;
use testkit::image::noise;
use testkit::vary;

use crate::bench::{Bench, patch};
use crate::guest_driver::{
    BTRFS, EXFAT, EXT4, Kind, Mounted, NTFS, Seen, XFS, listed, made, put, touch,
};

fn fill(root: &Path, random: &mut Random, clock: &mut u64, kind: &Kind) {
    for folder in 0..12 {
        let mut path = root.join(format!("folder {folder}"));
        if folder % 3 == 2 {
            path = root.join(format!("folder {}/deep/er", folder - 1));
        }
        fs::create_dir_all(&path).unwrap();
        for file in 0..15 {
            let len = [0, 20, 700, 5000, 90_000][random.below(5) as usize];
            let len = len + random.below(100) as usize;
            put(
                &path.join(format!("file {file}")),
                &noise(random.number(), len),
                clock,
            );
        }
        if kind.unix {
            symlink("file 1", path.join("link")).unwrap();
        }
    }
    put(&root.join("large"), &noise(7, 3 << 20), clock);
}

/// Changes some of it, in all the ways that there are.
fn change(root: &Path, random: &mut Random, clock: &mut u64, kind: &Kind) {
    // Names that no earlier round had.
    let round = *clock;
    for turn in 0..40 {
        let all: Vec<(String, &str)> = listed(root)
            .into_iter()
            .map(|(path, seen)| (path, seen.kind))
            .collect();
        let mut pick = |wanted: &str| {
            let of_kind: Vec<&String> = all
                .iter()
                .filter(|(path, kind)| *kind == wanted && path != "large")
                .map(|(path, _)| path)
                .collect();
            let at = random.below(of_kind.len() as u64) as usize;
            root.join(of_kind[at])
        };
        let (file, other, folder, into) =
            (pick("file"), pick("file"), pick("folder"), pick("folder"));
        let link = kind.unix.then(|| pick("link"));
        let new = |name: &str| root.join(format!("{name} {round} {turn}"));
        match turn % 14 {
            0 => put(
                &into.join(format!("new {round} {turn}")),
                &noise(round + turn, 30_000),
                clock,
            ),
            1 => fs::remove_file(&file).unwrap(),
            2 => {
                // A few bytes in the middle, at the same length.
                let bytes = OpenOptions::new()
                    .write(true)
                    .open(root.join("large"))
                    .unwrap();
                bytes
                    .write_all_at(b"changed", random.below(3 << 20) & !7)
                    .unwrap();
                drop(bytes);
                touch(&root.join("large"), clock);
            }
            3 => fs::rename(&file, new("renamed")).unwrap(),
            4 => fs::rename(&file, into.join(format!("moved {round} {turn}"))).unwrap(),
            5 if !into.starts_with(&folder) => {
                fs::rename(&folder, into.join(format!("moved folder {round} {turn}"))).unwrap();
            }
            6 => {
                let name = folder.with_file_name(format!("renamed folder {round} {turn}"));
                fs::rename(&folder, name).unwrap();
            }
            7 => fs::remove_dir_all(&folder).unwrap(),
            8 if kind.unix => {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            }
            9 => {
                let len = fs::metadata(&file).unwrap().len();
                let bytes = OpenOptions::new().write(true).open(&file).unwrap();
                bytes.set_len(len / 2).unwrap();
                drop(bytes);
                touch(&file, clock);
            }
            10 => {
                // What an editor does: the same name, and another file.
                let copy = new("copy");
                put(&copy, &noise(round + turn, 4000), clock);
                fs::rename(&copy, &other).unwrap();
            }
            11 => touch(&file, clock),
            12 => {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
                put(&file.join("in it"), b"was a file", clock);
            }
            _ => {
                if let Some(link) = link {
                    fs::remove_file(&link).unwrap();
                    symlink("elsewhere", &link).unwrap();
                }
            }
        }
    }
}

fn members<'a>(document: &'a Value, change: &str) -> Vec<&'a Value> {
    let all = document["changes"].as_array().unwrap().iter();
    all.filter(|one| one["change"] == change).collect()
}

fn path(value: &Value) -> String {
    let path = value.as_str().unwrap();
    let within = path.split_once('/').map(|(_, within)| within);
    within.unwrap_or_default().to_owned()
}

/// What is told is what differs between the two lists, and nothing else.
fn agrees(
    document: &Value,
    before: &BTreeMap<String, Seen>,
    after: &BTreeMap<String, Seen>,
    kind: &Kind,
) {
    let set = |change| -> BTreeSet<String> {
        let all = members(document, change);
        let set: BTreeSet<String> = all.iter().map(|one| path(&one["path"])).collect();
        assert_eq!(set.len(), all.len(), "{change}: nothing is told twice");
        set
    };
    let (added, removed) = (set("added"), set("removed"));
    let renamed: BTreeMap<String, String> = members(document, "renamed")
        .iter()
        .map(|one| (path(&one["from"]), path(&one["path"])))
        .collect();
    assert!(kind.name != "exfat" || renamed.is_empty());
    // Where each name of before is, by what was told.
    let now = |name: &str| {
        let mut at = name;
        loop {
            if let Some(new) = renamed.get(at) {
                return format!("{new}{}", &name[at.len()..]);
            }
            match at.rsplit_once('/') {
                Some((above, _)) => at = above,
                None => return name.to_owned(),
            }
        }
    };
    let stayed: BTreeMap<String, String> = before
        .keys()
        .filter(|name| !removed.contains(*name))
        .map(|name| (now(name), name.clone()))
        .collect();
    let told: BTreeSet<&String> = stayed.keys().chain(&added).collect();
    assert_eq!(told, after.keys().collect(), "{document:#}");
    assert_eq!(stayed.len() + added.len(), after.len());
    assert!(removed.iter().all(|name| before.contains_key(name)));

    let empty = Vec::new();
    let mut what: BTreeMap<String, &Vec<Value>> = BTreeMap::new();
    for change in ["changed", "renamed"] {
        for one in members(document, change) {
            let list = one["what"].as_array().unwrap();
            assert!(what.insert(path(&one["path"]), list).is_none());
        }
    }
    for (name, old) in &stayed {
        let (was, is) = (&before[old], &after[name]);
        let told = what.remove(name).unwrap_or(&empty);
        let has = |word: &str| told.iter().any(|one| one == word);
        let context = format!("{old} -> {name}: {told:?}");
        assert_eq!(has("kind"), was.kind != is.kind, "{context}");
        if was.kind == is.kind {
            let word = if is.kind == "link" {
                "target"
            } else {
                "contents"
            };
            assert_eq!(has(word), was.what != is.what, "{context}");
        }
        if kind.unix {
            assert_eq!(has("mode"), was.mode != is.mode, "{context}");
            assert_eq!(has("owner"), was.owner != is.owner, "{context}");
        }
        if was.kind == "file" && is.kind == "file" {
            let written = was.modified != is.modified;
            assert!(has("times") || !written, "{context}");
            // Another file of the same name was made at another time.
            assert!(
                !has("times") || written || was.id != is.id || !kind.ids,
                "{context}"
            );
        }
        if renamed.contains_key(old) && kind.ids {
            assert_eq!(was.id, is.id, "{context}: it is another one");
        }
    }
    assert!(what.is_empty(), "changes of what is not there: {what:?}");
    if kind.ids {
        // What is still there is never told as removed.
        let ids: BTreeSet<_> = added.iter().map(|name| after[name].id).collect();
        let lost = removed.iter().find(|name| ids.contains(&before[*name].id));
        assert_eq!(lost, None, "{document:#}");
    }
}

/// Where the disk lies that is backed up.
pub(crate) const DISK: &str = "source/a.raw";

/// How a file system lies on the disk that is backed up.
pub(crate) struct Within<'a> {
    /// What its volume is called.
    pub(crate) volume: &'a str,
    /// What opens it.
    pub(crate) words: &'a [&'a str],
    /// Brings an image of it onto the disk.
    pub(crate) carry: &'a dyn Fn(&Path),
}

fn model(kind: &Kind) {
    let bench = Bench::new();
    let whole = |image: &Path| {
        fs::copy(image, bench.path(DISK)).unwrap();
    };
    let within = Within {
        volume: "d0",
        words: &[],
        carry: &whole,
    };
    model_within(&bench, kind, &within);
}

/// Compares what is told of changes with what a driver sees of them.
pub(crate) fn model_within(bench: &Bench, kind: &Kind, within: &Within<'_>) {
    let Some(image) = made(bench, kind) else {
        return;
    };
    let diff = |words: &[&str]| {
        let document = bench.diff(&[words, within.words].concat());
        let begin = format!("{}/", within.volume);
        for one in document["changes"].as_array().unwrap() {
            let path = one["path"].as_str().unwrap();
            assert!(path.starts_with(&begin), "{path}");
        }
        document
    };
    let mount = || Mounted::new(kind.name, kind.mount, &image);
    let mut random = Random(vary::seed(41));
    let mut clock = 1_600_000_000;
    let Some(mounted) = mount() else { return };
    fill(mounted.path(), &mut random, &mut clock, kind);
    drop(mounted);
    let mut before = listed(mount().unwrap().path());
    (within.carry)(&image);
    bench.backup_any();
    let first = bench.latest("a.raw");
    let (mut old, mut rounds) = (first.clone(), Vec::new());
    for _ in 0..vary::cases(2) {
        let mounted = mount().unwrap();
        change(mounted.path(), &mut random, &mut clock, kind);
        drop(mounted);
        let after = listed(mount().unwrap().path());
        (within.carry)(&image);
        bench.backup_any();
        let new = bench.latest("a.raw");
        rounds.push((old.clone(), new.clone(), before.clone(), after.clone()));
        (old, before) = (new, after);
    }
    for (old, new, before, after) in &rounds {
        let quick = diff(&[old, new]);
        agrees(&quick, before, after, kind);
        let thorough = diff(&[old, new, "--thorough"]);
        let changes = |document: &Value| -> Vec<String> {
            let all = document["changes"].as_array().unwrap().iter();
            // By what it is known may differ.
            all.map(|one| format!("{} {} {}", one["change"], one["path"], one["what"]))
                .collect()
        };
        assert_eq!(changes(&quick), changes(&thorough));
        // And back.
        agrees(&diff(&[new, old]), after, before, kind);
    }
    let (_, last, _, after) = rounds.last().unwrap();
    let none = diff(&[last, last]);
    assert_eq!(none["changes"], Value::Array(Vec::new()));
    let volumes = none["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|one| one["volume"] == within.volume);
    // By its key a volume is another one than the maps tell of.
    let differing = &volume.unwrap()["differing"];
    assert!(differing == 0 || !within.words.is_empty(), "{none:#}");
    // From the first to the last, through a folder alone.
    let whole = diff(&[&first, last]);
    agrees(&whole, &rounds[0].2, after, kind);
}

impl Bench {
    /// Backs up the source, whatever is told of the guest.
    fn backup_any(&self) {
        self.run(&["backup", "folder:source", "--json"]).ends(0);
    }

    fn latest(&self, name: &str) -> String {
        let shown = self
            .run(&["show", &format!("{name}@latest"), "--json"])
            .ends(0)
            .json();
        shown["point"]["id"].as_str().unwrap().to_owned()
    }

    /// Compares; that a file system was in use is a warning.
    pub(crate) fn diff(&self, args: &[&str]) -> Value {
        let answer = self.run(&[&["diff", "--json"], args].concat());
        assert!(matches!(answer.code, 0 | 3), "{answer:?}");
        answer.json()
    }
}

#[test]
fn changes_of_ext4_are_those_that_the_kernel_sees() {
    model(&EXT4);
}

#[test]
fn changes_of_btrfs_are_those_that_the_kernel_sees() {
    model(&BTRFS);
}

#[test]
fn changes_of_ntfs_are_those_that_its_driver_sees() {
    model(&NTFS);
}

#[test]
fn changes_of_xfs_are_those_that_the_kernel_sees() {
    model(&XFS);
}

#[test]
fn changes_of_exfat_are_those_that_its_driver_sees() {
    model(&EXFAT);
}

/// A write whose file tells nothing of it: times and length are what they were.
#[test]
fn a_change_that_no_time_tells_is_found_and_costs_little() {
    let bench = Bench::new();
    let big = Kind { mib: 256, ..EXT4 };
    let Some(image) = made(&bench, &big) else {
        return;
    };
    let Some(mounted) = Mounted::new("diff", big.mount, &image) else {
        return;
    };
    let root = mounted.path().to_owned();
    for folder in 0..40 {
        let folder = root.join(format!("{folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..50 {
            let bytes = noise(file, 60_000);
            fs::write(folder.join(format!("{file}")), bytes).unwrap();
        }
    }
    drop(mounted);
    let bytes = fs::read(&image).unwrap();
    fs::write(bench.path("source/a.raw"), &bytes).unwrap();
    bench.backup_any();
    let old = bench.latest("a.raw");

    // In the image itself, past the driver, as nothing else leaves all times alone.
    let wanted = &noise(7, 60_000)[8192..9216];
    let places: Vec<usize> = (0..bytes.len() / 1024)
        .map(|block| block * 1024)
        .filter(|at| bytes[*at..].starts_with(wanted))
        .collect();
    assert_eq!(places.len(), 40, "one in each folder");
    patch(&bench.path("source/a.raw"), places[7] as u64 + 9, b"secret");
    bench.backup_any();
    let new = bench.latest("a.raw");
    let document = bench.diff(&[&old, &new]);
    let changes = document["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{document:#}");
    assert_eq!(changes[0]["what"], serde_json::json!(["contents"]));
    assert_eq!(changes[0]["by"], "read");
    // The file may share its chunk with neighbours, which are read then: where chunks are cut is by chance.
    let same = |by: &str| document["counts"][by].as_u64().unwrap();
    assert_eq!(same("same_by_map") + same("same_by_reading"), 1999);
    assert!(same("same_by_map") > 1980, "{document:#}");
    // 2000 files of 120 MB: read are their inodes at both moments, names, and parts of one file.
    let read = document["read"].as_u64().unwrap();
    assert!(read < 6 << 20, "{read} bytes were read");
    let thorough = bench.diff(&[&old, &new, "--thorough"]);
    assert!(thorough["read"].as_u64().unwrap() > 200 << 20);
    assert_eq!(thorough["changes"], document["changes"]);
}

#[test]
fn a_file_system_is_told_as_it_was_caught() {
    let bench = Bench::new();
    let Some(image) = made(&bench, &EXT4) else {
        return;
    };
    let Some(mounted) = Mounted::new("evidence", EXT4.mount, &image) else {
        return;
    };
    put(&mounted.path().join("one"), b"one", &mut 1_600_000_000);
    let file = File::create(mounted.path().join("two")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    file.sync_all().unwrap();
    fs::copy(&image, bench.path("source/a.raw")).unwrap();
    bench.backup_any();
    let caught = bench.latest("a.raw");
    drop(file);
    drop(mounted);
    fs::copy(&image, bench.path("source/a.raw")).unwrap();
    bench.backup_any();
    let closed = bench.latest("a.raw");
    let found = |id: &str| {
        let shown = bench.run(&["show", id, "--json"]).ends(0).json();
        let volume = &shown["evidence"][0]["volumes"][0];
        assert_eq!(volume["what"], "ext4", "{shown:#}");
        volume["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(found(&caught), "needs-replay");
    assert_eq!(found(&closed), "clean");
    // What the guest had promised is there, though its journal alone had it.
    let document = bench.diff(&[&caught, &closed]);
    assert_eq!(members(&document, "removed"), Vec::<&Value>::new());
    let listed = bench
        .run(&["find", &caught, "two", "--json"])
        .ends(0)
        .json();
    assert_eq!(listed["files"][0]["bytes"], 3);
    let report = bench.run(&["verify", "a.raw", "--json"]).ends(0).json();
    let verdicts: Vec<&Value> = report["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| &point["evidence"][0]["volumes"][0]["verdict"])
        .collect();
    assert_eq!(verdicts, ["needs-replay", "clean"]);
}
