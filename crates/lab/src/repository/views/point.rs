//! Reference points.

use cim::Instance;

use crate::state::{Consistency, Host, ReferencePoint, Vm, upper};

pub(super) fn all(host: &Host) -> Vec<Instance> {
    let vms = host.vms().iter();
    vms.flat_map(|vm| vm.reference_points.iter().map(|point| of(host, vm, point)))
        .collect()
}

fn of(host: &Host, vm: &Vm, point: &ReferencePoint) -> Instance {
    let name = |medium: &str| match medium.strip_suffix("\\L") {
        Some(place) if host.rules.points_name_drives => format!("{place}\\D"),
        _ => medium.to_owned(),
    };
    let disks = point.tracked.iter().map(|t| name(&t.instance));
    // Disks without change tracking have an identifier of the disk and none of that: programs are
    // known to meet arrays of different lengths.
    let ids = point.tracked.iter().filter_map(|t| t.id.clone());
    let consistency: u16 = match point.consistency {
        Consistency::Application if !host.rules.points_say_crash => 1,
        Consistency::Application | Consistency::Crash => 2,
    };
    Instance::new("Msvm_VirtualSystemReferencePoint")
        .with("Caption", "Referenzpunkt")
        .with("ConsistencyLevel", consistency)
        .with("ElementName", vm.settings.name.as_str())
        .with("HasAssociatedData", false)
        .with("InstanceID", upper(point.id))
        .with("ReferencePointType", 2_u16)
        .with(
            "ResilientChangeTrackingIdentifiers",
            ids.collect::<Vec<_>>(),
        )
        .with("VirtualDiskIdentifiers", disks.collect::<Vec<_>>())
        .with("VirtualSystemIdentifier", upper(vm.id))
}
