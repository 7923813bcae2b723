//! A restore of disks that is stopped again and again goes on each time, and becomes the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::Outcome;
use engine::restore::plan::{DiskFormat, DisksWanted};
use engine::restore::{DisksTo, restore_disks};
use hyperkeep_engine as engine;
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use vmconfig::WindowsFolder;

use crate::world::{MIB, World, only};

/// All files of a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// A chain with data of both layers in many segments, explicit zeros, and a second disk.
fn machine(folder: &Path) {
    let vm = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"])
        .disk("data.vhd");
    vm.write_to(folder, Layout::Export).unwrap();
    let disks = folder.join(vm.disk_folder(Layout::Export));
    let mut base = Image::new(Kind::Vhdx, 40 * MIB, 1);
    for part in 0..9 {
        base = base.data(part * 4 * MIB + part * 4096, &noise(part, 900_000));
    }
    let base = base.write(&disks.join("web.vhdx"));
    let mut child = Image::child(&base, "web.vhdx", 2);
    for part in 0..9 {
        child = child
            .data(part * 4 * MIB + 8192, &noise(50 + part, 65_536))
            .zeros(part * 4 * MIB + 400 * 1024, 65_536);
    }
    child.write(&disks.join("web_1.avhdx"));
    let mut data = Image::new(Kind::Vhd, 24 * MIB, 3);
    for part in [0, 2, 5] {
        data = data.data(part * 4 * MIB + 512, &noise(100 + part, 300_000));
    }
    data.write(&disks.join("data.vhd"));
}

#[test]
fn a_restore_that_is_stopped_goes_on_and_becomes_the_same_files() {
    let world = World::new();
    machine(&world.vms());
    let report = world.backup(&world.vms());
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let point = world.open(only(&report));
    let formats = [
        None,
        Some(DiskFormat::Vhdx),
        Some(DiskFormat::VhdxFixed),
        Some(DiskFormat::Vhd),
        Some(DiskFormat::VhdFixed),
        Some(DiskFormat::Raw),
        Some(DiskFormat::Qcow2),
    ];
    // Where a child says that its parent is: on Windows it would be each folder's own place.
    let told: WindowsFolder = r"E:\Restored".parse().unwrap();
    for (number, format) in formats.into_iter().enumerate() {
        let wanted = DisksWanted {
            flatten: format.is_some(),
            format,
            ..DisksWanted::default()
        };
        let whole = world.dir.path().join(format!("whole {number}"));
        let to = DisksTo {
            windows: Some(&told),
            ..DisksTo::folder(&whole)
        };
        let done = world.with_task(|task| restore_disks(task, &point, &wanted, &to));
        assert_eq!(done.outcome, Outcome::Ok, "{format:?}: {done:?}");
        let whole = files(&whole);
        assert_eq!(whole.len(), done.files.len());

        let folder = world.dir.path().join(format!("again {number}"));
        let to = DisksTo {
            every: 1,
            windows: Some(&told),
            ..DisksTo::folder(&folder)
        };
        let mut stops = 0;
        let done = loop {
            let done = world.stopped_after(5 + stops % 3, |task| {
                restore_disks(task, &point, &wanted, &to)
            });
            for (name, bytes) in files(&folder) {
                match whole.get(&name) {
                    Some(whole) => assert!(*whole == bytes, "{format:?}: {name}"),
                    None => assert!(name.starts_with(".hyperkeep-"), "{name}"),
                }
            }
            if done.outcome == Outcome::Ok {
                break done;
            }
            assert_eq!(done.outcome, Outcome::Cancelled, "{format:?}: {done:?}");
            stops += 1;
            assert!(stops < 100, "it does not get on: {done:?}");
        };
        assert!(stops >= 2, "{format:?}: stopped {stops} times");
        assert_eq!(done.files.len(), whole.len());
        assert!(done.files.iter().any(|file| file.earlier > 0));
        assert!(files(&folder) == whole, "{format:?}");
    }
}
