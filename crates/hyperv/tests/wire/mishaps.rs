//! Hosts that misbehave: the outcome is the right one, and nothing of ours stays.

use hyperkeep_hyperv::checkpoint::Consistency;
use hyperkeep_hyperv::frozen::{FreezeError, Frozen, Kept};
use hyperkeep_hyperv::hint::Hint;
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::plan::{NoPlan, Policy, Wanted, plan};
use hyperkeep_hyperv::preflight::Level;
use hyperkeep_hyperv::recovery::{Remembered, recover};
use lab::state::CheckpointKind;

use crate::support::{Lab, MARK};

/// A host of one VM with these words about it, about what goes wrong, and about its rules.
fn lab(vm: &str, mishaps: &str, rules: &str) -> Lab {
    let scenario = format!(
        r#"{{"vms": [{{"name": "a", {vm}
              "guest": {{"name": "Windows", "version": "10.0", "platform": 2}},
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}]}}],
            "mishaps": [{mishaps}], "rules": {{{rules}}}}}"#
    );
    let lab = Lab::start(&scenario);
    lab.user_checkpoint();
    lab
}

/// A backup; what it came to, and how consistent it was.
fn backup(lab: &Lab, policy: &Policy) -> Result<(Level, Option<String>, Kept), FreezeError> {
    let plan = lab.plan(policy);
    lab.with(|control| {
        let request = plan.request(MARK, None, false);
        let result = Frozen::take(control, &lab.files(), &request).map(|frozen| {
            let (level, downgrade) = (frozen.level, frozen.downgrade.clone());
            (level, downgrade, frozen.keep())
        });
        // The end of a run: what it lost the answer of is seen to at once.
        let report = recover(control, &|_, _| Remembered::Yes).unwrap();
        assert_eq!(
            (report.suspects.len(), report.left.len()),
            (0, 0),
            "{report:?}"
        );
        result
    })
}

fn only_theirs(lab: &Lab, points: usize) {
    let (kinds, found, _) = lab.rest();
    assert_eq!((kinds, found), (vec![CheckpointKind::User], points));
}

#[test]
fn what_goes_wrong_once_costs_nothing() {
    for mishap in [
        // In use, not in this state, not available.
        r#"{"on": "CreateSnapshot", "times": 3, "does": {"returns": 32775}}"#,
        r#"{"on": "ConvertToReferencePoint", "does": {"returns": 32774}}"#,
        // The connection ends before the host has it.
        r#"{"on": "Get", "skip": 3, "does": "lost"}"#,
        r#"{"on": "Enumerate", "skip": 20, "does": "lost"}"#,
        r#"{"on": "Enumerate", "skip": 20, "does": {"refused": "quota"}}"#,
        // The name is not given: the journal knows the checkpoint all the same.
        r#"{"on": "ModifySystemSettings", "does": {"returns": 32768}}"#,
        // Jobs vanish when they have done what they should.
        r#"{"on": "ConvertToReferencePoint", "after": ["restart-service-when-done"]}"#,
        // Nobody knows whether it was done, and there is something to look at.
        r#"{"on": "ConvertToReferencePoint", "after": ["restart-service"]}"#,
        r#"{"on": "ConvertToReferencePoint", "times": 2, "does": "lost"}"#,
        r#"{"on": "ConvertToReferencePoint", "does": {"cut": 0}}"#,
    ] {
        let lab = lab("", mishap, "");
        let (level, downgrade, kept) = backup(&lab, &Policy::default()).unwrap();
        assert_eq!((level, downgrade), (Level::Application, None), "{mishap}");
        assert!(kept.token.is_some(), "{mishap}: {kept:?}");
        only_theirs(&lab, 1);
    }
}

#[test]
fn what_is_lost_for_good_costs_the_backup_and_leaves_nothing() {
    for mishap in [
        r#"{"on": "CreateSnapshot", "does": {"returns": 32769}}"#,
        r#"{"on": "CreateSnapshot", "does": {"refused": "access-denied"}}"#,
        r#"{"on": "CreateSnapshot", "does": {"cut": 0}}"#,
        r#"{"on": "CreateSnapshot", "does": {"cut": 700}}"#,
        r#"{"on": "CreateSnapshot", "does": "lost"}"#,
        r#"{"on": "CreateSnapshot", "after": ["restart-service"]}"#,
        r#"{"on": "CreateSnapshot", "after": ["restart-service-when-done"]}"#,
    ] {
        let lab = lab("", mishap, "");
        let error = backup(&lab, &Policy::default()).map(drop).unwrap_err();
        assert!(!error.hint().is_empty(), "{mishap}");
        only_theirs(&lab, 0);
    }
}

#[test]
fn a_conversion_that_fails_costs_the_token() {
    for mishap in [
        r#"{"on": "ConvertToReferencePoint", "before": [{"job-fails": {"hresult": "0x8007052f"}}]}"#,
        r#"{"on": "ConvertToReferencePoint", "does": {"returns": 32768}}"#,
        r#"{"on": "ConvertToReferencePoint", "times": 3, "does": "lost"}"#,
    ] {
        let lab = lab("", mishap, "");
        let (_, _, kept) = backup(&lab, &Policy::default()).unwrap();
        assert!(
            kept.token.is_none() && !kept.problems.is_empty(),
            "{mishap}: {kept:?}"
        );
        only_theirs(&lab, 0);
    }
}

#[test]
fn a_guest_that_does_not_settle_is_saved_as_policy_wants() {
    let fails = || lab(r#""settles": false,"#, "", "");
    let lab = fails();
    let (level, downgrade, _) = backup(&lab, &Policy::default()).unwrap();
    assert_eq!(level, Level::Crash);
    assert!(downgrade.unwrap().contains("0x800423f2"));
    only_theirs(&lab, 1);
    let lab = fails();
    let strict = Policy {
        consistency: Wanted::RequireApplication,
        ..Policy::default()
    };
    let error = backup(&lab, &strict).map(drop).unwrap_err();
    assert!(error.hint().contains("guest"), "{}", error.hint());
    only_theirs(&lab, 0);
}

#[test]
fn what_no_checkpoint_holds_is_left_out_by_name() {
    let lab = lab(r#""pass-through": [3],"#, "", "");
    let plan = lab.plan(&Policy::default());
    assert!(plan.options.ignore_other_disks && plan.not_covered().count() == 1);
    assert_eq!(plan.options.consistency, Consistency::Application);
    backup(&lab, &Policy::default()).unwrap();
    only_theirs(&lab, 1);
}

#[test]
fn a_host_that_refuses_the_whole_of_a_disk_is_asked_for_parts() {
    let lab = lab(
        "",
        "",
        r#""whole-disk-refused": true, "tracking-unit": 4096"#,
    );
    let plan = lab.plan(&Policy::default());
    let mut copy = vec![0; 4 << 20];
    let token = lab.with(|control| {
        let request = plan.request(MARK, None, false);
        let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
        frozen.keep().token.unwrap()
    });
    lab.rest();
    lab.write(0, 8192, &[1; 4096], &mut copy);
    lab.write(0, 3 << 20, &[1; 4096], &mut copy);
    lab.with(|control| {
        let request = plan.request(MARK, Some(&token), false);
        let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
        let reading = &frozen.disks[0].reading;
        let hyperkeep_hyperv::frozen::Reading::Changed(ranges) = reading else {
            panic!("{reading:?}")
        };
        assert_eq!(ranges.iter().count(), 2);
    });
    only_theirs(&lab, 1);
}

#[test]
fn vms_that_cannot_be_saved_now_are_told_from_those_that_never_can() {
    let why = |vm: &str| {
        let lab = lab(vm, "", "");
        let inventory = inventory::take(&lab.session()).unwrap();
        let machine = inventory.machine(lab.vm()).unwrap();
        plan(machine, &inventory.host, &Policy::default())
    };
    let old = why(r#""version": "5.0", "generation": 1,"#).unwrap();
    assert_eq!(old.mode, hyperkeep_hyperv::preflight::Mode::Standard);
    let saved = Policy {
        consistency: Wanted::RequireApplication,
        ..Policy::default()
    };
    let lab = lab(r#""state": "saved","#, "", "");
    let inventory = inventory::take(&lab.session()).unwrap();
    let machine = inventory.machine(lab.vm()).unwrap();
    let refused = plan(machine, &inventory.host, &saved).unwrap_err();
    assert!(matches!(refused, NoPlan::NotConsistent(_)), "{refused}");
}
