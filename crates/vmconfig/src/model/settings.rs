//! Settings that are not storage.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::BootSource;

/// Virtual processors. Shares are in units where 100 000 is all of a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processors {
    /// Number of virtual processors.
    pub count: Option<u64>,
    /// Most that may be used.
    pub limit: Option<u64>,
    /// What is reserved.
    pub reservation: Option<u64>,
    /// Weight against other VMs.
    pub weight: Option<u64>,
    /// Whether the guest may run VMs itself.
    pub nested_virtualization: Option<bool>,
}

/// Memory, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Memory at start.
    pub startup_mib: Option<u64>,
    /// Whether memory grows and shrinks with the guest's need.
    pub dynamic: Option<bool>,
    /// Least, if dynamic.
    pub minimum_mib: Option<u64>,
    /// Most, if dynamic.
    pub maximum_mib: Option<u64>,
    /// Spare memory in percent, if dynamic.
    pub buffer_percent: Option<u64>,
    /// Priority against other VMs.
    pub weight: Option<u64>,
}

/// BIOS or UEFI settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// The machine's UUID as the guest sees it. Licences and agents depend on it.
    pub bios_guid: Option<Uuid>,
    /// Serial number of the BIOS.
    pub bios_serial: Option<String>,
    /// Serial number of the base board.
    pub base_board_serial: Option<String>,
    /// Serial number of the chassis.
    pub chassis_serial: Option<String>,
    /// Asset tag of the chassis.
    pub asset_tag: Option<String>,
    /// Whether the firmware starts signed code only.
    pub secure_boot: Option<bool>,
    /// Which signatures secure boot takes, by the id of a template. Only a host tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot_template: Option<Uuid>,
    /// Boot order of generation 1.
    #[serde(default)]
    pub boot_order: Vec<String>,
    /// Boot order of generation 2. Only a host tells it: in files it is binary, and partly kept in
    /// the guest state file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_sources: Vec<BootSource>,
    /// Id that tells a guest that it was copied or rolled back; Hyper-V renews it on import.
    pub generation_id: Option<String>,
}

/// Virtual TPM and shielding. Their keys in a configuration file are not public, so a file tells
/// only whether there is a virtual TPM; a host tells the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Whether there is a virtual TPM.
    pub virtual_tpm: Option<bool>,
    /// Whether the VM is shielded from the host's administrators.
    pub shielded: Option<bool>,
    /// Whether saved state and migration traffic are encrypted.
    pub encrypt_state: Option<bool>,
}

/// A network adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAdapter {
    /// The adapter's name in management tools.
    pub name: String,
    /// The device's instance id.
    pub instance: Option<Uuid>,
    /// Whether it is an emulated adapter rather than a synthetic one.
    pub legacy: bool,
    /// MAC address, 12 hexadecimal digits in upper case; otherwise as found.
    pub mac: Option<String>,
    /// Whether the address was chosen rather than taken from the host's pool.
    pub mac_static: Option<bool>,
    /// Whether it is connected to a switch.
    pub connected: Option<bool>,
    /// Id of the virtual switch.
    pub switch_id: Option<Uuid>,
    /// Name of the virtual switch when last seen.
    pub switch_name: Option<String>,
    /// VLAN, if the source tells it; configuration files keep it in a form that is not public.
    pub vlan: Option<u16>,
}

/// An integration service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationService {
    /// Type of the device.
    pub device_type: Uuid,
    /// English name.
    pub name: String,
    /// Whether it is offered, where the source tells.
    pub enabled: Option<bool>,
}

/// A serial port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialPort {
    /// Name of the port's key.
    pub name: String,
    /// What it is connected to, such as a named pipe.
    pub connection: Option<String>,
}

/// What happens when the host starts and stops: the numbers of the configuration, whose meaning
/// in files is not public, or those of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticActions {
    /// When the host starts.
    pub start: Option<i64>,
    /// When the host stops.
    pub stop: Option<i64>,
    /// What a host told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostActions>,
}

/// What happens when the host starts and stops, by the host's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostActions {
    /// When the host starts: 2 nothing, 3 start if it ran, 4 start.
    pub startup: Option<u16>,
    /// How long it waits before, in seconds.
    pub startup_delay_s: Option<u64>,
    /// When the host stops: 2 turn off, 3 save, 4 shut down.
    pub shutdown: Option<u16>,
    /// When its worker process dies: 2 nothing, 3 restart, 4 go back to a checkpoint.
    pub recovery: Option<u16>,
    /// Whether the host takes a checkpoint at each start.
    pub checkpoints: Option<bool>,
}

/// How checkpoints are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSettings {
    /// Number of checkpoints that the configuration counts.
    pub count: Option<u64>,
    /// Type of checkpoints that users get, as the host's number (2 none, 3 production with
    /// fallback, 4 production only, 5 standard). Not told by configuration files.
    pub user_type: Option<u16>,
}

/// Saved memory and device state, as the configuration refers to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedState {
    /// File with the device state (older versions).
    pub state_file: Option<String>,
    /// File with the memory (older versions).
    pub memory_file: Option<String>,
}

/// Folders that the configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRoots {
    /// Folder of the configuration.
    pub configuration: Option<String>,
    /// Folder of the checkpoints.
    pub checkpoints: Option<String>,
}
