//! `Msvm_VirtualSystemReferencePointService`.

use cim::Instance;
use uuid::Uuid;

use super::inputs::reference;
use super::{Called, Outcome};
use crate::state::{Host, Refusal};

pub(super) fn destroy(host: &mut Host, inputs: &Instance) -> Called {
    let path = reference(inputs, "AffectedReferencePoint")?;
    let is_point = path
        .class
        .eq_ignore_ascii_case("Msvm_VirtualSystemReferencePoint");
    let id = path.key("InstanceID").filter(|_| is_point);
    let id = id
        .and_then(|id| Uuid::try_parse(&id).ok())
        .ok_or(Refusal::INVALID_PARAMETER)?;
    let mut vms = host.vms().iter();
    let vm = vms.find(|vm| vm.reference_points.iter().any(|point| point.id == id));
    let vm = vm.ok_or(Refusal::INVALID_PARAMETER)?.id;
    host.destroy_reference_point(vm, id).map(Outcome::Job)
}
