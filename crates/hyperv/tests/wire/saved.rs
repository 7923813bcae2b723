//! Saved memory of VMs that come back, and of their checkpoints: there where it was to be kept, and
//! gone where not; and a host that says that it does not fit has its way.

use hyperkeep_hyperv::import::{
    Applied, ApplyError, Finding, ImportError, Request, SavedState, Step, Target, plan,
};
use hyperkeep_hyperv::inventory::{self, Machine, PowerState};

use crate::restored::{FOLDER, carry_out, machines, point, write};
use crate::support::Lab;

/// A saved VM with a checkpoint that has memory and one that has none.
fn start(rules: &str) -> Lab {
    Lab::start(&format!(
        r#"{{"vms": [
            {{"name": "a", "state": "saved",
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}],
              "checkpoints": [{{"name": "with", "memory": true, "checkpoints": [
                  {{"name": "without"}}]}}]}}],
            "rules": {{{rules}}}}}"#
    ))
}

/// Restores it as if it were of the host of this name.
fn restore(
    lab: &Lab,
    (of, wanted): (&str, SavedState),
    start: bool,
) -> (Vec<Finding>, Result<Applied, ApplyError>) {
    let (mut point, written) = (point(lab), write(lab));
    assert!(point.memory);
    for checkpoint in &point.checkpoints {
        assert_eq!(checkpoint.memory, Some(checkpoint.name == "with"));
    }
    let target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    let host = target.inventory.host.name.clone().unwrap();
    point.host = Some(if of.is_empty() { host } else { of.to_owned() });
    let request = Request {
        folder: Some(FOLDER.to_owned()),
        saved_state: wanted,
        start,
        ..Request::default()
    };
    let plan = plan(&point, &request, &target);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let drops = plan.steps.contains(&Step::DropCheckpointMemory);
    assert_eq!(drops, wanted == SavedState::Discard);
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    (plan.findings, done)
}

/// What the VM is, and which of its checkpoints have memory.
fn seen(lab: &Lab, done: &Applied) -> (PowerState, Vec<String>) {
    let now = inventory::take(&lab.session()).unwrap();
    let machine: &Machine = now.machine(done.vm).unwrap();
    let checkpoints = machine.checkpoints.iter().map(|c| &c.settings.config);
    let has = checkpoints.filter(|config| config.saved_state.is_some());
    (
        machine.state,
        has.map(|config| config.name.clone()).collect(),
    )
}

#[test]
fn memory_is_kept_or_dropped_as_it_was_planned() {
    use PowerState::{Off, Running, Saved};
    for (of, wanted, state, memory) in [
        ("", SavedState::Auto, Saved, &["with"][..]),
        ("HV99", SavedState::Auto, Off, &["with"][..]),
        ("", SavedState::Keep, Saved, &["with"][..]),
        ("HV99", SavedState::Keep, Saved, &["with"][..]),
        ("", SavedState::Discard, Off, &[]),
        ("HV99", SavedState::Discard, Off, &[]),
    ] {
        let what = format!("of {of:?}, {wanted:?}");
        let lab = start("");
        let before = machines(&lab);
        let (findings, done) = restore(&lab, (of, wanted), false);
        let done = done.unwrap();
        assert_eq!(
            (done.differences.as_slice(), &done.unverified),
            (&[][..], &None),
            "{what}"
        );
        assert_eq!(
            seen(&lab, &done),
            (
                state,
                memory.iter().map(|name| (*name).to_owned()).collect()
            ),
            "{what}"
        );
        let may_not_fit = Finding::CheckpointMemoryMayNotFit { count: 1 };
        let elsewhere = of == "HV99" && wanted != SavedState::Discard;
        assert_eq!(findings.contains(&may_not_fit), elsewhere, "{what}");
        // The original has what it had.
        assert_eq!(machines(&lab)[..before.len()], before, "{what}");
    }
    // And one that is saved goes on.
    let lab = start("");
    let (_, done) = restore(&lab, ("", SavedState::Keep), true);
    let done = done.unwrap();
    assert!(done.started, "{:?}", done.not_started);
    assert_eq!(seen(&lab, &done).0, Running);
}

#[test]
fn memory_that_a_host_refuses_leaves_nothing_and_is_dropped_when_that_is_asked_for() {
    for (of, wanted, fits) in [
        ("", SavedState::Auto, false),
        ("HV99", SavedState::Keep, false),
        ("HV99", SavedState::Auto, true),
        ("", SavedState::Discard, true),
    ] {
        let what = format!("of {of:?}, {wanted:?}");
        let lab = start(r#""foreign-state-refused": true"#);
        let before = machines(&lab);
        let (_, done) = restore(&lab, (of, wanted), false);
        assert_eq!(done.is_ok(), fits, "{what}");
        let now = machines(&lab);
        match done {
            Ok(done) => {
                assert_eq!(seen(&lab, &done).0, PowerState::Off, "{what}");
                assert_eq!(now[..before.len()], before, "{what}");
            }
            Err(failed) => {
                let told = matches!(&failed.problem, ImportError::Invalid(why) if why.len() == 1);
                assert!(
                    told && failed.step.as_deref() == Some(&Step::Validate),
                    "{failed}"
                );
                assert_eq!(now, before, "{what}");
            }
        }
    }
}

/// A host that loses the memory of checkpoints, and one that does not drop it.
#[test]
fn memory_that_is_not_as_it_was_planned_is_told() {
    let lab = start(r#""import-loses": "memory""#);
    let (_, done) = restore(&lab, ("", SavedState::Auto), true);
    let done = done.unwrap();
    let told: Vec<String> = done.differences.iter().map(ToString::to_string).collect();
    let what =
        "the saved memory of the checkpoint \"with\" after none should be there and is not there";
    assert_eq!(told, [what]);
    assert!(!done.started && done.not_started.is_some());
}

/// A call that fails leaves no VM.
#[test]
fn checkpoints_that_keep_their_memory_make_no_vm_without_it() {
    let lab = start("");
    let before = machines(&lab);
    let refused = r#"{"vms": [{"name": "x"}], "mishaps":
        [{"on": "ClearSnapshotState", "does": {"returns": 32768}}]}"#;
    let mishaps = std::mem::take(&mut Lab::start(refused).server.service().mishaps);
    lab.server.service().mishaps = mishaps;
    let (_, done) = restore(&lab, ("", SavedState::Discard), false);
    let failed = done.unwrap_err();
    assert_eq!(failed.step.as_deref(), Some(&Step::DropCheckpointMemory));
    assert_eq!(machines(&lab), before);
}
