//! `Msvm_VirtualSystemManagementService`: VMs that are imported, planned, realized, or made anew.

use cim::{Instance, ObjectPath};
use uuid::Uuid;

use super::inputs::{embedded, needed, optional, reference};
use super::{Called, Outcome, views};
use crate::state::{Host, ImportWish, JobId, NewVm, Refusal};

pub(super) fn import(host: &mut Host, inputs: &Instance) -> Called {
    let new_id: Option<bool> = optional(inputs, "GenerateNewSystemIdentifier")?;
    let snapshots: Option<String> = optional(inputs, "SnapshotFolder")?;
    let wish = ImportWish {
        file: needed(inputs, "SystemDefinitionFile")?,
        snapshots: snapshots.unwrap_or_default(),
        new_id: new_id.unwrap_or(false),
    };
    host.import(wish).map(Outcome::Job)
}

pub(super) fn import_snapshots(host: &mut Host, inputs: &Instance) -> Called {
    let vm = planned(host, inputs)?;
    let folder = needed(inputs, "SnapshotFolder")?;
    host.import_snapshots(vm, folder).map(Outcome::Job)
}

pub(super) fn validate(host: &mut Host, inputs: &Instance) -> Called {
    of_planned(host, inputs, Host::validate)
}

pub(super) fn realize(host: &mut Host, inputs: &Instance) -> Called {
    of_planned(host, inputs, Host::realize)
}

fn of_planned(
    host: &mut Host,
    inputs: &Instance,
    begin: fn(&mut Host, Uuid) -> Result<JobId, Refusal>,
) -> Called {
    let vm = planned(host, inputs)?;
    begin(host, vm).map(Outcome::Job)
}

fn planned(host: &Host, inputs: &Instance) -> Result<Uuid, Refusal> {
    let path: ObjectPath = reference(inputs, "PlannedSystem")?;
    let vm = views::system_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    let known = host.vm(vm).filter(|vm| vm.planned);
    known.map(|vm| vm.id).ok_or(Refusal::INVALID_PARAMETER)
}

/// Hardware is added afterwards: what comes with the call itself is not built.
pub(super) fn define(host: &mut Host, inputs: &Instance, planned: bool) -> Called {
    let class = "Msvm_VirtualSystemSettingData";
    let given = embedded(inputs, "SystemSettings", class)?.unwrap_or_default();
    let resources: Vec<String> = inputs
        .get_list("ResourceSettings")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    let like: Option<ObjectPath> = optional(inputs, "ReferenceConfiguration")?;
    if !resources.is_empty() || like.is_some() {
        return Err(Refusal::NOT_SUPPORTED);
    }
    let text = |name: &str| -> Result<Option<String>, Refusal> {
        let told: Option<String> = optional(&given, name)?;
        Ok(told.filter(|text| !text.is_empty()))
    };
    let generation = match text("VirtualSystemSubType")?.as_deref() {
        None | Some("Microsoft:Hyper-V:SubType:1") => 1,
        Some("Microsoft:Hyper-V:SubType:2") => 2,
        Some(_) => return Err(Refusal::INVALID_PARAMETER),
    };
    let firmware = text("BIOSGUID")?;
    let firmware = firmware.map(|id| Uuid::try_parse(&id)).transpose();
    let new = NewVm {
        name: text("ElementName")?.unwrap_or_else(|| "Neuer virtueller Computer".to_owned()),
        generation,
        version: text("Version")?,
        folder: text("ConfigurationDataRoot")?,
        firmware: firmware.map_err(|_| Refusal::INVALID_PARAMETER)?,
        planned,
    };
    host.define(new).map(Outcome::Job)
}
