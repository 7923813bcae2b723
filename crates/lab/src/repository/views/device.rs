//! Devices of configurations: controllers, drives, disks, network adapters, memory, processors.

use cim::Instance;

use super::names::{by_id, path, system_path, within};
use crate::state::{Adapter, ControllerKind, Drive, Host, Medium, Settings, upper};

const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
const STORAGE: &str = "Msvm_StorageAllocationSettingData";
const ADAPTER: &str = "Msvm_SyntheticEthernetPortSettingData";

/// Each configuration there is, with what `make` makes of it.
fn each(host: &Host, make: impl Fn(&Settings) -> Vec<Instance>) -> Vec<Instance> {
    let vms = host.vms().iter();
    vms.flat_map(|vm| vm.all_settings())
        .flat_map(make)
        .collect()
}

fn resource(class: &str, id: String, kind: u16, sub_type: &str, name: &str) -> Instance {
    Instance::new(class)
        .with("AutomaticAllocation", true)
        .with("AutomaticDeallocation", true)
        .with("ConsumerVisibility", 3_u16)
        .with("ElementName", name)
        .with("InstanceID", id)
        .with("ResourceSubType", sub_type)
        .with("ResourceType", kind)
}

fn controller_id(settings: &Settings, at: usize) -> String {
    let controller = settings.controllers.get(at);
    let (id, number) = controller.map_or_else(Default::default, |c| (c.id, c.number));
    within(settings, &format!("{}\\{number}", upper(id)))
}

fn drive_id(settings: &Settings, drive: &Drive) -> String {
    within(settings, &format!("{}\\D", settings.place(drive)))
}

pub(super) fn controllers_and_drives(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let controllers = settings
            .controllers
            .iter()
            .enumerate()
            .map(|(at, controller)| {
                let id = controller_id(settings, at);
                match controller.kind {
                    ControllerKind::Ide => {
                        let kind = "Microsoft:Hyper-V:Emulated IDE Controller";
                        resource(RESOURCE, id, 5, kind, "IDE-Controller")
                            .with("Address", controller.number.to_string())
                    }
                    ControllerKind::Scsi => {
                        let kind = "Microsoft:Hyper-V:Synthetic SCSI Controller";
                        resource(RESOURCE, id, 6, kind, "SCSI-Controller").with(
                            "VirtualSystemIdentifiers",
                            vec![format!("{{{}}}", upper(controller.id))],
                        )
                    }
                }
            });
        let drives = settings.drives.iter().map(|drive| {
            let (kind, sub_type, name) = match &drive.medium {
                Medium::Disk { .. } => (17, "Microsoft:Hyper-V:Synthetic Disk Drive", "Festplatte"),
                Medium::PassThrough(_) => (
                    17,
                    "Microsoft:Hyper-V:Physical Disk Drive",
                    "Physisches Laufwerk",
                ),
                Medium::Dvd(_) => (16, "Microsoft:Hyper-V:Synthetic DVD Drive", "DVD-Laufwerk"),
            };
            let parent = by_id(host, RESOURCE, &controller_id(settings, drive.controller));
            let id = drive_id(settings, drive);
            let mut instance = resource(RESOURCE, id, kind, sub_type, name)
                .with("AddressOnParent", drive.slot.to_string())
                .with("Parent", parent.to_string());
            if let Medium::PassThrough(number) = drive.medium {
                let disk = path(host, "Msvm_DiskDrive")
                    .with_key("CreationClassName", "Msvm_DiskDrive")
                    .with_key("DeviceID", format!("Microsoft:{number}"))
                    .with_key("SystemCreationClassName", "Msvm_ComputerSystem")
                    .with_key("SystemName", host.name.as_str());
                instance.set("HostResource", vec![disk.to_string()]);
            }
            instance
        });
        controllers.chain(drives).collect()
    })
}

pub(super) fn media(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let media = settings.drives.iter().filter_map(|drive| {
            let (file, shared, sub_type, name) = match &drive.medium {
                Medium::Disk { path, shared } => (
                    path,
                    *shared,
                    "Microsoft:Hyper-V:Virtual Hard Disk",
                    "Festplatten-Image",
                ),
                Medium::Dvd(Some(path)) => (
                    path,
                    false,
                    "Microsoft:Hyper-V:Virtual CD/DVD Disk",
                    "ISO-Datenträgerimage",
                ),
                Medium::Dvd(None) | Medium::PassThrough(_) => return None,
            };
            let parent = by_id(host, RESOURCE, &drive_id(settings, drive));
            let medium = resource(STORAGE, settings.disk_instance(drive), 31, sub_type, name)
                .with("Access", 3_u16)
                .with("CachingMode", 2_u16)
                .with("HostResource", vec![file.clone()])
                .with("IgnoreFlushes", false)
                .with("IOPSLimit", 0_u64)
                .with("IOPSReservation", 0_u64)
                .with("Parent", parent.to_string())
                .with("PersistentReservationsSupported", shared)
                .with("WriteHardeningMethod", 0_u16);
            Some(medium)
        });
        media.collect()
    })
}

fn adapter_id(settings: &Settings, adapter: &Adapter) -> String {
    within(settings, &upper(adapter.id))
}

pub(super) fn adapters(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let adapters = settings.adapters.iter().map(|adapter| {
            let sub_type = "Microsoft:Hyper-V:Synthetic Ethernet Port";
            let id = adapter_id(settings, adapter);
            resource(ADAPTER, id, 10, sub_type, &adapter.name)
                .with("Address", adapter.mac.as_str())
                .with("ClusterMonitored", true)
                .with("StaticMacAddress", adapter.static_mac)
                .with(
                    "VirtualSystemIdentifiers",
                    vec![format!("{{{}}}", upper(adapter.id))],
                )
        });
        adapters.collect()
    })
}

pub(super) fn connections(host: &Host) -> Vec<Instance> {
    const CLASS: &str = "Msvm_EthernetPortAllocationSettingData";
    each(host, |settings| {
        let connections = settings.adapters.iter().map(|adapter| {
            let switch = host.switches.iter().find(|s| Some(s.id) == adapter.switch);
            let id = format!("{}\\C", adapter_id(settings, adapter));
            let parent = by_id(host, ADAPTER, &adapter_id(settings, adapter));
            let sub_type = "Microsoft:Hyper-V:Ethernet Connection";
            let mut connection = resource(CLASS, id, 33, sub_type, "Ethernet-Verbindung")
                .with("EnabledState", if switch.is_some() { 2_u16 } else { 3 })
                .with("Parent", parent.to_string());
            if let Some(switch) = switch {
                let path = system_path(host, "Msvm_VirtualEthernetSwitch", &upper(switch.id));
                connection.set("HostResource", vec![path.to_string()]);
                connection.set("LastKnownSwitchName", switch.name.as_str());
            }
            connection
        });
        connections.collect()
    })
}

pub(super) fn memory(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let id = within(settings, "4764334D-E001-4176-82EE-5594EC9B530E");
        let memory = resource(
            "Msvm_MemorySettingData",
            id,
            4,
            "Microsoft:Hyper-V:Memory",
            "Arbeitsspeicher",
        )
        .with("AllocationUnits", "byte * 2^20")
        .with("DynamicMemoryEnabled", false)
        .with("Limit", settings.memory)
        .with("Reservation", settings.memory)
        .with("VirtualQuantity", settings.memory)
        .with("VirtualQuantityUnits", "byte * 2^20");
        vec![memory]
    })
}

pub(super) fn processors(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let id = within(settings, "B637F346-6A0E-4DEC-AF52-BD70CB80A21D\\0");
        let processor = resource(
            "Msvm_ProcessorSettingData",
            id,
            3,
            "Microsoft:Hyper-V:Processor",
            "Prozessor",
        )
        .with("Limit", 100_000_u64)
        .with("LimitProcessorFeatures", false)
        .with("Reservation", 0_u64)
        .with("VirtualQuantity", settings.processors)
        .with("VirtualQuantityUnits", "count");
        vec![processor]
    })
}

/// Only generation 2 has it.
pub(super) fn security(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        if settings.generation != 2 {
            return Vec::new();
        }
        let security = Instance::new("Msvm_SecuritySettingData")
            .with("DataProtectionRequested", false)
            .with("ElementName", "Sicherheitseinstellungen")
            .with("EncryptStateAndVmMigrationTraffic", false)
            .with(
                "InstanceID",
                within(settings, "0AF17D96-49AB-4A8E-A1B2-0F1B2B9F5F2C"),
            )
            .with("KsdEnabled", false)
            .with("ShieldingRequested", false)
            .with("TpmEnabled", settings.tpm);
        vec![security]
    })
}
