//! From a configuration's tree to the model.
//!
//! Key names: ExHyperV and a public 2012 R2 template (both name them in the open), see
//! `docs/hyperv/vmcx.md`. Whatever is missing or of another type than expected is `None`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::tree::{Entry, Tree, Value, parse_guid};

/// The tree has no `configuration` root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file holds no VM configuration: it has no `configuration` root")]
pub struct NotAConfiguration;

impl VmConfig {
    /// Describes the VM or checkpoint of a configuration.
    pub fn from_tree(tree: &Tree) -> Result<Self, NotAConfiguration> {
        let root = tree.get(&["configuration"]).ok_or(NotAConfiguration)?;
        if !matches!(root.value, Value::Node(_)) {
            return Err(NotAConfiguration);
        }
        let mut vm = VmConfig {
            devices: devices(root),
            ..identity(root)
        };
        vm.processors = processors(root);
        vm.memory = memory(root);
        vm.firmware = firmware(root);
        vm.controllers = controllers(root, &vm.devices, &mut vm.findings);
        vm.network_adapters = network_adapters(root, &vm.devices);
        vm.integration_services = integration_services(root, &vm.devices);
        vm.serial_ports = serial_ports(root);
        vm.security.virtual_tpm = Some(
            vm.devices
                .iter()
                .any(|device| device.kind == DeviceKind::VirtualTpm),
        );
        add_findings(root, &mut vm);
        Ok(vm)
    }
}

fn identity(root: &Entry) -> VmConfig {
    let type_id = root.text(&["properties", "type_id"]).unwrap_or_default();
    let global = |path: &[&str]| {
        let whole: Vec<&str> = ["global_settings"].iter().chain(path).copied().collect();
        root.text(&whole)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    VmConfig {
        name: root
            .text(&["properties", "name"])
            .unwrap_or_default()
            .to_owned(),
        id: root.guid(&["properties", "global_id"]),
        logical_id: root.guid(&["settings", "global", "logical_id"]),
        kind: match type_id.to_ascii_lowercase().contains("snapshot") {
            true => Kind::Checkpoint,
            false => Kind::Machine,
        },
        // Configurations older than generation 2 lack the key.
        generation: match root.int(&["properties", "subtype"]) {
            Some(1) => Generation::Two,
            _ => Generation::One,
        },
        version: root
            .int(&["properties", "version"])
            .and_then(ConfigVersion::from_packed),
        notes: root
            .text(&["properties", "notes"])
            .unwrap_or_default()
            .to_owned(),
        created: root.get(&["properties", "creation_time"]).and_then(created),
        automatic: AutomaticActions {
            start: root.int(&["global_settings", "power", "host_startup", "action"]),
            stop: root.int(&["global_settings", "power", "host_shutdown", "action"]),
        },
        checkpoints: CheckpointSettings {
            count: root.uint(&["global_settings", "snapshots", "list", "size"]),
            user_type: None,
        },
        highly_available: root.bool(&["properties", "highly_available"]),
        saved_state: root.get(&["savedstate"]).map(|state| SavedState {
            state_file: state.text(&["vsvlocation"]).map(str::to_owned),
            memory_file: state.text(&["memlocation"]).map(str::to_owned),
        }),
        disk_merge_pending: root.bool(&["global_settings", "disk_merge_pending"]),
        data_roots: DataRoots {
            configuration: global(&["data_root"]),
            checkpoints: global(&["snapshots", "data_root"]),
        },
        parent_hints: parent_hints(root),
        ..VmConfig::default()
    }
}

/// A FILETIME: 8 bytes whose order writers disagree on, or a number. Only dates of Hyper-V's
/// lifetime are believed, which one order at most gives.
fn created(entry: &Entry) -> Option<Timestamp> {
    match &entry.value {
        Value::Bytes(bytes) => {
            let bytes: [u8; 8] = bytes.as_slice().try_into().ok()?;
            filetime(u64::from_le_bytes(bytes)).or_else(|| filetime(u64::from_be_bytes(bytes)))
        }
        Value::Int(ticks) => filetime(u64::try_from(*ticks).ok()?),
        Value::UInt(ticks) => filetime(*ticks),
        _ => None,
    }
}

/// Ticks of 100 ns since 1601, within 2008 and 2100.
fn filetime(ticks: u64) -> Option<Timestamp> {
    const UNIX_EPOCH: i128 = 11_644_473_600;
    const FROM: i64 = 1_199_145_600;
    const TO: i64 = 4_102_444_800;
    let nanoseconds = i128::from(ticks) * 100 - UNIX_EPOCH * 1_000_000_000;
    let time = Timestamp::from_nanosecond(nanoseconds).ok()?;
    (FROM..TO).contains(&time.as_second()).then_some(time)
}

/// GUIDs under keys of `properties` and `global_settings` whose name speaks of a parent.
fn parent_hints(root: &Entry) -> Vec<Uuid> {
    let mut found = BTreeSet::new();
    for part in ["properties", "global_settings"] {
        let Some(part) = root.get(&[part]) else {
            continue;
        };
        let below = Tree {
            entries: part.children().to_vec(),
        };
        below.for_each_leaf(&mut |way, entry| {
            if let Value::String(text) = &entry.value
                && way
                    .last()
                    .is_some_and(|name| name.to_ascii_lowercase().contains("parent"))
                && let Some(guid) = parse_guid(text)
            {
                found.insert(guid);
            }
        });
    }
    found.into_iter().collect()
}

fn devices(root: &Entry) -> Vec<Device> {
    let manifest = root
        .get(&["manifest"])
        .map(Entry::children)
        .unwrap_or_default();
    manifest
        .iter()
        .filter_map(|entry| {
            let device_type = entry.guid(&["device"])?;
            let name = entry.text(&["name"]).unwrap_or_default().to_owned();
            let kind = DeviceKind::of(device_type).unwrap_or_else(|| {
                let fibre = name
                    .to_ascii_lowercase()
                    .replace(' ', "")
                    .contains("fibrechannel");
                if fibre {
                    DeviceKind::FibreChannel
                } else {
                    DeviceKind::Unknown
                }
            });
            let instance = entry.guid(&["instance"]).unwrap_or(device_type);
            Some(Device {
                device_type,
                instance,
                name,
                kind,
            })
        })
        .collect()
}

/// The node with a device's settings.
fn settings(root: &Entry, instance: Uuid) -> Option<&Entry> {
    root.children()
        .iter()
        .find(|entry| device_node(entry) == Some(instance))
}

/// The instance that a node's name (`_<guid>_`) stands for.
fn device_node(entry: &Entry) -> Option<Uuid> {
    entry
        .name
        .starts_with('_')
        .then(|| parse_guid(&entry.name))?
}

fn processors(root: &Entry) -> Processors {
    let number = |name| root.uint(&["settings", "processors", name]);
    Processors {
        count: number("count"),
        limit: number("limit"),
        reservation: number("reservation"),
        weight: number("weight"),
        nested_virtualization: root.bool(&[
            "settings",
            "processors",
            "nested_virtualization",
            "enabled",
        ]),
    }
}

fn memory(root: &Entry) -> Memory {
    let bank = root.get(&["settings", "memory", "bank"]);
    let number = |name| bank?.uint(&[name]);
    Memory {
        startup_mib: number("size"),
        dynamic: bank.and_then(|bank| bank.bool(&["dynamic_memory_enabled"])),
        minimum_mib: number("reservation"),
        maximum_mib: number("limit"),
        buffer_percent: number("target_memory_buffer"),
        weight: number("priority"),
    }
}

fn firmware(root: &Entry) -> Firmware {
    let Some(bios) = DeviceKind::Firmware
        .guid()
        .and_then(|guid| settings(root, guid))
    else {
        return Firmware::default();
    };
    let text = |path: &[&str]| bios.text(path).filter(|t| !t.is_empty()).map(str::to_owned);
    let boot_order = (0..16)
        .map_while(|n| bios.get(&["boot", &format!("device{n}")]))
        .filter_map(|entry| match &entry.value {
            Value::String(text) => Some(text.clone()),
            Value::Int(n) => Some(n.to_string()),
            _ => None,
        })
        .collect();
    Firmware {
        bios_guid: bios.guid(&["bios_guid"]),
        bios_serial: text(&["bios_serial_number"]),
        base_board_serial: text(&["base_board", "serial_number"]),
        chassis_serial: text(&["chassis", "serial_number"]),
        asset_tag: text(&["chassis", "asset_tag"]),
        secure_boot: bios.bool(&["secure_boot_enabled"]),
        boot_order,
        generation_id: root
            .text(&["global_settings", "devices", "generation_id"])
            .map(str::to_owned),
    }
}

/// The number at the end of a name such as `drive3`.
fn numbered(name: &str, prefix: &str) -> Option<u32> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix)).then(|| rest.parse().ok())?
}

fn controllers(root: &Entry, devices: &[Device], findings: &mut Vec<Finding>) -> Vec<Controller> {
    // In the order of the manifest, which is what numbers SCSI controllers; then whatever else
    // holds drives, so that none is overlooked.
    let listed = devices.iter().map(|device| device.instance);
    let stray = root.children().iter().filter_map(device_node);
    let mut seen = BTreeSet::new();
    let mut found = Vec::<Controller>::new();
    for instance in listed
        .chain(stray)
        .filter(|instance| seen.insert(*instance))
    {
        let Some(node) = settings(root, instance) else {
            continue;
        };
        let device = devices.iter().find(|device| device.instance == instance);
        let kind = match device.map(|d| d.kind).or_else(|| DeviceKind::of(instance)) {
            Some(DeviceKind::IdeController) => ControllerKind::Ide,
            Some(DeviceKind::ScsiController) => ControllerKind::Scsi,
            Some(DeviceKind::FloppyController) => ControllerKind::Floppy,
            _ => ControllerKind::Other,
        };
        for child in node.children() {
            let Some(below) = numbered(&child.name, "controller") else {
                continue;
            };
            let number = match kind {
                ControllerKind::Ide => below,
                _ => found.iter().filter(|c| c.kind == kind).count() as u32,
            };
            let mut controller = Controller {
                kind,
                number,
                instance,
                drives: Vec::new(),
            };
            for entry in child.children() {
                let Some(position) = numbered(&entry.name, "drive") else {
                    continue;
                };
                let drive = drive(entry, position);
                let location = controller.location(&drive);
                let path = drive.path.clone();
                match drive.kind {
                    DriveKind::PassThrough => {
                        findings.push(Finding::PassThroughDisk { location, path });
                    }
                    DriveKind::Unknown => {
                        let kind = entry.text(&["type"]).unwrap_or_default().to_owned();
                        findings.push(Finding::UnknownDrive { location, kind });
                    }
                    _ if drive.shared => findings.push(Finding::SharedDisk { location, path }),
                    _ => {}
                }
                controller.drives.push(drive);
            }
            controller.drives.sort_by_key(|drive| drive.position);
            found.push(controller);
        }
    }
    found
}

fn drive(entry: &Entry, position: u32) -> Drive {
    let path = entry
        .text(&["pathname"])
        .filter(|path| !path.is_empty())
        .map(str::to_owned);
    let lower = path.as_deref().unwrap_or_default().to_ascii_lowercase();
    let kind = entry
        .text(&["type"])
        .unwrap_or_default()
        .to_ascii_uppercase();
    // The value for a pass-through disk is not public, but its path is no file's.
    let physical = ["PHYSICAL", "PASS"].iter().any(|word| kind.contains(word))
        || lower.starts_with(r"\\.\physicaldrive")
        || lower.contains("msvm_diskdrive");
    let kind = match kind.as_str() {
        _ if physical => DriveKind::PassThrough,
        _ if path.is_none() => DriveKind::Empty,
        "VHD" => DriveKind::VirtualDisk,
        "ISO" => DriveKind::Iso,
        "VFD" => DriveKind::Floppy,
        "NONE" => DriveKind::Empty,
        _ => DriveKind::Unknown,
    };
    let limit = |name| entry.uint(&[name]).filter(|n| *n != 0);
    let reservations = entry.bool(&["persistent_reservations_supported"]) == Some(true);
    Drive {
        position,
        kind,
        shared: kind == DriveKind::VirtualDisk && (reservations || lower.ends_with(".vhds")),
        path,
        qos: Qos {
            iops_limit: limit("iops_limit"),
            iops_reservation: limit("iops_reservation"),
            weight: limit("weight"),
        },
    }
}

fn network_adapters(root: &Entry, devices: &[Device]) -> Vec<NetworkAdapter> {
    let mut found = Vec::new();
    for node in root.children() {
        let Some(instance) = device_node(node) else {
            continue;
        };
        let device = devices.iter().find(|device| device.instance == instance);
        let synthetic = device.is_some_and(|d| d.kind == DeviceKind::NetworkAdapter);
        if !synthetic && node.get(&["MacAddress"]).is_none() {
            continue;
        }
        let name = node
            .text(&["FriendlyName"])
            .or(device.map(|d| d.name.as_str()));
        let text = |path: &[&str]| node.text(path).filter(|t| !t.is_empty()).map(str::to_owned);
        found.push(NetworkAdapter {
            name: name.unwrap_or_default().to_owned(),
            instance: Some(instance),
            legacy: !synthetic,
            mac: text(&["MacAddress"]).map(mac),
            mac_static: node.bool(&["MacAddressIsStatic"]),
            connected: node.bool(&["IsConnected"]),
            switch_id: node
                .guid(&["SwitchName"])
                .or_else(|| node.guid(&["Connection", "HostResources", "HostResource"])),
            switch_name: text(&["Connection", "AltSwitchName"]),
            vlan: None,
        });
    }
    found
}

fn mac(text: String) -> String {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let is_mac = digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit());
    if is_mac {
        digits.to_ascii_uppercase()
    } else {
        text
    }
}

fn integration_services(root: &Entry, devices: &[Device]) -> Vec<IntegrationService> {
    let services = devices
        .iter()
        .filter(|device| device.kind.is_integration_service());
    services
        .map(|device| IntegrationService {
            device_type: device.device_type,
            name: device.kind.name().to_owned(),
            enabled: settings(root, device.instance).and_then(|node| node.bool(&["enabled"])),
        })
        .collect()
}

fn serial_ports(root: &Entry) -> Vec<SerialPort> {
    let node = DeviceKind::SerialPorts
        .guid()
        .and_then(|guid| settings(root, guid));
    let ports = node.map(Entry::children).unwrap_or_default().iter();
    ports
        .filter(|port| matches!(port.value, Value::Node(_)))
        .map(|port| {
            let connection = port.children().iter().find_map(|leaf| match &leaf.value {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            });
            SerialPort {
                name: port.name.clone(),
                connection,
            }
        })
        .collect()
}

fn add_findings(root: &Entry, vm: &mut VmConfig) {
    for device in &vm.devices {
        let name = match device.name.as_str() {
            "" => device.kind.name().to_owned(),
            name => name.to_owned(),
        };
        match device.kind {
            DeviceKind::FibreChannel => vm.findings.push(Finding::FibreChannel { name }),
            DeviceKind::GpuPartition | DeviceKind::AssignedDevice => {
                vm.findings.push(Finding::HostDevice { name });
            }
            DeviceKind::VirtualTpm => vm.findings.push(Finding::VirtualTpm),
            // An emulated network adapter is known by its settings.
            DeviceKind::Unknown
                if !vm
                    .network_adapters
                    .iter()
                    .any(|n| n.instance == Some(device.instance)) =>
            {
                let device_type = device.device_type;
                vm.findings
                    .push(Finding::UnknownDevice { device_type, name });
            }
            _ => {}
        }
    }
    if vm.disk_merge_pending == Some(true) {
        vm.findings.push(Finding::MergePending);
    }
    let mut missing = |what: &str| vm.findings.push(Finding::Incomplete { what: what.into() });
    if root.get(&["manifest"]).is_none() {
        missing("manifest of devices");
    }
    if vm.name.is_empty() {
        missing("name");
    }
    if vm.id.is_none() {
        missing("id");
    }
}
