//! Devices of configurations: controllers, drives, disks, memory, processors, the host's own.

use cim::Instance;

use super::names::{by_id, path, within};
use crate::state::{
    Controller, ControllerKind, Drive, Host, HostDeviceKind, Medium, Settings, upper,
};

const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
const STORAGE: &str = "Msvm_StorageAllocationSettingData";

/// Each configuration there is, with what `make` makes of it.
pub(super) fn each(host: &Host, make: impl Fn(&Settings) -> Vec<Instance>) -> Vec<Instance> {
    let vms = host.vms().iter();
    vms.flat_map(|vm| vm.all_settings())
        .flat_map(make)
        .collect()
}

pub(super) fn resource(class: &str, id: String, kind: u16, sub_type: &str, name: &str) -> Instance {
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
    let place = controller.map(Controller::place).unwrap_or_default();
    within(settings, &place)
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
                Medium::Disk { .. } | Medium::Empty => {
                    (17, "Microsoft:Hyper-V:Synthetic Disk Drive", "Festplatte")
                }
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
                Medium::Dvd(None) | Medium::PassThrough(_) | Medium::Empty => return None,
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

pub(super) fn memory(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let id = within(settings, "4764334D-E001-4176-82EE-5594EC9B530E");
        let (least, most) = settings
            .dynamic_memory
            .unwrap_or((settings.memory, settings.memory));
        let memory = resource(
            "Msvm_MemorySettingData",
            id,
            4,
            "Microsoft:Hyper-V:Memory",
            "Arbeitsspeicher",
        )
        .with("AllocationUnits", "byte * 2^20")
        .with("DynamicMemoryEnabled", settings.dynamic_memory.is_some())
        .with("Limit", most)
        .with("Reservation", least)
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
        .with("ExposeVirtualizationExtensions", false)
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
            .with("ShieldingRequested", settings.shielded)
            .with("TpmEnabled", settings.tpm);
        vec![security]
    })
}

/// Devices of the host, of one class each. What their subtypes are called is UNVERIFIED.
pub(super) fn host_devices(host: &Host, wanted: HostDeviceKind) -> Vec<Instance> {
    let (class, number, sub_type) = match wanted {
        HostDeviceKind::FibreChannel => (
            "Msvm_SyntheticFcPortSettingData",
            7,
            "Microsoft:Hyper-V:Synthetic FibreChannel Port",
        ),
        HostDeviceKind::PciExpress => (
            "Msvm_PciExpressSettingData",
            32768,
            "Microsoft:Hyper-V:Virtual Pci Express Port",
        ),
        HostDeviceKind::GpuPartition => (
            "Msvm_GpuPartitionSettingData",
            32770,
            "Microsoft:Hyper-V:GPU Partition",
        ),
    };
    each(host, |settings| {
        let all = settings.host_devices.iter();
        let devices = all.filter(|device| device.kind == wanted).map(|device| {
            let id = within(settings, &upper(device.id));
            resource(class, id, number, sub_type, &device.name)
        });
        devices.collect()
    })
}

pub(super) fn all_host_devices(host: &Host) -> Vec<Instance> {
    let kinds = [
        HostDeviceKind::FibreChannel,
        HostDeviceKind::PciExpress,
        HostDeviceKind::GpuPartition,
    ];
    let all = kinds.into_iter();
    all.flat_map(|kind| host_devices(host, kind)).collect()
}
