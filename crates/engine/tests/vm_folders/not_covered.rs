//! What lies in a folder, or in a VM's drives, and is in no restore point: it is named.

use std::fs;

use hyperkeep_engine::{Code, Finding, Outcome, Severity};
use testkit::image::{Image, Kind};
use testkit::vm::{Layout, Vm};
use vmconfig::model::DriveKind;

use crate::world::{MIB, World, only, web};

/// Those of a code, by severity and the last part of what they are about.
fn told(findings: &[Finding], code: Code) -> Vec<(Severity, &str)> {
    let found = findings.iter().filter(|f| f.code == code);
    let mut told: Vec<_> = found
        .map(|f| (f.severity, f.object.rsplit(['/', '\\']).next().unwrap()))
        .collect();
    told.sort_unstable();
    told
}

#[test]
fn disks_of_other_programs_are_told_and_what_is_no_disk_is_not() {
    let world = World::new();
    web(1, &world.vms());
    for name in [
        "old.vmdk",
        "lab.QCOW2",
        "box.vdi",
        "set.vhds",
        "readme.txt",
        "export.log",
        "setup.iso",
    ] {
        fs::write(world.vms().join(name), "what it is, its name tells").unwrap();
    }
    let report = world.backup(&world.vms());
    assert_eq!(only(&report).outcome, Outcome::Ok, "{report:?}");
    assert_eq!(report.outcome, Outcome::Warning);
    let disks = ["box.vdi", "lab.QCOW2", "old.vmdk", "set.vhds"];
    assert_eq!(
        told(&report.findings, Code::NotCovered),
        disks.map(|name| (Severity::Warning, name))
    );
    assert_eq!(report.findings.len(), disks.len(), "{report:?}");

    // Given by itself, the file is saved; that this is not the disk is told.
    let report = world.backup(&world.vms().join("old.vmdk"));
    assert_eq!(only(&report).outcome, Outcome::Ok);
    assert_eq!(
        told(&report.findings, Code::NotCovered),
        [(Severity::Warning, "old.vmdk")]
    );
}

#[test]
fn a_vm_with_a_disk_that_is_not_read_is_partial() {
    let world = World::new();
    let names = ["a.vhdx", "b.vmdk", "c.vhds", "d.disk"];
    let vm = names
        .into_iter()
        .fold(Vm::generation2("mixed", 5), Vm::disk);
    vm.write_to(&world.vms(), Layout::Export).unwrap();
    let disks = world.vms().join(vm.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 4 * MIB, 1).write(&disks.join(names[0]));
    for name in &names[1..] {
        fs::write(disks.join(name), vec![1; 4096]).unwrap();
    }
    let report = world.backup(&world.vms());
    assert_eq!(report.findings, [], "it is told with its VM");
    let vm = only(&report);
    assert_eq!(vm.outcome, Outcome::Partial);
    // A VHD set is, besides, shared with other VMs.
    assert_eq!(
        told(&vm.findings, Code::NotCovered),
        [
            (Severity::Warning, "mixed"),
            (Severity::Partial, names[1]),
            (Severity::Partial, names[2]),
            (Severity::Partial, names[3]),
        ]
    );
    let point = world.open(vm);
    assert_eq!(point.details.layers.len(), 1);
    let missing = point.details.missing.iter().map(|m| m.why.as_str());
    assert_eq!(
        missing.collect::<Vec<_>>(),
        [
            "it is a VMware disk, which this version does not read",
            "it is a VHD set, which this version does not read",
            "its name does not end like that of a disk that this version reads",
        ]
    );
}

#[test]
fn images_in_a_vms_drives_are_named_as_not_saved() {
    let world = World::new();
    let vm = Vm::generation1("with media", 5)
        .disk("a.vhdx")
        .medium(DriveKind::Iso, Some(r"D:\iso\setup.iso".to_owned()))
        .checkpoint("before", &["a.vhdx"])
        .medium(DriveKind::Floppy, Some(r"D:\drivers.vfd".to_owned()))
        .medium(DriveKind::Empty, None);
    vm.write_to(&world.vms(), Layout::Export).unwrap();
    let disks = world.vms().join(vm.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 4 * MIB, 1).write(&disks.join("a.vhdx"));
    fs::write(
        disks.join("setup.iso"),
        "it is not saved even if it is here",
    )
    .unwrap();
    let report = world.backup(&world.vms());
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let vm = only(&report);
    assert_eq!(
        told(&vm.findings, Code::NotCovered),
        [(Severity::Info, "with media"); 2]
    );
    // The checkpoint has the same image in the same drive: it is told once.
    assert_eq!(
        world.open(vm).details.not_covered,
        [
            r"the CD or DVD image D:\iso\setup.iso at IDE 0:1 is not saved",
            r"the floppy image D:\drivers.vfd at IDE 1:0 is not saved",
        ]
    );
}
