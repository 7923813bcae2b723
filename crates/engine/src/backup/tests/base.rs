//! Earlier maps that can no longer be leaned on.

use store::{Fault, FaultyStore, Request, Store};
use vault::{RecoveryCode, Unlock};

use super::*;

/// As the next run finds it: nothing is remembered.
fn reopen(store: &Arc<MemoryStore>, code: &RecoveryCode) -> Vault {
    Vault::open(store.clone(), Unlock::Recovery(code), Env::system()).unwrap()
}

fn by_ranges(vault: &Vault, source: &mut ModelSource, sector: u64) -> VmReport {
    source.chain[0].sectors[sector as usize] = Sector::Data(sector);
    let range = ByteRange::new(sector * SECTOR, (sector + 1) * SECTOR);
    source.changed = Some([range].into_iter().collect());
    run_backup(vault, source, Level::Auto)
}

/// A run in full instead of by ranges that says why and is whole.
#[track_caller]
fn healed(vault: &Vault, report: &VmReport, chain: &[Model]) {
    assert_eq!(report.outcome, Outcome::Warning, "{:?}", report.findings);
    let told = |f: &Finding| f.code == Code::ReadInFull && f.severity == Severity::Warning;
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    let Reading::Full { why } = &report.layers[0].reading else {
        panic!("{:?}", report.layers[0].reading);
    };
    assert!(why.contains("map of the last restore point"), "{why}");
    let stored = opened(vault, report);
    assert!(
        stored.details.findings.iter().any(told),
        "in the point, too"
    );
    check(vault, report, chain);
}

fn packs_of(store: &MemoryStore, make: impl FnOnce()) -> Vec<String> {
    let packs = || {
        let mut names = store.names();
        names.retain(|name| name.starts_with("packs/"));
        names
    };
    let before = packs();
    make();
    let mut new = packs();
    new.retain(|name| !before.contains(name));
    new
}

#[test]
fn a_map_that_cannot_be_read_is_replaced_by_a_full_read_and_told() {
    type Harm = fn(&MemoryStore, &str);
    let harms: [(&str, Harm); 2] = [
        ("gone", |store, pack| store.delete(pack).unwrap()),
        ("flipped", |store, pack| {
            let mut bytes = store.get(pack, u64::MAX).unwrap();
            // Behind the header, in the sealed nodes.
            for byte in &mut bytes[200..] {
                *byte ^= 1;
            }
            store.overwrite(pack, bytes);
        }),
    ];
    for (what, harm) in harms {
        let store = Arc::new(MemoryStore::default());
        let (vault, code) = vault_in(&store);
        let mut source = source(vec![written(None, 1, 1000)]);
        let packs = packs_of(&store, || {
            run_backup(&vault, &mut source, Level::Auto);
        });
        let smallest = packs
            .iter()
            .min_by_key(|name| store.stat(name).unwrap().len);
        harm(&store, smallest.unwrap());

        let vault = reopen(&store, &code);
        let report = by_ranges(&vault, &mut source, 40);
        healed(&vault, &report, &source.chain);
        eprintln!("{what}: healed");

        // And that is that: the next one is incremental again.
        let vault = reopen(&store, &code);
        let report = by_ranges(&vault, &mut source, 41);
        assert!(
            matches!(report.layers[0].reading, Reading::Ranges { .. }),
            "{what}: {:?}",
            report.layers[0].reading
        );
        check(&vault, &report, &source.chain);
    }
}

#[test]
fn a_lost_pack_concerns_those_maps_that_lead_to_it() {
    for runs_too in [false, true] {
        let store = Arc::new(MemoryStore::default());
        let (vault, code) = vault_in(&store);
        let mut harmed = source(vec![written(None, 1, 1000)]);
        let mut other = source(vec![written(None, 2, 50_000)]);
        other.id = 43;
        let packs = packs_of(&store, || {
            run_backup(&vault, &mut harmed, Level::Auto);
        });
        run_backup(&vault, &mut other, Level::Auto);
        let largest = packs
            .iter()
            .max_by_key(|name| store.stat(name).unwrap().len);
        store.delete(largest.unwrap()).unwrap();
        if runs_too {
            // Then nothing names the pack any more.
            let runs = store
                .names()
                .into_iter()
                .filter(|n| n.starts_with("index/"));
            runs.for_each(|name| store.delete(&name).unwrap());
        }

        let vault = reopen(&store, &code);
        let report = by_ranges(&vault, &mut other, 40);
        assert!(matches!(report.layers[0].reading, Reading::Ranges { .. }));
        assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.findings);
        check(&vault, &report, &other.chain);
        let report = by_ranges(&vault, &mut harmed, 40);
        healed(&vault, &report, &harmed.chain);

        // The loss is still on record, and no reason to read in full for ever.
        let vault = reopen(&store, &code);
        let report = by_ranges(&vault, &mut harmed, 41);
        assert!(matches!(report.layers[0].reading, Reading::Ranges { .. }));
        check(&vault, &report, &harmed.chain);
    }
}

/// The last point's map lies where nothing can be read, as on a disk with bad sectors.
#[test]
fn a_map_on_bad_sectors_is_replaced_by_a_full_read_and_told() {
    let store = Arc::new(MemoryStore::default());
    let (vault, code) = vault_in(&store);
    let mut source = source(vec![written(None, 1, 1000)]);
    let packs = packs_of(&store, || {
        run_backup(&vault, &mut source, Level::Auto);
    });
    let len = |name: &&String| store.stat(name).unwrap().len;
    let bad = packs.iter().min_by_key(len).unwrap().clone();
    let fails = move |request: Request<'_>| {
        matches!(request, Request::Get(name) if name == bad).then_some(Fault::Before)
    };
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(store, fails));
    let open = || {
        let mut rng = noise(9, 1 << 16).into_iter();
        let random = move |out: &mut [u8]| out.iter_mut().for_each(|b| *b = rng.next().unwrap());
        let env = Env::new(Arc::new(Restless), random);
        Vault::open(store.clone(), Unlock::Recovery(&code), env).unwrap()
    };
    let vault = open();
    let report = by_ranges(&vault, &mut source, 40);
    healed(&vault, &report, &source.chain);
    // Nothing of the new point lies there either.
    let vault = open();
    check(&vault, &report, &source.chain);
    let report = by_ranges(&vault, &mut source, 41);
    assert!(matches!(report.layers[0].reading, Reading::Ranges { .. }));
    check(&vault, &report, &source.chain);
}

/// A clock on which waiting takes no time.
struct Restless;

impl vault::Clock for Restless {
    fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) {}
}

/// A run of the index and a pack that it named are lost; what is left of its packs is taken over by
/// another host, so that nothing tells of the loss any more.
#[test]
fn a_loss_that_nothing_tells_of_is_found_in_the_map() {
    for proof in [false, true] {
        let store = Arc::new(MemoryStore::default());
        let (vault, code) = vault_in(&store);
        let base = written(None, 1, 1000);
        let leaf = written(Some(&base), 2, 2000);
        let chain = if proof { vec![base, leaf] } else { vec![base] };
        let mut harmed = source(chain);
        let packs = packs_of(&store, || {
            run_backup(&vault, &mut harmed, Level::Auto);
        });
        let len = |name: &&String| store.stat(name).unwrap().len;
        store.delete(packs.iter().max_by_key(len).unwrap()).unwrap();
        for name in store.names() {
            if name.starts_with("index/") {
                store.delete(&name).unwrap();
            }
        }
        let mut other = source(vec![written(None, 3, 50_000)]);
        other.id = 43;
        run_backup(&reopen(&store, &code), &mut other, Level::Auto);

        let vault = reopen(&store, &code);
        let report = match proof {
            true => run_backup(&vault, &mut harmed, Level::Auto),
            false => by_ranges(&vault, &mut harmed, 40),
        };
        healed(&vault, &report, &harmed.chain);
    }
}

#[test]
fn a_disk_that_became_a_difference_is_read_in_full() {
    let vault = vault();
    let alone = written(None, 1, 1000);
    let mut source = source(vec![alone.clone()]);
    run_backup(&vault, &mut source, Level::Auto);
    // The same name, length and identity, and now with a parent.
    let base = written(None, 5, 5000);
    let mut leaf = Model::new(Some(&base), 1);
    leaf.sectors = alone.sectors;
    source.chain = vec![base, leaf];
    source.changed = Some(ByteRanges::new());
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.findings);
    assert!(matches!(report.layers[1].reading, Reading::Full { .. }));
    check(&vault, &report, &source.chain);
}
