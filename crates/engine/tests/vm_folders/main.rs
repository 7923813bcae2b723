//! Whole VMs: from a folder into a vault, and out again as a folder that an import accepts.

mod advice;
mod again;
mod not_covered;
mod places;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use hyperkeep_engine as engine;

use engine::backup::{JobReport, Options, VmReport};
use engine::restore::plan::DisksWanted;
use engine::restore::{DisksTo, restore_disks};
use engine::source::{CheckpointParent, Owner};
use engine::{Code, Outcome};
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use vmconfig::model::DriveKind;

use places::assert_came_back;
use world::{MIB, World, only, web};

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
        assert_came_back(&bytes, &to.join(&below), &to, None);
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
        assert_came_back(&bytes, &to.join(&path), &to, None);
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
    let restored =
        world.with_task(|task| restore_disks(task, &point, &wanted, &DisksTo::folder(&to)));
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
        let torn =
            world.with_task(|task| restore_disks(task, &point, &wanted, &DisksTo::folder(&to)));
        assert_eq!(torn.outcome, Outcome::Warning, "{torn:?}");
        assert_eq!(torn.files.len(), if flatten { 2 } else { 3 });
        assert_eq!(torn.findings.len(), 1);
        assert_eq!(torn.findings[0].code, Code::ChangedDuringBackup);
    }
    let lost =
        |code| engine::Finding::new(code, engine::Severity::Partial, "x.vmrs", "why").hint("do");
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

/// As somebody leaves it who copies a folder of checkpoints to be safe.
#[test]
fn a_checkpoint_that_is_there_twice_is_told_and_fails_nothing() {
    let world = World::new();
    let machine = web(1, &world.vms());
    let report = world.backup(&world.vms());
    assert_eq!(only(&report).outcome, Outcome::Ok, "{report:?}");
    let files = machine.files(Layout::Export);
    let of_checkpoints = files.iter().filter(|(path, _)| path.contains("Snapshots/"));
    for (path, bytes) in of_checkpoints {
        let copy = world
            .vms()
            .join(path.replace("Snapshots/", "Snapshots/copy/"));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(copy, bytes).unwrap();
    }
    let report = world.backup(&world.vms());
    let vm = only(&report);
    assert_eq!(vm.outcome, Outcome::Warning, "{report:?}");
    assert!(vm.findings.iter().any(|f| f.code == Code::DuplicateId));
    let details = world.open(vm).details;
    assert_eq!(details.checkpoints.len(), 2);
    assert_ne!(details.checkpoints[0].id, details.checkpoints[1].id);
}
