//! A cluster over the wire: two nodes, and a VM that moves in the middle of a backup.

mod support;

use std::sync::Arc;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::job::{JobEnd, Pace as _};
use cim::wsman::FaultKind;
use cim::{CimSession, Instance, Invoked, ObjectPath, WsmanSession, random_ids};
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::schema::{CLUSTER, HYPER_V};
use hyperkeep_lab::server::Server;
use support::{A_WHILE, Time};

const SCENARIO: &str = r#"{
    "cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
    "accounts": [{"user": "LAB\\backup", "password": "geheim"}],
    "volumes": [{"name": "C:\\ClusterStorage\\Volume1", "capacity": 1073741824}],
    "vms": [{"name": "web", "disks": [{"path": "C:\\ClusterStorage\\Volume1\\web\\a.vhdx", "size": 4194304}]},
            {"name": "db", "node": "HV02",
             "disks": [{"path": "C:\\ClusterStorage\\Volume1\\db\\a.vhdx", "size": 4194304}]}],
    "rules": {"checkpoint-ms": 50, "migration-ms": 50},
    "mishaps": [{"on": "CreateSnapshot", "after": [{"migrates": {"vm": "web", "to": "HV02"}}]}]
}"#;

fn session(server: &Server) -> WsmanSession {
    let who = Credentials {
        user: "LAB\\backup".into(),
        password: Secret::new("geheim".into()),
    };
    let endpoint = Endpoint::http("127.0.0.1", Some(server.address().port())).unwrap();
    let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
    WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()))
}

fn start(scenario: &str) -> (tempfile::TempDir, Vec<Server>, Time) {
    let time = Time::new();
    let folder = tempfile::tempdir().unwrap();
    let scenario = Scenario::read(scenario).unwrap();
    let hosts = scenario.build_all(folder.path(), Arc::new(time.0.clone()));
    let servers = hosts.unwrap().into_iter().map(|host| {
        let service = scenario.service(host).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        Server::start(address, service, scenario.accounts(), None).unwrap()
    });
    let servers = servers.collect();
    (folder, servers, time)
}

/// Which node owns the VM of a name, and the VM's id, as the cluster's resources tell it.
fn owner(session: &WsmanSession, vm: &str) -> (String, String) {
    let query = "SELECT * FROM MSCluster_Resource WHERE Type = 'Virtual Machine'";
    let all = session.query(CLUSTER, query).unwrap();
    let group = |i: &&Instance| i.get::<String>("OwnerGroup").unwrap() == vm;
    let resource = all.iter().find(group).unwrap();
    let private: Instance = resource.get("PrivateProperties").unwrap();
    (
        resource.get("OwnerNode").unwrap(),
        private.get("VmID").unwrap(),
    )
}

fn names(session: &WsmanSession) -> Vec<String> {
    let all = session
        .query(HYPER_V, "SELECT * FROM Msvm_ComputerSystem")
        .unwrap();
    all.iter().map(|i| i.get("ElementName").unwrap()).collect()
}

#[test]
fn a_vm_is_found_where_the_cluster_says_before_and_after_it_moved() {
    let (_folder, servers, time) = start(SCENARIO);
    let sessions: Vec<WsmanSession> = servers.iter().map(session).collect();
    for session in &sessions {
        let cluster = session
            .query(CLUSTER, "SELECT * FROM MSCluster_Cluster")
            .unwrap();
        assert_eq!(cluster[0].get::<String>("Name").unwrap(), "CL1");
        let nodes = session
            .query(CLUSTER, "SELECT * FROM MSCluster_Node")
            .unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(owner(session, "web").0, "HV01");
        assert_eq!(owner(session, "db").0, "HV02");
        let groups = "SELECT * FROM MSCluster_ResourceGroup WHERE GroupType = 111";
        assert_eq!(session.query(CLUSTER, groups).unwrap().len(), 2);
        let shared = "SELECT * FROM MSCluster_ClusterSharedVolume";
        assert_eq!(session.query(CLUSTER, shared).unwrap().len(), 1);
    }
    assert_eq!(names(&sessions[0]), ["HV01", "web"]);
    assert_eq!(names(&sessions[1]), ["HV02", "db"]);
    let (_, id) = owner(&sessions[0], "web");
    let vm = ObjectPath::new(HYPER_V, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", id);
    let service = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSnapshotService");
    let inputs = Instance::new("")
        .with("AffectedSystem", vm.clone())
        .with("SnapshotType", 32768_u16);
    let started = sessions[0]
        .invoke(&service, "CreateSnapshot", &inputs)
        .unwrap();
    let Invoked::Job(job) = started.outcome().unwrap() else {
        panic!("no job");
    };
    let end = time.follow(&sessions[0], &job);
    assert!(matches!(end, JobEnd::Completed(_)), "{end:?}");
    // It has time to move now. Somebody has to ask the old node before the new one has it.
    time.sleep(A_WHILE);
    assert_eq!(owner(&sessions[0], "web").0, "HV02");
    assert_eq!(names(&sessions[0]), ["HV01"]);
    assert_eq!(names(&sessions[1]), ["HV02", "db", "web"]);
    let error = sessions[0].get(&vm).unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::NotFound), "{error}");
    let recovery = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Recovery'";
    assert_eq!(sessions[0].query(HYPER_V, recovery).unwrap().len(), 0);
    assert_eq!(sessions[1].query(HYPER_V, recovery).unwrap().len(), 1);
}

#[test]
fn a_host_without_a_cluster_does_not_have_its_namespace() {
    let scenario = r#"{"accounts": [{"user": "LAB\\backup", "password": "geheim"}]}"#;
    let (_folder, servers, _) = start(scenario);
    let error = session(&servers[0])
        .query(CLUSTER, "SELECT * FROM MSCluster_Cluster")
        .unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::NoNamespace), "{error}");
}

/// What the private properties are called no public source says.
#[test]
fn private_properties_have_the_names_that_the_scenario_wants() {
    for (wanted, names) in [
        ("as-known", &["VmID", "VmStoreRootPath"][..]),
        ("other-case", &["vmid", "VMSTOREROOTPATH"]),
        ("other", &["VirtualMachineId", "StorePath"]),
        ("untold", &[]),
    ] {
        let rules = format!(r#""rules": {{"cluster-names": "{wanted}", "#);
        let (_folder, servers, _) = start(&SCENARIO.replace(r#""rules": {"#, &rules));
        let query = "SELECT * FROM MSCluster_Resource WHERE Type = 'Virtual Machine'";
        let all = session(&servers[0]).query(CLUSTER, query).unwrap();
        assert_eq!(all.len(), 2);
        for resource in all {
            let private: Instance = resource.get("PrivateProperties").unwrap();
            let told = private.properties().iter().map(|p| p.name.as_str());
            let told = told.filter(|name| *name != "CheckHeartbeat");
            assert_eq!(told.collect::<Vec<_>>(), names, "{wanted}");
        }
    }
}
