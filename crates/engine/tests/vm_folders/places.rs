//! Where restored configurations say that their disks are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use disk::layer::PathKind;
use disk::open::{OpenAs, open};
use engine::{Code, Outcome, Severity};
use hyperkeep_engine as engine;
use serde_json::Value;
use testkit::vhd::oracle;
use testkit::vm::{Layout, Vm};
use vmconfig::rewrite::{Rewrite, rewrite_file};
use vmconfig::{VmConfig, hvs, xml};

use crate::world::{World, only, web};

const PLACE: &str = r"E:\Restored & more\VM 数";

/// What was backed up as `bytes` lies at `path` in the restored folder `to`: byte for byte, but for
/// configurations where the place of the disks is known and is said: because it was given, or
/// because this is Windows.
pub(crate) fn assert_came_back(bytes: &[u8], path: &Path, to: &Path, windows: Option<&str>) {
    let shown = path.display();
    let restored = fs::read(path).unwrap();
    let configuration = path.extension().is_some_and(|e| e == "vmcx" || e == "xml");
    let here = cfg!(windows).then(|| to.to_str().unwrap());
    let Some(root) = windows.or(here).filter(|_| configuration) else {
        assert!(restored == bytes, "{shown}");
        return;
    };
    let (then, now) = (parse(bytes), parse(&restored));
    // Each drive names the restored file of its disk by its full path, ...
    assert_eq!(media(&now).len(), media(&then).len(), "{shown}");
    for (old, new) in std::iter::zip(media(&then), media(&now)) {
        let name = old.rsplit('\\').next().unwrap();
        assert_eq!(new, format!(r"{root}\Virtual Hard Disks\{name}"), "{shown}");
        assert!(to.join("Virtual Hard Disks").join(name).is_file(), "{new}");
    }
    // ... the folders are those of the restored VM, where the configuration has them, ...
    let moved = |old: &Option<String>| old.as_ref().map(|_| root.to_owned());
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

/// The restored configurations: the VM's own first.
fn configurations(to: &Path) -> Vec<PathBuf> {
    let below = |folder: &str| fs::read_dir(to.join(folder)).into_iter().flatten();
    let files = below("Virtual Machines").chain(below("Snapshots"));
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "vmcx"))
        .collect()
}

#[test]
fn disks_are_said_to_be_where_the_folder_will_lie() {
    let world = World::new();
    let vm = web(1, &world.vms());
    let report = world.backup(&world.vms());
    let point = world.open(only(&report));
    let to = world.dir.path().join("restored");
    let restored = world.restore_for(&point, &to, PLACE);
    assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
    assert_eq!(restored.findings, []);
    for (path, bytes) in vm.files(Layout::Export) {
        let below: PathBuf = path.split('/').skip(1).collect();
        assert_came_back(&bytes, &to.join(&below), &to, Some(PLACE));
    }
    // A differencing disk says the same of its parent, after where it lies beside it.
    let child = to.join("Virtual Hard Disks").join("web_1.avhdx");
    let child = open(fs::File::open(child).unwrap(), OpenAs::ByContent).unwrap();
    let link = child.info().parent.clone().unwrap();
    let paths: Vec<_> = link.paths.iter().map(|p| (p.kind, &*p.path)).collect();
    let full = format!(r"{PLACE}\Virtual Hard Disks\web.vhdx");
    let told = [
        (PathKind::Relative, r".\web.vhdx"),
        (PathKind::Absolute, &full),
    ];
    assert_eq!(paths, told);
    // The folder is the same VM all the same.
    let again = world.backup(&to);
    assert_eq!(again.outcome, Outcome::Ok, "{again:?}");
    assert!(only(&again).layers.iter().all(|layer| layer.stats.new == 0));
}

/// Another reader than ours finds the new places, and nothing of the old ones.
#[test]
fn dissect_reads_the_new_places() {
    let test = "dissect_reads_the_new_places";
    let Some(python) = oracle::python(test, "dissect.hypervisor") else {
        return;
    };
    let world = World::new();
    let vm = web(1, &world.vms());
    let report = world.backup(&world.vms());
    let point = world.open(only(&report));
    let to = world.dir.path().join("restored");
    world.restore_for(&point, &to, PLACE);
    let files = configurations(&to);
    let args: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let script = include_str!("../../../testkit/oracles/hvs_tree.py");
    let out = python.run(script, &args).unwrap();
    let mut named = Vec::new();
    for line in out.lines() {
        let mut texts = BTreeSet::new();
        collect(&serde_json::from_str(line).unwrap(), &mut texts);
        let old = vm.config.data_roots.configuration.as_ref().unwrap();
        let left: Vec<_> = texts.iter().filter(|text| text.contains(old)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(texts.contains(PLACE), "the folders: {texts:?}");
        let disks = texts.iter().filter(|text| text.ends_with("vhdx"));
        named.push(disks.cloned().collect::<Vec<_>>());
    }
    let disk = |name: &str| format!(r"{PLACE}\Virtual Hard Disks\{name}");
    let present = vec![disk("data.vhdx"), disk("web_1.avhdx")];
    assert_eq!(named, [present, vec![disk("web.vhdx")]]);
}

/// All texts of a tree as the script prints it.
fn collect(entries: &Value, texts: &mut BTreeSet<String>) {
    for entry in entries.as_array().unwrap() {
        match (entry[1].as_str().unwrap(), &entry[2]) {
            ("node", below) => collect(below, texts),
            ("string", hex) => drop(texts.insert(text(hex.as_str().unwrap()))),
            _ => {}
        }
    }
}

/// UTF-16LE in hexadecimal.
fn text(hex: &str) -> String {
    let byte = |at: usize| u16::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let units: Vec<u16> = (0..hex.len())
        .step_by(4)
        .map(|at| byte(at) | byte(at + 2) << 8)
        .collect();
    String::from_utf16(&units).unwrap()
}

/// The original's disk must not stand in for one that the point lacks.
#[test]
fn a_disk_that_is_not_restored_is_not_looked_for_where_it_was() {
    let world = World::new();
    let vm = web(1, &world.vms());
    let disks = world.vms().join(vm.disk_folder(Layout::Export));
    fs::remove_file(disks.join("data.vhdx")).unwrap();
    let report = world.backup(&world.vms());
    let point = world.open(only(&report));
    let to = world.dir.path().join("restored");
    let restored = world.restore_for(&point, &to, PLACE);
    assert_eq!(restored.outcome, Outcome::Partial, "{restored:?}");
    let own = fs::read(&configurations(&to)[0]).unwrap();
    let disks = ["web_1.avhdx", "data.vhdx"];
    let disks = disks.map(|name| format!(r"{PLACE}\Virtual Hard Disks\{name}"));
    assert_eq!(media(&parse(&own)), disks);
    assert!(!to.join("Virtual Hard Disks").join("data.vhdx").exists());
}

#[test]
fn who_does_not_say_the_place_is_told_what_that_means() {
    let world = World::new();
    web(1, &world.vms());
    Vm::generation2("diskless", 2)
        .write_to(&world.vms(), Layout::Export)
        .unwrap();
    let report = world.backup(&world.vms());
    for vm in &report.vms {
        let point = world.open(vm);
        let to = world.dir.path().join(format!("restored {}", vm.id));
        let restored = world.restore_folder(&point, &to);
        assert_eq!(restored.outcome, Outcome::Ok, "{restored:?}");
        // On Windows the place is known, and without disks there is nothing to take.
        if cfg!(windows) || vm.name == "diskless" {
            assert_eq!(restored.findings, []);
            continue;
        }
        let [finding] = &restored.findings[..] else {
            panic!("{restored:?}");
        };
        assert_eq!(finding.code, Code::OriginalPaths);
        assert_eq!(finding.severity, Severity::Info);
        assert!(finding.message.contains(r"D:\Hyper-V\"), "{finding}");
        assert!(finding.message.contains("and 2 more"), "{finding}");
        assert!(finding.hint.as_ref().unwrap().contains("--windows-path"));
    }
}
