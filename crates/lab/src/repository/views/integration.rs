//! Integration services of the guests, and replication.

use cim::{Instance, cimxml};

use super::names::within;
use crate::state::{Host, Power, Settings, Vm, upper};

/// A service that the host offers its guests.
pub(super) struct Offered {
    settings: &'static str,
    /// The class by which the guest's side is seen, if it is.
    device: Option<&'static str>,
    /// The same of every VM.
    id: &'static str,
    sub_type: &'static str,
}

pub(super) const VSS: Offered = Offered {
    settings: "Msvm_VssComponentSettingData",
    device: Some("Msvm_VssComponent"),
    id: "5CED1297-4598-4915-A5FC-AD21BB4D02A4",
    sub_type: "Microsoft:Hyper-V:VSS Component",
};
pub(super) const HEARTBEAT: Offered = Offered {
    settings: "Msvm_HeartbeatComponentSettingData",
    device: Some("Msvm_HeartbeatComponent"),
    id: "84EAAE65-2F2E-45F5-9BB5-0E857DC8EB47",
    sub_type: "Microsoft:Hyper-V:Heartbeat Component",
};
pub(super) const KVP: Offered = Offered {
    settings: "Msvm_KvpExchangeComponentSettingData",
    device: Some("Msvm_KvpExchangeComponent"),
    id: "2A34B1C2-FD73-4043-8A5B-DD2159BC743F",
    sub_type: "Microsoft:Hyper-V:Kvp Component",
};
pub(super) const SHUTDOWN: Offered = Offered {
    settings: "Msvm_ShutdownComponentSettingData",
    device: Some("Msvm_ShutdownComponent"),
    id: "9F8233AC-BE49-4C79-8EE3-E7E1985B2077",
    sub_type: "Microsoft:Hyper-V:Shutdown Component",
};
pub(super) const TIME: Offered = Offered {
    settings: "Msvm_TimeSyncComponentSettingData",
    device: None,
    id: "2497F4DE-E9FA-4204-80E4-4B75C46419C0",
    sub_type: "Microsoft:Hyper-V:Time Synchronization Component",
};
pub(super) const GUEST_SERVICE: Offered = Offered {
    settings: "Msvm_GuestServiceInterfaceComponentSettingData",
    device: None,
    id: "6C09BB55-D683-4DA0-8931-C9BF705F6480",
    sub_type: "Microsoft:Hyper-V:Guest Service Interface Component",
};

pub(super) const ALL: [&Offered; 6] = [&VSS, &HEARTBEAT, &KVP, &SHUTDOWN, &TIME, &GUEST_SERVICE];

/// 2 offered, 3 not. Only the service for backups can be taken away in a scenario; that for
/// copying files is not offered unless somebody wants it.
fn enabled(service: &Offered, settings: &Settings) -> u16 {
    let offered = match service.settings {
        "Msvm_VssComponentSettingData" => settings.backup_service,
        "Msvm_GuestServiceInterfaceComponentSettingData" => false,
        _ => true,
    };
    if offered { 2 } else { 3 }
}

pub(super) fn settings(host: &Host, service: &Offered) -> Vec<Instance> {
    let all = host.vms().iter().flat_map(|vm| vm.all_settings());
    let of = |settings: &Settings| {
        Instance::new(service.settings)
            .with("ElementName", service.sub_type)
            .with("EnabledState", enabled(service, settings))
            .with("InstanceID", within(settings, service.id))
            .with("ResourceSubType", service.sub_type)
            .with("ResourceType", 1_u16)
    };
    all.map(of).collect()
}

/// What goes on at this moment. Without contact there is none: the VM does not run.
pub(super) fn devices(host: &Host, service: &Offered) -> Vec<Instance> {
    let Some(class) = service.device else {
        return Vec::new();
    };
    let of = |vm: &Vm| {
        let enabled = enabled(service, &vm.settings);
        let status = match (vm.power, enabled) {
            (Power::Running, 2) if service.settings == VSS.settings => vm.guest.backup_status,
            (Power::Running, 2) => 2,
            _ => 12,
        };
        let mut device = Instance::new(class)
            .with("CreationClassName", class)
            .with(
                "DeviceID",
                format!("Microsoft:{}\\{}", upper(vm.id), service.id),
            )
            .with("ElementName", service.sub_type)
            .with("EnabledState", enabled)
            .with("HealthState", 5_u16)
            .with("OperationalStatus", vec![status])
            .with("SystemCreationClassName", "Msvm_ComputerSystem")
            .with("SystemName", upper(vm.id));
        if service.settings == KVP.settings {
            device.set("GuestIntrinsicExchangeItems", told(vm));
        }
        device
    };
    let realized = host.vms().iter().filter(|vm| !vm.planned);
    realized.map(of).collect()
}

/// What a running guest tells of its system, each item as an embedded instance.
fn told(vm: &Vm) -> Vec<String> {
    let Some(system) = vm
        .guest
        .system
        .as_ref()
        .filter(|_| vm.power == Power::Running)
    else {
        return Vec::new();
    };
    let platform = system.platform.to_string();
    let items = [
        ("OSName", system.name.as_str()),
        ("OSVersion", system.version.as_str()),
        ("OSPlatformId", platform.as_str()),
        ("FullyQualifiedDomainName", vm.settings.name.as_str()),
    ];
    let item = |(name, data): (&str, &str)| {
        let item = Instance::new("Msvm_KvpExchangeDataItem")
            .with("Data", data)
            .with("Name", name)
            .with("Source", 2_u16);
        // Strings and a number can be written.
        cimxml::write_instance(&item).unwrap_or_default()
    };
    items.into_iter().map(item).collect()
}

/// `InstanceID` of the first relationship of a VM.
pub(in super::super) fn relationship_id(vm: &Vm) -> String {
    format!("Microsoft:{}\\HVR\\0", upper(vm.id))
}

/// Those of all: a replica that is replicated on has a second one.
pub(in super::super) fn relationship_ids(vm: &Vm) -> Vec<String> {
    let Some(replication) = vm.replication else {
        return Vec::new();
    };
    let second = replication
        .extended
        .then(|| format!("Microsoft:{}\\HVR\\1", upper(vm.id)));
    [relationship_id(vm)].into_iter().chain(second).collect()
}

pub(super) fn relationships(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        let told = vm.replication.iter().flat_map(|replication| {
            relationship_ids(vm).into_iter().map(|id| {
                Instance::new("Msvm_ReplicationRelationship")
                    .with("ElementName", vm.settings.name.as_str())
                    .with("InstanceID", id)
                    .with("LastReplicationType", 1_u16)
                    .with("ReplicationHealth", replication.health)
                    .with("ReplicationState", replication.state)
            })
        });
        told.collect::<Vec<_>>()
    };
    host.vms().iter().flat_map(of).collect()
}

pub(super) fn replication_settings(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        let replication = vm.replication?;
        let settings = Instance::new("Msvm_ReplicationSettingData")
            .with("InstanceID", format!("{}\\Settings", relationship_id(vm)))
            .with("ReplicationInterval", replication.interval)
            .with("VirtualSystemIdentifier", upper(vm.id));
        Some(settings)
    };
    host.vms().iter().filter_map(of).collect()
}
