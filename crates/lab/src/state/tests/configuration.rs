//! The configuration files, read by the project's own readers.

use vmconfig::model::Kind;
use vmconfig::{VmConfig, hvs, vmgs, xml};

use super::*;

impl Bench {
    fn bytes(&self, path: &str) -> Vec<u8> {
        let local = self.host.files().local(path).unwrap();
        std::fs::read(&local).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn config(&self, stem: &str) -> VmConfig {
        let (tree, warnings) = hvs::read_tree(&self.bytes(&format!("{stem}.vmcx"))).unwrap();
        assert_eq!(warnings, []);
        VmConfig::from_tree(&tree).unwrap()
    }

    fn memory(&self, stem: &str) -> Option<Vec<u8>> {
        let (tree, _) = hvs::read_tree(&self.bytes(&format!("{stem}.vmrs"))).unwrap();
        match &tree.get(&["savedstate", "RamBlock0"])?.value {
            vmconfig::Value::Bytes(bytes) => Some(bytes.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn configurations(&self) -> usize {
        let count = |folder: &str| {
            let path = self.folder.path().join("D/VMs/web").join(folder);
            std::fs::read_dir(path).map_or(0, Iterator::count)
        };
        count("Virtual Machines") + count("Snapshots")
    }
}

#[test]
fn a_checkpoint_has_files_of_its_own_that_stay_until_it_goes() {
    let mut bench = bench(Rules::default());
    let stem = bench.vm().settings.stem(Kind::Machine);
    let before = bench.config(&stem);
    assert_eq!((before.id, before.kind), (Some(bench.vm), Kind::Machine));
    assert_eq!(before.controllers[0].drives[0].path.as_deref(), Some(LEAF));
    assert_eq!(bench.configurations(), 3);
    let id = bench.checkpoint(CheckpointKind::Recovery);
    let frozen = bench.vm().checkpoints[0].settings.stem(Kind::Checkpoint);
    let config = bench.config(&frozen);
    assert_eq!((config.id, config.kind), (Some(id), Kind::Checkpoint));
    assert_eq!(config.logical_id, Some(bench.vm));
    assert_eq!(config.controllers, before.controllers, "the frozen files");
    let now = bench.config(&stem).controllers[0].drives[0].path.clone();
    assert_eq!(now, Some(bench.leaf()), "the VM goes on in another file");
    let guest = bench.bytes(&format!("{frozen}.vmgs"));
    let told = vmgs::read(&guest).unwrap();
    assert_eq!((told.key_protector, told.vhd_footer), (Some(false), true));
    let files = ["vmcx", "vmrs", "vmgs"].map(|end| bench.bytes(&format!("{frozen}.{end}")));
    bench.host.modify(bench.vm, Some("another"), None).unwrap();
    assert_eq!(bench.config(&stem).name, "another");
    assert_eq!(
        files,
        ["vmcx", "vmrs", "vmgs"].map(|end| bench.bytes(&format!("{frozen}.{end}")))
    );
    let job = bench.host.destroy_checkpoint(bench.vm, id).unwrap();
    bench.end(job);
    bench.settle();
    assert_eq!(bench.configurations(), 3);
    let path = bench.config(&stem).controllers[0].drives[0].path.clone();
    assert_eq!(path.as_deref(), Some(LEAF), "merged, and told so");
}

#[test]
fn memory_is_there_while_a_vm_is_saved() {
    let mut bench = bench(Rules::default());
    let stem = bench.vm().settings.stem(Kind::Machine);
    assert_eq!(bench.memory(&stem), None);
    let mut memories = Vec::new();
    for _ in 0..2 {
        let job = bench.host.change_state(bench.vm, 6).unwrap();
        bench.end(job);
        memories.push(bench.memory(&stem).unwrap());
        assert!(bench.config(&stem).saved_state.is_some());
        // A checkpoint for a backup holds none, whatever the VM's state.
        let job = bench
            .host
            .create_checkpoint(bench.vm, wish(CheckpointKind::Recovery, Consistency::Crash));
        let id = bench.made(job.unwrap());
        let frozen = bench.vm().checkpoint(id).unwrap();
        assert_eq!(frozen.settings.saved, None);
        assert_eq!(bench.memory(&frozen.settings.stem(Kind::Checkpoint)), None);
        let job = bench.host.change_state(bench.vm, 2).unwrap();
        bench.end(job);
        assert_eq!(bench.memory(&stem), None);
    }
    assert_ne!(memories[0], memories[1]);
}

#[test]
fn the_oldest_version_is_written_as_xml() {
    let mut bench = bench(Rules::default());
    let vm = bench.host.vm_mut(bench.vm).unwrap();
    vm.settings.version = "5.0".into();
    let job = bench.host.change_state(bench.vm, 6).unwrap();
    bench.end(job);
    let settings = &bench.vm().settings;
    let stem = settings.stem(Kind::Machine);
    assert_eq!(settings.ending(), "xml");
    let text = bench.bytes(&format!("{stem}.xml"));
    let (tree, _) = xml::read_tree(&text).unwrap();
    let config = VmConfig::from_tree(&tree).unwrap();
    assert_eq!((config.id, config.name.as_str()), (Some(bench.vm), "web"));
    let name = upper(bench.vm);
    assert_eq!(bench.bytes(&format!("{stem}\\{name}.bin")).len(), 64 << 10);
}
