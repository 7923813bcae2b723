//! VMs, written into a host's tables as Hyper-V's documentation has them.

use cim::{CimType, DateTime, Instance, Kind, ObjectPath, cimxml, path::HYPER_V};
use uuid::Uuid;

use super::Host;

pub(crate) const IDE: &str = "83F8638B-8DCA-4152-9EDA-2CA8B33039B4";

/// A disk: `scsi` number or IDE channel, place, file.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) scsi: bool,
    pub(crate) number: u32,
    pub(crate) place: u32,
    pub(crate) path: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Nic {
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) switch: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) id: u128,
    pub(crate) name: String,
    /// The last part of `VirtualSystemType`.
    pub(crate) kind: &'static str,
    pub(crate) parent: Option<u128>,
    pub(crate) disks: Vec<Disk>,
}

/// A VM with whatever the tests vary of it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) id: u128,
    pub(crate) name: String,
    pub(crate) state: u16,
    pub(crate) operation: Option<u16>,
    pub(crate) generation: u8,
    pub(crate) version: &'static str,
    pub(crate) disks: Vec<Disk>,
    pub(crate) nics: Vec<Nic>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) parent: Option<u128>,
    /// `EnabledState` of the backup service's setting.
    pub(crate) vss: Option<u16>,
    /// `OperationalStatus` of the service in the guest.
    pub(crate) contact: Option<u16>,
    /// Whether the guest tells that it is a Windows; nothing if `None`.
    pub(crate) windows: Option<bool>,
    pub(crate) replication: u16,
    pub(crate) checkpoint_type: u16,
}

pub(crate) fn guid(number: u128) -> String {
    Uuid::from_u128(number).to_string().to_ascii_uppercase()
}

/// The text of a settings' path, as hosts write it.
pub(crate) fn settings_path(id: &str) -> String {
    path("Msvm_VirtualSystemSettingData", id)
}

fn path(class: &str, id: &str) -> String {
    let mut path = ObjectPath::new(HYPER_V, class).with_key("InstanceID", id);
    path.host = Some("HV01".to_owned());
    path.to_string()
}

impl Machine {
    pub(crate) fn new(id: u128, name: &str) -> Self {
        let disk = Disk {
            scsi: true,
            number: 0,
            place: 0,
            path: format!("D:\\VMs\\{name}\\{name}.vhdx"),
        };
        Self {
            id,
            name: name.to_owned(),
            state: 2,
            operation: None,
            generation: 2,
            version: "9.0",
            disks: vec![disk],
            nics: Vec::new(),
            checkpoints: Vec::new(),
            parent: None,
            vss: Some(2),
            contact: Some(2),
            windows: Some(true),
            replication: 0,
            checkpoint_type: 3,
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        Uuid::from_u128(self.id)
    }

    pub(crate) fn install(&self, host: &mut Host) {
        for instance in self.instances() {
            host.add(instance);
        }
    }

    pub(crate) fn instances(&self) -> Vec<Instance> {
        let vm = guid(self.id);
        let mut status = vec![2_u16];
        status.extend(self.operation);
        let mut out = vec![
            Instance::new("Msvm_ComputerSystem")
                .with("CreationClassName", "Msvm_ComputerSystem")
                .with("Name", vm.as_str())
                .with("ElementName", self.name.as_str())
                .with("Caption", "仮想マシン")
                .with("EnabledState", self.state)
                .with("HealthState", 5_u16)
                .with("OperationalStatus", status)
                .with("ReplicationMode", self.replication)
                .with("LastSuccessfulBackupTime", never()),
        ];
        let mut now = self.settings(&format!("Microsoft:{vm}"), &self.name, "System:Realized");
        now.set("Parent", parent(self.parent));
        if self.parent.is_none() {
            now.set_null("Parent", Kind::of(CimType::String));
        }
        out.push(now);
        out.extend(self.devices(&vm, &self.disks));
        out.extend(self.network(&vm));
        for checkpoint in &self.checkpoints {
            let id = guid(checkpoint.id);
            let kind = format!("Snapshot:{}", checkpoint.kind);
            let mut settings = self.settings(&format!("Microsoft:{id}"), &checkpoint.name, &kind);
            settings.set("ConfigurationFile", format!("Snapshots\\{id}.vmcx"));
            match checkpoint.parent {
                Some(id) => settings.set("Parent", parent(Some(id))),
                None => settings.set("Parent", ""),
            }
            out.push(settings);
            out.extend(self.devices(&id, &checkpoint.disks));
        }
        if let Some(contact) = self.contact {
            out.push(
                self.service("Msvm_VssComponent")
                    .with("OperationalStatus", vec![contact]),
            );
        }
        if let Some(windows) = self.windows {
            let item = |name: &str, data: &str| {
                let item = Instance::new("Msvm_KvpExchangeDataItem")
                    .with("Name", name)
                    .with("Data", data)
                    .with("Source", 2_u16);
                cimxml::write_instance(&item).unwrap()
            };
            let items = if windows {
                vec![
                    item("OSName", "Windows Server 2022"),
                    item("OSPlatformId", "2"),
                ]
            } else {
                vec![item("OSName", "Debian GNU/Linux"), item("OSVersion", "12")]
            };
            out.push(
                self.service("Msvm_KvpExchangeComponent")
                    .with("OperationalStatus", vec![2_u16])
                    .with("GuestIntrinsicExchangeItems", items),
            );
        }
        out
    }

    fn service(&self, class: &str) -> Instance {
        Instance::new(class).with("SystemName", guid(self.id)).with(
            "DeviceID",
            format!("Microsoft:{}\\{}", guid(self.id), guid(77)),
        )
    }

    fn settings(&self, instance_id: &str, name: &str, kind: &str) -> Instance {
        Instance::new("Msvm_VirtualSystemSettingData")
            .with("InstanceID", instance_id)
            .with("ElementName", name)
            .with("VirtualSystemIdentifier", guid(self.id))
            .with("VirtualSystemType", format!("Microsoft:Hyper-V:{kind}"))
            .with(
                "VirtualSystemSubType",
                format!("Microsoft:Hyper-V:SubType:{}", self.generation),
            )
            .with("Version", self.version)
            .with("ConfigurationDataRoot", format!("D:\\VMs\\{}", self.name))
            .with(
                "ConfigurationFile",
                format!("Virtual Machines\\{}.vmcx", guid(self.id)),
            )
            .with("SnapshotDataRoot", format!("D:\\VMs\\{}", self.name))
            .with("UserSnapshotType", self.checkpoint_type)
            .with(
                "CreationTime",
                DateTime::parse("20260105042350.000000-000").unwrap(),
            )
            .with(
                "AutomaticStartupActionDelay",
                DateTime::parse("00000000000130.000000:000").unwrap(),
            )
            .with("BIOSGUID", format!("{{{}}}", guid(self.id ^ 0xb105)))
            .with("Notes", vec!["one".to_owned(), "two".to_owned()])
            .with("IsSaved", false)
            .with("SomethingNew", 7_u32)
    }

    /// Processor, memory, services, controllers, drives and media of a configuration.
    pub(crate) fn devices(&self, config: &str, disks: &[Disk]) -> Vec<Instance> {
        let id = |rest: &str| format!("Microsoft:{config}\\{rest}");
        let mut out = vec![
            Instance::new("Msvm_ProcessorSettingData")
                .with("InstanceID", id("b637f346-6a0e-4dec-af52-bd70cb80a21d\\0"))
                .with("VirtualQuantity", 4_u64),
            Instance::new("Msvm_MemorySettingData")
                .with("InstanceID", id("4764334d-e001-4176-82ee-5594ec9b530e"))
                .with("AllocationUnits", "byte * 2^20")
                .with("VirtualQuantity", 2048_u64)
                .with("DynamicMemoryEnabled", true),
        ];
        if let Some(state) = self.vss {
            out.push(
                Instance::new("Msvm_VssComponentSettingData")
                    .with("InstanceID", id("5CED1297-4598-4915-A5FC-AD21BB4D02A4"))
                    .with("EnabledState", state),
            );
        }
        let resource = |instance_id: &str, kind: u16, subtype: &str| {
            Instance::new("Msvm_ResourceAllocationSettingData")
                .with("InstanceID", instance_id)
                .with("ResourceType", kind)
                .with("ResourceSubType", format!("Microsoft:Hyper-V:{subtype}"))
        };
        let scsi = |number: u32| guid(0x5c51_0000 + u128::from(number));
        let mut controllers: Vec<(bool, u32)> = disks.iter().map(|d| (d.scsi, d.number)).collect();
        if self.generation == 1 {
            controllers.extend([(false, 0), (false, 1)]);
        }
        controllers.sort_unstable();
        controllers.dedup();
        for (is_scsi, number) in controllers {
            let controller = if is_scsi {
                resource(
                    &id(&format!("{}\\0", scsi(number))),
                    6,
                    "Synthetic SCSI Controller",
                )
                .with(
                    "VirtualSystemIdentifiers",
                    vec![format!("{{{}}}", scsi(number))],
                )
            } else {
                resource(
                    &id(&format!("{IDE}\\{number}")),
                    5,
                    "Emulated IDE Controller",
                )
                .with("Address", number.to_string())
            };
            out.push(controller);
        }
        for disk in disks {
            let controller = match disk.scsi {
                true => format!("{}\\0", scsi(disk.number)),
                false => format!("{IDE}\\{}", disk.number),
            };
            let place = format!("{controller}\\{}", disk.place);
            let drive = resource(&id(&format!("{place}\\D")), 17, "Synthetic Disk Drive")
                .with(
                    "Parent",
                    path("Msvm_ResourceAllocationSettingData", &id(&controller)),
                )
                .with("AddressOnParent", disk.place.to_string());
            out.push(drive);
            out.push(
                Instance::new("Msvm_StorageAllocationSettingData")
                    .with("InstanceID", id(&format!("{place}\\L")))
                    .with("ResourceType", 31_u16)
                    .with("ResourceSubType", "Microsoft:Hyper-V:Virtual Hard Disk")
                    .with(
                        "Parent",
                        path(
                            "Msvm_ResourceAllocationSettingData",
                            &id(&format!("{place}\\D")),
                        ),
                    )
                    .with("HostResource", vec![disk.path.clone()])
                    .with("IOPSLimit", 0_u64),
            );
        }
        out
    }

    fn network(&self, config: &str) -> Vec<Instance> {
        let mut out = Vec::new();
        for (at, nic) in self.nics.iter().enumerate() {
            let id = format!("Microsoft:{config}\\{}", guid(0x21c0 + at as u128));
            out.push(
                Instance::new("Msvm_SyntheticEthernetPortSettingData")
                    .with("InstanceID", id.as_str())
                    .with("ElementName", nic.name.as_str())
                    .with("Address", nic.mac.as_str())
                    .with("StaticMacAddress", true),
            );
            let mut connection = Instance::new("Msvm_EthernetPortAllocationSettingData")
                .with("InstanceID", format!("{id}\\C"))
                .with("Parent", path("Msvm_SyntheticEthernetPortSettingData", &id))
                .with("EnabledState", if nic.switch.is_some() { 2_u16 } else { 3 });
            if let Some(switch) = nic.switch {
                let mut switch_path = ObjectPath::new(HYPER_V, "Msvm_VirtualEthernetSwitch")
                    .with_key("CreationClassName", "Msvm_VirtualEthernetSwitch")
                    .with_key("Name", switch.to_string().to_ascii_uppercase());
                switch_path.host = Some("HV01".to_owned());
                connection.set("HostResource", vec![switch_path.to_string()]);
            }
            out.push(connection);
            out.push(
                Instance::new("Msvm_EthernetSwitchPortVlanSettingData")
                    .with("InstanceID", format!("{id}\\C\\{}", guid(0x71a4)))
                    .with("OperationMode", 1_u32)
                    .with("AccessVlanId", 10_u16),
            );
        }
        out
    }
}

fn parent(id: Option<u128>) -> String {
    id.map(|id| settings_path(&format!("Microsoft:{}", guid(id))))
        .unwrap_or_default()
}

/// What hosts write where something never was.
fn never() -> DateTime {
    DateTime::parse("16010101000000.000000-000").unwrap()
}
