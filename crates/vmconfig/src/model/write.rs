//! From the model to a configuration's tree, under the keys that the reader knows.
//!
//! A restore does not use this: it takes the tree that was backed up and changes paths in it
//! (see [`crate::rewrite`]). This makes configurations from nothing, for tests, demonstrations
//! and the simulated host. The keys `Enabled` of a service and `connection` of a serial port are
//! UNVERIFIED: no public source names them.

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::tree::{Tree, Value};

/// Makes a configuration of everything in the model that has a key. Controllers, adapters
/// and services also need their entry in [`VmConfig::devices`] to be listed in the manifest.
pub fn to_tree(vm: &VmConfig) -> Tree {
    let mut tree = Writer::default();
    identity(vm, &mut tree);
    settings(vm, &mut tree);
    firmware(vm, &mut tree);
    manifest(vm, &mut tree);
    for controller in &vm.controllers {
        storage(controller, &mut tree);
    }
    for adapter in &vm.network_adapters {
        network(adapter, &mut tree);
    }
    for service in &vm.integration_services {
        let device = node(service.device_type);
        tree.bool(&[&device, "Enabled"], service.enabled);
    }
    if let Some(serial) = DeviceKind::SerialPorts.guid().map(node) {
        for port in &vm.serial_ports {
            let connection = port.connection.as_deref().unwrap_or_default();
            tree.text(&[&serial, &port.name, "connection"], Some(connection));
        }
    }
    tree.0
}

fn identity(vm: &VmConfig, tree: &mut Writer) {
    let type_id = match vm.kind {
        Kind::Machine => "Virtual Machines",
        Kind::Checkpoint => "Snapshots",
    };
    tree.text(&["properties", "name"], Some(&vm.name));
    tree.guid(&["properties", "global_id"], vm.id);
    tree.text(&["properties", "type_id"], Some(type_id));
    let subtype = i64::from(vm.generation == Generation::Two);
    tree.put(&["properties", "subtype"], Some(Value::Int(subtype)));
    tree.put(
        &["properties", "version"],
        vm.version.map(|v| Value::Int(v.packed())),
    );
    tree.text(&["properties", "notes"], Some(&vm.notes));
    let created = vm
        .created
        .and_then(filetime)
        .map(|t| Value::Bytes(t.to_le_bytes().into()));
    tree.put(&["properties", "creation_time"], created);
    tree.bool(&["properties", "highly_available"], vm.highly_available);
    if let Some(state) = &vm.saved_state {
        tree.text(&["savedstate", "vsvlocation"], state.state_file.as_deref());
        tree.text(&["savedstate", "memlocation"], state.memory_file.as_deref());
    }
}

/// Ticks of 100 ns since 1601.
fn filetime(time: Timestamp) -> Option<u64> {
    u64::try_from(time.as_nanosecond() / 100 + 116_444_736_000_000_000).ok()
}

fn settings(vm: &VmConfig, tree: &mut Writer) {
    tree.guid(&["settings", "global", "logical_id"], vm.logical_id);
    let cpu = &vm.processors;
    let processors = ["settings", "processors"];
    tree.number(&[&processors[..], &["count"]].concat(), cpu.count);
    tree.number(&[&processors[..], &["limit"]].concat(), cpu.limit);
    tree.number(
        &[&processors[..], &["reservation"]].concat(),
        cpu.reservation,
    );
    tree.number(&[&processors[..], &["weight"]].concat(), cpu.weight);
    let nested = [&processors[..], &["nested_virtualization", "enabled"]].concat();
    tree.bool(&nested, cpu.nested_virtualization);
    let bank = ["settings", "memory", "bank"];
    tree.number(&[&bank[..], &["size"]].concat(), vm.memory.startup_mib);
    tree.number(
        &[&bank[..], &["reservation"]].concat(),
        vm.memory.minimum_mib,
    );
    tree.number(&[&bank[..], &["limit"]].concat(), vm.memory.maximum_mib);
    tree.number(
        &[&bank[..], &["target_memory_buffer"]].concat(),
        vm.memory.buffer_percent,
    );
    tree.number(&[&bank[..], &["priority"]].concat(), vm.memory.weight);
    tree.bool(
        &[&bank[..], &["dynamic_memory_enabled"]].concat(),
        vm.memory.dynamic,
    );
    let global = "global_settings";
    tree.text(
        &[global, "data_root"],
        vm.data_roots.configuration.as_deref(),
    );
    tree.text(
        &[global, "snapshots", "data_root"],
        vm.data_roots.checkpoints.as_deref(),
    );
    tree.number(&[global, "snapshots", "list", "size"], vm.checkpoints.count);
    tree.put(
        &[global, "power", "host_startup", "action"],
        vm.automatic.start.map(Value::Int),
    );
    tree.put(
        &[global, "power", "host_shutdown", "action"],
        vm.automatic.stop.map(Value::Int),
    );
    tree.bool(&[global, "disk_merge_pending"], vm.disk_merge_pending);
    let generation_id = vm.firmware.generation_id.as_deref();
    tree.text(&[global, "devices", "generation_id"], generation_id);
}

fn firmware(vm: &VmConfig, tree: &mut Writer) {
    let Some(bios) = DeviceKind::Firmware.guid().map(node) else {
        return;
    };
    let firmware = &vm.firmware;
    tree.guid(&[&bios, "bios_guid"], firmware.bios_guid);
    tree.text(
        &[&bios, "bios_serial_number"],
        firmware.bios_serial.as_deref(),
    );
    tree.text(
        &[&bios, "base_board", "serial_number"],
        firmware.base_board_serial.as_deref(),
    );
    tree.text(
        &[&bios, "chassis", "serial_number"],
        firmware.chassis_serial.as_deref(),
    );
    tree.text(
        &[&bios, "chassis", "asset_tag"],
        firmware.asset_tag.as_deref(),
    );
    tree.bool(&[&bios, "secure_boot_enabled"], firmware.secure_boot);
    for (n, device) in firmware.boot_order.iter().enumerate() {
        tree.text(&[&bios, "boot", &format!("device{n}")], Some(device));
    }
}

fn manifest(vm: &VmConfig, tree: &mut Writer) {
    let count = vm.devices.len() as i64;
    tree.put(&["manifest", "size"], Some(Value::Int(count)));
    for (n, device) in (1..).zip(&vm.devices) {
        let entry = format!("vdev{n:03}");
        tree.guid(&["manifest", &entry, "device"], Some(device.device_type));
        tree.put(&["manifest", &entry, "flags"], Some(Value::Int(0)));
        tree.guid(&["manifest", &entry, "instance"], Some(device.instance));
        tree.text(&["manifest", &entry, "name"], Some(&device.name));
    }
}

fn storage(controller: &Controller, tree: &mut Writer) {
    let device = node(controller.instance);
    let number = match controller.kind {
        ControllerKind::Ide => controller.number,
        _ => 0,
    };
    let name = format!("controller{number}");
    if controller.drives.is_empty() {
        tree.put(&[&device, &name], Some(Value::Node(Vec::new())));
    }
    for drive in &controller.drives {
        let place = format!("drive{}", drive.position);
        let kind = match drive.kind {
            DriveKind::VirtualDisk => "VHD",
            DriveKind::Iso => "ISO",
            DriveKind::Floppy => "VFD",
            DriveKind::Empty => "NONE",
            // Values that are not public are not invented: the path tells a pass-through disk.
            DriveKind::PassThrough | DriveKind::Unknown => "",
        };
        let mut put = |key: &str, value| tree.put(&[&device, &name, &place, key], value);
        let path = drive.path.clone().unwrap_or_default();
        put("pathname", Some(Value::String(path)));
        put("type", Some(Value::String(kind.into())));
        let number = |n: Option<u64>| Some(Value::Int(n.unwrap_or(0) as i64));
        put("iops_limit", number(drive.qos.iops_limit));
        put("iops_reservation", number(drive.qos.iops_reservation));
        put("weight", number(drive.qos.weight));
        put(
            "persistent_reservations_supported",
            Some(Value::Bool(drive.shared)),
        );
    }
}

fn network(adapter: &NetworkAdapter, tree: &mut Writer) {
    let Some(device) = adapter.instance.map(node) else {
        return;
    };
    tree.text(&[&device, "FriendlyName"], Some(&adapter.name));
    tree.bool(&[&device, "IsConnected"], adapter.connected);
    tree.text(&[&device, "MacAddress"], adapter.mac.as_deref());
    tree.bool(&[&device, "MacAddressIsStatic"], adapter.mac_static);
    tree.guid(&[&device, "SwitchName"], adapter.switch_id);
    tree.text(
        &[&device, "Connection", "AltSwitchName"],
        adapter.switch_name.as_deref(),
    );
}

/// The name of a device's node.
fn node(instance: Uuid) -> String {
    format!("_{instance}_")
}

/// A GUID as configurations write it.
fn guid_text(guid: Uuid) -> String {
    guid.to_string().to_uppercase()
}

#[derive(Default)]
struct Writer(Tree);

impl Writer {
    fn put(&mut self, path: &[&str], value: Option<Value>) {
        if let Some(value) = value {
            let path: Vec<&str> = ["configuration"].iter().chain(path).copied().collect();
            self.0.set(&path, value);
        }
    }

    fn text(&mut self, path: &[&str], text: Option<&str>) {
        self.put(path, text.map(|text| Value::String(text.to_owned())));
    }

    fn guid(&mut self, path: &[&str], guid: Option<Uuid>) {
        self.put(path, guid.map(|guid| Value::String(guid_text(guid))));
    }

    fn bool(&mut self, path: &[&str], value: Option<bool>) {
        self.put(path, value.map(Value::Bool));
    }

    fn number(&mut self, path: &[&str], number: Option<u64>) {
        self.put(
            path,
            number.and_then(|n| i64::try_from(n).ok()).map(Value::Int),
        );
    }
}
