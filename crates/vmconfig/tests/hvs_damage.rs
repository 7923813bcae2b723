//! Damage to a container gives a typed error, a warning, or no change; never a panic, never a
//! tree that differs without a word.

use std::cell::Cell;
use std::io;

use hyperkeep_vmconfig::hvs::{self, Error, HvsFile, Limits, Warning};
use hyperkeep_vmconfig::tree::MAX_DEPTH;
use hyperkeep_vmconfig::{Entry, ReadAt, Tree, Value};

fn sample() -> Tree {
    let mut tree = Tree::default();
    for n in 0..40 {
        let name = format!("_device{n}_");
        tree.set(
            &["configuration", &name, "pathname"],
            Value::String(format!("D:\\{n}.vhdx")),
        );
        tree.set(&["configuration", &name, "Version"], Value::Int(n));
    }
    tree.set(
        &["configuration", "notes"],
        Value::String("long ".repeat(1000)),
    );
    tree.set(&["configuration", "raw"], Value::Bytes(vec![7; 5000]));
    tree.set(&["configuration", "yes"], Value::Bool(true));
    tree.set(&["configuration", "uint"], Value::UInt(u64::MAX));
    tree.set(&["configuration", "double"], Value::Double(0.5));
    tree
}

/// Where key tables and the log begin and end in what the writer makes of [`sample`].
fn key_tables(file: &[u8]) -> std::ops::Range<usize> {
    let end = (12288..file.len())
        .step_by(4096)
        .find(|at| file[*at..*at + 2] != [2, 0])
        .unwrap();
    12288..end
}

#[test]
fn every_flipped_bit_is_harmless_or_told() {
    let tree = sample();
    let file = hvs::write_tree(&tree, 3).unwrap();
    assert_eq!(hvs::read_tree(&file).unwrap(), (tree.clone(), vec![]));
    let tables = key_tables(&file);
    assert!(tables.len() >= 2 * 4096, "the sample fills several tables");
    let headers = (0..46).chain(4096..4142);
    let regions = headers
        .chain(8192..12288)
        .chain(tables.clone())
        .chain(file.len() - 4096..file.len());
    let mut silent = 0;
    for at in regions {
        // All bits of the headers; of the tables one for each byte, in turn.
        let bits = if at < 8192 { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            if let Ok((other, warnings)) = hvs::read_tree(&damaged)
                && other != tree
                && warnings.is_empty()
            {
                // The one change that no checksum tells: a key whose type becomes "free" cannot
                // be told from a key that was deleted.
                assert!(
                    tables.contains(&at) && damaged[at] == 1,
                    "silent change at {at} bit {bit}"
                );
                silent += 1;
            }
        }
    }
    assert!(silent <= 2 * tree.count(), "{silent}");
}

#[test]
fn every_truncation_is_an_error() {
    let tree = sample();
    let file = hvs::write_tree(&tree, 3).unwrap();
    let log = file.len() - 4096;
    let lens = (0..file.len())
        .step_by(509)
        .chain([45, 46, 4142, 8191, 8192, 8200, log - 1]);
    for len in lens {
        match hvs::read_tree(&file[..len]) {
            Err(_) => {}
            Ok((read, warnings)) => {
                assert!(!warnings.is_empty(), "{len}");
                assert!(read == tree || warnings.len() > 1, "{len}: {warnings:?}");
            }
        }
    }
}

/// Every four bytes of every structure set to large numbers: no panic, and an answer soon. What
/// memory such numbers buy is counted in `memory.rs`.
#[test]
fn lying_numbers() {
    let file = hvs::write_tree(&sample(), 3).unwrap();
    let places = (0..46)
        .chain(8192..8192 + 8 + 18 * 12)
        .chain(12288..12288 + 400);
    for at in places.chain(file.len() - 4096..file.len() - 4060) {
        for lie in [
            u32::MAX,
            i32::MAX as u32,
            0x8000_0000,
            0,
            1,
            4096,
            file.len() as u32,
        ] {
            let mut damaged = file.clone();
            damaged[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            let _ = hvs::read_tree(&damaged);
        }
    }
}

fn crc_entry(slot: &mut [u8]) {
    slot[1..5].fill(0);
    let crc = crc32fast::hash(slot);
    slot[1..5].copy_from_slice(&crc.to_le_bytes());
}

fn chain_slot(file: &mut [u8], table: usize, next: u64) {
    let slot = &mut file[table + 8 + 226 * 18..][..18];
    slot[0] = 1;
    slot[5..13].copy_from_slice(&next.to_le_bytes());
    slot[13..17].copy_from_slice(&4096u32.to_le_bytes());
    slot[17] = 1;
    crc_entry(slot);
}

#[test]
fn a_chain_of_object_tables_that_returns() {
    let mut file = hvs::write_tree(&sample(), 0).unwrap();
    chain_slot(&mut file, 8192, 8192);
    assert!(matches!(
        hvs::read_tree(&file),
        Err(Error::ObjectTableCycle(8192))
    ));
    chain_slot(&mut file, 8192, u64::MAX - 3);
    assert!(matches!(
        hvs::read_tree(&file),
        Err(Error::OutOfBounds { .. })
    ));
}

#[test]
fn keys_that_are_their_own_ancestors() {
    let tree = Tree {
        entries: vec![Entry::node("a", vec![Entry::node("b", vec![])])],
    };
    let mut file = hvs::write_tree(&tree, 0).unwrap();
    // The first key lies at offset 10 of table 1, the second one 21 + 2 + 12 bytes on.
    let (table, a, b) = (12288, 10u32, 10 + 35u32);
    let key = &mut file[table + a as usize..][..35];
    key[6..8].copy_from_slice(&1u16.to_le_bytes());
    key[8..12].copy_from_slice(&b.to_le_bytes());
    key[12..16].fill(0);
    let crc = crc32fast::hash(key);
    key[12..16].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(hvs::read_tree(&file), Err(Error::KeyCycle(2))));
}

#[test]
fn too_deep_to_write_or_read() {
    let mut entry = Entry::node("x", vec![]);
    for _ in 1..MAX_DEPTH {
        entry = Entry::node("x", vec![entry]);
    }
    let tree = Tree {
        entries: vec![entry.clone()],
    };
    let file = hvs::write_tree(&tree, 0).unwrap();
    assert_eq!(hvs::read_tree(&file).unwrap().0, tree);
    let deeper = Tree {
        entries: vec![Entry::node("x", vec![entry])],
    };
    assert!(matches!(
        hvs::write_tree(&deeper, 0),
        Err(Error::TooDeep(_))
    ));
}

#[test]
fn names_and_values_that_cannot_be_written() {
    for name in ["", "a\0b", &"n".repeat(255)] {
        let tree = Tree {
            entries: vec![Entry::node(name, vec![])],
        };
        assert!(matches!(hvs::write_tree(&tree, 0), Err(Error::BadName(_))));
    }
    let tree = Tree {
        entries: vec![Entry::node("n".repeat(254), vec![])],
    };
    assert_eq!(
        hvs::read_tree(&hvs::write_tree(&tree, 0).unwrap())
            .unwrap()
            .0,
        tree
    );
}

/// Adds one change to the replay log: `data` for `target`, in one of the two field orders.
fn dirty(file: &mut [u8], target: u64, data: &[u8], checksum_first: bool) {
    let log = file.len() - 4096;
    file[log + 2048..log + 2048 + data.len()].copy_from_slice(data);
    let mut entry = Vec::new();
    let fields = [
        &target.to_le_bytes()[..],
        &(data.len() as u32).to_le_bytes(),
        &2048u64.to_le_bytes(),
    ];
    if checksum_first {
        entry.extend([0; 4]);
        fields.iter().for_each(|field| entry.extend(*field));
    } else {
        fields.iter().for_each(|field| entry.extend(*field));
        entry.extend([0; 4]);
    }
    entry.extend(crc32fast::hash(data).to_le_bytes());
    let crc = crc32fast::hash(&entry).to_le_bytes();
    let at = if checksum_first { 0 } else { 20 };
    entry[at..at + 4].copy_from_slice(&crc);
    file[log + 34..log + 62].copy_from_slice(&entry);
    file[log + 8..log + 12].copy_from_slice(&1u32.to_le_bytes());
    file[log + 4..log + 8].fill(0);
    let crc = crc32fast::hash(&file[log..log + 34]);
    file[log + 4..log + 8].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn outstanding_changes_are_applied_in_memory() {
    let old = Tree {
        entries: vec![Entry::new("key", Value::String("old".into()))],
    };
    let new = Tree {
        entries: vec![Entry::new("key", Value::String("new".into()))],
    };
    let new_file = hvs::write_tree(&new, 0).unwrap();
    for checksum_first in [true, false] {
        let mut file = hvs::write_tree(&old, 0).unwrap();
        // The key table's first 200 bytes, as they will be.
        dirty(&mut file, 12288, &new_file[12288..12488], checksum_first);
        let before = file.clone();
        let (tree, warnings) = hvs::read_tree(&file).unwrap();
        assert_eq!((tree, warnings), (new.clone(), vec![Warning::Replayed(1)]));
        assert_eq!(file, before);

        // Torn data: read as it lies, and say so.
        let log = file.len() - 4096;
        file[log + 2100] ^= 1;
        let (tree, warnings) = hvs::read_tree(&file).unwrap();
        assert_eq!(tree, old);
        assert!(matches!(
            warnings[..],
            [Warning::ParsedWithoutReplay { entries: 1, .. }]
        ));
        file[log + 2100] ^= 1;
        file[log + 40] ^= 1;
        let (tree, warnings) = hvs::read_tree(&file).unwrap();
        assert_eq!(tree, old);
        assert!(matches!(
            warnings[..],
            [Warning::ParsedWithoutReplay { entries: 1, .. }]
        ));
    }
}

#[test]
fn of_two_key_tables_with_one_index_the_newer_counts() {
    let tree = |text: &str| Tree {
        entries: vec![Entry::new("key", Value::String(text.into()))],
    };
    let mut file = hvs::write_tree(&tree("old"), 0).unwrap();
    let mut newer = hvs::write_tree(&tree("new"), 0).unwrap()[12288..16384].to_vec();
    newer[4] = 2;
    newer[6..10].fill(0);
    let crc = crc32fast::hash(&newer[..10]);
    newer[6..10].copy_from_slice(&crc.to_le_bytes());
    let at = file.len() as u64;
    file.extend(newer);
    let slot = &mut file[8192 + 8 + 18..][..18];
    slot[0] = 2;
    slot[5..13].copy_from_slice(&at.to_le_bytes());
    slot[13..17].copy_from_slice(&4096u32.to_le_bytes());
    crc_entry(slot);
    assert_eq!(hvs::read_tree(&file).unwrap(), (tree("new"), vec![]));
}

#[test]
fn blobs_stay_in_a_runtime_file() {
    let memory: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let mut tree = Tree::default();
    tree.set(&["savedstate", "RamBlock0"], Value::Bytes(memory.clone()));
    let bytes = hvs::write_tree(&tree, 0).unwrap();
    let file: &dyn ReadAt = &bytes;
    let open = HvsFile::open(file, Limits::RUNTIME).unwrap();
    let Value::Blob(blob) = open.tree().get(&["savedstate", "RamBlock0"]).unwrap().value else {
        panic!("loaded");
    };
    let mut part = vec![0; 1000];
    open.read_blob(&blob, 99_000, &mut part).unwrap();
    assert_eq!(part, memory[99_000..]);
    assert!(open.read_blob(&blob, 99_001, &mut part).is_err());
    assert!(matches!(
        hvs::write_tree(open.tree(), 0),
        Err(Error::BlobNotLoaded(_))
    ));
    let tight = Limits {
        tables: 1 << 20,
        keys: 100,
        blobs: Some(1000),
    };
    assert!(matches!(
        HvsFile::open(file, tight),
        Err(Error::TooLarge { .. })
    ));
    let of_one_key = Limits { keys: 1, ..tight };
    assert!(matches!(
        HvsFile::open(file, of_one_key),
        Err(Error::TooMany { limit: 1, .. })
    ));
}

/// Windows may leave a node's last four bytes out of its checksum.
#[test]
fn a_node_s_checksum_over_eight_bytes() {
    let tree = Tree {
        entries: vec![Entry::node("a", vec![])],
    };
    let mut file = hvs::write_tree(&tree, 0).unwrap();
    let key = &mut file[12288 + 10..][..21 + 2 + 8];
    key[12..16].fill(0);
    let crc = crc32fast::hash(key);
    key[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(hvs::read_tree(&file).unwrap(), (tree, vec![]));
    file[12288 + 10 + 12] ^= 1;
    assert_eq!(hvs::read_tree(&file).unwrap().1.len(), 1);
}

/// A file that counts how often it is read.
struct Counting<'a>(&'a [u8], Cell<usize>);

impl ReadAt for Counting<'_> {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.0)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.set(self.1.get() + 1);
        self.0.read_exact_at(buf, offset)
    }
}

fn reads(bytes: &[u8]) -> usize {
    let file = Counting(bytes, Cell::new(0));
    HvsFile::open(&file, Limits::CONFIGURATION).unwrap();
    file.1.get()
}

/// One key table that is listed in every slot of a long object table is read once.
#[test]
fn a_key_table_that_is_listed_many_times() {
    let tree = Tree {
        entries: vec![Entry::new("key", Value::Int(1))],
    };
    let mut file = hvs::write_tree(&tree, 0).unwrap();
    let slot = file[8192 + 8..8192 + 8 + 18].to_vec();
    assert_eq!(slot[0], 2, "a key table");
    let before = reads(&file);
    // The slot that chains leads to a table behind all else, with the same slot over and over.
    let (at, count) = (file.len(), 50_000u32);
    let mut table = vec![1, 0, 0x11, 1];
    table.extend(count.to_le_bytes());
    (0..count).for_each(|_| table.extend(&slot));
    file.extend(table);
    chain_slot(&mut file, 8192, at as u64);
    assert_eq!(hvs::read_tree(&file).unwrap().0, tree);
    assert!(reads(&file) <= before + 2, "{} reads", reads(&file));
}
