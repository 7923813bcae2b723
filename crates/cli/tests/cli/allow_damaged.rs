//! `restore disks --allow-damaged`: what is left of a disk is restored, and what is not is told.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, files_below, patch};
use crate::floppy::floppy;

const SECTOR: usize = 512;
/// Clusters of the two files, one sector each.
const BIG: Range<usize> = 3..1203;
const SAFE: Range<usize> = 1300..2300;

fn place(clusters: &Range<usize>) -> Range<usize> {
    (31 + clusters.start) * SECTOR..(31 + clusters.end) * SECTOR
}

/// A floppy disk with two files more.
fn disk() -> Vec<u8> {
    let mut disk = floppy();
    for (n, (name, clusters)) in [(b"BIG     BIN", BIG), (b"SAFE    BIN", SAFE)]
        .into_iter()
        .enumerate()
    {
        for table in [SECTOR, 10 * SECTOR] {
            for cluster in clusters.clone() {
                let next = match cluster + 1 == clusters.end {
                    true => 0xfff,
                    false => cluster as u16 + 1,
                };
                let at = table + cluster * 3 / 2;
                let old = u16::from_le_bytes([disk[at], disk[at + 1]]);
                let new = match cluster % 2 {
                    0 => old & 0xf000 | next,
                    _ => old & 0x000f | next << 4,
                };
                disk[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
        }
        let entry = 19 * SECTOR + 32 * (n + 2);
        disk[entry..entry + 11].copy_from_slice(name);
        disk[entry + 11] = 0x20;
        disk[entry + 24..entry + 26].copy_from_slice(&(40_u16 << 9 | 1 << 5 | 1).to_le_bytes());
        disk[entry + 26..entry + 28].copy_from_slice(&(clusters.start as u16).to_le_bytes());
        let len = (clusters.len() * SECTOR) as u32;
        disk[entry + 28..entry + 32].copy_from_slice(&len.to_le_bytes());
        let place = place(&clusters);
        let bytes = noise(n as u64 + 1, place.len());
        disk[place].copy_from_slice(&bytes);
    }
    disk
}

/// The packs that have contents and not maps.
fn data_packs(bench: &Bench) -> Vec<PathBuf> {
    let packs = files_below(&bench.path("vault/packs")).into_iter();
    let large = |pack: &PathBuf| fs::metadata(pack).unwrap().len() > 200_000;
    packs.filter(large).collect()
}

/// Writes over a few bytes of a pack.
fn damage(pack: &Path, at: u64) {
    let bytes = fs::read(pack).unwrap();
    fs::remove_file(pack).unwrap();
    fs::write(pack, bytes).unwrap();
    patch(pack, at, b"damaged");
}

fn restore(bench: &Bench, point: &str, more: &[&str], code: i32) -> Value {
    let args = ["restore", "disks", point, "--to", "to", "--json"];
    bench.run(&[&args[..], more].concat()).ends(code).json()
}

fn map(bench: &Bench, report: &Value, file: usize) -> Value {
    let path = report["files"][file]["damage"]["map"].as_str();
    let map = fs::read(bench.path(path.unwrap())).unwrap();
    serde_json::from_slice(&map).unwrap()
}

fn ranges(of: &Value) -> Vec<Range<usize>> {
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let all = of.as_array().unwrap().iter();
    all.map(|one| {
        let start = number(&one["offset"]);
        start..start + number(&one["bytes"])
    })
    .collect()
}

/// All that the map says is lost is zeros, and all else is as it was.
fn as_told(restored: &[u8], original: &[u8], lost: &[Range<usize>]) {
    let mut wanted = original.to_vec();
    for range in lost {
        wanted[range.clone()].fill(0);
    }
    assert!(restored == wanted);
}

#[test]
fn what_is_left_is_restored_and_the_files_are_named() {
    let original = disk();
    let bench = Bench::new();
    bench.disk("a.raw", &original);
    bench.backup(0);
    let [pack] = &data_packs(&bench)[..] else {
        panic!("one pack");
    };
    damage(pack, fs::metadata(pack).unwrap().len() / 2);
    // Without being told to, nothing.
    restore(&bench, "a.raw@latest", &[], 1);
    assert!(files_below(&bench.path("to")).is_empty());

    let simulated = restore(
        &bench,
        "a.raw@latest",
        &["--allow-damaged", "--simulate"],
        4,
    );
    assert_eq!(simulated["findings"][0]["code"], "contents-lost");
    assert!(files_below(&bench.path("to")).is_empty());

    let report = restore(&bench, "a.raw@latest", &["--allow-damaged"], 4);
    assert_eq!(report["outcome"], "partial");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "contents-lost", "{report:#}");
    let map = map(&bench, &report, 0);
    let lost = ranges(&map["lost"]);
    assert!(
        !lost.is_empty() && map["lost_bytes"].as_u64().unwrap() < 400_000,
        "{map:#}"
    );
    assert_eq!(map["lost_bytes"], report["files"][0]["damage"]["lost"]);
    as_told(&fs::read(bench.path("to/a.raw")).unwrap(), &original, &lost);

    // Exactly the files that lie there.
    let mut named = Vec::new();
    for (path, clusters) in [("d0/BIG.BIN", BIG), ("d0/SAFE.BIN", SAFE)] {
        let place = place(&clusters);
        let hit = |lost: &&Range<usize>| lost.start < place.end && place.start < lost.end;
        let parts: Vec<_> = lost.iter().filter(hit).collect();
        if parts.is_empty() {
            continue;
        }
        named.push(path);
        let files = map["files"].as_array().unwrap();
        let file = files.iter().find(|file| file["path"] == path);
        let told = ranges(&file.unwrap_or_else(|| panic!("{map:#}"))["lost"]);
        for part in parts {
            let start = part.start.max(place.start) - place.start;
            let end = part.end.min(place.end) - place.start;
            let within = |told: &Range<usize>| told.start <= start && end <= told.end;
            assert!(told.iter().any(within), "{path} {start}..{end}: {map:#}");
        }
    }
    assert_eq!(named.len(), 1, "{map:#}");
    let files = map["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{map:#}");

    // A second one stands beside the first.
    let more = ["--allow-damaged", "--overwrite", "always"];
    let again = restore(&bench, "a.raw@latest", &more, 4);
    assert_ne!(
        again["files"][0]["damage"]["map"],
        report["files"][0]["damage"]["map"]
    );
}

/// Where nothing can be read, that is told as well, and why no file is named.
#[test]
fn a_missing_pack_is_zeros_and_no_file_can_be_named() {
    let original = disk();
    let bench = Bench::new();
    bench.disk("a.raw", &original);
    bench.backup(0);
    for pack in data_packs(&bench) {
        fs::remove_file(pack).unwrap();
    }
    let report = restore(&bench, "a.raw@latest", &["--allow-damaged"], 4);
    let map = map(&bench, &report, 0);
    as_told(
        &fs::read(bench.path("to/a.raw")).unwrap(),
        &original,
        &ranges(&map["lost"]),
    );
    assert!(
        fs::read(bench.path("to/a.raw"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(map["files"].as_array().unwrap().len(), 0, "{map:#}");
    assert!(!map["not_named"].as_array().unwrap().is_empty(), "{map:#}");
    assert!(!map["reasons"].as_array().unwrap().is_empty(), "{map:#}");
}

/// Of a chain each file has a map of its own, and as one disk there is one.
#[test]
fn a_chain_is_restored_as_far_as_it_is_there() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let info = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 3 << 20))
        .write(&disks.join("web.vhdx"));
    Image::child(&info, "web.vhdx", 2)
        .data(8 << 20, &noise(2, 8192))
        .write(&disks.join("web_1.avhdx"));
    bench.backup(0);
    let whole = bench.restore("web@latest", &["--flatten", "--format", "raw"]);
    let whole = fs::read(whole.join("web.raw")).unwrap();
    let packs = data_packs(&bench);
    for pack in &packs {
        damage(pack, fs::metadata(pack).unwrap().len() / 2);
    }
    let more = ["--allow-damaged", "--flatten", "--format", "raw"];
    let report = restore(&bench, "web@latest", &more, 4);
    let lost = ranges(&map(&bench, &report, 0)["lost"]);
    as_told(&fs::read(bench.path("to/web.raw")).unwrap(), &whole, &lost);

    let report = restore(&bench, "web@latest", &["--allow-damaged"], 4);
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{report:#}");
    let damaged: Vec<_> = (0..2)
        .filter(|at| files[*at]["damage"].is_object())
        .collect();
    assert_eq!(damaged.len(), 1, "{report:#}");
    assert_eq!(ranges(&map(&bench, &report, damaged[0])["lost"]), lost);
    let top = bench.path("to/web_1.avhdx");
    let seen = disk::resolve::open_chain(&disk::resolve::Folders::new(), &top).unwrap();
    let mut bytes = vec![0; whole.len()];
    disk::BlockRead::read_at(&seen, 0, &mut bytes).unwrap();
    as_told(&bytes, &whole, &lost);
}
