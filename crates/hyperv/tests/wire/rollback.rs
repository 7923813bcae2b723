//! Disks that become again what they were, under the registration that their VM has.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::import::{Consent, ImportError, Rollback};
use hyperkeep_hyperv::inventory::{self, PowerState};
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::recovery::{Remembered, recover};
use lab::wsman::Mishap;
use uuid::Uuid;

use crate::restored::{machines, scenario};
use crate::support::Lab;

const ALL: Consent = Consent {
    turn_off: true,
    checkpoints: true,
    replicated: false,
};

/// A host whose first VM runs.
fn running() -> Lab {
    let lab = Lab::start(&scenario(""));
    lab.server
        .service()
        .repository
        .host
        .change_state(lab.vm(), 2)
        .unwrap();
    machines(&lab);
    lab
}

fn state(lab: &Lab) -> PowerState {
    inventory::power_state(&lab.session(), lab.vm()).unwrap()
}

#[test]
fn a_vm_is_off_while_its_disks_are_written_and_runs_again() {
    let lab = running();
    let before = machines(&lab);
    lab.with(|control| {
        // Only as far as it is allowed.
        for may in [
            Consent::default(),
            Consent {
                turn_off: false,
                ..ALL
            },
            Consent {
                checkpoints: false,
                ..ALL
            },
        ] {
            assert!(Rollback::begin(control, lab.vm(), may).is_err());
            assert_eq!(state(&lab), PowerState::Running);
        }
        let held = Rollback::begin(control, lab.vm(), ALL).unwrap();
        assert_eq!((state(&lab), held.ran()), (PowerState::Off, true));
        assert_eq!((held.disks.len(), held.checkpoints.len()), (1, 1));
        assert!(!control.journal().reading().unwrap().is_settled());
        assert!(held.finish(true).unwrap().is_none());
        assert!(control.journal().reading().unwrap().is_settled());
        let held = Rollback::begin(control, lab.vm(), ALL).unwrap();
        held.abandon(true).unwrap();
        assert!(control.journal().reading().unwrap().is_settled());
    });
    assert_eq!(machines(&lab), before);
}

#[test]
fn somebody_who_starts_it_meanwhile_is_noticed() {
    let lab = running();
    lab.with(|control| {
        let held = Rollback::begin(control, lab.vm(), ALL).unwrap();
        lab.server
            .service()
            .repository
            .host
            .change_state(lab.vm(), 2)
            .unwrap();
        lab.time.sleep(Duration::from_secs(60));
        let failed = held.finish(true).unwrap_err();
        assert!(
            matches!(failed, ImportError::OtherState(PowerState::Running)),
            "{failed}"
        );
    });
}

/// Off again, it looks as if nothing had been.
#[test]
fn somebody_who_starts_and_stops_it_meanwhile_is_noticed() {
    let lab = running();
    lab.with(|control| {
        let held = Rollback::begin(control, lab.vm(), ALL).unwrap();
        for requested in [2, 3] {
            lab.time.sleep(Duration::from_secs(60));
            let mut service = lab.server.service();
            let host = &mut service.repository.host;
            host.change_state(lab.vm(), requested).unwrap();
        }
        lab.time.sleep(Duration::from_secs(60));
        assert_eq!(state(&lab), PowerState::Off);
        let failed = held.finish(true).unwrap_err();
        assert!(matches!(failed, ImportError::RanMeanwhile(_)), "{failed}");
        assert!(!control.journal().reading().unwrap().is_settled());
    });
}

/// Disks that change while it is turned off are not written to, and it runs again.
#[test]
fn a_vm_that_cannot_be_held_runs_again() {
    let taken = r#"{"on": "RequestStateChange",
                    "after": [{"takes-checkpoint": {"vm": "a", "name": "theirs"}}]}"#;
    let lab = Lab::start(&scenario(taken));
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let mut service = lab.server.service();
    service.repository.host.change_state(lab.vm(), 2).unwrap();
    drop(service);
    machines(&lab);
    lab.server.service().mishaps = mishaps;
    lab.with(|control| {
        let failed = Rollback::begin(control, lab.vm(), ALL).err().unwrap();
        assert!(matches!(failed, ImportError::OtherDisks(_)), "{failed}");
        assert!(control.journal().reading().unwrap().is_settled());
    });
    assert_eq!(state(&lab), PowerState::Running);
}

/// What it had in memory is gone with its turning off.
#[test]
fn memory_that_is_lost_is_told() {
    for (requested, was) in [(9, PowerState::Paused), (6, PowerState::Saved)] {
        let lab = running();
        let mut service = lab.server.service();
        let host = &mut service.repository.host;
        host.change_state(lab.vm(), requested).unwrap();
        drop(service);
        machines(&lab);
        lab.with(|control| {
            let held = Rollback::begin(control, lab.vm(), ALL).unwrap();
            let told = held.abandon(true).unwrap_err();
            assert!(
                matches!(told, ImportError::MemoryLost(state) if state == was),
                "{told}"
            );
        });
        assert_eq!(state(&lab), PowerState::Off);
    }
}

/// A run that is killed while disks are written leaves the VM off, and every run tells of it until
/// it has been rolled back.
#[test]
fn half_written_disks_are_told_until_they_are_whole() {
    let lab = running();
    let journals = crate::support::folder();
    let folder = journals.path();
    let journal = Arc::new(Journal::create(folder, Uuid::from_u128(1)).unwrap());
    drop(Rollback::begin(&lab.control(&journal), lab.vm(), ALL).unwrap());
    journal.close().unwrap();
    let told = || {
        let mut told = Vec::new();
        for journal in dead(folder).unwrap() {
            let journal = Arc::new(journal);
            let report = recover(&lab.control(&journal), &|_, _| Remembered::No).unwrap();
            told.extend(report.left.into_iter().map(|left| left.what));
            journal.close().unwrap();
        }
        told
    };
    for _ in 0..2 {
        let told = told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("roll it back again"), "{told:?}");
        assert_eq!(state(&lab), PowerState::Off);
        lab.time.sleep(Duration::from_secs(3600));
    }
    let journal = Arc::new(Journal::create(folder, Uuid::from_u128(2)).unwrap());
    let held = Rollback::begin(&lab.control(&journal), lab.vm(), ALL).unwrap();
    assert!(!held.ran());
    assert!(held.finish(false).unwrap().is_none());
    journal.close().unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    assert_eq!(told(), [""; 0]);
}

/// Whoever starts it all the same is told once what it may have.
#[test]
fn a_vm_that_runs_is_told_of_once() {
    let lab = running();
    let journals = crate::support::folder();
    let journal = Arc::new(Journal::create(journals.path(), Uuid::from_u128(1)).unwrap());
    drop(Rollback::begin(&lab.control(&journal), lab.vm(), ALL).unwrap());
    lab.server
        .service()
        .repository
        .host
        .change_state(lab.vm(), 2)
        .unwrap();
    lab.time.sleep(Duration::from_secs(60));
    let report = recover(&lab.control(&journal), &|_, _| Remembered::No).unwrap();
    let told: Vec<_> = report.left.iter().map(|left| left.what.as_str()).collect();
    assert!(
        matches!(told[..], [one] if one.contains("part old and part new")),
        "{told:?}"
    );
    assert!(journal.close().unwrap().is_settled());
}
