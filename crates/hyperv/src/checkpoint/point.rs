//! Ending a reference point.

use cim::{Instance, ObjectPath, path::HYPER_V};
use uuid::Uuid;

use super::CheckpointError;
use super::look::{reference_points, service, still_here};
use crate::control::{Change, ChangeError, Control};
use crate::ids::{self, fold};
use crate::journal::{Call, Outcome};

/// Removes a reference point that is surely ours, and looks whether it is gone.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub fn destroy_reference_point(
    control: &Control,
    vm: Uuid,
    instance_id: &str,
) -> Result<(), CheckpointError> {
    let session = control.session();
    let service = service(session, "Msvm_VirtualSystemReferencePointService")?;
    let path = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemReferencePoint")
        .with_key("InstanceID", instance_id)
        .with_key("VirtualSystemIdentifier", ids::upper(vm));
    let inputs = Instance::default().with("AffectedReferencePoint", path);
    let change = Change {
        call: Call::DestroyReferencePoint {
            reference_point: instance_id.to_owned(),
        },
        target: &service,
        method: "DestroyReferencePoint",
        inputs: &inputs,
        cancellable: false,
    };
    let tried = control.change(vm, &change, &|_| Ok(None));
    let now = reference_points(session, vm)?;
    let there = now
        .iter()
        .any(|point| fold(&point.instance_id) == fold(instance_id));
    if !there {
        still_here(session, vm)?;
    }
    match (tried, there) {
        (Ok(_), false) => Ok(()),
        (Err(ChangeError::Unknown { number, .. }), false) => {
            control.settle(number, Outcome::Done { made: None });
            Ok(())
        }
        (Err(ChangeError::NotDone { .. }), false) => {
            control.seen_done(vm, change.call);
            Ok(())
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), true) => {
            // The host's word for it is in the journal.
            control.seen_undone(vm, change.call);
            Err(CheckpointError::StillThere(instance_id.to_owned()))
        }
    }
}
