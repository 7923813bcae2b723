//! Associations: which object belongs to which.

use cim::{Instance, ObjectPath};

use super::names::{by_id, path, resource_paths, settings_path, vm_path};
use super::{device, integration, job, network};
use crate::schema::{HYPER_V, Schema};
use crate::state::{End, Host, Made, upper};

fn pair(class: &str, ends: [(&str, ObjectPath); 2]) -> Instance {
    let [(one, first), (other, second)] = ends;
    Instance::new(class).with(one, first).with(other, second)
}

fn dependency(class: &str, antecedent: ObjectPath, dependent: ObjectPath) -> Instance {
    pair(
        class,
        [("Antecedent", antecedent), ("Dependent", dependent)],
    )
}

pub(super) fn settings_define_state(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let ends = [
            ("ManagedElement", vm_path(host, vm.id)),
            ("SettingData", settings_path(host, vm.settings.id)),
        ];
        pair("Msvm_SettingsDefineState", ends)
    };
    host.vms().iter().map(of).collect()
}

pub(super) fn snapshots(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let all = vm.checkpoints.iter().map(|checkpoint| {
            let settings = settings_path(host, checkpoint.settings.id);
            dependency(
                "Msvm_SnapshotOfVirtualSystem",
                vm_path(host, vm.id),
                settings,
            )
        });
        all.collect::<Vec<_>>()
    };
    host.vms().iter().flat_map(of).collect()
}

pub(super) fn most_current(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let settings = settings_path(host, vm.parent?);
        Some(dependency(
            "Msvm_MostCurrentSnapshotInBranch",
            vm_path(host, vm.id),
            settings,
        ))
    };
    host.vms().iter().filter_map(of).collect()
}

/// Here the checkpoint comes first.
pub(super) fn last_applied(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let applied = vm.checkpoint(vm.last_applied?)?;
        Some(dependency(
            "Msvm_LastAppliedSnapshot",
            settings_path(host, applied.settings.id),
            vm_path(host, vm.id),
        ))
    };
    host.vms().iter().filter_map(of).collect()
}

pub(super) fn reference_points(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let all = vm.reference_points.iter().map(|point| {
            let path = point_path(host, vm.id, point.id);
            dependency(
                "Msvm_ReferencePointOfVirtualSystem",
                vm_path(host, vm.id),
                path,
            )
        });
        all.collect::<Vec<_>>()
    };
    host.vms().iter().flat_map(of).collect()
}

fn point_path(host: &Host, vm: uuid::Uuid, point: uuid::Uuid) -> ObjectPath {
    by_id(host, "Msvm_VirtualSystemReferencePoint", &upper(point))
        .with_key("VirtualSystemIdentifier", upper(vm))
}

pub(super) fn replication(host: &Host) -> Vec<Instance> {
    let of = |vm: &crate::state::Vm| {
        let all = integration::relationship_ids(vm).into_iter().map(|id| {
            dependency(
                "Msvm_SystemReplicationRelationship",
                vm_path(host, vm.id),
                by_id(host, "Msvm_ReplicationRelationship", &id),
            )
        });
        all.collect::<Vec<_>>()
    };
    host.vms().iter().flat_map(of).collect()
}

/// Each device belongs to the configuration whose id begins its own.
pub(super) fn components(host: &Host) -> Vec<Instance> {
    let of = |device: Instance| {
        let id: String = device.get("InstanceID").ok()?;
        let group = id.split('\\').next()?;
        let ends = [
            (
                "GroupComponent",
                by_id(host, "Msvm_VirtualSystemSettingData", group),
            ),
            ("PartComponent", by_id(host, &device.class, &id)),
        ];
        Some(pair("Msvm_VirtualSystemSettingDataComponent", ends))
    };
    devices(host).into_iter().filter_map(of).collect()
}

/// All pieces of all configurations.
pub(super) fn devices(host: &Host) -> Vec<Instance> {
    let views: [fn(&Host) -> Vec<Instance>; 9] = [
        device::controllers_and_drives,
        device::media,
        network::synthetic,
        network::legacy,
        network::connections,
        device::all_host_devices,
        device::memory,
        device::processors,
        device::security,
    ];
    let devices = views.into_iter().flat_map(|view| view(host));
    let services = integration::ALL.into_iter();
    let services = services.flat_map(|service| integration::settings(host, service));
    devices.chain(services).collect()
}

pub(super) fn system_devices(host: &Host) -> Vec<Instance> {
    let Some(schema) = Schema::of(HYPER_V) else {
        return Vec::new();
    };
    let of = |device: Instance| {
        let device = schema.complete(&host.name, &device);
        let system: String = device.get("SystemName").ok()?;
        let vm = path(host, "Msvm_ComputerSystem")
            .with_key("CreationClassName", "Msvm_ComputerSystem")
            .with_key("Name", system);
        let ends = [("GroupComponent", vm), ("PartComponent", device.path?)];
        Some(pair("Msvm_SystemDevice", ends))
    };
    let services = integration::ALL.into_iter();
    let devices = services.flat_map(|service| integration::devices(host, service));
    devices.filter_map(of).collect()
}

/// A job belongs to its VM (effect: other) and to what it made (effect: create).
pub(super) fn affected_job_element(host: &Host) -> Vec<Instance> {
    let of = |work: &crate::state::Job| {
        let made = match &work.end {
            Some((_, End::Completed(Some(made)))) => match made {
                Made::Checkpoint(id) => vec![settings_path(host, *id)],
                Made::ReferencePoint(id) => vec![point_path(host, work.vm, *id)],
                Made::System(id) => vec![vm_path(host, *id)],
                Made::Places(settings, places) => resource_paths(host, *settings, places),
            },
            _ => Vec::new(),
        };
        let affected = |element: ObjectPath, effect: u16| {
            let ends = [
                ("AffectedElement", element),
                ("AffectingElement", job::path(host, work.id)),
            ];
            pair("Msvm_AffectedJobElement", ends).with("ElementEffects", vec![effect])
        };
        let vm = affected(vm_path(host, work.vm), 1);
        let made = made.into_iter().map(|path| affected(path, 5));
        std::iter::once(vm).chain(made).collect::<Vec<_>>()
    };
    host.jobs().iter().flat_map(of).collect()
}
