//! `Msvm_ReplicationService`: the end of a replication.

use cim::{Instance, ObjectPath};
use uuid::Uuid;

use super::inputs::{embedded, needed};
use super::{Called, Outcome, views};
use crate::state::{Host, Refusal};

/// The first relationship.
pub(super) fn remove(host: &mut Host, inputs: &Instance) -> Called {
    let vm = vm(host, inputs)?;
    host.remove_replication(vm, false).map(Outcome::Job)
}

/// The one that is named.
pub(super) fn remove_one(host: &mut Host, inputs: &Instance) -> Called {
    let vm = vm(host, inputs)?;
    let class = "Msvm_ReplicationRelationship";
    let given = embedded(inputs, "ReplicationRelationship", class)?;
    let id: String = needed(&given.ok_or(Refusal::INVALID_PARAMETER)?, "InstanceID")?;
    let all = host.vm(vm).map(views::relationship_ids).unwrap_or_default();
    let at = all.iter().position(|own| own.eq_ignore_ascii_case(&id));
    let second = at.ok_or(Refusal::INVALID_PARAMETER)? > 0;
    host.remove_replication(vm, second).map(Outcome::Job)
}

fn vm(host: &Host, inputs: &Instance) -> Result<Uuid, Refusal> {
    let path: ObjectPath = needed(inputs, "ComputerSystem")?;
    views::vm_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)
}
