//! VMs that are replicated: the replication goes first, wholly, or nothing else of the VM is touched.

use std::sync::Arc;

use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::import::{
    ApplyError, Consent, Finding, Identity, ImportError, Mac, Place, Plan, Point, Request,
    Rollback, Step, SwitchMap, Target, Weight, Written, plan, remove_replication,
};
use hyperkeep_hyperv::inventory::{self, Inventory, Machine, ReplicationMode};
use lab::state::Power;
use lab::wsman::Mishap;

use crate::restored::{FOLDER, at_each_request, carry_out, killed, machines, point, write};
use crate::support::Lab;

/// A host whose first VM is replicated, with a recovery point if it is a copy.
fn scenario(replication: &str, mishap: &str) -> String {
    let running = replication.starts_with("\"mode\": 1");
    let (state, points) = match running {
        true => ("running", ""),
        false => (
            "off",
            r#", "checkpoints": [{"name": "r", "kind": "replica"}]"#,
        ),
    };
    format!(
        r#"{{"switches": ["LAN"], "vms": [
            {{"name": "a", "state": "{state}", "adapters": [{{"switch": "LAN"}}],
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}]{points},
              "replication": {{{replication}, "health": 1, "interval": 0}}}},
            {{"name": "b", "disks": [{{"path": "D:\\VMs\\b\\b.vhdx", "size": 4194304}}]}}],
            "mishaps": [{mishap}]}}"#
    )
}

const PRIMARY: &str = r#""mode": 1, "state": 3"#;
const REPLICA: &str = r#""mode": 2, "state": 3"#;
const EXTENDED: &str = r#""mode": 2, "state": 3, "extended": true"#;
const TEST: &str = r#""mode": 3, "state": 3"#;

fn seen(lab: &Lab) -> Inventory {
    inventory::take(&lab.session()).unwrap()
}

fn machine(lab: &Lab) -> Machine {
    seen(lab).machine(lab.vm()).unwrap().clone()
}

/// How many relationships the VM has, and on which side it is.
fn replicated(lab: &Lab) -> (ReplicationMode, usize) {
    let own = machine(lab).replication;
    (own.mode, own.relationships.len())
}

const NOT: (ReplicationMode, usize) = (ReplicationMode::None, 0);

fn start(replication: &str, mishap: &str) -> (Lab, Point, Written) {
    let lab = Lab::start(&scenario(replication, mishap));
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let mut point = point(&lab);
    // Recovery points are not restored.
    point.checkpoints.clear();
    point.disks.retain(|disk| disk.leaf);
    let written = Written {
        snapshots: None,
        ..write(&lab)
    };
    lab.server.service().mishaps = mishaps;
    (lab, point, written)
}

fn planned(lab: &Lab, point: &Point, remove_replication: bool) -> Plan {
    let target = Target {
        inventory: seen(lab),
    };
    let mut request = Request {
        folder: Some(FOLDER.to_owned()),
        place: Place::InPlace,
        identity: Identity::Keep,
        start: true,
        remove_checkpoints: true,
        remove_replication,
        ..Request::default()
    };
    request.network.switches = SwitchMap::Same;
    request.network.mac = Mac::Keep;
    plan(point, &request, &target)
}

fn remove(lab: &Lab) -> Result<usize, ImportError> {
    lab.with(|control| remove_replication(control, lab.vm()))
}

#[test]
fn a_plan_removes_a_replication_only_when_it_may_and_can() {
    for (replication, can) in [
        (PRIMARY, true),
        (REPLICA, true),
        (EXTENDED, true),
        (TEST, false),
    ] {
        let (lab, point, _) = start(replication, "");
        for may in [false, true] {
            let plan = planned(&lab, &point, may);
            let told = plan
                .findings
                .iter()
                .find(|f| matches!(f, Finding::Replicated { .. }));
            let weight = match may && can {
                true => Weight::Limits,
                false => Weight::Blocks,
            };
            assert_eq!(told.unwrap().weight(), weight, "{replication} {may}");
            assert_eq!(plan.is_possible(), may && can, "{:?}", plan.findings);
        }
        if can {
            let plan = planned(&lab, &point, true);
            let place = |is: &dyn Fn(&Step) -> bool| plan.steps.iter().position(is);
            let removed = place(&|step| matches!(step, Step::RemoveReplication { .. }));
            let aside = place(&|step| matches!(step, Step::PutAside { .. }));
            let written = place(&|step| matches!(step, Step::WriteConfiguration { .. }));
            assert!(written < removed && removed < aside);
            let told = plan.findings.iter().map(ToString::to_string);
            assert!(
                told.into_iter()
                    .any(|told| told.contains("does not come back"))
            );
        }
    }
}

#[test]
fn a_replication_goes_wholly_and_the_host_is_at_rest_then() {
    for (replication, count) in [(PRIMARY, 1), (REPLICA, 1), (EXTENDED, 2)] {
        let (lab, ..) = start(replication, "");
        assert_eq!(replicated(&lab).1, count);
        assert_eq!(remove(&lab).unwrap(), count);
        assert_eq!(replicated(&lab), NOT, "{replication}");
        let now = machine(&lab);
        assert_eq!((now.operation, now.checkpoints.len()), (None, 0));
        // There is nothing to remove any more, and that is well.
        assert_eq!(remove(&lab).unwrap(), 0);
    }
}

#[test]
fn a_replicated_vm_is_replaced_without_its_replication() {
    for replication in [PRIMARY, REPLICA] {
        let (lab, point, written) = start(replication, "");
        let plan = planned(&lab, &point, true);
        let done = lab.with(|control| carry_out(control, &point, &plan, &written));
        let done = done.unwrap();
        assert_eq!((&done.differences, done.started), (&vec![], true));
        assert_eq!(replicated(&lab), NOT);
        let disks = machine(&lab).settings.media;
        assert!(disks.iter().all(|disk| disk.path.starts_with(FOLDER)));
    }
}

#[test]
fn its_disks_are_held_when_the_replication_is_gone_and_not_before() {
    let (lab, ..) = start(PRIMARY, "");
    let may = Consent {
        turn_off: true,
        checkpoints: true,
        replicated: false,
    };
    let begin = || lab.with(|control| Rollback::begin(control, lab.vm(), may).map(drop));
    assert!(matches!(begin(), Err(ImportError::NotPossible(_))));
    assert_eq!(machines(&lab)[0].3, Power::Running);
    remove(&lab).unwrap();
    assert!(begin().is_ok());
}

/// Whatever a host says of it: the replication is gone, or the VM was not touched.
#[test]
fn what_a_host_refuses_is_told_and_the_vm_goes_on() {
    let on = |what: &str| format!(r#"{{"on": "RemoveReplicationRelationshipEx", "does": {what}}}"#);
    let fails = r#"{"on": "RemoveReplicationRelationshipEx", "before": [{"job-fails": {"hresult": "0x80070005"}}]}"#;
    let late = r#"{"on": "RemoveReplicationRelationshipEx", "before": [{"job-fails-when-done": {"hresult": "0x80070005"}}]}"#;
    let refused = on(r#"{"returns": 32769}"#);
    for (mishap, gone) in [(fails, false), (refused.as_str(), false), (late, true)] {
        let (lab, point, written) = start(PRIMARY, mishap);
        let plan = planned(&lab, &point, true);
        let done = lab.with(|control| carry_out(control, &point, &plan, &written));
        let now = machines(&lab);
        assert_eq!(now[0].3, Power::Running, "{mishap}");
        assert_eq!(replicated(&lab) == NOT, gone, "{mishap}");
        match done {
            Ok(done) => assert!(gone && done.started, "{mishap}"),
            Err(ApplyError { step, .. }) => {
                let step = step.map(|step| *step);
                assert!(
                    matches!(step, Some(Step::RemoveReplication { .. })),
                    "{mishap}"
                );
                assert!(!gone && now[0].5.iter().all(|path| !path.starts_with(FOLDER)));
            }
        }
    }
}

/// One that knows no other way has the first relationship removed.
#[test]
fn an_old_host_is_asked_in_its_own_way() {
    let mishap = r#"{"on": "RemoveReplicationRelationshipEx", "does": {"returns": 32770}}"#;
    let (lab, ..) = start(PRIMARY, mishap);
    assert_eq!(remove(&lab).unwrap(), 1);
    assert_eq!(replicated(&lab), NOT);
    // Which of two it would be is not to be told.
    let twice = mishap.replace("\"does\"", "\"times\": 9, \"does\"");
    let (lab, ..) = start(EXTENDED, &twice);
    assert!(remove(&lab).is_err());
    assert_eq!(replicated(&lab).1, 2);
}

/// A run that is killed at any request leaves a VM that is whole, and nothing that another run does of its
/// own; the same again comes to its end.
#[test]
fn killed_at_each_request_the_same_again_finishes_it() {
    let requests = at_each_request(2, |death| {
        let (lab, ..) = start(EXTENDED, "");
        let run = |control: &Arc<Control>| remove_replication(control, lab.vm());
        let died = killed(&lab, death, run).ok()?;
        let what = died.what;
        let left = replicated(&lab).1;
        machines(&lab);
        // Recovery removes none.
        assert_eq!(replicated(&lab).1, left, "{what}");
        let again = remove(&lab);
        assert_eq!(again.unwrap(), left, "{what}");
        assert_eq!(replicated(&lab), NOT, "{what}");
        let now = machines(&lab);
        assert_eq!((now[0].3, now[0].4), (Power::Off, 0), "{what}");
        Some(died.on)
    });
    assert!(requests > 5, "{requests}");
}
