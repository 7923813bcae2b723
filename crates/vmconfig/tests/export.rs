//! An export has Hyper-V's layout, safe names and no collisions, and reads back as the same VM.

mod model;

use std::collections::BTreeSet;

use hyperkeep_vmconfig::export::plan;
use hyperkeep_vmconfig::layout::{
    DiskGraph, Evidence, Found, Layer, Machine, MemFolder, Options, ParentCheckpoint, Resolution,
    Role, inventory,
};
use hyperkeep_vmconfig::model::DriveKind;
use hyperkeep_vmconfig::names::{NAME_MAX, Names, safe_name};
use hyperkeep_vmconfig::rewrite::rewrite_paths;
use hyperkeep_vmconfig::{VmConfig, hvs};
use model::folder::{Files, disk, look, web_vm};
use proptest::prelude::*;
use testkit::vm::{Layout, Vm};

#[test]
fn an_export_reads_back_as_the_same_vm() {
    let (files, graph) = web_vm();
    let found = look(files.clone(), &graph);
    let folder = Names::default().folder("Web: \"new\"");
    assert_eq!(folder, "Web_ _new_");
    for windows in [None, Some(r"E:\Restored\Web")] {
        let place = windows.map(|path| path.parse().unwrap());
        let plan = plan(&found.machines[0], &folder, place.as_ref());
        assert_eq!(
            plan.files.len(),
            files.len() - 2,
            "all but the change tracking"
        );
        let mut out = Files::new();
        let mut layers = DiskGraph::default();
        for file in &plan.files {
            let (_, bytes) = files.iter().find(|(path, _)| *path == file.source).unwrap();
            let mut bytes = bytes.clone();
            if let Some(rewrite) = plan.rewrites.get(&file.source) {
                let mut tree = hvs::read_tree(&bytes).unwrap().0;
                let done = rewrite_paths(&mut tree, rewrite);
                assert_eq!((done.drives, done.unused.len()), (1, 0));
                bytes = hvs::write_tree(&tree, 0).unwrap();
            }
            out.push((file.target.clone(), bytes));
            let target = |path: &str| {
                plan.files
                    .iter()
                    .find(|file| file.source == path)
                    .unwrap()
                    .target
                    .clone()
            };
            match graph.layers.get(&file.source) {
                Some(Layer::ChildOf(parent)) => {
                    layers
                        .layers
                        .insert(file.target.clone(), Layer::ChildOf(target(parent)));
                }
                Some(layer) => drop(layers.layers.insert(file.target.clone(), layer.clone())),
                None => {}
            }
        }
        let again = look(out.clone(), &layers);
        let (vm, old) = (&again.machines[0], &found.machines[0]);
        assert_eq!(
            (vm.findings.len(), again.findings.len(), again.other.len()),
            (0, 0, 0)
        );
        let of = ParentCheckpoint::Of {
            checkpoint: 1,
            evidence: Evidence::Disks,
        };
        assert_eq!(vm.parent, of);
        let disk = &vm.disks[0];
        let by = Found::DiskFolder;
        let path = format!("{folder}/Virtual Hard Disks/web_2.avhdx");
        assert_eq!(disk.file, Resolution::Found { path, by });
        let named = |machine: &Machine| -> BTreeSet<String> {
            let frozen = machine.checkpoints.iter().flat_map(|c| &c.disks);
            let disks = machine.disks.iter().chain(frozen);
            disks.map(|disk| disk.configured.clone()).collect()
        };
        match windows {
            None => {
                assert_eq!(vm.config, old.config, "copied byte for byte");
                assert_eq!(plan.elsewhere, named(old));
                assert_eq!(plan.elsewhere.len(), 3);
            }
            Some(root) => {
                assert_eq!(plan.elsewhere, BTreeSet::new());
                let disks = format!(r"{root}\Virtual Hard Disks\");
                assert!(named(vm).iter().all(|path| path.starts_with(&disks)));
                assert_eq!(disk.configured, format!("{disks}web_2.avhdx"));
                let root = Some(root.to_owned());
                assert_eq!(vm.config.data_roots.configuration, root);
                assert_eq!(vm.config.data_roots.checkpoints, root);
                let same = VmConfig {
                    controllers: old.config.controllers.clone(),
                    data_roots: old.config.data_roots.clone(),
                    ..vm.config.clone()
                };
                assert_eq!(same, old.config, "nothing else changed");
            }
        }
    }
}

#[test]
fn disks_of_one_name_and_old_state_files() {
    let path = |folder: &str| Some(format!(r"{folder}\Data.vhdx"));
    let vm = Vm::generation1_xml("Old", 4)
        .medium(DriveKind::VirtualDisk, path(r"D:\a"))
        .medium(DriveKind::VirtualDisk, path(r"D:\b"))
        .saved();
    let mut files = vm.files(Layout::Shared);
    files.extend([disk("a/Data.vhdx"), disk("b/data.vhdx")]);
    let found = inventory(
        &MemFolder::new(files),
        &DiskGraph::default(),
        &Options::default(),
    );
    let plan = plan(&found.machines[0], "Old", None);
    let targets: Vec<&str> = plan.files.iter().map(|file| file.target.as_str()).collect();
    let id = vm.config.id.unwrap().to_string().to_uppercase();
    assert_eq!(
        targets,
        [
            &format!("Old/Virtual Machines/{id}.xml"),
            &format!("Old/Virtual Machines/{id}/{id}.bin"),
            &format!("Old/Virtual Machines/{id}/{id}.vsv"),
            "Old/Virtual Hard Disks/Data.vhdx",
            "Old/Virtual Hard Disks/data (2).vhdx",
        ]
    );
    assert_eq!(plan.files.iter().filter(|file| file.renamed).count(), 1);
    let rewrites: Vec<_> = plan.rewrites.values().collect();
    assert_eq!(rewrites.len(), 1);
    let expected = (
        r"D:\b\Data.vhdx".to_owned(),
        r"D:\b\data (2).vhdx".to_owned(),
    );
    assert_eq!(
        (&rewrites[0].media[..], &rewrites[0].data_root),
        (&[expected][..], &None)
    );
}

/// An import must not find the original's disk for one that is not here, nor another one's.
#[test]
fn a_disk_that_is_not_here_gets_a_place_that_no_file_has() {
    let path = |folder: &str| Some(format!(r"{folder}\Data.vhdx"));
    let vm = Vm::generation2("New", 4)
        .medium(DriveKind::VirtualDisk, path(r"D:\a"))
        .medium(DriveKind::VirtualDisk, path(r"D:\b"))
        .medium(DriveKind::VirtualDisk, path(r"D:\gone"))
        .medium(DriveKind::Iso, Some(r"D:\setup.iso".to_owned()));
    let mut files = vm.files(Layout::Shared);
    files.extend([disk("a/Data.vhdx"), disk("b/data.vhdx")]);
    let folder = MemFolder::new(files.clone());
    let found = inventory(&folder, &DiskGraph::default(), &Options::default());
    let windows = r"E:\".parse().unwrap();
    let plan = plan(&found.machines[0], "New", Some(&windows));
    let [(config, rewrite)] = &plan.rewrites.iter().collect::<Vec<_>>()[..] else {
        panic!("{plan:?}");
    };
    let (_, bytes) = files.iter().find(|(path, _)| path == *config).unwrap();
    let mut tree = hvs::read_tree(bytes).unwrap().0;
    rewrite_paths(&mut tree, rewrite);
    let config = VmConfig::from_tree(&tree).unwrap();
    let named: Vec<&str> = config.virtual_disks().map(|(_, path)| path).collect();
    let disks = ["Data.vhdx", "data (2).vhdx", "Data (3).vhdx"];
    let disks = disks.map(|name| format!(r"E:\Virtual Hard Disks\{name}"));
    assert_eq!(named, disks);
    assert_eq!(config.data_roots.configuration.as_deref(), Some(r"E:\"));
    let there = plan.files.iter().filter(|file| file.role.is_none());
    assert_eq!(there.count(), 2);
}

/// A second copy of a state file must not overwrite the first, nor a name lead out of the folder.
#[test]
fn state_files_of_one_name_and_of_dangerous_names() {
    let vm = Vm::generation2("A", 1);
    let mut files = vm.files(Layout::Export);
    let id = vm.config.id.unwrap().to_string().to_uppercase();
    files.extend([
        disk(&format!("stray/{id}.vmrs")),
        disk(&format!("stray/{id}.VMGS")),
    ]);
    let graph = DiskGraph::default();
    let found = inventory(&MemFolder::new(files), &graph, &Options::default());
    let planned = plan(&found.machines[0], "A", None);
    let targets: BTreeSet<String> = planned
        .files
        .iter()
        .map(|file| file.target.to_lowercase())
        .collect();
    assert_eq!(targets.len(), planned.files.len(), "{targets:#?}");
    assert_eq!(
        planned.files[0].target,
        format!("A/Virtual Machines/{id}.vmcx")
    );
    assert_eq!(found.machines[0].files.len(), targets.len());

    let mut machine = found.machines[0].clone();
    machine.path = r"A/Virtual Machines/..\..\evil.vmcx".into();
    for file in &mut machine.files {
        file.path = machine.path.clone();
        file.role = Role::Memory;
    }
    for file in plan(&machine, "A", None).files {
        let target = file.target;
        assert!(
            target.starts_with("A/Virtual Machines/.._.._evil/"),
            "{target}"
        );
        assert!(!target.contains('\\'), "{target}");
    }
}

#[test]
fn names_that_windows_refuses() {
    let cases = [
        ("plain", "plain"),
        ("a<b>c:d\"e/f\\g|h?i*j\u{1}", "a_b_c_d_e_f_g_h_i_j_"),
        ("ends. . ", "ends"),
        ("", "_"),
        ("...", "_"),
        ("con", "_con"),
        ("NUL.vhdx", "_NUL.vhdx"),
        ("com1.backup", "_com1.backup"),
        ("COM¹", "_COM¹"),
        ("COM10", "COM10"),
        ("console", "console"),
        ("VM 1.5", "VM 1.5"),
    ];
    for (name, safe) in cases {
        assert_eq!(safe_name(name, 100), safe, "{name:?}");
    }
    let long = "💻".repeat(300) + ".vhdx";
    assert_eq!(safe_name(&long, 255), "💻".repeat(62) + ".vhdx");
    let mut names = Names::default();
    let folders = ["Same", "same", "SAME", "Same (2)", "a/b", "a\\b"].map(|n| names.folder(n));
    assert_eq!(
        folders,
        [
            "Same",
            "same (2)",
            "SAME (3)",
            "Same (2) (2)",
            "a_b",
            "a_b (2)"
        ]
    );
    // A VM's name has no ending; a file's number goes before it.
    let mut names = Names::default();
    let folders = ["VM 1.5", "VM 1.5"].map(|n| names.folder(n));
    assert_eq!(folders, ["VM 1.5", "VM 1.5 (2)"]);
    let mut names = Names::default();
    let files = [
        "a:b.vhdx",
        "A_B.VHDX",
        "kelvin.raw",
        "\u{212a}elvin.raw",
        ".x",
        ".X",
    ];
    assert_eq!(
        files.map(|n| names.file(n)),
        [
            "a_b.vhdx",
            "A_B (2).VHDX",
            "kelvin.raw",
            "\u{212a}elvin (2).raw",
            ".x",
            ".X (2)"
        ]
    );
}

proptest! {
    #![proptest_config(testkit::vary::config(256))]
    #[test]
    fn every_name_is_safe_and_unique(names in proptest::collection::vec(name(), 0..20)) {
        let mut given = Names::default();
        let mut seen = BTreeSet::new();
        for (number, name) in names.iter().enumerate() {
            let safe = match number % 3 {
                0 => given.folder(name),
                1 => given.file(name),
                _ => {
                    let plain = given.plain_file(name);
                    prop_assert!(seen.insert(plain.to_lowercase()));
                    prop_assert!(plain.len() <= NAME_MAX);
                    continue;
                }
            };
            prop_assert!(seen.insert(safe.to_lowercase()));
            prop_assert!(!safe.is_empty() && safe.len() <= NAME_MAX);
            prop_assert!(!safe.ends_with(['.', ' ']));
            prop_assert!(!safe.chars().any(|c| c.is_control() || "<>:\"/\\|?*".contains(c)));
            prop_assert_eq!(&safe_name(&safe, NAME_MAX), &safe);
        }
    }
}

/// Names of all sorts, among them those that Windows reserves and those that are long.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(con|NUL|com[0-9¹]|lpt1|a)[. ]{0,2}(\\.(vhdx|VHD))?[. ]{0,2}",
        "[a名💾.]{240,300}(\\.avhdx)?",
    ]
}
