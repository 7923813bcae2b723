//! From a configuration's tree to the model.
//!
//! Key names: ExHyperV and a public 2012 R2 template (both name them in the open), see
//! `docs/hyperv/vmcx.md`. Whatever is missing or of another type than expected is `None`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::drives::{MAX_DRIVES, controllers};
use super::*;
use crate::tree::{Entry, Tree, Value, parse_guid};

/// Why a tree does not describe a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAConfiguration {
    /// The tree has no `configuration` root.
    #[error("the file holds no VM configuration: it has no `configuration` root")]
    NoRoot,
    /// There are more drives than any VM has, and each would be looked for.
    #[error("the configuration has more than {MAX_DRIVES} drives, which no VM has")]
    TooManyDrives,
}

impl VmConfig {
    /// Describes the VM or checkpoint of a configuration. The work is in proportion to the tree.
    pub fn from_tree(tree: &Tree) -> Result<Self, NotAConfiguration> {
        let root = tree
            .get(&["configuration"])
            .ok_or(NotAConfiguration::NoRoot)?;
        if !matches!(root.value, Value::Node(_)) {
            return Err(NotAConfiguration::NoRoot);
        }
        let mut vm = VmConfig {
            devices: devices(root),
            ..identity(root)
        };
        let parts = Parts::of(root, &vm.devices);
        let mut findings = Vec::new();
        vm.processors = processors(root);
        vm.memory = memory(root);
        vm.firmware = firmware(root, &parts);
        vm.controllers = controllers(&parts, &mut findings)?;
        vm.network_adapters = network_adapters(&parts);
        vm.integration_services = integration_services(&parts);
        vm.serial_ports = serial_ports(&parts);
        vm.security.virtual_tpm = Some(
            vm.devices
                .iter()
                .any(|device| device.kind == DeviceKind::VirtualTpm),
        );
        vm.findings = findings;
        add_findings(root, &mut vm);
        Ok(vm)
    }
}

/// Devices and their settings, to be looked up by instance. Of several with one instance the
/// first counts, as it does to Windows.
pub(super) struct Parts<'a> {
    /// In the order of the manifest.
    pub(super) listed: &'a [Device],
    /// The nodes with settings, in the order of the file, with what they are settings of.
    pub(super) nodes: Vec<(Uuid, &'a Entry)>,
    pub(super) devices: BTreeMap<Uuid, &'a Device>,
    pub(super) settings: BTreeMap<Uuid, &'a Entry>,
}

impl<'a> Parts<'a> {
    fn of(root: &'a Entry, listed: &'a [Device]) -> Self {
        let nodes: Vec<(Uuid, &Entry)> = root
            .children()
            .iter()
            .filter_map(|entry| Some((device_node(entry)?, entry)))
            .collect();
        // The last insertion stays, so the first must come last.
        let devices = listed.iter().rev();
        Parts {
            listed,
            devices: devices.map(|device| (device.instance, device)).collect(),
            settings: nodes.iter().rev().copied().collect(),
            nodes,
        }
    }

    pub(super) fn kind(&self, instance: Uuid) -> Option<DeviceKind> {
        let device = self.devices.get(&instance);
        device.map(|d| d.kind).or_else(|| DeviceKind::of(instance))
    }

    /// The settings of the one device of a kind.
    fn only(&self, kind: DeviceKind) -> Option<&'a Entry> {
        self.settings.get(&kind.guid()?).copied()
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
            host: None,
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
        part.for_each_leaf(&mut |entry| {
            if let Value::String(text) = &entry.value
                && entry.name.to_ascii_lowercase().contains("parent")
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

fn firmware(root: &Entry, parts: &Parts<'_>) -> Firmware {
    let Some(bios) = parts.only(DeviceKind::Firmware) else {
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
        secure_boot_template: None,
        boot_order,
        boot_sources: Vec::new(),
        generation_id: root
            .text(&["global_settings", "devices", "generation_id"])
            .map(str::to_owned),
    }
}

fn network_adapters(parts: &Parts<'_>) -> Vec<NetworkAdapter> {
    let mut found = Vec::new();
    for &(instance, node) in &parts.nodes {
        let device = parts.devices.get(&instance);
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

fn integration_services(parts: &Parts<'_>) -> Vec<IntegrationService> {
    let services = parts
        .listed
        .iter()
        .filter(|device| device.kind.is_integration_service());
    services
        .map(|device| IntegrationService {
            device_type: device.device_type,
            name: device.kind.name().to_owned(),
            enabled: parts
                .settings
                .get(&device.instance)
                .and_then(|node| node.bool(&["enabled"])),
        })
        .collect()
}

fn serial_ports(parts: &Parts<'_>) -> Vec<SerialPort> {
    let node = parts.only(DeviceKind::SerialPorts);
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
    let adapters = vm.network_adapters.iter();
    let adapters: BTreeSet<Uuid> = adapters.filter_map(|adapter| adapter.instance).collect();
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
            DeviceKind::Unknown if !adapters.contains(&device.instance) => {
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
