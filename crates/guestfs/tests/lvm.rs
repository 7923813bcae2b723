//! Volume groups as LVM2's own tools make them, and where those say that each extent lies.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyperkeep_guestfs::lvm::{Group, PhysicalVolume, groups};
use testkit::vary;
use testkit::vhd::oracle;

#[path = "fuzz/lvm.rs"]
mod model;
mod support;

const MIB: u64 = 1 << 20;
const PV: u64 = 24 * MIB;

/// Images on loop devices, that LVM2's tools may see and no others.
struct Lvm {
    _folder: tempfile::TempDir,
    images: Vec<PathBuf>,
    loops: Vec<String>,
}

impl Lvm {
    fn new(test: &str, count: usize) -> Option<Self> {
        if Command::new("lvm").arg("version").output().is_err() {
            oracle::skip(test, "no lvm");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut lvm = Self {
            images: Vec::new(),
            loops: Vec::new(),
            _folder: folder,
        };
        for number in 0..count {
            let image = lvm._folder.path().join(format!("pv{number}"));
            File::create(&image).unwrap().set_len(PV).unwrap();
            let output = Command::new("losetup")
                .args(["-f", "--show"])
                .arg(&image)
                .output()
                .unwrap();
            if !output.status.success() {
                oracle::forbidden(test, &String::from_utf8_lossy(&output.stderr));
                return None;
            }
            lvm.loops
                .push(String::from_utf8(output.stdout).unwrap().trim().to_owned());
            lvm.images.push(image);
        }
        Some(lvm)
    }

    /// Runs a tool of LVM2 without device-mapper: nothing is activated.
    fn run(&self, words: &[&str]) -> String {
        let accept: Vec<_> = self
            .loops
            .iter()
            .map(|path| format!("\"a|^{path}$|\""))
            .collect();
        let config = format!(
            "devices{{filter=[{},\"r|.*|\"] use_devicesfile=0 md_component_detection=0 \
             multipath_component_detection=0}} global{{use_lvmlockd=0 use_lvmpolld=0}} \
             activation{{udev_sync=0 udev_rules=0 monitoring=0}} backup{{backup=0 archive=0}}",
            accept.join(",")
        );
        let output = Command::new("lvm")
            .args(words)
            .args(["--config", &config, "--driverloaded", "n"])
            .env("LVM_SUPPRESS_FD_WARNINGS", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn create(&self, name: &str, words: &[&str], on: &[usize]) {
        let mut all = vec!["lvcreate", "-y", "-an", "-Zn", "-Wn", "-n", name];
        all.extend(words);
        all.push("vg-one");
        all.extend(on.iter().map(|number| self.loops[*number].as_str()));
        self.run(&all);
    }
}

impl Drop for Lvm {
    fn drop(&mut self) {
        for device in &self.loops {
            let _ = Command::new("losetup").args(["-d", device]).status();
        }
    }
}

fn opened(images: &[&Path]) -> Vec<Group> {
    let open = |image: &&Path| PhysicalVolume::open(support::image(image)).unwrap();
    groups(&images.iter().map(open).collect::<Vec<_>>())
}

/// Which volume and sector of the disks below: what the sector begins with.
fn mark(number: usize, sector: u64) -> [u8; 16] {
    let mut mark = [0; 16];
    mark[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    mark[8..].copy_from_slice(&sector.to_le_bytes());
    mark
}

/// A sector of a logical volume: which volume it lies on, and which sector that is, as `lvs --segments`
/// has it.
fn places(lvm: &Lvm, name: &str) -> Vec<(usize, u64)> {
    let columns = "seg_start_pe,seg_size_pe,stripes,stripe_size,seg_pe_ranges";
    let words = [
        "lvs",
        "--segments",
        "--noheadings",
        "--separator",
        "|",
        "--units",
        "s",
        "--nosuffix",
        "-o",
        columns,
    ];
    let name = format!("vg-one/{name}");
    let told = lvm.run(&[&words[..], &[&name]].concat());
    let extent = MIB / 512;
    let mut places = Vec::new();
    for line in told.lines().filter(|line| line.contains('|')) {
        let fields: Vec<_> = line.trim().split('|').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        assert_eq!(number(0) * extent, places.len() as u64, "{told}");
        let stripes: Vec<(usize, u64)> = fields[4]
            .split_whitespace()
            .map(|range| {
                let (device, extents) = range.rsplit_once(':').unwrap();
                let first: u64 = extents.split('-').next().unwrap().parse().unwrap();
                let which = lvm.loops.iter().position(|path| path == device).unwrap();
                // The first extent is at 1 MiB, as asked for.
                (which, 2048 + first * extent)
            })
            .collect();
        assert_eq!(stripes.len() as u64, number(2));
        let stripe = if stripes.len() == 1 {
            u64::MAX
        } else {
            number(3)
        };
        for sector in 0..number(1) * extent {
            let (turn, within) = (sector / stripe, sector % stripe);
            let (which, start) = stripes[(turn % number(2)) as usize];
            let before = if stripes.len() == 1 {
                0
            } else {
                turn / number(2) * stripe
            };
            places.push((which, start + before + within));
        }
    }
    places
}

/// A group over three volumes: linear, spanned, striped over two and three, grown.
fn whole(test: &str) -> Option<Lvm> {
    let lvm = Lvm::new(test, 3)?;
    let all: Vec<&str> = lvm.loops.iter().map(String::as_str).collect();
    lvm.run(&[&["pvcreate", "-y", "--dataalignment", "1m"][..], &all].concat());
    lvm.run(&[&["vgcreate", "-y", "-s", "1M", "vg-one"][..], &all].concat());
    lvm.create("linear", &["-L", "3M"], &[0]);
    lvm.create(
        "two.stripes",
        &["-i", "2", "-I", "64k", "-L", "8M"],
        &[1, 2],
    );
    lvm.create(
        "three-stripes",
        &["-i", "3", "-I", "4k", "-L", "6M"],
        &[0, 1, 2],
    );
    lvm.run(&[
        "lvextend",
        "-y",
        "-L",
        "+2M",
        "vg-one/linear",
        &lvm.loops[2],
    ]);
    lvm.run(&[
        "lvextend",
        "-y",
        "-L",
        "+4M",
        "vg-one/linear",
        &lvm.loops[0],
    ]);
    lvm.create("spanned", &["-l", "100%FREE"], &[]);
    for (number, image) in lvm.images.iter().enumerate() {
        let file = File::options().write(true).open(image).unwrap();
        for sector in 2048..PV / 512 {
            file.write_all_at(&mark(number, sector), sector * 512)
                .unwrap();
        }
    }
    Some(lvm)
}

#[test]
fn extents_lie_where_lvs_says() {
    let Some(lvm) = whole("extents_lie_where_lvs_says") else {
        return;
    };
    let images: Vec<&Path> = lvm.images.iter().map(PathBuf::as_path).collect();
    let found = opened(&images);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].notes.len()),
        ("vg-one", 0),
        "{:?}",
        found[0].notes
    );
    let names: Vec<_> = found[0]
        .volumes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["linear", "spanned", "three-stripes", "two.stripes"]);
    for volume in &found[0].volumes {
        let device = volume.device.as_ref().unwrap();
        let places = places(&lvm, &volume.name);
        assert_eq!(
            (volume.len, device.len()),
            (places.len() as u64 * 512, volume.len)
        );
        let mut bytes = vec![0; volume.len as usize];
        // In pieces that cross stripes and segments.
        let mut at = 0;
        for part in bytes.chunks_mut(999_983) {
            device.read_at(at, part).unwrap();
            at += part.len() as u64;
        }
        for (sector, (which, there)) in bytes.chunks(512).zip(&places) {
            assert_eq!(sector[..16], mark(*which, *there), "{}", volume.name);
        }
        let range = hyperkeep_disk::ByteRange::new(0, volume.len);
        let extents = device.extents(range).unwrap();
        let end = extents.iter().fold(0, |end, one| {
            assert_eq!(one.range.start, end);
            one.range.end
        });
        assert_eq!(end, volume.len);
    }
}

#[test]
fn missing_volumes_and_old_metadata_are_told() {
    let Some(lvm) = whole("missing_volumes_and_old_metadata_are_told") else {
        return;
    };
    let images: Vec<&Path> = lvm.images.iter().map(PathBuf::as_path).collect();
    let readable = |found: &[Group]| -> Vec<String> {
        let all = found[0].volumes.iter().filter(|one| one.device.is_ok());
        all.map(|one| one.name.clone()).collect()
    };
    // Without the second volume what lies on it is not read, and it is named.
    let found = opened(&[images[0], images[2]]);
    assert_eq!(found[0].notes.len(), 1);
    assert!(
        found[0].notes[0].contains("is missing"),
        "{:?}",
        found[0].notes
    );
    assert_eq!(readable(&found), ["linear"]);
    let why = found[0].volumes[3]
        .device
        .as_ref()
        .err()
        .unwrap()
        .to_string();
    assert!(
        why.contains("physical volume") && why.contains("two.stripes"),
        "{why}"
    );
    // A disk of an older day beside the others: the newest text counts, wherever it stands.
    let old = images[1].with_extension("old");
    fs::copy(images[1], &old).unwrap();
    lvm.run(&["lvrename", "vg-one", "linear", "renamed"]);
    for order in [
        [images[0], old.as_path(), images[2]],
        [&old, images[0], images[2]],
    ] {
        let found = opened(&order);
        assert!(readable(&found).contains(&"renamed".to_owned()));
        assert!(
            found[0].notes[0].contains("metadata"),
            "{:?}",
            found[0].notes
        );
    }
    assert!(opened(&images)[0].notes.is_empty());
}

#[test]
fn any_change_of_a_volume_ends_well() {
    let text = TEXT.as_bytes();
    let mut random = testkit::crash::Random(vary::seed(14));
    for _ in 0..vary::cases(300) {
        let mut changed = text.to_vec();
        for _ in 0..1 + random.number() % 4 {
            let at = random.number() as usize % changed.len();
            match random.number() % 3 {
                0 => drop(changed.remove(at)),
                1 => changed.insert(at, b"{}[]\"=,9-"[random.number() as usize % 9]),
                _ => changed[at] = random.number() as u8,
            }
        }
        model::check(&changed);
        // Without sums that were made right after it: nothing of it is believed.
        let mut bytes = model::volume(b'a', text, 100_000);
        let at = [512, model::AREA, model::AREA + 100_000][random.number() as usize % 3];
        let at = at + random.number() as usize % 512;
        bytes[at] ^= 1 << (random.number() % 8);
        if let Ok(volume) = PhysicalVolume::open(model::device(bytes)) {
            groups(&[volume]);
        }
    }
}

/// As LVM2 writes it, with kinds that are not read.
const TEXT: &str = include_str!("../../../fuzz/corpus/guestfs_lvm/kinds");

#[test]
fn other_kinds_are_named_and_not_read() {
    for start in [0, 100_000, (128 << 10) - 612] {
        let first = model::volume(b'a', TEXT.as_bytes(), start);
        let second = model::volume(b'b', &[], 0);
        let volumes =
            [first, second].map(|bytes| PhysicalVolume::open(model::device(bytes)).unwrap());
        let found = groups(&volumes);
        let [group] = &found[..] else {
            panic!("{} groups", found.len())
        };
        let all: Vec<_> = group
            .volumes
            .iter()
            .map(|one| {
                let kinds: Vec<_> = one.kinds.iter().map(String::as_str).collect();
                (one.name.as_str(), kinds.join(" "), one.device.is_ok())
            })
            .collect();
        let expected = [
            ("cow", "linear snapshot", false),
            ("origin", "linear", true),
            ("thin", "thin", false),
            ("two", "raid1", false),
        ];
        assert_eq!(
            all,
            expected.map(|(name, kinds, is)| (name, kinds.to_owned(), is))
        );
        let why = group.volumes[2].device.as_ref().err().unwrap().to_string();
        assert!(
            why.contains("thin") && why.contains("restore its disks"),
            "{why}"
        );
    }
    // The same volume twice is no group that could be read.
    let twice = [0, 1].map(|_| {
        let bytes = model::volume(b'a', TEXT.as_bytes(), 0);
        PhysicalVolume::open(model::device(bytes)).unwrap()
    });
    let found = groups(&twice);
    assert!(
        found[0].volumes.is_empty() && found[0].notes[0].contains("two devices"),
        "{:?}",
        found[0].notes
    );
}

/// A disk that was away while its group was changed has come back: what it holds is old.
#[test]
fn what_the_group_took_for_missing_is_not_read() {
    let text = TEXT.replacen(
        "[\"ALLOCATABLE\"]\nflags = []",
        "[\"ALLOCATABLE\"]\nflags = [\"MISSING\"]",
        1,
    );
    assert_ne!(text, TEXT);
    let volume = PhysicalVolume::open(model::device(model::volume(b'a', text.as_bytes(), 0)));
    let found = groups(&[volume.unwrap()]);
    assert!(
        found[0].notes[0].contains("is missing"),
        "{:?}",
        found[0].notes
    );
    let origin = found[0]
        .volumes
        .iter()
        .find(|one| one.name == "origin")
        .unwrap();
    let why = origin.device.as_ref().err().unwrap().to_string();
    assert!(why.contains("pv0") && origin.physical.is_empty(), "{why}");
}
