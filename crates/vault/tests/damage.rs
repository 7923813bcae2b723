//! Damage to any object is found, told with what it affects, and never read as data.

mod common;

use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Store};

/// Two VMs with two points and several packs each.
fn vault() -> (Arc<MemoryStore>, Vec<(PointRef, Vec<u8>)>) {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let mut points = Vec::new();
    for vm in 0..2u8 {
        let session = vault.session(small_packs()).unwrap();
        let mut data = noise(u64::from(vm) + 1, 3 * SEGMENT);
        let root = write_full(&session, &data, 1).unwrap();
        let name = format!("vm {vm}");
        // Points are read in the order of their ids: here the older one first, there the newer one,
        // whose map is told by its difference to the other.
        let [older, newer] = [[0, 1], [11, 10]][usize::from(vm)];
        points.push((
            commit(&session, &name, older, &[root]).unwrap(),
            data.clone(),
        ));
        let change = 5000..9000;
        data[change.clone()].fill(vm + 7);
        let (root, _) =
            write_changed(&session, &data, root, std::slice::from_ref(&change)).unwrap();
        points.push((commit(&session, &name, newer, &[root]).unwrap(), data));
        session.finish().unwrap();
    }
    (store, points)
}

/// Reads all points; what can be read is right. Returns which ones cannot.
fn unreadable(store: &Arc<MemoryStore>, points: &[(PointRef, Vec<u8>)]) -> Vec<PointId> {
    let vault = open(store.clone(), 5);
    let mut lost = Vec::new();
    for (point, data) in points {
        let read = vault.point(point).and_then(|read| {
            read.details()?;
            read_full(&vault, &read.outline.layers[0].root)
        });
        match read {
            Ok(read) => assert!(read == *data, "wrong bytes were read"),
            Err(_) => lost.push(point.point),
        }
    }
    lost
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Cut(usize),
    Delete,
    Swap,
}

fn damage(store: &MemoryStore, name: &str, damage: Damage) {
    let good = store.get(name, 1 << 30).unwrap();
    match damage {
        Damage::Flip(percent) => {
            let mut bad = good;
            let at = (bad.len() - 1) * percent / 100;
            bad[at] ^= 0x10;
            store.overwrite(name, bad);
        }
        Damage::Cut(percent) => store.overwrite(name, good[..good.len() * percent / 100].to_vec()),
        Damage::Delete => store.delete(name).unwrap(),
        Damage::Swap => {
            let folder = name.split('/').next().unwrap();
            let other = store
                .names()
                .into_iter()
                .find(|n| n != name && n.starts_with(folder));
            store.overwrite(name, store.get(&other.unwrap(), 1 << 30).unwrap());
        }
    }
}

#[test]
fn every_damage_to_every_object_is_found_and_harms_no_other_point() {
    let (good, points) = vault();
    assert!(unreadable(&good, &points).is_empty());
    assert!(check(&open(good.clone(), 3), true).findings.is_empty());
    let kinds = [0, 30, 60, 95, 100].map(Damage::Flip).into_iter();
    let kinds = kinds
        .chain([0, 50, 99].map(Damage::Cut))
        .chain([Damage::Delete, Damage::Swap]);
    let kinds: Vec<_> = kinds.collect();
    let (mut tried, mut harmed) = (0, 0);
    for name in good.names() {
        if !["packs/", "points/", "index/"]
            .iter()
            .any(|f| name.starts_with(f))
        {
            continue;
        }
        for kind in &kinds {
            let store = Arc::new(MemoryStore::clone(&good));
            damage(&store, &name, *kind);
            tried += 1;
            let lost = unreadable(&store, &points);
            let vault = open(store.clone(), 4);
            let report = check(&vault, true);
            if name.starts_with("index/") {
                assert!(lost.is_empty(), "{name} {kind:?}: an index run is a cache");
                if !matches!(kind, Damage::Delete) {
                    assert!(!report.warnings.is_empty(), "{name} {kind:?}");
                }
                continue;
            }
            let deleted_point = name.starts_with("points/") && matches!(kind, Damage::Delete);
            // A point that is gone altogether leaves nothing behind that could tell of it.
            assert!(
                deleted_point || !report.findings.is_empty(),
                "{name} {kind:?} not found"
            );
            harmed += usize::from(!lost.is_empty());
            // What cannot be read is told as affected or as unreadable, and nothing else is.
            let mut told: Vec<_> = report
                .affected_points()
                .into_iter()
                .map(|(_, p)| p)
                .collect();
            for finding in &report.findings {
                if let Finding::PointUnreadable { object, .. } = finding {
                    let point = points.iter().find(|(p, _)| p.name().to_string() == *object);
                    told.push(point.unwrap().0.point);
                }
            }
            if deleted_point {
                told.clone_from(&lost);
            }
            told.sort_unstable();
            let mut lost = lost;
            lost.sort_unstable();
            if matches!(kind, Damage::Cut(_)) && name.starts_with("packs/") {
                // Of a pack that was cut short, more may be told as lost than is.
                assert!(lost.iter().all(|p| told.contains(p)), "{name} {kind:?}");
                damage(&store, &name, Damage::Delete);
                let all = unreadable(&store, &points);
                assert!(told.iter().all(|p| all.contains(p)), "{name} {kind:?}");
                continue;
            }
            assert_eq!(told, lost, "{name} {kind:?}: {:?}", report.findings);
        }
    }
    assert!(tried > 100 && harmed > 50, "{tried} tried, {harmed} harmed");
}

#[test]
fn the_structure_alone_shows_missing_and_short_packs() {
    let (good, points) = vault();
    for name in good.names().into_iter().filter(|n| n.starts_with("packs/")) {
        for kind in [Damage::Delete, Damage::Cut(99)] {
            let store = Arc::new(MemoryStore::clone(&good));
            damage(&store, &name, kind);
            let report = check(&open(store.clone(), 4), false);
            let told =
                |f: &Finding| matches!(f, Finding::PackMissing { object } if *object == name);
            assert!(report.findings.iter().any(told), "{name}");
            let affected = report.affected_points();
            let lost = unreadable(&store, &points);
            assert!(
                lost.iter().all(|p| affected.iter().any(|(_, a)| a == p)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_lost_chunk_is_told_with_its_ranges_and_all_else_can_be_read() {
    let (store, points) = vault();
    let largest = store
        .list_all("packs/")
        .unwrap()
        .into_iter()
        .max_by_key(|e| e.stat.len)
        .unwrap();
    store.delete(&largest.name).unwrap();
    let vault = open(store, 4);
    let report = check(&vault, false);
    let mut ranges = 0;
    for finding in &report.findings {
        let Finding::ChunkLost { affected, .. } = finding else {
            continue;
        };
        for a in affected {
            assert_eq!(a.map, check::MapOf::Layer(0));
            for range in &a.ranges {
                let (point, _) = points.iter().find(|(p, _)| p.point == a.point).unwrap();
                let root = vault.point(point).unwrap().outline.layers[0].root;
                let mut byte = [0];
                assert!(
                    vault
                        .disk(&root)
                        .unwrap()
                        .read_at(range.start, &mut byte)
                        .is_err()
                );
                ranges += 1;
            }
        }
    }
    assert!(ranges > 2);
    // The ranges that are not told can be read, and are right.
    for (point, data) in &points {
        let root = vault.point(point).unwrap().outline.layers[0].root;
        let disk = vault.disk(&root).unwrap();
        let lost: Vec<_> = report
            .findings
            .iter()
            .filter_map(|f| match f {
                Finding::ChunkLost { affected, .. } => Some(affected),
                _ => None,
            })
            .flatten()
            .filter(|a| a.point == point.point)
            .flat_map(|a| a.ranges.clone())
            .collect();
        let mut page = [0; 512];
        for at in (0..data.len()).step_by(512) {
            let inside = lost.iter().any(|r| r.contains(&(at as u64)));
            match disk.read_at(at as u64, &mut page) {
                Ok(()) => assert!(!inside && page == data[at..at + 512]),
                Err(e) => assert!(inside, "{at}: {e}"),
            }
        }
    }
}

#[test]
fn a_vault_without_any_index_run_reads_and_gets_its_runs_back() {
    let (store, points) = vault();
    for entry in store.list_all("index/").unwrap() {
        store.delete(&entry.name).unwrap();
    }
    assert!(unreadable(&store, &points).is_empty());
    let vault = open(store.clone(), 6);
    let session = vault.session(small_packs()).unwrap();
    assert!(
        vault
            .take_warnings()
            .iter()
            .any(|w| matches!(w, Warning::Adopted { .. }))
    );
    let root = write_full(&session, &points[0].1, 1).unwrap();
    commit(&session, "vm 0", 77, &[root]).unwrap();
    assert_eq!(session.progress().new_chunks, 0);
    assert!(!store.list_all("index/").unwrap().is_empty());
}

#[test]
fn a_cache_folder_may_be_lost_or_damaged_at_any_time() {
    let (store, points) = vault();
    let dir = tempfile::tempdir().unwrap();
    let read = |seed| {
        let env = env(seed).with_cache(dir.path());
        let vault = Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap();
        for (point, data) in &points {
            let root = vault.point(point).unwrap().outline.layers[0].root;
            assert!(read_full(&vault, &root).unwrap() == *data);
        }
        vault.take_warnings()
    };
    let files = || -> Vec<_> {
        let folder = std::fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect()
    };
    assert!(read(1).is_empty());
    assert!(!files().is_empty());
    assert!(read(2).is_empty());
    for file in files() {
        std::fs::write(&file, b"nonsense").unwrap();
    }
    assert!(read(3).iter().all(|w| matches!(w, Warning::Cache { .. })));
    assert!(read(4).is_empty());
    std::fs::remove_file(&files()[0]).unwrap();
    assert!(read(5).is_empty());
}

#[test]
fn many_sessions_leave_few_index_runs_and_cache_files() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for n in 0..40u64 {
        let env = env(n + 10).with_cache(dir.path());
        let vault = Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap();
        let session = vault.session(small_packs()).unwrap();
        let data = noise(n, 50_000);
        let root = write_full(&session, &data, 1).unwrap();
        all.push((commit(&session, "vm", n as u8, &[root]).unwrap(), data));
        session.finish().unwrap();
        assert!(vault.take_warnings().is_empty());
    }
    let runs = store.list_all("index/").unwrap().len();
    assert!(runs < 20, "{runs}");
    let folder = std::fs::read_dir(dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let files = std::fs::read_dir(folder).unwrap().count();
    assert!(files < 24, "{files}");
    assert!(unreadable(&store, &all).is_empty());
    assert_eq!(check(&open(store, 3), true).duplicate_chunks, 0);
}
