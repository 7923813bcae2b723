//! Calling methods, as far as they are built.

use super::*;

#[test]
fn a_backup_cycle_by_methods() {
    let mut bench = bench();
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    let mut settings =
        Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ConsistencyLevel", 1_u8);
    let mut inputs = Instance::new("")
        .with("AffectedSystem", vm.clone())
        .with("SnapshotType", 32768_u16);
    inputs.set_embedded("SnapshotSettings", &settings).unwrap();
    let job = bench.finish(&service, "CreateSnapshot", inputs.clone());
    let made = bench.around(
        &job,
        "Msvm_AffectedJobElement",
        "Msvm_VirtualSystemSettingData",
    );
    let snapshot = made[0].path.clone().unwrap();
    assert_eq!(
        made[0].get::<String>("VirtualSystemType").unwrap(),
        "Microsoft:Hyper-V:Snapshot:Recovery"
    );
    let of_vm = bench.around(
        &vm,
        "Msvm_SnapshotOfVirtualSystem",
        "Msvm_VirtualSystemSettingData",
    );
    assert_eq!(of_vm[0].path, Some(snapshot.clone()));
    // Renamed, as an owner's mark.
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let mut whole = made[0].clone();
    whole.set("ElementName", "ours");
    let mut change = Instance::new("");
    change.set_embedded("SystemSettings", &whole).unwrap();
    let outputs = bench.call(&management, "ModifySystemSettings", change);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 0);
    assert_eq!(
        bench
            .repository
            .get(&snapshot)
            .unwrap()
            .get::<String>("ElementName")
            .unwrap(),
        "ours"
    );
    whole.set("Version", "10.0");
    let mut change = Instance::new("");
    change.set_embedded("SystemSettings", &whole).unwrap();
    let outputs = bench.call(&management, "ModifySystemSettings", change);
    assert_eq!(
        outputs.get::<u32>("ReturnValue").unwrap(),
        32770,
        "not taken and forgotten"
    );
    let convert = Instance::new("").with("AffectedSnapshot", snapshot);
    let job = bench.finish(&service, "ConvertToReferencePoint", convert);
    let points = bench.around(
        &job,
        "Msvm_AffectedJobElement",
        "Msvm_VirtualSystemReferencePoint",
    );
    let ids: Vec<String> = points[0]
        .get_list("ResilientChangeTrackingIdentifiers")
        .unwrap();
    let disks: Vec<String> = points[0].get_list("VirtualDiskIdentifiers").unwrap();
    assert_eq!((ids.len(), disks.len()), (2, 2));
    // What the guest writes next is told by the frozen disk of the next checkpoint.
    let id = bench.repository.host.vms()[0].id;
    bench
        .repository
        .host
        .guest_writes(id, 0, 5 << 20, &[7; 512])
        .unwrap();
    let job = bench.finish(&service, "CreateSnapshot", inputs.clone());
    let made = bench.around(
        &job,
        "Msvm_AffectedJobElement",
        "Msvm_VirtualSystemSettingData",
    );
    let checkpoint = made[0].path.clone().unwrap();
    let frozen = bench.around(
        &checkpoint,
        "Msvm_VirtualSystemSettingDataComponent",
        "Msvm_StorageAllocationSettingData",
    );
    let image = bench.service("Msvm_ImageManagementService");
    let question = Instance::new("")
        .with(
            "Path",
            frozen[0]
                .get_list::<String>("HostResource")
                .unwrap()
                .remove(0),
        )
        .with("LimitId", ids[0].as_str())
        .with("TargetSnapshotId", "")
        .with("ByteOffset", 0_u64)
        .with("ByteLength", 8_u64 << 20);
    let told = bench.call(&image, "GetVirtualDiskChanges", question);
    assert_eq!(told.get::<u64>("ProcessedByteLength").unwrap(), 8 << 20);
    assert_eq!(
        told.get_list::<u64>("ChangedByteOffsets").unwrap(),
        [5 << 20]
    );
    assert_eq!(
        told.get_list::<u64>("ChangedByteLengths").unwrap(),
        [32 << 10]
    );
    // Settings that are not as they are declared.
    for (bad, code) in [
        ("<INSTANCE", 32773),
        (r#"<INSTANCE CLASSNAME="Msvm_Error"/>"#, 32773),
    ] {
        inputs.set("SnapshotSettings", bad);
        let outputs = bench.call(&service, "CreateSnapshot", inputs.clone());
        assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), code, "{bad}");
        assert!(outputs.property("Job").unwrap().value.is_null());
    }
    settings.set("ConsistencyLevel", vec![1_u8]);
    inputs.set_embedded("SnapshotSettings", &settings).unwrap();
    let outputs = bench.call(&service, "CreateSnapshot", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32776);
    let destroy = Instance::new("").with("AffectedReferencePoint", points[0].path.clone().unwrap());
    let service = bench.service("Msvm_VirtualSystemReferencePointService");
    bench.finish(&service, "DestroyReferencePoint", destroy);
    assert_eq!(
        bench.select("SELECT * FROM Msvm_VirtualSystemReferencePoint"),
        []
    );
}

#[test]
fn a_failed_job_tells_why() {
    let mut bench = bench();
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'old'");
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    let settings =
        Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ConsistencyLevel", 1_u8);
    let mut inputs = Instance::new("")
        .with("AffectedSystem", vm)
        .with("SnapshotType", 32768_u16);
    inputs.set_embedded("SnapshotSettings", &settings).unwrap();
    let job: ObjectPath = bench
        .call(&service, "CreateSnapshot", inputs)
        .get("Job")
        .unwrap();
    let errors = |bench: &mut Bench| {
        let outputs = bench.call(&job, "GetErrorEx", Instance::new(""));
        outputs.get_list::<Instance>("Errors").unwrap()
    };
    assert_eq!(errors(&mut bench), []);
    bench.clock.advance(Duration::from_secs(20));
    let found = bench.repository.get(&job).unwrap();
    assert_eq!(found.get::<u16>("JobState").unwrap(), 10);
    let text: String = found.get("ErrorDescription").unwrap();
    assert!(text.contains("0x800423F2"), "{text}");
    assert_eq!(
        errors(&mut bench)[0].get::<String>("Message").unwrap(),
        text
    );
}

#[test]
fn what_is_not_built_is_refused_and_not_done() {
    let mut bench = bench();
    let service = bench.service("Msvm_VirtualSystemReferencePointService");
    let outputs = bench.call(&service, "CreateReferencePoint", Instance::new(""));
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32770);
    let error = bench
        .repository
        .invoke(&service, "Nonsense", &Instance::new(""))
        .unwrap_err();
    assert!(matches!(error, RepositoryError::NoMethod { .. }));
    let host = ObjectPath::new(HYPER_V, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", "HV01");
    let outputs = bench.call(
        &host,
        "RequestStateChange",
        Instance::new("").with("RequestedState", 3_u16),
    );
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32770);
}

#[test]
fn summaries_hold_what_was_asked_for() {
    let mut bench = bench();
    let management = bench.service("Msvm_VirtualSystemManagementService");
    let inputs = Instance::new("").with("RequestedInformation", vec![0_u32, 1, 100]);
    let outputs = bench.call(&management, "GetSummaryInformation", inputs);
    let found: Vec<Instance> = outputs.get_list("SummaryInformation").unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|i| {
            (
                i.get::<String>("ElementName").unwrap(),
                i.get::<u16>("EnabledState").unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("web".to_owned(), 2), ("old".to_owned(), 3)]);
    assert!(
        found[0].property("Version").unwrap().value.is_null(),
        "not asked for"
    );
}

#[test]
fn a_vm_goes_back_by_the_methods_too() {
    let mut bench = bench();
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'old'");
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    let applied = |bench: &mut Bench, vm: &ObjectPath| {
        let class = "Msvm_VirtualSystemSettingData";
        let found = bench.around(vm, "Msvm_LastAppliedSnapshot", class);
        found
            .into_iter()
            .map(|i| i.path.unwrap())
            .collect::<Vec<_>>()
    };
    // Without what cannot be frozen it would be refused.
    let settings = Instance::new("Msvm_VirtualSystemSnapshotSettingData")
        .with("IgnoreNonSnapshottableDisks", true);
    let mut inputs = Instance::new("")
        .with("AffectedSystem", vm.clone())
        .with("SnapshotType", 2_u16);
    inputs.set_embedded("SnapshotSettings", &settings).unwrap();
    bench.finish(&service, "CreateSnapshot", inputs);
    let class = "Msvm_VirtualSystemSettingData";
    let checkpoint = bench.around(&vm, "Msvm_SnapshotOfVirtualSystem", class);
    let checkpoint = checkpoint[0].path.clone().unwrap();
    assert_eq!(applied(&mut bench, &vm), []);
    let inputs = Instance::new("").with("Snapshot", checkpoint.clone());
    bench.finish(&service, "ApplySnapshot", inputs);
    assert_eq!(applied(&mut bench, &vm), std::slice::from_ref(&checkpoint));
    let tree = Instance::new("").with("SnapshotSettingData", checkpoint);
    bench.finish(&service, "ClearSnapshotState", tree.clone());
    bench.finish(&service, "DestroySnapshotTree", tree);
    assert_eq!(applied(&mut bench, &vm), []);
    assert_eq!(bench.around(&vm, "Msvm_SnapshotOfVirtualSystem", class), []);
}

/// 3 production or standard, 4 production only, 5 standard: by what the guest can do.
#[test]
fn checkpoints_of_users_are_of_the_type_that_the_vm_is_set_to() {
    for (kind, settles, memory) in [
        (3, true, Some(false)),
        (3, false, Some(true)),
        (4, true, Some(false)),
        (4, false, None),
        (5, true, Some(true)),
    ] {
        let mut bench = bench();
        let vm = bench.repository.host.vms()[0].id;
        let known = bench.repository.host.vm_mut(vm).unwrap();
        known.settings.checkpoint_type = kind;
        known.guest.settles = settles;
        let path = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
        let service = bench.service("Msvm_VirtualSystemSnapshotService");
        let inputs = Instance::new("")
            .with("AffectedSystem", path)
            .with("SnapshotType", 2_u16);
        bench.call(&service, "CreateSnapshot", inputs);
        bench.clock.advance(Duration::from_secs(20));
        let query = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Realized'";
        let made = bench.select(query);
        let saved = made.first().map(|i| i.get::<bool>("IsSaved").unwrap());
        assert_eq!(saved, memory, "{kind} {settles}");
    }
}

#[test]
fn key_protectors_are_told_by_the_security_service() {
    let mut bench = bench();
    let service = bench.service("Msvm_SecurityService");
    let all = bench.select("SELECT * FROM Msvm_SecuritySettingData");
    let mut inputs = Instance::new("");
    inputs.set_embedded("SecuritySettingData", &all[0]).unwrap();
    let ask = |bench: &mut Bench, inputs: &Instance| {
        let outputs = bench.call(&service, "GetKeyProtector", inputs.clone());
        outputs.get_list::<u8>("KeyProtector").unwrap()
    };
    assert_eq!(ask(&mut bench, &inputs), [0, 0, 0, 4], "it has no TPM");
    let vm = bench.repository.host.vms()[0].id;
    bench.repository.host.vm_mut(vm).unwrap().settings.tpm = true;
    let expected = bench.repository.host.vms()[0].key_protector();
    assert_eq!(ask(&mut bench, &inputs), expected);
    let outputs = bench.call(&service, "SetKeyProtector", inputs);
    assert_eq!(outputs.get::<u32>("ReturnValue").unwrap(), 32770);
}

#[test]
fn a_checkpoint_has_its_name_at_once_or_is_given_one() {
    for rule in [false, true] {
        let mut bench = bench();
        bench.repository.host.rules.names_at_once = rule;
        let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
        let service = bench.service("Msvm_VirtualSystemSnapshotService");
        let settings =
            Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ElementName", "ours");
        let mut inputs = Instance::new("")
            .with("AffectedSystem", vm)
            .with("SnapshotType", 32768_u16);
        inputs.set_embedded("SnapshotSettings", &settings).unwrap();
        bench.finish(&service, "CreateSnapshot", inputs);
        let query = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE ElementName = 'ours'";
        assert_eq!(bench.select(query).len(), usize::from(rule));
    }
}

#[test]
fn a_clock_that_is_wrong_is_wrong_everywhere() {
    let mut bench = bench();
    bench.repository.host.rules.clock_ahead = -3600;
    let expected = bench.clock.now().checked_sub(Duration::from_secs(3600));
    let told = bench
        .repository
        .query(CIMV2, "SELECT * FROM Win32_OperatingSystem");
    let Found::Objects(system) = told.unwrap() else {
        panic!("no objects");
    };
    let local: cim::Timestamp = system[0].get("LocalDateTime").unwrap();
    assert_eq!(local.instant(), expected.unwrap());
    let vm = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let service = bench.service("Msvm_VirtualSystemSnapshotService");
    let inputs = Instance::new("")
        .with("AffectedSystem", vm)
        .with("SnapshotType", 32768_u16);
    bench.finish(&service, "CreateSnapshot", inputs);
    let recovery = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Recovery'";
    let created: cim::Timestamp = bench.one(recovery).get("CreationTime").unwrap();
    assert!(
        created.instant()
            < bench
                .clock
                .now()
                .checked_sub(Duration::from_secs(3500))
                .unwrap()
    );
}
