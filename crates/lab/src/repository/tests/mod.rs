//! The repository of a small host: every view, and a whole backup cycle by methods.

use std::sync::Arc;
use std::time::Duration;

use cim::{Instance, KeyValue, ObjectPath};

use super::wql::Related;
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::scenario::Scenario;
use crate::schema::{CIMV2, HYPER_V};

mod changes;
mod export;
mod hardware;
mod import;
mod methods;
mod planned;

const SCENARIO: &str = r#"{
    "switches": ["LAN"],
    "volumes": [{"name": "D:\\", "capacity": 1073741824, "others": 1000},
                {"name": "C:\\ClusterStorage\\Volume1", "capacity": 4096}],
    "vms": [
        {"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 8388608},
                                  {"path": "D:\\VMs\\web\\b.vhdx", "size": 4194304}],
         "adapters": [{"switch": "LAN", "vlan": 17}, {"mac": "00155D112233"}],
         "dynamic-memory": [512, 4096], "dvds": ["D:\\ISO\\setup.iso", null],
         "host-devices": [{"kind": "fibre-channel", "name": "FC"},
                          {"kind": "pci-express", "name": "NVMe"},
                          {"kind": "gpu-partition", "name": "GPU"}],
         "guest": {"name": "Windows & Co", "version": "10.0.1", "platform": 2},
         "replication": {"mode": 1, "state": 3, "health": 1, "interval": 300}},
        {"name": "old", "generation": 1, "version": "5.0", "state": "off", "pass-through": [3],
         "adapters": [{"legacy": true}]},
        {"name": "half", "state": "off", "planned": true}
    ]
}"#;

struct Bench {
    repository: Repository,
    clock: ManualClock,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    bench_of(SCENARIO)
}

fn bench_of(scenario: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let scenario = Scenario::read(scenario).unwrap();
    let host = scenario
        .build(folder.path(), Arc::new(clock.clone()))
        .unwrap();
    Bench {
        repository: Repository::new(host),
        clock,
        _folder: folder,
    }
}

impl Bench {
    fn select(&mut self, query: &str) -> Vec<Instance> {
        match self.repository.query(HYPER_V, query).unwrap() {
            Found::Objects(all) | Found::Parts(all) => all,
        }
    }

    fn one(&mut self, query: &str) -> Instance {
        let mut all = self.select(query);
        assert_eq!(all.len(), 1, "{query}");
        all.remove(0)
    }

    /// The settings of a class that are a VM's, and not what new ones are.
    fn of_vms(&mut self, class: &str) -> Vec<Instance> {
        let mut all = self.select(&format!("SELECT * FROM {class}"));
        all.retain(|one| {
            let id: String = one.get("InstanceID").unwrap();
            !id.starts_with("Microsoft:Definition\\")
        });
        all
    }

    fn path(&mut self, query: &str) -> ObjectPath {
        self.one(query).path.unwrap()
    }

    fn around(&mut self, of: &ObjectPath, association: &str, result: &str) -> Vec<Instance> {
        let text = format!(
            "ASSOCIATORS OF {{{}}} WHERE AssocClass={association} ResultClass={result}",
            of.to_wql()
        );
        self.select(&text)
    }

    fn call(&mut self, target: &ObjectPath, method: &str, inputs: Instance) -> Instance {
        self.repository.invoke(target, method, &inputs).unwrap()
    }

    fn service(&mut self, class: &str) -> ObjectPath {
        self.path(&format!("SELECT * FROM {class}"))
    }

    /// Calls a method that starts a job and lets it end; the job's path.
    fn finish(&mut self, target: &ObjectPath, method: &str, inputs: Instance) -> ObjectPath {
        let outputs = self.call(target, method, inputs);
        assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 4096, "{method}");
        self.clock.advance(Duration::from_secs(20));
        let job: ObjectPath = outputs.get("Job").unwrap();
        let found = self.repository.get(&job).unwrap();
        assert_eq!(
            found.get::<u16>("JobState").unwrap(),
            7,
            "{method}: {found:?}"
        );
        job
    }
}

/// `complete` holds each view against its class; this makes it see them all.
#[test]
fn every_view_fits_its_class_and_can_be_found_by_its_path() {
    let mut bench = bench();
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    for kind in [2_u16, 32768] {
        let inputs = Instance::new("")
            .with("AffectedSystem", vm.clone())
            .with("SnapshotType", kind);
        bench.finish(&service, "CreateSnapshot", inputs);
    }
    let recovery = bench.path("SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Recovery'");
    let inputs = Instance::new("").with("AffectedSnapshot", recovery);
    bench.finish(&service, "ConvertToReferencePoint", inputs);
    let mut classes = 0;
    for namespace in [HYPER_V, CIMV2] {
        for class in Schema::of(namespace).unwrap().classes() {
            let all = bench.repository.instances(namespace, &class.name).unwrap();
            classes += usize::from(!all.is_empty());
            for instance in all {
                let path = instance.path.clone().expect("a path");
                let found = bench.repository.get(&path).unwrap();
                assert_eq!(found, instance, "{path}");
                let told: ObjectPath = path.to_string().parse().unwrap();
                if path
                    .keys
                    .iter()
                    .all(|key| !matches!(key.value, KeyValue::Reference(_)))
                {
                    assert_eq!(told, path);
                }
            }
        }
    }
    assert!(classes > 50, "{classes} classes have instances");
}

#[test]
fn a_class_stands_for_its_subclasses() {
    let mut bench = bench();
    let systems = bench.select("SELECT * FROM CIM_ComputerSystem");
    let classes: Vec<_> = systems.iter().map(|i| i.class.as_str()).collect();
    let mut expected = vec!["Msvm_ComputerSystem"; 3];
    expected.push("Msvm_PlannedComputerSystem");
    expected.push("Msvm_VirtualEthernetSwitch");
    assert_eq!(classes, expected);
    let of_class =
        bench.select("SELECT * FROM CIM_ComputerSystem WHERE __CLASS='Msvm_VirtualEthernetSwitch'");
    assert_eq!(of_class.len(), 1);
}

#[test]
fn queries_take_properties_and_conditions() {
    let mut bench = bench();
    let host =
        bench.one("SELECT Name, EnabledState FROM Msvm_ComputerSystem WHERE InstallDate IS NULL");
    let names: Vec<_> = host.properties().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["EnabledState", "Name"], "in alphabetical order");
    assert_eq!(host.get::<String>("Name").unwrap(), "HV01");
    for bad in [
        "SELECT * FROM Msvm_ComputerSystem WHERE Nonsense = 1",
        "SELECT Nonsense FROM Msvm_ComputerSystem",
        "SELECT * FROM Msvm_ComputerSystem WHERE OperationalStatus = 2",
    ] {
        let error = bench.repository.query(HYPER_V, bad).unwrap_err();
        assert!(
            matches!(error, RepositoryError::BadQuery(_)),
            "{bad}: {error}"
        );
    }
    let error = bench
        .repository
        .query(HYPER_V, "SELECT * FROM Msvm_Nothing")
        .unwrap_err();
    assert!(matches!(error, RepositoryError::NoClass { .. }), "{error}");
    let error = bench
        .repository
        .query("root/nothing", "SELECT * FROM A")
        .unwrap_err();
    assert!(matches!(error, RepositoryError::NoNamespace(_)), "{error}");
}

#[test]
fn disks_hang_on_drives_on_controllers() {
    let mut bench = bench();
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let settings = bench.around(
        &vm,
        "Msvm_SettingsDefineState",
        "Msvm_VirtualSystemSettingData",
    );
    let settings = settings[0].path.clone().unwrap();
    let component = "Msvm_VirtualSystemSettingDataComponent";
    let disks = bench.around(&settings, component, "Msvm_StorageAllocationSettingData");
    let files: Vec<String> = disks
        .iter()
        .map(|d| d.get_list::<String>("HostResource").unwrap().concat())
        .collect();
    let expected = [
        "D:\\VMs\\web\\a.vhdx",
        "D:\\VMs\\web\\b.vhdx",
        "D:\\ISO\\setup.iso",
    ];
    assert_eq!(files, expected);
    for (slot, disk) in disks.iter().enumerate() {
        let drive = bench.repository.get(&disk.get("Parent").unwrap()).unwrap();
        assert_eq!(
            drive.get::<String>("AddressOnParent").unwrap(),
            slot.to_string()
        );
        let controller = bench.repository.get(&drive.get("Parent").unwrap()).unwrap();
        assert_eq!(controller.get::<u16>("ResourceType").unwrap(), 6);
    }
    let ports = bench.around(
        &settings,
        component,
        "Msvm_EthernetPortAllocationSettingData",
    );
    let switch = bench
        .repository
        .get(&ports[0].get_list("HostResource").unwrap()[0])
        .unwrap();
    assert_eq!(switch.get::<String>("ElementName").unwrap(), "LAN");
    assert_eq!(ports[1].get::<u16>("EnabledState").unwrap(), 3);
    // From the other side, and with roles.
    let mut related = Related {
        of: disks[0].path.clone().unwrap(),
        association: Some(component.to_owned()),
        role: Some("PartComponent".to_owned()),
        ..Related::default()
    };
    let schema = Schema::of(HYPER_V).unwrap();
    let back = bench.repository.associators(schema, &related).unwrap();
    assert_eq!(back[0].path, Some(settings));
    related.role = Some("GroupComponent".to_owned());
    assert_eq!(bench.repository.associators(schema, &related).unwrap(), []);
    let references = bench.select(&format!(
        "REFERENCES OF {{{}}} WHERE ResultClass=CIM_Component",
        related.of.to_wql()
    ));
    assert_eq!(references.len(), 1);
}

#[test]
fn adapters_have_connections_and_these_their_vlan() {
    let mut bench = bench();
    for (class, count) in [
        ("Msvm_SyntheticEthernetPortSettingData", 2),
        ("Msvm_EmulatedEthernetPortSettingData", 1),
    ] {
        let adapters = bench.of_vms(class);
        assert_eq!(adapters.len(), count, "{class}");
    }
    let connections = bench.of_vms("Msvm_EthernetPortAllocationSettingData");
    let parents: Vec<String> = connections
        .iter()
        .map(|c| bench.repository.get(&c.get("Parent").unwrap()).unwrap())
        .map(|adapter| adapter.class)
        .collect();
    let (new, old) = (
        "Msvm_SyntheticEthernetPortSettingData",
        "Msvm_EmulatedEthernetPortSettingData",
    );
    assert_eq!(parents, [new, new, old]);
    let vlan = "Msvm_EthernetSwitchPortVlanSettingData";
    let vlans: Vec<Vec<u16>> = connections
        .iter()
        .map(|c| {
            let path = c.path.clone().unwrap();
            let found = bench.around(&path, "Msvm_EthernetPortSettingDataComponent", vlan);
            found
                .iter()
                .map(|v| v.get("AccessVlanId").unwrap())
                .collect()
        })
        .collect();
    assert_eq!(vlans, [vec![17], vec![], vec![]]);
}

#[test]
fn memory_and_devices_of_the_host_are_told() {
    let mut bench = bench();
    let memory = bench.select("SELECT * FROM Msvm_MemorySettingData");
    let told: Vec<(bool, u64, u64, u64)> = memory
        .iter()
        .map(|m| {
            let number = |name| m.get::<u64>(name).unwrap();
            let dynamic = m.get("DynamicMemoryEnabled").unwrap();
            let quantity = number("VirtualQuantity");
            (dynamic, number("Reservation"), quantity, number("Limit"))
        })
        .collect();
    assert_eq!(
        told,
        [
            (true, 512, 1024, 4096),
            (false, 1024, 1024, 1024),
            (false, 1024, 1024, 1024)
        ]
    );
    let settings =
        bench.path("SELECT * FROM Msvm_VirtualSystemSettingData WHERE ElementName = 'web'");
    let component = "Msvm_VirtualSystemSettingDataComponent";
    for (class, name) in [
        ("Msvm_SyntheticFcPortSettingData", "FC"),
        ("Msvm_PciExpressSettingData", "NVMe"),
        ("Msvm_GpuPartitionSettingData", "GPU"),
    ] {
        let found = bench.around(&settings, component, class);
        let names: Vec<String> = found
            .iter()
            .map(|i| i.get("ElementName").unwrap())
            .collect();
        assert_eq!(names, [name]);
    }
}

#[test]
fn guests_answer_while_they_run() {
    let mut bench = bench();
    let statuses = |bench: &mut Bench, class: &str| {
        let all = bench.select(&format!("SELECT * FROM {class}"));
        let status = |i: &Instance| i.get_list::<u16>("OperationalStatus").unwrap();
        all.iter().flat_map(status).collect::<Vec<_>>()
    };
    for class in [
        "Msvm_VssComponent",
        "Msvm_HeartbeatComponent",
        "Msvm_ShutdownComponent",
    ] {
        assert_eq!(statuses(&mut bench, class), [2, 12], "{class}");
    }
    let told = bench.select("SELECT * FROM Msvm_KvpExchangeComponent");
    let items: Vec<Instance> = told[0].get_list("GuestIntrinsicExchangeItems").unwrap();
    assert_eq!(items[0].get::<String>("Data").unwrap(), "Windows & Co");
    assert!(
        told[1]
            .get_list::<Instance>("GuestIntrinsicExchangeItems")
            .unwrap()
            .is_empty()
    );
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    assert_eq!(
        bench
            .around(&vm, "Msvm_SystemDevice", "Msvm_HeartbeatComponent")
            .len(),
        1
    );
}

#[test]
fn services_need_no_keys_and_others_all_of_them() {
    let mut bench = bench();
    let bare = ObjectPath::new(HYPER_V, "Msvm_ImageManagementService");
    assert!(bench.repository.get(&bare).is_ok());
    let some = bare.with_key("CreationClassName", "msvm_imagemanagementservice");
    assert!(bench.repository.get(&some).is_ok());
    let vm = ObjectPath::new(HYPER_V, "Msvm_ComputerSystem");
    let error = bench.repository.get(&vm).unwrap_err();
    assert!(matches!(error, RepositoryError::MissingKeys(_)));
    let error = bench
        .repository
        .get(&some_key(&vm, "ElementName"))
        .unwrap_err();
    assert_eq!(error, RepositoryError::UnknownKey("ElementName".to_owned()));
    let gone = vm
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", "x");
    let error = bench.repository.get(&gone).unwrap_err();
    assert!(matches!(error, RepositoryError::NotFound(_)));
}

fn some_key(path: &ObjectPath, name: &str) -> ObjectPath {
    path.clone().with_key(name, "x")
}
