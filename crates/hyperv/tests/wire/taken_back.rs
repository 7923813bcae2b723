//! Replacements that are taken back or agreed to, and what was put aside for that.

use std::fs;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::import::{Found, ImportError, MayUndo, confirm, undo};
use hyperkeep_hyperv::inventory::{self, PowerState};
use lab::state::Host;
use lab::wsman::Mishap;
use uuid::Uuid;

use crate::replace::{ASIDE, Which, planned, replace, start, there, which};
use crate::restored::{TURNING_OFF, carry_out, machines};

/// A restore that could not be taken back is where it was before, or is told where it is: it can be taken
/// back then, as often as that has failed.
#[test]
fn a_restore_that_was_not_taken_back_is_known_by_its_folder() {
    let refused = r#"{"on": "ImportSystemDefinition", "times": 1, "does": {"returns": 32768}}"#;
    let (lab, point, written) = start(refused);
    let refused: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let before = machines(&lab);
    let done = replace(&lab, &point, &written).unwrap();
    let mut kept = done.undo;
    for _ in 0..3 {
        lab.server.service().mishaps.clone_from(&refused);
        let failed = lab
            .with(|control| undo(control, &kept, TURNING_OFF))
            .unwrap_err();
        let folder = failed.folder.expect("it was taken off and came back");
        assert_ne!(folder, kept.folder);
        kept.folder = folder;
        assert_eq!(which(&lab, &before, ""), Some(Which::New));
    }
    let undone = lab.with(|control| undo(control, &kept, TURNING_OFF));
    assert_eq!(undone.unwrap().found, Found::Restored);
    assert_eq!(which(&lab, &before, ""), Some(Which::Old));
}

/// What lies where the old VM would be put aside is noticed before it is turned off.
#[test]
fn a_folder_that_is_taken_keeps_the_vm_running() {
    let (lab, point, written) = start("");
    let plan = planned(&lab, &point);
    let service = lab.server.service();
    let taken = service.repository.host.files().local(ASIDE).unwrap();
    drop(service);
    fs::create_dir_all(&taken).unwrap();
    fs::write(taken.join("x.txt"), "somebody's").unwrap();
    let before = machines(&lab);
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert!(failed.step.is_none(), "{failed}");
    assert!(failed.to_string().contains(ASIDE), "{failed}");
    assert_eq!(machines(&lab), before);
    let now = inventory::take(&lab.session()).unwrap();
    assert_eq!(now.machine(lab.vm()).unwrap().state, PowerState::Running);
}

#[test]
fn the_old_vm_comes_back_when_somebody_has_removed_the_new_one() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let done = replace(&lab, &point, &written).unwrap();
    let theirs = |act: &dyn Fn(&mut Host) -> Uuid| {
        act(&mut lab.server.service().repository.host);
        lab.time.sleep(Duration::from_secs(60));
    };
    theirs(&|host| host.change_state(lab.vm(), 3).unwrap());
    theirs(&|host| host.destroy_system(lab.vm()).unwrap());
    assert_eq!(which(&lab, &before, ""), None);
    // It may have been taken to another host.
    let refused = lab
        .with(|control| undo(control, &done.undo, MayUndo::default()))
        .unwrap_err();
    assert!(
        matches!(refused.problem, ImportError::Elsewhere(vm) if vm == lab.vm()),
        "{refused}"
    );
    assert_eq!(which(&lab, &before, ""), None);
    let may = MayUndo {
        gone: true,
        ..MayUndo::default()
    };
    let undone = lab.with(|control| undo(control, &done.undo, may)).unwrap();
    assert_eq!(
        (undone.found, undone.back.as_deref(), undone.state),
        (Found::Gone, Some(ASIDE), Some(PowerState::Off))
    );
    assert_eq!(which(&lab, &before, ""), Some(Which::Old));
}

/// What is aside stays while the VM has anything in it.
#[test]
fn what_is_aside_is_not_removed_under_a_vm() {
    let (lab, point, written) = start("");
    let mut plan = planned(&lab, &point);
    let snapshots = format!("{ASIDE}\\Snapshots");
    plan.checkpoint_folder = Some(snapshots);
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    let done = done.unwrap();
    assert_eq!(done.differences, []);
    lab.with(|control| confirm(control, &done.undo)).unwrap();
    assert!(there(&lab, ASIDE));
}

#[test]
fn what_was_put_aside_goes_when_somebody_agrees() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let done = replace(&lab, &point, &written).unwrap();
    lab.with(|control| confirm(control, &done.undo)).unwrap();
    assert!(!there(&lab, ASIDE));
    assert_eq!(which(&lab, &before, ""), Some(Which::New));
    let refused = lab
        .with(|control| undo(control, &done.undo, TURNING_OFF))
        .unwrap_err();
    assert!(
        matches!(refused.problem, ImportError::NotAside(_)),
        "{refused}"
    );
    assert_eq!(which(&lab, &before, ""), Some(Which::New));
}
