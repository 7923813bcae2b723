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
    let (store, data, root, [first, second]) = two_copies();
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

/// A vault in which two writers that did not see each other stored the same disk, and the packs
/// of either.
fn two_copies() -> (Arc<MemoryStore>, Vec<u8>, NodeId, [Vec<String>; 2]) {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let data = noise(1, SEGMENT);
    let (one, two) = (open(store.clone(), 2), open(store.clone(), 3));
    let sessions = [&one, &two].map(|vault| vault.session(Compression::Fast).unwrap());
    let roots = sessions
        .each_ref()
        .map(|session| write_full(session, &data, 1).unwrap());
    sessions[0].checkpoint().unwrap();
    let first = packs(&store);
    sessions[1].checkpoint().unwrap();
    commit(&sessions[0], "vm", 1, &[roots[0]]).unwrap();
    let all = packs(&store).into_iter();
    let second: Vec<_> = all.filter(|pack| !first.contains(pack)).collect();
    assert_eq!(second.len(), first.len());
    (store, data, roots[0], [first, second])
}

/// Makes every chunk of the pack unreadable and keeps its size, header and directory.
fn spoil(store: &MemoryStore, pack: &str) {
    let mut bytes = store.get(pack, 1 << 30).unwrap();
    let end = bytes.len();
    let offset = u64::from_le_bytes(bytes[end - 88..end - 80].try_into().unwrap());
    for byte in bytes[160..offset as usize].iter_mut().step_by(64) {
        *byte ^= 1;
    }
    store.overwrite(pack, bytes);
}

fn is_lost(finding: &Finding) -> bool {
    matches!(finding, Finding::ChunkLost { .. })
}

#[test]
fn a_reader_that_meets_a_damaged_copy_takes_the_other_one_and_tells_it() {
    let (good, data, root, copies) = two_copies();
    for merged in [false, true] {
        if merged {
            // So many runs that they are merged: then the index knows one place of each chunk.
            for n in 5..21 {
                back_up(&good, n, &noise(1000 + n, 5000));
            }
        }
        let mut met = 0;
        for damaged in &copies {
            let store = Arc::new(MemoryStore::clone(&good));
            damaged.iter().for_each(|pack| spoil(&store, pack));
            let vault = open(store.clone(), 9);
            assert!(read_full(&vault, &root).unwrap() == data);
            let warnings = vault.take_warnings();
            let told = |pack: &String| {
                let this = |w: &Warning| matches!(w, Warning::PackDamaged { object, .. } if object == pack);
                warnings.iter().any(this)
            };
            met += usize::from(damaged.iter().any(told));
            // What was told is told by name, and is no loss.
            let report = check(&open(store, 9), true);
            for pack in damaged {
                let this = |f: &Finding| matches!(f, Finding::ObjectDamaged { object, .. } if object == pack);
                assert!(report.findings.iter().any(this), "{:?}", report.findings);
            }
            assert!(
                !report.findings.iter().any(is_lost),
                "{:?}",
                report.findings
            );
        }
        assert!(met > 0, "one of the copies is the one that is read first");
    }
}

#[test]
fn each_copy_may_have_lost_another_chunk() {
    let (store, data, root, copies) = two_copies();
    // The first chunk of one data pack, and the last one of the other.
    let largest = |packs: &[String]| {
        let len = |name: &&String| store.stat(name).unwrap().len;
        packs.iter().max_by_key(len).unwrap().clone()
    };
    let flip = |pack: &str, at: &dyn Fn(usize) -> usize| {
        let mut bytes = store.get(pack, 1 << 30).unwrap();
        let end = bytes.len();
        let offset = u64::from_le_bytes(bytes[end - 88..end - 80].try_into().unwrap());
        bytes[at(offset as usize)] ^= 1;
        store.overwrite(pack, bytes);
    };
    flip(&largest(&copies[0]), &|_| 170);
    flip(&largest(&copies[1]), &|end| end - 10);
    assert!(read_full(&open(store.clone(), 9), &root).unwrap() == data);
    let report = check(&open(store, 9), true);
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    assert!(!report.findings.iter().any(is_lost));
}

#[test]
fn backups_do_not_lean_on_a_pack_that_was_found_damaged() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let data = noise(1, 2 * SEGMENT);
    let root = back_up(&store, 1, &data);
    let good = Arc::new(MemoryStore::clone(&store));
    packs(&store).iter().for_each(|pack| spoil(&store, pack));
    let cache = tempfile::tempdir().unwrap();
    let cached = |seed| {
        let env = env(seed).with_cache(cache.path());
        Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap()
    };
    let report = check(&cached(2), true);
    assert!(report.findings.iter().any(is_lost));
    // Another process remembers, reads in full, and stores again what it reads.
    let vault = cached(3);
    let remembered = |w: &Warning| matches!(w, Warning::DamagedPacks { packs: 2 });
    assert!(vault.take_warnings().iter().any(remembered));
    let session = vault.session(Compression::Fast).unwrap();
    assert_eq!(session.lost_packs(), 2);
    let again = write_full(&session, &data, 1).unwrap();
    commit(&session, "vm", 2, &[again]).unwrap();
    session.finish().unwrap();
    // The map is the same, and all that it needs is whole again, for the old point too.
    assert_eq!(again, root);
    assert!(read_full(&open(store.clone(), 4), &root).unwrap() == data);
    let report = check(&cached(5), true);
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    assert!(!report.findings.iter().any(is_lost));
    // Good copies come back: a check sees it, and nothing is remembered any more.
    for pack in packs(&good) {
        store.overwrite(&pack, good.get(&pack, 1 << 30).unwrap());
    }
    assert!(check(&cached(6), true).findings.is_empty());
    assert_eq!(
        cached(7).session(Compression::Fast).unwrap().lost_packs(),
        0
    );
}

#[test]
fn without_a_cache_a_check_tells_that_damage_is_not_remembered() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    back_up(&store, 1, &noise(1, SEGMENT));
    spoil(&store, &packs(&store)[0]);
    let report = check(&open(store, 2), true);
    let told = |w: &Warning| matches!(w, Warning::DamageForgotten { .. });
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
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

/// A cache of one merged table in which a record is damaged that only a search for copies reads.
#[test]
fn a_search_for_copies_may_run_into_a_damaged_cache() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let data = noise(1, SEGMENT);
    let root = back_up(&store, 1, &data);
    let first = packs(&store);
    // So many chunks that there are several groups of records, and so many runs that their tables
    // are merged.
    for n in 2..14 {
        back_up(&store, n, &noise(1000 + n, 6 * SEGMENT));
    }
    let cache = tempfile::tempdir().unwrap();
    let cached = |seed| {
        let env = env(seed).with_cache(cache.path());
        Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap()
    };
    drop(cached(20));
    let folder = std::fs::read_dir(cache.path()).unwrap().next().unwrap();
    let files = std::fs::read_dir(folder.unwrap().path()).unwrap();
    let tables: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [table] = &tables[..] else {
        panic!("the tables were merged: {tables:?}");
    };
    let good = std::fs::read(table).unwrap();
    let records = u64::from_le_bytes(good[8..16].try_into().unwrap()) as usize;
    let groups = records.div_ceil(128);
    assert!(groups > 3, "{groups}");
    for pack in &first {
        store.delete(pack).unwrap();
    }
    // What is wanted is nowhere; whichever group is damaged, that is what comes of it.
    for group in 0..groups {
        let mut bad = good.clone();
        bad[64 + group * 128 * 48 + 40] ^= 1;
        std::fs::write(table, bad).unwrap();
        let vault = cached(21 + group as u64);
        let e = read_full(&vault, &root).unwrap_err();
        assert!(e.is_of_map(), "{e}");
    }
}
