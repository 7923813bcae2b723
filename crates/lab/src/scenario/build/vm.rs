//! VMs of a scenario.

use std::time::Duration;

use disk::Geometry;

use super::super::file::{DiskSpec, HostDeviceKindSpec, PlaceSpec, State, VmSpec};
use super::BuildError;
use crate::state::{
    Adapter, Controller, ControllerKind, Drive, Guest, GuestSystem, Host, HostDevice,
    HostDeviceKind, Medium, Power, Replication, Role, Settings, Vm,
};

/// Where VMs of a cluster lie.
const CLUSTERED: &str = "C:\\ClusterStorage\\Volume1\\";

/// Slots of a SCSI controller.
const SLOTS: u32 = 64;

pub(super) fn build(host: &mut Host, spec: &VmSpec) -> Result<Vm, BuildError> {
    let bad = |problem| BuildError::Vm {
        vm: spec.name.clone(),
        problem,
    };
    if spec.name.is_empty() || !matches!(spec.generation, 1 | 2) {
        return Err(bad("a name and a generation of 1 or 2 are needed"));
    }
    if spec.planned && spec.state != State::Off {
        return Err(bad("what is only planned is off"));
    }
    let id = host.new_id();
    let mut settings = Settings {
        id,
        name: spec.name.clone(),
        notes: String::new(),
        generation: spec.generation,
        version: spec.version.clone(),
        folder: spec.folder.clone().unwrap_or_else(|| {
            let root = match &host.node {
                Some(_) => CLUSTERED,
                None => "D:\\VMs\\",
            };
            format!("{root}{}", file_name(&spec.name))
        }),
        checkpoint_folder: None,
        planned: spec.planned,
        firmware: id,
        memory: spec.memory,
        dynamic_memory: spec.dynamic_memory,
        processors: spec.processors,
        checkpoint_type: spec.checkpoint_type,
        secure_boot: spec.generation == 2,
        boot: Vec::new(),
        boot_file: spec.boot_file,
        tpm: spec.tpm,
        shielded: spec.shielded,
        controllers: controllers(host, spec),
        drives: Vec::new(),
        adapters: Vec::new(),
        host_devices: Vec::new(),
        backup_service: spec.backup_service,
        saved: (spec.state == State::Saved).then(|| host.now()),
        changed: Vec::new(),
    };
    for disk in &spec.disks {
        make_disk(host, &spec.name, disk)?;
        let medium = Medium::Disk {
            path: disk.path.clone(),
            shared: disk.shared,
        };
        put(&mut settings, medium, disk.place).ok_or_else(|| bad("a disk has no place"))?;
    }
    for number in &spec.pass_through {
        let medium = Medium::PassThrough(*number);
        put(&mut settings, medium, None).ok_or_else(|| bad("a drive has no place"))?;
    }
    for image in &spec.dvds {
        let medium = Medium::Dvd(image.clone());
        put(&mut settings, medium, None).ok_or_else(|| bad("a drive has no place"))?;
    }
    for device in &spec.host_devices {
        settings.host_devices.push(HostDevice {
            id: host.new_id(),
            kind: match device.kind {
                HostDeviceKindSpec::FibreChannel => HostDeviceKind::FibreChannel,
                HostDeviceKindSpec::PciExpress => HostDeviceKind::PciExpress,
                HostDeviceKindSpec::GpuPartition => HostDeviceKind::GpuPartition,
            },
            name: device.name.clone(),
        });
    }
    for (at, adapter) in spec.adapters.iter().enumerate() {
        let switch = match &adapter.switch {
            Some(name) => {
                let known = host.switches.iter().find(|switch| switch.name == *name);
                Some(known.ok_or_else(|| bad("its switch is not known"))?.id)
            }
            None => None,
        };
        let given = adapter.mac.clone();
        settings.adapters.push(Adapter {
            id: host.new_id(),
            name: "Netzwerkkarte".to_owned(),
            static_mac: given.is_some(),
            mac: given.unwrap_or_else(|| format!("00155D{:06X}", at + host.vms().len() * 16)),
            switch,
            switch_name: adapter.switch.clone(),
            legacy: adapter.legacy,
            vlan: adapter.vlan,
        });
    }
    let now = host.now();
    Ok(Vm {
        id,
        planned: spec.planned,
        power: power(spec.state),
        power_since: now,
        starts: 1,
        created: now,
        settings,
        parent: None,
        last_applied: None,
        checkpoints: Vec::new(),
        reference_points: Vec::new(),
        critical: false,
        merges_off: false,
        merge_failed: false,
        busy: None,
        guest: Guest {
            backup_status: spec.backup_status,
            settles: spec.settles,
            system: spec.guest.as_ref().map(|guest| GuestSystem {
                name: guest.name.clone(),
                version: guest.version.clone(),
                platform: guest.platform,
            }),
        },
        replication: spec.replication.map(|replication| Replication {
            mode: replication.mode,
            state: replication.state,
            health: replication.health,
            interval: replication.interval,
            next: (replication.interval > 0)
                .then(|| {
                    now.checked_add(Duration::from_secs(replication.interval.into()))
                        .ok()
                })
                .flatten(),
            delta_takes: Duration::from_millis(replication.delta_ms),
            delta_bytes: replication.delta_bytes,
            deltas: 0,
            extended: replication.extended,
        }),
    })
}

pub(super) fn power(state: State) -> Power {
    match state {
        State::Running => Power::Running,
        State::Off => Power::Off,
        State::Saved => Power::Saved,
        State::Paused => Power::Paused,
    }
}

/// What a cluster knows of a VM, if all its files are where every node finds them.
pub(super) fn role(host: &Host, vm: &Vm) -> Option<Role> {
    let shared = |path: &str| {
        let start = path.get(.."C:\\ClusterStorage\\".len());
        start.is_some_and(|start| start.eq_ignore_ascii_case("C:\\ClusterStorage\\"))
    };
    let node = host.node.as_ref()?;
    let all = vm.settings.disks().all(|(_, path)| shared(path));
    (all && shared(&vm.settings.folder)).then(|| Role {
        vm: vm.id,
        name: vm.settings.name.clone(),
        folder: vm.settings.folder.clone(),
        owner: node.place,
    })
}

/// A name that a folder can have.
fn file_name(name: &str) -> String {
    let proper = |c: char| !c.is_control() && !"\\/:*?\"<>|".contains(c);
    let name: String = name
        .chars()
        .map(|c| if proper(c) { c } else { '_' })
        .collect();
    match name.trim_matches('.').is_empty() {
        true => "_".to_owned(),
        false => name,
    }
}

/// Generation 1 has two IDE controllers too.
fn controllers(host: &mut Host, spec: &VmSpec) -> Vec<Controller> {
    let ide = (0..2)
        .filter(|_| spec.generation == 1)
        .map(|n| (ControllerKind::Ide, n));
    let scsi = (0..spec.scsi_controllers.unwrap_or(1)).map(|n| (ControllerKind::Scsi, n));
    let kinds: Vec<_> = ide.chain(scsi).collect();
    let make = |(kind, number)| Controller {
        id: host.new_id(),
        kind,
        number,
    };
    kinds.into_iter().map(make).collect()
}

/// Puts a medium into a place, or into the first free one, on IDE first. `None` when it is taken,
/// or there is none.
fn put(settings: &mut Settings, medium: Medium, wanted: Option<PlaceSpec>) -> Option<()> {
    let slots = |kind| match kind {
        ControllerKind::Ide => 2,
        ControllerKind::Scsi => SLOTS,
    };
    let all = settings.controllers.iter().enumerate();
    let mut places = all.flat_map(|(at, c)| (0..slots(c.kind)).map(move |slot| (at, slot)));
    let is_free = |(at, slot): &(usize, u32)| {
        let mut drives = settings.drives.iter();
        !drives.any(|drive| (drive.controller, drive.slot) == (*at, *slot))
    };
    let is_wanted = |(at, slot): &(usize, u32)| {
        wanted.is_none_or(|place| (place.controller, place.slot) == (*at, *slot))
    };
    let (controller, slot) = places.find(|place| is_free(place) && is_wanted(place))?;
    settings.drives.push(Drive {
        controller,
        slot,
        medium,
    });
    Some(())
}

fn make_disk(host: &mut Host, vm: &str, disk: &DiskSpec) -> Result<(), BuildError> {
    let made = match disk.size {
        Some(len) => {
            let geometry = Geometry {
                len,
                logical_sector: 512,
                physical_sector: 4096,
            };
            host.create_disk(&disk.path, geometry)
        }
        None => host.files().info(&disk.path).map(|_| ()),
    };
    made.map_err(|error| BuildError::Disk {
        vm: vm.to_owned(),
        error,
    })
}
