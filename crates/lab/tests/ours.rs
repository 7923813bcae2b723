//! Our own client asks the lab, and reads what the lab's host holds.

mod support;

use cim::job::{self, JobEnd, Pace as _};
use cim::wsman::FaultKind;
use cim::{
    AssociationDialect, Associations, CimSession, CimType, Instance, Invoked, ObjectPath,
    WsmanSession, random_ids,
};
use hyperkeep_lab::schema::{HYPER_V, Schema};
use support::{A_WHILE, Lab, PASSWORD, PLAIN, transport};

fn session(lab: &Lab, user: &str, password: &str) -> WsmanSession {
    let transport = transport(lab, false, user, password);
    WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()))
}

fn ours(lab: &Lab) -> WsmanSession {
    session(lab, "LAB\\Bäcker", PASSWORD)
}

const REFERENCES: cim::Kind = cim::Kind {
    base: CimType::Reference,
    array: true,
};

/// Every object of every class: what came over the wire, typed by the class that came over the
/// wire, equals what the lab holds.
#[test]
fn every_object_arrives_as_it_is() {
    let lab = Lab::start(false);
    let session = ours(&lab);
    for namespace in [HYPER_V, "root/cimv2"] {
        for known in Schema::of(namespace).unwrap().classes() {
            let class = session.class(namespace, &known.name).unwrap();
            // DSP0201 cannot tell of arrays of references.
            let untold: Vec<_> = known
                .properties
                .iter()
                .filter(|p| p.kind == REFERENCES)
                .collect();
            let kinds = |class: &cim::Class| -> Vec<_> {
                let told = class.properties.iter();
                let told = told.filter(|p| untold.iter().all(|u| u.name != p.name));
                told.map(|p| (p.name.clone(), p.kind, p.key, p.embeds.clone()))
                    .collect()
            };
            assert_eq!(kinds(&class), kinds(known), "{}", known.name);
            assert_eq!(
                (&class.methods, &class.superclass),
                (&known.methods, &known.superclass)
            );
            let query = format!("SELECT * FROM {}", known.name);
            let told = session.query(namespace, &query).unwrap();
            let held = lab
                .server
                .service()
                .repository
                .instances(namespace, &known.name)
                .unwrap();
            assert_eq!(told.len(), held.len(), "{query}");
            for (told, held) in told.into_iter().zip(held) {
                let actual = session.class(namespace, &told.class).unwrap();
                compare(&actual.conform(told).unwrap(), &held);
            }
        }
    }
}

fn compare(told: &Instance, held: &Instance) {
    assert_eq!(told.class, held.class);
    for property in held.properties() {
        let value = told.property(&property.name).map(|p| &p.value);
        // An empty array is nothing on the wire.
        let empty = property.value == cim::Value::Array(Vec::new());
        match value {
            None => assert!(empty, "{}.{}", held.class, property.name),
            Some(value) if has_reference(&property.value) => {
                // On the wire a reference loses the host.
                let pairs = value.elements().iter().zip(property.value.elements());
                for (told, held) in pairs {
                    let path = |one: &cim::Scalar| match one {
                        cim::Scalar::Reference(path) => path.clone(),
                        other => panic!("{other:?}"),
                    };
                    assert!(path(told).same_object(&path(held)), "{told:?} {held:?}");
                }
                assert_eq!(value.elements().len(), property.value.elements().len());
            }
            Some(value) => assert_eq!(value, &property.value, "{}.{}", held.class, property.name),
        }
    }
}

fn has_reference(value: &cim::Value) -> bool {
    value
        .elements()
        .iter()
        .any(|one| one.cim_type() == Some(CimType::Reference))
}

#[test]
fn a_whole_backup_cycle_over_the_wire() {
    let lab = Lab::start(false);
    let session = ours(&lab);
    assert_eq!(session.identify().unwrap().os(), Some((10, 0, 20348)));
    assert_eq!(session.adapt().unwrap().max_envelope_kib, Some(500));
    let vm = session
        .query_paths(
            HYPER_V,
            "SELECT * FROM Msvm_ComputerSystem WHERE ElementName='wéb & <co>'",
        )
        .unwrap()
        .remove(0);
    let service = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSnapshotService");
    let settings =
        Instance::new("Msvm_VirtualSystemSnapshotSettingData").with("ConsistencyLevel", 1_u8);
    let mut inputs = Instance::new("")
        .with("AffectedSystem", vm.clone())
        .with("SnapshotType", 32768_u16);
    inputs.set_embedded("SnapshotSettings", &settings).unwrap();
    let checkpoint = |inputs: &Instance| {
        let job = finish(&lab, &session, &service, "CreateSnapshot", inputs);
        let made = job::results(&session, &job, "Msvm_VirtualSystemSettingData")
            .unwrap()
            .remove(0);
        ObjectPath::new(HYPER_V, &made.class)
            .with_key("InstanceID", made.get::<String>("InstanceID").unwrap())
    };
    let first = checkpoint(&inputs);
    let convert = Instance::new("").with("AffectedSnapshot", first);
    let job = finish(
        &lab,
        &session,
        &service,
        "ConvertToReferencePoint",
        &convert,
    );
    let point = job::results(&session, &job, "Msvm_VirtualSystemReferencePoint")
        .unwrap()
        .remove(0);
    let ids: Vec<String> = point
        .get_list("ResilientChangeTrackingIdentifiers")
        .unwrap();
    // The disks are merged, and the VM is not busy any more.
    lab.time.sleep(A_WHILE);
    let vm = session.get(&vm).unwrap();
    let status: Vec<u16> = vm.get_list("OperationalStatus").unwrap();
    assert_eq!(status.len(), 1, "{status:?}");
    let id = lab.server.service().repository.host.vms()[0].id;
    for n in 0..3 {
        let mut service = lab.server.service();
        service
            .repository
            .host
            .guest_writes(id, 0, n << 20, &[9; 4096])
            .unwrap();
    }
    let second = checkpoint(&inputs);
    let disks = Associations::of(&second)
        .by("Msvm_VirtualSystemSettingDataComponent")
        .to("Msvm_StorageAllocationSettingData");
    // Both ways to ask for associations tell the same.
    let told = session.associators(&disks).unwrap();
    let other = ours(&lab).with_dialect(AssociationDialect::Filter);
    assert_eq!(other.associators(&disks).unwrap(), told);
    assert_eq!(
        other.references(&disks).unwrap().len(),
        session.references(&disks).unwrap().len()
    );
    let question = Instance::new("")
        .with(
            "Path",
            told[0]
                .get_list::<String>("HostResource")
                .unwrap()
                .remove(0),
        )
        .with("LimitId", ids[0].as_str())
        .with("ByteOffset", 0_u64)
        .with("ByteLength", 8_u64 << 20);
    let image = ObjectPath::new(HYPER_V, "Msvm_ImageManagementService");
    let answer = session
        .invoke(&image, "GetVirtualDiskChanges", &question)
        .unwrap();
    assert_eq!(answer.outcome().unwrap(), Invoked::Done);
    let offsets: Vec<u64> = answer.outputs.get_list("ChangedByteOffsets").unwrap();
    let lengths: Vec<u64> = answer.outputs.get_list("ChangedByteLengths").unwrap();
    assert_eq!(
        (offsets, lengths),
        (vec![0, 1 << 20, 2 << 20], vec![4096; 3])
    );
}

fn finish(
    lab: &Lab,
    session: &WsmanSession,
    target: &ObjectPath,
    method: &str,
    inputs: &Instance,
) -> ObjectPath {
    let started = session.invoke(target, method, inputs).unwrap();
    let Invoked::Job(path) = started.outcome().unwrap() else {
        panic!("no job for {method}");
    };
    let end = lab.time.follow(session, &path);
    assert!(matches!(end, JobEnd::Completed(_)), "{end:?}");
    path
}

#[test]
fn over_tls_with_basic_only_with_the_right_password() {
    let lab = Lab::start(true);
    let good = WsmanSession::new(
        Box::new(transport(&lab, true, "admin", PLAIN)),
        Box::new(random_ids().unwrap()),
    );
    assert_eq!(
        good.query(HYPER_V, "SELECT * FROM Msvm_ComputerSystem")
            .unwrap()
            .len(),
        3
    );
    // Basic knows no accounts of a domain.
    for (user, password) in [("admin", "falsch"), ("LAB\\Bäcker", PASSWORD), ("", "")] {
        let bad = WsmanSession::new(
            Box::new(transport(&lab, true, user, password)),
            Box::new(random_ids().unwrap()),
        );
        assert!(
            bad.query(HYPER_V, "SELECT * FROM Msvm_ComputerSystem")
                .is_err(),
            "{user}"
        );
    }
}

#[test]
fn who_has_no_rights_sees_an_empty_host() {
    let lab = Lab::start(false);
    let guest = session(&lab, "gast", PLAIN);
    assert_eq!(
        guest
            .query(HYPER_V, "SELECT * FROM Msvm_ComputerSystem")
            .unwrap(),
        []
    );
    assert_eq!(
        guest
            .query("root/cimv2", "SELECT * FROM Win32_OperatingSystem")
            .unwrap()
            .len(),
        1
    );
    let service = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSnapshotService");
    let error = guest
        .invoke(&service, "CreateSnapshot", &Instance::new(""))
        .unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::AccessDenied));
    assert_eq!(
        guest.adapt().unwrap_err().fault_kind(),
        Some(FaultKind::AccessDenied)
    );
}

#[test]
fn faults_of_both_styles_mean_the_same() {
    for style in ["false", "true"] {
        let scenario = format!(r#"{{"host": {{"wmi-errors": {style}}}}}"#);
        let lab = Lab::of(&scenario, false);
        let session = ours(&lab);
        let gone = ObjectPath::new(HYPER_V, "Msvm_ConcreteJob").with_key("InstanceID", "x");
        let kind = |error: cim::CimError| error.fault_kind();
        let told = [
            session.get(&gone).map(|_| ()).map_err(kind),
            session
                .query(HYPER_V, "SELECT * FROM Msvm_Nothing")
                .map(|_| ())
                .map_err(kind),
            session
                .query("root/nothing", "SELECT * FROM A")
                .map(|_| ())
                .map_err(kind),
            session.query(HYPER_V, "SELECT").map(|_| ()).map_err(kind),
        ];
        let expected = [
            FaultKind::NotFound,
            FaultKind::NoClass,
            FaultKind::NoNamespace,
            FaultKind::BadQuery,
        ];
        assert_eq!(told.map(|t| t.unwrap_err()), expected.map(Some), "{style}");
    }
}
