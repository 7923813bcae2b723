//! VMs that wait for a place to be read.

use hyperkeep_engine::source::Leave;
use hyperv::pacing::Caps;
use lab::state::Power;

use super::*;

/// A host of which another VM has the only place, as long as the first one that holds still waits for
/// it; and something happens meanwhile.
struct Crowded {
    host: HostSource,
    other: VmRef,
    then: Arc<dyn Fn() + Send + Sync>,
    crowd: Mutex<Option<Crowd>>,
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
    fn describe(&self) -> String {
        self.host.describe()
    }
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        self.host.begin(memory)
    }
    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        self.host.end(memory)
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        let mut listing = self.host.list()?;
        let other = listing.vms.pop().unwrap();
        assert_eq!(other.name, "second");
        self.other = other;
        Ok(listing)
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        if !std::mem::replace(&mut *self.was.lock().unwrap(), true) {
            let other = self.host.freeze(&self.other, request)?;
            let leave = other.leave(0, &|| false).unwrap();
            *self.crowd.lock().unwrap() = Some((leave, other));
        }
        let vm = self.host.freeze(vm, request)?;
        let crowd = Mutex::new(self.crowd.lock().unwrap().take());
        let then = Arc::clone(&self.then);
        Ok(Box::new(CrowdedVm { vm, crowd, then }))
    }
}

impl FrozenVm for CrowdedVm {
    fn view(&self) -> &FrozenView {
        self.vm.view()
    }
    fn at_once(&self) -> usize {
        self.vm.at_once()
    }
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
    fn give_up(&self) -> Option<Finding> {
        self.vm.give_up()
    }
    fn recheck(&mut self) -> Vec<Moved> {
        self.vm.recheck()
    }
    fn let_go(&mut self) -> Result<LetGo, Finding> {
        self.vm.let_go()
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
        crowd: Mutex::default(),
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
