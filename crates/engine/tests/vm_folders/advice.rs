//! Bad input of every kind: what is found comes with what to do about it, which
//! [`World`] looks at in each report.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hyperkeep_engine::Finding;
use hyperkeep_engine::backup::Options;
use hyperkeep_engine::restore::plan::DisksWanted;
use hyperkeep_engine::restore::{DisksTo, RestoreReport, restore_disks};
use hyperkeep_engine::select::{Rule, Selection};
use testkit::image::{Image, Kind};
use testkit::vm::{Layout, Vm};
use vmconfig::model::DriveKind;

use crate::world::{MIB, World, web};

fn codes<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> BTreeSet<&'static str> {
    findings.into_iter().map(|f| f.code.as_str()).collect()
}

/// A folder in which nothing is as it should be.
fn spoil(world: &World) {
    let vms = world.vms();
    let mut bad = Vm::generation1("bad", 1)
        .disk("good.vhdx")
        .disk("gone.vhdx")
        .disk("torn.vhdx")
        .disk("other.vmdk")
        .medium(DriveKind::PassThrough, Some("Disk 3".to_owned()));
    bad.config.disk_merge_pending = Some(true);
    bad.write_to(&vms, Layout::Export).unwrap();
    let disks = vms.join(bad.disk_folder(Layout::Export));
    let good = Image::new(Kind::Vhdx, 4 * MIB, 1).write(&disks.join("good.vhdx"));
    Image::child(&good, "good.vhdx", 2).write(&disks.join("left.avhdx"));
    fs::write(disks.join("torn.vhdx"), b"vhdxfile").unwrap();
    fs::write(disks.join("other.vmdk"), b"KDMV").unwrap();
    fs::write(vms.join("stray.vmdk"), b"KDMV").unwrap();

    // Twins, a configuration that is none, a checkpoint whose VM is gone, a child without parent.
    web(2, &vms.join("twin"));
    web(2, &vms.join("other twin"));
    for (number, folder) in [(3, "spoilt"), (4, "headless")] {
        let vm = web(number, &vms.join(folder));
        let machines = vms.join(folder).join(&vm.folder).join("Virtual Machines");
        match folder {
            "headless" => fs::remove_dir_all(machines).unwrap(),
            _ => {
                for entry in fs::read_dir(machines).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|e| e == "vmcx") {
                        fs::write(path, [0xff; 8192]).unwrap();
                    }
                }
            }
        }
    }
    let lost = Image::new(Kind::Vhdx, 4 * MIB, 50).info;
    Image::child(&lost, "lost.vhdx", 51).write(&vms.join("orphan.avhdx"));
}

#[test]
fn whatever_is_found_in_a_bad_folder_comes_with_advice() {
    let world = World::new();
    spoil(&world);
    let report = world.backup(&world.vms());
    let vms = report.vms.iter().flat_map(|vm| &vm.findings);
    let found = codes(report.findings.iter().chain(vms));
    for code in [
        "config-unreadable",
        "disk-damaged",
        "disk-missing",
        "duplicate-id",
        "not-covered",
        "parent-missing",
        "unreferenced-disk",
    ] {
        assert!(found.contains(code), "{code}: {found:?}");
    }
    let nobody = Options {
        selection: Selection::new([(Rule::Include, "nobody".to_owned())]).unwrap(),
        ..Options::default()
    };
    let report = world.backup_of(&world.vms(), nobody);
    assert_eq!(codes(&report.findings).len(), 3, "{report:?}");
}

#[test]
fn whatever_keeps_a_restore_from_being_whole_comes_with_advice() {
    let world = World::new();
    spoil(&world);
    let report = world.backup(&world.vms());
    let bad = report.vms.iter().find(|vm| vm.name == "bad").unwrap();
    let point = world.open(bad);
    let to = world.dir.path().join("to");
    let file = world.dir.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let told = |report: RestoreReport, code| {
        let found = codes(&report.findings);
        assert!(found.contains(code), "{code}: {found:?}");
    };
    let disks = |wanted: &DisksWanted, to: &Path| {
        world.with_task(|task| restore_disks(task, &point, wanted, &DisksTo::folder(to)))
    };
    let all = DisksWanted::default();
    told(disks(&all, &to), "disk-missing");
    told(disks(&all, &to), "target-exists");
    told(disks(&all, &file), "target-exists");
    // What is in the way is a file, which systems call by different names.
    let below = codes(&disks(&all, &file.join("below")).findings);
    assert!(
        below.contains("target-failed") || below.contains("target-exists"),
        "{below:?}"
    );
    let named = DisksWanted {
        disks: vec!["nobody.vhdx".to_owned()],
        ..DisksWanted::default()
    };
    told(disks(&named, &to), "nothing-selected");
    let stopped = world.with_task(|task| {
        task.cancel.cancel();
        restore_disks(task, &point, &all, &DisksTo::folder(&to))
    });
    told(stopped, "cancelled");
    let whole = world.dir.path().join("whole");
    told(world.restore_folder(&point, &whole), "disk-missing");
    told(world.restore_folder(&point, &whole), "target-exists");
    let spoilt = report.vms.iter().find(|vm| {
        let found = codes(&vm.findings);
        vm.point.is_some() && found.contains("config-unreadable")
    });
    let spoilt = world.open(spoilt.unwrap());
    told(world.restore_folder(&spoilt, &to), "target-exists");
    let elsewhere = world.dir.path().join("elsewhere");
    told(
        world.restore_folder(&spoilt, &elsewhere),
        "config-unreadable",
    );
}
