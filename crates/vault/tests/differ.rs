//! What two maps tell of where their disks differ.

#![allow(clippy::single_range_in_vec_init)] // Lists of ranges, some of which have one.

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use proptest::prelude::*;
use store::{MemoryStore, Op, RecordingStore};

fn differences(vault: &Vault, one: &NodeId, other: &NodeId, most: usize) -> Vec<Range<u64>> {
    let (one, other) = (vault.disk(one).unwrap(), vault.disk(other).unwrap());
    let found = one.differences(&other, most).unwrap();
    assert_eq!(other.differences(&one, most).unwrap(), found);
    assert!(found.len() <= most, "{} of {most}", found.len());
    assert!(found.iter().all(|range| range.start < range.end));
    assert!(found.windows(2).all(|two| two[0].end < two[1].start));
    assert!(
        found
            .last()
            .is_none_or(|last| last.end <= one.len().max(other.len()))
    );
    found
}

proptest! {
    #![proptest_config(testkit::vary::config(24))]
    #[test]
    fn no_byte_differs_where_none_is_said_to(
        seed in any::<u64>(),
        len in 1usize..1_500_000,
        longer in prop_oneof![Just(0), 1usize..600_000],
        zeros in any::<prop::sample::Index>(),
        writes in prop::collection::vec((any::<prop::sample::Index>(), 1usize..50_000, any::<u64>()), 0..6),
        most in prop_oneof![Just(usize::MAX), 1usize..4],
    ) {
        let vault = init(Arc::new(MemoryStore::new()));
        let session = vault.session(Compression::Fast).unwrap();
        let mut old = noise(seed, len);
        let from = zeros.index(len);
        old[from..len.min(from + 300_000)].fill(0);
        let full = write_full(&session, &old, 2).unwrap();
        session.checkpoint().unwrap();
        let mut new = old.clone();
        let mut changed = Vec::new();
        for (at, len, seed) in &writes {
            let at = at.index(new.len());
            let end = (at + len).min(new.len());
            match seed % 4 {
                0 => new[at..end].fill(0),
                _ => new[at..end].copy_from_slice(&noise(*seed, end - at)),
            }
            changed.push(at..end);
        }
        let root = match longer {
            0 => write_changed(&session, &new, full, &changed).unwrap().0,
            _ => {
                new.extend(noise(seed ^ 1, longer));
                write_full(&session, &new, 2).unwrap()
            }
        };
        session.checkpoint().unwrap();
        prop_assert_eq!(differences(&vault, &full, &full, 1), []);
        let found = differences(&vault, &full, &root, most);
        let mut at = 0;
        for range in found.iter().cloned().chain([new.len() as u64..new.len() as u64]) {
            let same = at..range.start as usize;
            prop_assert!(same.is_empty() || old.get(same.clone()) == new.get(same));
            at = range.end as usize;
        }
        if longer == 0 && most == usize::MAX {
            // What was not written is not called different but for the rest of chunks that were cut.
            let told: u64 = found.iter().map(|range| range.end - range.start).sum();
            let wrote: usize = changed.iter().map(Range::len).sum();
            prop_assert!(told <= (wrote + changed.len() * (4 << 16)) as u64, "{told} for {wrote}");
        }
    }
}

/// A disk of many segments of which few have anything.
fn sparse(session: &Session, segments: u64, there: &[(u64, u64)]) -> NodeId {
    let disk = session
        .disk(layout(segments as usize * SEGMENT), None)
        .unwrap();
    let mut buf = SegmentBuf::new();
    for (index, seed) in there {
        buf.clear();
        buf.push_data(&noise(*seed, SEGMENT));
        disk.put_segment(*index, &buf).unwrap();
    }
    disk.finish().unwrap()
}

#[test]
fn maps_of_different_heights_share_what_they_share() {
    let vault = init(Arc::new(MemoryStore::new()));
    let session = vault.session(Compression::Fast).unwrap();
    let small = sparse(&session, 3, &[(0, 1), (2, 2)]);
    let large = sparse(&session, 70_000, &[(0, 1), (2, 3), (300, 4), (69_999, 5)]);
    let taller = sparse(&session, 70_000, &[(0, 1), (2, 3), (300, 6), (69_999, 5)]);
    session.checkpoint().unwrap();
    let at = |segment: u64| segment * SEGMENT as u64..(segment + 1) * SEGMENT as u64;
    assert_eq!(
        differences(&vault, &large, &taller, 9).as_slice(),
        std::slice::from_ref(&at(300))
    );
    let found = differences(&vault, &small, &large, 9);
    // Behind the shorter one all is different.
    assert_eq!(found.as_slice(), [at(2).start..at(69_999).end].as_slice());
}

#[test]
fn a_small_change_of_a_large_disk_costs_a_few_nodes() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let there: Vec<(u64, u64)> = (0..400).map(|n| (n * 7, n % 5)).collect();
    let session = vault.session(Compression::Fast).unwrap();
    let old = sparse(&session, 4000, &there);
    let mut changed = there.clone();
    changed[200].1 = 9;
    let new = sparse(&session, 4000, &changed);
    commit(&session, "vm", 1, &[old, new]).unwrap();
    session.finish().unwrap();
    let record = Arc::new(RecordingStore::new(store));
    let vault = open(record.clone(), 2);
    let (old, new) = (vault.disk(&old).unwrap(), vault.disk(&new).unwrap());
    record.take();
    let found = old.differences(&new, usize::MAX).unwrap();
    let start = 1400 * SEGMENT as u64;
    assert_eq!(
        found.as_slice(),
        std::slice::from_ref(&(start..start + SEGMENT as u64))
    );
    let gets = record.take();
    let gets = gets.iter().filter(|op| matches!(op, Op::Get { .. }));
    // Two ways down, of three nodes each.
    assert!(gets.count() <= 6);
}

#[test]
fn what_is_stored_is_told_without_its_chunks() {
    let vault = init(Arc::new(MemoryStore::new()));
    let session = vault.session(Compression::Fast).unwrap();
    let disk = sparse(&session, 2000, &[(3, 1), (4, 2), (700, 3), (1999, 4)]);
    session.checkpoint().unwrap();
    let stored = |most| vault.disk(&disk).unwrap().stored(most).unwrap();
    let at = |from: u64, to: u64| from * SEGMENT as u64..to * SEGMENT as u64;
    assert_eq!(stored(9), [at(3, 5), at(700, 701), at(1999, 2000)]);
    assert_eq!(stored(1).as_slice(), std::slice::from_ref(&at(3, 2000)));
}
