//! All volumes of a machine: partitions, whole disks, and a volume group over both.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::partitions::Oddity;
use hyperkeep_guestfs::probe::What;
use hyperkeep_guestfs::volumes::{Found, find};
use hyperkeep_guestfs::{Device, Error, Name};
use testkit::vhd::oracle;

#[allow(dead_code, reason = "the fuzz target needs more of it")]
#[path = "fuzz/lvm.rs"]
mod lvm;

const MIB: usize = 1 << 20;
const GROUP: &str = include_str!("../../../fuzz/corpus/guestfs_lvm/kinds");

fn device(bytes: Vec<u8>) -> Device {
    Arc::new(RawDisk::open(MemFile::new(bytes)).unwrap())
}

fn made(image: &Path, mib: u64, tool: &str, words: &[&str]) -> Option<Vec<u8>> {
    File::create(image).unwrap().set_len(mib << 20).unwrap();
    match Command::new(tool).args(words).arg(image).output() {
        Ok(output) => assert!(output.status.success(), "{tool}"),
        Err(error) => {
            oracle::skip(
                "every_volume_of_a_machine_is_found",
                &format!("{tool}: {error}"),
            );
            return None;
        }
    }
    Some(fs::read(image).unwrap())
}

fn all(found: &Found) -> Vec<(&str, usize, &str, What, bool)> {
    let volumes = found.volumes.iter();
    volumes
        .map(|one| {
            (
                one.name.as_str(),
                one.disk,
                one.place.as_str(),
                one.what,
                one.open().is_ok(),
            )
        })
        .collect()
}

#[test]
fn every_volume_of_a_machine_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let fat = made(&image, 4, "mkfs.fat", &["-F", "12", "-n", "BOOT"]);
    let exfat = made(&image, 4, "mkfs.exfat", &["-L", "Data"]);
    let (Some(fat), Some(exfat)) = (fat, exfat) else {
        return;
    };
    let Some(sfdisk) = oracle::sfdisk("every_volume_of_a_machine_is_found") else {
        return;
    };
    let script = "label: gpt\n\
        size=4MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=\"EFI\"\n\
        size=1MiB, type=E6D6D379-F507-44C2-A23C-238F2A3DF928\n\
        size=1MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n\
        size=4MiB, type=AF9B60A0-1431-4F62-BC68-3311714A69AD\n\
        size=1MiB, type=E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D\n";
    let first = folder.path().join("first");
    File::create(&first).unwrap().set_len(16 << 20).unwrap();
    sfdisk.write(&first, script).unwrap();
    let mut first = fs::read(first).unwrap();
    let mut put = |at: usize, bytes: &[u8]| first[at..at + bytes.len()].copy_from_slice(bytes);
    put(MIB, &fat);
    let one = lvm::volume(b'a', GROUP.as_bytes(), 0);
    put(5 * MIB, &one);
    // On a dynamic disk a file system may show that is a part of a larger one.
    put(7 * MIB, &fat);
    let two = lvm::volume(b'b', &[], 0);
    let disks = [first.clone(), exfat.clone(), two, vec![0; MIB]];
    let named = |disks: &[Vec<u8>]| -> Vec<(String, Device)> {
        let named = disks.iter().enumerate();
        named
            .map(|(at, bytes)| (format!("d{at}"), device(bytes.clone())))
            .collect()
    };
    let found = find(&named(&disks));
    assert_eq!(
        all(&found),
        [
            ("d0p1", 0, "disk 0, partition 1", What::Fat, true),
            ("d0p2", 0, "disk 0, partition 2", What::Lvm, false),
            ("d0p3", 0, "disk 0, partition 3", What::Blank, false),
            ("d0p4", 0, "disk 0, partition 4", What::Fat, false),
            ("d0p5", 0, "disk 0, partition 5", What::StorageSpaces, false),
            ("d1", 1, "disk 1", What::ExFat, true),
            ("d2", 2, "disk 2", What::Lvm, false),
            ("d3", 3, "disk 3", What::Blank, false),
            (
                "kinds-origin",
                0,
                "volume group kinds, linear volume origin",
                What::Blank,
                false
            ),
        ]
    );
    assert!(found.oddities.is_empty());
    // The dynamic disk has no database.
    let (name, why) = &found.unreadable[0];
    assert!(name == "d0" && why.to_string().contains("header"), "{why}");
    let not_read: Vec<_> = found.unreadable[1..]
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(not_read, ["kinds-cow", "kinds-thin", "kinds-two"]);
    assert!(
        found.unreadable[1..]
            .iter()
            .all(|(_, error)| matches!(error, Error::Unsupported(_)))
    );
    let efi = &found.volumes[0];
    assert_eq!(
        efi.partition.as_ref().unwrap().kind.name(),
        Some("EFI system")
    );
    assert_eq!(
        (efi.len, efi.open().unwrap().about().label.as_str()),
        (4 << 20, "BOOT")
    );
    let dynamic = found.volumes[3].open().err().unwrap().to_string();
    assert!(
        dynamic.contains("d0p4") && dynamic.contains("dynamic disk"),
        "{dynamic}"
    );

    // Without one disk the group is told to be in pieces; two of it are told apart or refused.
    let found = find(&named(&[first.clone(), exfat.clone()]));
    let (name, why) = &found.unreadable[1];
    assert!(
        name == "kinds" && why.to_string().contains("is missing"),
        "{why}"
    );
    let found = find(&named(&[first.clone(), first]));
    assert!(found.unreadable[2].1.to_string().contains("two devices"));
    // A file system that fills a logical volume.
    let mut origin = lvm::volume(b'a', GROUP.as_bytes(), 0);
    // Its first extent is behind 264 sectors.
    let small = made(&image, 1, "mkfs.fat", &["-F", "12", "-n", "INSIDE"]).unwrap();
    let at = 264 * 512;
    origin[at..at + 65_536].copy_from_slice(&small[..65_536]);
    let found = find(&named(&[vec![0; MIB], origin]));
    let volume = found
        .volumes
        .iter()
        .find(|one| one.name == "kinds-origin")
        .unwrap();
    assert_eq!((volume.disk, volume.what), (1, What::Fat));
    let fs = volume.open().unwrap();
    assert_eq!(fs.about().label, "INSIDE");
    assert_eq!(fs.find(fs.root(), &Name::from("nothing")).unwrap(), None);
}

#[test]
fn one_disk_that_cannot_be_read_hides_no_other() {
    struct Broken;
    impl hyperkeep_disk::BlockRead for Broken {
        fn geometry(&self) -> hyperkeep_disk::Geometry {
            hyperkeep_disk::Geometry {
                len: 1 << 20,
                logical_sector: 512,
                physical_sector: 512,
            }
        }
        fn read_at(&self, _: u64, _: &mut [u8]) -> hyperkeep_disk::Result<()> {
            Err(hyperkeep_disk::Error::Invalid(
                "the disk is broken".to_owned(),
            ))
        }
        fn extents(
            &self,
            _: hyperkeep_disk::ByteRange,
        ) -> hyperkeep_disk::Result<Vec<hyperkeep_disk::Extent>> {
            Ok(Vec::new())
        }
    }
    let mut lost = vec![0; MIB];
    lost[510..512].copy_from_slice(&[0x55, 0xaa]);
    // A protective entry and no GPT.
    lost[446 + 4] = 0xee;
    lost[446 + 8] = 1;
    lost[446 + 12..446 + 16].copy_from_slice(&2047_u32.to_le_bytes());
    let broken: Device = Arc::new(Broken);
    let found = find(&[("a".to_owned(), broken), ("b".to_owned(), device(lost))]);
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.unreadable[0].0, "a");
    assert_eq!(found.oddities, [(1, Oddity::GptLost)]);
    assert_eq!(all(&found), [("b", 1, "disk 1", What::Unknown, false)]);
}
