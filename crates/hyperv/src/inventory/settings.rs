//! One configuration: that of a VM, or of a checkpoint.

use std::collections::HashMap;

use cim::{Instance, Interval, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{
    CheckpointSettings, ConfigVersion, DataRoots, DeviceKind, Finding as ConfigFinding, Firmware,
    Generation, HostActions, IntegrationService, Kind, Memory, Processors, SavedState, Security,
    VmConfig,
};

use super::boot;
use super::devices::{self, Medium};
use super::finding::Notes;
use super::network::{self, Ports, Switch};
use super::row::Row;
use super::tables::Part;
use crate::ids;

/// A configuration as the host tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The host's name for it (`InstanceID`).
    pub instance_id: String,
    /// What the VM is.
    pub config: VmConfig,
    /// Its virtual disks.
    pub media: Vec<Medium>,
    /// Its files.
    pub files: ConfigFiles,
}

/// Files and folders of a configuration, as the host spells them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFiles {
    /// The configuration file.
    pub configuration: Option<String>,
    /// The guest state file.
    pub guest_state: Option<String>,
    /// The folder of saved states.
    pub saved_state_root: Option<String>,
    /// The folder of smart paging files.
    pub paging_root: Option<String>,
}

/// The rows that belong to one configuration.
pub(super) type Rows<'a> = Vec<(Part, &'a Instance)>;

/// Reads a configuration.
pub(super) fn read(
    row: Row<'_>,
    kind: Kind,
    rows: &Rows<'_>,
    switches: &[Switch],
    notes: &mut Notes,
) -> Settings {
    let of = |wanted: Part| {
        let rows = rows.iter().filter(move |(part, _)| *part == wanted);
        rows.map(|(_, row)| Row(row))
    };
    let storage = devices::storage(of(Part::Resource), of(Part::Storage), notes);
    let ports = Ports {
        synthetic: of(Part::Nic).collect(),
        legacy: of(Part::LegacyNic).collect(),
        connections: of(Part::Connection).collect(),
        vlans: of(Part::Vlan).collect(),
    };
    let mut config = identity(row, kind, notes);
    config.firmware = firmware(row, notes);
    config.memory = of(Part::Memory)
        .next()
        .map(|r| memory(r, notes))
        .unwrap_or_default();
    config.processors = of(Part::Processor)
        .next()
        .map(|r| processors(r, notes))
        .unwrap_or_default();
    config.security = of(Part::Security)
        .next()
        .map(|r| security(r, notes))
        .unwrap_or_default();
    config.network_adapters = network::adapters(&ports, switches, notes);
    config.integration_services = services(rows, notes);
    config.firmware.boot_sources =
        boot::sources(row, &storage.drives, &config.network_adapters, notes);
    config.automatic.host = Some(automatic(row, notes));
    config.controllers = storage.controllers;
    config.findings = storage.findings;
    for port in of(Part::FibreChannel) {
        let name = port.text("ElementName", notes).unwrap_or_else(|| port.id());
        config.findings.push(ConfigFinding::FibreChannel { name });
    }
    for device in of(Part::HostDevice) {
        let name = device
            .text("ElementName", notes)
            .unwrap_or_else(|| device.id());
        config.findings.push(ConfigFinding::HostDevice { name });
    }
    if config.security.virtual_tpm == Some(true) {
        config.findings.push(ConfigFinding::VirtualTpm);
    }
    let text = |name, notes: &mut Notes| row.text(name, notes);
    Settings {
        instance_id: row.id(),
        config,
        media: storage.media,
        files: files(row, notes),
    }
    .with_roots(DataRoots {
        configuration: text("ConfigurationDataRoot", notes),
        checkpoints: text("SnapshotDataRoot", notes),
    })
}

impl Settings {
    fn with_roots(mut self, roots: DataRoots) -> Self {
        self.config.data_roots = roots;
        self
    }
}

fn identity(row: Row<'_>, kind: Kind, notes: &mut Notes) -> VmConfig {
    let subtype = row.text("VirtualSystemSubType", notes);
    let generation = match subtype.as_deref() {
        // Hosts before 2012 R2 do not have the property.
        None => Generation::One,
        Some(t) if t.eq_ignore_ascii_case("Microsoft:Hyper-V:SubType:1") => Generation::One,
        Some(t) if t.eq_ignore_ascii_case("Microsoft:Hyper-V:SubType:2") => Generation::Two,
        Some(other) => {
            row.note(
                format!("{other:?} is no known generation, 1 is assumed"),
                notes,
            );
            Generation::One
        }
    };
    let texts: Vec<String> = row.list("Notes", notes);
    let created: Option<Timestamp> = row.opt("CreationTime", notes);
    VmConfig {
        name: row.opt("ElementName", notes).unwrap_or_default(),
        id: ids::configuration(&row.id()),
        logical_id: row.parsed("VirtualSystemIdentifier", ids::guid, notes),
        kind,
        generation,
        version: row.parsed("Version", |text| text.parse::<ConfigVersion>().ok(), notes),
        notes: texts.join("\n"),
        created: created.filter(|at| !at.is_never()).map(Timestamp::instant),
        checkpoints: CheckpointSettings {
            count: None,
            user_type: row.opt("UserSnapshotType", notes),
        },
        saved_state: row
            .opt("IsSaved", notes)
            .and_then(|saved: bool| saved.then(SavedState::default)),
        ..VmConfig::default()
    }
}

/// Numbers of `BootOrder`, by their position.
const BOOT_DEVICES: &[&str] = &["floppy", "cd", "ide", "network", "scsi"];

/// The number of a device in `BootOrder` by its name, as an inventory tells it.
pub(crate) fn boot_device(name: &str) -> Option<u16> {
    let known = BOOT_DEVICES.iter().position(|known| *known == name);
    let known = known.and_then(|at| u16::try_from(at).ok());
    known.or_else(|| name.parse().ok())
}

fn firmware(row: Row<'_>, notes: &mut Notes) -> Firmware {
    let order: Vec<u16> = row.list("BootOrder", notes);
    let name = |number: u16| {
        let known = BOOT_DEVICES.get(usize::from(number));
        known.map_or_else(|| number.to_string(), |name| (*name).to_owned())
    };
    Firmware {
        bios_guid: row.parsed("BIOSGUID", ids::guid, notes),
        bios_serial: row.text("BIOSSerialNumber", notes),
        base_board_serial: row.text("BaseBoardSerialNumber", notes),
        chassis_serial: row.text("ChassisSerialNumber", notes),
        asset_tag: row.text("ChassisAssetTag", notes),
        secure_boot: row.opt("SecureBootEnabled", notes),
        secure_boot_template: row.parsed("SecureBootTemplateId", ids::guid, notes),
        boot_order: order.into_iter().map(name).collect(),
        boot_sources: Vec::new(),
        generation_id: None,
    }
}

fn automatic(row: Row<'_>, notes: &mut Notes) -> HostActions {
    HostActions {
        startup: row.opt("AutomaticStartupAction", notes),
        startup_delay_s: row
            .opt::<Interval>("AutomaticStartupActionDelay", notes)
            .map(|delay| delay.micros() / 1_000_000),
        shutdown: row.opt("AutomaticShutdownAction", notes),
        recovery: row.opt("AutomaticRecoveryAction", notes),
        checkpoints: row.opt("AutomaticSnapshotsEnabled", notes),
    }
}

/// The unit that Hyper-V documents for memory.
const MIB: &str = "byte*2^20";

fn memory(row: Row<'_>, notes: &mut Notes) -> Memory {
    let unit = row.text("AllocationUnits", notes);
    if let Some(unit) = unit
        && unit.replace(' ', "") != MIB
        && !unit.eq_ignore_ascii_case("MegaBytes")
    {
        row.note(
            format!("memory is told in the unknown unit {unit:?}"),
            notes,
        );
        return Memory::default();
    }
    Memory {
        startup_mib: row.opt("VirtualQuantity", notes),
        dynamic: row.opt("DynamicMemoryEnabled", notes),
        minimum_mib: row.opt("Reservation", notes),
        maximum_mib: row.opt("Limit", notes),
        buffer_percent: row.opt("TargetMemoryBuffer", notes),
        weight: row.opt("Weight", notes),
    }
}

fn processors(row: Row<'_>, notes: &mut Notes) -> Processors {
    Processors {
        count: row.opt("VirtualQuantity", notes),
        limit: row.opt("Limit", notes),
        reservation: row.opt("Reservation", notes),
        weight: row.opt("Weight", notes),
        nested_virtualization: row.opt("ExposeVirtualizationExtensions", notes),
    }
}

fn security(row: Row<'_>, notes: &mut Notes) -> Security {
    Security {
        virtual_tpm: row.opt("TpmEnabled", notes),
        shielded: row.opt("ShieldingRequested", notes),
        encrypt_state: row.opt("EncryptStateAndVmMigrationTraffic", notes),
    }
}

fn services(rows: &Rows<'_>, notes: &mut Notes) -> Vec<IntegrationService> {
    let mut found: HashMap<Uuid, IntegrationService> = HashMap::new();
    for (part, row) in rows {
        let Part::Service(kind) = part else { continue };
        let Some(device_type) = kind.guid() else {
            continue;
        };
        let state: Option<u16> = Row(row).opt("EnabledState", notes);
        found.insert(
            device_type,
            IntegrationService {
                device_type,
                name: kind.name().to_owned(),
                enabled: match state {
                    Some(2) => Some(true),
                    Some(3) => Some(false),
                    _ => None,
                },
            },
        );
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn files(row: Row<'_>, notes: &mut Notes) -> ConfigFiles {
    let mut file = |root: &str, name: &str| {
        let root = row.text(root, notes);
        let name = row.text(name, notes)?;
        Some(join(root.as_deref(), &name))
    };
    ConfigFiles {
        configuration: file("ConfigurationDataRoot", "ConfigurationFile"),
        guest_state: file("GuestStateDataRoot", "GuestStateFile"),
        saved_state_root: row.text("SuspendDataRoot", notes),
        paging_root: row.text("SwapFileDataRoot", notes),
    }
}

/// A file in a folder, unless its name is a whole path.
fn join(root: Option<&str>, name: &str) -> String {
    let whole = name.starts_with('\\') || name.get(1..2) == Some(":");
    match root {
        Some(root) if !whole => format!("{}\\{name}", root.trim_end_matches('\\')),
        _ => name.to_owned(),
    }
}

/// Whether a service is offered to the guest, if the host tells.
pub(crate) fn offers(config: &VmConfig, kind: DeviceKind) -> Option<bool> {
    let services = config.integration_services.iter();
    let mut same = services.filter(|s| Some(s.device_type) == kind.guid());
    same.next()?.enabled
}
