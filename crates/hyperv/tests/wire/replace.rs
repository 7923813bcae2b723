//! VMs that are replaced: whatever goes wrong at whatever call, the host has the new VM whole, or the
//! old one, and nothing that only one of them needs is lost.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::import::{
    Applied, ApplyError, Aside, Finding, Found, Identity, ImportError, Mac, MayUndo, Place, Plan,
    Point, Replaced, Request, SwitchMap, Target, Undo, Written, apply, confirm, plan, undo,
};
use hyperkeep_hyperv::inventory::{self, PowerState};
use hyperkeep_hyperv::journal::{Call, Intent, Journal};
use hyperkeep_hyperv::recovery::{Remembered, recover};
use lab::Clock;
use lab::state::Power;
use lab::wsman::Mishap;

use crate::restored::{
    Died, FOLDER, Seen, TURNING_OFF, at_each_request, carry_out, clean, killed, machines, point,
    scenario, write,
};
use crate::support::{Lab, MARK};

pub(crate) const ASIDE: &str = "D:\\Restored (replaced)";

/// A host whose first VM runs and has moved on since it was backed up.
pub(crate) fn start(mishap: &str) -> (Lab, Point, Written) {
    let lab = Lab::start(&scenario(mishap));
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let (point, written) = (point(&lab), write(&lab));
    let mut service = lab.server.service();
    service.repository.host.change_state(lab.vm(), 2).unwrap();
    drop(service);
    machines(&lab);
    lab.server.service().mishaps = mishaps;
    (lab, point, written)
}

pub(crate) fn planned(lab: &Lab, point: &Point) -> Plan {
    let target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    let mut request = Request {
        folder: Some(FOLDER.to_owned()),
        place: Place::InPlace,
        identity: Identity::Keep,
        start: true,
        remove_checkpoints: true,
        ..Request::default()
    };
    request.network.switches = SwitchMap::Same;
    request.network.mac = Mac::Keep;
    let plan = plan(point, &request, &target);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    plan
}

/// Which of the two VMs the first one is; nothing if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Old,
    New,
}

pub(crate) fn which(lab: &Lab, before: &[Seen], what: &str) -> Option<Which> {
    let now = machines(lab);
    let own = now.iter().filter(|(id, ..)| *id == lab.vm());
    let own: Vec<&Seen> = own.collect();
    assert!(own.len() < 2, "{what}: {own:?}");
    let others = |all: &[Seen]| -> Vec<Seen> {
        let all = all.iter().filter(|(id, ..)| *id != lab.vm());
        all.cloned().collect()
    };
    assert_eq!(others(&now), others(before), "{what}");
    let (_, name, planned, _, checkpoints, disks) = own.first()?;
    assert_eq!(
        (name.as_str(), *planned, *checkpoints),
        ("a", false, 1),
        "{what}"
    );
    // All files are there, whichever it is.
    let service = lab.server.service();
    for disk in disks {
        assert!(
            service.repository.host.files().exists(disk),
            "{what}: {disk}"
        );
    }
    match disks.iter().all(|path| path.starts_with(FOLDER)) {
        true => Some(Which::New),
        false => Some(Which::Old),
    }
}

pub(crate) fn there(lab: &Lab, folder: &str) -> bool {
    let service = lab.server.service();
    let all = service.repository.host.files().folders();
    all.iter().any(|known| known.eq_ignore_ascii_case(folder))
}

pub(crate) fn replace(lab: &Lab, point: &Point, written: &Written) -> Result<Applied, ApplyError> {
    let plan = planned(lab, point);
    lab.with(|control| carry_out(control, point, &plan, written))
}

#[test]
fn a_vm_is_replaced_and_can_come_back() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let done = replace(&lab, &point, &written).unwrap();
    assert_eq!((&done.differences, done.started), (&vec![], true));
    assert_eq!(which(&lab, &before, ""), Some(Which::New));
    let aside = done.undo.aside.clone().unwrap();
    assert!(there(&lab, ASIDE) && aside.folder == ASIDE && aside.vm == lab.vm());
    let kept: Undo = serde_json::from_str(&serde_json::to_string(&done.undo).unwrap()).unwrap();
    assert_eq!(kept, done.undo);
    // It runs.
    let refused = lab
        .with(|control| undo(control, &kept, MayUndo::default()))
        .unwrap_err();
    assert!(
        matches!(
            refused.problem,
            ImportError::OtherState(PowerState::Running)
        ),
        "{refused}"
    );
    assert_eq!(which(&lab, &before, ""), Some(Which::New));
    let undone = lab
        .with(|control| undo(control, &kept, TURNING_OFF))
        .unwrap();
    assert_eq!(undone.back.as_deref(), Some(ASIDE));
    assert_eq!(which(&lab, &before, ""), Some(Which::Old));
    let now = inventory::take(&lab.session()).unwrap();
    let old = now.machine(lab.vm()).unwrap();
    assert_eq!(old.config().network_adapters, point.config.network_adapters);
    // What it lives in is not removed, and the new one's is.
    assert!(there(&lab, ASIDE) && !there(&lab, "D:\\Restored (undone)"));
    let refused = lab.with(|control| confirm(control, &kept)).unwrap_err();
    assert!(matches!(refused, ImportError::IsBack(_)), "{refused}");
    // Who was killed when it was back asks again.
    let again = lab
        .with(|control| undo(control, &kept, MayUndo::default()))
        .unwrap();
    assert_eq!(undone.found, Found::Restored);
    assert_eq!((again.found, again.back), (Found::Back, undone.back));
    assert_eq!(again.state, Some(PowerState::Off));
    assert_eq!(which(&lab, &before, ""), Some(Which::Old));
}

/// Checkpoints that nobody has agreed to lose keep the VM, also those that were not there when it was
/// planned.
#[test]
fn a_vm_that_has_got_checkpoints_since_is_not_replaced() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let mut plan = planned(&lab, &point);
    let go = |finding: &Finding| matches!(finding, Finding::CheckpointsGo { .. });
    plan.findings.retain(|finding| !go(finding));
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::NotPossible(_)),
        "{failed}"
    );
    let there = Replaced::There { off: false };
    assert_eq!(failed.replaced.as_deref(), Some(&there));
    assert_eq!(machines(&lab), before);
}

/// What could not be brought back later is not replaced.
#[test]
fn what_cannot_be_kept_of_a_vm_keeps_it() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let plan = planned(&lab, &point);
    let mut offered = Vec::new();
    let failed = lab.with(|control| {
        let keep = &mut |undo: &Undo| {
            offered.push(undo.clone());
            Err("the disk is full".to_owned())
        };
        apply(control, &point, &plan, &written, &mut |_| {}, keep)
    });
    let failed = failed.unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::NotKept(_)),
        "{failed}"
    );
    assert!(matches!(
        failed.replaced.as_deref(),
        Some(Replaced::Back { off: false, .. })
    ));
    assert_eq!(which(&lab, &before, ""), Some(Which::Old));
    let [offered] = &offered[..] else {
        panic!("{offered:?}");
    };
    assert_eq!((offered.vm, offered.folder.as_str()), (lab.vm(), FOLDER));
    assert_eq!(
        offered.aside.as_ref().map(|aside| aside.folder.as_str()),
        Some(ASIDE)
    );
}

/// Another VM of the id than the one that the plan was made for is not taken off the host.
#[test]
fn another_vm_than_was_planned_is_not_replaced() {
    let (lab, point, written) = start("");
    let before = machines(&lab);
    let mut plan = planned(&lab, &point);
    assert!(plan.replaced_folder.is_some());
    plan.replaced_folder = Some("D:\\Another".to_owned());
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::AnotherVm { .. }),
        "{failed}"
    );
    let there = Replaced::There { off: false };
    assert_eq!(failed.replaced.as_deref(), Some(&there));
    assert_eq!(machines(&lab), before);
}

/// A VM in a third folder is neither the old one nor the new one, and nothing is removed for it.
#[test]
fn of_a_vm_in_a_third_folder_nobody_knows() {
    let lab = Lab::start(&scenario(""));
    let before = machines(&lab);
    let journals = crate::support::folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = lab.control(&journal);
    let id = lab.vm().to_string().to_uppercase();
    let aside = Aside {
        vm: lab.vm(),
        configuration: format!("{ASIDE}\\Virtual Machines\\{id}.vmcx"),
        snapshots: None,
        folder: ASIDE.to_owned(),
        node: None,
    };
    let intent = Intent {
        vm: lab.vm(),
        call: Call::Replace {
            aside,
            folder: FOLDER.to_owned(),
            was: Some("D:\\Elsewhere".to_owned()),
        },
        at: lab.time.clock.now(),
    };
    journal.begin(intent).unwrap();
    let report = recover(&control, &|_, _| Remembered::No).unwrap();
    let told: Vec<&str> = report.left.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("neither"), "{told:?}");
    assert!(!journal.reading().unwrap().is_settled());
    assert_eq!(machines(&lab), before);
}

#[test]
fn a_vm_that_is_saved_comes_back_with_its_memory() {
    let (lab, point, written) = start("");
    let mut service = lab.server.service();
    service.repository.host.change_state(lab.vm(), 6).unwrap();
    drop(service);
    let before = machines(&lab);
    let plan = planned(&lab, &point);
    // What it had been written of is gone.
    let file = lab.drive('D').join("Restored/Virtual Hard Disks/a.vhdx");
    fs::remove_file(file).unwrap();
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::Invalid(_)),
        "{failed}"
    );
    assert_eq!(which(&lab, &before, ""), Some(Which::Old), "{failed}");
    let power = machines(&lab)
        .iter()
        .find(|(id, ..)| *id == lab.vm())
        .unwrap()
        .3;
    assert_eq!(power, Power::Saved);
}

/// What a paused VM had in memory cannot be put back: that it is off is told.
#[test]
fn a_vm_that_was_paused_is_not_called_as_it_was() {
    let (lab, point, written) = start("");
    let mut service = lab.server.service();
    service.repository.host.change_state(lab.vm(), 9).unwrap();
    drop(service);
    let before = machines(&lab);
    let plan = planned(&lab, &point);
    let file = lab.drive('D').join("Restored/Virtual Hard Disks/a.vhdx");
    fs::remove_file(file).unwrap();
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert_eq!(which(&lab, &before, ""), Some(Which::Old), "{failed}");
    assert!(
        matches!(
            failed.replaced.as_deref(),
            Some(Replaced::Back { off: true, .. })
        ),
        "{failed}"
    );
}

/// A VM that was off when the plan was made, and runs since, is not turned off by it.
#[test]
fn a_vm_that_was_started_since_is_left_alone() {
    let lab = Lab::start(&scenario(""));
    let (point, written) = (point(&lab), write(&lab));
    let plan = planned(&lab, &point);
    lab.server
        .service()
        .repository
        .host
        .change_state(lab.vm(), 2)
        .unwrap();
    let before = machines(&lab);
    let failed = lab.with(|control| carry_out(control, &point, &plan, &written));
    let failed = failed.unwrap_err();
    assert!(
        matches!(failed.problem, ImportError::OtherState(PowerState::Running)),
        "{failed}"
    );
    let there = Replaced::There { off: false };
    assert_eq!(failed.replaced.as_deref(), Some(&there));
    assert_eq!(machines(&lab), before);
}

/// Each way to fail at each call.
#[test]
fn every_call_may_fail() {
    let ways = [
        r#""does": {"returns": 32768}"#,
        r#""does": {"refused": "access-denied"}"#,
        r#""does": "lost""#,
        r#""before": [{"job-fails": {"hresult": "0x80070005"}}]"#,
        r#""after": ["restart-service"]"#,
    ];
    let calls = [
        "RequestStateChange",
        "ExportSystemDefinition",
        "DestroySystem",
        "ImportSystemDefinition",
        "ModifySystemSettings",
        "ValidatePlannedSystem",
        "RealizePlannedSystem",
    ];
    for on in calls {
        for way in ways {
            let what = format!("{on}, {way}");
            let (lab, point, written) = start(&format!(r#"{{"on": "{on}", {way}}}"#));
            let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
            let plan = planned(&lab, &point);
            let before = machines(&lab);
            lab.server.service().mishaps = mishaps;
            let journals = crate::support::folder();
            let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
            let control = lab.control(&journal);
            let done = carry_out(&control, &point, &plan, &written);
            journal.close().unwrap();
            let jobless = on.ends_with("Settings") && way.contains("job-fails");
            assert!(lab.server.service().mishaps.is_empty() || jobless, "{what}");
            lab.server.service().mishaps.clear();
            lab.time.sleep(Duration::from_secs(400));
            clean(&lab, journals.path(), &what);
            let now = which(&lab, &before, &what);
            match &done {
                Ok(_) => assert_eq!(now, Some(Which::New), "{what}"),
                Err(failed) => match failed.replaced.as_deref() {
                    // The run knew, and it is so.
                    Some(Replaced::There { .. } | Replaced::Back { .. }) => {
                        assert_eq!(now, Some(Which::Old), "{what}: {failed}");
                    }
                    Some(Replaced::Away { .. }) => assert!(now.is_some(), "{what}: {failed}"),
                    None => panic!("{what}: {failed}"),
                },
            }
        }
    }
}

/// While the host may still be making the new VM, the old one of the same id is not brought back.
#[test]
fn nothing_is_brought_back_beside_what_the_host_may_be_making() {
    let lost = r#"{"on": "RealizePlannedSystem", "does": {"cut": 0}}"#;
    for late in [0, 3600] {
        let (lab, point, written) = start(lost);
        let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
        let plan = planned(&lab, &point);
        let before = machines(&lab);
        lab.server.service().mishaps = mishaps;
        let journals = crate::support::folder();
        let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
        let control = lab.control(&journal);
        let failed = carry_out(&control, &point, &plan, &written).unwrap_err();
        match failed.replaced.as_deref() {
            Some(Replaced::Away { why, .. }) => assert!(why.contains("nobody knows yet"), "{why}"),
            other => panic!("{other:?}"),
        }
        journal.close().unwrap();
        lab.time.sleep(Duration::from_secs(late));
        clean(&lab, journals.path(), "");
        assert_eq!(which(&lab, &before, ""), Some(Which::New));
    }
}

/// A run that is killed at a request.
fn kill(when: (usize, bool, u64)) -> Option<String> {
    let (lab, point, written) = start("");
    let plan = planned(&lab, &point);
    let before = machines(&lab);
    let run = |control: &Arc<Control>| carry_out(control, &point, &plan, &written);
    let died = match killed(&lab, when, run) {
        Ok(died) => died,
        Err(done) => {
            assert_eq!(done.unwrap().differences, []);
            return None;
        }
    };
    let Died { on, what, reports } = died;
    let now = which(&lab, &before, &what);
    assert!(now.is_some(), "{what}: {reports:?}");
    // It ran: nobody leaves it off without a word.
    let own = machines(&lab).into_iter().find(|(id, ..)| *id == lab.vm());
    if now == Some(Which::Old) && own.is_some_and(|(_, _, _, power, ..)| power == Power::Off) {
        let mut left = reports.iter().flat_map(|report| &report.left);
        let told = left.any(|left| left.what.contains("turned it off"));
        assert!(told, "{what}: {reports:?}");
    }
    // What is aside is there while it is of use, and nobody lives in what is removed.
    if now == Some(Which::New) {
        assert!(there(&lab, ASIDE), "{what}");
    }
    Some(on)
}

#[test]
fn a_run_that_is_killed_leaves_the_new_vm_or_the_old_one() {
    let requests = at_each_request(2, kill);
    assert!((40..500).contains(&requests), "{requests}");
}
