//! A VM that comes back to a simulated host: what was backed up of it, and what is there.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cim::job::Pace;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::import::{
    Applied, ApplyError, MayUndo, Plan, Point, PointCheckpoint, PointDisk, Written, apply,
};
use hyperkeep_hyperv::inventory::{self, Parent};
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::recovery::{Remembered, Report, recover};
use lab::state::{ExportWish, LiveState, Power};
use testkit::vary;
use uuid::Uuid;

use crate::killed::Mortal;
use crate::support::{Lab, MARK, folder};

/// Where what was backed up is written.
pub(crate) const FOLDER: &str = "D:\\Restored";

/// Taking a restore back may turn its VM off.
pub(crate) const TURNING_OFF: MayUndo = MayUndo {
    turn_off: true,
    gone: false,
};

/// The VM, somebody else's, and an import that somebody else has not finished.
pub(crate) fn scenario(mishap: &str) -> String {
    format!(
        r#"{{"switches": ["LAN"], "vms": [
            {{"name": "a", "state": "off", "adapters": [{{"switch": "LAN", "vlan": 17}}],
              "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}}],
              "dvds": ["D:\\a.iso"],
              "checkpoints": [{{"name": "base", "now": true}}]}},
            {{"name": "b", "disks": [{{"path": "D:\\VMs\\b\\b.vhdx", "size": 4194304}}]}},
            {{"name": "theirs", "state": "off", "planned": true}}],
            "mishaps": [{mishap}]}}"#
    )
}

/// What is backed up of the first VM.
pub(crate) fn point(lab: &Lab) -> Point {
    let inventory = inventory::take(&lab.session()).unwrap();
    let machine = inventory.machine(lab.vm()).unwrap();
    let service = lab.server.service();
    let mut disks: Vec<PointDisk> = Vec::new();
    let own = machine.settings.media.iter().map(|medium| (medium, true));
    let checkpoints = machine.checkpoints.iter().flat_map(|c| &c.settings.media);
    for (medium, own) in own.chain(checkpoints.map(|medium| (medium, false))) {
        let mut next = Some(medium.path.clone());
        while let Some(path) = next {
            let parent = service.repository.host.parent_of(&path);
            next = parent.map(str::to_owned);
            if disks.iter().any(|disk| disk.path == path) {
                break;
            }
            disks.push(PointDisk {
                location: medium.location,
                leaf: own && path == medium.path,
                path,
                bytes: 4 << 20,
            });
        }
    }
    let parent = |parent| match parent {
        Parent::Of(id) => Some(id),
        Parent::None | Parent::Unknown => None,
    };
    let checkpoints = machine
        .checkpoints
        .iter()
        .map(|checkpoint| PointCheckpoint {
            id: checkpoint.id,
            name: checkpoint.settings.config.name.clone(),
            parent: parent(checkpoint.parent),
            first: checkpoint.parent == Parent::None,
            memory: Some(checkpoint.settings.config.saved_state.is_some()),
        });
    Point {
        vm: machine.id,
        config: machine.config().clone(),
        checkpoints: checkpoints.collect(),
        parent: parent(machine.parent),
        disks,
        memory: machine.config().saved_state.is_some(),
        host: inventory.host.name.clone(),
        ..Point::default()
    }
}

/// Writes it to the host, in a folder of ours, before anything is asked of it.
pub(crate) fn write(lab: &Lab) -> Written {
    let (vm, mut service) = (lab.vm(), lab.server.service());
    let host = &mut service.repository.host;
    let wish = ExportWish {
        folder: FOLDER.to_owned(),
        subfolder: false,
        checkpoints: true,
        storage: true,
        live: LiveState::Crash,
    };
    host.export(vm, wish).unwrap();
    lab.time.clock.advance(Duration::from_secs(60));
    host.advance();
    let id = vm.to_string().to_uppercase();
    Written {
        configuration: Some(format!("{FOLDER}\\Virtual Machines\\{id}.vmcx")),
        snapshots: Some(format!("{FOLDER}\\Snapshots")),
    }
}

/// What there is on a host: id, name, whether it is only planned, state, checkpoints, disks.
pub(crate) type Seen = (Uuid, String, bool, Power, usize, Vec<String>);

/// All VMs, in the order in which they came, when everything has had its time.
pub(crate) fn machines(lab: &Lab) -> Vec<Seen> {
    lab.time.sleep(Duration::from_secs(60));
    let mut service = lab.server.service();
    service.repository.host.advance();
    let all = service.repository.host.vms().iter();
    all.map(|vm| {
        let disks = vm.settings.disks().map(|(_, path)| path.to_owned());
        let (name, checkpoints) = (vm.settings.name.clone(), vm.checkpoints.len());
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

/// Puts right what runs have left, until nothing is.
pub(crate) fn clean(lab: &Lab, journals: &Path, what: &str) -> Vec<Report> {
    let mut reports = Vec::new();
    for _ in 0..3 {
        for journal in dead(journals).unwrap() {
            let journal = Arc::new(journal);
            let control = lab.control(&journal);
            reports.push(recover(&control, &|_, _| Remembered::No).unwrap());
            journal.close().unwrap();
        }
        lab.time.sleep(Duration::from_secs(400));
    }
    let left = fs::read_dir(journals).unwrap().count();
    assert_eq!(left, 0, "{what}: {reports:?}");
    let suspects = reports.iter().all(|r| r.suspects.is_empty());
    assert!(suspects, "{what}: {reports:?}");
    reports
}

/// Carries a plan out, with nobody to tell.
pub(crate) fn carry_out(
    control: &Arc<Control>,
    point: &Point,
    plan: &Plan,
    written: &Written,
) -> Result<Applied, ApplyError> {
    apply(control, point, plan, written, &mut |_| {}, &mut |_| Ok(()))
}

/// A run that was killed, once the next one had been there.
pub(crate) struct Died {
    /// The request at which it was killed.
    pub(crate) on: String,
    /// How it was, for people.
    pub(crate) what: String,
    pub(crate) reports: Vec<Report>,
}

/// A run that is killed at its `at`th request, which the host still gets or does not; the next run comes
/// `late` seconds afterwards. What the run came to, if it was not killed.
pub(crate) fn killed<T>(
    lab: &Lab,
    (at, sent, late): (usize, bool, u64),
    run: impl FnOnce(&Arc<Control>) -> T,
) -> Result<Died, T> {
    let journals = folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let path = journal.path().to_owned();
    let session = Arc::new(Mortal::new(lab, at, sent, path.clone()));
    let done = run(&lab.control_by(session.clone(), &journal));
    journal.close().unwrap();
    let Some((on, remains)) = session.died() else {
        return Err(done);
    };
    fs::write(&path, remains).unwrap();
    let what = format!("request {at} {on}, sent {sent}, late {late}");
    lab.time.sleep(Duration::from_secs(late));
    let reports = clean(lab, journals.path(), &what);
    Ok(Died { on, what, reports })
}

/// Kills at each request of a run, or in an ordinary test run at each `step`th; the next run comes at once,
/// or when the host has forgotten all jobs. Whether the host gets a request matters only where it changes
/// something. `kill` gives the request, or nothing when the run came to its end. How many there were.
pub(crate) fn at_each_request(
    step: usize,
    kill: impl Fn((usize, bool, u64)) -> Option<String>,
) -> usize {
    let step = if vary::cases(1) > 1 { 1 } else { step };
    let mut requests = 0;
    for at in (1..600).step_by(step) {
        let late = [0, 3600][at / step % 2];
        let Some(died) = kill((at, false, late)) else {
            break;
        };
        if died.starts_with(|c: char| c.is_ascii_uppercase()) {
            kill((at, true, late));
        }
        requests = at;
    }
    requests
}
