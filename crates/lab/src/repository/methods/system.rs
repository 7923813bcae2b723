//! Methods of a VM.

use cim::Instance;
use uuid::Uuid;

use super::inputs::needed;
use super::{Called, Outcome};
use crate::state::{Host, Refusal};

pub(super) fn request_state(host: &mut Host, system: &Instance, inputs: &Instance) -> Called {
    let name: String = needed(system, "Name")?;
    // The host itself is a system too, and is not turned off this way.
    let vm = Uuid::try_parse(&name).map_err(|_| Refusal::NOT_SUPPORTED)?;
    let wanted = needed(inputs, "RequestedState")?;
    host.change_state(vm, wanted).map(Outcome::Job)
}
