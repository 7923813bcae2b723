//! A run that is killed at any step is put right by the next one.

use std::fs;

use hyperkeep_hyperv::checkpoint::{
    Consistency, GuestBackup, Mark, Options, RecoveryCheckpoint, destroy_reference_point,
};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::journal::{Journal, Reading, dead};
use hyperkeep_hyperv::recovery::{Remembered, Report, recover};
use uuid::Uuid;

use crate::support::vmms::{Failure, Moment, VM, Vmms};

const MARK: Mark = Mark {
    installation: Uuid::from_u128(0x11),
    run: Uuid::from_u128(0x22),
};

const OPTIONS: Options = Options {
    consistency: Consistency::Crash,
    guest_backup: GuestBackup::Copy,
    ignore_other_disks: false,
};

fn clock() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

/// Every moment of a flow at which its process could be killed.
fn moments(direct: bool, flow: impl FnOnce(&Control<'_>)) -> Vec<Moment> {
    let mut host = Vmms::new();
    host.direct = direct;
    host.put_checkpoint("Microsoft:THEIRS", "before update", false);
    host.put_point("RP:THEIRS");
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::create(dir.path(), MARK.run).unwrap();
    *host.journal.lock().unwrap() = Some(journal.path().to_owned());
    flow(&Control::new(&host, &journal, &host, &clock));
    host.moments.into_inner().unwrap()
}

/// What the next run finds and does.
fn next_run(host: &Vmms, journal: &[u8], remembered: Remembered) -> (Report, Reading) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("killed.journal"), journal).unwrap();
    let taken = dead(dir.path()).unwrap().pop().unwrap();
    let report = recover(&Control::new(host, &taken, host, &clock), &|_, _| {
        remembered
    })
    .unwrap();
    let reading = taken.close().unwrap();
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(!reading.is_settled()));
    (report, reading)
}

fn only_theirs(host: &Vmms) -> bool {
    let checkpoints: Vec<String> = host.checkpoints().into_keys().collect();
    checkpoints == ["Microsoft:THEIRS"] && host.points() == ["RP:THEIRS"]
}

fn backup(control: &Control<'_>) {
    let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
    let point = checkpoint.convert().unwrap();
    destroy_reference_point(control, VM, &point.instance_id).unwrap();
}

fn abandoned(control: &Control<'_>) {
    drop(RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap());
}

#[test]
fn killed_at_any_step_the_next_run_cleans_up() {
    for (direct, flow) in [
        (false, backup as fn(&Control<'_>)),
        (true, backup),
        (false, abandoned),
        (true, abandoned),
    ] {
        for moment in moments(direct, flow) {
            for forgotten in [false, true] {
                let host = Vmms::at(&moment, forgotten);
                let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
                let what = format!("{}, direct {direct}, forgotten {forgotten}", moment.what);
                assert_eq!(report.failed, [""; 0], "{what}");
                // Between the making of a checkpoint and the note of its job or id nobody can
                // know whose it is.
                let blind = moment.what == "after CreateSnapshot, before its answer"
                    || (forgotten && report.suspects.len() == 1 && !direct);
                if report.suspects.is_empty() {
                    assert!(only_theirs(&host), "{what}: {:?}", host.checkpoints());
                    assert!(reading.is_settled(), "{what}: {reading:?}");
                } else {
                    assert!(blind, "{what}: {report:?}");
                    assert_eq!(host.checkpoints().len(), 2, "{what}: it is left alone");
                    assert_eq!(reading.open.len(), 1, "{what}: and not forgotten");
                }
            }
        }
    }
}

#[test]
fn there_are_moments_enough_and_suspects_are_few() {
    let all = moments(false, backup);
    assert!(all.len() > 15, "{}", all.len());
    let suspects = |forgotten| {
        let found = all.iter().filter(|moment| {
            let host = Vmms::at(moment, forgotten);
            !next_run(&host, &moment.journal, Remembered::No)
                .0
                .suspects
                .is_empty()
        });
        found.map(|moment| moment.what.as_str()).collect::<Vec<_>>()
    };
    // While the host remembers the job there is one such moment: before the answer to the call.
    assert_eq!(suspects(false), ["after CreateSnapshot, before its answer"]);
    assert!(suspects(true).len() <= 4, "{:?}", suspects(true));
}

/// Recovery is killed as well, at any step, and the run after it goes on.
#[test]
fn recovery_may_be_killed_as_well() {
    let all = moments(false, backup);
    let moment = all
        .iter()
        .find(|m| m.what == "after ConvertToReferencePoint, before its answer");
    let moment = moment.unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("killed.journal"), &moment.journal).unwrap();
    let host = Vmms::at(moment, false);
    let taken = dead(dir.path()).unwrap().pop().unwrap();
    *host.journal.lock().unwrap() = Some(taken.path().to_owned());
    recover(&Control::new(&host, &taken, &host, &clock), &|_, _| {
        Remembered::No
    })
    .unwrap();
    assert!(only_theirs(&host));
    let later = host.moments.into_inner().unwrap();
    assert!(later.len() > 3);
    for moment in later {
        let host = Vmms::at(&moment, true);
        let (_, reading) = next_run(&host, &moment.journal, Remembered::No);
        assert!(
            only_theirs(&host) && reading.is_settled(),
            "{}",
            moment.what
        );
    }
}

#[test]
fn a_reference_point_that_is_needed_is_kept() {
    let keep = |control: &Control<'_>| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK)
            .unwrap()
            .convert()
            .unwrap();
    };
    let moment = moments(false, keep).pop().unwrap();
    for (remembered, kept, settled) in [
        (Remembered::Yes, true, true),
        (Remembered::NotYet, true, false),
        (Remembered::No, false, true),
    ] {
        let host = Vmms::at(&moment, false);
        let (report, reading) = next_run(&host, &moment.journal, remembered);
        assert_eq!(
            host.points().len(),
            if kept { 2 } else { 1 },
            "{remembered:?}"
        );
        assert_eq!(reading.is_settled(), settled, "{remembered:?}");
        assert_eq!(report.removed.len(), usize::from(!kept));
    }
}

#[test]
fn a_host_that_is_still_at_it_is_waited_for() {
    let all = moments(false, backup);
    let before = all
        .iter()
        .find(|m| m.what == "before CreateSnapshot")
        .unwrap();
    let host = Vmms::at(before, false);
    host.set_operation(Some(32768));
    let (report, reading) = next_run(&host, &before.journal, Remembered::No);
    assert!(
        report.failed[0].contains("CreatingCheckpoint"),
        "{report:?}"
    );
    assert_eq!(reading.open.len(), 1);
    host.set_operation(None);
    let (_, reading) = next_run(&host, &before.journal, Remembered::No);
    assert!(reading.is_settled());
}

#[test]
fn a_job_that_goes_on_is_waited_for() {
    let all = moments(false, backup);
    let asked = |m: &&Moment| m.what.contains("Msvm_ConcreteJob");
    let moment = all.iter().find(asked).unwrap();
    let host = Vmms::at(moment, false);
    host.unfinish();
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(report.failed[0].contains("goes on"), "{report:?}");
    assert_eq!((reading.open.len(), report.suspects.len()), (1, 0));
    // Later it has ended, and its checkpoint is there.
    let host = Vmms::at(moment, false);
    let (_, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled());
}

#[test]
fn what_cannot_be_removed_is_told_and_tried_by_the_run_after_next() {
    let all = moments(false, abandoned);
    let moment = all
        .iter()
        .find(|m| m.what == "before DestroySnapshot")
        .unwrap();
    let host = Vmms::at(moment, false);
    host.fail("DestroySnapshot", Failure::Refused(32769));
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(report.failed[0].contains("32769"), "{report:?}");
    assert_eq!(reading.checkpoints.len(), 1);
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled() && report.removed.len() == 1);
}
