//! What a host tells becomes plain data, whatever it leaves out or gets wrong.

mod model;

use hyperkeep_hyperv::inventory::{
    CheckpointKind, Contact, Family, Finding, Inventory, Machine as Found, Operation, Parent,
    PowerState, take,
};
use uuid::Uuid;
use vmconfig::model::{ControllerKind, DriveKind, Finding as ConfigFinding, Generation};

use crate::support::{Checkpoint, DENIED, Disk, Host, Machine, Nic, Refusal, guid, settings_path};
use cim::{Instance, Kind, Scalar, Value};

fn disk(path: &str) -> Disk {
    Disk {
        scsi: true,
        number: 0,
        place: 0,
        path: path.to_owned(),
    }
}

/// A VM with everything, on a host that answers with and without types.
fn both(change: impl Fn(&mut Host)) -> Inventory {
    let take_one = |untyped| {
        let mut host = Host::new();
        host.untyped = untyped;
        change(&mut host);
        take(&host).unwrap()
    };
    let typed = take_one(false);
    assert_eq!(typed, take_one(true), "the wire makes no difference");
    typed
}

fn only(inventory: &Inventory) -> &Found {
    let [machine] = inventory.machines.as_slice() else {
        panic!("{inventory:#?}")
    };
    machine
}

#[test]
fn a_machine_is_told_with_all_that_it_has() {
    let switch = Uuid::from_u128(0x51);
    let inventory = both(|host| {
        let mut vm = Machine::new(1, "web");
        vm.operation = Some(32772);
        vm.disks = vec![
            disk("D:\\VMs\\web_2.avhdx"),
            Disk {
                place: 7,
                ..disk("E:\\data.vhdx")
            },
            Disk {
                number: 1,
                ..disk("E:\\more.vhd")
            },
        ];
        vm.nics = vec![Nic {
            name: "eth".to_owned(),
            mac: "00155d0a0b0c".to_owned(),
            switch: Some(switch),
        }];
        vm.checkpoints = vec![
            Checkpoint {
                id: 0xc2,
                name: "backup".to_owned(),
                kind: "Recovery",
                parent: Some(0xc1),
                disks: vec![disk("D:\\VMs\\web_1.avhdx")],
            },
            Checkpoint {
                id: 0xc1,
                name: "before update".to_owned(),
                kind: "Realized",
                parent: None,
                disks: vec![disk("D:\\VMs\\web.vhdx")],
            },
        ];
        vm.parent = Some(0xc2);
        vm.install(host);
        host.add(
            Instance::new("Msvm_VirtualEthernetSwitch")
                .with("Name", switch.to_string().to_uppercase())
                .with("ElementName", "LAN"),
        );
        host.add(
            Instance::new("Msvm_VirtualSystemReferencePoint")
                .with("InstanceID", "RP1")
                .with("VirtualSystemIdentifier", guid(1))
                .with("ReferencePointType", 2_u16)
                .with("ConsistencyLevel", 1_u16)
                .with(
                    "VirtualDiskIdentifiers",
                    vec![format!("Microsoft:{}\\X\\0\\0\\D", guid(1))],
                )
                .with(
                    "ResilientChangeTrackingIdentifiers",
                    vec!["rct:1".to_owned()],
                ),
        );
    });
    assert_eq!(inventory.findings, []);
    assert_eq!(inventory.host.name.as_deref(), Some("HV01"));
    assert_eq!(
        inventory.host.default_paths.disks.as_deref(),
        Some("D:\\Disks")
    );
    assert_eq!(inventory.host.reference_points, Some(true));
    let vm = only(&inventory);
    assert_eq!(vm.findings, []);
    assert_eq!((vm.id, vm.name()), (Uuid::from_u128(1), "web"));
    assert_eq!(vm.state, PowerState::Running);
    assert_eq!(vm.operation, Some(Operation::MergingDisks));
    assert_eq!(vm.last_backup, None, "1601 is never");
    assert_eq!(vm.guest.family, Family::Windows);
    assert_eq!(vm.guest.backup_service, Some(Contact::Ok));
    let config = vm.config();
    assert_eq!(config.generation, Generation::Two);
    assert_eq!(config.version.unwrap().to_string(), "9.0");
    assert_eq!(config.notes, "one\ntwo");
    assert_eq!(config.processors.count, Some(4));
    assert_eq!(config.memory.startup_mib, Some(2048));
    assert_eq!(config.created.unwrap().to_string(), "2026-01-05T04:23:50Z");
    assert_eq!(config.automatic.host.unwrap().startup_delay_s, Some(90));
    let file = vm.settings.files.configuration.clone().unwrap();
    assert_eq!(
        file,
        format!("D:\\VMs\\web\\Virtual Machines\\{}.vmcx", guid(1))
    );
    let drives: Vec<_> = config
        .virtual_disks()
        .map(|(l, p)| format!("{l} {p}"))
        .collect();
    assert_eq!(
        drives,
        [
            "SCSI 0:0 D:\\VMs\\web_2.avhdx",
            "SCSI 0:7 E:\\data.vhdx",
            "SCSI 1:0 E:\\more.vhd"
        ]
    );
    let adapter = &config.network_adapters[0];
    assert_eq!(adapter.mac.as_deref(), Some("00155D0A0B0C"));
    assert_eq!((adapter.switch_id, adapter.vlan), (Some(switch), Some(10)));
    assert_eq!(
        (adapter.switch_name.as_deref(), adapter.connected),
        (Some("LAN"), Some(true))
    );
    assert_eq!(vm.parent, Parent::Of(Uuid::from_u128(0xc2)));
    let [first, second] = vm.checkpoints.as_slice() else {
        panic!()
    };
    assert_eq!(
        (&first.kind, first.parent),
        (&CheckpointKind::User, Parent::None)
    );
    assert_eq!(second.kind, CheckpointKind::Recovery);
    assert_eq!(second.parent, Parent::Of(first.id));
    assert_eq!(second.settings.media[0].path, "D:\\VMs\\web_1.avhdx");
    let point = &vm.reference_points[0];
    let any = format!("Microsoft:{}\\x\\0\\0\\L", guid(0xc2));
    assert_eq!(point.tracking_of(&any), Some("rct:1"));
    assert_eq!(point.tracking_of(&any.replace("\\0\\0", "\\0\\1")), None);
}

#[test]
fn the_number_of_calls_does_not_depend_on_machines_and_devices() {
    let calls = |machines: u128, disks: u32| {
        let mut host = Host::new();
        for id in 1..=machines {
            let mut vm = Machine::new(id, &format!("vm{id}"));
            vm.disks = (0..disks)
                .map(|place| Disk {
                    place,
                    ..disk("D:\\d.vhdx")
                })
                .collect();
            vm.install(&mut host);
        }
        assert_eq!(take(&host).unwrap().machines.len(), machines as usize);
        host.count()
    };
    let few = calls(1, 1);
    assert_eq!(calls(40, 16), few);
    assert_eq!(few, 30);
}

#[test]
fn without_machines_settings_or_disks_there_is_no_inventory() {
    for class in [
        "Msvm_ComputerSystem",
        "Msvm_VirtualSystemSettingData",
        "Msvm_ResourceAllocationSettingData",
        "Msvm_StorageAllocationSettingData",
    ] {
        let mut host = Host::new();
        Machine::new(1, "a").install(&mut host);
        host.refuse(class, Refusal::Fault(DENIED));
        assert!(
            take(&host).unwrap_err().to_string().contains(class),
            "{class}"
        );
    }
}

#[test]
fn other_refusals_are_told_and_a_broken_connection_is_an_error() {
    let mut host = Host::new();
    Machine::new(1, "a").install(&mut host);
    let whole = take(&host).unwrap();
    let needed = ["msvm_computersystem", "msvm_virtualsystemsettingdata"];
    let classes = host.classes();
    for class in classes
        .iter()
        .filter(|c| !c.contains("allocation") && !needed.contains(&c.as_str()))
    {
        host.refuse(class, Refusal::Broken);
        assert!(take(&host).is_err(), "{class}");
        host.refuse(class, Refusal::Fault(DENIED));
        let inventory = take(&host).unwrap();
        let told = inventory.findings.iter().any(
            |f| matches!(f, Finding::NotTold { what, .. } if what.eq_ignore_ascii_case(class)),
        );
        assert!(told, "{class}: {:?}", inventory.findings);
        assert_eq!(only(&inventory).settings.media, only(&whole).settings.media);
        host = Host::new();
        Machine::new(1, "a").install(&mut host);
    }
}

#[test]
fn a_host_without_vms_is_told_from_nothing_only_by_a_finding() {
    let inventory = both(|_| {});
    assert_eq!(
        (inventory.machines.len(), inventory.findings),
        (0, vec![Finding::NoMachines])
    );
}

#[test]
fn machines_that_come_or_go_meanwhile_never_look_like_ones_without_disks() {
    // The settings are not there.
    let inventory = both(|host| {
        Machine::new(1, "a").install(host);
        host.rows("Msvm_VirtualSystemSettingData").clear();
    });
    let vm = only(&inventory);
    assert_eq!((vm.name(), vm.parent), ("a", Parent::Unknown));
    assert_eq!(vm.findings, [Finding::NoSettings]);
    // The machine is not there.
    let inventory = both(|host| {
        Machine::new(1, "a").install(host);
        host.rows("Msvm_ComputerSystem")
            .retain(|row| row.get::<String>("Name").unwrap() == "HV01");
    });
    let (id, name) = (Uuid::from_u128(1), "a".to_owned());
    assert_eq!(
        inventory.findings,
        [Finding::NoMachines, Finding::NoMachine { id, name }]
    );
    // The devices are not there.
    let inventory = both(|host| {
        let vm = Machine::new(1, "a");
        vm.install(host);
        for device in vm.devices(&guid(1), &vm.disks) {
            host.rows(&device.class).clear();
        }
    });
    let settings = format!("Microsoft:{}", guid(1));
    assert_eq!(only(&inventory).findings, [Finding::NoDevices { settings }]);
}

#[test]
fn devices_whose_names_tell_nothing_are_asked_for_by_association() {
    let inventory = both(|host| {
        let vm = Machine::new(1, "a");
        vm.install(host);
        let mut devices = Vec::new();
        for device in vm.devices(&guid(1), &vm.disks) {
            host.rows(&device.class).clear();
            let renamed = device.properties().iter().fold(
                Instance::new(device.class.clone()),
                |renamed, property| {
                    let mut renamed = renamed;
                    let text: Option<String> = device.get_opt(&property.name).ok().flatten();
                    match text {
                        Some(text) => renamed.set(
                            &property.name,
                            text.replace(&format!("Microsoft:{}", guid(1)), "Odd"),
                        ),
                        None => renamed.put(&property.name, property.kind, property.value.clone()),
                    }
                    renamed
                },
            );
            devices.push(renamed);
        }
        host.associate(&format!("Microsoft:{}", guid(1)), devices);
    });
    let vm = only(&inventory);
    assert_eq!(vm.settings.media[0].path, "D:\\VMs\\a\\a.vhdx");
    let settings = format!("Microsoft:{}", guid(1));
    assert_eq!(inventory.findings, [Finding::AskedForDevices { settings }]);
}

#[test]
fn storage_that_is_no_file_is_named() {
    let inventory = both(|host| {
        let vm = Machine::new(1, "a");
        vm.install(host);
        let id = |rest: &str| format!("Microsoft:{}\\{rest}", guid(1));
        let controller = vm.devices(&guid(1), &vm.disks).into_iter().find_map(|row| {
            let id: String = row.get("InstanceID").unwrap();
            let class = "Msvm_ResourceAllocationSettingData";
            (row.class == class).then(|| {
                settings_path(&id)
                    .replace("VirtualSystemSettingData", "ResourceAllocationSettingData")
            })
        });
        let drive = |rest: &str, place: &str, subtype: &str| {
            Instance::new("Msvm_ResourceAllocationSettingData")
                .with("InstanceID", id(rest))
                .with("ResourceType", 17_u16)
                .with("ResourceSubType", format!("Microsoft:Hyper-V:{subtype}"))
                .with("Parent", controller.clone().unwrap())
                .with("AddressOnParent", place)
        };
        host.add(
            drive("p", "3", "Physical Disk Drive").with("HostResource", vec!["disk 4".to_owned()]),
        );
        host.add(drive("e", "4", "Synthetic Disk Drive"));
        host.add(drive("n", "5", "Newest Disk Drive"));
        host.add(drive("x", "0", "Synthetic DVD Drive"));
        host.add(
            Instance::new("Msvm_ResourceAllocationSettingData")
                .with("InstanceID", id("fc"))
                .with("ElementName", "HBA")
                .with("ResourceType", 7_u16)
                .with(
                    "ResourceSubType",
                    "Microsoft:Hyper-V:Synthetic FibreChannel Port",
                ),
        );
        host.add(
            Instance::new("Msvm_StorageAllocationSettingData")
                .with("InstanceID", id("lost"))
                .with("ResourceSubType", "Microsoft:Hyper-V:Virtual Hard Disk")
                .with("Parent", "nonsense")
                .with("HostResource", vec!["D:\\lost.vhds".to_owned()]),
        );
    });
    let vm = only(&inventory);
    let drives: Vec<_> = vm
        .config()
        .drives()
        .map(|(l, d)| (l.to_string(), d.kind))
        .collect();
    assert_eq!(
        drives,
        [
            ("SCSI 0:0".to_owned(), DriveKind::VirtualDisk),
            ("SCSI 0:1".to_owned(), DriveKind::Empty),
            ("SCSI 0:3".to_owned(), DriveKind::PassThrough),
            ("SCSI 0:4".to_owned(), DriveKind::Empty),
            ("SCSI 0:5".to_owned(), DriveKind::Unknown),
            ("Other 0:0".to_owned(), DriveKind::VirtualDisk),
        ]
    );
    let names: Vec<_> = vm
        .config()
        .findings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names.len(), 4, "{names:#?}");
    assert!(
        names[0].contains("HBA") && names[1].contains("disk 4"),
        "{names:#?}"
    );
    assert!(matches!(
        vm.config().findings[2],
        ConfigFinding::UnknownDrive { .. }
    ));
    assert!(
        matches!(&vm.config().findings[3], ConfigFinding::SharedDisk { location, .. }
        if location.controller == ControllerKind::Other)
    );
    let twice = vm
        .findings
        .iter()
        .filter(|f| matches!(f, Finding::DuplicatePlace { .. }));
    let unplaced = vm
        .findings
        .iter()
        .filter(|f| matches!(f, Finding::UnplacedDrive { .. }));
    assert_eq!(
        (twice.count(), unplaced.count(), vm.findings.len()),
        (1, 1, 2)
    );
}

/// Whatever a property holds, an inventory is made; and where a property of a wrong type makes it
/// poorer, that is told.
#[test]
fn no_property_of_any_class_can_break_an_inventory() {
    let machine = || {
        let mut vm = Machine::new(1, "a");
        let (name, mac) = ("n".to_owned(), "00155d0a0b0c".to_owned());
        let switch = Some(Uuid::from_u128(5));
        vm.nics = vec![Nic { name, mac, switch }];
        vm.checkpoints = vec![Checkpoint {
            id: 9,
            name: "c".to_owned(),
            kind: "Realized",
            parent: None,
            disks: vec![disk("D:\\c.vhdx")],
        }];
        vm
    };
    let with = |row: usize, name: &str, value: Option<&Value>| {
        let mut host = Host::new();
        let mut all = machine().instances();
        if let Some(value) = value {
            all[row].put(name, None::<Kind>, value.clone());
        }
        for instance in all {
            host.add(instance);
        }
        let mut inventory = take(&host).unwrap();
        let mut findings = std::mem::take(&mut inventory.findings).len();
        for machine in &mut inventory.machines {
            findings += std::mem::take(&mut machine.findings).len();
        }
        (inventory, findings)
    };
    let odd = [
        Value::Null,
        Value::Array(Vec::new()),
        Value::Scalar(Scalar::Untyped("\u{202e}]]> \\".to_owned())),
        Value::Scalar(Scalar::Untyped("-1".to_owned())),
        Value::Scalar(Scalar::Uint64(u64::MAX)),
    ];
    let wrong = Value::Array(vec![Scalar::Boolean(true); 3]);
    let (whole, none) = with(0, "", None);
    assert_eq!(none, 0);
    let mut poorer = 0;
    for (row, instance) in machine().instances().iter().enumerate() {
        for property in instance.properties() {
            for value in &odd {
                with(row, &property.name, Some(value));
            }
            let (inventory, findings) = with(row, &property.name, Some(&wrong));
            if inventory != whole {
                poorer += 1;
                assert!(findings > 0, "{} {}", instance.class, property.name);
            }
        }
    }
    assert!(poorer > 50, "{poorer}");
}
