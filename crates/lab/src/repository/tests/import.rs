//! Imports: from a configuration on the host to a VM, and what keeps it from being one.

use super::*;

const SCENARIO: &str = r#"{"switches": ["LAN", "DMZ"], "vms": [
    {"name": "web", "state": "off", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}],
     "dvds": [null], "adapters": [{"switch": "LAN", "vlan": 17, "mac": "00155D112233"}],
     "checkpoints": [{"name": "base", "writes": [{"offset": 0, "length": 512, "seed": 1}],
                      "checkpoints": [{"name": "upper", "now": true}]}]}]}"#;

const SETTINGS: &str = "Msvm_VirtualSystemSettingData";

/// Exports the VM, and the folder and the file of its configuration.
fn exported(bench: &mut Bench) -> (String, String) {
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let inputs = Instance::new("")
        .with("ComputerSystem", vm.clone())
        .with("ExportDirectory", "E:\\export");
    bench.finish(&management, "ExportSystemDefinition", inputs);
    let name = vm.key("Name").unwrap();
    let root = "E:\\export\\web".to_owned();
    let file = format!("{root}\\Virtual Machines\\{name}.vmcx");
    assert!(bench.repository.host.files().exists(&file));
    (root, file)
}

fn import(file: &str, snapshots: &str, new_id: bool) -> Instance {
    Instance::new("")
        .with("SystemDefinitionFile", file)
        .with("SnapshotFolder", snapshots)
        .with("GenerateNewSystemIdentifier", new_id)
}

impl Bench {
    /// Calls a method whose job fails, and the messages of its errors.
    fn fails(&mut self, target: &ObjectPath, method: &str, inputs: Instance) -> Vec<String> {
        let outputs = self.call(target, method, inputs);
        assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 4096, "{method}");
        self.clock.advance(Duration::from_secs(20));
        let job: ObjectPath = outputs.get("Job").unwrap();
        let state = self.repository.get(&job).unwrap();
        assert_eq!(state.get::<u16>("JobState").unwrap(), 10, "{method}");
        let errors = self.call(&job, "GetErrorEx", Instance::new(""));
        let texts: Vec<String> = errors.get_list("Errors").unwrap();
        let message = |text: &String| {
            let error = cim::cimxml::read_instance(text).unwrap();
            error.get::<String>("Message").unwrap()
        };
        texts.iter().map(message).collect()
    }

    /// Imports, and the path of what was planned.
    fn plans(&mut self, inputs: Instance) -> ObjectPath {
        let management = self.service("Msvm_VirtualSystemManagementService");
        let job = self.finish(&management, "ImportSystemDefinition", inputs);
        let class = "Msvm_PlannedComputerSystem";
        let made = self.around(&job, "Msvm_AffectedJobElement", class);
        assert_eq!(made.len(), 1);
        made[0].path.clone().unwrap()
    }

    fn changes_one(&mut self, changed: &Instance) -> u32 {
        let management = self.service("Msvm_VirtualSystemManagementService");
        let text = cim::cimxml::write_instance(changed).unwrap();
        let inputs = Instance::new("").with("ResourceSettings", vec![text]);
        let outputs = self.call(&management, "ModifyResourceSettings", inputs);
        outputs.get("ReturnValue").unwrap()
    }
}

fn planned(path: &ObjectPath) -> Instance {
    Instance::new("").with("PlannedSystem", path.clone())
}

#[test]
fn an_export_becomes_a_second_vm_with_its_whole_tree() {
    let mut bench = bench_of(SCENARIO);
    let (root, file) = exported(&mut bench);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let path = bench.plans(import(&file, &format!("{root}\\Snapshots"), true));
    let settings = bench.around(&path, "Msvm_SettingsDefineState", SETTINGS);
    let kind: String = settings[0].get("VirtualSystemType").unwrap();
    assert_eq!(kind, "Microsoft:Hyper-V:System:Planned");
    let tree = bench.around(&path, "Msvm_SnapshotOfVirtualSystem", SETTINGS);
    let kinds: Vec<String> = tree
        .iter()
        .map(|c| c.get("VirtualSystemType").unwrap())
        .collect();
    assert_eq!(kinds, ["Microsoft:Hyper-V:Snapshot:Planned"; 2]);
    let parents = tree
        .iter()
        .filter(|c| c.get_opt::<String>("Parent").unwrap().is_some());
    assert_eq!(parents.count(), 1);
    // Its disks are those of the export, and it has another id than the first.
    let disks = bench.around(
        settings[0].path.as_ref().unwrap(),
        "Msvm_VirtualSystemSettingDataComponent",
        "Msvm_StorageAllocationSettingData",
    );
    let resource: Vec<String> = disks[0].get_list("HostResource").unwrap();
    assert!(resource[0].starts_with("E:\\export\\web\\Virtual Hard Disks\\"));
    bench.finish(&management, "ValidatePlannedSystem", planned(&path));
    bench.finish(&management, "RealizePlannedSystem", planned(&path));
    assert_eq!(bench.select("SELECT * FROM Msvm_PlannedComputerSystem"), []);
    let vms = bench.select("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    assert_eq!(vms.len(), 2);
    let host = &mut bench.repository.host;
    let (first, second) = (&host.vms()[0], &host.vms()[1]);
    assert_eq!(second.checkpoints.len(), 2);
    assert_eq!(second.parent, Some(second.checkpoints[1].settings.id));
    assert_eq!(second.settings.adapters[0].vlan, Some(17));
    assert_eq!(second.settings.firmware, first.id);
    // Both are whole: what is merged of one is not the other's.
    let (id, own) = (second.id, second.checkpoints[0].settings.id);
    host.destroy_tree(id, own).unwrap();
    bench.clock.advance(Duration::from_secs(60));
    bench.repository.host.advance();
    let second = bench.repository.host.vm(id).unwrap();
    assert_eq!(second.checkpoints.len(), 0);
    let disks: Vec<&str> = second.settings.disks().map(|(_, path)| path).collect();
    assert_eq!(disks, ["E:\\export\\web\\Virtual Hard Disks\\a.vhdx"]);
}

#[test]
fn what_is_wrong_with_an_import_is_told() {
    let mut bench = bench_of(SCENARIO);
    let (root, file) = exported(&mut bench);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let tell =
        |bench: &mut Bench, inputs| bench.fails(&management, "ImportSystemDefinition", inputs);
    let gone = tell(&mut bench, import("E:\\nothing.vmcx", "", true));
    assert!(gone[0].contains("0x80070002"), "{gone:?}");
    let disk = format!("{root}\\Virtual Hard Disks\\a.vhdx");
    let damaged = tell(&mut bench, import(&disk, "", true));
    assert!(damaged[0].contains("0x80070570"), "{damaged:?}");
    let clash = tell(&mut bench, import(&file, "", false));
    assert!(clash[0].contains("0x800700B7"), "{clash:?}");
    bench.repository.host.os = "10.0.14393".to_owned();
    let new = tell(&mut bench, import(&file, "", true));
    assert!(new[0].contains("0x80070032"), "{new:?}");
    assert_eq!(bench.select("SELECT * FROM Msvm_PlannedComputerSystem"), []);
    assert_eq!(bench.repository.host.vms().len(), 1);
}

#[test]
fn what_is_missing_is_told_by_validation_and_put_right() {
    let mut bench = bench_of(SCENARIO);
    let (root, file) = exported(&mut bench);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    bench.repository.host.switches.remove(0);
    let path = bench.plans(import(&file, "", true));
    let base = bench
        .repository
        .host
        .files()
        .root()
        .join("E/export/web/Virtual Hard Disks/a.vhdx");
    let aside = base.with_extension("aside");
    std::fs::rename(&base, &aside).unwrap();
    let found = bench.fails(&management, "ValidatePlannedSystem", planned(&path));
    // Two checkpoints, one base, and one switch.
    assert_eq!(found.len(), 4, "{found:#?}");
    let found = bench.fails(&management, "RealizePlannedSystem", planned(&path));
    assert_eq!(found.len(), 1);
    std::fs::rename(&aside, &base).unwrap();
    let inputs = planned(&path).with("SnapshotFolder", format!("{root}\\Snapshots"));
    bench.finish(&management, "ImportSnapshotDefinitions", inputs);
    let found = bench.fails(&management, "ValidatePlannedSystem", planned(&path));
    assert!(found.iter().all(|text| text.contains("LAN")), "{found:?}");
    // Its connections lead to another switch, or nowhere.
    let settings = bench.around(&path, "Msvm_SettingsDefineState", SETTINGS);
    let connection = bench.around(
        settings[0].path.as_ref().unwrap(),
        "Msvm_VirtualSystemSettingDataComponent",
        "Msvm_EthernetPortAllocationSettingData",
    );
    let mut connection = connection[0].clone();
    let switch = bench.path("SELECT * FROM Msvm_VirtualEthernetSwitch");
    connection.set("HostResource", vec![switch.to_string()]);
    assert_eq!(bench.changes_one(&connection), 0);
    let tree = bench.around(&path, "Msvm_SnapshotOfVirtualSystem", SETTINGS);
    for checkpoint in tree {
        let of = bench.around(
            checkpoint.path.as_ref().unwrap(),
            "Msvm_VirtualSystemSettingDataComponent",
            "Msvm_EthernetPortAllocationSettingData",
        );
        let mut off = of[0].clone();
        off.set("EnabledState", 3_u16);
        assert_eq!(bench.changes_one(&off), 0);
    }
    bench.finish(&management, "ValidatePlannedSystem", planned(&path));
    bench.finish(&management, "RealizePlannedSystem", planned(&path));
    let host = &bench.repository.host;
    assert_eq!(
        host.vms()[1].settings.adapters[0].switch,
        Some(host.switches[0].id)
    );
}

#[test]
fn a_planned_vm_that_is_destroyed_leaves_what_was_imported() {
    let mut bench = bench_of(SCENARIO);
    let (root, file) = exported(&mut bench);
    let before = bench.repository.host.files().used("E:").unwrap();
    let path = bench.plans(import(&file, &format!("{root}\\Snapshots"), true));
    assert!(bench.repository.host.files().used("E:").unwrap() > before);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let inputs = Instance::new("").with("AffectedSystem", path);
    bench.finish(&management, "DestroySystem", inputs);
    assert_eq!(bench.repository.host.files().used("E:").unwrap(), before);
    assert!(bench.repository.host.files().exists(&file));
}

#[test]
fn an_id_is_kept_when_its_vm_is_gone() {
    let mut bench = bench_of(SCENARIO);
    let (root, file) = exported(&mut bench);
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let gone = Instance::new("").with("AffectedSystem", vm.clone());
    bench.finish(&management, "DestroySystem", gone);
    let path = bench.plans(import(&file, &format!("{root}\\Snapshots"), false));
    assert_eq!(path.key("Name"), vm.key("Name"));
    bench.finish(&management, "RealizePlannedSystem", planned(&path));
    assert!(bench.repository.get(&vm).is_ok());
}

#[test]
fn a_saved_state_goes_with_it_or_is_dropped() {
    let mut bench = bench_of(&SCENARIO.replace("\"off\"", "\"saved\""));
    bench.repository.host.rules.foreign_state_refused = true;
    let (_, file) = exported(&mut bench);
    let path = bench.plans(import(&file, "E:\\export\\web\\Snapshots", true));
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let found = bench.fails(&management, "ValidatePlannedSystem", planned(&path));
    assert_eq!(found.len(), 1, "{found:?}");
    let off = Instance::new("").with("RequestedState", 3_u16);
    bench.finish(&path, "RequestStateChange", off);
    bench.finish(&management, "ValidatePlannedSystem", planned(&path));
    let on = Instance::new("").with("RequestedState", 2_u16);
    let outputs = bench.call(&path, "RequestStateChange", on);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32775);
}
