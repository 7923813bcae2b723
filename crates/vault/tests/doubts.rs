//! What is known of packs that are not what they should be: how it is learned, told and kept.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A store on a disk that has bad sectors.
struct BadSectors {
    store: Arc<MemoryStore>,
    /// Objects, and where they cannot be read.
    bad: Vec<(String, std::ops::Range<u64>)>,
    /// Nothing is answered any more.
    gone: AtomicBool,
}

impl BadSectors {
    fn new(store: &Arc<MemoryStore>, bad: Vec<(String, std::ops::Range<u64>)>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::new(MemoryStore::clone(store)),
            bad,
            gone: AtomicBool::new(false),
        })
    }

    /// Whole objects that cannot be read.
    fn all_of(store: &Arc<MemoryStore>, objects: &[String]) -> Arc<Self> {
        let all = objects.iter().map(|name| (name.clone(), 0..u64::MAX));
        Self::new(store, all.collect())
    }

    fn read(&self, name: &str, range: std::ops::Range<u64>) -> store::Result<()> {
        let hit = |(n, bad): &(String, std::ops::Range<u64>)| {
            n == name && bad.start < range.end && range.start < bad.end
        };
        match self.gone.load(Ordering::Relaxed) || self.bad.iter().any(hit) {
            true => Err(store::Error::io(
                name,
                "read",
                std::io::Error::other("bad sector"),
            )),
            false => Ok(()),
        }
    }
}

impl Store for BadSectors {
    fn put(&self, name: &str, bytes: &[u8]) -> store::Result<()> {
        self.store.put(name, bytes)
    }
    fn put_new(&self, name: &str, bytes: &[u8]) -> store::Result<()> {
        self.store.put_new(name, bytes)
    }
    fn get(&self, name: &str, limit: u64) -> store::Result<Vec<u8>> {
        self.read(name, 0..u64::MAX)?;
        self.store.get(name, limit)
    }
    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> store::Result<()> {
        self.read(name, offset..offset + buf.len() as u64)?;
        self.store.get_range(name, offset, buf)
    }
    fn stat(&self, name: &str) -> store::Result<store::Stat> {
        self.store.stat(name)
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(store::Entry)) -> store::Result<()> {
        self.store.list(prefix, each)
    }
    fn delete(&self, name: &str) -> store::Result<()> {
        self.store.delete(name)
    }
}

/// A vault in which two writers that did not see each other stored the same disk, and the packs
/// of either, the one with data first.
fn two_copies(data: &[u8]) -> (Arc<MemoryStore>, NodeId, [Vec<String>; 2]) {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let vaults = [2, 3].map(|seed| open(store.clone(), seed));
    let sessions = vaults
        .each_ref()
        .map(|vault| vault.session(Compression::Fast).unwrap());
    let [root, _] = sessions
        .each_ref()
        .map(|session| write_full(session, data, 1).unwrap());
    let mut before = Vec::new();
    let packs = sessions.each_ref().map(|session| {
        session.checkpoint().unwrap();
        let mut new = names(&store, "packs/");
        new.retain(|pack| !before.contains(pack));
        before.extend(new.clone());
        new.sort_by_key(|pack| std::cmp::Reverse(store.stat(pack).unwrap().len));
        new
    });
    commit(&sessions[0], "vm", 1, &[root]).unwrap();
    (store, root, packs)
}

#[test]
fn a_pack_that_cannot_be_read_is_passed_over_and_told() {
    let data = noise(1, SEGMENT);
    let (store, root, copies) = two_copies(&data);
    let mut met = 0;
    for copy in &copies {
        for read_data in [false, true] {
            let bad = BadSectors::all_of(&store, copy);
            let vault = open(bad.clone(), 4);
            assert!(read_full(&vault, &root).unwrap() == data);
            let told = |warnings: &[Warning]| {
                let this = |w: &Warning| matches!(w, Warning::PackUnreadable { object, .. } if copy.contains(object));
                warnings.iter().any(this)
            };
            met += usize::from(told(&vault.take_warnings()));
            let cache = tempfile::tempdir().unwrap();
            let report = check(&cached(bad.clone(), 5, cache.path()), read_data);
            let named = |f: &Finding| matches!(f, Finding::ObjectDamaged { object, .. } if copy.contains(object));
            assert!(report.findings.iter().all(named), "{:?}", report.findings);
            match read_data {
                true => assert_eq!(report.findings.len(), copy.len()),
                false => met += usize::from(told(&report.warnings)),
            }
            let marked = if read_data { copy.len() } else { 0 };
            assert_eq!(shunned(bad, cache.path()), marked);
        }
    }
    assert!(
        met >= 3,
        "{met}: one of the copies is the one that is read first"
    );
}

#[test]
fn a_check_goes_on_behind_what_cannot_be_read_and_tells_what_is_lost() {
    let data = noise(1, SEGMENT);
    let (store, root, [one, other]) = two_copies(&data);
    let (root_2, well) = back_up(&store, 9, &noise(2, SEGMENT));
    for read_data in [false, true] {
        for packs in [[&one[0], &other[0]], [&one[1], &other[1]]] {
            let bad = BadSectors::all_of(&store, &packs.map(String::clone));
            let vault = open(bad.clone(), 4);
            read_full(&vault, &root).unwrap_err();
            read_full(&vault, &root_2).unwrap();
            let report = check(&open(bad.clone(), 5), read_data);
            let data_alone = packs[0] == &one[0] && !read_data;
            assert_eq!(report.findings.iter().any(is_lost), !data_alone);
            assert_eq!(report.affected_points().is_empty(), data_alone);
            assert!(
                !report
                    .findings
                    .iter()
                    .any(|f| f.to_string().contains(&well[0]))
            );
        }
    }
}

#[test]
fn a_store_that_goes_away_is_no_damage() {
    let data = noise(1, SEGMENT);
    let (store, root, _) = two_copies(&data);
    let bad = BadSectors::new(&store, vec![]);
    let cache = tempfile::tempdir().unwrap();
    let vault = cached(bad.clone(), 4, cache.path());
    bad.gone.store(true, Ordering::Relaxed);
    for read_data in [false, true] {
        let options = CheckOptions {
            read_data,
            threads: 2,
        };
        let e = vault.check(options, &|_, _| {}).unwrap_err();
        assert!(matches!(e, Error::Store(_)), "{e}");
    }
    read_full(&vault, &root).unwrap_err();
    assert_eq!(vault.take_warnings(), []);
    bad.gone.store(false, Ordering::Relaxed);
    assert!(read_full(&vault, &root).unwrap() == data);
    assert_eq!(shunned(bad, cache.path()), 0);
}

#[test]
fn each_copy_may_have_a_bad_sector_elsewhere() {
    let data = noise(1, SEGMENT);
    let (store, root, [one, other]) = two_copies(&data);
    let len = store.stat(&other[0]).unwrap().len;
    // The first chunk of one data pack, and one near the end of the other.
    let bad = vec![
        (one[0].clone(), 200..201),
        (other[0].clone(), len - 20_000..len - 19_999),
    ];
    let vault = open(BadSectors::new(&store, bad), 4);
    assert!(read_full(&vault, &root).unwrap() == data);
}

#[test]
fn an_index_run_that_cannot_be_read_is_done_without() {
    let data = noise(1, SEGMENT);
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let (root, _) = back_up(&store, 1, &data);
    let runs = names(&store, "index/");
    let vault = open(BadSectors::all_of(&store, &runs), 4);
    let told = |w: &Warning| matches!(w, Warning::IndexRun { object, .. } if runs.contains(object));
    assert!(vault.take_warnings().iter().any(told));
    assert!(read_full(&vault, &root).unwrap() == data);
    let report = check(&vault, true);
    let [Finding::ObjectDamaged { object, .. }] = &report.findings[..] else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(*object, runs[0]);
}

#[test]
fn no_process_undoes_what_another_one_found_damaged() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let (_, one) = back_up(&store, 1, &noise(1, SEGMENT));
    let (root, two) = back_up(&store, 2, &noise(2, SEGMENT));
    let cache = tempfile::tempdir().unwrap();
    // A long restore begins; then a check finds one pack, and then the restore meets another one.
    let restore = cached(store.clone(), 3, cache.path());
    spoil(&store, &one[0]);
    check(&cached(store.clone(), 4, cache.path()), true);
    spoil(&store, &two[0]);
    read_full(&restore, &root).unwrap_err();
    assert_eq!(shunned(store.clone(), cache.path()), 2);
    // Nor does a check that began before.
    let (root, three) = back_up(&store, 5, &noise(3, SEGMENT));
    let checking = cached(store.clone(), 6, cache.path());
    spoil(&store, &three[0]);
    read_full(&cached(store.clone(), 7, cache.path()), &root).unwrap_err();
    check(&checking, true);
    assert_eq!(shunned(store, cache.path()), 3);
}

#[test]
fn a_check_of_the_structure_tells_the_damage_that_it_gets_around() {
    let (good, _, copies) = two_copies(&noise(1, SEGMENT));
    let mut met = 0;
    for copy in &copies {
        let store = Arc::new(MemoryStore::clone(&good));
        copy.iter().for_each(|pack| spoil(&store, pack));
        let report = check(&open(store, 9), false);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        let told =
            |w: &Warning| matches!(w, Warning::PackDamaged { object, .. } if copy.contains(object));
        met += usize::from(report.warnings.iter().any(told));
    }
    assert!(met > 0, "one of the maps is the one that is read first");
}

#[test]
fn a_pack_that_nobody_can_read_or_name_makes_maps_doubtful() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    back_up(&store, 1, &noise(1, SEGMENT));
    let doubts = || {
        let session = open(store.clone(), 2).session(Compression::Fast).unwrap();
        session.doubts_maps()
    };
    assert!(!doubts());
    store
        .put(&format!("packs/00/{:064}", 0), b"no pack")
        .unwrap();
    assert!(doubts());
}

#[test]
fn a_survey_looks_at_the_leaf_that_a_delta_stands_on() {
    let store = Arc::new(MemoryStore::new());
    init(store.clone());
    let mut data = noise(1, SEGMENT);
    let (older, packs) = back_up(&store, 1, &data);
    let session = open(store.clone(), 2).session(Compression::Fast).unwrap();
    data[5000..9000].fill(7);
    let change = std::slice::from_ref(&(5000..9000));
    let (newer, _) = write_changed(&session, &data, older, change).unwrap();
    commit(&session, "vm", 2, &[newer]).unwrap();
    session.finish().unwrap();
    let survey = |vault: &Vault| {
        let session = vault.session(Compression::Fast).unwrap();
        let base = session.base(&newer).unwrap();
        (base.survey(), base.survey_part(0, 9))
    };
    let (all, part) = survey(&open(store.clone(), 3));
    assert_eq!((all.unwrap(), part.unwrap()), (SEGMENT as u64, 0));
    // The pack with the older map is in doubt, though its bytes can be read again.
    let cache = tempfile::tempdir().unwrap();
    let good = store.get(&packs[1], 1 << 30).unwrap();
    spoil(&store, &packs[1]);
    read_full(&cached(store.clone(), 4, cache.path()), &older).unwrap_err();
    store.overwrite(&packs[1], good);
    let (all, part) = survey(&cached(store, 5, cache.path()));
    assert!(all.unwrap_err().is_of_map() && part.unwrap_err().is_of_map());
}
