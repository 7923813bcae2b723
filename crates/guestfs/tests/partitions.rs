//! Partition tables as sfdisk writes and reads them, whole and damaged.

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::path::Path;

use hyperkeep_disk::ByteRange;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::partitions::{Kind, Oddity, Scheme, Table};
use proptest::prelude::*;
use testkit::corpus;
use testkit::vhd::oracle::{self, Sfdisk};

#[path = "fuzz/partitions.rs"]
mod model;

const MIB: u64 = 1 << 20;

#[test]
fn guestfs_partitions() {
    corpus::replay("guestfs_partitions", model::check);
}

fn read(image: &Path) -> Table {
    Table::read(&RawDisk::open(File::open(image).unwrap()).unwrap()).unwrap()
}

/// A sparse image with a table by a script.
fn written(sfdisk: &Sfdisk, image: &Path, len: u64, script: &str) {
    File::create(image).unwrap().set_len(len).unwrap();
    sfdisk.write(image, script).unwrap();
}

/// What sfdisk reads: number, first and last byte, kind, id and name of each partition.
type Line = (u32, u64, u64, String, String, String);

fn told_by(sfdisk: &Sfdisk, image: &Path) -> Vec<Line> {
    let json: serde_json::Value = serde_json::from_str(&sfdisk.read(image).unwrap()).unwrap();
    let none = Vec::new();
    let table = &json["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let all = table["partitions"].as_array().unwrap_or(&none).iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_lowercase();
    let prefix = image.to_str().unwrap();
    all.map(|one| {
        let node = one["node"].as_str().unwrap().strip_prefix(prefix).unwrap();
        let start = one["start"].as_u64().unwrap() * sector;
        let len = one["size"].as_u64().unwrap() * sector;
        (
            node.trim_start_matches('p').parse().unwrap(),
            start,
            start + len,
            text(&one["type"]),
            text(&one["uuid"]),
            one["name"].as_str().unwrap_or_default().to_owned(),
        )
    })
    // Where logical ones lie is no partition.
    .filter(|line| !["5", "f", "85"].contains(&line.3.as_str()))
    .collect()
}

fn told(table: &Table) -> Vec<Line> {
    let line = |one: &hyperkeep_guestfs::partitions::Partition| {
        let (kind, id) = match one.kind {
            Kind::Mbr(kind) => (format!("{kind:x}"), String::new()),
            Kind::Gpt(kind) => (kind.to_string(), one.id.unwrap().to_string()),
        };
        let ByteRange { start, end } = one.range;
        (one.number, start, end, kind, id, one.name.clone())
    };
    table.partitions.iter().map(line).collect()
}

fn gpt(parts: &[(u64, &str)]) -> String {
    let mut script = "label: gpt\n".to_owned();
    for (at, (mib, kind)) in parts.iter().enumerate() {
        script.push_str(&format!("size={mib}MiB, type={kind}, name=\"Däta {at}\"\n"));
    }
    script
}

const BASIC: &str = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
const LDM: &str = "AF9B60A0-1431-4F62-BC68-3311714A69AD";

proptest! {
    #![proptest_config(testkit::vary::config(8))]

    #[test]
    fn sfdisk_reads_the_same(
        is_gpt in any::<bool>(),
        sizes in prop::collection::vec(1_u64..5, 1..12),
        kind in 0_usize..3,
    ) {
        let Some(sfdisk) = oracle::sfdisk("sfdisk_reads_the_same") else {
            return Ok(());
        };
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk");
        let script = if is_gpt {
            let kind = [BASIC, LDM, "0FC63DAF-8483-4772-8E79-3D69D8477DE4"][kind];
            let parts: Vec<(u64, &str)> = sizes.iter().map(|mib| (*mib, kind)).collect();
            gpt(&parts)
        } else {
            let kind = ["7", "42", "83"][kind];
            let mut script = "label: dos\nlabel-id: 0x12345678\n".to_owned();
            for (at, mib) in sizes.iter().enumerate() {
                if at == 2 && sizes.len() > 4 {
                    script.push_str("type=5\n");
                }
                script.push_str(&format!("size={mib}MiB, type={kind}\n"));
            }
            script
        };
        written(&sfdisk, &image, 100 * MIB, &script);
        let table = read(&image);
        prop_assert_eq!(told(&table), told_by(&sfdisk, &image));
        prop_assert!(table.oddities.is_empty(), "{:?}", table);
        prop_assert_eq!(table.is_dynamic(), kind == 1);
        match table.scheme {
            Scheme::Gpt { sector, .. } => prop_assert!(is_gpt && sector == 512),
            Scheme::Mbr { signature } => prop_assert!(!is_gpt && signature == 0x1234_5678),
            Scheme::None => prop_assert!(false, "no table"),
        }
    }
}

/// A disk with two partitions and a GPT, and the bytes of it.
fn whole(test: &str) -> Option<(Vec<u8>, Table)> {
    let sfdisk = oracle::sfdisk(test)?;
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    written(&sfdisk, &image, 8 * MIB, &gpt(&[(1, BASIC), (4, LDM)]));
    Some((fs::read(&image).unwrap(), read(&image)))
}

fn of(bytes: &[u8], sector: u32) -> Table {
    Table::read(&model::Metered::new(bytes, sector)).unwrap()
}

#[test]
fn either_copy_of_a_gpt_will_do() {
    let Some((bytes, table)) = whole("either_copy_of_a_gpt_will_do") else {
        return;
    };
    let last = bytes.len() - 512;
    let damaged = |places: &[usize]| {
        let mut bytes = bytes.clone();
        places.iter().for_each(|at| bytes[*at] ^= 1);
        of(&bytes, 512)
    };
    // A header, its checksum, an entry.
    for (places, odd) in [
        ([512 + 60], Oddity::FirstCopyLost),
        ([512 + 17], Oddity::FirstCopyLost),
        ([1024 + 130], Oddity::FirstCopyLost),
        ([last + 60], Oddity::LastCopyLost),
        ([last - 32 * 512 + 3], Oddity::LastCopyLost),
    ] {
        let read = damaged(&places);
        assert_eq!(read.partitions, table.partitions, "{places:?}");
        assert_eq!(read.scheme, table.scheme);
        assert_eq!(read.oddities, [odd].into());
    }
    let lost = damaged(&[512 + 60, last + 60]);
    assert_eq!((lost.scheme, lost.partitions.len()), (Scheme::None, 0));
    assert_eq!(lost.oddities, [Oddity::GptLost].into());
}

#[test]
fn disks_that_grew_shrank_or_were_converted_are_told() {
    let Some((bytes, table)) = whole("disks_that_grew_shrank_or_were_converted_are_told") else {
        return;
    };
    let mut longer = bytes.clone();
    longer.extend([0; 4096]);
    let read = of(&longer, 512);
    assert_eq!(read.partitions, table.partitions);
    assert_eq!(read.oddities, [Oddity::LastCopyLost].into());
    // The second partition is cut, then gone.
    let second = table.partitions[1].range;
    let read = of(&bytes[..second.end as usize - 512], 512);
    assert_eq!(read.partitions[1].range.end, second.end - 512);
    assert!(read.oddities.contains(&Oddity::Cut(2)), "{read:?}");
    let read = of(&bytes[..second.start as usize], 512);
    assert_eq!(read.partitions.len(), 1);
    assert!(read.oddities.contains(&Oddity::Outside(2)), "{read:?}");
    // The same bytes under a disk of other sectors.
    let read = of(&bytes, 4096);
    assert_eq!(read.partitions, table.partitions);
    assert_eq!(read.oddities, [Oddity::OtherSectors].into());
    // Nothing in sector 0, and a newer table there.
    let mut silent = bytes.clone();
    silent[..512].fill(0);
    let read = of(&silent, 512);
    assert_eq!(read.partitions, table.partitions);
    assert_eq!(read.oddities, [Oddity::NotAnnounced].into());
    let mut newer = bytes;
    newer[450] = 7;
    let read = of(&newer, 512);
    assert_eq!(read.partitions[0].kind, Kind::Mbr(7));
}

/// One that was deleted and made again in a gap comes last in the chain, and before the others on the disk.
#[test]
fn logical_partitions_are_found_in_the_order_of_their_chain() {
    let Some(sfdisk) = oracle::sfdisk("logical_partitions_are_found_in_the_order_of_their_chain")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    let script = "label: dos\nstart=2048,type=5\nstart=16384,size=2048,type=7\n\
                  start=4096,size=2048,type=83\nstart=20480,size=2048,type=7\n";
    written(&sfdisk, &image, 16 * MIB, script);
    let table = read(&image);
    assert_eq!(table.oddities, [].into());
    assert_eq!(told(&table), told_by(&sfdisk, &image));
    let starts: Vec<u64> = table
        .partitions
        .iter()
        .map(|one| one.range.start >> 9)
        .collect();
    assert_eq!(starts, [16384, 4096, 20480]);
}

/// Boot records that lead to themselves, back, and behind the end.
#[test]
fn chains_of_boot_records_end() {
    let Some(sfdisk) = oracle::sfdisk("chains_of_boot_records_end") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk");
    let script = "label: dos\ntype=5\nsize=1MiB, type=7\nsize=1MiB, type=7\nsize=1MiB, type=7\n";
    written(&sfdisk, &image, 16 * MIB, script);
    let bytes = fs::read(&image).unwrap();
    let whole = of(&bytes, 512);
    let numbers =
        |table: &Table| -> Vec<u32> { table.partitions.iter().map(|one| one.number).collect() };
    assert_eq!(numbers(&whole), [5, 6, 7]);
    // The record of the second one, in its second entry, tells of the third one's.
    let second = whole.partitions[0].range.end as usize;
    for start in [0_u32, 1, u32::MAX] {
        let mut bytes = bytes.clone();
        bytes[second + 462 + 8..][..4].copy_from_slice(&start.to_le_bytes());
        let read = of(&bytes, 512);
        assert_eq!(numbers(&read), [5, 6], "{start}");
        assert_eq!(read.oddities, [Oddity::BrokenChain].into(), "{start}");
    }
}

/// Records without a partition, each with a next one behind it: as many as sectors of the disk.
#[test]
fn a_chain_of_empty_boot_records_ends() {
    let mut bytes = vec![0; 4096 * 512];
    for (at, record) in (0_u32..).zip(bytes.chunks_mut(512)) {
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        let (entry, start) = if at == 0 { (446, 1) } else { (462, at) };
        record[entry + 4] = 5;
        record[entry + 8..][..4].copy_from_slice(&start.to_le_bytes());
        record[entry + 12] = 1;
    }
    // It has counted what is read.
    model::check(&bytes);
    let read = of(&bytes, 512);
    assert_eq!(read.partitions, []);
    assert_eq!(read.oddities, [Oddity::TooMany].into());
    // The same chain that ends in time.
    bytes[100 * 512 + 462..][..16].fill(0);
    assert_eq!(of(&bytes, 512).oddities, [].into());
}

/// Boot sectors of file systems end as tables do.
#[test]
fn a_disk_that_is_one_file_system_has_no_table() {
    for (at, name) in [
        (3, "NTFS    "),
        (3, "ReFS"),
        (54, "FAT16   "),
        (82, "FAT32   "),
    ] {
        let mut bytes = vec![0; 8192];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        // As a partition it would be believed.
        bytes[446..462].copy_from_slice(&[0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(of(&bytes, 512).partitions.len(), 1);
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        assert_eq!(of(&bytes, 512).scheme, Scheme::None, "{name}");
    }
}
