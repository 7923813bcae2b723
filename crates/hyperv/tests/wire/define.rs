//! VMs that are made anew: with all that is known of them, and nothing of an old configuration.

use hyperkeep_hyperv::import::{
    Applied, Finding, Plan, Point, Request, SwitchMap, Target, WantedWay, Written, plan,
};
use hyperkeep_hyperv::inventory::{self, Machine};
use uuid::Uuid;
use vmconfig::VmConfig;
use vmconfig::model::{
    BootSource, DeviceKind, DriveKind, Firmware, HostActions, Location, Memory, Qos,
};

use crate::restored::{FOLDER, carry_out, point, write};
use crate::support::Lab;

/// One of generation 2 with two controllers, adapters of one name, and all that can be chosen.
const SECOND: &str = r#"{"switches": ["LAN", "DMZ"], "vms": [
    {"name": "a", "state": "off", "generation": 2, "processors": 4, "memory": 2048,
     "dynamic-memory": [1024, 4096], "scsi-controllers": 2, "checkpoint-type": 4, "boot-file": true,
     "adapters": [{"switch": "LAN", "vlan": 17}, {"switch": "DMZ"}, {}],
     "disks": [{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304},
               {"path": "D:\\VMs\\a\\b.vhdx", "size": 4194304,
                "place": {"controller": 1, "slot": 5}}]}]}"#;

/// One of generation 1, with a legacy adapter and a drive for images.
const FIRST: &str = r#"{"switches": ["LAN"], "vms": [
    {"name": "a", "state": "off", "generation": 1, "memory": 4096, "dvds": ["D:\\a.iso"],
     "adapters": [{"switch": "LAN", "legacy": true}],
     "disks": [{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}]}]}"#;

fn define(lab: &Lab, point: &Point, change: impl FnOnce(&mut Request)) -> (Plan, Applied) {
    write(lab);
    let mut request = Request {
        folder: Some(FOLDER.to_owned()),
        way: WantedWay::Define,
        name: Some("made anew".to_owned()),
        ..Request::default()
    };
    change(&mut request);
    let target = Target {
        inventory: inventory::take(&lab.session()).unwrap(),
    };
    let plan = plan(point, &request, &target);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let written = Written::default();
    let done = lab.with(|control| carry_out(control, point, &plan, &written));
    (plan, done.unwrap())
}

fn made(lab: &Lab, done: &Applied) -> Machine {
    let now = inventory::take(&lab.session()).unwrap();
    now.machine(done.vm).unwrap().clone()
}

#[test]
fn a_vm_of_generation_2_has_all_that_it_had() {
    let lab = Lab::start(SECOND);
    let mut point = point(&lab);
    // What it did is boot by a loader of its own, then from the second disk, and by the network.
    assert_eq!(point.config.firmware.boot_sources[0], BootSource::Other);
    point.config.firmware.boot_sources.swap(1, 2);
    point.config.firmware.secure_boot_template = Some(Uuid::from_u128(0x272e));
    point.config.automatic.host = Some(HostActions {
        startup: Some(4),
        startup_delay_s: Some(90),
        shutdown: Some(4),
        recovery: Some(2),
        checkpoints: Some(false),
    });
    point.config.controllers[1].drives[0].qos = Qos {
        iops_limit: Some(500),
        iops_reservation: Some(100),
        weight: Some(7),
    };
    point.config.notes = "one\ntwo".to_owned();
    point.config.firmware.asset_tag = Some("rack 7".to_owned());
    point.config.firmware.secure_boot = Some(true);
    point.config.processors.weight = Some(200);
    point.config.memory = Memory {
        buffer_percent: Some(30),
        weight: Some(7000),
        ..point.config.memory
    };
    let vss = DeviceKind::Vss.guid();
    let mut services = point.config.integration_services.iter_mut();
    let vss = services.find(|s| Some(s.device_type) == vss).unwrap();
    vss.enabled = Some(false);
    let (plan, done) = define(&lab, &point, |request| {
        request.network.switches = SwitchMap::Same;
    });
    assert_eq!((&done.differences, &done.unverified), (&vec![], &None));
    let made = made(&lab, &done);
    let (own, was) = (made.config(), &point.config);
    assert_eq!(made.name(), "made anew");
    assert_eq!((own.generation, own.memory), (was.generation, was.memory));
    assert_eq!(own.processors, was.processors);
    let sources = |config: &VmConfig| config.firmware.boot_sources.len();
    // All but the loader, which is in no plain data, in the same order.
    assert_eq!(sources(own), sources(was) - 1);
    let lost = plan.findings.iter().find_map(|finding| match finding {
        Finding::Defined { lost } => Some(lost.join(", ")),
        _ => None,
    });
    assert!(lost.unwrap().contains("the boot loaders in them"));
    let boots = |config: &VmConfig| -> Vec<Location> {
        let all = config.firmware.boot_sources.iter();
        all.filter_map(|source| match source {
            BootSource::Drive { location } => Some(*location),
            _ => None,
        })
        .collect()
    };
    assert_eq!(boots(own), boots(was));
    let plain = |firmware: &Firmware| Firmware {
        boot_sources: Vec::new(),
        ..firmware.clone()
    };
    assert_eq!(plain(&own.firmware), plain(&was.firmware));
    assert_eq!(own.automatic, was.automatic);
    assert_eq!(
        own.controllers[1].drives[0].qos,
        was.controllers[1].drives[0].qos
    );
    assert_eq!(
        (&own.notes, &own.checkpoints),
        (&was.notes, &was.checkpoints)
    );
    assert_eq!(own.integration_services, was.integration_services);
    let disks = |machine: &Machine| -> Vec<_> {
        let all = machine.settings.media.iter();
        all.map(|m| (m.location, m.path.clone())).collect()
    };
    let planned: Vec<_> = plan
        .disks
        .iter()
        .map(|d| (d.location, d.to.clone()))
        .collect();
    assert_eq!(disks(&made), planned);
    let mut wired: Vec<_> = own
        .network_adapters
        .iter()
        .map(|a| {
            (
                a.switch_name.clone().filter(|_| a.connected == Some(true)),
                a.vlan,
            )
        })
        .collect();
    wired.sort();
    let lan = Some("LAN".to_owned());
    assert_eq!(
        wired,
        [
            (None, None),
            (Some("DMZ".to_owned()), None),
            (lan, Some(17))
        ]
    );
}

#[test]
fn a_vm_of_generation_1_boots_from_where_it_did() {
    let lab = Lab::start(FIRST);
    let mut point = point(&lab);
    let order = ["cd", "ide", "network", "floppy"];
    point.config.firmware.boot_order = order.map(str::to_owned).to_vec();
    let (plan, done) = define(&lab, &point, |request| request.start = true);
    assert_eq!(done.differences, []);
    assert!(done.started, "{:?}", done.not_started);
    let made = made(&lab, &done);
    let own = made.config();
    assert_eq!(own.firmware.boot_order, order);
    assert_eq!(made.settings.media[0].path, plan.disks[0].to);
    assert_eq!(made.settings.media[0].location, plan.disks[0].location);
    // The drive is there, and its image is not.
    let empty = |(_, drive): &(_, &vmconfig::model::Drive)| drive.kind == DriveKind::Empty;
    assert_eq!(own.drives().filter(empty).count(), 1);
    assert!(own.network_adapters[0].legacy);
    assert_eq!(own.network_adapters[0].connected, Some(false));
}
