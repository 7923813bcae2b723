//! VMs that wait for a place to be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, OnceLock};

use hyperkeep_engine::hooks::Hook;
use hyperkeep_engine::select::Disks;
use hyperkeep_engine::source::{Early, Leave};
use hyperv::pacing::Caps;
use lab::state::Power;

use super::*;

/// A host of which another VM has the only place, as long as the first one that holds still waits for
/// it; and something happens meanwhile.
struct Crowded {
    host: HostSource,
    other: VmRef,
    then: Arc<dyn Fn() + Send + Sync>,
    /// It was waited for once.
    was: Mutex<bool>,
}

/// The place goes before its VM.
type Crowd = (Leave, Box<dyn FrozenVm>);

struct CrowdedVm {
    vm: Box<dyn FrozenVm>,
    crowd: Mutex<Option<Crowd>>,
    then: Arc<dyn Fn() + Send + Sync>,
}

impl Source for Crowded {
    passes_on!(host: describe, begin, end);

    fn list(&mut self) -> Result<Listing, SourceError> {
        let mut listing = self.host.list()?;
        let other = listing.vms.pop().unwrap();
        assert_eq!(other.name, "second");
        self.other = other;
        Ok(listing)
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let vm = self.host.freeze(vm, request)?;
        let crowd = Mutex::new(None);
        if !std::mem::replace(&mut *self.was.lock().unwrap(), true) {
            // It has read of a disk, and wants another one.
            drop(vm.leave(0, &|| false).unwrap());
            let other = self.host.freeze(&self.other, request)?;
            let leave = other.leave(0, &|| false).unwrap();
            *crowd.lock().unwrap() = Some((leave, other));
        }
        let then = Arc::clone(&self.then);
        Ok(Box::new(CrowdedVm { vm, crowd, then }))
    }
}

impl FrozenVm for CrowdedVm {
    passes_on!(vm: view, at_once, first, give_up, recheck, let_go);

    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let crowded = self.crowd.lock().unwrap().is_some();
        let happened = AtomicBool::new(!crowded);
        // Whoever asks whether it is to stop waits already.
        let waits = || {
            if !happened.swap(true, Ordering::SeqCst) {
                (self.then)();
            }
            stopped()
        };
        self.vm.leave(layer, &waits)
    }
    fn finish(self: Box<Self>, end: End) -> Finished {
        if let Some((leave, other)) = self.crowd.lock().unwrap().take() {
            drop(leave);
            other.finish(End::Abandoned);
        }
        self.vm.finish(end)
    }
}

/// What comes of a VM that waits for its place when something happens.
fn waited(
    place: &Place,
    release_on_start: bool,
    floor: Floor,
    then: impl Fn() + Send + Sync + 'static,
    cancel: &Cancel,
) -> JobReport {
    let caps = Caps {
        per_host: 1,
        per_volume: 1,
    };
    let pacing = Pacing {
        caps,
        release_on_start,
        ..Pacing::default()
    };
    let host = HostSource::open(Setup {
        pacing,
        ..place.setup(Arc::new(place.lab.time.clone()), floor)
    });
    let mut source = Crowded {
        host: host.unwrap().looking_every(Duration::from_millis(5)),
        other: VmRef {
            key: String::new(),
            id: Uuid::nil(),
            name: String::new(),
            kind: Default::default(),
        },
        then: Arc::new(then),
        was: Mutex::default(),
    };
    place.back_up_as(&mut source, &many::at_a_time(1), cancel, None)
}

/// Nobody reads of it, and its place may be had by others for hours.
#[test]
fn a_vm_that_waits_for_its_place_is_given_up_when_its_volume_fills() {
    let place = Place::new(SCENARIO);
    let lab = Arc::clone(&place.lab);
    let fills = move || suffer(&lab, &Accident::Space("D:\\".to_owned(), 1 << 30));
    let report = waited(&place, false, Floor::default(), fills, &Cancel::new());
    let [first] = report.vms.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    let told = |f: &Finding| f.message.contains("MiB are free");
    assert!(first.findings.iter().any(told), "{first:#?}");
    assert_eq!(place.rest(), ours(0));
}

#[test]
fn a_vm_that_waits_for_its_place_is_let_go_when_somebody_starts_it() {
    let off = SCENARIO.replacen(
        r#""name": "first","#,
        r#""name": "first", "state": "off","#,
        1,
    );
    let place = Place::new(&off);
    let (lab, first) = (Arc::clone(&place.lab), place.id("first"));
    let starts = move || suffer(&lab, &Accident::Turns(first, Power::Running));
    let report = waited(&place, true, Floor::NONE, starts, &Cancel::new());
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.vms[0].findings).contains(&Code::NotNow));
    assert_eq!(place.rest()[0], (Vec::new(), 1));
}

#[test]
fn a_vm_that_waits_for_its_place_ends_when_somebody_asks_to_stop() {
    let place = Place::new(SCENARIO);
    let cancel = Cancel::new();
    let asks = cancel.clone();
    let report = waited(&place, false, Floor::NONE, move || asks.cancel(), &cancel);
    assert_eq!(report.vms[0].outcome, Outcome::Cancelled, "{report:#?}");
    assert_eq!(place.rest(), ours(0));
}

/// VMs that are watched while they wait for the only place. The first that is read is read until
/// another one waits.
struct Queued {
    host: HostSource,
    lab: Arc<Lab>,
    seen: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Who has waited.
    asked: Mutex<Vec<String>>,
    changed: Condvar,
    /// VMs that held still at once, at the most.
    held: AtomicUsize,
    /// Hooks that had run when the first one was read.
    hooks: OnceLock<usize>,
    /// What a hook tells of.
    log: PathBuf,
}

struct QueuedVm {
    vm: Box<dyn FrozenVm>,
    lab: Arc<Lab>,
    seen: Arc<Queue>,
}

impl Source for Queued {
    passes_on!(host: describe, begin, end, list);

    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        self.host.early(vm, disks, &|| {
            let mut asked = self.seen.asked.lock().unwrap();
            if !asked.contains(&vm.name) {
                asked.push(vm.name.clone());
            }
            self.seen.changed.notify_all();
            stopped()
        })
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let vm = self.host.freeze(vm, request)?;
        let (lab, seen) = (Arc::clone(&self.lab), Arc::clone(&self.seen));
        Ok(Box::new(QueuedVm { vm, lab, seen }))
    }
}

impl FrozenVm for QueuedVm {
    passes_on!(vm: view, at_once, first, give_up, recheck, let_go, finish);

    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let leave = self.vm.leave(layer, stopped)?;
        let asked = self.seen.asked.lock().unwrap();
        let wait = |asked: &mut Vec<String>| asked.len() < 2;
        let minute = Duration::from_secs(60);
        let waited = self.seen.changed.wait_timeout_while(asked, minute, wait);
        assert!(!waited.unwrap().1.timed_out(), "nobody else waits");
        let service = self.lab.server.service();
        let vms = service.repository.host.vms().iter();
        let held = vms.filter(|vm| !vm.checkpoints.is_empty()).count();
        self.seen.held.fetch_max(held, Ordering::SeqCst);
        let log = std::fs::read_to_string(&self.seen.log).unwrap_or_default();
        let _ = self.seen.hooks.set(log.lines().count());
        Some(leave)
    }
}

/// Neither does a hook stop anything in it.
#[test]
fn no_vm_holds_still_before_there_is_a_place_to_read_it() {
    let place = Place::new(SCENARIO);
    let pacing = Pacing {
        caps: Caps {
            per_host: 9,
            per_volume: 1,
        },
        ..Pacing::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Queue {
        log: folder.path().join("log"),
        ..Queue::default()
    });
    let mut options = many::at_a_time(2);
    let log = format!("echo $HYPERKEEP_VM >> '{}'", seen.log.display());
    options.hooks.before = cfg!(unix).then(|| Hook {
        program: "sh".into(),
        args: vec!["-c".to_owned(), log],
        timeout_s: 60,
        policy: Default::default(),
        codes: BTreeMap::new(),
    });
    let mut source = Queued {
        host: peace::paced(&place, pacing),
        lab: Arc::clone(&place.lab),
        seen: Arc::clone(&seen),
    };
    let report = place.back_up_as(&mut source, &options, &Cancel::new(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(seen.held.load(Ordering::SeqCst), 1);
    if cfg!(unix) {
        let log = std::fs::read_to_string(&seen.log).unwrap();
        assert_eq!(log.lines().count(), 2);
        assert_eq!(seen.hooks.get(), Some(&1), "hooks that had run");
    }
    drop(source);
    assert_eq!(place.rest(), ours(1));
}
