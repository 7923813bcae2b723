//! A chunk that lies in several packs is lost only with the last of them.

mod common;

use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Store};

fn packs(store: &MemoryStore) -> Vec<String> {
    let names = store.names().into_iter();
    names.filter(|name| name.starts_with("packs/")).collect()
}

/// Stores a disk in full, with a process of its own.
fn back_up(store: &Arc<MemoryStore>, seed: u64, data: &[u8]) -> NodeId {
    let vault = open(store.clone(), 100 + seed);
    let session = vault.session(Compression::Fast).unwrap();
    let root = write_full(&session, data, 1).unwrap();
    commit(&session, "vm", seed as u8, &[root]).unwrap();
    session.finish().unwrap();
    root
}

#[test]
fn merged_index_runs_lead_to_the_copy_that_is_there() {
    for round in 0..4u64 {
        let store = Arc::new(MemoryStore::new());
        init(store.clone());
        let data = noise(round, SEGMENT);
        back_up(&store, 1, &data);
        for pack in packs(&store) {
            store.delete(&pack).unwrap();
        }
        // This one stores again what was lost; then so many runs come that they are merged.
        let root = back_up(&store, 2, &data);
        let runs = |store: &MemoryStore| {
            let names = store.names().into_iter();
            names.filter(|name| name.starts_with("index/")).count()
        };
        for n in 3..19 {
            back_up(&store, n, &noise(1000 * round + n, 5000));
        }
        assert!(runs(&store) < 16, "they were merged");
        assert!(read_full(&open(store.clone(), 9), &root).unwrap() == data);
        let report = check(&open(store.clone(), 9), true);
        let lost = |f: &Finding| matches!(f, Finding::ChunkLost { .. });
        assert!(!report.findings.iter().any(lost), "{:?}", report.findings);
        // Nor is it stored again and again.
        let before = packs(&store).len();
        let session = open(store.clone(), 50).session(Compression::Fast).unwrap();
        write_full(&session, &data, 1).unwrap();
        session.checkpoint().unwrap();
        assert_eq!(packs(&store).len(), before);
    }
}

#[test]
fn merged_tables_of_the_cache_lead_to_the_copy_that_is_there() {
    for round in 0..4u64 {
        let store = Arc::new(MemoryStore::new());
        init(store.clone());
        let data = noise(round, SEGMENT);
        back_up(&store, 1, &data);
        for pack in packs(&store) {
            store.delete(&pack).unwrap();
        }
        let root = back_up(&store, 2, &data);
        for n in 3..13 {
            back_up(&store, n, &noise(1000 * round + n, 5000));
        }
        let vault = open(store.clone(), 9);
        assert!(read_full(&vault, &root).unwrap() == data);
    }
}

#[test]
fn the_other_copy_is_found_when_the_one_that_the_index_kept_is_lost() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let data = noise(1, SEGMENT);
    // Two writers that know nothing of each other store the same.
    let (one, two) = (open(store.clone(), 2), open(store.clone(), 3));
    let sessions = [&one, &two].map(|vault| vault.session(Compression::Fast).unwrap());
    let roots = sessions.each_ref().map(|session| {
        let root = write_full(session, &data, 1).unwrap();
        (root, packs(&store))
    });
    let root = roots[0].0;
    sessions[0].checkpoint().unwrap();
    let first = packs(&store);
    sessions[1].checkpoint().unwrap();
    commit(&sessions[0], "vm", 1, &[root]).unwrap();
    assert_eq!(packs(&store).len(), 2 * first.len());
    let second: Vec<_> = packs(&store)
        .into_iter()
        .filter(|pack| !first.contains(pack))
        .collect();
    for n in 5..21 {
        back_up(&store, n, &noise(1000 + n, 5000));
    }
    for lost in [first, second] {
        let store = Arc::new(MemoryStore::clone(&store));
        for pack in &lost {
            store.delete(pack).unwrap();
        }
        let report = check(&open(store.clone(), 9), false);
        let gone = |f: &Finding| matches!(f, Finding::ChunkLost { .. });
        assert!(!report.findings.iter().any(gone), "{:?}", report.findings);
        assert!(read_full(&open(store, 9), &root).unwrap() == data);
    }
}

#[test]
fn an_index_that_leads_astray_is_not_called_well() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let data = noise(1, SEGMENT);
    let root = back_up(&store, 1, &data);
    let names = |folder: &str| -> Vec<String> {
        let names = store.names().into_iter();
        names.filter(|name| name.starts_with(folder)).collect()
    };
    let keys = names("keys/")
        .iter()
        .find_map(|name| {
            let slot = Slot::decode(&store.get(name, 1 << 20).unwrap()).ok()?;
            slot.open(Unlock::Passphrase(b"open sesame")).ok()
        })
        .unwrap();
    let run = &names("index/")[0];
    let bytes = store.get(run, 1 << 20).unwrap();
    let (table, mut entries) = vault_format::index::IndexOpener::read_all(&keys, &bytes).unwrap();
    // Two chunks of one data pack change places: each is where the other one should be.
    let data_pack = |e: &vault_format::index::IndexEntry| {
        table.packs()[e.pack as usize].kind == vault_format::pack::PackKind::Data
    };
    let swapped: Vec<usize> = (0..entries.len())
        .filter(|i| data_pack(&entries[*i]))
        .take(2)
        .collect();
    let (a, b) = (entries[swapped[0]], entries[swapped[1]]);
    entries[swapped[0]] = vault_format::index::IndexEntry { id: a.id, ..b };
    entries[swapped[1]] = vault_format::index::IndexEntry { id: b.id, ..a };
    let mut n = 0u8;
    let mut rng = |out: &mut [u8]| {
        n += 1;
        out.fill(n);
    };
    let lie = vault_format::index::build_index(&keys, table.packs(), &entries, &mut rng).unwrap();
    store.delete(run).unwrap();
    let name = ObjectName::Index(lie.hash).to_string();
    store.put(&name, &lie.bytes).unwrap();
    let vault = open(store, 9);
    assert!(read_full(&vault, &root).is_err());
    let report = check(&vault, true);
    let lost =
        |f: &&Finding| matches!(f, Finding::ChunkLost { affected, .. } if !affected.is_empty());
    assert_eq!(report.findings.iter().filter(lost).count(), 2);
}
