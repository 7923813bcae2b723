//! Whole VMs: from a folder into a vault, and out again as a folder that an import accepts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::BlockRead;
use hyperkeep_engine as engine;

use engine::backup::{Job, JobReport, Options, VmReport, backup};
use engine::pipeline::Limits;
use engine::progress::Quiet;
use engine::restore::layer::open_chain;
use engine::restore::plan::DisksWanted;
use engine::restore::{Opened, RestoreReport, Task, restore_disks, restore_folder};
use engine::source::folder::FolderSource;
use engine::source::{CheckpointParent, Owner};
use engine::{Cancel, Code, Outcome, SystemClock};
use store::MemoryStore;
use tempfile::TempDir;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use vault::{Env, InitOptions, Vault};
use vmconfig::model::DriveKind;
use vmconfig::rewrite::{Rewrite, rewrite_file};
use vmconfig::{VmConfig, hvs, xml};

const MIB: u64 = 1 << 20;
const LIMITS: Limits = Limits {
    workers: 2,
    in_flight: 16 << 20,
    results: 16 << 20,
};

struct World {
    dir: TempDir,
    vault: Vault,
}

impl World {
    fn new() -> Self {
        let options = InitOptions {
            writer: "test",
            ..InitOptions::default()
        };
        let store = Arc::new(MemoryStore::default());
        let (vault, _) = Vault::init(store, &options, Env::system()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("vms")).unwrap();
        Self { dir, vault }
    }

    fn vms(&self) -> PathBuf {
        self.dir.path().join("vms")
    }

    fn backup(&self, folder: &Path) -> JobReport {
        self.backup_of(folder, Options::default())
    }

    fn backup_of(&self, folder: &Path, options: Options) -> JobReport {
        let clock = SystemClock::new();
        let job = Job {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits: LIMITS,
        };
        let mut source = FolderSource::open(folder).unwrap();
        let mut seed = self.vault.points(None).unwrap().len() as u64;
        let mut rng = |out: &mut [u8]| {
            seed += 1000;
            out.copy_from_slice(&noise(seed, out.len()));
        };
        backup(&job, &mut source, &options, &mut rng).unwrap()
    }

    fn open(&self, vm: &VmReport) -> Opened {
        let id = vm.point.as_ref().unwrap();
        let all = self.vault.points(None).unwrap();
        let reference = all.iter().find(|p| p.point.to_string() == *id).unwrap();
        Opened::open(&self.vault.point(reference).unwrap()).unwrap()
    }

    fn with_task(&self, f: impl FnOnce(&Task<'_>) -> RestoreReport) -> RestoreReport {
        let clock = SystemClock::new();
        f(&Task {
            vault: &self.vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits: LIMITS,
        })
    }

    fn restore_folder(&self, point: &Opened, to: &Path) -> RestoreReport {
        self.with_task(|task| restore_folder(task, point, to))
    }

    /// What a guest sees of each of the owner's disks, by where it is attached.
    fn disks(&self, point: &Opened, owner: &Owner) -> Vec<(String, Vec<u8>)> {
        let uses = point.details.uses.iter().filter(|u| u.owner == *owner);
        uses.map(|u| {
            let chain =
                open_chain(&self.vault, &point.details, &point.layer_roots, u.layer).unwrap();
            let mut bytes = vec![0; chain.len() as usize];
            chain.read_at(0, &mut bytes).unwrap();
            (u.slot.clone(), bytes)
        })
        .collect()
    }
}

/// A VM with a disk that has one checkpoint, and a second disk.
fn web(number: u64, folder: &Path) -> Vm {
    let vm = Vm::generation2("Web & “数” 💾", number)
        .disk("web_1.avhdx")
        .checkpoint("before <the> update", &["web.vhdx"])
        .disk("data.vhdx");
    vm.write_to(folder, Layout::Export).unwrap();
    let disks = folder.join(vm.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 8 * MIB, 10 * number)
        .data(0, &noise(number, 300_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 10 * number + 1)
        .data(4096, &noise(number + 1, 8192))
        .write(&disks.join("web_1.avhdx"));
    Image::new(Kind::VhdxFixed, 4 * MIB, 10 * number + 2)
        .data(MIB, &noise(number + 2, 5000))
        .write(&disks.join("data.vhdx"));
    vm
}

fn only(report: &JobReport) -> &VmReport {
    assert_eq!(report.vms.len(), 1, "{report:?}");
    &report.vms[0]
}

/// What was backed up as `bytes` lies at `path` in the restored folder `to`: byte for byte, but for
/// configurations on Windows, where the place of the disks is known and is said.
fn assert_came_back(bytes: &[u8], path: &Path, to: &Path) {
    let shown = path.display();
    let restored = fs::read(path).unwrap();
    let configuration = path.extension().is_some_and(|e| e == "vmcx" || e == "xml");
    if cfg!(unix) || !configuration {
        assert!(restored == bytes, "{shown}");
        return;
    }
    let (then, now) = (parse(bytes), parse(&restored));
    // Each drive names the restored file of its disk by its full path, ...
    assert_eq!(media(&now).len(), media(&then).len(), "{shown}");
    for (old, new) in std::iter::zip(media(&then), media(&now)) {
        let name = old.rsplit('\\').next().unwrap();
        let disk = to.join("Virtual Hard Disks").join(name);
        assert!(Path::new(&new) == disk && disk.is_file(), "{shown}: {new}");
    }
    // ... the folders are those of the restored VM, where the configuration has them, ...
    let root = to.to_str().unwrap().to_owned();
    let moved = |old: &Option<String>| old.as_ref().map(|_| root.clone());
    assert_eq!(
        now.data_roots.configuration,
        moved(&then.data_roots.configuration)
    );
    assert_eq!(
        now.data_roots.checkpoints,
        moved(&then.data_roots.checkpoints)
    );
    // ... and nothing else changed: with the old paths put back it is the old one.
    let back = Rewrite {
        media: std::iter::zip(media(&now), media(&then)).collect(),
        data_root: then.data_roots.configuration.clone(),
        checkpoint_root: then.data_roots.checkpoints.clone(),
    };
    let (back, done) = rewrite_file(&restored, &back).unwrap();
    assert_eq!(done.unused, Vec::<String>::new(), "{shown}");
    let (afresh, _) = rewrite_file(bytes, &Rewrite::default()).unwrap();
    assert!(back == afresh, "{shown}");
}

fn parse(bytes: &[u8]) -> VmConfig {
    let tree = match hvs::is_hvs(bytes) {
        true => hvs::read_tree(bytes).unwrap().0,
        false => xml::read_tree(bytes).unwrap().0,
    };
    VmConfig::from_tree(&tree).unwrap()
}

/// The paths of a configuration's disks.
fn media(config: &VmConfig) -> Vec<String> {
    config
        .virtual_disks()
        .map(|(_, path)| path.to_owned())
        .collect()
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_vm_with_a_checkpoint_comes_back_as_a_folder_that_is_the_same_vm() {
    let world = World::new();
    let vm = web(1, &world.vms());
    let report = world.backup(&world.vms());
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let first = only(&report);
    assert_eq!(Some(first.id), vm.config.id);
    let point = world.open(first);
    let details = &point.details;
    assert_eq!(details.vm_name, vm.config.name);
    assert_eq!(details.layers.len(), 3);
    assert_eq!(details.checkpoints.len(), 1);
    assert_eq!(details.checkpoints[0].name, "before <the> update");
    assert_eq!(details.checkpoints[0].parent, CheckpointParent::Root);
    assert_eq!(details.current, Some(details.checkpoints[0].id));
    assert!(details.config.is_some());
    let names: Vec<&str> = details.files.iter().map(|f| f.path.file_name()).collect();
    for end in [".vmcx", ".vmrs", ".vmgs"] {
        let count = names.iter().filter(|name| name.ends_with(end)).count();
        assert_eq!(count, 2, "{end}: {names:?}");
    }

    let to = world.dir.path().join("restored");
    let restored = world.restore_folder(&point, &to);
    assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
    // Hyper-V's layout.
    assert_eq!(entries(&to.join("Virtual Hard Disks")), 3);
    assert_eq!(entries(&to.join("Snapshots")), 3);
    for (path, bytes) in vm.files(Layout::Export) {
        let below: PathBuf = path.split('/').skip(1).collect();
        assert_came_back(&bytes, &to.join(&below), &to);
    }

    // The restored folder is the same VM with the same disks.
    let again = world.backup(&to);
    assert_eq!(again.outcome, Outcome::Ok, "{again:?}");
    assert_eq!(only(&again).id, first.id);
    let copy = world.open(only(&again));
    for owner in [Owner::Vm, Owner::Checkpoint(details.checkpoints[0].id)] {
        let there = world.disks(&copy, &owner);
        assert!(!there.is_empty());
        assert!(there == world.disks(&point, &owner));
    }
    // Into a folder that is not empty nothing is restored.
    let refused = world.restore_folder(&point, &to);
    assert_eq!(refused.outcome, Outcome::Failed);
    assert_eq!(refused.findings[0].code, Code::TargetExists);
}

#[test]
fn older_configurations_with_saved_memory_come_back_in_their_layout() {
    let world = World::new();
    let vm = Vm::generation1_xml("old", 3).disk("old.vhd").saved();
    vm.write_to(&world.vms(), Layout::Shared).unwrap();
    Image::new(Kind::Vhd, 4 * MIB, 1)
        .data(0, &noise(1, 70_000))
        .write(
            &world
                .vms()
                .join(vm.disk_folder(Layout::Shared))
                .join("old.vhd"),
        );
    let report = world.backup(&world.vms());
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let point = world.open(only(&report));
    let to = world.dir.path().join("restored");
    let restored = world.restore_folder(&point, &to);
    assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
    for (path, bytes) in vm.files(Layout::Shared) {
        assert_came_back(&bytes, &to.join(&path), &to);
    }
}

#[test]
fn a_checkpoint_alone_gives_its_own_disks() {
    let world = World::new();
    web(1, &world.vms());
    let report = world.backup(&world.vms());
    let point = world.open(only(&report));
    let owner = Owner::Checkpoint(point.details.checkpoints[0].id);
    let wanted = DisksWanted {
        checkpoint: Some(owner),
        ..DisksWanted::default()
    };
    let to = world.dir.path().join("then");
    let restored = world.with_task(|task| restore_disks(task, &point, &wanted, &to));
    assert_eq!(restored.outcome, Outcome::Ok);
    let names: Vec<_> = fs::read_dir(&to)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["web.vhdx"]);
}

#[test]
fn a_missing_disk_makes_its_vm_partial_and_the_other_vm_is_whole() {
    let world = World::new();
    let broken = web(1, &world.vms().join("a"));
    let whole = web(2, &world.vms().join("b"));
    let disks = world
        .vms()
        .join("a")
        .join(broken.disk_folder(Layout::Export));
    fs::remove_file(disks.join("data.vhdx")).unwrap();
    let report = world.backup(&world.vms());
    assert_eq!(report.vms.len(), 2);
    let find = |id| report.vms.iter().find(|vm| Some(vm.id) == id).unwrap();
    let (bad, good) = (find(broken.config.id), find(whole.config.id));
    assert_eq!(good.outcome, Outcome::Ok, "{good:?}");
    assert_eq!(bad.outcome, Outcome::Partial);
    let told = |f: &engine::Finding| f.code == Code::DiskMissing && f.hint.is_some();
    assert!(bad.findings.iter().any(told), "{bad:?}");
    let point = world.open(bad);
    assert_eq!(point.details.missing.len(), 1);
    assert_eq!(point.details.layers.len(), 2);
    let to = world.dir.path().join("restored");
    let restored = world.restore_folder(&point, &to);
    assert_eq!(restored.outcome, Outcome::Partial, "{restored:?}");
    assert_eq!(entries(&to.join("Virtual Hard Disks")), 2);
}

#[test]
fn a_vm_that_was_asked_for_and_is_not_there_is_not_covered() {
    use engine::select::{Rule, Selection};
    let world = World::new();
    let vm = web(1, &world.vms());
    for (pattern, outcome) in [
        ("wep", Outcome::Partial),
        ("wep*", Outcome::Warning),
        ("WEB*", Outcome::Ok),
    ] {
        let rules = [vm.config.name.as_str(), pattern].map(|p| (Rule::Include, p.to_owned()));
        let options = Options {
            selection: Selection::new(rules).unwrap(),
            ..Options::default()
        };
        let report = world.backup_of(&world.vms(), options);
        assert_eq!(only(&report).outcome, Outcome::Ok);
        assert_eq!(report.outcome, outcome, "{report:?}");
    }
}

#[test]
fn a_restore_is_no_better_than_its_backup() {
    let world = World::new();
    web(1, &world.vms());
    let mut point = world.open(only(&world.backup(&world.vms())));
    point.details.layers[0].moved = true;
    for flatten in [false, true] {
        let wanted = DisksWanted {
            flatten,
            ..DisksWanted::default()
        };
        let to = world.dir.path().join(format!("disks {flatten}"));
        let torn = world.with_task(|task| restore_disks(task, &point, &wanted, &to));
        assert_eq!(torn.outcome, Outcome::Warning, "{torn:?}");
        assert_eq!(torn.files.len(), if flatten { 2 } else { 3 });
        assert_eq!(torn.findings.len(), 1);
        assert_eq!(torn.findings[0].code, Code::ChangedDuringBackup);
    }
    let lost = |code| engine::Finding::new(code, engine::Severity::Partial, "x.vmrs", "why");
    for (code, outcome) in [
        (Code::ChangedDuringBackup, Outcome::Warning),
        (Code::FileUnreadable, Outcome::Partial),
    ] {
        point.details.findings = vec![lost(code)];
        let to = world.dir.path().join(code.as_str());
        let restored = world.restore_folder(&point, &to);
        assert_eq!(restored.outcome, outcome, "{restored:?}");
        assert!(restored.findings.iter().any(|f| f.code == code));
    }
}

#[test]
fn two_copies_of_a_vm_are_two_vms_and_are_told() {
    let world = World::new();
    web(1, &world.vms().join("original"));
    web(1, &world.vms().join("copy"));
    let report = world.backup(&world.vms());
    assert_eq!(report.vms.len(), 2);
    assert_ne!(report.vms[0].id, report.vms[1].id);
    assert_eq!(report.outcome, Outcome::Warning, "{report:?}");
    assert!(report.findings.iter().any(|f| f.code == Code::DuplicateId));
    // The next run knows both again.
    let again = world.backup(&world.vms());
    let ids = |report: &JobReport| report.vms.iter().map(|vm| vm.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&report));
    assert!(again.vms.iter().all(|vm| vm.stats.new == 0));
}

#[test]
fn a_configuration_that_cannot_be_understood_is_saved_as_it_is() {
    let world = World::new();
    let vm = web(1, &world.vms());
    let id = vm.config.id.unwrap().to_string().to_uppercase();
    let machines = world.vms().join(&vm.folder).join("Virtual Machines");
    let file = machines.join(format!("{id}.vmcx"));
    let mut bytes = fs::read(&file).unwrap();
    bytes[..8192].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let report = world.backup(&world.vms());
    assert!(report.outcome >= Outcome::Partial, "{report:?}");
    let unreadable = |vm: &&VmReport| vm.findings.iter().any(|f| f.code == Code::ConfigUnreadable);
    let saved = report.vms.iter().find(unreadable).unwrap();
    let point = world.open(saved);
    let mut files = point.details.files.iter();
    assert!(files.any(|f| f.path.file_name().ends_with(".vmcx")));
    // Its disks are saved, too: as loose ones.
    let disks: usize = report.vms.iter().map(|vm| vm.layers.len()).sum();
    assert_eq!(disks, 3);
    let refused = world.restore_folder(&point, &world.dir.path().join("restored"));
    assert_eq!(refused.outcome, Outcome::Failed);
    assert!(refused.findings[0].hint.is_some());
}

#[test]
fn what_no_backup_of_files_can_hold_is_said() {
    let world = World::new();
    let vm = Vm::generation1("mixed", 5)
        .disk("a.vhdx")
        .medium(DriveKind::PassThrough, Some("Disk 3".to_owned()));
    vm.write_to(&world.vms(), Layout::Export).unwrap();
    let disks = world.vms().join(vm.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 4 * MIB, 1).write(&disks.join("a.vhdx"));
    let report = world.backup(&world.vms());
    let vm = only(&report);
    assert_eq!(vm.outcome, Outcome::Partial, "{vm:?}");
    let point = world.open(vm);
    assert_eq!(point.details.not_covered.len(), 1, "{:?}", point.details);
}

#[test]
fn a_vm_of_an_endless_name_restores() {
    let world = World::new();
    let name = format!("{} <a:b|c?>", "名".repeat(300));
    let mut vm = Vm::generation2(&name, 6).disk("disk.vhdx");
    vm.folder = "vm".to_owned();
    vm.write_to(&world.vms(), Layout::Export).unwrap();
    let disks = world.vms().join(vm.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 4 * MIB, 1)
        .data(0, &noise(1, 4096))
        .write(&disks.join("disk.vhdx"));
    let report = world.backup(&world.vms());
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let point = world.open(only(&report));
    assert_eq!(point.details.vm_name, name);
    let to = world.dir.path().join("restored");
    let restored = world.restore_folder(&point, &to);
    assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
    let again = world.backup(&to);
    assert_eq!(again.outcome, Outcome::Ok, "{again:?}");
    let stored = &only(&again).layers;
    assert_eq!(stored.len(), 1);
    assert!(stored.iter().all(|layer| layer.stats.new == 0), "{again:?}");
    if cfg!(unix) {
        assert_eq!(only(&again).stats.new, 0, "not even the configuration");
    }
}
