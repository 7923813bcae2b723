//! Threads that share one session: what one of them relies on, another one has really stored.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use common::*;
use hyperkeep_vault::*;
use store::MemoryStore;

/// Bytes that compress, slowly: words in an order of their own.
fn words(seed: u64) -> Vec<u8> {
    let order = noise(seed, SEGMENT / 4);
    let words = order
        .iter()
        .map(|n| [b'a' + n % 5, b'a' + n / 5 % 5, b'a' + n / 25 % 5, b' ']);
    words.flatten().collect()
}

#[test]
fn a_point_waits_for_chunks_that_another_thread_is_about_to_store() {
    let options = SessionOptions {
        compression: Compression::Level(19),
        pack_size: 32 << 20,
    };
    for round in 0..4 {
        let store = Arc::new(MemoryStore::new());
        let vault = init(store.clone());
        let session = vault.session(options).unwrap();
        let data = words(round);
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            // Two VMs with the same disk; either may claim a chunk that the other one needs.
            for _ in 0..2 {
                scope.spawn(|| {
                    let disk = session.disk(layout(data.len()), None).unwrap();
                    let mut buf = SegmentBuf::new();
                    buf.push_data(&data);
                    start.wait();
                    disk.put_segment(0, &buf).unwrap();
                    let root = disk.finish().unwrap();
                    session.checkpoint().unwrap();
                    // The process could die now: another one must find all of it.
                    let copy = Arc::new(MemoryStore::clone(&store));
                    assert!(read_full(&open(copy, 2), &root).unwrap() == data);
                });
            }
        });
    }
}

#[test]
fn after_a_panic_nothing_is_published_that_was_not_stored() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let fail = Arc::new(AtomicBool::new(false));
    let (armed, mut n) = (fail.clone(), 0u64);
    let env = Env::new(Arc::new(TestClock::default()), move |out: &mut [u8]| {
        assert!(!armed.load(Ordering::Relaxed), "no randomness today");
        n += 1;
        out.copy_from_slice(&noise(n, out.len()));
    });
    let vault = Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap();
    let session = vault.session(Compression::Fast).unwrap();
    let data = noise(1, SEGMENT);
    fail.store(true, Ordering::Relaxed);
    catch_unwind(AssertUnwindSafe(|| write_full(&session, &data, 1))).unwrap_err();
    fail.store(false, Ordering::Relaxed);
    // The chunk was claimed and never stored; whoever meets it again must not believe it.
    let published = write_full(&session, &data, 1).and_then(|root| {
        session.checkpoint()?;
        Ok(root)
    });
    if let Ok(root) = published {
        assert!(read_full(&open(store, 3), &root).unwrap() == data);
    }
}

#[test]
fn reading_a_disk_in_full_shows_signs_of_life() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(Compression::Fast).unwrap();
    let disk = session.disk(layout(3 * SEGMENT), None).unwrap();
    let mut buf = SegmentBuf::new();
    buf.push_data(&noise(1, SEGMENT));
    for index in 0..3 {
        vault.env().clock.sleep(std::time::Duration::from_secs(301));
        disk.put_segment(index, &buf).unwrap();
    }
    let names = store.names().into_iter();
    let signs = names.filter(|name| name.starts_with("sessions/")).count();
    assert_eq!(signs, 1 + 3);
}
