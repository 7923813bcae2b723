//! What a run costs in requests to the store: by what changed, and not by the vault's size.

mod common;

use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Op, RecordingStore, Store};

/// Lists, stats, gets, puts.
fn requests(ops: &[Op]) -> [usize; 4] {
    let mut counts = [0; 4];
    for op in ops {
        match op {
            Op::List { .. } => counts[0] += 1,
            Op::Stat { .. } => counts[1] += 1,
            Op::Get { .. } => counts[2] += 1,
            Op::Put { .. } => counts[3] += 1,
            Op::Delete { .. } => {}
        }
    }
    counts
}

/// A vault with a disk of `segments` segments in packs of one chunk or two.
fn many_packs(segments: usize) -> (Arc<MemoryStore>, Vec<u8>, NodeId) {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let data = noise(1, segments * SEGMENT);
    let options = SessionOptions {
        compression: Compression::Fast,
        pack_size: 40 << 10,
    };
    let session = vault.session(options).unwrap();
    let root = write_full(&session, &data, 2).unwrap();
    commit(&session, "vm", 1, &[root]).unwrap();
    session.finish().unwrap();
    (store, data, root)
}

#[test]
fn an_unchanged_disk_costs_as_many_requests_in_a_large_vault_as_in_a_small_one() {
    let mut costs = Vec::new();
    for segments in [2, 40] {
        let (store, data, base) = many_packs(segments);
        let packs = store.list_all("packs/").unwrap().len();
        assert!(packs > segments * 3, "{packs}");
        let cache = tempfile::tempdir().unwrap();
        let run = |seed| {
            let record = Arc::new(RecordingStore::new(store.clone()));
            let env = env(seed).with_cache(cache.path());
            let secret = Unlock::Passphrase(b"open sesame");
            let vault = Vault::open(record.clone(), secret, env).unwrap();
            let session = vault.session(small_packs()).unwrap();
            let opened = requests(&record.take());
            // All of it is read, and nothing is new.
            let root = write_full(&session, &data, 2).unwrap();
            assert_eq!(root, base);
            session.checkpoint().unwrap();
            let read = requests(&record.take());
            (opened, read)
        };
        run(2);
        costs.push(run(3));
    }
    let [(small_open, small_read), (large_open, large_read)] = costs[..] else {
        panic!("{costs:?}");
    };
    assert_eq!(small_open, large_open);
    // A few packs are asked for one by one, many by a listing.
    assert!(small_read[1] <= 64 && large_read[1] == 0, "{costs:?}");
    assert_eq!(large_read[0], small_read[0] + 1, "{costs:?}");
    assert_eq!(small_read[2..], large_read[2..], "{costs:?}");
}

#[test]
fn an_unchanged_disk_over_its_base_asks_for_its_root_alone() {
    let (store, data, base) = many_packs(40);
    let record = Arc::new(RecordingStore::new(store));
    let vault = open(record.clone(), 2);
    let session = vault.session(small_packs()).unwrap();
    record.take();
    let (root, read) = write_changed(&session, &data, base, &[]).unwrap();
    assert_eq!((root, read), (base, 0));
    session.checkpoint().unwrap();
    let [lists, stats, gets, puts] = requests(&record.take());
    // The root: the header of its pack and the node. Of the packs, one was leaned on.
    assert_eq!((lists, stats, gets, puts), (1, 1, 2, 0));
}
