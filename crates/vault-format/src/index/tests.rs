use proptest::prelude::*;

use super::*;
use crate::Error;
use crate::testing::{counter, keys};

fn packs(n: usize) -> Vec<PackRef> {
    (0..n)
        .map(|i| PackRef {
            hash: ObjectHash([i as u8; 32]),
            len: 32 << 20,
            kind: if i % 2 == 0 {
                PackKind::Data
            } else {
                PackKind::Map
            },
        })
        .collect()
}

fn entries(n: usize, packs: usize) -> Vec<IndexEntry> {
    (0..n)
        .map(|i| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(i as u64).to_be_bytes());
            IndexEntry {
                id: ChunkId(id),
                pack: (i % packs) as u32,
                offset: 160 + i as u32,
                stored_len: 20 + (i % 7) as u32,
                plain_len: 64 << 10,
            }
        })
        .collect()
}

#[test]
fn runs_of_any_number_of_blocks_come_back() {
    let keys = keys();
    for n in [
        0,
        1,
        5,
        MAX_BLOCK_ENTRIES,
        MAX_BLOCK_ENTRIES + 1,
        2 * MAX_BLOCK_ENTRIES + 17,
    ] {
        let (packs, entries) = (packs(3), entries(n, 3));
        let run = build_index(&keys, &packs, &entries, &mut counter(1)).unwrap();
        let (root, back) = IndexOpener::read_all(&keys, &run.bytes).unwrap();
        assert_eq!(
            (root.packs(), root.count(), &back),
            (&packs[..], n as u64, &entries)
        );
        assert_eq!(root.blocks().len(), n.div_ceil(MAX_BLOCK_ENTRIES));
        assert_eq!(run.hash, ObjectHash::of(&run.bytes));
        for entry in entries.iter().step_by(97) {
            let block = &root.blocks()[root.find(&entry.id).unwrap()];
            let sealed = &run.bytes[block.offset as usize..][..block.sealed_len as usize];
            let opener = IndexOpener::new(&keys, &run.bytes).unwrap();
            assert!(opener.block(&root, block, sealed).unwrap().contains(entry));
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let keys = keys();
    let run = build_index(&keys, &packs(2), &entries(5, 2), &mut counter(1))
        .unwrap()
        .bytes;
    for i in 0..run.len() {
        let mut bad = run.clone();
        bad[i] ^= 1 << (i % 8);
        assert!(IndexOpener::read_all(&keys, &bad).is_err(), "byte {i}");
        let cut = IndexOpener::read_all(&keys, &run[..i]);
        assert!(
            matches!(cut, Err(Error::Truncated { .. })),
            "cut at {i}: {cut:?}"
        );
    }
}

#[test]
fn what_breaks_a_rule_is_not_written() {
    let keys = keys();
    let (packs, good) = (packs(2), entries(3, 2));
    let build = |entries: &[IndexEntry]| build_index(&keys, &packs, entries, &mut counter(1));
    build(&good).unwrap();
    for change in [
        |e: &mut Vec<IndexEntry>| e.swap(0, 1),
        |e: &mut Vec<IndexEntry>| e[1].id = e[0].id,
        |e: &mut Vec<IndexEntry>| e[1].pack = 2,
        |e: &mut Vec<IndexEntry>| e[1].offset = u32::MAX,
        |e: &mut Vec<IndexEntry>| e[1].stored_len = 16,
        |e: &mut Vec<IndexEntry>| e[1].plain_len = u32::MAX,
        |e: &mut Vec<IndexEntry>| e[1].plain_len = 1,
    ] {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(matches!(build(&bad), Err(Error::Invalid { .. })), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(testkit::vary::config(256))]
    #[test]
    fn any_bytes_are_a_root_or_block_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0u64..1000) {
        let _ = decode_root(&bytes, at);
        let _ = decode_block(&bytes, &packs(2));
        let _ = IndexOpener::root_range(&bytes, at);
    }
}
