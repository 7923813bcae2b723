use super::*;
use crate::inventory::{Contact, ReplicationMode};
use crate::preflight::tests::{host, well};
use vmconfig::model::Finding as ConfigFinding;
use vmconfig::model::{ControllerKind, Location};

fn of(policy: Policy, change: impl FnOnce(&mut Machine)) -> Result<Plan, NoPlan> {
    let mut machine = well();
    change(&mut machine);
    plan(&machine, &host(), &policy)
}

const MARK: Mark = Mark {
    installation: Uuid::from_u128(1),
    run: Uuid::from_u128(2),
};

fn wanting(consistency: Wanted) -> Policy {
    Policy {
        consistency,
        ..Policy::default()
    }
}

#[test]
fn the_best_is_done_unless_less_is_wanted() {
    let best = of(Policy::default(), |_| {}).unwrap();
    assert_eq!((best.mode, best.expected), (Mode::Cbt, Level::Application));
    assert_eq!(best.options.consistency, Consistency::Application);
    assert!(best.fall_back && !best.options.ignore_other_disks && !best.reason.is_empty());
    assert_eq!(best.options.guest_backup, GuestBackup::Copy);
    let least = Policy {
        mode: WantedMode::Standard,
        ..wanting(Wanted::Crash)
    };
    let least = of(least, |_| {}).unwrap();
    assert_eq!((least.mode, least.expected), (Mode::Standard, Level::Crash));
    assert_eq!(least.options.consistency, Consistency::Crash);
}

/// What a guest that cannot settle, one that does not run, and a replica come to.
#[test]
fn every_policy_has_its_effect() {
    use Wanted::{Crash, PreferApplication, RequireApplication};
    let silent = |vm: &mut Machine| vm.guest.backup_service = Some(Contact::Never);
    let lost = |vm: &mut Machine| vm.guest.backup_service = Some(Contact::Lost);
    let untold = |vm: &mut Machine| vm.guest.backup_service = None;
    let off = |vm: &mut Machine| vm.state = PowerState::Off;
    let saved = |vm: &mut Machine| vm.state = PowerState::Saved;
    let replica = |vm: &mut Machine| {
        vm.state = PowerState::Off;
        vm.replication.mode = ReplicationMode::Replica;
    };
    type Change<'a> = &'a dyn Fn(&mut Machine);
    /// Whether the guest is asked, whether less will do, and what is expected.
    type Expected = Option<(bool, bool, Level)>;
    let cases: [(Wanted, Change<'_>, Expected); 14] = [
        // Nobody knows that it would not, and less will do.
        (PreferApplication, &lost, Some((true, true, Level::Crash))),
        (PreferApplication, &untold, Some((true, true, Level::Crash))),
        (Crash, &silent, Some((false, false, Level::Crash))),
        (
            PreferApplication,
            &silent,
            Some((false, true, Level::Crash)),
        ),
        // It is tried, and there is no backup if it fails.
        (
            RequireApplication,
            &silent,
            Some((true, false, Level::Crash)),
        ),
        (Crash, &off, Some((false, false, Level::Offline))),
        (PreferApplication, &off, Some((false, true, Level::Offline))),
        (
            RequireApplication,
            &off,
            Some((false, false, Level::Offline)),
        ),
        (Crash, &saved, Some((false, false, Level::Crash))),
        (PreferApplication, &saved, Some((false, true, Level::Crash))),
        (RequireApplication, &saved, None),
        (Crash, &replica, Some((false, false, Level::Crash))),
        (
            PreferApplication,
            &replica,
            Some((false, true, Level::Crash)),
        ),
        (RequireApplication, &replica, None),
    ];
    for (number, (wanted, change, expected)) in cases.into_iter().enumerate() {
        let found = of(wanting(wanted), change).ok().map(|plan| {
            let asks = plan.options.consistency == Consistency::Application;
            (asks, plan.fall_back, plan.expected)
        });
        assert_eq!(found, expected, "{number}");
    }
}

/// What runs and is saved as after a power cut although more was wanted is told with the reason.
#[test]
fn that_a_guest_is_not_asked_has_its_reason() {
    use Wanted::{Crash, PreferApplication, RequireApplication};
    type Change<'a> = &'a dyn Fn(&mut Machine);
    let unasked = |wanted, change: Change<'_>| of(wanting(wanted), change).unwrap().unasked;
    let silent = |vm: &mut Machine| vm.guest.backup_service = Some(Contact::Never);
    let paused = |vm: &mut Machine| vm.state = PowerState::Paused;
    let contact = Some(Contact::Never);
    let never = Finding::BackupServiceSilent { contact };
    assert_eq!(unasked(PreferApplication, &silent), [never]);
    let state = PowerState::Paused;
    let told = unasked(PreferApplication, &paused);
    assert_eq!(told, [Finding::State { state }]);
    // Who does not want it is told nothing, and who is asked shows it in the end.
    assert_eq!(unasked(Crash, &silent), []);
    assert_eq!(unasked(RequireApplication, &silent), []);
    assert_eq!(unasked(PreferApplication, &|_| {}), []);
    // Of these no guest is at work.
    for state in [PowerState::Off, PowerState::Saved] {
        assert_eq!(unasked(PreferApplication, &|vm| vm.state = state), []);
    }
    let copy = |vm: &mut Machine| vm.replication.mode = ReplicationMode::Replica;
    assert_eq!(unasked(PreferApplication, &copy), []);
}

#[test]
fn disks_are_left_out_only_with_the_finding_that_names_them() {
    let location = Location {
        controller: ControllerKind::Scsi,
        number: 0,
        position: 5,
    };
    let path = Some("PhysicalDrive3".to_owned());
    let plan = of(Policy::default(), |vm| {
        let finding = ConfigFinding::PassThroughDisk { location, path };
        vm.settings.config.findings.push(finding);
    });
    let plan = plan.unwrap();
    assert!(plan.options.ignore_other_disks);
    assert_eq!(plan.not_covered().count(), 1);
}

#[test]
fn what_stands_in_the_way_is_told_with_its_kind() {
    let merging = |vm: &mut Machine| {
        vm.operation = Some(crate::inventory::Operation::MergingDisks);
    };
    let error = of(Policy::default(), merging).unwrap_err();
    assert!(error.is_worth_waiting() && error.findings().len() == 1);
    let critical = |vm: &mut Machine| vm.state = PowerState::Critical(32781);
    let error = of(Policy::default(), critical).unwrap_err();
    assert!(matches!(error, NoPlan::Blocked(_)) && !error.is_worth_waiting());
    // What was asked for outright is not replaced by something else.
    let old = |vm: &mut Machine| vm.settings.config.version = "5.0".parse().ok();
    let plan = of(Policy::default(), old).unwrap();
    assert_eq!(plan.mode, Mode::Standard);
    assert!(plan.reason.contains("5.0"), "{}", plan.reason);
    let cbt = Policy {
        mode: WantedMode::Cbt,
        ..Policy::default()
    };
    let error = of(cbt, old).unwrap_err();
    assert!(matches!(error, NoPlan::NotTracked(_)), "{error}");
    assert!(error.to_string().contains("5.0") && !error.hint().is_empty());
}

#[test]
fn where_little_is_free_nothing_is_begun() {
    let volume = |free| crate::inventory::Volume {
        name: Some("D:\\".to_owned()),
        device: None,
        capacity: Some(100 << 30),
        free,
    };
    let of = |free, floor| {
        let host = Host {
            volumes: Some(vec![volume(free)]),
            ..host()
        };
        let policy = Policy {
            floor,
            ..Policy::default()
        };
        plan(&well(), &host, &policy)
    };
    assert!(of(Some(10 << 30), Floor::default()).is_ok());
    let error = of(Some((10 << 30) - 1), Floor::default()).unwrap_err();
    assert!(
        matches!(&error, NoPlan::Blocked(found) if found.len() == 1),
        "{error}"
    );
    assert!(of(Some(0), Floor::NONE).is_ok());
    // What is not told does not stop it, and is told.
    let plan = of(None, Floor::default()).unwrap();
    let untold = |finding: &Finding| matches!(finding, Finding::SpaceUnknown { .. });
    assert_eq!(plan.findings.iter().filter(|f| untold(f)).count(), 1);
}

#[test]
fn a_replication_is_suspended_only_where_that_is_wanted_and_there_is_one() {
    let of_mode = |mode, wanted| {
        let policy = Policy {
            suspend_replication: wanted,
            ..Policy::default()
        };
        let plan = of(policy, |vm| vm.replication.mode = mode).unwrap();
        assert_eq!(plan.request(MARK, None, false).suspend, plan.suspend);
        plan.suspend
    };
    use ReplicationMode::{ExtendedReplica, None as Not, Primary, Replica, TestReplica, Unknown};
    for mode in [Primary, Replica, ExtendedReplica] {
        assert_eq!(of_mode(mode, true), Some(mode));
        assert_eq!(of_mode(mode, false), None);
    }
    for mode in [Not, TestReplica, Unknown] {
        assert_eq!(of_mode(mode, true), None);
    }
}
