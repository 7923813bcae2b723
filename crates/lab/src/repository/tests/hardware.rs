//! VMs made from nothing, and their hardware.

use super::*;

const SETTINGS: &str = "Msvm_VirtualSystemSettingData";
const SCENARIO: &str = r#"{"switches": ["LAN"], "vms": [
    {"name": "web", "disks": [{"path": "D:\\a.vhdx", "size": 4194304}]}]}"#;

impl Bench {
    /// What a new piece is unless somebody says otherwise, as a caller finds it.
    fn default(&mut self, subtype: &str) -> Instance {
        let pool = self.path(&format!(
            "SELECT * FROM Msvm_ResourcePool WHERE ResourceSubType = '{subtype}' AND Primordial = True"
        ));
        let class = "Msvm_AllocationCapabilities";
        let capabilities = self.around(&pool, "Msvm_ElementCapabilities", class);
        let of = capabilities[0].path.clone().unwrap();
        let text = format!(
            "REFERENCES OF {{{}}} WHERE ResultClass=Msvm_SettingsDefineCapabilities",
            of.to_wql()
        );
        let role = self.one(&text);
        assert_eq!(role.get::<u16>("ValueRole").unwrap(), 0);
        let part: ObjectPath = role.get("PartComponent").unwrap();
        self.repository.get(&part).unwrap()
    }

    fn adds(&mut self, to: &ObjectPath, piece: &Instance) -> std::result::Result<ObjectPath, u32> {
        let management = self.service("Msvm_VirtualSystemManagementService");
        let text = cim::cimxml::write_instance(piece).unwrap();
        let inputs = Instance::new("")
            .with("AffectedConfiguration", to.clone())
            .with("ResourceSettings", vec![text]);
        let outputs = self.call(&management, "AddResourceSettings", inputs);
        match outputs.get::<u32>("ReturnValue").unwrap() {
            0 => {
                let mut made: Vec<ObjectPath> =
                    outputs.get_list("ResultingResourceSettings").unwrap();
                assert_eq!(made.len(), 1);
                Ok(made.remove(0))
            }
            code => Err(code),
        }
    }

    fn defines(&mut self, method: &str, generation: u8) -> (ObjectPath, ObjectPath) {
        let management = self.service("Msvm_VirtualSystemManagementService");
        let settings = Instance::new(SETTINGS)
            .with("ConfigurationDataRoot", "D:\\VMs\\new")
            .with("ElementName", "new")
            .with(
                "VirtualSystemSubType",
                format!("Microsoft:Hyper-V:SubType:{generation}"),
            );
        let mut inputs = Instance::new("");
        inputs.set_embedded("SystemSettings", &settings).unwrap();
        let job = self.finish(&management, method, inputs);
        let vm = self.around(&job, "Msvm_AffectedJobElement", "CIM_ComputerSystem");
        let vm = vm[0].path.clone().unwrap();
        let found = self.around(&vm, "Msvm_SettingsDefineState", SETTINGS);
        (vm, found[0].path.clone().unwrap())
    }
}

#[test]
fn a_vm_is_made_piece_by_piece() {
    let mut bench = bench_of(SCENARIO);
    let (vm, settings) = bench.defines("DefineSystem", 2);
    assert_eq!(vm.class, "Msvm_ComputerSystem");
    let scsi = bench.default("Microsoft:Hyper-V:Synthetic SCSI Controller");
    let controller = bench.adds(&settings, &scsi).unwrap();
    let mut drive = bench.default("Microsoft:Hyper-V:Synthetic Disk Drive");
    drive.set("Parent", controller.to_string());
    drive.set("AddressOnParent", "3");
    let drive = bench.adds(&settings, &drive).unwrap();
    let mut disk = bench.default("Microsoft:Hyper-V:Virtual Hard Disk");
    disk.set("Parent", drive.to_string());
    disk.set("HostResource", vec!["D:\\gone.vhdx".to_owned()]);
    assert_eq!(bench.adds(&settings, &disk), Err(32768));
    disk.set("HostResource", vec!["D:\\a.vhdx".to_owned()]);
    let medium = bench.adds(&settings, &disk).unwrap();
    let port = bench
        .default("Microsoft:Hyper-V:Synthetic Ethernet Port")
        .with("Address", "00155D010203")
        .with("StaticMacAddress", true);
    let port = bench.adds(&settings, &port).unwrap();
    let switch = bench.path("SELECT * FROM Msvm_VirtualEthernetSwitch");
    let mut connection = bench.default("Microsoft:Hyper-V:Ethernet Connection");
    connection.set("Parent", port.to_string());
    connection.set("HostResource", vec![switch.to_string()]);
    let connection = bench.adds(&settings, &connection).unwrap();
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let vlan = Instance::new("Msvm_EthernetSwitchPortVlanSettingData")
        .with("AccessVlanId", 17_u16)
        .with("OperationMode", 1_u32);
    let text = cim::cimxml::write_instance(&vlan).unwrap();
    let inputs = Instance::new("")
        .with("AffectedConfiguration", connection)
        .with("FeatureSettings", vec![text]);
    let outputs = bench.call(&management, "AddFeatureSettings", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 0);
    let made = &bench.repository.host.vms()[1].settings;
    let disks: Vec<&str> = made.disks().map(|(_, path)| path).collect();
    assert_eq!((disks, made.drives[0].slot), (vec!["D:\\a.vhdx"], 3));
    let adapter = &made.adapters[0];
    assert_eq!(
        (adapter.mac.as_str(), adapter.vlan),
        ("00155D010203", Some(17))
    );
    assert_eq!(adapter.switch, Some(bench.repository.host.switches[0].id));
    // And taken apart again: what is in a drive, then the drive, then what it hung on.
    for path in [controller.clone(), drive.clone()] {
        let inputs = Instance::new("").with("ResourceSettings", vec![controller.clone()]);
        let outputs = bench.call(&management, "RemoveResourceSettings", inputs);
        assert_ne!(outputs.get::<u32>("ReturnValue").unwrap(), 0, "{path}");
    }
    for path in [medium, drive, controller, port] {
        let inputs = Instance::new("").with("ResourceSettings", vec![path.clone()]);
        let outputs = bench.call(&management, "RemoveResourceSettings", inputs);
        assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 0, "{path}");
    }
    let left = &bench.repository.host.vms()[1].settings;
    assert!(left.drives.is_empty() && left.controllers.is_empty() && left.adapters.is_empty());
}

#[test]
fn what_is_set_is_told_and_the_rest_refused() {
    let mut bench = bench_of(SCENARIO);
    let (vm, settings) = bench.defines("DefinePlannedSystem", 2);
    assert_eq!(vm.class, "Msvm_PlannedComputerSystem");
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let mut own = bench.repository.get(&settings).unwrap();
    own.set("AutomaticShutdownAction", 4_u16);
    own.set("SecureBootEnabled", false);
    own.set("BIOSGUID", "{00000000-0000-4000-8000-0000000000AA}");
    own.set("ElementName", "other");
    let mut inputs = Instance::new("");
    inputs.set_embedded("SystemSettings", &own).unwrap();
    let outputs = bench.call(&management, "ModifySystemSettings", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 0);
    let told = bench.repository.get(&settings).unwrap();
    for name in [
        "AutomaticShutdownAction",
        "SecureBootEnabled",
        "BIOSGUID",
        "ElementName",
    ] {
        assert_eq!(told.property(name), own.property(name));
    }
    own.set("Version", "8.0");
    let mut inputs = Instance::new("");
    inputs.set_embedded("SystemSettings", &own).unwrap();
    let outputs = bench.call(&management, "ModifySystemSettings", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32770);
    // Memory, processors, and a service, by their objects.
    let of = |bench: &mut Bench, class| {
        let mut all = bench.around(&settings, "Msvm_VirtualSystemSettingDataComponent", class);
        all.remove(0)
    };
    let memory = of(&mut bench, "Msvm_MemorySettingData")
        .with("VirtualQuantity", 2048_u64)
        .with("DynamicMemoryEnabled", true)
        .with("Reservation", 1024_u64)
        .with("Limit", 4096_u64)
        .with("Weight", 7000_u32);
    let cpu = of(&mut bench, "Msvm_ProcessorSettingData").with("VirtualQuantity", 4_u64);
    let time = of(&mut bench, "Msvm_TimeSyncComponentSettingData").with("EnabledState", 3_u16);
    let texts = [memory, cpu, time].map(|one| cim::cimxml::write_instance(&one).unwrap());
    let inputs = Instance::new("").with("ResourceSettings", texts.to_vec());
    bench.repository.host.rules.settings_as_job = true;
    bench.finish(&management, "ModifyResourceSettings", inputs);
    let made = &bench.repository.host.vms()[1].settings;
    assert_eq!(
        (made.memory, made.dynamic_memory),
        (2048, Some((1024, 4096)))
    );
    assert_eq!(made.processors, 4);
    let weight = of(&mut bench, "Msvm_MemorySettingData").get::<u32>("Weight");
    assert_eq!(weight.unwrap(), 7000);
    let time = of(&mut bench, "Msvm_TimeSyncComponentSettingData");
    assert_eq!(time.get::<u16>("EnabledState").unwrap(), 3);
}

#[test]
fn the_hardware_of_a_vm_that_runs_stays() {
    let mut bench = bench_of(SCENARIO);
    let settings = bench.path(&format!("SELECT * FROM {SETTINGS}"));
    let scsi = bench.default("Microsoft:Hyper-V:Synthetic SCSI Controller");
    assert_eq!(bench.adds(&settings, &scsi), Err(32775));
}
