//! The files of configurations: `.vmcx`, `.vmrs` and `.vmgs`, or `.xml` of the oldest version.
//!
//! What lies there follows from the host's state alone: whenever that has changed, the files that
//! it demands are written, and those go that it does not demand any more. A checkpoint's files
//! stay byte for byte as they were made.

use vmconfig::model::{
    self, AutomaticActions, CheckpointSettings, ConfigVersion, DataRoots, Device, DeviceKind,
    DriveKind, Generation, IntegrationService, Kind, SavedState, VmConfig, to_tree,
};
use vmconfig::{Tree, Value, hvs, xml};

use super::files::FileError;
use super::host::Host;
use super::vm::{Checkpoint, CheckpointKind, ControllerKind, Medium, Settings, Vm, upper};

/// Bytes of the memory that a saved VM is said to have, whatever its size.
const MEMORY: u32 = 64 << 10;

impl Settings {
    /// The path of the configuration's file without its ending.
    pub fn stem(&self, kind: Kind) -> String {
        let folder = match (kind, &self.checkpoint_folder) {
            (Kind::Checkpoint, Some(other)) => other,
            _ => &self.folder,
        };
        format!("{folder}\\{}", self.relative_stem(kind))
    }

    /// The same below the configuration's folder.
    pub fn relative_stem(&self, kind: Kind) -> String {
        let folder = match kind {
            _ if self.planned => "Planned Virtual Machines",
            Kind::Machine => "Virtual Machines",
            Kind::Checkpoint => "Snapshots",
        };
        format!("{folder}\\{}", upper(self.id))
    }

    /// The ending of the configuration's file.
    pub fn ending(&self) -> &'static str {
        match self.version.parse::<ConfigVersion>() {
            Ok(version) if version.major < 6 => "xml",
            _ => "vmcx",
        }
    }
}

impl Vm {
    /// What protects the key of its TPM: another one after each start, and four bytes for none
    /// (UNVERIFIED).
    pub fn key_protector(&self) -> Vec<u8> {
        match self.settings.tpm {
            true => [
                b"key protector of the lab ".as_slice(),
                self.id.as_bytes(),
                &self.starts.to_le_bytes(),
            ]
            .concat(),
            false => vec![0, 0, 0, 4],
        }
    }
}

impl Host {
    /// Brings the configuration files of a VM to what its state demands.
    pub(super) fn write_configurations(&mut self, id: uuid::Uuid) -> Result<(), FileError> {
        let wanted = match self.vm(id) {
            Some(vm) => wanted(vm)?,
            None => Vec::new(),
        };
        let old = self.configurations.remove(&id).unwrap_or_default();
        let mut names = Vec::new();
        for (path, bytes, frozen) in wanted {
            if !(frozen && old.contains(&path)) {
                self.files.put(&path, &bytes)?;
            }
            names.push(path);
        }
        for path in old.iter().filter(|path| !names.contains(path)) {
            self.files.remove(path)?;
        }
        if !names.is_empty() {
            self.configurations.insert(id, names);
        }
        Ok(())
    }
}

/// Path, bytes, and whether they stay once they are there.
pub(super) type Wanted = Vec<(String, Vec<u8>, bool)>;

fn wanted(vm: &Vm) -> Result<Wanted, FileError> {
    let mut all = Vec::new();
    add(&mut all, vm, &vm.settings, (Kind::Machine, vm.created))?;
    let there = |c: &&Checkpoint| c.kind != CheckpointKind::Missing;
    for checkpoint in vm.checkpoints.iter().filter(there) {
        let Checkpoint {
            settings, created, ..
        } = checkpoint;
        add(&mut all, vm, settings, (Kind::Checkpoint, *created))?;
    }
    Ok(all)
}

pub(super) fn add(
    to: &mut Wanted,
    vm: &Vm,
    settings: &Settings,
    (kind, created): (Kind, jiff::Timestamp),
) -> Result<(), FileError> {
    let frozen = kind == Kind::Checkpoint;
    let stem = settings.stem(kind);
    let config = describe(vm, settings, (kind, created));
    let mut tree = to_tree(&config);
    super::own::write(&mut tree, vm, settings);
    let bad = |error: String| FileError::Configuration {
        vm: settings.name.clone(),
        error,
    };
    let hvs = |tree: &Tree| hvs::write_tree(tree, 0).map_err(|error| bad(error.to_string()));
    // A checkpoint's name may change, and what it refers to may be merged.
    match settings.ending() {
        "xml" => {
            let text = xml::write_tree(&tree).map_err(|error| bad(error.to_string()))?;
            to.push((format!("{stem}.xml"), text, false));
            if let Some(saved) = settings.saved {
                let inner = format!("{stem}\\{}", upper(settings.id));
                to.push((format!("{inner}.bin"), memory(vm, saved), frozen));
                to.push((format!("{inner}.vsv"), vec![0xa5; 4096], frozen));
            }
        }
        _ => {
            to.push((format!("{stem}.vmcx"), hvs(&tree)?, false));
            let state = runtime(&config, vm, settings.saved);
            to.push((format!("{stem}.vmrs"), hvs(&state)?, frozen));
            if settings.generation == 2 {
                let protector = settings.tpm.then(|| vm.key_protector());
                to.push((
                    format!("{stem}.vmgs"),
                    guest_state(protector.as_deref()),
                    frozen,
                ));
            }
        }
    }
    Ok(())
}

fn describe(vm: &Vm, settings: &Settings, (kind, created): (Kind, jiff::Timestamp)) -> VmConfig {
    let device = |kind: DeviceKind, instance: Option<uuid::Uuid>| {
        let device_type = kind.guid().unwrap_or_default();
        Device {
            device_type,
            instance: instance.unwrap_or(device_type),
            name: kind.name().to_owned(),
            kind,
        }
    };
    let mut devices = vec![
        device(DeviceKind::Firmware, None),
        device(DeviceKind::Clock, None),
        device(DeviceKind::VmBus, None),
        device(DeviceKind::Vss, None),
    ];
    let mut controllers = Vec::new();
    for (at, controller) in settings.controllers.iter().enumerate() {
        let (kind, class, instance) = match controller.kind {
            ControllerKind::Ide => (model::ControllerKind::Ide, DeviceKind::IdeController, None),
            ControllerKind::Scsi => (
                model::ControllerKind::Scsi,
                DeviceKind::ScsiController,
                Some(controller.id),
            ),
        };
        let instance = match devices
            .iter()
            .find(|d| d.kind == class && instance.is_none())
        {
            Some(known) => known.instance,
            None => {
                devices.push(device(class, instance));
                instance.or(class.guid()).unwrap_or_default()
            }
        };
        let drives = settings
            .drives
            .iter()
            .filter(|drive| drive.controller == at);
        controllers.push(model::Controller {
            kind,
            number: controller.number,
            instance,
            drives: drives.map(drive).collect(),
        });
    }
    for adapter in &settings.adapters {
        devices.push(device(DeviceKind::NetworkAdapter, Some(adapter.id)));
    }
    if settings.tpm {
        devices.push(device(DeviceKind::VirtualTpm, None));
    }
    let adapters = settings
        .adapters
        .iter()
        .map(|adapter| model::NetworkAdapter {
            name: adapter.name.clone(),
            instance: Some(adapter.id),
            mac: Some(adapter.mac.clone()),
            mac_static: Some(adapter.static_mac),
            connected: Some(adapter.switch.is_some()),
            switch_id: adapter.switch,
            switch_name: adapter.switch_name.clone(),
            ..model::NetworkAdapter::default()
        });
    VmConfig {
        name: settings.name.clone(),
        id: Some(settings.id),
        logical_id: Some(vm.id),
        kind,
        generation: match settings.generation {
            1 => Generation::One,
            _ => Generation::Two,
        },
        version: settings.version.parse().ok(),
        notes: settings.notes.clone(),
        created: Some(created),
        processors: model::Processors {
            count: Some(settings.processors),
            limit: Some(100_000),
            reservation: Some(0),
            ..model::Processors::default()
        },
        memory: model::Memory {
            startup_mib: Some(settings.memory),
            dynamic: Some(settings.dynamic_memory.is_some()),
            minimum_mib: settings.dynamic_memory.map(|(least, _)| least),
            maximum_mib: settings.dynamic_memory.map(|(_, most)| most),
            ..model::Memory::default()
        },
        firmware: model::Firmware {
            bios_guid: Some(settings.firmware),
            secure_boot: (settings.generation == 2).then_some(settings.secure_boot),
            ..model::Firmware::default()
        },
        network_adapters: adapters.collect(),
        integration_services: vec![IntegrationService {
            device_type: DeviceKind::Vss.guid().unwrap_or_default(),
            name: DeviceKind::Vss.name().to_owned(),
            enabled: Some(settings.backup_service),
        }],
        controllers,
        automatic: AutomaticActions {
            start: Some(0),
            stop: Some(1),
            host: None,
        },
        checkpoints: CheckpointSettings {
            count: u64::try_from(vm.checkpoints.len()).ok(),
            user_type: Some(settings.checkpoint_type),
        },
        saved_state: settings.saved.map(|_| SavedState {
            state_file: Some(format!("{}.vmrs", settings.stem(kind))),
            memory_file: None,
        }),
        data_roots: DataRoots {
            configuration: Some(settings.folder.clone()),
            checkpoints: Some(
                settings
                    .checkpoint_folder
                    .as_ref()
                    .unwrap_or(&settings.folder)
                    .clone(),
            ),
        },
        devices,
        ..VmConfig::default()
    }
}

fn drive(drive: &super::vm::Drive) -> model::Drive {
    let (kind, path, shared) = match &drive.medium {
        Medium::Disk { path, shared } => (DriveKind::VirtualDisk, Some(path.clone()), *shared),
        Medium::PassThrough(number) => {
            let path = format!("\\\\.\\PHYSICALDRIVE{number}");
            (DriveKind::PassThrough, Some(path), false)
        }
        Medium::Dvd(Some(path)) => (DriveKind::Iso, Some(path.clone()), false),
        Medium::Dvd(None) | Medium::Empty => (DriveKind::Empty, None, false),
    };
    model::Drive {
        position: drive.slot,
        kind,
        path,
        qos: model::Qos::default(),
        shared,
    }
}

/// Memory that is the same for the same VM saved at the same time.
fn memory(vm: &Vm, saved: jiff::Timestamp) -> Vec<u8> {
    let seed = vm.id.as_u128() as u32 ^ saved.as_nanosecond() as u32;
    let byte = |n: u32| (n.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..MEMORY).map(byte).collect()
}

/// Nearly empty unless there is saved memory.
fn runtime(config: &VmConfig, vm: &Vm, saved: Option<jiff::Timestamp>) -> Tree {
    let mut tree = Tree::default();
    let version = config.version.map_or(0x0800, ConfigVersion::packed);
    let key = ["configuration", "properties", "version"];
    tree.set(&key, Value::Int(version));
    if let Some(saved) = saved {
        tree.set(&["savedstate", "VmVersion"], Value::Int(version));
        tree.set(&["savedstate", "type"], Value::String("Normal".into()));
        let memory = Value::Bytes(memory(vm, saved));
        tree.set(&["savedstate", "RamBlock0"], memory);
    }
    tree
}

/// A fixed VHD with two headers and a table, in which a virtual TPM has its state and its key
/// protector (layout: Microsoft's openvmm, `vm/vmgs`).
fn guest_state(protector: Option<&[u8]>) -> Vec<u8> {
    let tpm = protector.is_some();
    const DATA: u64 = 64 << 10;
    let mut file = vec![0; DATA as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = file.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    for (sequence, at) in [(1_u32, 0), (0, 4096)] {
        let mut header = Vec::with_capacity(168);
        header.extend_from_slice(b"GUESTRTS");
        // Version, sum, sequence, length; the file table is block 2 and has one block.
        for word in [0x0003_0000, 0, sequence, 168, 2, 1] {
            header.extend_from_slice(&u32::to_le_bytes(word));
        }
        header.resize(168, 0);
        let sum = crc32fast::hash(&header).to_le_bytes();
        put(at, &header);
        put(at + 12, &sum);
    }
    let tpm_files = [(3, 5_u32, 2000_u64), (6, 6, 500)];
    let files = [(1, 4, 1000)]
        .into_iter()
        .chain(tpm_files.into_iter().filter(|_| tpm));
    for (id, block, size) in files {
        let entry = 2 * 4096 + id * 64;
        put(entry, &block.to_le_bytes());
        put(entry + 4, &1_u32.to_le_bytes());
        put(entry + 8, &size.to_le_bytes());
    }
    // The state of a TPM tells which protector belongs to it.
    put(5 * 4096, protector.unwrap_or_default());
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[8..12].copy_from_slice(&2_u32.to_be_bytes());
    footer[12..16].copy_from_slice(&0x0001_0000_u32.to_be_bytes());
    footer[16..24].fill(0xff);
    footer[28..32].copy_from_slice(b"lab ");
    footer[40..48].copy_from_slice(&DATA.to_be_bytes());
    footer[48..56].copy_from_slice(&DATA.to_be_bytes());
    footer[60..64].copy_from_slice(&2_u32.to_be_bytes());
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    file.extend_from_slice(&footer);
    file
}
