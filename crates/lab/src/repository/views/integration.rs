//! The service for backups of a guest, and replication.

use cim::Instance;

use super::names::within;
use crate::state::{Host, Power, upper};

/// The id that every VM's service for backups has.
const VSS: &str = "5CED1297-4598-4915-A5FC-AD21BB4D02A4";

pub(super) fn vss_settings(host: &Host) -> Vec<Instance> {
    let all = host.vms().iter().flat_map(|vm| vm.all_settings());
    let of = |settings: &crate::state::Settings| {
        Instance::new("Msvm_VssComponentSettingData")
            .with("ElementName", "VSS")
            .with(
                "EnabledState",
                if settings.backup_service { 2_u16 } else { 3 },
            )
            .with("InstanceID", within(settings, VSS))
            .with("ResourceSubType", "Microsoft:Hyper-V:VSS Component")
            .with("ResourceType", 1_u16)
    };
    all.map(of).collect()
}

/// What goes on at this moment. Without contact there is none: the VM does not run.
pub(super) fn vss(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let status = match (vm.power, vm.settings.backup_service) {
            (Power::Running, true) => vm.guest.backup_status,
            _ => 12,
        };
        Instance::new("Msvm_VssComponent")
            .with("CreationClassName", "Msvm_VssComponent")
            .with("DeviceID", format!("Microsoft:{}\\{VSS}", upper(vm.id)))
            .with("ElementName", "VSS")
            .with(
                "EnabledState",
                if vm.settings.backup_service { 2_u16 } else { 3 },
            )
            .with("HealthState", 5_u16)
            .with("OperationalStatus", vec![status])
            .with("SystemCreationClassName", "Msvm_ComputerSystem")
            .with("SystemName", upper(vm.id))
    };
    host.vms().iter().map(of).collect()
}

/// `InstanceID` of the first relationship of a VM.
pub(super) fn relationship_id(vm: &crate::state::Vm) -> String {
    format!("Microsoft:{}\\HVR\\0", upper(vm.id))
}

pub(super) fn relationships(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let replication = vm.replication?;
        let relationship = Instance::new("Msvm_ReplicationRelationship")
            .with("ElementName", vm.settings.name.as_str())
            .with("InstanceID", relationship_id(vm))
            .with("LastReplicationType", 1_u16)
            .with("ReplicationHealth", replication.health)
            .with("ReplicationState", replication.state);
        Some(relationship)
    };
    host.vms().iter().filter_map(of).collect()
}

pub(super) fn replication_settings(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let replication = vm.replication?;
        let settings = Instance::new("Msvm_ReplicationSettingData")
            .with("InstanceID", format!("{}\\Settings", relationship_id(vm)))
            .with("ReplicationInterval", replication.interval)
            .with("VirtualSystemIdentifier", upper(vm.id));
        Some(settings)
    };
    host.vms().iter().filter_map(of).collect()
}
