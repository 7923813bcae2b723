//! A call that a killed run had written down, and that its host may still begin.

use hyperkeep_engine::backup::put_right;
use hyperv::journal::{Call, Intent, Journal};

use super::*;

/// How long a host may still begin it.
const BEGINS: Duration = Duration::from_secs(300);
const KILLED: Mark = Mark {
    run: Uuid::from_u128(0x77),
    ..MARK
};

/// The journal of a run that has written down that it takes a checkpoint, and is killed when that is
/// dropped.
pub(crate) fn killed(place: &Place) -> Journal {
    let journal = Journal::create(place.journals(), KILLED.run).unwrap();
    let call = Call::CreateCheckpoint {
        name: KILLED.name(),
        before: Vec::new(),
        vm_name: Some("first".to_owned()),
        clock_ahead: Some(0),
    };
    let (vm, at) = (place.id("first"), place.lab.time.clock.now());
    journal.begin(Intent { vm, at, call }).unwrap();
    journal
}

/// The host takes its checkpoint.
pub(crate) fn takes(place: &Place) -> Accident {
    Accident::TakesCheckpoint {
        vm: place.id("first"),
        kind: CheckpointKind::Recovery,
        name: KILLED.name(),
    }
}

/// A source that tells when each VM held still.
struct Timed(HostSource, Shared, Mutex<Vec<Duration>>);

impl Source for Timed {
    passes_on!(0: describe, begin, end, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let held = self.0.freeze(vm, request)?;
        self.2.lock().unwrap().push(self.1.now());
        Ok(held)
    }
}

/// Waiting lets the host's time pass, and something happens at a time.
struct Then {
    time: Shared,
    host: Arc<Lab>,
    then: Mutex<Option<(Duration, Accident)>>,
}

impl Pace for Then {
    fn now(&self) -> Duration {
        self.time.now()
    }
    fn sleep(&self, span: Duration) {
        self.time.sleep(span);
        let mut then = self.then.lock().unwrap();
        if let Some((_, what)) = then.take_if(|(at, _)| *at <= self.time.now()) {
            suffer(&self.host, &what);
        }
    }
}

/// What comes of a run after one that was killed so, and how long after that the first VM held still.
fn after(place: &Place, then: Option<(Duration, Accident)>) -> (JobReport, Duration) {
    drop(killed(place));
    let time = place.lab.time.clone();
    let begun = time.now();
    let pace = Then {
        time: time.clone(),
        host: Arc::clone(&place.lab),
        then: Mutex::new(then.map(|(at, what)| (begun + at, what))),
    };
    let source = place.source(Arc::new(pace), Floor::NONE);
    let mut timed = Timed(source, time, Mutex::default());
    let report = place.back_up(&mut timed, None);
    let first = timed.2.lock().unwrap()[0];
    drop(timed);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
    assert_eq!(place.rest(), ours(1));
    (report, first - begun)
}

/// Nobody holds still meanwhile, and no program has stopped anything.
#[test]
fn what_its_host_may_be_about_to_begin_is_waited_for_before_any_turn() {
    let place = Place::new(SCENARIO);
    let (report, held) = after(&place, None);
    assert!((BEGINS..BEGINS * 2).contains(&held), "{held:?}");
    assert!(report.findings.is_empty(), "{report:#?}");
}

#[test]
fn what_its_host_begins_late_is_removed() {
    let place = Place::new(SCENARIO);
    let late = Some((Duration::from_secs(100), takes(&place)));
    let (report, held) = after(&place, late);
    assert!(held < BEGINS, "{held:?}");
    let found = codes(&report.findings);
    assert!(found.contains(&Code::PutRight), "{report:#?}");
}

/// It was written down by a clock that was wrong: nobody waits until that has come.
#[test]
fn a_call_of_the_future_is_not_waited_for() {
    let place = Place::new(SCENARIO);
    let clock = &place.lab.time.clock;
    clock.advance(Duration::from_secs(100_000));
    drop(killed(&place));
    let path = std::fs::read_dir(place.journals()).unwrap().next();
    let journal = path.unwrap().unwrap().path();
    // The same under a clock that has been set.
    let place = Place::new(SCENARIO);
    let to = place.journals().join(journal.file_name().unwrap());
    std::fs::copy(journal, to).unwrap();
    let begun = place.lab.time.now();
    let mut source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    put_right(&place.vault, &mut source).unwrap();
    drop(source);
    assert_eq!(place.lab.time.now(), begun);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
}

#[test]
fn without_a_backup_it_is_waited_for_as_well() {
    let place = Place::new(SCENARIO);
    drop(killed(&place));
    let begun = place.lab.time.now();
    let mut source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let told = put_right(&place.vault, &mut source).unwrap();
    drop(source);
    assert!(told.is_empty(), "{told:#?}");
    assert!(place.lab.time.now() - begun >= BEGINS);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
}
