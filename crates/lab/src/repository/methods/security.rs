//! `Msvm_SecurityService`.

use cim::{Instance, ObjectPath};

use super::inputs::{embedded, needed};
use super::{Called, Outcome, views};
use crate::schema::HYPER_V;
use crate::state::{Host, Refusal};

/// What protects the key of a VM's TPM now, whichever of its configurations is given.
pub(super) fn key_protector(host: &mut Host, inputs: &Instance) -> Called {
    host.advance();
    let class = "Msvm_SecuritySettingData";
    let given = embedded(inputs, "SecuritySettingData", class)?;
    let id: String = needed(&given.ok_or(Refusal::INVALID_PARAMETER)?, "InstanceID")?;
    // The name of the configuration is the beginning of its parts' names.
    let settings = id.split('\\').next().unwrap_or_default();
    let path = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSettingData");
    let path = path.with_key("InstanceID", settings);
    let (vm, _) = views::settings_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    let protector = host.vm(vm).ok_or(Refusal::FAILED)?.key_protector();
    Ok(Outcome::Done(
        Instance::new("").with("KeyProtector", protector),
    ))
}
