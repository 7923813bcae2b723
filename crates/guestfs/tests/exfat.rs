//! exFAT as mkfs.exfat and the driver exfat-fuse write it, compared with what the driver reads.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::exfat::ExFat;
use hyperkeep_guestfs::{Device, Error, FileSystem, How, Name, NodeId, by_path};
use support::kernel::{self, Mounted};
use testkit::image::noise;
use testkit::vary;
use testkit::vhd::oracle;

#[path = "support/filled.rs"]
mod filled;
#[path = "fuzz/exfat.rs"]
mod model;
mod support;

const MIB: u64 = 1 << 20;

fn tool(test: &str, program: &str, words: &[&str]) -> Option<()> {
    match Command::new(program).args(words).env("TZ", "UTC").output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{program} {words:?}: {said}");
            Some(())
        }
        Err(error) => {
            oracle::skip(test, &format!("{program}: {error}"));
            None
        }
    }
}

fn made(test: &str, image: &Path, mib: u64, cluster: &str) -> Option<()> {
    File::create(image).unwrap().set_len(mib * MIB).unwrap();
    let image = image.to_str().unwrap();
    tool(test, "mkfs.exfat", &["-c", cluster, "-L", "Däten 1", image])
}

fn opened(image: &Path) -> ExFat {
    ExFat::open(support::image(image)).unwrap()
}

#[test]
fn what_the_driver_writes_is_read() {
    let test = "what_the_driver_writes_is_read";
    for (cluster, mib, files) in [
        ("512", 8, 300),
        ("4K", 64, 2500),
        ("32K", 64, 100),
        ("1M", 256, 40),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let Some(mounted) = made(test, &image, mib, cluster)
            .and_then(|()| Mounted::kernel(test, &image, "exfat-fuse", "rw"))
        else {
            return;
        };
        filled::fill(&mounted.path(), files);
        // Two files that grow by turns have chains and no rows.
        let names = ["😀 one", "😀 two"].map(|name| mounted.path().join(name));
        for turn in 0..6 {
            for name in &names {
                let mut file = File::options()
                    .create(true)
                    .append(true)
                    .open(name)
                    .unwrap();
                std::io::Write::write_all(&mut file, &noise(turn, 40_000)).unwrap();
                file.sync_all().unwrap();
            }
        }
        // In use, as the disk of a guest that runs.
        let copy = folder.path().join("copy");
        assert!(Command::new("sync").status().unwrap().success());
        fs::copy(&image, &copy).unwrap();
        let in_use = opened(&copy);
        assert_eq!(in_use.about().state.how, How::InUse);
        drop(mounted);
        let mounted = Mounted::kernel(test, &image, "exfat-fuse", "ro").unwrap();
        let theirs = kernel::tree(&mounted.path());
        drop(mounted);
        tool(test, "fsck.exfat", &["-n", image.to_str().unwrap()]);
        let volume = opened(&image);
        let about = volume.about();
        assert_eq!((about.format, about.label.as_str()), ("exfat", "Däten 1"));
        assert_eq!(
            (about.state.how, about.len),
            (How::Clean, mib * MIB),
            "{:?}",
            about.state
        );
        let ours = support::read(&volume);
        assert!(support::placed(&volume, &support::image(&image)) > 100_000);
        support::same(&filled::kept(ours), &filled::kept(theirs));
        let path = ["FOLDER 0", "folder 1"].map(Name::from);
        by_path(&volume, &path).unwrap();
        let many = volume
            .find(volume.root(), &Name::from("MANY files in one folder"))
            .unwrap();
        let (small, great) = (Name::from("ünïcode ☃ 3"), Name::from("ÜNÏCODE ☃ 3"));
        let found = volume.find(many.unwrap(), &small).unwrap();
        assert!(found.is_some() && found == volume.find(many.unwrap(), &great).unwrap());
    }
}

/// The seed with some bytes changed; with `mend` its checksums are made right.
fn changed(mend: bool, change: impl FnOnce(&mut Vec<u8>)) -> Device {
    let mut bytes = model::walk::unpacked(model::SEED);
    change(&mut bytes);
    if mend {
        model::mend(&mut bytes);
    }
    model::walk::patched(bytes, &[])
}

/// Where the first entry of the set of a name is.
fn set_of(bytes: &[u8], name: &str) -> usize {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = bytes
        .windows(name.len())
        .position(|all| all == name)
        .unwrap();
    at - 66
}

fn read(volume: &ExFat, path: &[&str]) -> Result<Vec<u8>, Error> {
    let path: Vec<Name> = path.iter().map(|name| Name::from(*name)).collect();
    let mut content = volume.open(by_path(volume, &path)?, None)?;
    Ok(support::bytes(content.as_mut()))
}

#[test]
fn rows_and_chains_are_read_and_what_was_never_written_is_zeros() {
    let whole = ExFat::open(changed(false, |_| ())).unwrap();
    let bytes = model::walk::unpacked(model::SEED);
    let flags = |name| bytes[set_of(&bytes, name) + 33];
    assert_eq!((flags("row"), flags("split")), (3, 1));
    let (row, split) = (
        read(&whole, &["Folder", "row"]).unwrap(),
        read(&whole, &["split"]).unwrap(),
    );
    assert_eq!((row.len(), split.len()), (2000, 2800));
    assert_eq!(read(&whole, &["folder", "SUB", "grüßE 😀"]).unwrap(), b"hi");
    for (path, all) in [(&["Folder", "row"][..], row), (&["split"], split)] {
        for valid in [0, 1, 512, 1000, 1999] {
            let device = changed(true, |bytes| {
                let at = set_of(bytes, path[path.len() - 1]) + 32;
                bytes[at + 8..at + 16].copy_from_slice(&(valid as u64).to_le_bytes());
            });
            let mut expected = all.clone();
            expected[valid..].fill(0);
            assert!(
                read(&ExFat::open(device).unwrap(), path).unwrap() == expected,
                "{path:?} {valid}"
            );
        }
    }
}

#[test]
fn zones_of_times_are_taken_off() {
    let modified = |zone: u8| {
        let device = changed(true, |bytes| {
            let at = set_of(bytes, "split");
            // 2 January 2020, 12:30:10, and 1.23 seconds.
            let date = 40_u32 << 9 | 1 << 5 | 2;
            let time = 12_u32 << 11 | 30 << 5 | 5;
            bytes[at + 12..at + 16].copy_from_slice(&(date << 16 | time).to_le_bytes());
            bytes[at + 21] = 123;
            bytes[at + 23] = zone;
        });
        let volume = ExFat::open(device).unwrap();
        let id = volume
            .find(volume.root(), &Name::from("split"))
            .unwrap()
            .unwrap();
        volume.node(id).unwrap().times.modified.unwrap()
    };
    let local = 1_577_968_210 + 1;
    // None, UTC, two hours before it, a quarter behind it, half a day behind it.
    for (zone, seconds) in [
        (0x00, local),
        (0x08, local),
        (0x80, local),
        (0x88, local - 7200),
        (0xff, local + 900),
        (0xd0, local + 43_200),
    ] {
        let time = modified(zone);
        assert_eq!(
            (time.seconds, time.nanos),
            (seconds, 230_000_000),
            "{zone:#x}"
        );
    }
}

#[test]
fn damage_is_told() {
    let names = |volume: &ExFat| {
        let mut all = Vec::new();
        let read = volume.list(volume.root(), &mut |entry| {
            all.push(entry.name.to_string());
            ControlFlow::Continue(())
        });
        (all, read)
    };
    let (whole, _) = names(&ExFat::open(changed(false, |_| ())).unwrap());
    assert_eq!(whole, ["Folder", "split", "empty"]);
    // A set with a bad checksum: all others, and an error.
    let bad = ExFat::open(changed(false, |bytes| {
        let at = set_of(bytes, "split");
        bytes[at + 40] ^= 1;
    }))
    .unwrap();
    let (rest, read_it) = names(&bad);
    assert_eq!(rest, ["Folder", "empty"]);
    assert!(matches!(read_it, Err(Error::Damaged { .. })));
    assert!(bad.find(bad.root(), &Name::from("split")).is_err());
    // The first boot region, and both.
    let copy = ExFat::open(changed(false, |bytes| bytes[200] ^= 1)).unwrap();
    assert_eq!(copy.about().state.how, How::Damaged);
    assert_eq!(names(&copy).0, whole);
    let both = changed(false, |bytes| {
        bytes[200] ^= 1;
        bytes[12 * 512 + 200] ^= 1;
    });
    assert!(matches!(ExFat::open(both), Err(Error::Damaged { .. })));
    // In use, and after errors.
    for (flag, how) in [(2, How::InUse), (4, How::Damaged)] {
        let volume = ExFat::open(changed(false, |bytes| bytes[106] |= flag)).unwrap();
        assert_eq!(volume.about().state.how, how);
    }
    // The table of letters.
    let letters = ExFat::open(changed(false, |bytes| {
        let at = bytes
            .windows(8)
            .position(|all| all == [0, 0, 1, 0, 2, 0, 3, 0])
            .unwrap();
        bytes[at + 4] ^= 1;
    }))
    .unwrap();
    assert_eq!(letters.about().state.how, How::Damaged);
    assert!(read(&letters, &["FOLDER", "ROW"]).is_ok());
    // A row that leaves the volume, a chain that comes back.
    let row = changed(true, |bytes| {
        let at = set_of(bytes, "row") + 32;
        bytes[at + 20..at + 24].copy_from_slice(&0x7fff_u32.to_le_bytes());
    });
    let row = read(&ExFat::open(row).unwrap(), &["Folder", "row"]);
    assert!(matches!(row, Err(Error::Damaged { .. })));
    let circle = changed(false, |bytes| {
        let at = set_of(bytes, "split") + 32;
        let first = u32::from_le_bytes(bytes[at + 20..at + 24].try_into().unwrap());
        let table = u32::from_le_bytes(bytes[80..84].try_into().unwrap()) as usize * 512;
        let entry = table + 4 * first as usize;
        bytes[entry..entry + 4].copy_from_slice(&first.to_le_bytes());
    });
    let circle = ExFat::open(circle).unwrap();
    let id = circle
        .find(circle.root(), &Name::from("split"))
        .unwrap()
        .unwrap();
    let mut content = circle.open(id, None).unwrap();
    assert!(matches!(
        content.read_at(0, &mut [0; 2800]),
        Err(Error::Damaged { .. })
    ));
    for id in [1, 7, 1 << 12, u64::MAX] {
        let error = circle.node(NodeId(id)).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{id}: {error}");
    }
}

#[test]
fn any_change_of_metadata_ends_well() {
    let mut random = testkit::crash::Random(vary::seed(13));
    let seed = model::walk::unpacked(model::SEED);
    let used: Vec<usize> = (0..seed.len()).filter(|at| seed[*at] != 0).collect();
    for _ in 0..vary::cases(400) {
        let mut input = Vec::new();
        for _ in 0..1 + random.number() % 8 {
            let number = random.number() as usize;
            let at = used[number % used.len()] + number % 3;
            input.extend_from_slice(&(at as u32).to_le_bytes()[..3]);
            input.push(random.number() as u8);
        }
        model::check(&input);
    }
}
