//! A run that is killed at any step is put right by the next one.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use hyperkeep_hyperv::checkpoint::{
    Consistency, GuestBackup, Mark, Options, RecoveryCheckpoint, destroy_reference_point,
};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::journal::{Journal, Reading, dead};
use hyperkeep_hyperv::recovery::{
    KnownBy, Remembered, Removed, Report, Wait, recover, recover_one,
};
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

/// Every moment of a flow at which its process could be killed.
fn moments(mut host: Vmms, direct: bool, flow: impl FnOnce(&Arc<Control>)) -> Vec<Moment> {
    host.direct = direct;
    host.put_checkpoint("Microsoft:THEIRS", "before update", false);
    host.put_point("RP:THEIRS");
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(dir.path(), MARK.run).unwrap());
    *host.journal.lock().unwrap() = Some(journal.path().to_owned());
    flow(&host.control(&journal));
    host.take_moments()
}

/// What the next run finds and does.
fn next_run(host: &Vmms, journal: &[u8], remembered: Remembered) -> (Report, Reading) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("killed.journal"), journal).unwrap();
    let taken = Arc::new(dead(dir.path()).unwrap().pop().unwrap());
    let report = recover(&host.control(&taken), &|_, _| remembered).unwrap();
    let reading = taken.close().unwrap();
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(!reading.is_settled()));
    (report, reading)
}

fn only_theirs(host: &Vmms) -> bool {
    let checkpoints: Vec<String> = host.checkpoints().into_keys().collect();
    checkpoints == ["Microsoft:THEIRS"] && host.points() == ["RP:THEIRS"]
}

fn backup(control: &Arc<Control>) {
    let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
    let point = checkpoint.convert().unwrap();
    destroy_reference_point(control, VM, &point.instance_id).unwrap();
}

fn abandoned(control: &Arc<Control>) {
    drop(RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap());
}

#[test]
fn killed_at_any_step_the_next_run_cleans_up() {
    for names_at_once in [false, true] {
        for (direct, flow) in [
            (false, backup as fn(&Arc<Control>)),
            (true, backup),
            (false, abandoned),
            (true, abandoned),
        ] {
            let mut host = Vmms::new();
            host.names_at_once = names_at_once;
            let moments = moments(host, direct, flow);
            assert!(moments.len() > 8, "{}", moments.len());
            for moment in moments {
                for forgotten in [false, true] {
                    let host = Vmms::at(&moment, forgotten);
                    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
                    let what = format!("{}, {direct}, {forgotten}", moment.what);
                    assert_eq!((report.left.len(), report.suspects.len()), (0, 0), "{what}");
                    assert!(only_theirs(&host), "{what}: {:?}", host.checkpoints());
                    assert!(reading.is_settled(), "{what}: {reading:?}");
                    let by_time = |removed: &Removed| removed.known_by == KnownBy::Time;
                    assert!(
                        !names_at_once || !report.removed.iter().any(by_time),
                        "{what}"
                    );
                }
            }
        }
    }
}

const BLIND: &str = "after CreateSnapshot, before its answer";

fn moment(what: &str) -> Moment {
    let mut all = moments(Vmms::new(), false, backup).into_iter();
    all.find(|moment| moment.what == what).unwrap()
}

/// Without the host's clock nothing ties a checkpoint to a call whose answer was lost.
#[test]
fn where_the_host_does_not_tell_the_time_there_are_suspects_and_few() {
    let host = || {
        let mut host = Vmms::new();
        host.tells_time = false;
        host
    };
    let all = moments(host(), false, backup);
    let suspects = |forgotten| {
        let mut found = Vec::new();
        for moment in &all {
            let mut host = Vmms::at(moment, forgotten);
            host.tells_time = false;
            let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
            if report.suspects.is_empty() {
                assert!(only_theirs(&host), "{}", moment.what);
                continue;
            }
            assert_eq!(host.checkpoints().len(), 2, "it is left alone");
            assert_eq!(reading.open.len(), 1, "and not forgotten");
            found.push(moment.what.as_str());
        }
        found
    };
    // While the host remembers the job there is one such moment: before the answer to the call.
    assert_eq!(suspects(false), [BLIND]);
    assert!((1..=4).contains(&suspects(true).len()));
}

/// A checkpoint that may be somebody else's is left alone, whatever speaks for its being ours.
#[test]
fn what_may_be_somebody_elses_is_left_alone() {
    const OTHER: &str = "Microsoft:OTHER";
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let left = |host: &Vmms, journal: &[u8], why: &str| {
        let before = host.checkpoints();
        let (report, reading) = next_run(host, journal, Remembered::No);
        assert_eq!(host.checkpoints().len(), before.len(), "{why}");
        assert!(
            report.removed.is_empty() && reading.open.len() == 1,
            "{why}"
        );
        let suspect = &report.suspects[0];
        assert!(suspect.why.contains(why), "{suspect}");
        assert!(suspect.hint().contains(&VM.to_string()));
    };
    // The call never reached the host, and another program has taken its own.
    let unsent = moment("before CreateSnapshot");
    let host = Vmms::at(&unsent, false);
    host.pass(minutes(10));
    host.put_checkpoint(OTHER, "a - (2026/1/5)", true);
    host.pass(minutes(10));
    left(&host, &unsent.journal, "another time");
    // At the same time, and it names its own, before or after we look.
    let host = Vmms::at(&unsent, false);
    host.put_checkpoint(OTHER, "Nightly", true);
    left(&host, &unsent.journal, "a name");
    let host = Vmms::at(&unsent, false);
    host.put_checkpoint(OTHER, "a - (2026/1/5)", true);
    host.rename_after(minutes(1), OTHER, "Hyperkeep of others");
    left(&host, &unsent.journal, "a name");
    // One of two is ours, and nobody knows which.
    let blind = moment(BLIND);
    let host = Vmms::at(&blind, false);
    host.put_checkpoint(OTHER, "a - (2026/1/5)", true);
    left(&host, &blind.journal, "several");
}

/// What is too young is looked at again, unless somebody wants to stop.
#[test]
fn what_is_too_young_to_tell_is_waited_for() {
    let blind = moment(BLIND);
    let host = Vmms::at(&blind, false);
    let begun = cim::job::Pace::now(&host);
    let (report, _) = next_run(&host, &blind.journal, Remembered::No);
    assert_eq!(report.removed[0].known_by, KnownBy::Time);
    let waited = cim::job::Pace::now(&host) - begun;
    assert!((100..=125).contains(&waited.as_secs()), "{waited:?}");
    let mut host = Vmms::at(&blind, false);
    host.cancelled = true;
    let (report, reading) = next_run(&host, &blind.journal, Remembered::No);
    assert_eq!((report.removed.len(), reading.open.len()), (0, 1));
    assert!(report.left[0].what.contains("too young"), "{report:?}");
}

/// Recovery is killed as well, at any step, and the run after it goes on.
#[test]
fn recovery_may_be_killed_as_well() {
    let all = moments(Vmms::new(), false, backup);
    let moment = all
        .iter()
        .find(|m| m.what == "after ConvertToReferencePoint, before its answer");
    let moment = moment.unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("killed.journal"), &moment.journal).unwrap();
    let host = Vmms::at(moment, false);
    let taken = Arc::new(dead(dir.path()).unwrap().pop().unwrap());
    *host.journal.lock().unwrap() = Some(taken.path().to_owned());
    recover(&host.control(&taken), &|_, _| Remembered::No).unwrap();
    assert!(only_theirs(&host));
    let later = host.take_moments();
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
    let keep = |control: &Arc<Control>| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK)
            .unwrap()
            .convert()
            .unwrap();
    };
    let moment = moments(Vmms::new(), false, keep).pop().unwrap();
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
    let all = moments(Vmms::new(), false, backup);
    let before = all
        .iter()
        .find(|m| m.what == "before CreateSnapshot")
        .unwrap();
    let host = Vmms::at(before, false);
    host.set_operation(Some(32768));
    let (report, reading) = next_run(&host, &before.journal, Remembered::No);
    assert!(
        report.left[0].what.contains("CreatingCheckpoint"),
        "{report:?}"
    );
    assert_eq!(reading.open.len(), 1);
    host.set_operation(None);
    let (_, reading) = next_run(&host, &before.journal, Remembered::No);
    assert!(reading.is_settled());
}

#[test]
fn a_job_that_goes_on_is_waited_for() {
    let all = moments(Vmms::new(), false, backup);
    let asked = |m: &&Moment| m.what.contains("Msvm_ConcreteJob");
    let moment = all.iter().find(asked).unwrap();
    let host = Vmms::at(moment, false);
    host.unfinish();
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(report.left[0].what.contains("goes on"), "{report:?}");
    assert_eq!((reading.open.len(), report.suspects.len()), (1, 0));
    // Later it has ended, and its checkpoint is there.
    let host = Vmms::at(moment, false);
    let (_, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled());
}

/// The call that was about to be made has reached the host, which is at it still: its checkpoint is
/// not removed beside that, and what it becomes is not forgotten.
#[test]
fn a_conversion_that_goes_on_is_waited_for() {
    let unknown = moment("before ConvertToReferencePoint");
    let host = Vmms::at(&unknown, true);
    host.convert_until(cim::job::Pace::now(&host) + Duration::from_secs(100));
    let (report, reading) = next_run(&host, &unknown.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled(), "{report:?}");
    assert!(report.removed[0].id.starts_with("RP:"), "{report:?}");
    assert!(!host.methods().contains(&"DestroySnapshot".to_owned()));
    // Not for ever; and then it is left alone.
    let host = Vmms::at(&unknown, true);
    host.convert_until(Duration::from_secs(100_000));
    let (report, reading) = next_run(&host, &unknown.journal, Remembered::No);
    assert_eq!((report.removed.len(), report.left.len()), (0, 1));
    assert_eq!((reading.open.len(), reading.checkpoints.len()), (1, 1));
    assert!(!host.methods().contains(&"DestroySnapshot".to_owned()));
}

/// A conversion that may never have been made, a checkpoint that somebody has removed since, and
/// another backup that came after it: its reference point is left alone.
#[test]
fn a_reference_point_of_long_after_is_left_alone() {
    let converted = moment("after ConvertToReferencePoint, before its answer");
    let (soon, late) = (Duration::from_secs(600), Duration::from_secs(3600));
    let host = Vmms::at(&converted, true);
    host.pass(soon);
    let (report, reading) = next_run(&host, &converted.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled(), "{report:?}");
    let unsent = moment("before ConvertToReferencePoint");
    let host = Vmms::at(&unsent, true);
    let ours = host.checkpoints().into_keys();
    for id in ours.filter(|id| id != "Microsoft:THEIRS") {
        host.remove_checkpoint(&id);
    }
    host.pass(late);
    host.put_point("RP:OTHER");
    let (report, reading) = next_run(&host, &unsent.journal, Remembered::No);
    assert_eq!(host.points(), ["RP:THEIRS", "RP:OTHER"]);
    assert_eq!((report.suspects.len(), reading.open.len()), (1, 1));
    assert!(report.suspects[0].why.contains("another backup"));
}

/// A call whose answer was lost may wait on the host, which shows nothing of it.
#[test]
fn what_the_host_has_not_begun_is_waited_for() {
    let unsent = moment("before CreateSnapshot");
    let host = Vmms::at(&unsent, false);
    host.create_after(Duration::from_secs(100));
    let (report, reading) = next_run(&host, &unsent.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled(), "{report:?}");
    assert_eq!(report.removed[0].known_by, KnownBy::Time);
    let unsent = moment("before ConvertToReferencePoint");
    let host = Vmms::at(&unsent, true);
    host.convert_after(Duration::from_secs(100));
    let (report, reading) = next_run(&host, &unsent.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled(), "{report:?}");
    assert!(!host.methods().contains(&"DestroySnapshot".to_owned()));
    // Nobody waits for what was written down long ago.
    let host = Vmms::at(&unsent, true);
    host.pass(Duration::from_secs(3600));
    let begun = cim::job::Pace::now(&host);
    let (_, reading) = next_run(&host, &unsent.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled());
    assert_eq!(cim::job::Pace::now(&host), begun);
}

/// It is looked at again later.
#[test]
fn who_does_not_wait_is_told_what_waits() {
    let at_once = |host: &Vmms, journal: &[u8], wait| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("killed.journal"), journal).unwrap();
        let taken = Arc::new(dead(dir.path()).unwrap().pop().unwrap());
        let begun = cim::job::Pace::now(host);
        let report = recover_one(&host.control(&taken), VM, wait, &|_, _| Remembered::No);
        (report, cim::job::Pace::now(host) - begun)
    };
    for what in [
        BLIND,
        "before CreateSnapshot",
        "before ConvertToReferencePoint",
    ] {
        let unseen = moment(what);
        let host = Vmms::at(&unseen, true);
        let there = host.checkpoints().len();
        let (report, waited) = at_once(&host, &unseen.journal, Wait::No);
        assert_eq!(
            (report.waiting.len(), waited),
            (1, Duration::ZERO),
            "{what}"
        );
        let told = (
            report.left.len(),
            report.suspects.len(),
            report.removed.len(),
        );
        assert_eq!(told, (0, 0, 0), "{what}: {report:?}");
        assert_eq!(host.checkpoints().len(), there, "{what}");
        // It has not become another one by that.
        let host = Vmms::at(&unseen, true);
        at_once(&host, &unseen.journal, Wait::No);
        let (report, _) = at_once(&host, &unseen.journal, Wait::Long);
        assert!(only_theirs(&host), "{what}: {report:?}");
    }
}

#[test]
fn what_cannot_be_removed_is_told_and_tried_by_the_run_after_next() {
    let all = moments(Vmms::new(), false, abandoned);
    let moment = all
        .iter()
        .find(|m| m.what == "before DestroySnapshot")
        .unwrap();
    let host = Vmms::at(moment, false);
    host.fail("DestroySnapshot", Failure::Refused(32769));
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(report.left[0].what.contains("32769"), "{report:?}");
    assert_eq!(reading.checkpoints.len(), 1);
    let (report, reading) = next_run(&host, &moment.journal, Remembered::No);
    assert!(only_theirs(&host) && reading.is_settled() && report.removed.len() == 1);
}
