//! What is told of encrypted volumes by their keys, besides their files: how consistent they are, and what is damaged.

use std::fs;

use serde_json::Value;

use crate::bench::{Bench, files_below, vm};
use crate::guest_keys::{MIB, machine, tool};

const BOTH: [&str; 4] = ["--volume-key", "d0p1=typed", "--volume-key", "d0p2=keyfile"];

/// Verdicts by volumes.
fn verdicts(evidence: &Value) -> Vec<(&str, &str, &str)> {
    let volumes = evidence["volumes"].as_array().unwrap().iter();
    volumes
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or("-");
            (text("volume"), text("encrypted"), text("verdict"))
        })
        .collect()
}

#[test]
fn encrypted_volumes_are_told_as_such_and_looked_into_by_their_keys() {
    let bench = Bench::new();
    if machine(&bench).is_none() {
        return;
    }
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned();
    let shut = bench.run(&["show", &id, "--json"]).ends(0).json();
    let shut = verdicts(&shut["evidence"][0]);
    let expected = [
        ("d0p1", "LUKS2", "encrypted"),
        ("d0p2", "LUKS2", "encrypted"),
        ("d0p3", "-", "clean"),
    ];
    assert_eq!(shut, expected);
    let open = bench.run(&[&["show", &id, "--json"], &BOTH[..]].concat());
    let open = open.ends(0).json();
    let expected = [
        ("d0p1", "LUKS2", "no-files"),
        ("d0p2", "LUKS2", "clean"),
        ("d0p3", "-", "clean"),
        ("my--vg-root", "-", "clean"),
    ];
    assert_eq!(verdicts(&open["evidence"][0]), expected);

    let shut = bench.run(&["verify", "data.raw", "--json"]).ends(0).json();
    let hint = shut["findings"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("--volume-key d0p1=FILE"), "{shut:#}");
    let open = bench.run(&[&["verify", "data.raw", "--json"], &BOTH[..]].concat());
    let open = open.ends(0).json();
    assert_eq!(open["findings"].as_array().unwrap().len(), 0, "{open:#}");
    // A wrong key, and one of nothing.
    for (key, volume) in [("d0p1=wrong", "d0p1"), ("d0p9=exact", "d0p9")] {
        let words = ["verify", "data.raw", "--json", "--volume-key", key];
        let told = bench.run(&words).ends(4).json();
        let mut all = vec![&told["findings"]];
        all.push(&told["points"][0]["evidence"][0]["findings"]);
        let mut all = all.into_iter().flat_map(|all| all.as_array().unwrap());
        let is = |one: &Value| one["object"] == volume && one["severity"] == "partial";
        assert!(all.any(is), "{told:#}");
    }
}

#[test]
fn a_damage_map_names_files_of_encrypted_volumes_by_their_keys() {
    let bench = Bench::new();
    let Some(folder) = machine(&bench) else {
        return;
    };
    // Where the second MiB of the large file is, encrypted.
    let large = fs::read(folder.join("large")).unwrap();
    let plain = fs::read(bench.path("whole.img")).unwrap();
    let length = |name: &str| fs::metadata(bench.path(name)).unwrap().len();
    let second = MIB + length("group.img");
    let third = (second + length("data.img")) as usize;
    // Of a small ext4, whose blocks are 1 KiB.
    let mut places = plain[third..].chunks(1024);
    let within = places.position(|part| *part == large[..1024]).unwrap() as u64 * 1024;
    let image = bench.path("data.img");
    let dump = tool("cryptsetup", &["luksDump", image.to_str().unwrap()]).unwrap();
    let dump = String::from_utf8(dump.stdout).unwrap();
    let offset = dump
        .lines()
        .find(|line| line.contains("offset:") && line.contains("[bytes]"));
    let offset: u64 = offset
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let start = (second + offset + within + MIB) as usize;

    // First without that MiB, and then with it: so it lies in a pack of its own.
    let mut hollow = plain.clone();
    hollow[start..start + MIB as usize].fill(0);
    bench.disk("data.raw", &hollow);
    bench.backup(0);
    let packs = || files_below(&bench.path("vault/packs"));
    let before = packs();
    bench.disk("data.raw", &plain);
    bench.backup(0);
    for pack in packs().iter().filter(|pack| !before.contains(pack)) {
        // The others are of maps.
        if fs::metadata(pack).unwrap().len() > 500_000 {
            fs::remove_file(pack).unwrap();
        }
    }

    let restored = |to: &str, more: &[&str]| {
        let words = ["restore", "disks", "data.raw@latest", "--json", "--to", to];
        let report = bench.run(&[&words[..], &["--allow-damaged"], more].concat());
        let report = report.ends(4).json();
        let map = report["files"][0]["damage"]["map"].as_str().unwrap();
        let map = fs::read(bench.path(map)).unwrap();
        serde_json::from_slice::<Value>(&map).unwrap()
    };
    let of = |map: &Value| -> Vec<String> {
        let files = map["files"].as_array().unwrap().iter();
        files
            .map(|one| one["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let shut = restored("shut", &[]);
    assert!(of(&shut).is_empty(), "{shut:#}");
    let told = shut["not_named"].to_string();
    assert!(told.contains("d0p2") && told.contains("LUKS2"), "{told}");

    let open = restored("open", &BOTH);
    assert_eq!(of(&open), ["d0p2/large"], "{open:#}");
    let lost = &open["files"][0]["lost"][0];
    let (at, len) = (
        lost["offset"].as_u64().unwrap(),
        lost["bytes"].as_u64().unwrap(),
    );
    assert!(at <= MIB && at + len >= 2 * MIB, "{open:#}");
    assert_eq!(open["not_named"].as_array().unwrap().len(), 1, "{open:#}");
    // Keys name files, and nothing else.
    let words = ["restore", "disks", "data.raw@latest", "--to", "x"];
    bench.run(&[&words[..], &BOTH].concat()).ends(2);
}
