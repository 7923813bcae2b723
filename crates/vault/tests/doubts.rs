//! What is known of packs that are not what they should be: how it is learned, told and kept.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use store::{MemoryStore, Store};
use vault_format::VaultKeys;
use vault_format::index::IndexOpener;
use vault_format::pack::{PackBuilder, PackKind};
use vault_format::payload::Encoder;

fn counter() -> impl FnMut(&mut [u8]) {
    let mut n = 0u8;
    move |out: &mut [u8]| {
        n += 1;
        out.fill(n);
    }
}

fn keys(store: &MemoryStore) -> VaultKeys {
    let opens = |name: &String| {
        let slot = Slot::decode(&store.get(name, 1 << 20).unwrap()).ok()?;
        slot.open(Unlock::Passphrase(b"open sesame")).ok()
    };
    names(store, "keys/").iter().find_map(opens).unwrap()
}

fn names(store: &MemoryStore, folder: &str) -> Vec<String> {
    let names = store.names().into_iter();
    names.filter(|name| name.starts_with(folder)).collect()
}

/// Stores a disk in full, with a process of its own, and tells the packs that came with it, the
/// one with data first.
fn back_up(store: &Arc<MemoryStore>, seed: u64, data: &[u8]) -> (NodeId, Vec<String>) {
    let before = names(store, "packs/");
    let vault = open(store.clone(), 100 + seed);
    let session = vault.session(Compression::Fast).unwrap();
    let root = write_full(&session, data, 1).unwrap();
    commit(&session, "vm", seed as u8, &[root]).unwrap();
    session.finish().unwrap();
    let mut new = names(store, "packs/");
    new.retain(|pack| !before.contains(pack));
    new.sort_by_key(|pack| std::cmp::Reverse(store.stat(pack).unwrap().len));
    (root, new)
}

fn cached(store: Arc<dyn Store>, seed: u64, folder: &Path) -> Vault {
    let env = env(seed).with_cache(folder);
    Vault::open(store, Unlock::Passphrase(b"open sesame"), env).unwrap()
}

/// How many packs a new backup of this host leans on nothing in.
fn shunned(store: Arc<dyn Store>, folder: &Path) -> usize {
    let session = cached(store, 90, folder).session(Compression::Fast);
    session.unwrap().lost_packs()
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

/// A vault with one point whose data lies in a pack that is signed and has the hash in its name,
/// and whose chunks are others than their ids tell: what memory that fails makes, or malice.
fn well_hashed_lies(data: &[u8]) -> (Arc<MemoryStore>, NodeId, String) {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let keys = keys(&store);
    let other = Arc::new(MemoryStore::clone(&store));
    back_up(&other, 1, data);
    let run = other.get(&names(&other, "index/")[0], 1 << 20).unwrap();
    let (table, entries) = IndexOpener::read_all(&keys, &run).unwrap();
    let mut pack = PackBuilder::new(&keys, PackKind::Data, &mut counter()).unwrap();
    for entry in &entries {
        if table.packs()[entry.pack as usize].kind == PackKind::Data {
            let lie = vec![7; entry.plain_len as usize];
            pack.add(entry.id, Encoder::new(1).encode(&lie)).unwrap();
        }
    }
    let pack = pack.finish();
    let name = ObjectName::Pack(pack.hash).to_string();
    store.put(&name, &pack.bytes).unwrap();
    let (root, new) = back_up(&store, 2, data);
    assert_eq!(new.len(), 1, "the data was believed to be there: {new:?}");
    (store, root, name)
}

#[test]
fn a_check_does_not_clear_a_pack_whose_hash_is_right_and_whose_chunks_are_not() {
    let data = noise(1, SEGMENT);
    let (store, root, _) = well_hashed_lies(&data);
    let cache = tempfile::tempdir().unwrap();
    read_full(&cached(store.clone(), 3, cache.path()), &root).unwrap_err();
    assert_eq!(shunned(store.clone(), cache.path()), 1);

    let report = check(&cached(store.clone(), 4, cache.path()), true);
    assert!(report.findings.iter().any(is_lost));
    let told = |f: &Finding| matches!(f, Finding::ObjectDamaged { .. });
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    assert_eq!(shunned(store.clone(), cache.path()), 1);

    // So the next backup stores again what it reads, and the old point is whole as well.
    let session = cached(store.clone(), 5, cache.path()).session(Compression::Fast);
    let session = session.unwrap();
    assert_eq!(write_full(&session, &data, 1).unwrap(), root);
    commit(&session, "vm", 3, &[root]).unwrap();
    session.finish().unwrap();
    assert!(read_full(&open(store.clone(), 6), &root).unwrap() == data);
    let report = check(&cached(store, 7, cache.path()), true);
    assert!(
        !report.findings.iter().any(is_lost),
        "{:?}",
        report.findings
    );
}

#[test]
fn a_check_that_cannot_open_data_clears_no_data_pack() {
    let data = noise(1, SEGMENT);
    let (store, root, lie) = well_hashed_lies(&data);
    let secret = RecipientSecret::generate(&mut |out: &mut [u8]| out.fill(7));
    let vault = open(store.clone(), 3);
    let lock = Lock::Recipient(&secret.public());
    vault.add_slot(lock, Access::Write, Some("host")).unwrap();
    let cache = tempfile::tempdir().unwrap();
    read_full(&cached(store.clone(), 4, cache.path()), &root).unwrap_err();

    let sealed = env(5).with_cache(cache.path());
    let sealed = Vault::open(store.clone(), Unlock::Recipient(&secret), sealed).unwrap();
    let report = check(&sealed, true);
    assert!(report.data_sealed);
    assert_eq!(shunned(store.clone(), cache.path()), 1);

    // A pack that is gone is in doubt no more: it is lost.
    store.delete(&lie).unwrap();
    check(&sealed, true);
    let vault = cached(store, 6, cache.path());
    let remembered = |w: &Warning| matches!(w, Warning::DamagedPacks { .. });
    assert!(!vault.take_warnings().iter().any(remembered));
}
