//! A recovery checkpoint is ended on every path, and nobody else's is touched.

use std::sync::Arc;

use hyperkeep_hyperv::checkpoint::{
    CheckpointError, Consistency, GuestBackup, Mark, Options, RecoveryCheckpoint,
};
use hyperkeep_hyperv::control::{ChangeError, Control};
use hyperkeep_hyperv::journal::{Journal, Reading};
use uuid::Uuid;

use crate::support::vmms::{Failure, VM, Vmms};
use cim::Instance;

pub(crate) const MARK: Mark = Mark {
    installation: Uuid::from_u128(0x11),
    run: Uuid::from_u128(0x22),
};

pub(crate) const OPTIONS: Options = Options {
    consistency: Consistency::Application,
    guest_backup: GuestBackup::Copy,
    ignore_other_disks: false,
};

/// What a flow leaves behind.
pub(crate) struct After {
    pub(crate) reading: Reading,
    pub(crate) notes: Vec<String>,
}

/// Runs a flow on a host; what is theirs is there before and must be there afterwards.
pub(crate) fn run<T>(host: &Vmms, flow: impl FnOnce(&Arc<Control>) -> T) -> (T, After) {
    host.put_checkpoint("Microsoft:THEIRS", "before update", false);
    host.put_point("RP:THEIRS");
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(dir.path(), MARK.run).unwrap());
    let control = host.control(&journal);
    let result = flow(&control);
    let notes = control.take_notes();
    assert!(host.checkpoints().contains_key("Microsoft:THEIRS"));
    assert!(host.points().contains(&"RP:THEIRS".to_owned()));
    let reading = journal.reading().unwrap();
    (result, After { reading, notes })
}

pub(crate) fn ours(host: &Vmms) -> usize {
    host.checkpoints().len() - 1
}

#[test]
fn a_checkpoint_becomes_a_reference_point() {
    for direct in [false, true] {
        let mut host = Vmms::new();
        host.direct = direct;
        let (point, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            let name = host.checkpoints()[checkpoint.instance_id()].clone();
            assert!(MARK.is_ours(&name), "{name}");
            checkpoint.convert().unwrap()
        });
        assert_eq!(ours(&host), 0);
        assert_eq!(host.points(), ["RP:THEIRS", &point.instance_id]);
        let disk = format!("Microsoft:{}\\c\\0\\0\\L", Uuid::from_u128(7));
        assert_eq!(
            point.tracking_of(&disk),
            Some(format!("rct:{}", point.instance_id).as_str())
        );
        assert_eq!(
            host.methods(),
            [
                "CreateSnapshot",
                "ModifySystemSettings",
                "ConvertToReferencePoint"
            ]
        );
        assert_eq!(after.notes, [""; 0]);
        assert_eq!(
            (after.reading.open.len(), after.reading.checkpoints.len()),
            (0, 0)
        );
        let kept = after
            .reading
            .reference_points
            .into_iter()
            .collect::<Vec<_>>();
        assert_eq!(kept, [(VM, point.instance_id)]);
    }
}

#[test]
fn the_host_is_asked_for_what_was_wanted() {
    for (consistency, level) in [(Consistency::Application, 1_u8), (Consistency::Crash, 2)] {
        for known in [true, false] {
            let mut host = Vmms::new();
            host.guest_backup_type = known;
            let options = Options {
                consistency,
                ignore_other_disks: known,
                ..OPTIONS
            };
            run(&host, |control| {
                RecoveryCheckpoint::create(control, VM, options, &MARK)
                    .unwrap()
                    .destroy()
                    .unwrap();
            });
            let settings: Instance = host.inputs()[0].get("SnapshotSettings").unwrap();
            assert_eq!(settings.class, "Msvm_VirtualSystemSnapshotSettingData");
            assert_eq!(settings.get::<u8>("ConsistencyLevel"), Ok(level));
            assert_eq!(
                settings.get::<bool>("IgnoreNonSnapshottableDisks"),
                Ok(known)
            );
            let kind = settings.get_opt::<u8>("GuestBackupType");
            assert_eq!(
                kind,
                Ok(known.then_some(2)),
                "a host without the property is not asked"
            );
        }
    }
}

/// Whether hosts give the name that comes with the settings is documented nowhere.
#[test]
fn our_name_is_asked_for_at_once_and_never_insisted_on() {
    for (names_at_once, refuses_names) in [(true, false), (false, false), (false, true)] {
        let mut host = Vmms::new();
        (host.names_at_once, host.refuses_names) = (names_at_once, refuses_names);
        let (name, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            host.checkpoints()[checkpoint.instance_id()].clone()
        });
        assert_eq!(name, MARK.name());
        assert!(after.reading.is_settled() && after.notes.is_empty());
        let asked = |at: usize| -> Instance { host.inputs()[at].get("SnapshotSettings").unwrap() };
        assert_eq!(asked(0).get::<String>("ElementName"), Ok(MARK.name()));
        if refuses_names {
            assert_eq!(host.methods()[..2], ["CreateSnapshot", "CreateSnapshot"]);
            assert!(!asked(1).has("ElementName"));
        }
    }
}

#[test]
fn a_merge_is_waited_for_and_not_for_ever() {
    let host = Vmms::new();
    host.set_operation(Some(32772));
    host.end_operation_at(std::time::Duration::from_secs(40));
    let (result, _) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(result.is_ok());
    let host = Vmms::new();
    host.set_operation(Some(32773));
    let (result, after) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(
        matches!(result, Err(CheckpointError::Busy(_))),
        "{result:?}"
    );
    assert!(host.methods().is_empty() && after.reading.is_settled());
    assert!((840..=900).contains(&cim::job::Pace::now(&host).as_secs()));
}

#[test]
fn dropped_on_the_way_it_is_removed() {
    let host = Vmms::new();
    let (_, after) = run(&host, |control| {
        let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
        assert_eq!(ours(&host), 1);
        drop(checkpoint);
    });
    assert_eq!(ours(&host), 0);
    assert!(after.reading.is_settled() && after.notes.is_empty());
    let host = Vmms::new();
    let (result, after) = run(&host, |control| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            panic!("the engine fails");
        }))
    });
    assert!(result.is_err() && ours(&host) == 0 && after.reading.is_settled());
}

#[test]
fn beside_another_backup_nothing_is_done() {
    let host = Vmms::new();
    host.put_checkpoint("Microsoft:OTHER", "Other product", true);
    let (result, after) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    let occupied = matches!(
        result,
        Err(CheckpointError::Occupied(seen)) if seen.instance_id == "Microsoft:OTHER"
    );
    assert!(occupied && host.methods().is_empty() && after.reading.is_settled());
}

#[test]
fn what_is_refused_for_now_is_tried_again_and_the_rest_is_not() {
    for code in [32774, 32775, 32777] {
        let host = Vmms::new();
        for method in [
            "CreateSnapshot",
            "CreateSnapshot",
            "ConvertToReferencePoint",
        ] {
            host.fail(method, Failure::Refused(code));
        }
        let (_, after) = run(&host, |control| {
            RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK)
                .unwrap()
                .convert()
                .unwrap();
        });
        assert_eq!(ours(&host), 0, "{code}");
        assert_eq!(after.reading.open.len(), 0);
        // 15 s and 30 s for the one, 15 s for the other.
        assert_eq!(cim::job::Pace::now(&host).as_secs(), 60, "{code}");
    }
    for code in [32768, 32769, 32770, 32778, 1, 5] {
        let host = Vmms::new();
        host.fail("CreateSnapshot", Failure::Refused(code));
        let (result, after) = run(&host, |control| {
            RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
        });
        let text = result.unwrap_err().to_string();
        assert!(text.contains(&format!("code {code} (")), "{text}");
        assert_eq!(host.methods(), ["CreateSnapshot"]);
        assert!(after.reading.is_settled());
    }
    // It is not tried for ever.
    let host = Vmms::new();
    for _ in 0..100 {
        host.fail("CreateSnapshot", Failure::Refused(32775));
    }
    let (result, _) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(result.is_err());
    assert!((840..=900).contains(&cim::job::Pace::now(&host).as_secs()));
}

#[test]
fn a_guest_that_does_not_settle_is_told_from_other_failures() {
    let host = Vmms::new();
    host.fail("CreateSnapshot", Failure::FailedJob);
    let (result, after) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(result.unwrap_err().may_be_the_guest());
    assert!(ours(&host) == 0 && after.reading.is_settled());
    let host = Vmms::new();
    host.fail("CreateSnapshot", Failure::Refused(32769));
    let (result, _) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(!result.unwrap_err().may_be_the_guest());
}

const FAILURES: [Failure; 7] = [
    Failure::Refused(32768),
    Failure::Refused(32775),
    Failure::LostRequest,
    Failure::LostReply,
    Failure::FailedJob,
    Failure::ForgottenJob,
    Failure::SilentJob,
];

/// Every failure at every call, and with each of them every failure of the removal that follows:
/// in the end nothing of ours is on the host, or the journal knows that there may be.
#[test]
fn whatever_fails_nothing_is_left_that_the_journal_does_not_know() {
    let methods = [
        "CreateSnapshot",
        "ModifySystemSettings",
        "ConvertToReferencePoint",
    ];
    let mut left = 0;
    for method in methods {
        for failure in FAILURES {
            for removal in FAILURES.map(Some).into_iter().chain([None]) {
                let host = Vmms::new();
                host.fail(method, failure);
                if let Some(removal) = removal {
                    host.fail("DestroySnapshot", removal);
                }
                left += usize::from(one_way(
                    &host,
                    &format!("{method} {failure:?}, {removal:?}"),
                ));
            }
        }
    }
    // Only where nobody can know whose it is, or the host refuses to remove it, something stays.
    assert!((10..40).contains(&left), "{left}");
}

/// Takes and converts a checkpoint; whether one of ours is left.
fn one_way(host: &Vmms, case: &str) -> bool {
    let (point, after) = run(host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK)
            .and_then(RecoveryCheckpoint::convert)
    });
    let reading = &after.reading;
    let left = ours(host) > 0;
    if left {
        assert!(!reading.is_settled(), "{case}");
        assert!(!after.notes.is_empty() || point.is_err(), "{case}");
    }
    let mut points = host.points();
    points.retain(|point| point != "RP:THEIRS");
    match &point {
        Ok(point) => {
            assert_eq!(points, std::slice::from_ref(&point.instance_id), "{case}");
            assert!(!left, "{case}");
            let known = (VM, point.instance_id.clone());
            assert!(reading.reference_points.contains(&known), "{case}");
        }
        Err(_) => assert!(points.is_empty() || !reading.is_settled(), "{case}"),
    }
    left
}

/// A call that may have been made is never made again.
#[test]
fn a_lost_answer_makes_no_second_checkpoint() {
    for failure in [Failure::LostReply, Failure::ForgottenJob] {
        let host = Vmms::new();
        host.fail("CreateSnapshot", failure);
        let (result, after) = run(&host, |control| {
            RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
        });
        let unknown = matches!(
            result,
            Err(CheckpointError::Change(ChangeError::Unknown { .. }))
        );
        assert!(unknown, "{failure:?}: {result:?}");
        assert_eq!(host.methods(), ["CreateSnapshot"]);
        assert_eq!(after.reading.open.len(), 1, "the next run looks");
    }
}

#[test]
fn marks_tell_installations_apart() {
    let other = Mark {
        installation: Uuid::from_u128(0x12),
        ..MARK
    };
    let later = Mark {
        run: Uuid::from_u128(0x23),
        ..MARK
    };
    assert!(MARK.is_ours(&later.name()) && !MARK.is_ours(&other.name()));
    assert!(Mark::is_anyones(&other.name()));
    assert_eq!(Mark::parse(&other.name()), Some(other));
    for name in [
        "Hyperkeep",
        "Hyperkeep x",
        "",
        "hyperkeep",
        &format!("{} copy", MARK.name()),
    ] {
        assert!(!MARK.is_ours(name), "{name}");
        assert_eq!(Mark::parse(name), None, "{name}");
    }
}
