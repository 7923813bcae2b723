//! Plans: each finding, and that what is planned follows from data alone.

use uuid::Uuid;
use vmconfig::model::{
    ConfigVersion, Controller, ControllerKind, Drive, DriveKind, Location, NetworkAdapter, Qos,
};

use super::*;
use crate::inventory::{
    Checkpoint, CheckpointKind, ClusterRole, DefaultPaths, Host, Inventory, Machine, Medium,
    Operation, Os, Parent, PlannedMachine, PowerState, ReferencePoint, Relationship,
    ReplicationMode, Switch, Volume,
};

const VM: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);
const LAN: Uuid = Uuid::from_u128(10);

pub(super) fn at(position: u32) -> Location {
    Location {
        controller: ControllerKind::Scsi,
        number: 0,
        position,
    }
}

pub(super) fn drive(position: u32, kind: DriveKind, path: &str) -> Drive {
    Drive {
        position,
        kind,
        path: Some(path.to_owned()),
        qos: Qos::default(),
        shared: false,
    }
}

/// A VM with a chain of two files, an adapter, and one checkpoint, at which nothing is wrong.
pub(super) fn point() -> Point {
    let mut point = Point {
        vm: VM,
        host: Some("HV01".to_owned()),
        ..Point::default()
    };
    point.config.name = "web".to_owned();
    point.config.version = "9.0".parse().ok();
    point.config.controllers = vec![Controller {
        kind: ControllerKind::Scsi,
        number: 0,
        instance: Uuid::from_u128(3),
        drives: vec![drive(0, DriveKind::VirtualDisk, "D:\\VMs\\web\\a_1.avhdx")],
    }];
    point.config.network_adapters = vec![NetworkAdapter {
        name: "NIC".to_owned(),
        mac: Some("00155D000001".to_owned()),
        mac_static: Some(true),
        switch_id: Some(LAN),
        switch_name: Some("LAN".to_owned()),
        vlan: Some(17),
        ..NetworkAdapter::default()
    }];
    let disk = |path: &str, leaf| PointDisk {
        location: at(0),
        path: path.to_owned(),
        bytes: 1 << 30,
        leaf,
    };
    point.disks = vec![
        disk("D:\\VMs\\web\\a_1.avhdx", true),
        disk("D:\\VMs\\web\\a.vhdx", false),
    ];
    point.checkpoints = vec![PointCheckpoint {
        id: Uuid::from_u128(4),
        name: "base".to_owned(),
        parent: None,
        first: true,
        memory: Some(false),
    }];
    point.parent = Some(Uuid::from_u128(4));
    point
}

/// A host with room, a switch, and one VM of another id.
pub(super) fn target() -> Target {
    let mut other = Machine {
        id: OTHER,
        state: PowerState::Off,
        ..Machine::default()
    };
    other.settings.config.name = "db".to_owned();
    other.replication.mode = ReplicationMode::None;
    Target {
        inventory: Inventory {
            host: Host {
                name: Some("HV01".to_owned()),
                os: Some(Os {
                    version: Some("10.0.20348".to_owned()),
                    ..Os::default()
                }),
                default_paths: DefaultPaths {
                    machines: Some("D:\\VMs".to_owned()),
                    disks: None,
                },
                switches: vec![Switch {
                    id: Some(LAN),
                    key: LAN.to_string().to_uppercase(),
                    name: "LAN".to_owned(),
                }],
                volumes: Some(vec![Volume {
                    name: Some("D:\\".to_owned()),
                    device: None,
                    capacity: Some(100 << 30),
                    free: Some(50 << 30),
                }]),
                ..Host::default()
            },
            machines: vec![other],
            ..Inventory::default()
        },
    }
}

/// The same with the VM itself, whose disks are where they were.
fn with_original() -> Target {
    let mut target = target();
    let mut original = target.inventory.machines[0].clone();
    original.id = VM;
    original.settings.config = point().config;
    original.settings.media = vec![Medium {
        location: at(0),
        instance_id: String::new(),
        path: "D:\\VMs\\web\\a_1.avhdx".to_owned(),
    }];
    target.inventory.machines.push(original);
    target
}

fn in_place() -> Request {
    Request {
        place: Place::InPlace,
        identity: Identity::Keep,
        network: Network {
            switches: SwitchMap::Same,
            mac: Mac::Keep,
        },
        remove_checkpoints: true,
        ..Request::default()
    }
}

pub(super) fn same() -> Request {
    Request {
        place: Place::Beside,
        ..in_place()
    }
}

/// What blocks a plan, by name.
pub(super) fn blocks(point: &Point, request: &Request, target: &Target) -> Vec<String> {
    let plan = plan(point, request, target);
    assert_eq!(plan.is_possible(), !plan.steps.is_empty());
    plan.blocking().map(name).collect()
}

fn name(finding: &Finding) -> String {
    assert!(!finding.to_string().is_empty());
    let json = serde_json::to_value(finding).unwrap();
    json["finding"].as_str().unwrap().to_owned()
}

pub(super) fn told(plan: &Plan, wanted: &str) -> bool {
    plan.findings.iter().any(|finding| name(finding) == wanted)
}

#[test]
fn a_copy_harms_nothing_unless_told_otherwise() {
    let plan = plan(&point(), &Request::default(), &with_original());
    assert!(plan.is_possible(), "{:?}", plan.findings);
    assert_eq!(
        (plan.id, plan.replaces, plan.way),
        (None, None, Way::Import)
    );
    // Not the folder of the original.
    assert_eq!(plan.folder, "D:\\VMs\\web (2)");
    let to: Vec<&str> = plan.disks.iter().map(|disk| disk.to.as_str()).collect();
    let disks = "D:\\VMs\\web (2)\\Virtual Hard Disks";
    assert_eq!(
        to,
        [format!("{disks}\\a_1.avhdx"), format!("{disks}\\a.vhdx")]
    );
    let adapter = &plan.adapters[0];
    assert_eq!(
        (&adapter.switch, &adapter.mac, adapter.vlan),
        (&None, &None, None)
    );
    let kinds: Vec<String> = plan
        .steps
        .iter()
        .map(|step| {
            serde_json::to_value(step).unwrap()["step"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let expected = [
        "write-disk",
        "write-disk",
        "write-configuration",
        "import",
        "name",
        "attach",
        "connect",
        "new-address",
        "validate",
        "realize",
        "verify",
    ];
    assert_eq!(kinds, expected);
    assert!(told(&plan, "same-name"));
}

#[test]
fn a_vm_is_replaced_when_the_new_one_is_written_and_the_old_put_aside() {
    let mut target = with_original();
    let original = &mut target.inventory.machines[1];
    original.state = PowerState::Running;
    original.checkpoints = vec![Checkpoint {
        id: Uuid::from_u128(4),
        kind: CheckpointKind::User,
        parent: Parent::None,
        automatic: None,
        settings: original.settings.clone(),
    }];
    let request = Request {
        start: true,
        ..in_place()
    };
    let plan = plan(&point(), &request, &target);
    assert!(plan.is_possible(), "{:?}", plan.findings);
    assert_eq!((plan.id, plan.replaces), (Some(VM), Some(VM)));
    let place = |wanted: fn(&Step) -> bool| plan.steps.iter().position(wanted).unwrap();
    let order = [
        place(|s| matches!(s, Step::WriteDisk { .. })),
        place(|s| matches!(s, Step::WriteConfiguration { .. })),
        place(|s| matches!(s, Step::TurnOff { .. })),
        place(|s| matches!(s, Step::PutAside { .. })),
        place(|s| matches!(s, Step::Destroy { .. })),
        place(|s| {
            matches!(
                s,
                Step::Import {
                    new_id: false,
                    checkpoints: true
                }
            )
        }),
        place(|s| matches!(s, Step::Realize)),
        place(|s| matches!(s, Step::Verify)),
        place(|s| matches!(s, Step::Start)),
    ];
    assert!(order.is_sorted(), "{:?}", plan.steps);
    assert!(told(&plan, "will-be-stopped") && told(&plan, "checkpoints-go"));
    assert!(!told(&plan, "reference-points-go"));
    let asked = &mut target.inventory.machines[1].reference_points;
    asked.push(ReferencePoint {
        instance_id: "Microsoft:1".to_owned(),
        vm: VM,
        kind: Some(2),
        consistency: None,
        disks: None,
    });
    let plan = super::plan(&point(), &request, &target);
    assert!(plan.is_possible() && told(&plan, "reference-points-go"));
    let not_allowed = Request {
        remove_checkpoints: false,
        ..in_place()
    };
    assert_eq!(blocks(&point(), &not_allowed, &target), ["checkpoints-go"]);
    // Its own files stay what they are, and its address is no clash with itself.
    assert!(plan.disks.iter().all(|disk| disk.to.contains("(restored)")));
    assert_eq!(plan.adapters[0].mac.as_deref(), Some("00155D000001"));
    assert_eq!(plan.adapters[0].vlan, Some(17));
}

#[test]
fn who_is_there_already_is_told() {
    let (point, both) = (point(), with_original());
    assert_eq!(blocks(&point, &same(), &both), ["id-clash"]);
    let copy = Request {
        identity: Identity::New,
        ..same()
    };
    assert_eq!(blocks(&point, &copy, &both), ["mac-clash"]);
    assert_eq!(
        blocks(&point, &in_place(), &target()),
        ["nothing-to-replace"]
    );
    let new = Request {
        identity: Identity::New,
        ..in_place()
    };
    assert_eq!(blocks(&point, &new, &both), ["new-id-in-place"]);
    let mut planned = target();
    planned.inventory.planned = vec![PlannedMachine {
        id: Some(VM),
        name: "web".to_owned(),
        instance_id: String::new(),
        folder: None,
    }];
    assert_eq!(blocks(&point, &same(), &planned), ["id-clash"]);
    assert!(blocks(&point, &Request::default(), &planned).is_empty());
    let change = |change: fn(&mut Machine)| {
        let mut target = with_original();
        change(&mut target.inventory.machines[1]);
        blocks(&point, &in_place(), &target)
    };
    assert_eq!(
        change(|vm| vm.operation = Some(Operation::MergingDisks)),
        ["busy"]
    );
    let role = |vm: &mut Machine| vm.cluster = Some(ClusterRole::default());
    assert_eq!(change(role), ["clustered"]);
    for (mode, can) in [
        (ReplicationMode::Replica, true),
        (ReplicationMode::Primary, true),
        (ReplicationMode::TestReplica, false),
        (ReplicationMode::Unknown, false),
    ] {
        let mut target = with_original();
        let own = &mut target.inventory.machines[1].replication;
        own.mode = mode;
        own.relationships = vec![Relationship {
            instance_id: "Microsoft:1\\HVR\\0".to_owned(),
            state: Some(3),
            health: Some(1),
        }];
        assert_eq!(blocks(&point, &in_place(), &target), ["replicated"]);
        let removed = Request {
            remove_replication: true,
            ..in_place()
        };
        let plan = plan(&point, &removed, &target);
        let step = Step::RemoveReplication { vm: VM };
        assert_eq!((plan.is_possible(), plan.steps.contains(&step)), (can, can));
    }
}

#[test]
fn what_cannot_be_imported_is_made_anew_if_that_may_be() {
    let mut newer = point();
    newer.config.version = Some(ConfigVersion {
        major: 12,
        minor: 0,
    });
    let copy = Request::default();
    let defined = plan(&newer, &copy, &target());
    assert_eq!((defined.way, defined.checkpoints), (Way::Define, 0));
    assert!(told(&defined, "defined") && told(&defined, "tree-flattened"));
    assert!(defined.steps.contains(&Step::Define { generation: 1 }));
    assert_eq!(blocks(&newer, &same(), &target()), ["version"]);
    let import = Request {
        way: WantedWay::Import,
        ..Request::default()
    };
    assert_eq!(blocks(&newer, &import, &target()), ["version"]);
    let mut older = point();
    older.config.version = Some(ConfigVersion { major: 5, minor: 0 });
    assert_eq!(blocks(&older, &import, &target()), ["version"]);
    let mut damaged = point();
    damaged.not_importable = Some("it is damaged".to_owned());
    assert_eq!(blocks(&damaged, &import, &target()), ["not-importable"]);
    assert_eq!(plan(&damaged, &copy, &target()).way, Way::Define);
    let kept = Request {
        way: WantedWay::Define,
        ..same()
    };
    assert_eq!(blocks(&point(), &kept, &target()), ["not-importable"]);
    let mut silent = target();
    silent.inventory.host.os = None;
    let plan = plan(&point(), &copy, &silent);
    assert!(plan.is_possible() && told(&plan, "version-unknown"));
}

#[test]
fn switches_are_found_by_name_mapped_or_missed() {
    let mut elsewhere = target();
    elsewhere.inventory.host.switches[0].name = "Prod".to_owned();
    elsewhere.inventory.host.switches[0].id = Some(OTHER);
    let connected = |request: &Request, target: &Target| {
        let plan = plan(&point(), request, target);
        let switch = plan.adapters[0].switch.clone();
        (switch.map(|(_, name)| name), plan.is_possible())
    };
    assert_eq!(
        connected(&same(), &target()),
        (Some("LAN".to_owned()), true)
    );
    assert_eq!(connected(&same(), &elsewhere), (None, false));
    let map = |to: Option<&str>| {
        let map = [("lan".to_owned(), to.map(str::to_owned))];
        let mut request = same();
        request.network.switches = SwitchMap::Map(map.into());
        request
    };
    let mapped = connected(&map(Some("prod")), &elsewhere);
    assert_eq!(mapped, (Some("Prod".to_owned()), true));
    assert_eq!(connected(&map(None), &elsewhere), (None, true));
    assert_eq!(connected(&map(Some("gone")), &elsewhere), (None, false));
    // A switch that was named otherwise since is the same by its id.
    let mut renamed = target();
    renamed.inventory.host.switches[0].name = "LAN 2".to_owned();
    assert_eq!(
        connected(&same(), &renamed),
        (Some("LAN 2".to_owned()), true)
    );
}

#[test]
fn disks_have_room_and_places_of_their_own() {
    let mut full = target();
    full.inventory.host.volumes.as_mut().unwrap()[0].free = Some((2 << 30) - 1);
    assert_eq!(blocks(&point(), &same(), &full), ["no-room"]);
    // What an earlier run has written of one of them is there already.
    let leaf = plan(&point(), &same(), &target()).disks[0].to.clone();
    let again = Request {
        written: [(leaf, 1)].into(),
        ..same()
    };
    assert!(blocks(&point(), &again, &full).is_empty());
    // On a volume of its own each has enough.
    let mut two = full.clone();
    let volumes = two.inventory.host.volumes.as_mut().unwrap();
    let mut other = volumes[0].clone();
    other.name = Some("E:\\".to_owned());
    volumes.push(other);
    let apart = Request {
        disk_folders: vec![(at(1), "E:\\x".to_owned())],
        ..same()
    };
    let mut disks = point();
    disks.disks[1].location = at(1);
    let second = drive(1, DriveKind::VirtualDisk, "D:\\VMs\\web\\a.vhdx");
    disks.config.controllers[0].drives.push(second);
    assert!(blocks(&disks, &apart, &two).is_empty());
    assert_eq!(blocks(&disks, &same(), &two), ["no-room"]);
    let mut silent = target();
    silent.inventory.host.volumes = None;
    assert!(told(&plan(&point(), &same(), &silent), "room-unknown"));
    let into = |folder: &str| Request {
        disk_folders: vec![(at(0), folder.to_owned())],
        ..Request::default()
    };
    assert_eq!(
        blocks(&point(), &into("D:\\VMs\\web"), &with_original()),
        ["in-use"]
    );
    assert_eq!(blocks(&point(), &into("..\\x"), &target()), ["bad-path"; 2]);
    let mut twice = point();
    twice.disks[1].path = "E:\\A_1.AVHDX".to_owned();
    assert_eq!(blocks(&twice, &same(), &target()), ["same-path"]);
    let mut less = point();
    less.disks.clear();
    assert_eq!(blocks(&less, &same(), &target()), ["disk-missing"]);
    let mut nowhere = target();
    nowhere.inventory.host.default_paths.machines = None;
    assert_eq!(blocks(&point(), &same(), &nowhere), ["no-folder"]);
    let folder = Request {
        folder: Some("not a path".to_owned()),
        ..Request::default()
    };
    assert_eq!(blocks(&point(), &folder, &target()), ["bad-path"]);
}

#[test]
fn a_recorded_host_gives_the_same_plan() {
    let (point, request, target) = (point(), in_place(), with_original());
    let again = |value: serde_json::Value| -> Target { serde_json::from_value(value).unwrap() };
    let recorded = again(serde_json::to_value(&target).unwrap());
    let point_again: Point = serde_json::from_value(serde_json::to_value(&point).unwrap()).unwrap();
    let (one, other) = (
        plan(&point, &request, &target),
        plan(&point_again, &request, &recorded),
    );
    assert_eq!(one, other);
    let told: Plan = serde_json::from_str(&serde_json::to_string(&one).unwrap()).unwrap();
    assert_eq!(told, one);
}
