//! `Msvm_VirtualSystemManagementService`.

use cim::{Instance, Kind, ObjectPath, Scalar, Value};
use uuid::Uuid;

use super::inputs::{embedded, needed};
use super::{Called, Outcome, Repository, done, views};
use crate::schema::{HYPER_V, Schema};
use crate::state::{Changed, Edit, Host, Refusal};

pub(super) fn summary(host: &mut Host, inputs: &Instance) -> Called {
    host.advance();
    let wanted: Vec<u32> = inputs
        .get_list("RequestedInformation")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    let given: Vec<ObjectPath> = inputs
        .get_list("SettingData")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    let ids = match given.is_empty() {
        true => host
            .vms()
            .iter()
            .filter(|vm| !vm.planned)
            .map(|vm| (vm.id, vm.settings.id))
            .collect(),
        false => {
            let ids = given.iter().map(|path| views::settings_id(host, path));
            ids.collect::<Option<Vec<_>>>()
                .ok_or(Refusal::INVALID_PARAMETER)?
        }
    };
    let schema = Schema::of(HYPER_V).ok_or(Refusal::FAILED)?;
    let mut found = Vec::new();
    for (vm, settings) in ids {
        let vm = host.vm(vm).ok_or(Refusal::FAILED)?;
        let settings = vm
            .all_settings()
            .find(|s| s.id == settings)
            .ok_or(Refusal::FAILED)?;
        let summary = views::summary(host, vm, settings, Some(&wanted));
        let complete = schema.complete(&host.name, &summary);
        found.push(Scalar::Object(Box::new(complete)));
    }
    let mut outputs = Instance::new("");
    let kind = Kind::array(cim::CimType::Object);
    outputs.put("SummaryInformation", Some(kind), Value::Array(found));
    Ok(Outcome::Done(outputs))
}

/// What can be told anew without anything here following from it.
const TOLD: &[&str] = &[
    "AutomaticRecoveryAction",
    "AutomaticShutdownAction",
    "AutomaticSnapshotsEnabled",
    "AutomaticStartupAction",
    "AutomaticStartupActionDelay",
    "AutomaticStartupActionSequenceNumber",
    "BaseBoardSerialNumber",
    "BIOSSerialNumber",
    "BootOrder",
    "ChassisAssetTag",
    "ChassisSerialNumber",
    "SecureBootTemplateId",
    "SwapFileDataRoot",
];

/// Name and notes can be changed always, the rest of a VM that is off; what cannot be changed is
/// refused, rather than taken and forgotten.
pub(super) fn modify(repository: &mut Repository, inputs: &Instance) -> Called {
    let class = "Msvm_VirtualSystemSettingData";
    let given = embedded(inputs, "SystemSettings", class)?.ok_or(Refusal::INVALID_PARAMETER)?;
    let id: String = needed(&given, "InstanceID")?;
    let path = ObjectPath::new(HYPER_V, class).with_key("InstanceID", id);
    let present = repository
        .get(&path)
        .map_err(|_| Refusal::INVALID_PARAMETER)?;
    let (mut name, mut notes, mut edits) = (None, None, Vec::new());
    for property in given.properties() {
        let known = present.property(&property.name);
        // Null is as if it were not given.
        if property.value.is_null() || known.is_none_or(|known| known.value == property.value) {
            continue;
        }
        match property.name.to_lowercase().as_str() {
            "elementname" => name = Some(needed::<String>(&given, "ElementName")?),
            "notes" => {
                let lines: Vec<String> = given
                    .get_list("Notes")
                    .map_err(|_| Refusal::INCORRECT_TYPE)?;
                notes = Some(lines.join("\n"));
            }
            "biosguid" => {
                let id = Uuid::try_parse(&needed::<String>(&given, "BIOSGUID")?);
                edits.push(Edit::Firmware(id.map_err(|_| Refusal::INVALID_PARAMETER)?));
            }
            "securebootenabled" => {
                edits.push(Edit::SecureBoot(needed(&given, "SecureBootEnabled")?));
            }
            "bootsourceorder" => {
                let paths = given.get_list::<String>("BootSourceOrder");
                let paths = paths.map_err(|_| Refusal::INCORRECT_TYPE)?;
                let places = paths.iter().map(|path| boot_place(path));
                edits.push(Edit::Boot(places.collect::<Result<_, _>>()?));
            }
            "usersnapshottype" => {
                edits.push(Edit::CheckpointType(needed(&given, "UserSnapshotType")?));
            }
            "snapshotdataroot" => {
                edits.push(Edit::CheckpointFolder(needed(&given, "SnapshotDataRoot")?));
            }
            other if TOLD.iter().any(|name| name.eq_ignore_ascii_case(other)) => {
                edits.push(Edit::Tell(Changed {
                    place: String::new(),
                    property: property.clone(),
                }));
            }
            _ => return Err(Refusal::NOT_SUPPORTED),
        }
    }
    let host = &mut repository.host;
    let (_, settings) = views::settings_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    if !edits.is_empty() {
        host.edit(settings, &edits)?;
    }
    host.modify(settings, name.as_deref(), notes.as_deref())?;
    done()
}

/// The place that a boot source's path names.
fn boot_place(path: &str) -> Result<String, Refusal> {
    let path: ObjectPath = path.parse().map_err(|_| Refusal::INVALID_PARAMETER)?;
    let id = path.key("InstanceID").ok_or(Refusal::INVALID_PARAMETER)?;
    let place = id
        .split_once('\\')
        .and_then(|(_, place)| place.strip_suffix("\\B"));
    place.map(str::to_owned).ok_or(Refusal::INVALID_PARAMETER)
}

/// Takes a VM that does not run, or is only planned, off the host. Its disks stay.
pub(super) fn destroy(host: &mut Host, inputs: &Instance) -> Called {
    let path: ObjectPath = needed(inputs, "AffectedSystem")?;
    let vm = views::system_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    host.destroy_system(vm).map(Outcome::Job)
}
