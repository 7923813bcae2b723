use uuid::uuid;

use super::*;
use crate::rewrite::{self, Rewrite, rewrite_file, rewrite_paths};
use crate::tree::{Entry, Tree, Value};
use crate::{hvs, xml};

fn device(kind: DeviceKind, instance: Option<Uuid>) -> Device {
    let device_type = kind.guid().unwrap();
    let instance = instance.unwrap_or(device_type);
    Device {
        device_type,
        instance,
        name: kind.name().into(),
        kind,
    }
}

fn disk(position: u32, path: &str) -> Drive {
    Drive {
        position,
        kind: DriveKind::VirtualDisk,
        path: Some(path.into()),
        qos: Qos {
            iops_limit: Some(500),
            ..Qos::default()
        },
        shared: false,
    }
}

/// A VM with something of everything that has a known key.
fn sample() -> VmConfig {
    let scsi = [1u128, 2].map(Uuid::from_u128);
    let nic = Uuid::from_u128(3);
    let ide = DeviceKind::IdeController.guid().unwrap();
    VmConfig {
        name: "Büro & \"Söhne\" 中💻".into(),
        id: Some(uuid!("993f7b33-0000-4000-8000-000000000001")),
        logical_id: Some(uuid!("993f7b33-0000-4000-8000-000000000001")),
        generation: Generation::Two,
        version: Some(ConfigVersion { major: 9, minor: 0 }),
        notes: "line\r\nline <b>".into(),
        created: Some("2024-05-01T12:00:00.1234567Z".parse().unwrap()),
        processors: Processors {
            count: Some(4),
            limit: Some(100_000),
            reservation: Some(0),
            weight: Some(100),
            nested_virtualization: Some(false),
        },
        memory: Memory {
            startup_mib: Some(2048),
            dynamic: Some(true),
            minimum_mib: Some(512),
            maximum_mib: Some(1_048_576),
            buffer_percent: Some(20),
            weight: Some(50),
        },
        firmware: Firmware {
            bios_guid: Some(uuid!("aaaaaaaa-0000-4000-8000-000000000001")),
            bios_serial: Some("1234-5678".into()),
            base_board_serial: Some("b".into()),
            chassis_serial: Some("c".into()),
            asset_tag: Some("t".into()),
            secure_boot: Some(true),
            secure_boot_template: None,
            boot_sources: Vec::new(),
            boot_order: vec!["Optical".into(), "HardDrive".into()],
            generation_id: Some("g".into()),
        },
        security: Security {
            virtual_tpm: Some(false),
            ..Security::default()
        },
        controllers: vec![
            Controller {
                kind: ControllerKind::Ide,
                number: 0,
                instance: ide,
                drives: vec![disk(0, r"D:\VMs\a b\disk.vhdx")],
            },
            Controller {
                kind: ControllerKind::Ide,
                number: 1,
                instance: ide,
                drives: vec![],
            },
            Controller {
                kind: ControllerKind::Scsi,
                number: 0,
                instance: scsi[0],
                drives: vec![
                    disk(0, r"D:\VMs\data.vhdx"),
                    Drive {
                        kind: DriveKind::Empty,
                        path: None,
                        qos: Qos::default(),
                        ..disk(7, "")
                    },
                ],
            },
            Controller {
                kind: ControllerKind::Scsi,
                number: 1,
                instance: scsi[1],
                drives: vec![Drive {
                    kind: DriveKind::Iso,
                    ..disk(63, r"\\srv\iso\a.iso")
                }],
            },
        ],
        network_adapters: vec![NetworkAdapter {
            name: "LAN".into(),
            instance: Some(nic),
            legacy: false,
            mac: Some("00155D0107DC".into()),
            mac_static: Some(true),
            connected: Some(true),
            switch_id: Some(Uuid::from_u128(9)),
            switch_name: Some("Extern".into()),
            vlan: None,
        }],
        integration_services: vec![IntegrationService {
            device_type: DeviceKind::Vss.guid().unwrap(),
            name: "VSS".into(),
            enabled: Some(true),
        }],
        serial_ports: vec![SerialPort {
            name: "port0".into(),
            connection: Some(r"\\.\pipe\com1".into()),
        }],
        automatic: AutomaticActions {
            start: Some(1),
            stop: Some(2),
            host: None,
        },
        checkpoints: CheckpointSettings {
            count: Some(2),
            user_type: None,
        },
        highly_available: Some(false),
        disk_merge_pending: Some(false),
        data_roots: DataRoots {
            configuration: Some(r"D:\VMs\a b".into()),
            checkpoints: Some(r"D:\VMs\a b".into()),
        },
        devices: vec![
            device(DeviceKind::IdeController, None),
            device(DeviceKind::ScsiController, Some(scsi[0])),
            device(DeviceKind::ScsiController, Some(scsi[1])),
            device(DeviceKind::NetworkAdapter, Some(nic)),
            device(DeviceKind::Vss, None),
            device(DeviceKind::SerialPorts, None),
        ],
        ..VmConfig::default()
    }
}

#[test]
fn a_vm_survives_both_formats_and_json() {
    let vm = sample();
    let tree = to_tree(&vm);
    assert_eq!(VmConfig::from_tree(&tree).unwrap(), vm);
    let vmcx = hvs::write_tree(&tree, 0).unwrap();
    assert_eq!(
        VmConfig::from_tree(&hvs::read_tree(&vmcx).unwrap().0).unwrap(),
        vm
    );
    let (read, warnings) = xml::read_tree(&xml::write_tree(&tree).unwrap()).unwrap();
    assert_eq!((&read, warnings), (&tree, vec![]));
    let json = serde_json::to_string(&vm).unwrap();
    assert_eq!(serde_json::from_str::<VmConfig>(&json).unwrap(), vm);
    assert!(json.contains("\"version\":\"9.0\"") && json.contains("2024-05-01T12:00:00.1234567Z"));
    let places: Vec<String> = vm.drives().map(|(place, _)| place.to_string()).collect();
    assert_eq!(places, ["IDE 0:0", "SCSI 0:0", "SCSI 0:7", "SCSI 1:63"]);
    assert_eq!(vm.virtual_disks().count(), 2);
}

#[test]
fn what_a_backup_cannot_cover_is_found() {
    let mut vm = sample();
    vm.disk_merge_pending = Some(true);
    vm.controllers[2].drives[0].shared = true;
    vm.controllers[3].drives[0] = Drive {
        kind: DriveKind::PassThrough,
        path: Some(r"\\.\PhysicalDrive3".into()),
        ..disk(1, "")
    };
    let fibre = Uuid::from_u128(77);
    let name = "Synthetic Fibre Channel Port".to_owned();
    let kind = DeviceKind::FibreChannel;
    vm.devices.push(Device {
        device_type: fibre,
        instance: fibre,
        name,
        kind,
    });
    let new = Uuid::from_u128(78);
    let kind = DeviceKind::Unknown;
    vm.devices.push(Device {
        device_type: new,
        instance: new,
        name: "New".into(),
        kind,
    });
    vm.devices.push(device(DeviceKind::VirtualTpm, None));
    vm.devices
        .push(device(DeviceKind::AssignedDevice, Some(Uuid::from_u128(5))));
    let mut tree = to_tree(&vm);
    // A drive below a device that no manifest lists, with a type that nobody knows.
    let stray = "_99999999-0000-4000-8000-000000000001_";
    for (key, value) in [("type", "PMEM"), ("pathname", r"D:\p.vhdpmem")] {
        let path = ["configuration", stray, "controller0", "drive2", key];
        tree.set(&path, Value::String(value.into()));
    }
    let read = VmConfig::from_tree(&tree).unwrap();
    let text: Vec<String> = read.findings.iter().map(Finding::to_string).collect();
    for words in [
        "SCSI 1:1 is a pass-through disk (\\\\.\\PhysicalDrive3)",
        "SCSI 0:0 is shared",
        "Other 0:2 holds a medium of the unknown type \"PMEM\"",
        "Fibre Channel",
        "\"New\" is a device of the unknown type",
        "merged",
        "virtual TPM",
        "a device of the host",
    ] {
        assert!(
            text.iter().any(|finding| finding.contains(words)),
            "{words} in {text:?}"
        );
    }
    assert_eq!(text.len(), 8, "{text:?}");
    assert_eq!(read.security.virtual_tpm, Some(true));
}

#[test]
fn an_emulated_adapter_is_known_by_its_address() {
    let mut tree = to_tree(&VmConfig {
        name: "a".into(),
        id: Some(Uuid::nil()),
        ..sample()
    });
    let path = [
        "configuration",
        "_77777777-0000-4000-8000-000000000001_",
        "MacAddress",
    ];
    tree.set(&path, Value::String("00-15-5d-01-07-dd".into()));
    let vm = VmConfig::from_tree(&tree).unwrap();
    assert_eq!(vm.network_adapters.len(), 2);
    assert_eq!(vm.network_adapters[1].mac.as_deref(), Some("00155D0107DD"));
    assert!(vm.network_adapters[1].legacy);
}

#[test]
fn dates_are_read_in_either_byte_order_and_only_if_sane() {
    let expected: Timestamp = "2013-11-05T09:00:00Z".parse().unwrap();
    let ticks = (expected.as_nanosecond() / 100 + 116_444_736_000_000_000) as u64;
    let read = |value| {
        let mut tree = Tree::default();
        tree.set(&["configuration", "properties", "creation_time"], value);
        VmConfig::from_tree(&tree).unwrap().created
    };
    assert_eq!(
        read(Value::Bytes(ticks.to_le_bytes().into())),
        Some(expected)
    );
    assert_eq!(
        read(Value::Bytes(ticks.to_be_bytes().into())),
        Some(expected)
    );
    assert_eq!(read(Value::Int(ticks as i64)), Some(expected));
    for bad in [0, 1, u64::MAX, i64::MAX as u64] {
        assert_eq!(read(Value::Bytes(bad.to_le_bytes().into())), None);
    }
    assert_eq!(read(Value::Bytes(vec![1, 2])), None);
}

#[test]
fn almost_nothing_is_still_described() {
    assert_eq!(
        VmConfig::from_tree(&Tree::default()),
        Err(NotAConfiguration::NoRoot)
    );
    let leaf = Tree {
        entries: vec![Entry::new("configuration", Value::Int(1))],
    };
    assert_eq!(VmConfig::from_tree(&leaf), Err(NotAConfiguration::NoRoot));
    let empty = Tree {
        entries: vec![Entry::node("configuration", vec![])],
    };
    let vm = VmConfig::from_tree(&empty).unwrap();
    assert_eq!(vm.generation, Generation::One);
    assert_eq!(vm.findings.len(), 3);
}

#[test]
fn rewriting_changes_paths_and_nothing_else() {
    let tree = to_tree(&sample());
    let mut changed = tree.clone();
    let media = [
        (r"d:\vms\A B\DISK.vhdx", r"E:\new\disk.vhdx"),
        (r"\\srv\iso\a.iso", r"E:\a.iso"),
        (r"D:\not there.vhdx", r"E:\x"),
    ];
    let rewrite = Rewrite {
        media: media
            .map(|(old, new)| (old.to_owned(), new.to_owned()))
            .to_vec(),
        data_root: Some(r"E:\new".into()),
        checkpoint_root: None,
    };
    let done = rewrite_paths(&mut changed, &rewrite);
    assert_eq!(
        (done.drives, done.unused),
        (2, vec![r"D:\not there.vhdx".to_owned()])
    );
    let mut differences = Vec::new();
    let mut old = Vec::new();
    tree.for_each_leaf(&mut |way, entry| old.push((way.join("/"), entry.clone())));
    let mut at = 0;
    changed.for_each_leaf(&mut |way, entry| {
        assert_eq!(way.join("/"), old[at].0);
        if entry != &old[at].1 {
            differences.push(entry.value.clone());
        }
        at += 1;
    });
    assert_eq!(at, old.len());
    let expected = [r"E:\new", r"E:\new\disk.vhdx", r"E:\a.iso"];
    assert_eq!(differences, expected.map(|path| Value::String(path.into())));
}

#[test]
fn a_file_is_rewritten_in_its_format_unless_it_is_damaged() {
    let tree = to_tree(&sample());
    let rewrite = Rewrite {
        data_root: Some(r"E:\new".into()),
        ..Rewrite::default()
    };
    let mut expected = tree.clone();
    rewrite_paths(&mut expected, &rewrite);
    let vmcx = hvs::write_tree(&tree, 42).unwrap();
    let (mut new, _) = rewrite_file(&vmcx, &rewrite).unwrap();
    assert_eq!(new, hvs::write_tree(&expected, 42).unwrap());
    let text = xml::write_tree(&tree).unwrap();
    let (xml, _) = rewrite_file(&text, &rewrite).unwrap();
    assert_eq!(xml, xml::write_tree(&expected).unwrap());
    new[4096] ^= 1;
    assert!(matches!(
        rewrite_file(&new, &rewrite),
        Err(rewrite::Error::Damaged(_))
    ));
    assert!(matches!(
        rewrite_file(b"<a type=\"new\">1</a>", &rewrite),
        Err(rewrite::Error::Damaged(_))
    ));
    assert!(matches!(
        rewrite_file(b"x", &rewrite),
        Err(rewrite::Error::Xml(_))
    ));
}

/// A configuration with `count` devices of every kind that is looked up, each listed and with
/// settings, and twice as many that are only one of both.
fn crowd(count: usize, drives: usize) -> Tree {
    let ids = |n: usize| Uuid::from_u128(1 << 100 | n as u128);
    let mut manifest = Vec::new();
    let mut root = Vec::new();
    let kinds = [
        DeviceKind::ScsiController,
        DeviceKind::NetworkAdapter,
        DeviceKind::Heartbeat,
    ];
    for n in 0..count {
        let kind = kinds[n % kinds.len()].guid().unwrap();
        let device = |instance: usize| {
            Entry::node(
                "vdev",
                vec![
                    Entry::new("device", Value::String(kind.to_string())),
                    Entry::new("instance", Value::String(ids(instance).to_string())),
                ],
            )
        };
        manifest.extend([device(3 * n), device(3 * n + 1)]);
        let drives = if n == 0 { drives } else { 0 };
        let drives = (0..drives).map(|n| Entry::node(format!("drive{n}"), vec![]));
        for at in [3 * n, 3 * n + 2] {
            let controller = Entry::node("controller0", drives.clone().collect());
            root.push(Entry::node(format!("_{}_", ids(at)), vec![controller]));
        }
    }
    root.push(Entry::node("manifest", manifest));
    Tree {
        entries: vec![Entry::node("configuration", root)],
    }
}

#[test]
fn work_is_in_proportion_to_the_devices() {
    let steps = |count| {
        let tree = crowd(count, 1);
        crate::tree::work::of(|| {
            let vm = VmConfig::from_tree(&tree).unwrap();
            assert_eq!(vm.controllers.len(), 2 * count);
            assert_eq!(vm.devices.len(), 2 * count);
        })
    };
    let (few, many) = (steps(300), steps(3000));
    assert!(many <= 11 * few, "{few} steps became {many}");
}

#[test]
fn more_drives_than_any_vm_has() {
    let read = |drives| VmConfig::from_tree(&crowd(1, drives));
    assert_eq!(read(MAX_DRIVES / 2).unwrap().drives().count(), MAX_DRIVES);
    let error = read(MAX_DRIVES / 2 + 1).unwrap_err();
    assert_eq!(error, NotAConfiguration::TooManyDrives);
}
