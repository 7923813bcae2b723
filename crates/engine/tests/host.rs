//! A simulated host through the engine, by a clock that only waiting moves.

extern crate hyperv as hyperkeep_hyperv;

#[path = "../../hyperv/tests/wire/support.rs"]
#[allow(dead_code, reason = "other tests share it")]
mod support;

#[path = "host/cluster.rs"]
mod cluster;
#[path = "host/many.rs"]
mod many;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use disk::ReadAt;
use hyperkeep_engine::backup::{Audit, Job, JobReport, Options, Retry, backup};
use hyperkeep_engine::pipeline::Limits;
use hyperkeep_engine::progress::Quiet;
use hyperkeep_engine::source::hyperv::{HostSource, Hurry, Setup};
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
            mark: Mark {
                run: Uuid::from_u128(*run),
                ..MARK
            },
            journals: self.journals().to_owned(),
            neighbours: Vec::new(),
            node: None,
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

/// The volume is nearly full as soon as the first checkpoint has its name.
fn filling() -> Place {
    let fills = r#""rules": {"merge-ms": 20000}, "mishaps": [{"on": "ModifySystemSettings",
        "after": [{"space": {"volume": "D:\\", "free": 1073741824}}]}]"#;
    let at = SCENARIO.find(r#""rules""#).unwrap();
    Place::new(&format!("{}{fills}}}", &SCENARIO[..at]))
}

#[test]
fn a_volume_that_fills_while_a_vm_is_read_ends_its_backup_and_its_checkpoint() {
    let place = filling();
    let mut source = place.source(Arc::new(Ticking(place.lab.time.clone())), Floor::default());
    let report = place.back_up(&mut source, None);
    let [first, second] = report.vms.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    assert!(
        first.findings[0].message.contains("MiB are free"),
        "{first:#?}"
    );
    // The other VM is on the same volume.
    assert_eq!(second.point, None, "{second:#?}");
    drop(source);
    assert_eq!(place.rest(), ours(0));
    assert!(place.vault.points(None).unwrap().is_empty());
}

/// The room comes back by merging: whether that was done is told of a VM that was given up as well.
#[test]
fn a_vm_that_was_given_up_is_told_if_its_host_does_not_merge() {
    let place = filling();
    let failure = Failure::general(Some(0x8007_0070), "no room");
    suffer(&place.lab, &Accident::MergeFails(failure));
    let mut source = place.source(Arc::new(Ticking(place.lab.time.clone())), Floor::default());
    let report = place.back_up(&mut source, None);
    assert_eq!(report.vms[0].outcome, Outcome::Failed);
    let told = |f: &Finding| f.code == Code::CleanupFailed && f.message.contains("has not merged");
    assert!(report.findings.iter().any(told), "{report:#?}");
}

/// A source whose process dies between a VM's restore point and its end; whether it was let go by
/// then.
struct Dies(HostSource, bool);

struct DiesVm(Option<Box<dyn FrozenVm>>, bool);

impl Source for Dies {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        self.0.begin(memory)
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        self.0.list()
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        Ok(Box::new(DiesVm(Some(self.0.freeze(vm, request)?), self.1)))
    }
}

impl FrozenVm for DiesVm {
    fn view(&self) -> &FrozenView {
        self.0.as_ref().unwrap().view()
    }
    fn recheck(&mut self) -> Vec<Moved> {
        self.0.as_mut().unwrap().recheck()
    }
    fn let_go(&mut self) -> Result<LetGo, Finding> {
        match self.1 {
            true => self.0.as_mut().unwrap().let_go(),
            false => Ok(LetGo::default()),
        }
    }
    fn finish(mut self: Box<Self>, _: End) -> Finished {
        std::mem::forget(self.0.take());
        Finished::default()
    }
}

#[test]
fn killed_between_a_restore_point_and_its_end_nothing_of_either_is_left() {
    use CheckpointKind::Recovery;
    for (let_go, left_then) in [(false, (vec![Recovery], 1)), (true, (Vec::new(), 2))] {
        let place = Place::new(SCENARIO);
        assert_eq!(place.run().outcome, Outcome::Ok);
        assert_eq!(place.rest(), ours(1));
        let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
        let mut dies = Dies(source, let_go);
        place.back_up(&mut dies, None);
        drop(dies);
        assert_eq!(place.rest(), vec![left_then; 2]);

        // Its restore points have no tokens, so the reference points before them are nobody's.
        let report = place.run();
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let put_right = codes(&report.findings);
        let count = put_right.iter().filter(|code| **code == Code::PutRight);
        assert_eq!(count.count(), 4, "{report:#?}");
        assert!(report.vms.iter().all(|vm| vm.level == Some("full")));
        assert_eq!(place.rest(), ours(1));
        assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
        let again = place.run();
        assert!(again.vms.iter().all(|vm| vm.level == Some("incremental")));
    }
}

/// Its journal is kept under a name of the host that nobody uses any more.
#[test]
fn what_was_killed_under_another_name_of_the_host_goes_after_a_day() {
    let place = Place::new(SCENARIO);
    let elsewhere = tempfile::tempdir().unwrap();
    let time = || Arc::new(place.lab.time.clone());
    let mut setup = place.setup(time(), Floor::NONE);
    setup.journals = elsewhere.path().to_owned();
    let mut dies = Dies(HostSource::open(setup).unwrap(), false);
    place.back_up(&mut dies, None);
    drop(dies);
    let run = || {
        let mut setup = place.setup(time(), Floor::NONE);
        setup.neighbours = vec![elsewhere.path().to_owned()];
        place.back_up(&mut HostSource::open(setup).unwrap(), None)
    };
    let report = run();
    let codes_then = codes(&report.findings);
    assert!(codes_then.contains(&Code::LeftOnHost), "{report:#?}");
    assert!(!codes_then.contains(&Code::PutRight), "{report:#?}");
    let hint = &report.findings[0].hint;
    let folder = elsewhere.path().display().to_string();
    assert!(hint.as_ref().is_some_and(|hint| hint.contains(&folder)));

    place.lab.time.sleep(Duration::from_secs(24 * 3600));
    let report = run();
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(place.rest(), ours(1));
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
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        self.0.begin(memory)
    }
    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        self.0.end(memory)
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        let listing = self.0.list();
        (self.1)();
        listing
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        self.0.freeze(vm, request)
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

/// Files whose bytes do not come as long as nobody is in a hurry.
struct Hanging {
    inner: MappedFiles,
    hurry: Hurry,
    hang: Arc<AtomicBool>,
}

struct HangingFile(Arc<FrozenFile>, Hurry, Arc<AtomicBool>);

impl ReadAt for HangingFile {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        // What lies far in is the disk's data; a minute is longer than any test takes.
        let begun = std::time::Instant::now();
        while offset >= 4 << 20 && self.2.load(Ordering::Relaxed) {
            if self.1.is_on() || begun.elapsed() > Duration::from_secs(60) {
                return Err(std::io::Error::other("nobody waits any more"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.read_exact_at(buf, offset)
    }
}

impl HostFiles for Hanging {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = self.inner.open(path)?;
        let file = HangingFile(file, self.hurry.clone(), Arc::clone(&self.hang));
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(file))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.inner.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.inner.list(folder)
    }
}

/// Nothing comes by any more that could look: a thread does.
#[test]
fn a_volume_that_fills_while_a_read_hangs_ends_the_backup_as_well() {
    let place = filling();
    let hurry = Hurry::default();
    let files = Hanging {
        inner: place.lab.files(),
        hurry: hurry.clone(),
        hang: Arc::new(AtomicBool::new(true)),
    };
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::default());
    setup.files = Arc::new(files);
    setup.hurry = hurry.clone();
    let source = HostSource::open(setup).unwrap();
    let mut source = source.looking_every(Duration::from_millis(5));
    let begun = std::time::Instant::now();
    let report = place.back_up(&mut source, None);
    assert!(begun.elapsed() < Duration::from_secs(50), "the read hung");
    let first = &report.vms[0];
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    let told = |f: &Finding| f.message.contains("MiB are free");
    assert!(first.findings.iter().any(told), "{first:#?}");
    assert!(!hurry.is_on());
    drop(source);
    assert_eq!(place.rest(), ours(0));
}

const WITH_MEMORY: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 1099511627776}],
    "vms": [{"name": "first", "memory": 64, "tpm": true,
             "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 20000}
}"#;

/// Files that are not kept open, as those of a process that is gone are not.
struct Loaded(MappedFiles);

impl HostFiles for Loaded {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = self.0.open(path)?;
        let mut bytes = vec![0; usize::try_from(self.0.len(path)?).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(bytes))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.0.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.0.list(folder)
    }
}

/// What is in the staging folder, which is made if need be.
fn staged(place: &Place) -> usize {
    let folder = place.lab.drive('D').join("Staging");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn killed_while_an_export_is_read_the_next_run_removes_it() {
    let place = Place::new(WITH_MEMORY);
    assert_eq!(staged(&place), 0);
    assert_eq!(place.run().outcome, Outcome::Ok);
    let with_memory = || {
        let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
        setup.files = Arc::new(Loaded(place.lab.files()));
        let source = HostSource::open(setup).unwrap();
        source.with_memory("D:\\Staging".to_owned())
    };
    place.back_up(&mut Dies(with_memory(), false), None);
    assert_eq!(staged(&place), 1);

    let mut source = with_memory();
    let report = place.back_up(&mut source, None);
    drop(source);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(staged(&place), 0);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
    // The one that was killed has published a point without a token, so nothing goes on from it.
    assert!(place.rest()[0].0.is_empty());
    let again = place.run();
    assert_eq!(again.outcome, Outcome::Ok, "{again:#?}");
    assert_eq!(place.rest(), vec![(Vec::new(), 1)]);
}

/// There is no room for a copy: the disks are saved all the same, and what is missing is told.
#[test]
fn without_room_for_its_memory_a_vm_is_saved_without_it_and_partial() {
    let room = WITH_MEMORY.replace("1099511627776", "41943040");
    let place = Place::new(&room);
    assert_eq!(staged(&place), 0);
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let mut source = source.with_memory("D:\\Staging".to_owned());
    let report = place.back_up(&mut source, None);
    drop(source);
    let vm = &report.vms[0];
    assert_eq!(vm.outcome, Outcome::Partial, "{report:#?}");
    let told = |f: &Finding| f.code == Code::NotCovered && f.message.contains("memory 64 MiB");
    assert!(vm.findings.iter().any(told), "{vm:#?}");
    assert!(vm.point.is_some());
    assert_eq!((staged(&place), place.rest()), (0, vec![(Vec::new(), 1)]));
}
