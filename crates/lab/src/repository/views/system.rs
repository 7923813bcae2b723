//! The host, its VMs and its switches as computer systems.

use std::time::Duration;

use cim::{Instance, Timestamp};

use crate::state::{Busy, Host, Power, Vm, upper};

pub(super) fn all(host: &Host) -> Vec<Instance> {
    let vms = host.vms().iter().filter(|vm| !vm.planned);
    let vms = vms.map(|vm| of(host, vm));
    std::iter::once(itself(host)).chain(vms).collect()
}

/// What is only planned is of another class, and tells little.
pub(super) fn planned(host: &Host) -> Vec<Instance> {
    let of = |vm: &Vm| {
        Instance::new("Msvm_PlannedComputerSystem")
            .with("Caption", "Geplanter virtueller Computer")
            .with("CreationClassName", "Msvm_PlannedComputerSystem")
            .with("ElementName", vm.settings.name.as_str())
            .with("EnabledState", enabled_state(vm.power))
            .with("HealthState", 5_u16)
            .with("InstallDate", Timestamp::utc(vm.created))
            .with("Name", upper(vm.id))
            .with("OperationalStatus", operational_status(vm))
            .with("StatusDescriptions", status_texts(vm))
    };
    host.vms().iter().filter(|vm| vm.planned).map(of).collect()
}

/// The host is a computer system too: its name is no GUID, and nobody installed it.
fn itself(host: &Host) -> Instance {
    Instance::new("Msvm_ComputerSystem")
        .with("Caption", "Hostcomputersystem")
        .with("CreationClassName", "Msvm_ComputerSystem")
        .with("Description", "Microsoft Hostcomputersystem")
        .with("ElementName", host.name.as_str())
        .with("EnabledState", 2_u16)
        .with("HealthState", 5_u16)
        .with("Name", host.name.as_str())
        .with("OperationalStatus", vec![2_u16])
}

fn of(host: &Host, vm: &Vm) -> Instance {
    let since = vm.power_since;
    let on = match vm.power {
        Power::Running | Power::Paused => host.now().duration_since(since),
        Power::Off | Power::Saved => jiff::SignedDuration::ZERO,
    };
    let on = Duration::try_from(on).unwrap_or_default();
    let replication = vm.replication;
    let mut instance = Instance::new("Msvm_ComputerSystem")
        .with("Caption", "Virtueller Computer")
        .with("CreationClassName", "Msvm_ComputerSystem")
        .with("Description", "Virtueller Computer von Microsoft")
        .with("ElementName", vm.settings.name.as_str())
        .with("EnabledDefault", 2_u16)
        .with("EnabledState", enabled_state(vm.power))
        .with("HealthState", health(vm))
        .with("InstallDate", Timestamp::utc(vm.created))
        .with("Name", upper(vm.id))
        .with("NumberOfNumaNodes", 1_u16)
        .with(
            "OnTimeInMilliseconds",
            u64::try_from(on.as_millis()).unwrap_or(u64::MAX),
        )
        .with("OperationalStatus", operational_status(vm))
        .with("ReplicationHealth", replication.map_or(0, |r| r.health))
        .with("ReplicationMode", replication.map_or(0, |r| r.mode))
        .with("ReplicationState", replication.map_or(0, |r| r.state))
        .with("RequestedState", 12_u16)
        .with("StatusDescriptions", status_texts(vm))
        .with("TimeOfLastConfigurationChange", Timestamp::utc(vm.created))
        .with("TimeOfLastStateChange", Timestamp::utc(since));
    // "Never" is the beginning of Windows' calendar, not null.
    if let Ok(never) = Timestamp::parse_iso("1601-01-01T00:00:00Z") {
        instance.set("LastReplicationTime", never);
        instance.set("LastSuccessfulBackupTime", never);
    }
    instance
}

pub(super) fn enabled_state(power: Power) -> u16 {
    match power {
        Power::Running => 2,
        Power::Off => 3,
        Power::Saved => 6,
        Power::Paused => 9,
    }
}

pub(super) fn operational_status(vm: &Vm) -> Vec<u16> {
    let busy = match vm.busy.map(|(busy, _)| busy) {
        Some(Busy::CreatingCheckpoint) => Some(32768),
        Some(Busy::ApplyingCheckpoint) => Some(32769),
        Some(Busy::DeletingCheckpoint) => Some(32770),
        Some(Busy::Merging) => Some(32772),
        Some(Busy::Exporting) => Some(32773),
        Some(Busy::Migrating) => Some(32774),
        Some(Busy::ChangingState | Busy::Delta | Busy::Other) | None => None,
    };
    let first = if vm.critical { 5 } else { 2 };
    [first].into_iter().chain(busy).collect()
}

/// 5 good, 20 a major failure: it stands still for want of space.
pub(super) fn health(vm: &Vm) -> u16 {
    if vm.critical { 20 } else { 5 }
}

pub(super) fn status_texts(vm: &Vm) -> Vec<String> {
    let busy = match vm.busy.map(|(busy, _)| busy) {
        Some(Busy::CreatingCheckpoint) => Some("Prüfpunkt wird erstellt"),
        Some(Busy::ApplyingCheckpoint) => Some("Prüfpunkt wird angewendet"),
        Some(Busy::DeletingCheckpoint) => Some("Prüfpunkt wird gelöscht"),
        Some(Busy::Exporting) => Some("Wird exportiert"),
        Some(Busy::Migrating) => Some("Wird migriert"),
        Some(Busy::Merging) => Some("Datenträger werden zusammengeführt"),
        Some(Busy::ChangingState | Busy::Delta | Busy::Other) | None => None,
    };
    ["Normaler Betrieb"]
        .into_iter()
        .chain(busy)
        .map(str::to_owned)
        .collect()
}

pub(super) fn switches(host: &Host) -> Vec<Instance> {
    let of = |switch: &crate::state::Switch| {
        Instance::new("Msvm_VirtualEthernetSwitch")
            .with("Caption", "Virtueller Switch")
            .with("CreationClassName", "Msvm_VirtualEthernetSwitch")
            .with("ElementName", switch.name.as_str())
            .with("EnabledState", 5_u16)
            .with("HealthState", 5_u16)
            .with("Name", upper(switch.id))
            .with("OperationalStatus", vec![2_u16])
    };
    host.switches.iter().map(of).collect()
}
