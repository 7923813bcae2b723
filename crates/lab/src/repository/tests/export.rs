//! Exports of VMs that run, and what they do to merging.

use std::path::PathBuf;

use disk::BlockRead;
use disk::resolve::{Folders, open_chain};
use vmconfig::{VmConfig, hvs};

use super::*;

const SCENARIO: &str = r#"{"vms": [{"name": "web",
    "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
    "checkpoints": [{"name": "base", "writes": [{"offset": 0, "length": 512, "seed": 1}]}],
    "writes": [{"offset": 4096, "length": 512, "seed": 2}]}]}"#;

fn export(bench: &mut Bench, change: &[(&str, u8)], storage: bool) -> (ObjectPath, Instance) {
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let class = "Msvm_VirtualSystemExportSettingData";
    let found = bench.around(&vm, "Msvm_SystemExportSettingData", class);
    let mut settings = found[0].clone();
    for (name, value) in change {
        settings.set(name, *value);
    }
    settings.set("CopyVmStorage", storage);
    let mut inputs = Instance::new("")
        .with("ComputerSystem", vm.clone())
        .with("ExportDirectory", "E:\\export");
    inputs.set_embedded("ExportSettingData", &settings).unwrap();
    (vm, inputs)
}

/// The configuration that was exported, and whether it has memory.
fn exported(bench: &Bench, folder: &str) -> (VmConfig, bool) {
    let root: PathBuf = bench
        .repository
        .host
        .files()
        .root()
        .join("E/export/web")
        .join(folder);
    let find = |end: &str| {
        let mut all = std::fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let path = all
            .find(|path| path.extension().is_some_and(|e| e == end))
            .unwrap();
        hvs::read_tree(&std::fs::read(path).unwrap()).unwrap().0
    };
    let config = VmConfig::from_tree(&find("vmcx")).unwrap();
    (
        config,
        find("vmrs").get(&["savedstate", "RamBlock0"]).is_some(),
    )
}

#[test]
fn a_running_vm_is_exported_with_memory_disks_and_checkpoints() {
    let mut bench = bench_of(SCENARIO);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let (_, inputs) = export(&mut bench, &[], true);
    bench.finish(&management, "ExportSystemDefinition", inputs.clone());
    let (config, memory) = exported(&bench, "Virtual Machines");
    assert_eq!(config.id, Some(bench.repository.host.vms()[0].id));
    assert!(memory && config.saved_state.is_some());
    let (checkpoint, memory) = exported(&bench, "Snapshots");
    assert_eq!((checkpoint.name.as_str(), memory), ("base", false));
    let read = |config: &VmConfig| {
        let path = config.controllers[0].drives[0].path.clone().unwrap();
        assert!(
            path.starts_with("E:\\export\\web\\Virtual Hard Disks\\"),
            "{path}"
        );
        let files = bench.repository.host.files();
        let finder = Folders::new().mount("D:\\", files.root().join("nowhere"));
        let chain = open_chain(&finder, &files.local(&path).unwrap()).unwrap();
        let mut bytes = vec![0; 8192];
        chain.read_at(0, &mut bytes).unwrap();
        (
            bytes[0] != 0,
            bytes[4096..4608].iter().any(|byte| *byte != 0),
        )
    };
    assert_eq!(read(&config), (true, true), "it stands alone");
    assert_eq!(read(&checkpoint), (true, false));
    assert_eq!(
        bench.repository.host.vms()[0].settings.saved,
        None,
        "it ran on"
    );
    // The same folder again is not overwritten.
    let outputs = bench.call(&management, "ExportSystemDefinition", inputs);
    bench.clock.advance(Duration::from_secs(20));
    let job = bench.repository.get(&outputs.get("Job").unwrap()).unwrap();
    assert_eq!(job.get::<u16>("JobState").unwrap(), 10);
}

#[test]
fn an_export_without_disks_turns_merging_off() {
    let mut bench = bench_of(SCENARIO);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let change = [("CaptureLiveState", 0), ("CopySnapshotConfiguration", 1)];
    let (_, inputs) = export(&mut bench, &change, false);
    bench.finish(&management, "ExportSystemDefinition", inputs);
    let (config, memory) = exported(&bench, "Virtual Machines");
    assert!(!memory && config.saved_state.is_none());
    let files = bench.repository.host.files().root().join("E/export/web");
    assert!(!files.join("Snapshots").exists() && !files.join("Virtual Hard Disks").exists());
    let depth = |bench: &Bench| {
        let host = &bench.repository.host;
        let leaf = host.vms()[0].settings.disks().next().unwrap().1;
        let above = host.parent_of(leaf);
        usize::from(above.is_some())
    };
    // The checkpoint goes, and its disk stays in two files.
    let vm = bench.repository.host.vms()[0].id;
    let checkpoint = bench.repository.host.vms()[0].checkpoints[0].settings.id;
    bench
        .repository
        .host
        .destroy_checkpoint(vm, checkpoint)
        .unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let mut settings = bench.one("SELECT * FROM Msvm_DiskMergeSettingData");
    assert_eq!(settings.get::<u32>("EnabledState").unwrap(), 0);
    assert_eq!(depth(&bench), 1);
    settings.set("EnabledState", 1_u32);
    let mut inputs = Instance::new("");
    inputs.set_embedded("SettingData", &settings).unwrap();
    let outputs = bench.call(&management, "ModifyDiskMergeSettings", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 0);
    bench.clock.advance(Duration::from_secs(60));
    let settings = bench.one("SELECT * FROM Msvm_DiskMergeSettingData");
    assert_eq!(settings.get::<u32>("EnabledState").unwrap(), 1);
    assert_eq!(depth(&bench), 0, "merged after all");
}

#[test]
fn what_an_export_cannot_do_is_refused() {
    let mut bench = bench_of(SCENARIO);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    for (change, code) in [
        (("CopySnapshotConfiguration", 3), 32770),
        (("CopySnapshotConfiguration", 9), 32773),
        (("CaptureLiveState", 9), 32773),
    ] {
        let (_, inputs) = export(&mut bench, &[change], true);
        let outputs = bench.call(&management, "ExportSystemDefinition", inputs);
        assert_eq!(
            outputs.get::<u32>("ReturnValue").unwrap(),
            code,
            "{change:?}"
        );
    }
    let (_, mut inputs) = export(&mut bench, &[], true);
    inputs.set("ExportDirectory", "..\\..\\etc");
    let outputs = bench.call(&management, "ExportSystemDefinition", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32773);
}
