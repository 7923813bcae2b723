//! A backup that is killed at any moment, and stores that fail in every way.

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::recording::replay;
use store::{Fault, FaultyStore, MemoryStore, Op, RecordingStore, Request, Store};

const LEN: usize = 5 * SEGMENT + 1000;

fn before() -> Vec<u8> {
    let mut data = noise(1, LEN);
    data[SEGMENT..2 * SEGMENT].fill(0);
    data
}

const CHANGED: [Range<usize>; 3] = [10_000..30_000, SEGMENT + 5..SEGMENT + 90_000, LEN - 10..LEN];

fn after() -> Vec<u8> {
    let mut data = before();
    for (i, range) in CHANGED.into_iter().enumerate() {
        let new = noise(10 + i as u64, range.len());
        data[range].copy_from_slice(&new);
    }
    data
}

fn first(vault: &Vault) -> Result<PointRef> {
    let session = vault.session(small_packs())?;
    let root = write_full(&session, &before(), 1)?;
    let point = commit(&session, "vm", 1, &[root])?;
    vault.put_token(&point, &"token 1")?;
    session.finish()?;
    Ok(point)
}

fn second(vault: &Vault, base: &PointRef) -> Result<PointRef> {
    let base = vault.point(base)?.outline.layers[0].root;
    let session = vault.session(small_packs())?;
    let (root, _) = write_changed(&session, &after(), base, &CHANGED)?;
    let point = commit(&session, "vm", 2, &[root])?;
    vault.put_token(&point, &"token 2")?;
    session.finish()?;
    Ok(point)
}

/// Whatever points are there are complete, and no token stands without its point.
fn whole_points(vault: &Vault) -> Vec<PointRef> {
    let mut points = vault.points(None).unwrap();
    points.sort_by_key(|p| p.point.0);
    for point in &points {
        let expected = match point.point.0[0] {
            1 => before(),
            2 => after(),
            other => panic!("point {other}"),
        };
        let read = vault.point(point).unwrap();
        assert!(matches!(read.signed_by, SignedBy::Known(..)));
        let root = read.outline.layers[0].root;
        assert!(read_full(vault, &root).unwrap() == expected);
        read.details().unwrap();
    }
    let tokens = vault.store().list_all("tokens/").unwrap();
    for token in tokens {
        let tail = token.name.rsplit('/').next().unwrap().to_owned();
        assert!(
            points.iter().any(|p| p.point.to_string() == tail),
            "{}",
            token.name
        );
    }
    let report = check(vault, true);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    points
}

/// Chunks and nodes that the packs hold, and how many of them twice.
fn stored(vault: &Vault) -> (u64, u64) {
    let report = check(vault, true);
    (report.chunks_read, report.duplicate_chunks)
}

#[test]
fn every_prefix_of_a_backup_is_the_old_or_the_new_state_and_goes_on_from_there() {
    let record = Arc::new(RecordingStore::new(MemoryStore::new()));
    let vault = init(record.clone());
    let one = first(&vault).unwrap();
    second(&vault, &one).unwrap();
    let changes = |op: &Op| matches!(op, Op::Put { .. } | Op::Delete { .. });
    let ops: Vec<_> = record.take().into_iter().filter(changes).collect();
    let packs = ops
        .iter()
        .filter(|op| matches!(op, Op::Put { name, .. } if name.starts_with("packs/")));
    assert!(packs.count() > 6, "several packs make several moments");
    let (chunks, _) = stored(&vault);

    let mut seen = [false; 3];
    for n in 0..=ops.len() {
        let store = Arc::new(MemoryStore::new());
        replay(&ops[..n], &store).unwrap();
        let opened = Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env(100));
        let vault = match opened {
            Ok(vault) => vault,
            Err(Error::NoVault) => continue,
            Err(e) => panic!("after {n} operations: {e}"),
        };
        let points = whole_points(&vault);
        seen[points.len()] = true;
        // The next run completes, and stores nothing that is stored.
        let one = match points.first() {
            Some(one) => one.clone(),
            None => first(&vault).unwrap(),
        };
        if points.len() < 2 {
            second(&vault, &one).unwrap();
        }
        drop(vault);
        let vault = open(store, 200);
        assert_eq!(whole_points(&vault).len(), 2);
        let (now, twice) = stored(&vault);
        assert_eq!(
            (now, twice),
            (chunks, 0),
            "after {n} of {} operations",
            ops.len()
        );
    }
    assert_eq!(seen, [true; 3]);
}

#[test]
fn a_store_that_fails_now_and_then_gives_an_error_or_a_whole_point() {
    let faults: &[Fault] = &[Fault::Before, Fault::After, Fault::Torn, Fault::Full];
    let (mut failed, mut done) = (0, 0);
    for n in 0..u64::from(testkit::vary::cases(60)) {
        let seed = testkit::vary::seed(0) + n;
        let memory = Arc::new(MemoryStore::new());
        init(memory.clone());
        // Rare and frequent failures; many are met by asking again.
        let store = Arc::new(FaultyStore::seeded(
            memory.clone(),
            seed,
            2 + seed % 23,
            faults,
        ));
        let vault = Vault::open(store, Unlock::Passphrase(b"open sesame"), env(seed + 10));
        let run = vault.and_then(|vault| {
            let one = first(&vault)?;
            second(&vault, &one)
        });
        match run {
            Ok(_) => done += 1,
            Err(_) => failed += 1,
        }
        let vault = open(memory.clone(), seed + 1000);
        // A store that tore an object may have left it; no point may refer to one.
        let points = vault.points(None).unwrap();
        for point in &points {
            match vault.point(point) {
                Ok(point) => {
                    let root = point.outline.layers[0].root;
                    let expected = if point.outline.point.0[0] == 1 {
                        before()
                    } else {
                        after()
                    };
                    assert!(read_full(&vault, &root).unwrap() == expected, "seed {seed}");
                }
                Err(Error::WrongHash { .. }) => assert!(run_failed(&run_names(&memory), point)),
                Err(e) => panic!("seed {seed}: {e}"),
            }
        }
        // And a healthy store is all that the next run needs.
        let session = vault.session(small_packs()).unwrap();
        let root = write_full(&session, &after(), 2).unwrap();
        let point = commit(&session, "vm", 3, &[root]).unwrap();
        let root = vault.point(&point).unwrap().outline.layers[0].root;
        assert!(read_full(&vault, &root).unwrap() == after());
    }
    assert!(failed > 5 && done > 5, "{failed} failed, {done} done");
}

fn run_names(store: &MemoryStore) -> Vec<String> {
    store.names()
}

/// A torn manifest is told by its name not fitting its bytes; that its put failed, too, shows in
/// the token that was never written.
fn run_failed(names: &[String], point: &PointRef) -> bool {
    !names
        .iter()
        .any(|n| n.starts_with("tokens/") && n.ends_with(&point.point.to_string()))
}

#[test]
fn a_full_store_fails_the_session_and_everyone_hears_why() {
    let memory = Arc::new(MemoryStore::new());
    init(memory.clone());
    let store = FaultyStore::new(memory.clone(), |request| {
        matches!(request, Request::Put(name) if name.starts_with("packs/")).then_some(Fault::Full)
    });
    let vault = Vault::open(Arc::new(store), Unlock::Passphrase(b"open sesame"), env(2)).unwrap();
    let session = vault.session(small_packs()).unwrap();
    let e = write_full(&session, &before(), 4)
        .and_then(|root| commit(&session, "vm", 1, &[root]))
        .unwrap_err();
    assert!(e.to_string().contains("no space left"), "{e}");
    let again = session.checkpoint().unwrap_err();
    assert!(again.to_string().contains("no space left"), "{again}");
    assert!(vault.points(None).unwrap().is_empty());
}

#[test]
fn a_listing_that_lags_behind_costs_space_and_no_data() {
    let memory = Arc::new(MemoryStore::new());
    init(memory.clone());
    for seed in 0..3 {
        let store = FaultyStore::new(memory.clone(), |_| None).with_stale_lists(1000);
        let vault = Vault::open(
            Arc::new(store),
            Unlock::Passphrase(b"open sesame"),
            env(seed + 2),
        )
        .unwrap();
        let session = vault.session(small_packs()).unwrap();
        let root = write_full(&session, &before(), 2).unwrap();
        commit(&session, "vm", 1 + seed as u8, &[root]).unwrap();
    }
    let vault = open(memory, 9);
    assert_eq!(vault.points(None).unwrap().len(), 3);
    assert!(check(&vault, true).findings.is_empty());
}

#[test]
fn two_writers_at_once_share_a_vault() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let store = store.clone();
            scope.spawn(move || {
                let vault = open(store, 50 + writer);
                let session = vault.session(small_packs()).unwrap();
                // Half of it is everyone's, half is the writer's own.
                let mut data = before();
                data[..LEN / 2].copy_from_slice(&noise(writer + 70, LEN / 2));
                let root = write_full(&session, &data, 2).unwrap();
                commit(&session, &format!("vm {writer}"), writer as u8, &[root]).unwrap();
                session.finish().unwrap();
            });
        }
    });
    let vault = open(store.clone(), 99);
    let points = vault.points(None).unwrap();
    assert_eq!(points.len(), 3);
    for point in points {
        let mut data = before();
        data[..LEN / 2].copy_from_slice(&noise(u64::from(point.point.0[0]) + 70, LEN / 2));
        let root = vault.point(&point).unwrap().outline.layers[0].root;
        assert!(read_full(&vault, &root).unwrap() == data);
    }
    assert!(check(&vault, true).findings.is_empty());
    assert!(store.list_all("sessions/").unwrap().is_empty());
}

#[test]
fn a_pack_that_vanishes_under_a_session_leaves_no_point() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    first(&vault).unwrap();
    let session = vault.session(small_packs()).unwrap();
    let root = write_full(&session, &before(), 1).unwrap();
    let (outline, details) = manifest(&vault, "vm", 5, &[root]);
    let data_pack = store
        .list_all("packs/")
        .unwrap()
        .into_iter()
        .max_by_key(|e| e.stat.len)
        .unwrap();
    store.delete(&data_pack.name).unwrap();
    let e = session.commit(outline, &details).unwrap_err();
    assert!(e.to_string().contains(&data_pack.name), "{e}");
    assert_eq!(vault.points(None).unwrap().len(), 1);
    drop(session);
    // The next session knows, stores again what was lost, and so heals the old point as well.
    let vault = open(store, 7);
    let session = vault.session(small_packs()).unwrap();
    assert_eq!(session.lost_packs(), 1);
    let root = write_full(&session, &before(), 1).unwrap();
    commit(&session, "vm", 6, &[root]).unwrap();
    assert!(vault.points(None).unwrap().iter().all(|p| {
        let root = vault.point(p).unwrap().outline.layers[0].root;
        read_full(&vault, &root).unwrap() == before()
    }));
}

#[test]
fn a_vault_that_is_being_collected_by_a_later_version_is_left_alone() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(small_packs()).unwrap();
    let root = write_full(&session, &before(), 1).unwrap();
    store
        .put(&format!("retire/{}", "0".repeat(32)), b"whatever")
        .unwrap();
    let e = commit(&session, "vm", 1, &[root]).unwrap_err();
    assert!(matches!(e, Error::Retiring { .. }), "{e}");
    assert!(vault.points(None).unwrap().is_empty());
}

#[test]
fn a_session_shows_signs_of_life() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(small_packs()).unwrap();
    assert_eq!(store.list_all("sessions/").unwrap().len(), 1);
    session.checkpoint().unwrap();
    assert_eq!(store.list_all("sessions/").unwrap().len(), 1);
    vault.env().clock.sleep(std::time::Duration::from_secs(400));
    session.checkpoint().unwrap();
    assert_eq!(store.list_all("sessions/").unwrap().len(), 2);
    session.finish().unwrap();
    assert!(store.list_all("sessions/").unwrap().is_empty());
}

#[test]
fn a_point_that_is_durable_is_no_failure_though_its_time_cannot_be_asked() {
    let inner = Arc::new(MemoryStore::new());
    init(inner.clone());
    let faulty = FaultyStore::new(inner.clone(), |request| {
        matches!(request, Request::Stat(name) if name.starts_with("points/"))
            .then_some(Fault::Before)
    });
    let vault = open(Arc::new(faulty), 2);
    let session = vault.session(small_packs()).unwrap();
    let root = write_full(&session, &noise(1, SEGMENT), 1).unwrap();
    let point = commit(&session, "vm", 1, &[root]).unwrap();
    assert!(open(inner, 3).point(&point).is_ok());
}

#[test]
fn a_store_that_forbids_deleting_does_not_stop_backups() {
    let inner = Arc::new(MemoryStore::new());
    init(inner.clone());
    for n in 0..40u8 {
        let faulty = FaultyStore::new(inner.clone(), |request| {
            matches!(request, Request::Delete(name) if name.starts_with("index/"))
                .then_some(Fault::Full)
        });
        let vault = open(Arc::new(faulty), 2 + u64::from(n));
        let session = vault.session(small_packs()).unwrap();
        let data = noise(n.into(), 5000);
        let root = write_full(&session, &data, 1).unwrap();
        commit(&session, "vm", n, &[root]).unwrap();
        let told = |w: &Warning| matches!(w, Warning::IndexMerge { .. });
        assert_eq!(vault.take_warnings().iter().any(told), n >= 15, "{n}");
    }
    assert!(check(&open(inner, 3), true).findings.is_empty());
}
