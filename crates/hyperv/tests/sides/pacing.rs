//! Answers that take longer, and VMs that somebody wants.

use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::pacing::{Backing, Limits, probe};
use hyperkeep_hyperv::release::{Wanted, Watch};
use lab::state::{Accident, Power};

use crate::support::Lab;

const SCENARIO: &str = r#"{"vms": [{"name": "runs"}, {"name": "off", "state": "off"}]}"#;

/// A clock that goes on by so much each time that somebody looks.
struct Slow(std::sync::Mutex<Duration>, Duration);

impl Pace for Slow {
    fn now(&self) -> Duration {
        let mut now = self.0.lock().unwrap();
        *now += self.1;
        *now
    }

    fn sleep(&self, _: Duration) {}
}

#[test]
fn answers_are_measured_by_the_same_question_each_time() {
    let lab = Lab::start(SCENARIO);
    let session = lab.session();
    let answer = |took| {
        let pace = Slow(Duration::ZERO.into(), Duration::from_millis(took));
        probe(&session, lab.vm(0), &pace).unwrap()
    };
    let mut backing = Backing::new(4, Limits::default());
    (0..5).for_each(|_| backing.before(answer(20)));
    let slow = (0..5).map(|_| backing.during(answer(2000))).last();
    assert_eq!(slow, Some(2));
    let report = backing.report();
    assert_eq!(report.before.unwrap().median_ms, 20);
    assert_eq!(report.during.unwrap().median_ms, 2000);
    let nobody = uuid::Uuid::from_u128(9);
    assert!(probe(&session, nobody, &lab.time).is_err());
}

#[test]
fn a_vm_that_somebody_starts_is_noticed() {
    let lab = Lab::start(SCENARIO);
    let session = lab.session();
    let (runs, off) = (lab.vm(0), lab.vm(1));
    assert_eq!(Watch::begin(&session, runs).unwrap(), None);
    let watch = Watch::begin(&session, off).unwrap().unwrap();
    assert_eq!(watch.look(&session).unwrap(), None);
    let turns = |to| {
        lab.time.sleep(Duration::from_secs(5));
        let mut service = lab.servers[0].service();
        let turned = Accident::Turns(off, to);
        service.repository.host.suffer(&turned).unwrap();
    };
    turns(Power::Running);
    assert_eq!(watch.look(&session).unwrap(), Some(Wanted::Runs));
    // Off again by now: that it was started shows in the time of its state.
    turns(Power::Off);
    assert_eq!(watch.look(&session).unwrap(), Some(Wanted::Changed));
    let again = Watch::begin(&session, off).unwrap().unwrap();
    assert_eq!(again.look(&session).unwrap(), None);
    turns(Power::Saved);
    assert_eq!(again.look(&session).unwrap(), Some(Wanted::Changed));
}
