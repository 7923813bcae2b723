//! A simulated host through the engine, by a clock that only waiting moves.

extern crate hyperv as hyperkeep_hyperv;

#[path = "../../hyperv/tests/wire/support.rs"]
#[allow(dead_code, reason = "other tests share it")]
mod support;

#[macro_use]
#[path = "host/passes_on.rs"]
mod passes_on;

#[path = "host/calm.rs"]
mod calm;
#[path = "host/cluster.rs"]
mod cluster;
#[path = "host/cost.rs"]
mod cost;
#[path = "host/differential.rs"]
mod differential;
#[path = "host/elsewhere.rs"]
mod elsewhere;
#[path = "host/guests.rs"]
mod guests;
#[path = "host/killed.rs"]
mod killed;
#[path = "host/late.rs"]
mod late;
#[path = "host/levels.rs"]
mod levels;
#[path = "host/many.rs"]
mod many;
#[path = "host/memory.rs"]
mod memory;
// Some thirty hosts, each of them backed up three times: minutes under Wine, and nothing in it depends
// on the system.
#[cfg(unix)]
#[path = "host/misbehaves.rs"]
mod misbehaves;
#[path = "host/others.rs"]
mod others;
#[path = "host/peace.rs"]
mod peace;
#[path = "host/room.rs"]
mod room;
#[path = "host/sides.rs"]
mod sides;
#[path = "host/unverified.rs"]
mod unverified;
#[path = "host/waiting.rs"]
mod waiting;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use disk::ReadAt;
use hyperkeep_engine::backup::{Audit, Job, JobReport, Options, Retry, backup};
use hyperkeep_engine::list::points;
use hyperkeep_engine::pipeline::Limits;
use hyperkeep_engine::progress::Quiet;
use hyperkeep_engine::restore::plan::{DiskFormat, DisksWanted};
use hyperkeep_engine::restore::{DisksTo, Task, restore_disks};
use hyperkeep_engine::source::hyperv::{HostSource, Hurry, Neighbour, OnReturn, Pacing, Setup};
use hyperkeep_engine::source::{
    Consistency, End, Finished, FrozenView, FrozenVm, LetGo, Listing, Memory, Moved, Request,
    Source, SourceError, VmRef,
};
use hyperkeep_engine::{Cancel, Clock, Code, Finding, Outcome};
use hyperv::checkpoint::Mark;
use hyperv::files::{FileError, FrozenFile, HostEntry, HostFiles, HostPath, MappedFiles, PathMap};
use hyperv::plan::{Policy, Wanted};
use hyperv::space::Floor;
use lab::Clock as _;
use lab::state::{Accident, CheckpointKind, Failure};
use store::MemoryStore;
use support::{Lab, MARK, Shared};
use uuid::Uuid;
use vault::{Argon2Cost, Env, InitOptions, Vault};

const SCENARIO: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 1099511627776}],
    "vms": [{"name": "first", "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 4194304, "seed": 3}]},
            {"name": "second", "disks": [{"path": "D:\\VMs\\b.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 20000}
}"#;

/// The engine's clock: waiting lets the host's time pass, and something happens at a time.
struct Waiting {
    time: Shared,
    /// What happens to the host when so much time has passed.
    then: Mutex<Option<(Duration, Accident)>>,
    host: Arc<Lab>,
}

impl Clock for Waiting {
    fn monotonic(&self) -> Duration {
        self.time.now()
    }
    fn unix_seconds(&self) -> u64 {
        1_700_000_000
    }
    fn sleep(&self, span: Duration) {
        self.time.sleep(span);
        let mut then = self.then.lock().unwrap();
        if let Some((_, what)) = then.take_if(|(at, _)| *at <= self.time.now()) {
            suffer(&self.host, &what);
        }
    }
}

fn suffer(lab: &Lab, what: &Accident) {
    lab.server.service().repository.host.suffer(what).unwrap();
}

struct Place {
    lab: Arc<Lab>,
    vault: Vault,
    state: tempfile::TempDir,
    runs: Mutex<u128>,
}

impl Place {
    fn new(scenario: &str) -> Self {
        Self::with(Lab::start(scenario))
    }

    fn with(lab: Lab) -> Self {
        let options = InitOptions {
            passphrase: None,
            cost: Argon2Cost::default(),
            segment: 64 << 10,
            cutter: vault::CutterSizes {
                min: 4096,
                average: 8192,
                max: 16384,
                ..Default::default()
            },
            writer: "test",
        };
        let store = Arc::new(MemoryStore::default());
        Self {
            lab: Arc::new(lab),
            vault: Vault::init(store, &options, Env::system()).unwrap().0,
            state: tempfile::tempdir().unwrap(),
            runs: Mutex::new(1),
        }
    }

    fn source(&self, pace: Arc<dyn Pace + Send + Sync>, floor: Floor) -> HostSource {
        let setup = self.setup(pace, floor);
        HostSource::open(setup).unwrap()
    }

    fn setup(&self, pace: Arc<dyn Pace + Send + Sync>, floor: Floor) -> Setup {
        let clock = self.lab.time.clock.clone();
        let mut run = self.runs.lock().unwrap();
        *run += 1;
        Setup {
            name: "lab".to_owned(),
            session: Arc::new(self.lab.session()),
            files: Arc::new(self.lab.files()),
            hurry: Hurry::default(),
            pace,
            clock: Arc::new(move || clock.now()),
            policy: Policy {
                floor,
                ..Policy::default()
            },
            pacing: Pacing::default(),
            mark: Mark {
                run: Uuid::from_u128(*run),
                ..MARK
            },
            journals: self.journals().to_owned(),
            neighbours: Vec::new(),
            node: None,
            on_return: OnReturn::default(),
        }
    }

    fn journals(&self) -> &Path {
        self.state.path()
    }

    fn back_up(&self, source: &mut dyn Source, then: Option<(Duration, Accident)>) -> JobReport {
        let options = Options {
            audit: Audit::OFF,
            ..Options::default()
        };
        self.back_up_as(source, &options, &Cancel::new(), then)
    }

    fn back_up_as(
        &self,
        source: &mut dyn Source,
        options: &Options,
        cancel: &Cancel,
        then: Option<(Duration, Accident)>,
    ) -> JobReport {
        let clock = Waiting {
            time: self.lab.time.clone(),
            then: Mutex::new(then),
            host: Arc::clone(&self.lab),
        };
        let job = Job {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel,
            limits: Limits {
                workers: 2,
                in_flight: 256 << 10,
                results: 256 << 10,
            },
        };
        let mut next = *self.runs.lock().unwrap() as u64;
        let mut rng = |out: &mut [u8]| {
            for byte in out {
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (next >> 33) as u8;
            }
        };
        backup(&job, source, options, &mut rng).unwrap()
    }

    fn run(&self) -> JobReport {
        let mut source = self.source(Arc::new(self.lab.time.clone()), Floor::NONE);
        self.back_up(&mut source, None)
    }

    /// The first disk of a restore point, restored as a raw file.
    fn restored(&self, point: &str) -> Vec<u8> {
        let clock = Waiting {
            time: self.lab.time.clone(),
            then: Mutex::new(None),
            host: Arc::clone(&self.lab),
        };
        let task = Task {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits: Limits {
                workers: 1,
                in_flight: 256 << 10,
                results: 256 << 10,
            },
        };
        let wanted = DisksWanted {
            flatten: true,
            format: Some(DiskFormat::Raw),
            ..DisksWanted::default()
        };
        let stored = points(&self.vault).unwrap().points;
        let line = stored.iter().find(|line| line.id == point).unwrap();
        let to = support::folder();
        let restored = restore_disks(
            &task,
            line.open(),
            &wanted,
            &DisksTo::folder(&to.path().join("to")),
        );
        assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
        std::fs::read(&restored.files[0].path).unwrap()
    }

    /// Kinds of checkpoints and the number of reference points of each VM, when all had its time.
    fn rest(&self) -> Vec<(Vec<CheckpointKind>, usize)> {
        self.lab.rest();
        let service = self.lab.server.service();
        let vms = service.repository.host.vms().iter();
        vms.map(|vm| {
            let kinds = vm.checkpoints.iter().map(|c| c.kind).collect();
            (kinds, vm.reference_points.len())
        })
        .collect()
    }

    fn id(&self, name: &str) -> Uuid {
        let service = self.lab.server.service();
        let vms = service.repository.host.vms();
        vms.iter().find(|vm| vm.settings.name == name).unwrap().id
    }
}

fn ours(count: usize) -> Vec<(Vec<CheckpointKind>, usize)> {
    vec![(Vec::new(), count); 2]
}

fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_vm_that_its_host_is_at_work_on_is_backed_up_when_that_is_over() {
    let place = Place::new(SCENARIO);
    let first = place.id("first");
    suffer(&place.lab, &Accident::Stuck(first, true));
    let begun = place.lab.time.now();
    let mut source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let at = begun + Duration::from_secs(60);
    let report = place.back_up(&mut source, Some((at, Accident::Stuck(first, false))));
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.vms[0].findings).contains(&Code::NotNow));
    assert!(!codes(&report.vms[1].findings).contains(&Code::NotNow));
    drop(source);
    assert_eq!(place.rest(), ours(1));
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
}

#[test]
fn a_vm_that_stays_busy_fails_and_holds_up_no_other() {
    let place = Place::new(SCENARIO);
    suffer(&place.lab, &Accident::Stuck(place.id("first"), true));
    let report = place.run();
    assert_eq!(report.vms[0].outcome, Outcome::Failed);
    assert_eq!(codes(&report.vms[0].findings)[0], Code::NotNow);
    assert_eq!(report.vms[1].outcome, Outcome::Ok);
    assert_eq!(Retry::default().tries, 6);
}

/// Each look at it is a second later.
struct Ticking(Shared);

impl Pace for Ticking {
    fn now(&self) -> Duration {
        self.0.sleep(Duration::from_secs(1));
        self.0.now()
    }
    fn sleep(&self, span: Duration) {
        self.0.sleep(span);
    }
}

/// Asking for a checkpoint would freeze guests for nothing.
#[test]
fn no_checkpoint_is_asked_for_where_no_file_can_be_had() {
    let place = Place::new(SCENARIO);
    let asked = Failure::general(Some(0x8007_0005), "a checkpoint was asked for");
    suffer(&place.lab, &Accident::JobFails(asked));
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.files = Arc::new(MappedFiles::new(PathMap::new()));
    let report = place.back_up(&mut HostSource::open(setup).unwrap(), None);
    for vm in &report.vms {
        assert_eq!((vm.outcome, &vm.point), (Outcome::Failed, &None));
        let [only] = vm.findings.as_slice() else {
            panic!("{vm:#?}");
        };
        assert_eq!(only.code, Code::DiskUnreadable);
        assert!(
            only.message.contains("not asked for a checkpoint"),
            "{only:?}"
        );
    }
    assert_eq!(place.rest(), ours(0));
}

/// A source of which something happens to the host when it has told its VMs.
struct Then(HostSource, Box<dyn Fn() + Send + Sync>);

impl Source for Then {
    passes_on!(0: describe, begin, end, freeze);

    fn list(&mut self) -> Result<Listing, SourceError> {
        let listing = self.0.list();
        (self.1)();
        listing
    }
}

#[test]
fn disks_that_went_to_other_files_since_the_inventory_are_found() {
    let scenario = SCENARIO.replace(
        r#"{"name": "second","#,
        r#"{"name": "second", "checkpoints": [{"name": "old"}],"#,
    );
    let place = Place::new(&scenario);
    let (lab, second) = (Arc::clone(&place.lab), place.id("second"));
    let merges = move || {
        suffer(&lab, &Accident::DropsCheckpoint(second, "old".to_owned()));
        lab.rest();
    };
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let report = place.back_up(&mut Then(source, Box::new(merges)), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(place.rest(), ours(1));
}

/// Guests that nobody asks, since they never answered: told each time, unless that will do.
#[test]
fn a_vm_that_runs_and_is_saved_without_its_guest_is_a_warning() {
    let silent = r#""backup-status": 12, "disks""#;
    let place = Place::new(&SCENARIO.replace("\"disks\"", silent));
    let report = place.run();
    assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
    for vm in &report.vms {
        assert_eq!(vm.consistency, Some(Consistency::Crash));
        assert!(codes(&vm.findings).contains(&Code::LessConsistent));
    }
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.policy.consistency = Wanted::Crash;
    let report = place.back_up(&mut HostSource::open(setup).unwrap(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
}

/// What the host says in the end is what the restore point says, and not what was asked for.
#[test]
fn a_restore_point_is_as_consistent_as_the_host_says_in_the_end() {
    let guest = r#""guest": {"name": "Windows", "version": "10.0", "platform": 2}, "disks""#;
    let rules = r#""rules": {"points-say-crash": true, "#;
    let scenario = SCENARIO
        .replace("\"disks\"", guest)
        .replace(r#""rules": {"#, rules);
    let place = Place::new(&scenario);
    let report = place.run();
    assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
    for vm in &report.vms {
        assert_eq!(vm.consistency, Some(Consistency::Crash));
        assert!(codes(&vm.findings).contains(&Code::LessConsistent));
    }
    let stored = hyperkeep_engine::list::points(&place.vault).unwrap().points;
    assert_eq!(stored.len(), 2);
    assert!(
        stored
            .iter()
            .all(|point| point.consistency == Consistency::Crash)
    );

    // It is no backup where the guest has to take part, and the last one is built upon.
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.policy.consistency = Wanted::RequireApplication;
    let mut source = HostSource::open(setup).unwrap();
    let report = place.back_up(&mut source, None);
    drop(source);
    for vm in &report.vms {
        assert_eq!((vm.outcome, &vm.point), (Outcome::Failed, &None), "{vm:#?}");
        assert_eq!(codes(&vm.findings), [Code::LessConsistent]);
    }
    assert_eq!(place.rest(), ours(1));
    let again = place.run();
    assert!(again.vms.iter().all(|vm| vm.level == Some("incremental")));
}
