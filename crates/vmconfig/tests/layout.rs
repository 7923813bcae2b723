//! VMs, their files and disks are found in folders as Hyper-V leaves them, and in worse ones.

mod model;

use hyperkeep_vmconfig::layout::{
    DiskGraph, Evidence, Finding, Folder, Found, Inventory, Layer, MemFolder, Options,
    ParentCheckpoint, Resolution, Role, fs::FsFolder, inventory, is_disk,
};
use hyperkeep_vmconfig::model::DriveKind;
use model::folder::{Files, disk, graph, look, web, web_vm};
use testkit::vm::{Layout, Vm};

#[test]
fn an_export_with_two_checkpoints() {
    let (files, graph) = web_vm();
    let found = look(files, &graph);
    assert_eq!(found.findings, []);
    let [vm] = found.machines.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!(
        (vm.config.name.as_str(), vm.findings.len(), vm.saved),
        ("Web", 0, Some(false))
    );
    let roles: Vec<Role> = vm.files.iter().map(|file| file.role).collect();
    use Role::*;
    let expected = [
        Configuration,
        GuestState,
        RuntimeState,
        ChangeTracking,
        ChangeTracking,
    ];
    assert_eq!(roles, expected);
    let [disk] = vm.disks.as_slice() else {
        panic!("{vm:#?}")
    };
    let file = Resolution::Found {
        path: web("web_2.avhdx"),
        by: Found::DiskFolder,
    };
    assert_eq!(disk.file, file);
    assert_eq!(disk.chain.as_ref().unwrap().layers.len(), 3);
    let names: Vec<&str> = vm
        .checkpoints
        .iter()
        .map(|c| c.config.name.as_str())
        .collect();
    assert_eq!(names, ["first", "second"]);
    let of = |checkpoint| ParentCheckpoint::Of {
        checkpoint,
        evidence: Evidence::Disks,
    };
    assert_eq!(vm.checkpoints[0].parent, ParentCheckpoint::None);
    assert_eq!(vm.checkpoints[1].parent, of(0));
    assert_eq!(vm.parent, of(1));
    assert!(vm.checkpoints.iter().all(|c| c.files.len() == 3));
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Inventory>(&json).unwrap(), found);
}

/// After going back to the first checkpoint: base ← 1 (second checkpoint) and base ← 3 (now).
/// A disk that was added between the checkpoints tells less than the one that was always there.
/// An id under a key that speaks of a parent is taken where disks do not tell, and only then.
#[test]
fn a_copy_beside_its_original_keeps_its_own_files() {
    let (files, one) = web_vm();
    let copy = files
        .iter()
        .map(|(path, bytes)| (format!("copy/{path}"), bytes.clone()));
    let mut all: Files = files
        .iter()
        .map(|(path, b)| (format!("original/{path}"), b.clone()))
        .collect();
    all.extend(copy);
    let mut graph = DiskGraph::default();
    for folder in ["original", "copy"] {
        for (path, layer) in &one.layers {
            let layer = match layer {
                Layer::ChildOf(parent) => Layer::ChildOf(format!("{folder}/{parent}")),
                other => other.clone(),
            };
            graph.layers.insert(format!("{folder}/{path}"), layer);
        }
    }
    let found = look(all, &graph);
    assert_eq!(found.machines.len(), 2);
    for (vm, folder) in found.machines.iter().zip(["copy/", "original/"]) {
        assert_eq!(vm.checkpoints.len(), 2);
        let of = ParentCheckpoint::Of {
            checkpoint: 1,
            evidence: Evidence::Disks,
        };
        assert_eq!(vm.parent, of);
        let files = vm.files.iter().map(|file| &file.path);
        let layers = vm.disks[0].chain.as_ref().unwrap().layers.iter();
        assert!(files.chain(layers).all(|path| path.starts_with(folder)));
    }
    assert!(
        matches!(found.findings.as_slice(), [Finding::DuplicateId { configs, .. }] if configs.len() == 2)
    );
}

#[test]
fn vms_with_one_name_in_shared_folders() {
    let mut files = Files::new();
    for number in 1..=2 {
        let vm = Vm::generation1("Same", number).in_windows_folder(&format!(r"E:\{number}"));
        files.extend(vm.disk("os.vhdx").files(Layout::Shared));
        files.push(disk(&format!("{number}/Virtual Hard Disks/OS.VHDX")));
    }
    let paths = [1, 2].map(|n| format!("{n}/Virtual Hard Disks/OS.VHDX"));
    let graph = graph(&[&[&paths[0]], &[&paths[1]]]);
    let found = look(files, &graph);
    assert_eq!(found.findings, []);
    for (vm, path) in found.machines.iter().zip(&paths) {
        let file = Resolution::Found {
            path: path.clone(),
            by: Found::PathEnd,
        };
        assert_eq!((vm.disks[0].file.clone(), vm.findings.len()), (file, 0));
    }
}

#[test]
fn another_vm_s_disk_of_the_same_name_is_no_substitute() {
    let mut files = Vm::generation1("A", 1)
        .disk("os.vhdx")
        .files(Layout::Export);
    files.extend(
        Vm::generation1("B", 2)
            .disk("os.vhdx")
            .files(Layout::Export),
    );
    files.push(disk("B/Virtual Hard Disks/os.vhdx"));
    let found = look(files, &graph(&[&["B/Virtual Hard Disks/os.vhdx"]]));
    assert_eq!(found.machines[0].disks[0].file, Resolution::Missing);
    assert!(matches!(
        found.machines[0].findings[..],
        [Finding::MissingDisk { .. }]
    ));
    assert!(found.machines[1].disks[0].file.path().is_some());

    // Two that could be it.
    let mut files = Vm::generation1("A", 1)
        .disk("os.vhdx")
        .files(Layout::Export);
    files.extend([disk("x/os.vhdx"), disk("y/os.vhdx")]);
    let found = look(files, &graph(&[&["x/os.vhdx"], &["y/os.vhdx"]]));
    let Resolution::Ambiguous { candidates } = &found.machines[0].disks[0].file else {
        panic!()
    };
    assert_eq!(candidates.len(), 2);
    assert_eq!(found.loose.len(), 2);
}

/// Where all VMs share folders, the place of a disk does not tell whose it is.
#[test]
fn a_shared_disk_folder_does_not_lend_one_vm_s_disk_to_another() {
    let at = |folder: &str| Some(format!(r"{folder}\os.vhdx"));
    let a = Vm::generation1("A", 1).medium(DriveKind::VirtualDisk, at(r"D:\Virtual Hard Disks"));
    let b = Vm::generation1("B", 2).medium(DriveKind::VirtualDisk, at(r"E:\elsewhere"));
    let path = "Virtual Hard Disks/os.vhdx";
    let mut files = a.files(Layout::Shared);
    files.extend(b.files(Layout::Shared));
    files.push(disk(path));
    let found = look(files, &graph(&[&[path]]));
    assert_eq!(found.machines[0].disks[0].file.path(), Some(path));
    assert_eq!(found.machines[1].disks[0].file, Resolution::Missing);

    // Neither path fits better.
    let c = Vm::generation1("C", 3).medium(DriveKind::VirtualDisk, at(r"F:\Virtual Hard Disks"));
    let mut files = a.files(Layout::Shared);
    files.extend(c.files(Layout::Shared));
    files.push(disk(path));
    let found = look(files, &graph(&[&[path]]));
    for vm in &found.machines {
        assert!(matches!(vm.disks[0].file, Resolution::Ambiguous { .. }));
    }

    // Two VMs that name one file share it.
    let d = Vm::generation1("D", 4).medium(
        DriveKind::VirtualDisk,
        at(r"\\?\d:/virtual hard disks").map(|path| path.replace("os", "OS")),
    );
    let mut files = a.files(Layout::Shared);
    files.extend(d.files(Layout::Shared));
    files.push(disk(path));
    let found = look(files, &graph(&[&[path]]));
    for vm in &found.machines {
        assert_eq!(vm.disks[0].file.path(), Some(path));
    }
}

#[test]
fn two_drives_of_one_vm_are_not_given_one_disk() {
    let at = |folder: &str| Some(format!(r"{folder}\data.vhdx"));
    let vm = Vm::generation1("A", 1)
        .medium(DriveKind::VirtualDisk, at(r"D:\one"))
        .medium(DriveKind::VirtualDisk, at(r"D:\two"));
    let mut files = vm.files(Layout::Export);
    files.push(disk("A/Virtual Hard Disks/data.vhdx"));
    let found = look(files, &DiskGraph::default());
    for disk in &found.machines[0].disks {
        assert!(matches!(disk.file, Resolution::Ambiguous { .. }));
    }
}

#[test]
fn the_parent_of_another_vm_s_disk_is_no_substitute() {
    let a = Vm::generation1("A", 1).disk("os_1.avhdx");
    let b = Vm::generation1("B", 2).disk("os.vhdx");
    let paths = ["os_1.avhdx", "os.vhdx"].map(|name| format!("A/Virtual Hard Disks/{name}"));
    let mut files = a.files(Layout::Export);
    files.extend(b.files(Layout::Export));
    files.extend(paths.iter().map(|path| disk(path)));
    let found = look(files, &graph(&[&paths.each_ref().map(String::as_str)]));
    assert_eq!(found.machines[0].disks[0].file.path(), Some(&*paths[0]));
    assert_eq!(found.machines[1].disks[0].file, Resolution::Missing);
}

#[test]
fn mapped_volumes() {
    let share = r"\\Server\VMs\x";
    let vm = Vm::generation1("A", 1)
        .medium(
            DriveKind::VirtualDisk,
            Some(r"\\?\C:\ClusterStorage\Volume1\a\Os.vhdx".into()),
        )
        .medium(DriveKind::VirtualDisk, Some(format!(r"{share}\data.vhdx")));
    let mut files = vm.files(Layout::Export);
    let disks = [
        "volume/a/os.vhdx",
        "share/x/data.vhdx",
        "z/os.vhdx",
        "z/data.vhdx",
    ];
    files.extend(disks.map(disk));
    let mounts = [
        (r"c:\clusterstorage\volume1\", "volume"),
        (r"\\server\vms", "share"),
    ];
    let options = Options {
        mounts: mounts.map(|(a, b)| (a.into(), b.into())).to_vec(),
    };
    let found = inventory(&MemFolder::new(files), &DiskGraph::default(), &options);
    let paths: Vec<_> = found.machines[0]
        .disks
        .iter()
        .filter_map(|d| d.file.path())
        .collect();
    assert_eq!(paths, ["volume/a/os.vhdx", "share/x/data.vhdx"]);
}

#[test]
fn an_old_vm_with_saved_state() {
    let vm = Vm::generation1_xml("Alt & \"neu\"", 7)
        .disk("alt.vhd")
        .saved();
    let mut files = vm.files(Layout::Export);
    let folder = vm.disk_folder(Layout::Export);
    files.push(disk(&format!("{folder}/alt.vhd")));
    files.push(("Alt & \"neu\"/config.xml".into(), b"<other/>".to_vec()));
    let found = look(files, &graph(&[&[&format!("{folder}/alt.vhd")]]));
    let vm = &found.machines[0];
    let roles: Vec<Role> = vm.files.iter().map(|file| file.role).collect();
    assert_eq!(
        roles,
        [Role::Configuration, Role::Memory, Role::DeviceState]
    );
    assert_eq!(
        (vm.saved, vm.findings.len(), found.other.len()),
        (Some(true), 0, 1)
    );
    let new = look(
        Vm::generation2("n", 1).saved().files(Layout::Export),
        &DiskGraph::default(),
    );
    assert_eq!(new.machines[0].saved, Some(true));
}

#[test]
fn damage_stays_where_it_is() {
    let (mut files, graph) = web_vm();
    files.extend(Vm::generation2("Bad", 9).files(Layout::Export));
    for (path, bytes) in files
        .iter_mut()
        .filter(|(path, _)| path.starts_with("Bad/"))
    {
        if path.ends_with(".vmcx") {
            bytes.truncate(5000);
        }
    }
    // A checkpoint and state files without a VM, loose disks, and what is none of a VM's.
    let lost = Vm::generation2("Lost", 8)
        .checkpoint("c", &[])
        .files(Layout::Export);
    files.extend(
        lost.into_iter()
            .filter(|(path, _)| !path.contains("Virtual Machines")),
    );
    files.push(disk("loose/a.vhdx"));
    files.push(disk("loose/a_1.avhdx"));
    files.push(disk(&web("web_9.avhdx")));
    files.push(disk("notes.txt"));
    files.push(disk("Planned Virtual Machines/x.vmcx"));
    files.push(disk("Snapshots/11111111-2222-4333-8444-555555555555.vmrs"));
    let mut graph = graph;
    let child = |of: &str| Layer::ChildOf(of.to_owned());
    graph
        .layers
        .insert("loose/a_1.avhdx".into(), child("loose/a.vhdx"));
    graph.layers.insert("loose/a.vhdx".into(), Layer::Base);
    graph
        .layers
        .insert(web("web_9.avhdx"), child(&web("web.vhdx")));
    let found = look(files, &graph);
    assert_eq!(found.machines.len(), 1);
    assert_eq!(found.machines[0].checkpoints.len(), 2);
    assert!(matches!(
        &found.machines[0].findings[..],
        [Finding::UnreferencedDifference { disk, .. }] if *disk == web("web_9.avhdx")
    ));
    let [bad] = found.unreadable.as_slice() else {
        panic!("{found:#?}")
    };
    assert_eq!((bad.files.len(), bad.id.is_some()), (3, true));
    assert_eq!(found.orphans.len(), 4);
    assert_eq!(
        found.orphans.iter().filter(|o| o.config.is_some()).count(),
        1
    );
    let loose: Vec<&str> = found.loose.iter().map(|disk| disk.path.as_str()).collect();
    assert_eq!(loose, [web("web_9.avhdx").as_str(), "loose/a_1.avhdx"]);
    assert_eq!(found.loose[1].chain.layers.len(), 2);
    assert_eq!(
        found.other,
        ["Planned Virtual Machines/x.vmcx", "notes.txt"]
    );
    let text: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
    assert!(
        text.iter().any(|t| t.contains("cannot be read")),
        "{text:?}"
    );
    assert!(
        text.iter().any(|t| t.contains("VM of this checkpoint")),
        "{text:?}"
    );
}

#[test]
fn names_of_every_kind_on_a_real_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let long = "l".repeat(120);
    let names = [
        "with space",
        "it's \"quoted\" & more",
        "仮想マシン 日本",
        "💻🖥",
        long.as_str(),
    ];
    let mut count = 0;
    for (number, name) in names.into_iter().enumerate() {
        // Quotes are no part of Windows names, but of names on the systems that keep copies.
        if cfg!(windows) && name.contains('"') {
            continue;
        }
        let number = number as u64 + 1;
        let vm = Vm::generation2(name, number).disk(&format!("{name}.vhdx"));
        let root = folder.path().join(&long).join(&long);
        vm.write_to(&root, Layout::Export).unwrap();
        let disks = root.join(vm.disk_folder(Layout::Export));
        std::fs::write(disks.join(format!("{name}.vhdx")), b"x").unwrap();
        count += 1;
    }
    let listing = FsFolder::open(folder.path()).unwrap();
    let mut graph = DiskGraph::default();
    for file in listing.files().iter().filter(|file| is_disk(&file.path)) {
        graph.layers.insert(file.path.clone(), Layer::Base);
        assert!(listing.path_of(&file.path).unwrap().exists());
        assert!(file.path.len() > 260);
    }
    let found = inventory(&listing, &graph, &Options::default());
    assert_eq!(found.machines.len(), count);
    for vm in &found.machines {
        assert!(names.contains(&vm.config.name.as_str()));
        assert!(vm.disks[0].file.path().is_some(), "{vm:#?}");
        assert_eq!((vm.findings.len(), vm.files.len()), (0, 3));
    }
    assert_eq!((listing.skipped().len(), found.other.len()), (0, 0));
}
