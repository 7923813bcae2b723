//! What is restored has nothing in common with what is there: no id, no folder.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::import::{
    ApplyError, Finding, ImportError, Plan, Point, Request, Target, Tree, Written, plan, undo,
};
use hyperkeep_hyperv::inventory::{self, Machine};
use hyperkeep_hyperv::journal::Journal;
use lab::state::{Host, ImportWish};
use lab::wsman::Mishap;
use uuid::Uuid;

use crate::restored::{FOLDER, TURNING_OFF, carry_out, clean, machines, point, scenario, write};
use crate::support::{Lab, MARK};

fn with_rules(rules: &str) -> String {
    scenario("").replacen('{', &format!(r#"{{"rules": {{{rules}}}, "#), 1)
}

fn planned(lab: &Lab, point: &Point, request: &Request) -> Plan {
    let target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    plan(point, request, &target)
}

fn request() -> Request {
    Request {
        folder: Some(FOLDER.to_owned()),
        ..Request::default()
    }
}

fn restore(lab: &Lab, point: &Point, plan: &Plan, written: &Written) -> Result<Uuid, ApplyError> {
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let done = lab.with(|control| carry_out(control, point, plan, written))?;
    assert_eq!(done.differences, []);
    Ok(done.vm)
}

/// The first VM with its checkpoints, as the host tells it.
fn own(lab: &Lab) -> Machine {
    let inventory = inventory::take(&lab.session()).unwrap();
    inventory.machine(lab.vm()).unwrap().clone()
}

/// Somebody else imports what was written.
fn import(host: &mut Host, written: &Written) {
    let wish = ImportWish {
        file: written.configuration.clone().unwrap(),
        snapshots: written.snapshots.clone().unwrap(),
        new_id: true,
    };
    host.import(wish).unwrap();
}

/// A copy whose checkpoints have got the ids of those of the VM: what is changed of the one would
/// be changed of the other.
#[test]
fn nothing_is_changed_by_an_id_that_is_shared() {
    let lab = Lab::start(&with_rules(r#""copies-share-checkpoint-ids": true"#));
    let (point, written) = (point(&lab), write(&lab));
    for tree in [Tree::Whole, Tree::Flat] {
        let (before, all) = (own(&lab), machines(&lab));
        let request = Request { tree, ..request() };
        let plan = planned(&lab, &point, &request);
        let failed = restore(&lab, &point, &plan, &written).unwrap_err();
        assert!(
            matches!(failed.problem, ImportError::SharedId(_)),
            "{failed}"
        );
        assert_eq!(own(&lab), before);
        assert_eq!(machines(&lab), all);
    }
}

/// What is restored without its checkpoints has a configuration that names them all the same.
#[test]
fn checkpoints_that_are_not_restored_are_not_missed() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let (before, all) = (own(&lab), machines(&lab));
    let request = Request {
        tree: Tree::Flat,
        ..request()
    };
    let plan = planned(&lab, &point, &request);
    let made = restore(&lab, &point, &plan, &written).unwrap();
    let inventory = inventory::take(&lab.session()).unwrap();
    assert_eq!(inventory.machine(made).unwrap().checkpoints, []);
    assert_eq!(own(&lab), before);
    assert_eq!(machines(&lab)[..all.len()], all);
}

/// A checkpoint that names a file that was not restored: somebody else's, if it is there.
#[test]
fn a_disk_that_was_not_restored_makes_no_vm() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let mut plan = planned(&lab, &point, &request());
    plan.disks.retain(|disk| disk.leaf);
    let before = machines(&lab);
    let failed = restore(&lab, &point, &plan, &written).unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::NotItsOwn { .. }),
        "{failed}"
    );
    assert_eq!(machines(&lab), before);
}

/// What the host has put elsewhere is told, and is nothing that could be taken back.
#[test]
fn a_vm_in_another_folder_is_told_and_not_undone() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let mut plan = planned(&lab, &point, &request());
    plan.folder = "D:\\Elsewhere".to_owned();
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    let done = done.unwrap();
    let told: Vec<&str> = done.differences.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(told, ["the folder of its configuration"]);
    let there = machines(&lab);
    let refused = lab
        .with(|control| undo(control, &done.undo, TURNING_OFF))
        .unwrap_err();
    assert!(
        matches!(refused.problem, ImportError::AnotherVm { .. }),
        "{refused}"
    );
    assert_eq!(machines(&lab), there);
}

/// A job that fails, or is ended, when the planned VM is there already.
#[test]
fn what_a_failed_import_leaves_is_found_and_removed() {
    let failing = r#"{"on": "ImportSystemDefinition",
                      "before": [{"job-fails-when-done": {"hresult": "0x80070005"}}]}"#;
    let lab = Lab::start(&scenario(failing));
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let (point, written) = (point(&lab), write(&lab));
    let plan = planned(&lab, &point, &request());
    let before = machines(&lab);
    lab.server.service().mishaps = mishaps;
    let journals = crate::support::folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = lab.control(&journal);
    carry_out(&control, &point, &plan, &written).unwrap_err();
    // It is there, and whoever wrote its files is told so.
    assert_eq!(machines(&lab).len(), before.len() + 1);
    let inventory = inventory::take(&lab.session()).unwrap();
    let target = Target { inventory };
    assert!(target.is_inhabited(&FOLDER.parse().unwrap()));
    assert!(!control.journal().reading().unwrap().is_settled());
    journal.close().unwrap();
    lab.time.sleep(Duration::from_secs(400));
    clean(&lab, journals.path(), "");
    assert_eq!(machines(&lab), before);
}

/// A folder that is another's is no place for a VM: what is made there could not be told from what
/// is there.
#[test]
fn a_folder_that_somebody_has_is_not_taken() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let free = planned(&lab, &point, &request());
    for folder in ["D:\\VMs\\a", "d:/vms", "\\\\?\\D:\\VMs\\b"] {
        let request = Request {
            folder: Some(folder.to_owned()),
            ..Request::default()
        };
        let plan = planned(&lab, &point, &request);
        let mut blocking = plan.blocking();
        assert!(
            blocking.any(|f| matches!(f, Finding::FolderInUse { .. })),
            "{folder}: {:?}",
            plan.findings
        );
    }
    // Somebody else imports into it since, and has not finished.
    import(&mut lab.server.service().repository.host, &written);
    let before = machines(&lab);
    assert!(
        before
            .iter()
            .any(|(_, name, planned, ..)| name == "a" && *planned)
    );
    let failed = restore(&lab, &point, &free, &written).unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::FolderInUse { .. }),
        "{failed}"
    );
    assert_eq!(machines(&lab), before);
    let taken = planned(&lab, &point, &request());
    assert!(!taken.is_possible());
}

/// Of two that have come into the folder of a call whose answer was lost, one may be somebody's.
#[test]
fn of_several_new_ones_in_a_folder_none_is_removed() {
    let lost = r#"{"on": "ImportSystemDefinition", "does": {"cut": 0}}"#;
    let lab = Lab::start(&scenario(lost));
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let (point, written) = (point(&lab), write(&lab));
    let plan = planned(&lab, &point, &request());
    lab.server.service().mishaps = mishaps;
    let journals = crate::support::folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = lab.control(&journal);
    carry_out(&control, &point, &plan, &written).unwrap_err();
    journal.close().unwrap();
    import(&mut lab.server.service().repository.host, &written);
    let both = machines(&lab);
    lab.time.sleep(Duration::from_secs(400));
    let mut told = 0;
    for journal in hyperkeep_hyperv::journal::dead(journals.path()).unwrap() {
        let journal = Arc::new(journal);
        let needed = |_, _: &str| hyperkeep_hyperv::recovery::Remembered::No;
        let report = hyperkeep_hyperv::recovery::recover(&lab.control(&journal), &needed).unwrap();
        told += report.suspects.len();
        assert!(report.removed.is_empty(), "{report:?}");
        journal.close().unwrap();
    }
    assert_eq!(told, 2);
    assert_eq!(machines(&lab), both);
    assert_eq!(fs::read_dir(journals.path()).unwrap().count(), 0);
}
