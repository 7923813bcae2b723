//! Every cell of the table "Concurrency" in ARCHITECTURE.md.
//!
//! One operation is stopped at each of its requests to the store in turn; another one runs from
//! its beginning to its end; the first goes on. Both have a vault handle of their own, as two
//! processes would. So every order in which the second can fall between two steps of the first is
//! tried, and nothing depends on time.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::*;
use hyperkeep_vault::*;
use store::recording::replay;
use store::{Fault, FaultyStore, MemoryStore, Op, RecordingStore, Store};

const LEN: usize = 2 * SEGMENT;
const SECRET: Unlock<'static> = Unlock::Passphrase(b"open sesame");
const OTHER: &[u8] = b"another one";

/// The disk in restore point `n`: most of it is in all points.
fn disk(n: u8) -> Vec<u8> {
    let mut data = noise(1, LEN);
    data[SEGMENT..SEGMENT + 50_000].copy_from_slice(&noise(100 + u64::from(n), 50_000));
    data
}

/// A vault with restore point 1 in it.
fn with_point() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    back_up(store.clone(), 1).unwrap();
    store
}

fn back_up(store: Arc<dyn Store>, n: u8) -> Result<()> {
    let vault = Vault::open(store, SECRET, env(50 + u64::from(n)))?;
    let session = vault.session(small_packs())?;
    let root = write_full(&session, &disk(n), 1)?;
    session.checkpoint()?;
    // From here on the root is in memory, and no failing store can make its reader panic.
    vault.disk(&root)?;
    let point = commit(&session, "vm", n, &[root])?;
    vault.put_token(&point, &"token")?;
    session.finish()
}

/// Restores all points that are there, and tells how many.
fn restore(vault: &Vault) -> Result<usize> {
    let points = vault.points(None)?;
    for point in &points {
        let read = vault.point(point)?;
        read.details()?;
        let root = read.outline.layers[0].root;
        assert!(read_full(vault, &root)? == disk(point.point.0[0]));
    }
    Ok(points.len())
}

fn restore_all(store: Arc<dyn Store>) -> Result<()> {
    restore(&Vault::open(store, SECRET, env(9))?).map(drop)
}

fn check_all(store: Arc<dyn Store>) -> Result<()> {
    for read_data in [false, true] {
        let vault = Vault::open(store.clone(), SECRET, env(8))?;
        let report = check(&vault, read_data);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
    Ok(())
}

/// The vault has this many points, all of them whole, and nothing is wrong with it.
fn assert_whole(store: &Arc<MemoryStore>, secret: Unlock<'_>, points: usize) {
    let vault = Vault::open(store.clone(), secret, env(200)).unwrap();
    assert_eq!(restore(&vault).unwrap(), points);
    let report = check(&vault, true);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert!(store.list_all("sessions/").unwrap().is_empty());
}

/// Runs `first` on copies of `start`, with `second` in the middle of its request number 0, 1, and
/// so on, each time followed by `after`. Tells how many requests that were.
fn interleave(
    start: &Arc<MemoryStore>,
    first: impl Fn(Arc<dyn Store>),
    second: impl Fn(&Arc<MemoryStore>, usize) + Send + Sync + 'static,
    after: impl Fn(&Arc<MemoryStore>),
) -> usize {
    let second = Arc::new(second);
    for n in 0.. {
        let store = Arc::new(MemoryStore::clone(start));
        let requests = Arc::new(AtomicUsize::new(0));
        let (below, second, counted) = (store.clone(), second.clone(), requests.clone());
        // The other threads of `first` wait meanwhile: they are not asked for their requests.
        let stopping = FaultyStore::new(store.clone(), move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) == n {
                second(&below, n);
            }
            None
        });
        first(Arc::new(stopping));
        if requests.load(Ordering::Relaxed) <= n {
            return n;
        }
        after(&store);
    }
    unreachable!("an operation ends")
}

#[test]
fn backup_beside_a_backup() {
    let requests = interleave(
        &with_point(),
        |store| back_up(store, 2).unwrap(),
        |store, _| back_up(store.clone(), 3).unwrap(),
        |store| assert_whole(store, SECRET, 3),
    );
    assert!(requests > 15, "{requests}");
}

#[test]
fn backup_beside_a_backup_of_the_same_disk() {
    // Nothing is in the vault yet: both store the same chunks.
    let start = Arc::new(MemoryStore::new());
    init(start.clone());
    let duplicates = Mutex::new(0);
    interleave(
        &start,
        |store| back_up(store, 2).unwrap(),
        |store, _| {
            let vault = Vault::open(store.clone(), SECRET, env(53)).unwrap();
            let session = vault.session(small_packs()).unwrap();
            let root = write_full(&session, &disk(2), 1).unwrap();
            commit(&session, "another vm", 2, &[root]).unwrap();
            session.finish().unwrap();
        },
        |store| {
            assert_whole(store, SECRET, 2);
            let report = check(&open(store.clone(), 3), true);
            *duplicates.lock().unwrap() += report.duplicate_chunks;
        },
    );
    assert!(
        *duplicates.lock().unwrap() > 0,
        "copies were made, and did no harm"
    );
}

#[test]
fn backup_beside_a_restore() {
    let restore_it = |store| restore_all(store).unwrap();
    interleave(
        &with_point(),
        restore_it,
        |store, _| back_up(store.clone(), 2).unwrap(),
        |store| assert_whole(store, SECRET, 2),
    );
    interleave(
        &with_point(),
        |store| back_up(store, 2).unwrap(),
        |store, _| restore_all(store.clone()).unwrap(),
        |store| assert_whole(store, SECRET, 2),
    );
}

#[test]
fn backup_beside_a_check() {
    interleave(
        &with_point(),
        |store| check_all(store).unwrap(),
        |store, _| back_up(store.clone(), 2).unwrap(),
        |store| assert_whole(store, SECRET, 2),
    );
    interleave(
        &with_point(),
        |store| back_up(store, 2).unwrap(),
        |store, _| check_all(store.clone()).unwrap(),
        |store| assert_whole(store, SECRET, 2),
    );
}

/// A backup that is killed at its request number `n`.
fn die(store: &Arc<MemoryStore>, n: usize) {
    let mut requests = 0;
    let dying = FaultyStore::new(store.clone(), move |_| {
        requests += 1;
        (requests > n).then_some(Fault::Before)
    });
    back_up(Arc::new(dying), 3).unwrap_err();
}

#[test]
fn backup_beside_a_crash() {
    // The other one dies at another of its requests each time; the steps have no common factor.
    let requests = interleave(
        &with_point(),
        |store| back_up(store, 2).unwrap(),
        |store, n| die(store, n * 7 % 19),
        |store| {
            let vault = open(store.clone(), 9);
            restore(&vault).unwrap();
            assert!(check(&vault, true).findings.is_empty());
            back_up(store.clone(), 4).unwrap();
            let vault = open(store.clone(), 10);
            assert!(restore(&vault).unwrap() >= 3);
            assert!(check(&vault, true).findings.is_empty());
        },
    );
    assert!(requests > 15, "{requests}");
}

#[test]
fn restore_and_check_beside_a_crash() {
    interleave(
        &with_point(),
        |store| {
            restore_all(store.clone()).unwrap();
            check_all(store).unwrap();
        },
        |store, n| die(store, n * 7 % 19),
        |store| restore_all(store.clone()).unwrap(),
    );
}

#[test]
fn restore_and_check_change_nothing() {
    let record = Arc::new(RecordingStore::new(with_point()));
    restore_all(record.clone()).unwrap();
    check_all(record.clone()).unwrap();
    let ops = record.take();
    let change = |op: &&Op| matches!(op, Op::Put { .. } | Op::Delete { .. });
    assert!(ops.len() > 10);
    assert_eq!(ops.iter().find(change), None);
}

/// Adds a slot, and removes the one that everybody else has opened the vault with.
fn change_keys(store: Arc<dyn Store>) -> Result<()> {
    let vault = Vault::open(store, SECRET, env(77))?;
    let old = vault.slots()?.into_iter().find_map(|(id, slot)| {
        let opens = slot.ok()?.open(SECRET).is_ok();
        opens.then_some(id)
    });
    let lock = Lock::Passphrase(OTHER, Argon2Cost::LEAST);
    vault.add_slot(lock, Access::Full, None)?;
    vault.remove_slot(old.unwrap())
}

/// Whoever opens the vault just when its slot goes is told so; what was opened goes on.
fn unless_locked_out(result: Result<()>) {
    match result {
        Ok(()) | Err(Error::WrongSecret { .. }) => {}
        Err(e) => panic!("{e}"),
    }
}

fn keys_beside(operation: fn(Arc<dyn Store>) -> Result<()>) {
    let went_on = Mutex::new(0);
    let operate = |store: Arc<dyn Store>| {
        let result = operation(store);
        *went_on.lock().unwrap() += usize::from(result.is_ok());
        unless_locked_out(result);
    };
    let whole = |store: &Arc<MemoryStore>| {
        let vault = Vault::open(store.clone(), Unlock::Passphrase(OTHER), env(200)).unwrap();
        assert!(restore(&vault).unwrap() >= 1);
        assert!(check(&vault, true).findings.is_empty());
        assert!(Vault::open(store.clone(), SECRET, env(201)).is_err());
    };
    let change = |store: &Arc<MemoryStore>, _| change_keys(store.clone()).unwrap();
    let requests = interleave(&with_point(), operate, change, whole);
    assert!(*went_on.lock().unwrap() > requests / 2);
    interleave(
        &with_point(),
        |store| change_keys(store).unwrap(),
        move |store, _| unless_locked_out(operation(store.clone())),
        whole,
    );
}

#[test]
fn keys_beside_a_backup() {
    keys_beside(|store| back_up(store, 2));
}

#[test]
fn keys_beside_a_restore() {
    keys_beside(restore_all);
}

#[test]
fn keys_beside_a_check() {
    keys_beside(check_all);
}

#[test]
fn keys_beside_a_crash() {
    let start = with_point();
    let record = Arc::new(RecordingStore::new(Arc::new(MemoryStore::clone(&start))));
    change_keys(record.clone()).unwrap();
    let ops = record.take();
    let mut opened = [0; 2];
    for n in 0..=ops.len() {
        let store = Arc::new(MemoryStore::clone(&start));
        replay(&ops[..n], &store).unwrap();
        let secrets = [SECRET, Unlock::Passphrase(OTHER)];
        let now = secrets.map(|secret| Vault::open(store.clone(), secret, env(5)).is_ok());
        assert!(
            now.contains(&true),
            "after {n} operations nobody can open the vault"
        );
        for (opened, now) in opened.iter_mut().zip(now) {
            *opened += usize::from(now);
        }
    }
    assert!(opened[0] > 0 && opened[1] > 0);
}

fn init_with(store: Arc<dyn Store>, passphrase: &[u8], seed: u64) -> Result<()> {
    let options = InitOptions {
        passphrase: Some(passphrase),
        ..options()
    };
    Vault::init(store, &options, env(seed)).map(drop)
}

#[test]
fn init_beside_an_init() {
    let won = Mutex::new(None);
    let second = Arc::new(Mutex::new(None));
    let other = second.clone();
    let requests = interleave(
        &Arc::new(MemoryStore::new()),
        |store| *won.lock().unwrap() = Some(init_with(store, b"open sesame", 1).is_ok()),
        move |store, _| {
            *other.lock().unwrap() = Some(init_with(store.clone(), OTHER, 2).is_ok());
        },
        |store| {
            let won = won.lock().unwrap().take().unwrap();
            let other = second.lock().unwrap().take().unwrap();
            assert!(
                won != other,
                "one of the two wins, and the other one is told"
            );
            let winner = if won {
                SECRET
            } else {
                Unlock::Passphrase(OTHER)
            };
            let loser = if won {
                Unlock::Passphrase(OTHER)
            } else {
                SECRET
            };
            assert!(Vault::open(store.clone(), loser, env(5)).is_err());
            let vault = Vault::open(store.clone(), winner, env(5)).unwrap();
            let session = vault.session(small_packs()).unwrap();
            let root = write_full(&session, &disk(1), 1).unwrap();
            commit(&session, "vm", 1, &[root]).unwrap();
            assert_eq!(restore(&vault).unwrap(), 1);
        },
    );
    assert!(requests > 5, "{requests}");
}

#[test]
fn init_beside_a_backup() {
    interleave(
        &with_point(),
        |store| back_up(store, 2).unwrap(),
        |store, _| {
            let refused = init_with(store.clone(), OTHER, 2).unwrap_err();
            assert!(
                refused.to_string().contains("already is a vault"),
                "{refused}"
            );
        },
        |store| assert_whole(store, SECRET, 2),
    );
}

#[test]
fn init_beside_a_crash() {
    let record = Arc::new(RecordingStore::new(MemoryStore::new()));
    init_with(record.clone(), b"open sesame", 1).unwrap();
    let ops = record.take();
    let mut made = 0;
    for n in 0..=ops.len() {
        let store = Arc::new(MemoryStore::new());
        replay(&ops[..n], &store).unwrap();
        match Vault::open(store.clone(), SECRET, env(5)) {
            Ok(_) => made += 1,
            Err(Error::NoVault) => init_with(store.clone(), b"open sesame", 6).unwrap(),
            Err(e) => panic!("after {n} operations: {e}"),
        }
        back_up(store.clone(), 1).unwrap();
        assert_whole(&store, SECRET, 1);
    }
    assert!(made > 0 && made < ops.len());
}
