//! How objects are named: `InstanceID`s and paths, made and understood.

use cim::ObjectPath;
use uuid::Uuid;

use crate::schema::HYPER_V;
use crate::state::{Host, Settings, upper};

/// The path of an object of this host.
pub(super) fn path(host: &Host, class: &str) -> ObjectPath {
    let mut path = ObjectPath::new(HYPER_V, class);
    path.host = Some(host.name.clone());
    path
}

/// The path of an object whose key is its `InstanceID`.
pub(super) fn by_id(host: &Host, class: &str, instance: &str) -> ObjectPath {
    path(host, class).with_key("InstanceID", instance)
}

pub(super) fn vm_path(host: &Host, id: Uuid) -> ObjectPath {
    let planned = host.vm(id).is_some_and(|vm| vm.planned);
    let class = match planned {
        true => "Msvm_PlannedComputerSystem",
        false => "Msvm_ComputerSystem",
    };
    system_path(host, class, &upper(id))
}

pub(super) fn system_path(host: &Host, class: &str, name: &str) -> ObjectPath {
    path(host, class)
        .with_key("CreationClassName", class)
        .with_key("Name", name)
}

pub(super) fn settings_path(host: &Host, id: Uuid) -> ObjectPath {
    by_id(host, "Msvm_VirtualSystemSettingData", &microsoft(id))
}

/// `Microsoft:GUID`, the `InstanceID` of a configuration.
pub(super) fn microsoft(id: Uuid) -> String {
    format!("Microsoft:{}", upper(id))
}

/// The `InstanceID` of something within a configuration.
pub(super) fn within(settings: &Settings, rest: &str) -> String {
    format!("{}\\{rest}", microsoft(settings.id))
}

/// The VM that a path names.
pub(in super::super) fn vm_id(host: &Host, path: &ObjectPath) -> Option<Uuid> {
    let id = system_id(host, path)?;
    host.vm(id).filter(|vm| !vm.planned).map(|vm| vm.id)
}

/// The same if it may be only planned.
pub(in super::super) fn system_id(host: &Host, path: &ObjectPath) -> Option<Uuid> {
    let id = Uuid::try_parse(&path.key("Name")?).ok()?;
    let vm = host.vm(id)?;
    let own = match vm.planned {
        true => "Msvm_PlannedComputerSystem",
        false => "Msvm_ComputerSystem",
    };
    let is_vm = [own, "CIM_ComputerSystem"];
    let mut classes = is_vm.iter();
    classes
        .any(|class| class.eq_ignore_ascii_case(&path.class))
        .then_some(id)
}

/// The VM and the configuration that a path names: the VM's present one or a checkpoint's.
pub(in super::super) fn settings_id(host: &Host, path: &ObjectPath) -> Option<(Uuid, Uuid)> {
    let is_settings = [
        "Msvm_VirtualSystemSettingData",
        "CIM_VirtualSystemSettingData",
    ];
    if !is_settings
        .iter()
        .any(|class| class.eq_ignore_ascii_case(&path.class))
    {
        return None;
    }
    of_instance(host, &path.key("InstanceID")?)
}

/// Sets the properties of a setting that somebody has set.
pub(in super::super) fn tell_changed(host: &Host, instance: &mut cim::Instance) {
    let Ok(id) = instance.get::<String>("InstanceID") else {
        return;
    };
    let (own, place) = id.split_once('\\').unwrap_or((&id, ""));
    let Some((vm, settings)) = of_instance(host, own) else {
        return;
    };
    let vm = host.vm(vm).into_iter();
    let settings = vm
        .flat_map(|vm| vm.all_settings())
        .find(|s| s.id == settings);
    for changed in settings.iter().flat_map(|settings| &settings.changed) {
        let property = &changed.property;
        if changed.place.eq_ignore_ascii_case(place)
            && let Some(declared) = instance.property(&property.name)
        {
            let kind = declared.told_kind();
            instance.put(&property.name, kind, property.value.clone());
        }
    }
}

/// The paths of pieces of a configuration, by their places in it.
pub(in super::super) fn resource_paths(
    host: &Host,
    settings: Uuid,
    places: &[String],
) -> Vec<ObjectPath> {
    let path = |place: &String| {
        let id = format!("{}\\{place}", microsoft(settings));
        let mut all = super::association::devices(host).into_iter();
        let found = all.find(|one| {
            let own: Option<String> = one.get("InstanceID").ok();
            own.is_some_and(|own| own.eq_ignore_ascii_case(&id))
        })?;
        Some(by_id(host, &found.class, &id))
    };
    places.iter().filter_map(path).collect()
}

/// The same by `InstanceID`.
pub(in super::super) fn of_instance(host: &Host, instance: &str) -> Option<(Uuid, Uuid)> {
    let (vendor, id) = instance.split_once(':')?;
    if !vendor.eq_ignore_ascii_case("Microsoft") {
        return None;
    }
    let id = Uuid::try_parse(id).ok()?;
    let mut vms = host.vms().iter();
    let vm = vms.find(|vm| vm.all_settings().any(|settings| settings.id == id))?;
    Some((vm.id, id))
}
