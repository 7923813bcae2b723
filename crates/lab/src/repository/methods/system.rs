//! Methods of a VM.

use cim::Instance;
use uuid::Uuid;

use super::inputs::{embedded, needed};
use super::{Called, Outcome, views};
use crate::state::{Host, Refusal};

pub(super) fn request_state(host: &mut Host, system: &Instance, inputs: &Instance) -> Called {
    let name: String = needed(system, "Name")?;
    // The host itself is a system too, and is not turned off this way.
    let vm = Uuid::try_parse(&name).map_err(|_| Refusal::NOT_SUPPORTED)?;
    let wanted = needed(inputs, "RequestedState")?;
    host.change_state(vm, wanted).map(Outcome::Job)
}

/// The relationship may be left out: a VM has one here.
pub(super) fn request_replication(host: &mut Host, system: &Instance, inputs: &Instance) -> Called {
    let name: String = needed(system, "Name")?;
    let vm = Uuid::try_parse(&name).map_err(|_| Refusal::NOT_SUPPORTED)?;
    let class = "Msvm_ReplicationRelationship";
    if let Some(given) = embedded(inputs, "ReplicationRelationship", class)? {
        let id: String = needed(&given, "InstanceID")?;
        let own = host.vm(vm).map(views::relationship_id);
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(&id)) {
            return Err(Refusal::INVALID_PARAMETER);
        }
    }
    let wanted = needed(inputs, "RequestedState")?;
    host.change_replication(vm, wanted).map(Outcome::Job)
}
