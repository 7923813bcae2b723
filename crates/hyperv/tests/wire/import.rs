//! Planned VMs of ours: whatever goes wrong at whatever call, there is a whole VM more in the end,
//! or none; no planned VM of ours stays; and what others have is as it was.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::import::{Definition, ImportError, PlannedVm};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::recovery::KnownBy;
use lab::state::{ExportWish, LiveState, Power};
use lab::wsman::Mishap;
use uuid::Uuid;

use crate::restored::{Died, at_each_request, clean, killed};
use crate::support::{Lab, MARK};

/// The VM, somebody else's, and an import that somebody else has not finished.
fn scenario(mishap: &str) -> String {
    format!(
        r#"{{"switches": ["LAN"], "vms": [
            {{"name": "a", "state": "off", "adapters": [{{"switch": "LAN"}}],
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}],
              "checkpoints": [{{"name": "base", "now": true}}]}},
            {{"name": "b", "disks": [{{"path": "D:\\VMs\\b\\b.vhdx", "size": 4194304}}]}},
            {{"name": "theirs", "state": "off", "planned": true}}],
            "mishaps": [{mishap}]}}"#
    )
}

/// What was restored to the host before anything is asked of it: the VM's files in a folder of ours.
fn written(lab: &Lab) -> Definition {
    let (vm, mut service) = (lab.vm(), lab.server.service());
    let host = &mut service.repository.host;
    let folder = "D:\\Restored".to_owned();
    let wish = ExportWish {
        folder: folder.clone(),
        subfolder: false,
        checkpoints: true,
        storage: true,
        live: LiveState::Crash,
    };
    host.export(vm, wish).unwrap();
    lab.time.clock.advance(Duration::from_secs(60));
    host.advance();
    let id = vm.to_string().to_uppercase();
    Definition {
        file: format!("{folder}\\Virtual Machines\\{id}.vmcx"),
        snapshots: Some(format!("{folder}\\Snapshots")),
        new_id: true,
        folder,
    }
}

fn restore(control: &Arc<Control>, vm: Uuid, from: &Definition) -> Result<Uuid, ImportError> {
    let planned = PlannedVm::import(control, vm, from)?;
    planned.name("restored")?;
    planned.drop_saved_state()?;
    planned.validate()?;
    planned.realize()
}

/// What was there before, as far as it must stay.
fn others(lab: &Lab) -> Vec<(Uuid, String, bool, Power, usize, Vec<String>)> {
    let service = lab.server.service();
    let all = service.repository.host.vms().iter().take(3);
    all.map(|vm| {
        let disks = vm.settings.disks().map(|(_, path)| path.to_owned());
        let checkpoints = vm.checkpoints.len();
        let name = vm.settings.name.clone();
        (
            vm.id,
            name,
            vm.planned,
            vm.power,
            checkpoints,
            disks.collect(),
        )
    })
    .collect()
}

/// Whether there is a VM more, when everything has had its time. It is whole, and not planned.
fn restored(lab: &Lab, what: &str) -> bool {
    lab.rest();
    let service = lab.server.service();
    let more: Vec<_> = service.repository.host.vms().iter().skip(3).collect();
    assert!(more.len() < 2, "{what}: {more:?}");
    for vm in &more {
        assert!(!vm.planned, "{what}: {vm:?}");
        assert_eq!(
            (vm.settings.name.as_str(), vm.checkpoints.len()),
            ("restored", 1)
        );
        assert!(vm.parent.is_some());
        let disks: Vec<_> = vm
            .settings
            .disks()
            .map(|(_, path)| path.to_owned())
            .collect();
        assert!(
            disks.iter().all(|path| path.starts_with("D:\\Restored\\")),
            "{disks:?}"
        );
    }
    !more.is_empty()
}

#[test]
fn a_vm_comes_back_beside_the_others() {
    let lab = Lab::start(&scenario(""));
    let from = written(&lab);
    let before = others(&lab);
    let id = lab.with(|control| restore(control, lab.vm(), &from).unwrap());
    assert!(restored(&lab, "") && !before.iter().any(|(other, ..)| *other == id));
    assert_eq!(others(&lab), before);
    // What is not there is not imported.
    let again = Definition {
        file: from.file.replace("Virtual Machines", "Elsewhere"),
        folder: "D:\\Elsewhere".to_owned(),
        ..from
    };
    let failed = lab.with(|control| restore(control, lab.vm(), &again));
    let told = failed.unwrap_err().to_string();
    assert!(told.contains("0x80070002"), "{told}");
    assert!(restored(&lab, ""));
    assert_eq!(others(&lab), before);
}

#[test]
fn what_the_host_misses_is_told_and_nothing_stays() {
    let lab = Lab::start(&scenario(""));
    let from = written(&lab);
    let before = others(&lab);
    lab.server.service().repository.host.switches.clear();
    let disk = lab.drive('D').join("Restored/Virtual Hard Disks/a.vhdx");
    fs::remove_file(disk).unwrap();
    let failed = lab.with(|control| restore(control, lab.vm(), &from));
    let told = failed.unwrap_err().to_string();
    assert!(told.contains("a.vhdx") && told.contains("LAN"), "{told}");
    assert!(!restored(&lab, "missing"));
    assert_eq!(others(&lab), before);
}

/// Each way to fail at each call.
#[test]
fn every_call_may_fail() {
    let ways = [
        r#""does": {"returns": 32775}"#,
        r#""does": {"returns": 32768}"#,
        r#""does": {"refused": "access-denied"}"#,
        r#""does": {"refused": "timed-out"}"#,
        r#""does": "lost""#,
        r#""does": {"cut": 0}"#,
        r#""before": [{"job-fails": {"hresult": "0x80070005"}}]"#,
        r#""after": ["restart-service"]"#,
        r#""after": ["restart-service-when-done"]"#,
    ];
    let calls = [
        "ImportSystemDefinition",
        "ModifySystemSettings",
        "ValidatePlannedSystem",
        "RealizePlannedSystem",
    ];
    for on in calls {
        for way in ways {
            let what = format!("{on}, {way}");
            let lab = Lab::start(&scenario(&format!(r#"{{"on": "{on}", {way}}}"#)));
            let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
            let from = written(&lab);
            let before = others(&lab);
            lab.server.service().mishaps = mishaps;
            let journals = crate::support::folder();
            let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
            let done = restore(&lab.control(&journal), lab.vm(), &from);
            journal.close().unwrap();
            assert!(lab.server.service().mishaps.is_empty(), "{what}");
            lab.time.sleep(Duration::from_secs(400));
            clean(&lab, journals.path(), &what);
            let there = restored(&lab, &what);
            // A VM of which nobody knows may be there; one that is told always is.
            assert!(there || done.is_err(), "{what}: {done:?}");
            assert!(
                !there || done.is_ok() || on == "RealizePlannedSystem",
                "{what}: {done:?}"
            );
            assert_eq!(others(&lab), before, "{what}");
        }
    }
}

/// A run that is killed at a request. The request, or nothing if it came to its end.
fn kill(when: (usize, bool, u64)) -> Option<String> {
    let lab = Lab::start(&scenario(""));
    let from = written(&lab);
    let before = others(&lab);
    let died = match killed(&lab, when, |control| restore(control, lab.vm(), &from)) {
        Ok(died) => died,
        Err(done) => {
            assert!(done.is_ok() && restored(&lab, ""), "{done:?}");
            return None;
        }
    };
    let Died { on, what, reports } = died;
    // A whole VM or none: killed while it becomes one, it may be either.
    restored(&lab, &what);
    let removed = reports.iter().flat_map(|report| &report.removed);
    for removed in removed {
        let by = [KnownBy::Journal, KnownBy::Folder];
        assert!(by.contains(&removed.known_by), "{what}: {removed:?}");
    }
    assert_eq!(others(&lab), before, "{what}");
    Some(on)
}

#[test]
fn a_run_that_is_killed_leaves_no_planned_vm() {
    let requests = at_each_request(2, kill);
    assert!((10..150).contains(&requests), "{requests}");
}
