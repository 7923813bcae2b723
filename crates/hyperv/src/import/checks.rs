//! Whether the VM may be there at all: ids, names, what it replaces, and what it brings with it.

use uuid::Uuid;
use vmconfig::model::{DriveKind, Finding as ConfigFinding};

use super::finding::Finding;
use super::replication::can_be_removed;
use super::request::{Identity, Place, Request};
use super::{Point, Target};
use crate::ids::fold;
use crate::inventory::{Machine, PowerState, ReplicationMode};

/// Looks at the id and the name, and gives the VM that is replaced.
pub(super) fn place<'t>(
    point: &Point,
    request: &Request,
    target: &'t Target,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'t Machine> {
    let there = target.machine(point.vm);
    let replaced = match request.place {
        Place::InPlace => there,
        Place::Beside => None,
    };
    match (request.place, there) {
        (Place::InPlace, None) => findings.push(Finding::NothingToReplace),
        (Place::InPlace, Some(machine)) => {
            if request.identity == Identity::New {
                findings.push(Finding::NewIdInPlace);
            }
            replacing(machine, request, findings);
        }
        (Place::Beside, Some(machine)) if request.identity == Identity::Keep => {
            clash(point.vm, machine.name(), findings);
        }
        (Place::Beside, _) => {}
    }
    if request.identity == Identity::Keep && target.is_planned(point.vm) {
        clash(point.vm, "an import that was not finished", findings);
    }
    let others = target.inventory.machines.iter();
    let mut others = others.filter(|vm| replaced.is_none_or(|replaced| replaced.id != vm.id));
    if others.any(|vm| fold(vm.name()) == fold(name)) {
        let name = name.to_owned();
        findings.push(Finding::SameName { name });
    }
    replaced
}

fn clash(id: Uuid, name: &str, findings: &mut Vec<Finding>) {
    let name = name.to_owned();
    findings.push(Finding::IdClash { id, name });
}

fn replacing(machine: &Machine, request: &Request, findings: &mut Vec<Finding>) {
    let name = machine.name().to_owned();
    // What is not told may be a replica.
    let mode = machine.replication.mode;
    if mode != ReplicationMode::None || !machine.replication.relationships.is_empty() {
        let can = can_be_removed(mode, &machine.replication.relationships);
        let removed = request.remove_replication && can;
        findings.push(Finding::Replicated { mode, removed });
    }
    if machine.operation.is_some() {
        findings.push(Finding::Busy { name: name.clone() });
    }
    if !matches!(machine.state, PowerState::Off | PowerState::Saved) {
        findings.push(Finding::WillBeStopped { name });
    }
    if let Some(role) = &machine.cluster {
        findings.push(Finding::Clustered {
            role: role.resource.clone(),
        });
    }
    let count = machine.reference_points.len();
    if count > 0 {
        findings.push(Finding::ReferencePointsGo { count });
    }
    let count = machine.checkpoints.len();
    if count > 0 {
        let removed = request.remove_checkpoints;
        findings.push(Finding::CheckpointsGo { count, removed });
    }
}

/// What the VM had that is not taken along, or needs something of the host.
pub(super) fn devices(point: &Point, findings: &mut Vec<Finding>) {
    for (location, drive) in point.config.drives() {
        match (drive.kind, &drive.path) {
            (DriveKind::PassThrough, _) => findings.push(Finding::PassThrough { location }),
            (DriveKind::Iso | DriveKind::Floppy, Some(path)) => {
                let path = path.clone();
                findings.push(Finding::ImageTakenOut { location, path });
            }
            _ => {}
        }
    }
    for found in &point.config.findings {
        if let ConfigFinding::HostDevice { name } | ConfigFinding::FibreChannel { name } = found {
            findings.push(Finding::HostDevice { name: name.clone() });
        }
    }
    let protector = point.key_protector;
    let told = point.config.security.virtual_tpm == Some(true);
    if told {
        findings.push(Finding::Tpm { protector });
    }
}
