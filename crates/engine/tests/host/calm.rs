//! VMs whose replication is at work.

use super::cost::Counted;
use super::*;

const COPY: &str = r#""name": "first", "state": "off", "replication": {"mode": 2, "state": 3,
    "health": 1, "interval": 300, "delta-ms": 45000, "delta-bytes": 0},"#;

/// Its guest, or that of the original, would settle for nothing.
#[test]
fn no_checkpoint_is_asked_for_while_a_delta_is_applied() {
    let place = Place::new(&SCENARIO.replacen(r#""name": "first","#, COPY, 1));
    suffer(&place.lab, &Accident::ReceivesDelta(place.id("first")));
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    let (session, asked) = Counted::session(place.lab.transport(), "CreateSnapshot_INPUT");
    setup.session = session;
    let report = place.back_up(&mut HostSource::open(setup).unwrap(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.vms[0].findings).contains(&Code::NotNow));
    assert!(!codes(&report.vms[1].findings).contains(&Code::NotNow));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "one for each VM");
    assert_eq!(place.rest(), ours(1));
}
