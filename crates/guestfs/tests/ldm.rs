//! Dynamic disks that a writer of the tests makes: read by us and by ldmtool. None that Windows has written was at
//! hand: `docs/guest-disks.md`.

extern crate disk as hyperkeep_disk;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::probe::What;
use hyperkeep_guestfs::volumes::{Found, find};
use hyperkeep_guestfs::{Device, Error};
use testkit::image::noise;
use testkit::vhd::oracle;
use testkit::{corpus, vary};

#[path = "fuzz/ldm.rs"]
mod model;

use self::model::maker::{self, CONFIG, DATA, GROUP, Part, Volume};

const SECTORS: u64 = 16_384;
const SIMPLE: &[Part] = &[(0, 1, 0, 4096)];
const SPANNED: &[Part] = &[(0, 5000, 0, 1000), (1, 100, 1000, 2000)];
const STRIPED: &[Part] = &[(0, 7000, 0, 1024), (1, 3000, 0, 1024)];
const HALVES: [&[Part]; 2] = [&[(0, 9000, 0, 1024)], &[(1, 9000, 0, 1024)]];

#[test]
fn guestfs_ldm() {
    corpus::replay("guestfs_ldm", model::check);
}

fn volumes() -> [Volume<'static>; 4] {
    let volume = |name, len, components| Volume {
        name,
        len,
        components,
    };
    [
        volume("Volume1", 4096, &[(2, SIMPLE)]),
        volume("Volume2", 3000, &[(2, SPANNED)]),
        volume("Stripe1", 2048, &[(1, STRIPED)]),
        volume("Mirror1", 1024, &[(2, HALVES[0]), (2, HALVES[1])]),
    ]
}

fn made() -> Vec<Vec<u8>> {
    maker::group("PC-Dg0", 2, SECTORS, &volumes())
}

fn found(disks: &[Vec<u8>]) -> Found {
    let device = |bytes: &Vec<u8>| -> Device {
        Arc::new(RawDisk::open(MemFile::new(bytes.clone())).unwrap())
    };
    let disks = disks.iter().enumerate();
    let disks: Vec<_> = disks
        .map(|(at, bytes)| (format!("d{at}"), device(bytes)))
        .collect();
    find(&disks)
}

fn names(found: &Found) -> Vec<&str> {
    found.volumes.iter().map(|one| one.name.as_str()).collect()
}

/// What is told of what could not be read, by name.
fn told(found: &Found, name: &str) -> String {
    let all = found.unreadable.iter();
    let of_it = all.filter(|(one, _)| one == name);
    let words: Vec<_> = of_it.map(|(_, error)| error.to_string()).collect();
    words.join("; ")
}

#[test]
fn simple_and_spanned_volumes_are_read_and_others_named() {
    let mut disks = made();
    let data = noise(7, 4096 * 512);
    let mut put = |disk: usize, sector: u64, bytes: &[u8]| {
        let at = (DATA + sector) as usize * 512;
        disks[disk][at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, 1, &data);
    put(0, 5000, &data[..1000 * 512]);
    put(1, 100, &data[1000 * 512..3000 * 512]);
    let found = found(&disks);
    assert_eq!(
        names(&found),
        ["d0p1", "d1p1", "PC--Dg0-Volume1", "PC--Dg0-Volume2"]
    );
    for (name, place, len) in [
        (
            "PC--Dg0-Volume1",
            "dynamic disks PC-Dg0, simple volume Volume1",
            4096,
        ),
        (
            "PC--Dg0-Volume2",
            "dynamic disks PC-Dg0, spanned volume Volume2",
            3000,
        ),
    ] {
        let volume = found.volumes.iter().find(|one| one.name == name).unwrap();
        assert_eq!((volume.place.as_str(), volume.disk), (place, 0));
        let mut read = vec![0; len * 512];
        assert_eq!(volume.len, read.len() as u64);
        volume.device().read_at(0, &mut read).unwrap();
        assert!(read == data[..len * 512], "{name}");
    }
    for (name, words) in [
        ("PC--Dg0-Stripe1", "striped"),
        ("PC--Dg0-Mirror1", "mirrored"),
    ] {
        assert!(told(&found, name).contains(words), "{}", told(&found, name));
    }
    // The partitions are still there, and are not taken for what lies on them.
    assert!(
        found.volumes[0]
            .open()
            .err()
            .unwrap()
            .to_string()
            .contains("dynamic disk")
    );
}

#[test]
fn a_file_system_on_a_dynamic_disk_says_that_this_is_not_proven() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("fat");
    fs::File::create(&image)
        .unwrap()
        .set_len(4096 * 512)
        .unwrap();
    let words = ["-F", "12", "-n", "DYNAMIC", image.to_str().unwrap()];
    match Command::new("mkfs.fat").args(words).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return oracle::skip("LDM", &format!("mkfs.fat: {error}")),
    }
    let mut disks = made();
    let at = (DATA + 1) as usize * 512;
    disks[0][at..at + 4096 * 512].copy_from_slice(&fs::read(&image).unwrap());
    let found = found(&disks);
    let volume = found
        .volumes
        .iter()
        .find(|one| one.what == What::Fat)
        .unwrap();
    assert_eq!(volume.name, "PC--Dg0-Volume1");
    let fs = volume.open().unwrap();
    assert_eq!(fs.about().label, "DYNAMIC");
    let notes = &fs.about().state.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("none that Windows has written"))
    );
}

/// ldmtool and what it says of a volume: kind, sectors and parts.
fn by_ldmtool(disks: &[Vec<u8>], name: &str) -> Option<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut words = Vec::new();
    for (at, bytes) in disks.iter().enumerate() {
        let path: PathBuf = folder.path().join(at.to_string());
        fs::write(&path, bytes).unwrap();
        words.extend(["-d".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    words.extend(["show", "volume", GROUP, name].map(str::to_owned));
    match Command::new("ldmtool").args(&words).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let told = serde_json::from_slice(&output.stdout);
            Some(told.unwrap_or_else(|error| panic!("{error}: {said}")))
        }
        Err(error) => {
            oracle::skip("LDM", &format!("ldmtool: {error}"));
            None
        }
    }
}

#[test]
fn ldmtool_reads_the_same() {
    let disks = made();
    let found = found(&disks);
    for (name, kind, sectors) in [
        ("Volume1", "simple", 4096),
        ("Volume2", "spanned", 3000),
        ("Stripe1", "striped", 2048),
        ("Mirror1", "mirrored", 1024),
    ] {
        let Some(theirs) = by_ldmtool(&disks, name) else {
            return;
        };
        assert_eq!(
            (&theirs["type"], &theirs["size"]),
            (&kind.into(), &sectors.into())
        );
        let ours = found.volumes.iter().find(|one| one.name.ends_with(name));
        match ours {
            Some(one) => assert!(one.place.contains(kind) && one.len == sectors * 512),
            None => assert!(told(&found, &format!("PC--Dg0-{name}")).contains(kind)),
        }
    }
}

#[test]
fn copies_do_where_the_first_is_lost() {
    let whole = made();
    let config = (SECTORS - CONFIG) as usize * 512;
    // The first header; the first two tables of contents; all but the last header.
    let second = config + 1856 * 512;
    for places in [
        vec![6 * 512],
        vec![config + 512, config + 1024],
        vec![6 * 512, second],
    ] {
        let mut disks = whole.clone();
        for at in places {
            disks[0][at] ^= 1;
        }
        assert_eq!(names(&found(&disks)).len(), 4);
    }
    let mut disks = whole.clone();
    for at in [6 * 512, second, config + 2047 * 512] {
        disks[0][at] ^= 1;
    }
    let lost = found(&disks);
    assert!(
        told(&lost, "d0").contains("there is none"),
        "{}",
        told(&lost, "d0")
    );
    // The other disk's database tells what is missing.
    assert!(told(&lost, "PC--Dg0").contains("Disk1"));
    assert!(told(&lost, "PC--Dg0-Volume1").contains("is not there"));
}

#[test]
fn a_missing_an_older_and_a_doubled_disk_are_told() {
    let disks = made();
    let one = found(&disks[..1]);
    assert_eq!(names(&one), ["d0p1", "PC--Dg0-Volume1"]);
    assert!(
        told(&one, "PC--Dg0").contains("Disk2"),
        "{}",
        told(&one, "PC--Dg0")
    );
    assert!(told(&one, "PC--Dg0-Volume2").contains("is not there"));
    let twice = found(&[disks[0].clone(), disks[0].clone(), disks[1].clone()]);
    assert!(told(&twice, "PC--Dg0").contains("two disks"));
    assert!(!names(&twice).contains(&"PC--Dg0-Volume1"));
    let mut older = disks;
    let database = (SECTORS - CONFIG + maker::DATABASE) as usize * 512;
    // Committed and pending: 6, where the other has 7.
    older[1][database + 0x7c] = 6;
    older[1][database + 0x84] = 6;
    let older = found(&older);
    assert!(told(&older, "PC--Dg0").contains("Disk2 has an older"));
    assert_eq!(names(&older).len(), 4);
}

/// Bytes anywhere in header, contents and database: no panic, and no volume that does not lie on the disks.
#[test]
fn damage_is_an_error_or_does_no_harm() {
    let whole = made();
    let database = (SECTORS - CONFIG + maker::DATABASE) as usize * 512;
    let mut random = testkit::crash::Random(vary::seed(3));
    let mut failed = 0;
    for _ in 0..vary::cases(100) {
        let mut disks = whole.clone();
        // Of both disks alike: the newer one counts.
        let at = random.number() as usize % 4096;
        let bit = 1 << (random.number() % 8);
        for disk in &mut disks {
            disk[database + at] ^= bit;
        }
        let found = found(&disks);
        failed += u32::from(names(&found).len() < 4);
        for volume in &found.volumes {
            let mut byte = [0];
            volume.device().read_at(volume.len - 1, &mut byte).unwrap();
        }
    }
    assert!(failed > 0);
    // Counts that do not fit, and sectors of another size, are refused by name.
    let mut counts = whole;
    for disk in &mut counts {
        disk[database + 0x88] ^= 3;
    }
    let counts = found(&counts);
    assert!(
        told(&counts, "d0").contains("volumes, and says"),
        "{}",
        told(&counts, "d0")
    );
    assert!(!matches!(counts.unreadable[0].1, Error::Disk(_)));
}
