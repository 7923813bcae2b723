//! The local cache may lie, and costs nothing but time then.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::MemoryStore;

fn tables(folder: &Path) -> Vec<PathBuf> {
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

/// What cannot be opened may be whole: another process may read it.
#[cfg(unix)]
#[test]
fn a_table_that_cannot_be_opened_is_not_removed() {
    let (store, root, data) = with_point();
    let dir = tempfile::tempdir().unwrap();
    drop(cached(&store, 2, dir.path()));
    let table = &tables(dir.path())[0];
    // A name that leads to itself fails whoever opens it, root as well.
    let looped = table.with_file_name("other.table");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let bad = table.with_file_name("bad.table");
    std::fs::write(&bad, b"short").unwrap();
    // Tables are looked at when there is a run that is not known.
    let vault = cached(&store, 3, dir.path());
    assert!(read_full(&vault, &root).unwrap() == data);
    assert!(std::fs::symlink_metadata(&looped).is_ok());
    assert!(!bad.exists() && table.exists());
}

/// A vault with a point, and how to open it with a cache folder.
fn with_point() -> (Arc<MemoryStore>, NodeId, Vec<u8>) {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let data = noise(1, 3 * SEGMENT);
    let session = vault.session(Compression::Fast).unwrap();
    let root = write_full(&session, &data, 1).unwrap();
    commit(&session, "vm", 1, &[root]).unwrap();
    session.finish().unwrap();
    (store, root, data)
}

fn cached(store: &Arc<MemoryStore>, seed: u64, folder: &Path) -> Vault {
    let env = env(seed).with_cache(folder);
    Vault::open(store.clone(), Unlock::Passphrase(b"open sesame"), env).unwrap()
}

/// Restores, checks and backs up; tells how often the cache was said to be of no use.
fn all_commands(vault: &Vault, root: &NodeId, data: &[u8], point: u8) -> usize {
    let mut warnings = vault.take_warnings();
    assert!(read_full(vault, root).unwrap() == data);
    warnings.extend(vault.take_warnings());
    let report = check(vault, true);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    warnings.extend(report.warnings);
    let session = vault.session(Compression::Fast).unwrap();
    let more = noise(u64::from(point), SEGMENT);
    let root = write_full(&session, &more, 1).unwrap();
    commit(&session, "vm", point, &[root]).unwrap();
    session.finish().unwrap();
    assert!(read_full(vault, &root).unwrap() == more);
    warnings.extend(vault.take_warnings());
    let told = |w: &&Warning| matches!(w, Warning::NoCache { .. });
    warnings.iter().filter(told).count()
}

#[test]
fn without_a_usable_cache_everything_works_and_that_is_told_once() {
    let (store, root, data) = with_point();
    let dir = tempfile::tempdir().unwrap();
    // The folder cannot be made: a file is in its place, or in that of a folder above.
    let file = dir.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    for (point, folder) in [(2, file.clone()), (3, file.join("below"))] {
        let vault = cached(&store, point.into(), &folder);
        assert_eq!(all_commands(&vault, &root, &data, point), 1, "{folder:?}");
    }
    // It can be made, and nothing can be stored in it: folders have the names of the tables.
    let folder = dir.path().join("taken");
    drop(cached(&store, 4, &folder));
    let tables = tables(&folder);
    assert!(!tables.is_empty());
    for table in &tables {
        std::fs::remove_file(table).unwrap();
        std::fs::create_dir_all(table.join("not empty")).unwrap();
    }
    let vault = cached(&store, 5, &folder);
    assert_eq!(all_commands(&vault, &root, &data, 5), 1);
    // It vanishes while it is in use. Not every Windows lets go of a folder whose files are open.
    if cfg!(unix) {
        let folder = dir.path().join("vanishes");
        let vault = cached(&store, 6, &folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(all_commands(&vault, &root, &data, 6), 1);
    }
    // It vanishes before there is anything in it.
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let folder = dir.path().join("vanishes empty");
    let vault = cached(&store, 7, &folder);
    std::fs::remove_dir_all(&folder).unwrap();
    let session = vault.session(Compression::Fast).unwrap();
    let root = write_full(&session, &data, 1).unwrap();
    commit(&session, "vm", 7, &[root]).unwrap();
    session.finish().unwrap();
    let mut told = vault.take_warnings();
    told.retain(|w| matches!(w, Warning::NoCache { .. }));
    assert_eq!(told.len(), 1);
    assert_eq!(all_commands(&vault, &root, &data, 8), 0, "it was told");
}

#[test]
fn what_a_killed_process_left_in_the_cache_is_removed_and_a_live_ones_work_is_not() {
    let (store, root, data) = with_point();
    let dir = tempfile::tempdir().unwrap();
    drop(cached(&store, 2, dir.path()));
    let folder = tables(dir.path())[0].parent().unwrap().to_owned();
    let dead = folder.join("tmp-00112233445566ff");
    std::fs::write(&dead, b"half a table").unwrap();
    let live = folder.join("tmp-00112233445566aa");
    let writer = std::fs::File::create(&live).unwrap();
    writer.lock().unwrap();
    assert!(read_full(&cached(&store, 3, dir.path()), &root).unwrap() == data);
    assert!(!dead.exists() && live.exists());
    drop(writer);
    assert!(cached(&store, 4, dir.path()).take_warnings().is_empty());
    assert!(!live.exists());
}
