//! VMs, checkpoints and disks are found in folders as Hyper-V leaves them, and in worse ones.

use hyperkeep_vmconfig::layout::{
    DiskGraph, Evidence, Finding, Found, Inventory, Layer, MemFolder, Options, ParentCheckpoint,
    Resolution, Role, UnknownOrder, fs::FsFolder, inventory, is_disk,
};
use hyperkeep_vmconfig::model::{DriveKind, to_tree};
use hyperkeep_vmconfig::{Value, hvs};
use testkit::vm::{Layout, Vm};

type Files = Vec<(String, Vec<u8>)>;

fn disk(path: &str) -> (String, Vec<u8>) {
    (path.to_owned(), vec![1])
}

/// A graph of chains, youngest first; a path may occur in several.
fn graph(chains: &[&[&str]]) -> DiskGraph {
    let mut graph = DiskGraph::default();
    for chain in chains {
        for pair in chain.windows(2) {
            graph
                .layers
                .insert(pair[0].to_owned(), Layer::ChildOf(pair[1].to_owned()));
        }
        graph
            .layers
            .insert(chain.last().unwrap().to_string(), Layer::Base);
    }
    graph
}

fn look(files: Files, graph: &DiskGraph) -> Inventory {
    let count = files.len();
    let found = inventory(&MemFolder::new(files), graph, &Options::default());
    assert_eq!(
        count,
        counted(&found),
        "every file is in one place: {found:#?}"
    );
    found
}

/// Number of distinct files that an inventory speaks of.
fn counted(found: &Inventory) -> usize {
    let mut paths = Vec::new();
    for machine in &found.machines {
        let mut add = |files: &[hyperkeep_vmconfig::layout::OwnedFile],
                       disks: &[hyperkeep_vmconfig::layout::AttachedDisk]| {
            paths.extend(files.iter().map(|file| file.path.clone()));
            let chains = disks.iter().filter_map(|disk| disk.chain.as_ref());
            paths.extend(chains.flat_map(|chain| chain.layers.clone()));
        };
        add(&machine.files, &machine.disks);
        machine
            .checkpoints
            .iter()
            .for_each(|c| add(&c.files, &c.disks));
    }
    paths.extend(
        found
            .loose
            .iter()
            .flat_map(|disk| disk.chain.layers.clone()),
    );
    paths.extend(found.orphans.iter().map(|orphan| orphan.path.clone()));
    paths.extend(
        found
            .unreadable
            .iter()
            .flat_map(|u| u.files.iter().map(|f| f.path.clone())),
    );
    paths.extend(found.other.clone());
    paths.sort();
    paths.dedup();
    paths.len()
}

const DISKS: &str = "Web/Virtual Hard Disks";

fn web(file: &str) -> String {
    format!("{DISKS}/{file}")
}

/// base ← 1 ← 2 (now); one checkpoint froze the base, the second one file 1.
fn web_vm() -> (Files, DiskGraph) {
    let vm = Vm::generation2("Web", 1)
        .disk("web_2.avhdx")
        .medium(DriveKind::Iso, Some(r"D:\iso\setup.iso".into()))
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web_1.avhdx"]);
    let mut files = vm.files(Layout::Export);
    for file in [
        "web.vhdx",
        "web_1.avhdx",
        "web_2.avhdx",
        "web.vhdx.rct",
        "web.vhdx.mrt",
    ] {
        files.push(disk(&web(file)));
    }
    let chain = [web("web_2.avhdx"), web("web_1.avhdx"), web("web.vhdx")];
    (files, graph(&[&chain.each_ref().map(String::as_str)]))
}

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
#[test]
fn a_branch() {
    let vm = Vm::generation2("Web", 1)
        .disk("web_3.avhdx")
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web_1.avhdx"])
        .checkpoint("third", &["web_2.avhdx"]);
    let mut files = vm.files(Layout::Export);
    files.extend(["web.vhdx", "web_1.avhdx", "web_2.avhdx", "web_3.avhdx"].map(|f| disk(&web(f))));
    let (base, one, two, three) = (
        &web("web.vhdx"),
        &web("web_1.avhdx"),
        &web("web_2.avhdx"),
        &web("web_3.avhdx"),
    );
    let found = look(files, &graph(&[&[two, one, base], &[three, base]]));
    let vm = &found.machines[0];
    let of = |checkpoint| ParentCheckpoint::Of {
        checkpoint,
        evidence: Evidence::Disks,
    };
    let parents: Vec<_> = vm.checkpoints.iter().map(|c| c.parent.clone()).collect();
    assert_eq!(parents, [ParentCheckpoint::None, of(0), of(1)]);
    assert_eq!(vm.parent, of(0));
}

/// A disk that was added between the checkpoints tells less than the one that was always there.
#[test]
fn disks_of_different_age() {
    let vm = Vm::generation1("Web", 1)
        .disk("a_2.avhdx")
        .disk("b_1.avhdx");
    let mut vm = vm.checkpoint("first", &["a.vhdx", "b.vhdx"]);
    vm.checkpoints[0].controllers[0].drives.pop();
    let vm = vm.checkpoint("second", &["a_1.avhdx", "b.vhdx"]);
    let mut files = vm.files(Layout::Export);
    let names = ["a.vhdx", "a_1.avhdx", "a_2.avhdx", "b.vhdx", "b_1.avhdx"].map(web);
    files.extend(names.iter().map(|path| disk(path)));
    let [a, a1, a2, b, b1] = names.each_ref().map(String::as_str);
    let found = look(files, &graph(&[&[a2, a1, a], &[b1, b]]));
    let vm = &found.machines[0];
    let of = |checkpoint| ParentCheckpoint::Of {
        checkpoint,
        evidence: Evidence::Disks,
    };
    assert_eq!(vm.checkpoints[0].parent, ParentCheckpoint::None);
    assert_eq!(vm.checkpoints[1].parent, of(0));
    assert_eq!(vm.parent, of(1));
}

#[test]
fn an_order_that_nothing_tells_is_unknown() {
    let (files, _) = web_vm();
    let found = look(files.clone(), &DiskGraph::default());
    let vm = &found.machines[0];
    let unknown = |why| ParentCheckpoint::Unknown { why };
    assert_eq!(vm.parent, unknown(UnknownOrder::BrokenChain));
    assert!(
        vm.checkpoints
            .iter()
            .all(|c| c.parent == unknown(UnknownOrder::BrokenChain))
    );
    assert!(
        vm.findings
            .iter()
            .any(|f| matches!(f, Finding::BrokenChain { .. }))
    );

    // Two checkpoints of one file.
    let vm = Vm::generation2("Web", 1)
        .disk("web_1.avhdx")
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web.vhdx"]);
    let mut files = vm.files(Layout::Export);
    files.extend(["web.vhdx", "web_1.avhdx"].map(|file| disk(&web(file))));
    let found = look(files, &graph(&[&[&web("web_1.avhdx"), &web("web.vhdx")]]));
    let vm = &found.machines[0];
    assert!(
        vm.checkpoints
            .iter()
            .all(|c| c.parent == unknown(UnknownOrder::Contradiction))
    );
    assert_eq!(vm.parent, unknown(UnknownOrder::Contradiction));

    // No disks at all.
    let vm = Vm::generation2("Web", 1).checkpoint("first", &[]);
    let found = look(vm.files(Layout::Export), &DiskGraph::default());
    assert_eq!(
        found.machines[0].checkpoints[0].parent,
        unknown(UnknownOrder::NoDisks)
    );
}

/// An id under a key that speaks of a parent is taken where disks do not tell, and only then.
#[test]
fn hints_in_the_configuration() {
    let vm = Vm::generation2("Web", 1)
        .checkpoint("first", &[])
        .checkpoint("second", &[]);
    let mut files = vm.files(Layout::Export);
    let ids: Vec<_> = vm
        .checkpoints
        .iter()
        .map(|c| c.id.unwrap().to_string())
        .collect();
    let hint = |files: &mut Files, at: usize, id: &str| {
        let mut tree = to_tree(&vm.checkpoints[at]);
        let path = ["configuration", "properties", "some_parent_key"];
        tree.set(&path, Value::String(id.to_owned()));
        let name = format!("{}.vmcx", ids[at].to_uppercase());
        let file = files
            .iter_mut()
            .find(|(path, _)| path.ends_with(&name))
            .unwrap();
        file.1 = hvs::write_tree(&tree, 0).unwrap();
    };
    hint(&mut files, 1, &ids[0]);
    let found = look(files.clone(), &DiskGraph::default());
    let hinted = ParentCheckpoint::Of {
        checkpoint: 0,
        evidence: Evidence::Hint,
    };
    assert_eq!(found.machines[0].checkpoints[1].parent, hinted);
    // Two hints that contradict each other.
    hint(&mut files, 0, &ids[1]);
    let found = look(files, &DiskGraph::default());
    let unknown = ParentCheckpoint::Unknown {
        why: UnknownOrder::Contradiction,
    };
    assert!(
        found.machines[0]
            .checkpoints
            .iter()
            .all(|c| c.parent == unknown)
    );
}

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

#[test]
fn mapped_volumes() {
    let share = r"\\Server\VMs\x";
    let vm = Vm::generation1("A", 1)
        .medium(
            DriveKind::VirtualDisk,
            Some(r"C:\ClusterStorage\Volume1\a\Os.vhdx".into()),
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
fn a_chain_that_returns_to_itself() {
    let vm = Vm::generation2("Web", 1)
        .disk("a.avhdx")
        .checkpoint("one", &["b.avhdx"]);
    let mut files = vm.files(Layout::Export);
    let [a, b] = ["a.avhdx", "b.avhdx"].map(web);
    files.extend([disk(&a), disk(&b), disk("x.avhdx")]);
    let mut graph = DiskGraph::default();
    graph.layers.insert(a.clone(), Layer::ChildOf(b.clone()));
    graph.layers.insert(b, Layer::ChildOf(a));
    graph
        .layers
        .insert("x.avhdx".into(), Layer::ChildOf("x.avhdx".into()));
    let found = look(files, &graph);
    let vm = &found.machines[0];
    assert!(
        vm.findings
            .iter()
            .any(|f| matches!(f, Finding::CyclicChain { .. }))
    );
    assert!(matches!(
        vm.checkpoints[0].parent,
        ParentCheckpoint::Unknown { .. }
    ));
    assert_eq!(found.loose.len(), 1);
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
    use hyperkeep_vmconfig::layout::Folder;
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
