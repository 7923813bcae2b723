//! The services whose methods do everything; a host has one of each.

use cim::Instance;

use crate::state::Host;

pub(in super::super) const CLASSES: [&str; 6] = [
    "Msvm_ImageManagementService",
    "Msvm_ReplicationService",
    "Msvm_SecurityService",
    "Msvm_VirtualSystemManagementService",
    "Msvm_VirtualSystemReferencePointService",
    "Msvm_VirtualSystemSnapshotService",
];

pub(super) fn of(host: &Host, class: &str) -> Vec<Instance> {
    let name = match class {
        "Msvm_VirtualSystemManagementService" => "vmms",
        other => other,
    };
    let service = Instance::new(class)
        .with("Caption", "Hyper-V-Dienst")
        .with("CreationClassName", class)
        .with("ElementName", class)
        .with("EnabledState", 5_u16)
        .with("HealthState", 5_u16)
        .with("Name", name)
        .with("OperationalStatus", vec![2_u16])
        .with("Started", true)
        .with("SystemCreationClassName", "Msvm_ComputerSystem")
        .with("SystemName", host.name.as_str());
    vec![service]
}

/// Where VMs and disks go unless somebody says otherwise.
pub(super) fn defaults(host: &Host) -> Vec<Instance> {
    let settings = Instance::new("Msvm_VirtualSystemManagementServiceSettingData")
        .with("DefaultExternalDataRoot", "D:\\VMs")
        .with("DefaultVirtualHardDiskPath", "D:\\VMs")
        .with("ElementName", "Einstellungen des Hyper-V-Dienstes")
        .with("EnhancedSessionModeEnabled", false)
        .with("InstanceID", format!("Microsoft:{}", host.name))
        .with("MaximumMacAddress", "00155D0A01FF")
        .with("MinimumMacAddress", "00155D0A0100")
        .with("NumaSpanningEnabled", true);
    vec![settings]
}
