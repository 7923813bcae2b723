//! A configuration file as an import reads it: by the crate `vmconfig`, like everybody else.

use jiff::Timestamp;
use uuid::Uuid;
use vmconfig::model::{self, ConfigVersion, DeviceKind, DriveKind, Generation};
use vmconfig::{ReadAt, Tree, VmConfig, hvs, vmrs, xml};

use super::files::Files;
use super::own::{self, Own};
use super::refusal::Failure;
use super::vm::{Adapter, Controller, ControllerKind, Drive, Medium, Settings};

/// Windows' codes for what is wrong with a file. Which ones an import tells is UNVERIFIED.
const NOT_FOUND: u32 = 0x8007_0002;
const DAMAGED: u32 = 0x8007_0570;
/// Largest configuration that is read.
const MOST_BYTES: u64 = 64 << 20;

/// What a file says.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) config: VmConfig,
    pub(super) own: Own,
    /// Whether there is saved memory beside it.
    pub(super) memory: bool,
}

impl Definition {
    /// The id of the VM, and the one that names the file.
    pub(super) fn ids(&self, path: &str) -> (Option<Uuid>, Option<Uuid>) {
        let (_, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let file = vmconfig::tree::parse_guid(stem);
        (self.config.logical_id.or(self.config.id), file)
    }
}

/// Reads a configuration of the host.
pub(super) fn read(files: &Files, path: &str) -> Result<Definition, Failure> {
    let bad = |why: String| {
        let text = format!("Die Konfiguration „{path}“ kann nicht gelesen werden: {why}");
        Failure::general(Some(DAMAGED), text)
    };
    if !files.exists(path) {
        let text = format!("Die Konfiguration „{path}“ wurde nicht gefunden.");
        return Err(Failure::general(Some(NOT_FOUND), text));
    }
    if files.size(path)? > MOST_BYTES {
        return Err(bad("zu groß".to_owned()));
    }
    let bytes = files.get(path)?;
    let tree = match hvs::is_hvs(&bytes) {
        true => {
            hvs::read_tree(&bytes)
                .map_err(|error| bad(error.to_string()))?
                .0
        }
        false => {
            xml::read_tree(&bytes)
                .map_err(|error| bad(error.to_string()))?
                .0
        }
    };
    let config = VmConfig::from_tree(&tree).map_err(|error| bad(error.to_string()))?;
    let memory = has_memory(files, path, &tree)?;
    Ok(Definition {
        own: own::read(&tree),
        config,
        memory,
    })
}

fn has_memory(files: &Files, path: &str, tree: &Tree) -> Result<bool, Failure> {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    let state = format!("{stem}.vmrs");
    if files.exists(&state) {
        let bytes = files.get(&state)?;
        let file: &dyn ReadAt = &bytes.as_slice();
        return Ok(vmrs::has_memory(file).unwrap_or(false));
    }
    Ok(tree.get(&["configuration", "savedstate"]).is_some())
}

/// The hardware of a configuration as the lab has it. Devices of a host are not known again.
pub(super) fn settings(
    definition: &Definition,
    id: Uuid,
    folder: &str,
    now: Timestamp,
) -> Result<Settings, Failure> {
    let config = &definition.config;
    let version = config
        .version
        .unwrap_or(ConfigVersion { major: 5, minor: 0 });
    let known = |controller: &&model::Controller| kind(controller.kind).is_some();
    let listed: Vec<&model::Controller> = config.controllers.iter().filter(known).collect();
    let controllers = listed.iter().filter_map(|controller| {
        Some(Controller {
            id: controller.instance,
            kind: kind(controller.kind)?,
            number: controller.number,
        })
    });
    let drives = listed.iter().enumerate().flat_map(|(at, controller)| {
        let drives = controller.drives.iter();
        drives.map(move |drive| Drive {
            controller: at,
            slot: drive.position,
            medium: medium(drive),
        })
    });
    let adapters = config.network_adapters.iter().filter_map(|adapter| {
        let id = adapter.instance?;
        let own = definition.own.adapters.iter().find(|(own, ..)| *own == id);
        Some(Adapter {
            id,
            name: adapter.name.clone(),
            mac: adapter.mac.clone().unwrap_or_default(),
            static_mac: adapter.mac_static == Some(true),
            switch: adapter.switch_id,
            switch_name: adapter.switch_name.clone(),
            legacy: own.is_some_and(|(.., legacy)| *legacy),
            vlan: own.and_then(|(_, vlan, _)| *vlan),
        })
    });
    let memory = &config.memory;
    let dynamic = memory.dynamic == Some(true);
    let offers = |kind: DeviceKind| {
        let mut services = config.integration_services.iter();
        services.any(|s| Some(s.device_type) == kind.guid() && s.enabled != Some(false))
    };
    Ok(Settings {
        id,
        name: config.name.clone(),
        notes: config.notes.clone(),
        generation: match config.generation {
            Generation::One => 1,
            Generation::Two => 2,
        },
        version: version.to_string(),
        folder: folder.to_owned(),
        checkpoint_folder: None,
        planned: true,
        firmware: config.firmware.bios_guid.unwrap_or(id),
        memory: memory.startup_mib.unwrap_or(512),
        dynamic_memory: memory
            .minimum_mib
            .zip(memory.maximum_mib)
            .filter(|_| dynamic),
        processors: config.processors.count.unwrap_or(1),
        checkpoint_type: definition.own.checkpoint_type.unwrap_or(3),
        secure_boot: config.firmware.secure_boot == Some(true),
        boot: Vec::new(),
        boot_file: false,
        tpm: config.security.virtual_tpm == Some(true),
        shielded: false,
        controllers: controllers.collect(),
        drives: drives.collect(),
        adapters: adapters.collect(),
        host_devices: Vec::new(),
        backup_service: offers(DeviceKind::Vss),
        saved: definition
            .memory
            .then(|| definition.own.saved.unwrap_or(now)),
        changed: Vec::new(),
    })
}

fn kind(kind: model::ControllerKind) -> Option<ControllerKind> {
    match kind {
        model::ControllerKind::Ide => Some(ControllerKind::Ide),
        model::ControllerKind::Scsi => Some(ControllerKind::Scsi),
        model::ControllerKind::Floppy | model::ControllerKind::Other => None,
    }
}

fn medium(drive: &model::Drive) -> Medium {
    let path = drive.path.clone();
    match (drive.kind, path) {
        (DriveKind::VirtualDisk, Some(path)) => Medium::Disk {
            path,
            shared: drive.shared,
        },
        (DriveKind::PassThrough, Some(path)) => {
            let digits = path.trim_start_matches(|c: char| !c.is_ascii_digit());
            Medium::PassThrough(digits.parse().unwrap_or(0))
        }
        (DriveKind::Iso, Some(path)) => Medium::Dvd(Some(path)),
        _ => Medium::Dvd(None),
    }
}
