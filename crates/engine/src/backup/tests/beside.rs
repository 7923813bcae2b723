//! Several VMs at a time.

use std::sync::Condvar;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use store::{Fault, FaultyStore, Request as Asked};

use super::later::Manual;
use super::*;

/// Several VMs. Those that are to be together wait for each other when they hold still.
struct Many {
    vms: Vec<ModelSource>,
    /// How many have to hold still at once before any of them is read.
    together: usize,
    held: Arc<(Mutex<Held>, Condvar)>,
    /// The first one is busy so many times.
    busy: AtomicU32,
    /// Somebody asks to stop as soon as they do.
    stops: Option<Cancel>,
}

#[derive(Default)]
struct Held {
    now: usize,
    most: usize,
    in_all: usize,
}

struct OfMany {
    vm: Box<dyn FrozenVm>,
    held: Arc<(Mutex<Held>, Condvar)>,
}

impl Many {
    /// VMs that have nothing in common.
    fn new(count: usize) -> Self {
        let vm = |number: usize| {
            let mut model = source(vec![written(None, 1, 232 + number as u64 * 160)]);
            model.id = number as u128;
            model
        };
        Self {
            vms: (0..count).map(vm).collect(),
            together: 0,
            held: Arc::default(),
            busy: AtomicU32::new(0),
            stops: None,
        }
    }

    fn run(
        &mut self,
        parallel: usize,
        vault: &Vault,
        clock: &dyn Clock,
        cancel: &Cancel,
    ) -> JobReport {
        let job = Job {
            vault,
            clock,
            sink: &Quiet,
            cancel,
            limits: Limits {
                workers: 2,
                in_flight: 256 << 10,
                results: 256 << 10,
            },
        };
        let options = Options {
            parallel,
            ..Options::default()
        };
        let next = AtomicUsize::new(1);
        let mut rng = |out: &mut [u8]| {
            for byte in out {
                let n = next.fetch_add(1, Ordering::Relaxed) as u64;
                *byte = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u8;
            }
        };
        backup(&job, self, &options, &mut rng).unwrap()
    }

    fn most(&self) -> usize {
        self.held.0.lock().unwrap().most
    }

    fn ends(&self) -> Vec<Vec<End>> {
        let ends = |vm: &ModelSource| vm.ends.lock().unwrap().clone();
        self.vms.iter().map(ends).collect()
    }
}

impl Source for Many {
    fn describe(&self) -> String {
        "many".to_owned()
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        let vm = |(number, model): (usize, &ModelSource)| VmRef {
            key: number.to_string(),
            id: Uuid::from_u128(model.id),
            name: format!("vm {number}"),
            kind: Default::default(),
        };
        Ok(Listing {
            vms: self.vms.iter().enumerate().map(vm).collect(),
            findings: vec![],
        })
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let number: usize = vm.key.parse().unwrap();
        let once = |n: u32| n.checked_sub(1);
        if number == 0
            && self
                .busy
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, once)
                .is_ok()
        {
            return Err(SourceError {
                not_now: true,
                code: Code::NotNow,
                ..SourceError::new(vm.name.clone(), "somebody is at work on it", "wait")
            });
        }
        let vm = self.vms[number].freeze(vm, request)?;
        let (held, changed) = &*self.held;
        let mut now = held.lock().unwrap();
        now.now += 1;
        now.in_all += 1;
        now.most = now.most.max(now.now);
        changed.notify_all();
        let together = self.together;
        drop(
            changed
                .wait_while(now, |now| now.in_all < together)
                .unwrap(),
        );
        if let Some(cancel) = &self.stops {
            cancel.cancel();
        }
        let held = Arc::clone(&self.held);
        Ok(Box::new(OfMany { vm, held }))
    }
}

impl FrozenVm for OfMany {
    fn view(&self) -> &FrozenView {
        self.vm.view()
    }
    fn recheck(&mut self) -> Vec<Moved> {
        self.vm.recheck()
    }
    fn finish(self: Box<Self>, end: End) -> Finished {
        self.held.0.lock().unwrap().now -= 1;
        self.vm.finish(end)
    }
}

#[test]
fn as_many_are_at_work_as_may_be_and_no_more() {
    for (parallel, together) in [(1, 0), (3, 3)] {
        let vault = vault();
        let mut many = Many::new(7);
        many.together = together;
        let report = many.run(parallel, &vault, &Still, &Cancel::new());
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(many.most(), parallel);
        let names: Vec<_> = report.vms.iter().map(|vm| vm.name.clone()).collect();
        assert_eq!(names, [0, 1, 2, 3, 4, 5, 6].map(|n| format!("vm {n}")));
        for (vm, model) in report.vms.iter().zip(&many.vms) {
            check(&vault, vm, &model.chain);
        }
        assert!(many.ends().iter().all(|ends| *ends == [End::Durable]));
        // And each has what it needs the next time.
        let again = many.run(parallel, &vault, &Still, &Cancel::new());
        assert_eq!(again.vms.iter().map(|vm| vm.stats.new).sum::<u64>(), 0);
    }
}

#[test]
fn what_is_new_is_told_of_the_vm_that_has_it() {
    let (mut alone, mut beside) = (Many::new(2), Many::new(2));
    beside.together = 2;
    let alone = alone.run(1, &vault(), &Still, &Cancel::new());
    let beside = beside.run(2, &vault(), &Still, &Cancel::new());
    for (one, other) in alone.vms.iter().zip(&beside.vms) {
        assert_eq!(one.stats, other.stats);
        assert!(0 < other.stored && other.stored <= one.stored, "{other:?}");
    }
}

#[test]
fn a_vm_that_fails_takes_no_other_along() {
    let vault = vault();
    let mut many = Many::new(4);
    many.together = 4;
    many.vms[0].panics = true;
    many.vms[1].chain[0].cursed = true;
    many.vms[2].chain[0].broken = Some(0);
    let report = many.run(4, &vault, &Still, &Cancel::new());
    let outcomes = report.vms.iter().map(|vm| vm.outcome);
    let failed = [Outcome::Failed; 3].into_iter();
    assert!(outcomes.eq(failed.chain([Outcome::Ok])), "{report:#?}");
    check(&vault, &report.vms[3], &many.vms[3].chain);
    let abandoned = vec![vec![End::Abandoned]; 3];
    assert_eq!(many.ends()[..3], abandoned);
    assert_eq!(vault.points(None).unwrap().len(), 1);
}

#[test]
fn a_vm_that_is_busy_comes_back_when_others_are_at_work() {
    let vault = vault();
    let mut many = Many::new(3);
    many.together = 2;
    many.busy = AtomicU32::new(2);
    let clock = Manual::default();
    let report = many.run(2, &vault, &clock, &Cancel::new());
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(clock.monotonic(), Duration::from_secs(90));
    let told = |f: &Finding| f.code == Code::NotNow && f.message.contains("3 times");
    assert!(report.vms[0].findings.iter().any(told));
    assert_eq!(vault.points(None).unwrap().len(), 3);
}

#[test]
fn who_asks_to_stop_stops_all_of_them() {
    let (vault, cancel) = (vault(), Cancel::new());
    let mut many = Many::new(5);
    many.together = 2;
    many.stops = Some(cancel.clone());
    let report = many.run(2, &vault, &Still, &cancel);
    let all = report.vms.iter().all(|vm| vm.outcome == Outcome::Cancelled);
    assert!(all && report.vms.len() == 5, "{report:#?}");
    let ends = many.ends();
    assert_eq!(ends[..2], vec![vec![End::Abandoned]; 2]);
    assert!(ends[2..].iter().all(Vec::is_empty));
    assert_eq!(vault.points(None).unwrap().len(), 0);
}

/// All write in one session. One that fails is nobody's own fault, so each has another try.
#[test]
fn a_session_that_fails_costs_those_that_write_in_it_another_try() {
    let store = Arc::new(MemoryStore::default());
    let (_, code) = vault_in(&store);
    let left = Arc::new(AtomicUsize::new(1));
    let once = Arc::clone(&left);
    let faulty = FaultyStore::new(store, move |asked| {
        let pack = matches!(asked, Asked::Put(name) if name.starts_with("packs/"));
        let fails = pack
            && once
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok();
        fails.then_some(Fault::Before)
    });
    let vault = Vault::open(
        Arc::new(faulty),
        vault::Unlock::Recovery(&code),
        Env::system(),
    );
    let vault = vault.unwrap();
    let mut many = Many::new(2);
    many.together = 2;
    let report = many.run(2, &vault, &Manual::default(), &Cancel::new());
    assert_eq!(report.vms.len(), 2);
    for (vm, model) in report.vms.iter().zip(&many.vms) {
        assert!(vm.point.is_some(), "{report:#?}");
        check(&vault, vm, &model.chain);
    }
    assert_eq!(left.load(Ordering::SeqCst), 0);
}
