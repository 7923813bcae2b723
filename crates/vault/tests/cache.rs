//! The local cache may lie, and costs nothing but time then.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::MemoryStore;

fn tables(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            out.extend(tables(&path));
        } else if path.extension().is_some_and(|e| e == "table") {
            out.push(path);
        }
    }
    out
}

#[test]
fn damaged_records_of_the_cache_neither_lose_nor_repeat_anything() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let folder = tempfile::tempdir().unwrap();
    let cached = |seed: u64| {
        let env = env(seed).with_cache(folder.path());
        Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap()
    };
    let data = noise(1, 3 * SEGMENT);
    let vault = cached(2);
    let session = vault.session(Compression::Fast).unwrap();
    let root = write_full(&session, &data, 1).unwrap();
    commit(&session, "vm", 1, &[root]).unwrap();
    drop((session, vault));
    let good: Vec<_> = tables(folder.path())
        .into_iter()
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    assert_eq!(good.len(), 1);
    let stored = store.total();
    // In the records: an id, a pack number, an offset, a length; and all of it zeros, as after
    // a loss of power.
    for at in [64, 64 + 33, 64 + 37, 64 + 41, 64 + 45] {
        for zeros in [false, true] {
            for (bytes, path) in &good {
                let mut bad = bytes.clone();
                match zeros {
                    false => bad[at] ^= 0x55,
                    true => bad[64..64 + 48 * 20].fill(0),
                }
                std::fs::write(path, bad).unwrap();
            }
            assert!(read_full(&cached(3), &root).unwrap() == data);
            for (bytes, path) in &good {
                let mut bad = bytes.clone();
                bad[at] ^= 0x55;
                std::fs::write(path, bad).unwrap();
            }
            let report = check(&cached(4), true);
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            for (bytes, path) in &good {
                let mut bad = bytes.clone();
                bad[at] ^= 0x55;
                std::fs::write(path, bad).unwrap();
            }
            let vault = cached(5);
            let session = vault.session(Compression::Fast).unwrap();
            write_full(&session, &data, 1).unwrap();
            session.checkpoint().unwrap();
            assert_eq!(session.progress().new_data, 0);
        }
    }
    assert!(
        store.total() <= stored + 4096,
        "only signs of life were added"
    );
}
