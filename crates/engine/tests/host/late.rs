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
struct Timed(HostSource, Shared, Mutex<Vec<(String, Duration)>>);

impl Source for Timed {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        self.0.begin(memory)
    }
    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        self.0.end(memory)
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        self.0.list()
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let held = self.0.freeze(vm, request)?;
        let mut all = self.2.lock().unwrap();
        all.push((vm.name.clone(), self.1.now()));
        Ok(held)
    }
}

/// What comes of a run after one that was killed so, and how long after that each VM held still.
fn after(
    place: &Place,
    then: Option<(Duration, Accident)>,
) -> (JobReport, Vec<(String, Duration)>) {
    drop(killed(place));
    let begun = place.lab.time.now();
    let time = place.lab.time.clone();
    let source = place.source(Arc::new(time.clone()), Floor::NONE);
    let mut timed = Timed(source, time, Mutex::default());
    let report = place.back_up(&mut timed, then.map(|(at, what)| (begun + at, what)));
    let held = timed.2.lock().unwrap().drain(..).collect::<Vec<_>>();
    drop(timed);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
    let since = held.into_iter().map(|(vm, at)| (vm, at - begun));
    (report, since.collect())
}

#[test]
fn a_vm_that_its_host_may_be_about_to_hold_waits_and_others_do_not() {
    let place = Place::new(SCENARIO);
    let (report, held) = after(&place, None);
    let [(second, soon), (first, late)] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!((second.as_str(), first.as_str()), ("second", "first"));
    assert!(*soon < Duration::from_secs(10), "{held:?}");
    assert!((BEGINS..BEGINS * 2).contains(late), "{held:?}");
    assert!(codes(&report.vms[0].findings).contains(&Code::NotNow));
    assert!(!codes(&report.vms[1].findings).contains(&Code::NotNow));
    assert_eq!(place.rest(), ours(1));
}

/// The host takes the checkpoint late: it is known when the VM's turn comes again.
#[test]
fn what_its_host_begins_late_is_removed_before_the_vm_is_backed_up() {
    // What its host merges takes no time: the VM would have to wait for that as well.
    let place = Place::new(&SCENARIO.replace("20000", "0"));
    let (report, held) = after(&place, Some((Duration::from_secs(100), takes(&place))));
    assert!(
        codes(&report.findings).contains(&Code::PutRight),
        "{report:#?}"
    );
    let late = &held[1];
    assert!(late.0 == "first" && late.1 < BEGINS, "{held:?}");
    assert_eq!(place.rest(), ours(1));
}

#[test]
fn where_no_other_vm_waits_it_is_waited_for_at_once() {
    let (alone, _) = SCENARIO.split_once(r#"{"name": "second""#).unwrap();
    let alone = alone.trim_end().trim_end_matches(',');
    let rules = r#"], "rules": {"tracking-unit": 4096, "merge-ms": 20000}}"#;
    let place = Place::new(&format!("{alone}{rules}"));
    let (report, held) = after(&place, None);
    let late = held[0].1;
    assert!((BEGINS..BEGINS + Duration::from_secs(60)).contains(&late));
    assert!(!codes(&report.vms[0].findings).contains(&Code::NotNow));
}

/// Nobody's turn comes: who only puts right waits.
#[test]
fn without_a_backup_it_is_waited_for_in_the_end() {
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
