//! `Msvm_VirtualSystemSnapshotService`.

use cim::Instance;

use super::inputs::{embedded, needed, optional, reference};
use super::{Called, Outcome, views};
use crate::state::{CheckpointKind, CheckpointWish, Consistency, Host, Power, Refusal, Vm};

/// `SnapshotType` of a whole checkpoint, and of one for a backup.
const FULL: u16 = 2;
const RECOVERY: u16 = 32768;

pub(super) fn create(host: &mut Host, inputs: &Instance) -> Called {
    let system = reference(inputs, "AffectedSystem")?;
    let vm = views::vm_id(host, &system).ok_or(Refusal::INVALID_PARAMETER)?;
    let kind = match needed(inputs, "SnapshotType")? {
        FULL => CheckpointKind::User,
        RECOVERY => CheckpointKind::Recovery,
        // Disks only.
        3 => return Err(Refusal::NOT_SUPPORTED),
        _ => return Err(Refusal::INVALID_PARAMETER),
    };
    let class = "Msvm_VirtualSystemSnapshotSettingData";
    let settings = embedded(inputs, "SnapshotSettings", class)?.unwrap_or_default();
    let level: Option<u8> = optional(&settings, "ConsistencyLevel")?;
    let known = host.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
    let consistency = match level.unwrap_or(0) {
        1 => Consistency::Application,
        2 => Consistency::Crash,
        0 => untold(known, kind),
        _ => return Err(Refusal::INVALID_PARAMETER),
    };
    let guest_type: Option<u8> = optional(&settings, "GuestBackupType")?;
    if guest_type.is_some_and(|kind| kind > 2) {
        return Err(Refusal::INVALID_PARAMETER);
    }
    let ignore: Option<bool> = optional(&settings, "IgnoreNonSnapshottableDisks")?;
    let wish = CheckpointWish {
        kind,
        consistency,
        memory: kind == CheckpointKind::User && consistency == Consistency::Crash,
        ignore_unfreezable: ignore.unwrap_or(false),
    };
    let name: Option<String> = optional(&settings, "ElementName")?;
    host.create_named(vm, wish, name).map(Outcome::Job)
}

/// What the VM can do, or for a user's what the VM's settings say: production only, production or
/// standard, standard.
fn untold(vm: &Vm, kind: CheckpointKind) -> Consistency {
    let of_user = kind == CheckpointKind::User;
    match vm.settings.checkpoint_type {
        5 if of_user => Consistency::Crash,
        4 if of_user && vm.power == Power::Running => Consistency::Application,
        _ if vm.can_settle() => Consistency::Application,
        _ => Consistency::Crash,
    }
}

pub(super) fn apply(host: &mut Host, inputs: &Instance) -> Called {
    let (vm, checkpoint) = checkpoint(host, inputs, "Snapshot")?;
    host.apply_checkpoint(vm, checkpoint).map(Outcome::Job)
}

pub(super) fn destroy_tree(host: &mut Host, inputs: &Instance) -> Called {
    let (vm, checkpoint) = checkpoint(host, inputs, "SnapshotSettingData")?;
    host.destroy_tree(vm, checkpoint).map(Outcome::Job)
}

pub(super) fn clear_state(host: &mut Host, inputs: &Instance) -> Called {
    let (vm, checkpoint) = checkpoint(host, inputs, "SnapshotSettingData")?;
    host.clear_state(vm, checkpoint).map(Outcome::Job)
}

pub(super) fn destroy(host: &mut Host, inputs: &Instance) -> Called {
    let (vm, checkpoint) = checkpoint(host, inputs, "AffectedSnapshot")?;
    host.destroy_checkpoint(vm, checkpoint).map(Outcome::Job)
}

pub(super) fn convert(host: &mut Host, inputs: &Instance) -> Called {
    let (vm, checkpoint) = checkpoint(host, inputs, "AffectedSnapshot")?;
    // There are no settings that the lab knows.
    if embedded(inputs, "ReferencePointSettings", "CIM_SettingData")?.is_some() {
        return Err(Refusal::NOT_SUPPORTED);
    }
    host.convert_checkpoint(vm, checkpoint).map(Outcome::Job)
}

fn checkpoint(
    host: &Host,
    inputs: &Instance,
    input: &str,
) -> Result<(uuid::Uuid, uuid::Uuid), Refusal> {
    let path = reference(inputs, input)?;
    views::settings_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)
}
