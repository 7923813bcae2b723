//! What an export can be told, and whether disks are merged.

use cim::Instance;

use super::names::{by_id, vm_path};
use crate::state::{Host, Vm, upper};

const EXPORT: &str = "Msvm_VirtualSystemExportSettingData";

fn realized(host: &Host) -> impl Iterator<Item = &Vm> {
    host.vms().iter().filter(|vm| !vm.planned)
}

fn export_id(vm: &Vm) -> String {
    format!("Microsoft:{}\\Export", upper(vm.id))
}

/// A template for each VM: everything, into a folder of its name.
pub(super) fn settings(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        Instance::new(EXPORT)
            .with("BackupIntent", 0_u8)
            .with("CaptureLiveState", 1_u8)
            .with("CopySnapshotConfiguration", 0_u8)
            .with("CopyVmRuntimeInformation", true)
            .with("CopyVmStorage", true)
            .with("CreateVmExportSubdirectory", true)
            .with("DisableDifferentialOfIgnoredStorage", false)
            .with("ElementName", "Exporteinstellungen")
            .with("ExportForLiveMigration", false)
            .with("InstanceID", export_id(vm))
    };
    realized(host).map(of).collect()
}

pub(super) fn of_systems(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        Instance::new("Msvm_SystemExportSettingData")
            .with("ManagedElement", vm_path(host, vm.id))
            .with("SettingData", by_id(host, EXPORT, &export_id(vm)))
    };
    realized(host).map(of).collect()
}

/// 1 on, 0 off for now. How its name ends is the lab's own.
pub(super) fn merges(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        Instance::new("Msvm_DiskMergeSettingData")
            .with("ElementName", "Zusammenführung von Datenträgern")
            .with("EnabledState", u32::from(!vm.merges_off))
            .with(
                "InstanceID",
                format!("Microsoft:{}\\DiskMerge", upper(vm.id)),
            )
    };
    realized(host).map(of).collect()
}
