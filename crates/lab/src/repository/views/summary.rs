//! What a list of VMs shows of each.

use cim::{Instance, Timestamp};

use super::names::{microsoft, settings_path};
use super::system::{enabled_state, health, operational_status, status_texts};
use crate::state::{Host, Settings, Vm, upper};

pub(super) fn all(host: &Host) -> Vec<Instance> {
    let vms = host.vms().iter().filter(|vm| !vm.planned);
    vms.map(|vm| summary(host, vm, &vm.settings, None))
        .collect()
}

/// Of a VM or one of its checkpoints, what the numbers ask for; everything without numbers.
pub(in super::super) fn summary(
    host: &Host,
    vm: &Vm,
    settings: &Settings,
    wanted: Option<&[u32]>,
) -> Instance {
    let mut instance =
        Instance::new("Msvm_SummaryInformation").with("InstanceID", microsoft(settings.id));
    let all: Vec<u32> = (0..=132).collect();
    for code in wanted.unwrap_or(&all) {
        fill(&mut instance, host, vm, settings, *code);
    }
    instance
}

fn fill(to: &mut Instance, host: &Host, vm: &Vm, settings: &Settings, code: u32) {
    let replication = vm.replication;
    match code {
        0 => to.set("Name", upper(settings.id)),
        1 => to.set("ElementName", settings.name.as_str()),
        2 => {
            let checkpoint = vm.checkpoint(settings.id).map(|c| c.created);
            to.set(
                "CreationTime",
                Timestamp::utc(checkpoint.unwrap_or(vm.created)),
            );
        }
        3 => to.set("Notes", settings.notes.as_str()),
        4 => to.set(
            "NumberOfProcessors",
            u16::try_from(settings.processors).unwrap_or(u16::MAX),
        ),
        9 => {
            let switch = |id| host.switches.iter().find(|s| Some(s.id) == id);
            let names = settings.adapters.iter().filter_map(|a| switch(a.switch));
            to.set(
                "VirtualSwitchNames",
                names.map(|s| s.name.clone()).collect::<Vec<_>>(),
            );
        }
        10 => to.set("Version", settings.version.as_str()),
        11 => to.set("Shielded", false),
        100 => to.set("EnabledState", enabled_state(vm.power)),
        105 => {
            let up = host.now().duration_since(vm.power_since).as_millis();
            let running = enabled_state(vm.power) == 2;
            let up = if running {
                u64::try_from(up).unwrap_or(0)
            } else {
                0
            };
            to.set("UpTime", up);
        }
        107 => {
            let of = vm
                .checkpoints
                .iter()
                .map(|c| settings_path(host, c.settings.id));
            to.set("Snapshots", of.collect::<Vec<_>>());
        }
        108 => {
            let jobs = host
                .jobs()
                .iter()
                .filter(|job| job.vm == vm.id && job.end.is_none());
            let paths = jobs.map(|job| super::job::path(host, job.id));
            to.set("AsynchronousTasks", paths.collect::<Vec<_>>());
        }
        109 => to.set("HealthState", health(vm)),
        110 => to.set("OperationalStatus", operational_status(vm)),
        111 => to.set("StatusDescriptions", status_texts(vm)),
        114 => to.set("ReplicationMode", replication.map_or(0, |r| r.mode)),
        115 => to.set("ReplicationState", replication.map_or(0, |r| r.state)),
        116 => to.set("ReplicationHealth", replication.map_or(0, |r| r.health)),
        // What the guest itself would tell stays unknown.
        _ => {}
    }
}
