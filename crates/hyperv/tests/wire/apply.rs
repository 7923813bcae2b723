//! Plans that are carried out: what was planned is there, and nothing else has changed.

use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::import::{
    Applied, ApplyError, Identity, ImportError, Mac, MayUndo, Plan, Point, Request, Step,
    SwitchMap, Target, WantedWay, apply, plan, undo,
};
use hyperkeep_hyperv::inventory::{self, PowerState};
use hyperkeep_hyperv::journal::Journal;
use lab::wsman::Mishap;
use uuid::Uuid;

use crate::restored::{
    FOLDER, TURNING_OFF, at_each_request, carry_out, clean, killed, machines, point, scenario,
    write,
};
use crate::support::{Lab, MARK};

/// Restores the first VM as it is wanted.
fn restore(lab: &Lab, request: &Request) -> (Plan, Result<Applied, ApplyError>) {
    let (point, written) = (point(lab), write(lab));
    let plan = planned(lab, &point, request);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let mut told = Vec::new();
    let done = lab.with(|control| {
        let tell = &mut |step: &Step| told.push(step.clone());
        apply(control, &point, &plan, &written, tell, &mut |_| Ok(()))
    });
    if done.is_ok() {
        assert_eq!(told, plan.steps);
    }
    (plan, done)
}

fn planned(lab: &Lab, point: &Point, request: &Request) -> Plan {
    let target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    let request = Request {
        folder: Some(FOLDER.to_owned()),
        ..request.clone()
    };
    plan(point, &request, &target)
}

fn same() -> Request {
    let mut request = Request::default();
    request.network.switches = SwitchMap::Same;
    request.network.mac = Mac::Keep;
    request
}

#[test]
fn a_copy_is_whole_and_connected_to_nothing() {
    let lab = Lab::start(&scenario(""));
    let before = machines(&lab);
    let (plan, done) = restore(&lab, &Request::default());
    let done = done.unwrap();
    assert_eq!(done.differences, []);
    assert_eq!((&done.unverified, done.started), (&None, false));
    let now = inventory::take(&lab.session()).unwrap();
    let (copy, own) = (
        now.machine(done.vm).unwrap(),
        now.machine(lab.vm()).unwrap(),
    );
    assert_eq!((copy.name(), copy.checkpoints.len()), ("a", 1));
    assert_eq!(copy.settings.media[0].path, plan.disks[0].to);
    let adapter = &copy.config().network_adapters[0];
    assert_eq!(adapter.connected, Some(false));
    assert_eq!(adapter.mac_static, Some(false));
    assert_ne!(adapter.mac, own.config().network_adapters[0].mac);
    // What was in the drive stays with the VM that has it.
    let images = |machine: &inventory::Machine| {
        let drives = machine.config().drives();
        let iso = drives.filter(|(_, drive)| drive.path.as_deref() == Some("D:\\a.iso"));
        iso.count()
    };
    assert_eq!((images(copy), images(own)), (0, 1));
    assert_eq!(machines(&lab)[..before.len()], before);
    // And it goes again, but not while it runs, and not for another one.
    let service = lab.server.service();
    drop(service);
    let mut other = done.undo.clone();
    other.folder = "D:\\Elsewhere".to_owned();
    lab.with(|control| {
        let refused = undo(control, &other, TURNING_OFF).unwrap_err();
        assert!(
            matches!(refused.problem, ImportError::AnotherVm { .. }),
            "{refused}"
        );
        undo(control, &done.undo, MayUndo::default()).unwrap();
        let gone = undo(control, &done.undo, MayUndo::default()).unwrap_err();
        assert!(matches!(gone.problem, ImportError::Lacks(_)), "{gone}");
    });
    assert_eq!(machines(&lab), before);
}

#[test]
fn a_vm_that_is_gone_comes_back_as_it_was() {
    let lab = Lab::start(&scenario(""));
    let (mut point, written) = (point(&lab), write(&lab));
    // The configuration says 17.
    point.config.network_adapters[0].vlan = Some(18);
    lab.server
        .service()
        .repository
        .host
        .destroy_system(lab.vm())
        .unwrap();
    lab.time.sleep(Duration::from_secs(60));
    let request = Request {
        identity: Identity::Keep,
        name: Some("a again".to_owned()),
        checkpoint_folder: Some("D:\\Checkpoints".to_owned()),
        start: true,
        ..same()
    };
    let plan = planned(&lab, &point, &request);
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    let done = done.unwrap();
    assert_eq!((done.differences, done.not_started), (vec![], None));
    assert!(done.started && done.vm == lab.vm());
    let now = inventory::take(&lab.session()).unwrap();
    let back = now.machine(lab.vm()).unwrap();
    assert_eq!((back.name(), back.state), ("a again", PowerState::Running));
    let adapters = |config: &vmconfig::VmConfig| -> Vec<_> {
        let all = config.network_adapters.iter();
        all.map(|a| (a.mac.clone(), a.switch_name.clone(), a.vlan))
            .collect()
    };
    assert_eq!(adapters(back.config()), adapters(&point.config));
    // It runs: what undoes it has to be allowed to turn it off.
    lab.with(|control| {
        let refused = undo(control, &done.undo, MayUndo::default()).unwrap_err();
        assert!(matches!(
            refused.problem,
            ImportError::OtherState(PowerState::Running)
        ));
        undo(control, &done.undo, TURNING_OFF).unwrap();
    });
    assert!(machines(&lab).iter().all(|(id, ..)| *id != lab.vm()));
}

#[test]
fn an_id_that_is_taken_meanwhile_is_noticed_before_anything_is_done() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let mut target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    target.inventory.machines.retain(|vm| vm.id != lab.vm());
    let request = Request {
        folder: Some(FOLDER.to_owned()),
        identity: Identity::Keep,
        ..same()
    };
    let stale = plan(&point, &request, &target);
    assert!(stale.is_possible(), "{:?}", stale.findings);
    let before = machines(&lab);
    let failed = lab.with(|control| carry_out(control, &point, &stale, &written));
    let problem = failed.unwrap_err().problem;
    assert!(
        matches!(problem, ImportError::Exists(id) if id == lab.vm()),
        "{problem}"
    );
    // A plan that is blocked is none.
    let blocked = planned(&lab, &point, &request);
    let failed = lab.with(|control| carry_out(control, &point, &blocked, &written));
    let problem = failed.unwrap_err().problem;
    assert!(matches!(problem, ImportError::NotPossible(_)), "{problem}");
    assert_eq!(machines(&lab), before);
}

/// What a host does otherwise than it was asked to is told, and such a VM is not started.
#[test]
fn what_is_not_as_planned_is_told_and_not_started() {
    let lab = Lab::start(&scenario(""));
    let (mut point, written) = (point(&lab), write(&lab));
    point.config.memory.startup_mib = Some(4096);
    point.config.processors.limit = Some(50_000);
    point.config.notes = "somebody's".to_owned();
    let request = Request {
        start: true,
        ..Request::default()
    };
    let plan = planned(&lab, &point, &request);
    let done = lab.with(|control| carry_out(control, &point, &plan, &written));
    let done = done.unwrap();
    let told: Vec<String> = done.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "its memory in MiB should be 4096 and is 1024",
            "the limit of its processors should be 50000 and is 100000",
            "its notes should be \"somebody's\" and is \"\""
        ]
    );
    assert!(!done.started && done.not_started.is_some());
    let now = inventory::take(&lab.session()).unwrap();
    assert_eq!(now.machine(done.vm).unwrap().state, PowerState::Off);
}

/// By its configuration, and made anew.
fn both() -> [Request; 2] {
    [WantedWay::Import, WantedWay::Define].map(|way| Request {
        way,
        start: true,
        ..Request::default()
    })
}

/// Each way to fail at each call: a whole VM, or none; and everybody else's as they were.
#[test]
fn every_call_may_fail() {
    let ways = [
        r#""does": {"returns": 32775}"#,
        r#""does": {"returns": 32768}"#,
        r#""does": {"refused": "access-denied"}"#,
        r#""does": "lost""#,
        r#""before": [{"job-fails": {"hresult": "0x80070005"}}]"#,
        r#""after": ["restart-service"]"#,
    ];
    let calls = [
        "ImportSystemDefinition",
        "ModifySystemSettings",
        "RemoveResourceSettings",
        "ModifyResourceSettings",
        "ValidatePlannedSystem",
        "RealizePlannedSystem",
        "RequestStateChange",
    ];
    let [imported, defined] = both();
    let more = ["DefinePlannedSystem", "AddResourceSettings"];
    let all = calls.map(|on| (on, &imported)).into_iter();
    for (on, request) in all.chain(more.map(|on| (on, &defined))) {
        for way in ways {
            let what = format!("{on}, {way}");
            let lab = Lab::start(&scenario(&format!(r#"{{"on": "{on}", {way}}}"#)));
            let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
            let (point, written) = (point(&lab), write(&lab));
            let plan = planned(&lab, &point, request);
            let before = machines(&lab);
            lab.server.service().mishaps = mishaps;
            let journals = crate::support::folder();
            let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
            let control = lab.control(&journal);
            let done = carry_out(&control, &point, &plan, &written);
            journal.close().unwrap();
            // A call that goes to no job has none that fails.
            let jobless = on.ends_with("Settings") && way.contains("job-fails");
            assert!(lab.server.service().mishaps.is_empty() || jobless, "{what}");
            lab.server.service().mishaps.clear();
            lab.time.sleep(Duration::from_secs(400));
            clean(&lab, journals.path(), &what);
            let now = machines(&lab);
            assert_eq!(now[..before.len()], before, "{what}");
            let there = now.len() > before.len();
            assert!(now.len() < before.len() + 2, "{what}");
            assert!(there || done.is_err(), "{what}: {done:?}");
            let late = ["RealizePlannedSystem", "RequestStateChange"].contains(&on);
            assert!(!there || done.is_ok() || late, "{what}: {done:?}");
            if let Ok(done) = done {
                assert_eq!(done.differences, [], "{what}");
                assert!(
                    done.started || done.not_started.is_some(),
                    "{what}: {done:?}"
                );
            }
        }
    }
}

/// A run that is killed at a request.
fn kill(request: &Request, when: (usize, bool, u64)) -> Option<String> {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let plan = planned(&lab, &point, request);
    let before = machines(&lab);
    let run = |control: &Arc<Control>| carry_out(control, &point, &plan, &written);
    let died = match killed(&lab, when, run) {
        Ok(died) => died,
        Err(done) => {
            assert_eq!(done.unwrap().differences, []);
            return None;
        }
    };
    let what = &died.what;
    let now = machines(&lab);
    assert_eq!(now[..before.len()], before, "{what}");
    for (_, name, planned, ..) in &now[before.len()..] {
        assert_eq!((name.as_str(), *planned), ("a", false), "{what}");
    }
    Some(died.on)
}

#[test]
fn a_run_that_is_killed_leaves_a_whole_vm_or_none() {
    for request in both() {
        let requests = at_each_request(4, |when| kill(&request, when));
        assert!((20..500).contains(&requests), "{requests}");
    }
}

/// Nobody is meant by an id that no VM has.
#[test]
fn nothing_is_undone_twice() {
    let lab = Lab::start(&scenario(""));
    let nobody = hyperkeep_hyperv::import::Undo {
        vm: Uuid::from_u128(7),
        folder: FOLDER.to_owned(),
        aside: None,
    };
    let failed = lab
        .with(|control| undo(control, &nobody, TURNING_OFF))
        .unwrap_err();
    assert!(matches!(failed.problem, ImportError::Lacks(_)), "{failed}");
}
