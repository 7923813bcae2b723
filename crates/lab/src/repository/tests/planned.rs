//! VMs that are only planned, and VMs that are taken off the host.

use super::*;

const SCENARIO: &str = r#"{"vms": [
    {"name": "web", "disks": [{"path": "D:\\a.vhdx", "size": 4194304}]},
    {"name": "left over", "planned": true, "state": "off",
     "disks": [{"path": "D:\\b.vhdx", "size": 4194304}]}]}"#;

fn files(bench: &Bench) -> usize {
    let root = bench.repository.host.files().root().join("D");
    let mut folders = vec![root];
    let mut count = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => count += 1,
            }
        }
    }
    count
}

#[test]
fn what_is_planned_is_no_vm_and_can_be_taken_away() {
    let mut bench = bench_of(SCENARIO);
    let vms = bench.select("SELECT * FROM Msvm_ComputerSystem");
    assert_eq!(vms.len(), 2, "the host and one VM");
    let planned = bench.path("SELECT * FROM Msvm_PlannedComputerSystem");
    let class = "Msvm_VirtualSystemSettingData";
    let settings = bench.around(&planned, "Msvm_SettingsDefineState", class);
    let kind: String = settings[0].get("VirtualSystemType").unwrap();
    assert_eq!(kind, "Microsoft:Hyper-V:System:Planned");
    // It cannot be backed up.
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    let inputs = Instance::new("")
        .with("AffectedSystem", planned.clone())
        .with("SnapshotType", 32768_u16);
    let outputs = bench.call(&service, "CreateSnapshot", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32773);
    let before = files(&bench);
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let inputs = Instance::new("").with("AffectedSystem", planned);
    bench.finish(&management, "DestroySystem", inputs);
    assert_eq!(bench.select("SELECT * FROM Msvm_PlannedComputerSystem"), []);
    assert_eq!(bench.select(&format!("SELECT * FROM {class}")).len(), 1);
    assert_eq!(before - files(&bench), 3, "its configuration, not its disk");
}

#[test]
fn a_vm_is_taken_away_only_while_it_does_not_run() {
    let mut bench = bench_of(SCENARIO);
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let inputs = Instance::new("").with("AffectedSystem", vm.clone());
    let outputs = bench.call(&management, "DestroySystem", inputs.clone());
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32775);
    let off = Instance::new("").with("RequestedState", 3_u16);
    bench.finish(&vm, "RequestStateChange", off);
    bench.finish(&management, "DestroySystem", inputs);
    assert_eq!(bench.select("SELECT * FROM Msvm_ComputerSystem").len(), 1);
    let disk = bench.repository.host.files().exists("D:\\a.vhdx");
    assert!(disk);
}
