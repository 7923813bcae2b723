//! Bytes of metadata turned round: what has checksums gives an error or the truth, and never something else.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::{Ext, Extras, FileSystem, Kind, Name, Node, Result};
use testkit::crash::Random;

use crate::make::{Room, fill, image};
use crate::support::kernel::Mounted;

/// What can be said of a path. What an error stood in for is left out.
type Told = BTreeMap<String, (Option<Node>, Option<Extras>, Option<Name>)>;

/// All that can be had, and whether anything could not.
fn told(bytes: &[u8]) -> Result<(Told, bool)> {
    let disk = RawDisk::open(MemFile::new(bytes.to_vec())).unwrap();
    let fs = Ext::open(Arc::new(disk))?;
    let (mut told, mut errors) = (Told::new(), false);
    let mut folders = vec![(String::new(), fs.root(), 0)];
    while let Some((path, folder, depth)) = folders.pop() {
        let mut entries = Vec::new();
        let listed = fs.list(folder, &mut |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        });
        errors |= listed.is_err();
        for entry in entries {
            let path = format!("{path}/{}", entry.name);
            errors |= fs.find(folder, &entry.name).is_err();
            let (node, extras) = (fs.node(entry.node), fs.extras(entry.node));
            errors |= node.is_err() || extras.is_err();
            let (node, extras) = (node.ok(), extras.ok());
            let kind = node.as_ref().map(|node| node.kind);
            // What lies in a block of its own has no checksum.
            let long = node.as_ref().is_some_and(|node| node.len >= 60);
            let target = (kind == Some(Kind::Link) && !long).then(|| fs.target(entry.node));
            if kind == Some(Kind::Folder) && depth < 100 {
                folders.push((path.clone(), entry.node, depth + 1));
            }
            if kind == Some(Kind::File) {
                let mut content = fs.open(entry.node, None)?;
                let mut buffer = vec![0; content.len().min(100_000) as usize];
                errors |= content.read_at(0, &mut buffer).is_err();
                errors |= content.next_data(0).is_err();
            }
            let target = target.map(Result::unwrap);
            told.insert(path, (node, extras, target));
        }
        if told.len() > 10_000 {
            break;
        }
    }
    Ok((told, errors))
}

fn filled(test: &str, words: &str) -> Option<Vec<u8>> {
    let image = image(test, 16, words)?;
    {
        let mounted = Mounted::kernel(test, &image.path(), "ext4", "rw")?;
        let room = Room {
            names: 80,
            xattr: 300,
        };
        fill(&mounted.path(), room);
    }
    Some(fs::read(image.path()).unwrap())
}

/// Blocks that seem to hold metadata, each with the places of its bytes that are not zero.
fn places(bytes: &[u8]) -> Vec<Vec<usize>> {
    let used = |(at, block): (usize, &[u8])| -> Vec<usize> {
        let used = block.iter().enumerate().filter(|(_, byte)| **byte != 0);
        used.map(|(within, _)| at * 1024 + within).collect()
    };
    let blocks = bytes.chunks(1024).enumerate().map(used);
    // Contents are noise, which has hardly any zeros.
    blocks
        .filter(|used| (1..900).contains(&used.len()))
        .collect()
}

fn one_of(places: &[Vec<usize>], random: &mut Random) -> usize {
    let block = &places[random.below(places.len() as u64) as usize];
    block[random.below(block.len() as u64) as usize]
}

#[test]
fn with_sums_an_error_or_the_truth() {
    let test = "with_sums_an_error_or_the_truth";
    let Some(bytes) = filled(test, "-t ext4 -b 1024 -N 512 -O ^has_journal") else {
        return;
    };
    let (whole, errors) = told(&bytes).unwrap();
    assert!(!errors && whole.len() > 150, "{}", whole.len());
    let places = places(&bytes);
    let mut random = Random(testkit::vary::seed(5));
    let mut met = 0;
    for _ in 0..testkit::vary::cases(60) {
        let at = one_of(&places, &mut random);
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << random.below(8);
        let Ok((told, errors)) = told(&bytes) else {
            met += 1;
            continue;
        };
        met += u32::from(errors);
        for (path, now) in &told {
            let then = whole
                .get(path)
                .unwrap_or_else(|| panic!("{path} is new, by {at:#x}"));
            let same = |one: bool, other: bool| one || !other;
            assert!(
                same(now.0 == then.0, now.0.is_some()),
                "{path}, by {at:#x}: {now:?} {then:?}"
            );
            assert!(
                same(now.1 == then.1, now.1.is_some()),
                "{path}, by {at:#x}: {now:?} {then:?}"
            );
            assert!(
                same(now.2 == then.2, now.2.is_some()),
                "{path}, by {at:#x}: {now:?} {then:?}"
            );
        }
        assert!(
            errors || told.len() == whole.len(),
            "names are lost by {at:#x}"
        );
    }
    assert!(met > 5, "{met}");
}

#[test]
fn without_sums_no_panic_and_an_end() {
    let test = "without_sums_no_panic_and_an_end";
    for words in [
        "-t ext2 -b 1024 -N 512",
        "-t ext4 -b 1024 -N 512 -O ^metadata_csum,inline_data",
    ] {
        let Some(bytes) = filled(test, words) else {
            return;
        };
        let places = places(&bytes);
        let mut random = Random(testkit::vary::seed(6));
        for _ in 0..testkit::vary::cases(40) {
            let mut bytes = bytes.clone();
            for _ in 0..=random.below(20) {
                let at = one_of(&places, &mut random);
                bytes[at] = random.number() as u8;
            }
            let _ = told(&bytes);
        }
    }
}
