//! `Msvm_VirtualSystemManagementService`: pieces of hardware, added, changed and removed.
//!
//! What is sent is a whole object. A property that differs from what is there is a change; one
//! that cannot be changed makes the call invalid, rather than being forgotten.

use cim::{Instance, ObjectPath, Property, Value};
use uuid::Uuid;

use super::inputs::{embedded_list, reference};
use super::{Called, Outcome, Repository, done, views};
use crate::schema::HYPER_V;
use crate::state::{Adapter, Changed, Edit, Host, Medium, Refusal};

const RESOURCE: &str = "CIM_ResourceAllocationSettingData";
const FEATURE: &str = "Msvm_EthernetSwitchPortFeatureSettingData";
/// What a caller may set of nearly everything, without anything here following from it.
const TOLD: &[&str] = &[
    "ElementName",
    "Weight",
    "Limit",
    "Reservation",
    "TargetMemoryBuffer",
    "ExposeVirtualizationExtensions",
    "LimitProcessorFeatures",
    "IOPSLimit",
    "IOPSReservation",
    "CachingMode",
    "WriteHardeningMethod",
    "IgnoreFlushes",
    "ClusterMonitored",
    "DeviceNamingEnabled",
    "EnabledState",
    "LastKnownSwitchName",
    "StorageQoSPolicyID",
];

/// What of these a disk may have from the beginning.
const SPEED: &[&str] = &["IOPSLimit", "IOPSReservation", "Weight"];

pub(super) fn add(host: &mut Host, inputs: &Instance) -> Called {
    let path = reference(inputs, "AffectedConfiguration")?;
    let (_, settings) = views::settings_id(host, &path).ok_or(Refusal::INVALID_PARAMETER)?;
    let given = embedded_list(inputs, "ResourceSettings", RESOURCE)?;
    let edits = given.iter().map(|one| new(host, one));
    let edits = edits.collect::<Result<Vec<_>, _>>()?.concat();
    make(host, settings, edits, "ResultingResourceSettings")
}

pub(super) fn add_features(host: &mut Host, inputs: &Instance) -> Called {
    let path = reference(inputs, "AffectedConfiguration")?;
    let id = path.key("InstanceID").ok_or(Refusal::INVALID_PARAMETER)?;
    let (settings, place) = place(host, &id)?;
    let adapter = device(&place)?;
    let given = embedded_list(inputs, "FeatureSettings", FEATURE)?;
    let edits = given.iter().map(|one| vlan(adapter, one));
    let edits = edits.collect::<Result<Vec<_>, _>>()?;
    make(host, settings, edits, "ResultingFeatureSettings")
}

/// Features that are there, by their ids.
pub(super) fn modify_features(host: &mut Host, inputs: &Instance) -> Called {
    let given = embedded_list(inputs, "FeatureSettings", FEATURE)?;
    let mut all: Option<Uuid> = None;
    let mut edits = Vec::new();
    for one in &given {
        let id: String = text(one, "InstanceID")?.ok_or(Refusal::INVALID_PARAMETER)?;
        let (settings, place) = place(host, &id)?;
        if *all.get_or_insert(settings) != settings {
            return Err(Refusal::INVALID_PARAMETER);
        }
        edits.push(vlan(device(&place)?, one)?);
    }
    let settings = all.ok_or(Refusal::INVALID_PARAMETER)?;
    make(host, settings, edits, "ResultingFeatureSettings")
}

/// Only ports in one VLAN are built.
fn vlan(adapter: Uuid, one: &Instance) -> Result<Edit, Refusal> {
    let mode: Option<u32> = text(one, "OperationMode")?;
    let vlan: Option<u16> = text(one, "AccessVlanId")?;
    match (mode.unwrap_or(1), vlan) {
        (1, Some(vlan @ 1..=4094)) => Ok(Edit::Vlan(adapter, Some(vlan))),
        (1, _) => Err(Refusal::INVALID_PARAMETER),
        _ => Err(Refusal::NOT_SUPPORTED),
    }
}

pub(super) fn remove(host: &mut Host, inputs: &Instance) -> Called {
    let paths: Vec<ObjectPath> = inputs
        .get_list("ResourceSettings")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    let mut all: Option<Uuid> = None;
    let mut edits = Vec::new();
    for path in paths {
        let id = path.key("InstanceID").ok_or(Refusal::INVALID_PARAMETER)?;
        let (settings, place) = place(host, &id)?;
        if *all.get_or_insert(settings) != settings {
            return Err(Refusal::INVALID_PARAMETER);
        }
        edits.push(match place.rsplit_once('\\') {
            Some((drive, "L")) => Edit::Medium(drive.to_owned(), Medium::Empty),
            Some((drive, "D")) => Edit::Remove(drive.to_owned()),
            Some((adapter, "C")) => {
                let adapter = Uuid::try_parse(adapter);
                Edit::Connect(adapter.map_err(|_| Refusal::INVALID_PARAMETER)?, None, None)
            }
            _ => Edit::Remove(place),
        });
    }
    make(host, all.ok_or(Refusal::INVALID_PARAMETER)?, edits, "")
}

pub(super) fn modify(repository: &mut Repository, inputs: &Instance) -> Called {
    let given = embedded_list(inputs, "ResourceSettings", RESOURCE)?;
    let mut all: Option<Uuid> = None;
    let mut edits = Vec::new();
    for one in given {
        let id: String = text(&one, "InstanceID")?.ok_or(Refusal::INVALID_PARAMETER)?;
        let path = ObjectPath::new(HYPER_V, &one.class).with_key("InstanceID", id.as_str());
        let present = repository.get(&path);
        let present = present.map_err(|_| Refusal::INVALID_PARAMETER)?;
        let (settings, place) = place(&repository.host, &id)?;
        if *all.get_or_insert(settings) != settings {
            return Err(Refusal::INVALID_PARAMETER);
        }
        edits.extend(changes(&place, &one, &present)?);
    }
    let settings = all.ok_or(Refusal::INVALID_PARAMETER)?;
    make(
        &mut repository.host,
        settings,
        edits,
        "ResultingResourceSettings",
    )
}

/// Makes edits, at once or by a job, as the rules say.
fn make(host: &mut Host, settings: Uuid, edits: Vec<Edit>, output: &str) -> Called {
    if host.rules.settings_as_job {
        return host.edit_in_job(settings, edits).map(Outcome::Job);
    }
    let places = host.edit(settings, &edits)?;
    if output.is_empty() {
        return done();
    }
    let made = views::resource_paths(host, settings, &places);
    Ok(Outcome::Done(Instance::new("").with(output, made)))
}

fn text<T: cim::FromScalar>(one: &Instance, name: &str) -> Result<Option<T>, Refusal> {
    super::inputs::optional(one, name)
}

/// The configuration of an `InstanceID`, and what follows it.
fn place(host: &Host, id: &str) -> Result<(Uuid, String), Refusal> {
    let (own, place) = id.split_once('\\').ok_or(Refusal::INVALID_PARAMETER)?;
    let path = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSettingData");
    let found = views::settings_id(host, &path.with_key("InstanceID", own));
    let (_, settings) = found.ok_or(Refusal::INVALID_PARAMETER)?;
    Ok((settings, place.to_owned()))
}

fn device(place: &str) -> Result<Uuid, Refusal> {
    let id = place.split('\\').next().unwrap_or_default();
    Uuid::try_parse(id).map_err(|_| Refusal::INVALID_PARAMETER)
}

/// What an object hangs on, without the letter at its end.
fn parent(host: &Host, one: &Instance) -> Result<String, Refusal> {
    let parent: String = text(one, "Parent")?.ok_or(Refusal::INVALID_PARAMETER)?;
    let path: ObjectPath = parent.parse().map_err(|_| Refusal::INVALID_PARAMETER)?;
    let id = path.key("InstanceID").ok_or(Refusal::INVALID_PARAMETER)?;
    let (_, place) = place(host, &id)?;
    Ok(place
        .strip_suffix("\\D")
        .map_or(place.clone(), str::to_owned))
}

fn resource(one: &Instance) -> Result<Option<String>, Refusal> {
    let all: Vec<String> = one
        .get_list("HostResource")
        .map_err(|_| Refusal::INCORRECT_TYPE)?;
    Ok(all.into_iter().next().filter(|text| !text.is_empty()))
}

/// The number of a disk of the host, or the id of a switch, that a path in a text names.
fn named(path: &str, key: &str) -> Result<String, Refusal> {
    let path: ObjectPath = path.parse().map_err(|_| Refusal::INVALID_PARAMETER)?;
    path.key(key).ok_or(Refusal::INVALID_PARAMETER)
}

fn pass_through(path: &str) -> Result<Medium, Refusal> {
    let id = named(path, "DeviceID")?;
    let number = id.rsplit_once(['\\', ':']).map_or(id.as_str(), |(_, n)| n);
    let number = number.parse().map_err(|_| Refusal::INVALID_PARAMETER)?;
    Ok(Medium::PassThrough(number))
}

fn switch(one: &Instance) -> Result<Option<Uuid>, Refusal> {
    let connected = text::<u16>(one, "EnabledState")?.unwrap_or(2) == 2;
    let Some(path) = resource(one)?.filter(|_| connected) else {
        return Ok(None);
    };
    let id = Uuid::try_parse(&named(&path, "Name")?);
    id.map(Some).map_err(|_| Refusal::INVALID_PARAMETER)
}

/// A piece that is to be added.
fn new(host: &Host, one: &Instance) -> Result<Vec<Edit>, Refusal> {
    let kind: String = text(one, "ResourceSubType")?.unwrap_or_default();
    let kind = kind.strip_prefix("Microsoft:Hyper-V:").unwrap_or_default();
    let slot = || -> Result<u32, Refusal> {
        let slot: String = text(one, "AddressOnParent")?.unwrap_or_default();
        slot.parse().map_err(|_| Refusal::INVALID_PARAMETER)
    };
    let needed = || resource(one)?.ok_or(Refusal::INVALID_PARAMETER);
    let drive = |medium| -> Result<Edit, Refusal> {
        Ok(Edit::AddDrive(parent(host, one)?, slot()?, medium))
    };
    Ok(vec![match kind {
        "Synthetic SCSI Controller" => Edit::AddController,
        "Synthetic Disk Drive" => drive(Medium::Empty)?,
        "Synthetic DVD Drive" => drive(Medium::Dvd(None))?,
        "Physical Disk Drive" => drive(pass_through(&needed()?)?)?,
        "Virtual Hard Disk" => {
            let shared = text(one, "PersistentReservationsSupported")?.unwrap_or(false);
            let (path, drive) = (needed()?, parent(host, one)?);
            let told = one.properties().iter().filter(|given| {
                let is = |name: &&str| given.name.eq_ignore_ascii_case(name);
                SPEED.iter().any(is) && !given.value.is_null()
            });
            let told = told.map(|property| {
                Edit::Tell(Changed {
                    place: format!("{drive}\\L"),
                    property: property.clone(),
                })
            });
            let told: Vec<Edit> = told.collect();
            let medium = Medium::Disk { path, shared };
            return Ok([vec![Edit::Medium(drive, medium)], told].concat());
        }
        "Virtual CD/DVD Disk" => Edit::Medium(parent(host, one)?, Medium::Dvd(Some(needed()?))),
        "Synthetic Ethernet Port" | "Emulated Ethernet Port" => {
            let name: Option<String> = text(one, "ElementName")?;
            let mac: Option<String> = text(one, "Address")?;
            Edit::AddAdapter(Adapter {
                id: Uuid::nil(),
                name: name.unwrap_or_default(),
                mac: mac.unwrap_or_default(),
                static_mac: text(one, "StaticMacAddress")?.unwrap_or(false),
                switch: None,
                switch_name: None,
                legacy: kind.starts_with("Emulated"),
                vlan: None,
            })
        }
        "Ethernet Connection" => {
            let adapter = device(&parent(host, one)?)?;
            let name: Option<String> = text(one, "LastKnownSwitchName")?;
            Edit::Connect(adapter, switch(one)?, name)
        }
        _ => return Err(Refusal::NOT_SUPPORTED),
    }])
}

/// How one object shall differ from what is there.
fn changes(place: &str, one: &Instance, present: &Instance) -> Result<Vec<Edit>, Refusal> {
    let differs: Vec<&Property> = one
        .properties()
        .iter()
        .filter(|given| {
            let known = present.property(&given.name);
            !given.value.is_null()
                && !given.name.starts_with("__")
                && known.is_none_or(|known| known.value != given.value)
        })
        .collect();
    let has = |name: &str| differs.iter().any(|p| p.name.eq_ignore_ascii_case(name));
    let mut edits = Vec::new();
    let mut typed: Vec<&str> = Vec::new();
    let (drive, end) = place.rsplit_once('\\').unwrap_or((place, ""));
    match one.class.as_str() {
        "Msvm_StorageAllocationSettingData" if end == "L" => {
            typed.push("HostResource");
            if has("HostResource") {
                let path = resource(one)?.ok_or(Refusal::INVALID_PARAMETER)?;
                let kind: String = text(present, "ResourceSubType")?.unwrap_or_default();
                let shared = text(one, "PersistentReservationsSupported")?.unwrap_or(false);
                let medium = match kind.ends_with("CD/DVD Disk") {
                    true => Medium::Dvd(Some(path)),
                    false => Medium::Disk { path, shared },
                };
                edits.push(Edit::Medium(drive.to_owned(), medium));
            }
        }
        "Msvm_ResourceAllocationSettingData" if end == "D" => {
            typed.push("HostResource");
            if has("HostResource") {
                let path = resource(one)?.ok_or(Refusal::INVALID_PARAMETER)?;
                edits.push(Edit::Medium(drive.to_owned(), pass_through(&path)?));
            }
        }
        "Msvm_SyntheticEthernetPortSettingData" | "Msvm_EmulatedEthernetPortSettingData" => {
            typed.extend(["Address", "StaticMacAddress", "ElementName"]);
            edits.push(Edit::Adapter(
                device(place)?,
                text(one, "Address")?,
                text(one, "StaticMacAddress")?,
                text(one, "ElementName")?,
            ));
        }
        "Msvm_EthernetPortAllocationSettingData" => {
            typed.extend(["HostResource", "EnabledState", "LastKnownSwitchName"]);
            let name = text(one, "LastKnownSwitchName")?;
            edits.push(Edit::Connect(device(place)?, switch(one)?, name));
        }
        "Msvm_MemorySettingData" => {
            typed.extend([
                "VirtualQuantity",
                "Limit",
                "Reservation",
                "DynamicMemoryEnabled",
            ]);
            let number = |name| text::<u64>(one, name);
            let startup = number("VirtualQuantity")?.ok_or(Refusal::INVALID_PARAMETER)?;
            let dynamic = text(one, "DynamicMemoryEnabled")?.unwrap_or(false);
            let limits = number("Reservation")?.zip(number("Limit")?);
            edits.push(Edit::Memory(startup, limits.filter(|_| dynamic)));
        }
        "Msvm_ProcessorSettingData" => {
            typed.push("VirtualQuantity");
            let count = text(one, "VirtualQuantity")?.ok_or(Refusal::INVALID_PARAMETER)?;
            edits.push(Edit::Processors(count));
        }
        "Msvm_VssComponentSettingData" => {
            typed.push("EnabledState");
            edits.push(Edit::BackupService(
                text(one, "EnabledState")? == Some(2_u16),
            ));
        }
        _ => {}
    }
    for property in differs {
        let is = |name: &&str| property.name.eq_ignore_ascii_case(name);
        if typed.iter().any(is) {
            continue;
        }
        if !TOLD.iter().any(is) || matches!(property.value, Value::Null) {
            return Err(Refusal::INVALID_PARAMETER);
        }
        edits.push(Edit::Tell(Changed {
            place: place.to_owned(),
            property: property.clone(),
        }));
    }
    Ok(edits)
}
