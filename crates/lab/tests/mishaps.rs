//! What goes wrong on demand, as our client meets it.

mod support;

use std::sync::Arc;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::job::JobEnd;
use cim::wsman::FaultKind;
use cim::{
    CimSession, Hresult, Instance, Invoked, MethodResult, ObjectPath, WsmanSession, random_ids,
};
use hyperkeep_lab::SystemClock;
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::schema::{CIMV2, HYPER_V};
use hyperkeep_lab::state::Power;
use support::{Lab, PASSWORD, checkpoints, create};

const QUICK: &str = r#""checkpoint-ms": 50"#;

fn start(rules: &str, mishap: &str) -> (Lab, WsmanSession) {
    start_with("", rules, mishap)
}

/// With something more to say of the VM, behind a comma.
fn start_with(vm: &str, rules: &str, mishap: &str) -> (Lab, WsmanSession) {
    let scenario = format!(
        r#"{{"vms": [{{"name": "web", "disks": [{{"path": "D:\\a.vhdx", "size": 4194304}}] {vm}}}],
            "volumes": [{{"name": "D:\\", "capacity": 1073741824}}],
            "rules": {{{rules}}}, "limits": {{"batch-items": 1}},
            "mishaps": [{mishap}]}}"#
    );
    let lab = Lab::of(&scenario, false);
    let who = Credentials {
        user: "LAB\\Bäcker".into(),
        password: Secret::new(PASSWORD.into()),
    };
    let endpoint = Endpoint::http("127.0.0.1", Some(lab.server.address().port())).unwrap();
    let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
    let ids = Box::new(random_ids().unwrap());
    (lab, WsmanSession::new(Box::new(transport), ids))
}

fn follow(lab: &Lab, session: &WsmanSession, started: &MethodResult) -> JobEnd {
    let Invoked::Job(job) = started.outcome().unwrap() else {
        panic!("no job");
    };
    lab.time.follow(session, &job)
}

fn completes(lab: &Lab, session: &WsmanSession, started: &MethodResult) {
    let end = follow(lab, session, started);
    assert!(matches!(end, JobEnd::Completed(_)), "{end:?}");
}

fn vanishes(lab: &Lab, session: &WsmanSession, started: &MethodResult) {
    let end = follow(lab, session, started);
    assert!(matches!(end, JobEnd::Vanished(_)), "{end:?}");
}

#[test]
fn a_method_refuses_as_often_as_it_is_told_to() {
    let mishap = r#"{"on": "CreateSnapshot", "skip": 1, "times": 2, "does": {"returns": 32775}}"#;
    let (lab, session) = start(QUICK, mishap);
    let first = create(&session).unwrap();
    completes(&lab, &session, &first);
    for _ in 0..2 {
        let outcome = create(&session).unwrap().outcome().unwrap();
        assert_eq!(outcome, Invoked::Refused(32775));
    }
    assert_eq!(checkpoints(&lab), 1);
    let last = create(&session).unwrap();
    completes(&lab, &session, &last);
    assert_eq!(checkpoints(&lab), 2);
}

#[test]
fn a_refused_request_is_not_carried_out() {
    for (how, kind, unknown) in [
        ("access-denied", FaultKind::AccessDenied, false),
        ("quota", FaultKind::Quota, false),
        ("timed-out", FaultKind::TimedOut, true),
    ] {
        let mishap = format!(r#"{{"on": "CreateSnapshot", "does": {{"refused": "{how}"}}}}"#);
        let (lab, session) = start(QUICK, &mishap);
        let error = create(&session).unwrap_err();
        assert_eq!(error.fault_kind(), Some(kind), "{error}");
        assert_eq!(error.may_have_happened(), unknown, "{error}");
        assert_eq!(checkpoints(&lab), 0);
    }
}

#[test]
fn a_lost_request_is_not_carried_out_and_nobody_can_know() {
    let (lab, session) = start(QUICK, r#"{"on": "CreateSnapshot", "does": "lost"}"#);
    let error = create(&session).unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    assert_eq!(checkpoints(&lab), 0);
    let again = create(&session).unwrap();
    completes(&lab, &session, &again);
}

#[test]
fn a_job_fails_with_the_error_that_it_is_told() {
    let mishap = r#"{"on": "CreateSnapshot", "before": [{"job-fails": {"hresult": "0x80070005", "text": "Zugriff"}}]}"#;
    let (lab, session) = start(QUICK, mishap);
    let started = create(&session).unwrap();
    let JobEnd::Failed(failure) = follow(&lab, &session, &started) else {
        panic!("it did not fail");
    };
    assert_eq!(failure.code, Some(Hresult(0x8007_0005)));
    assert_eq!(checkpoints(&lab), 0);
    let again = create(&session).unwrap();
    completes(&lab, &session, &again);
}

/// The answer is lost at different places: nothing of it, within the head, behind it, within the body,
/// and with one byte missing.
#[test]
fn a_lost_answer_leaves_open_whether_it_was_done() {
    for bytes in ["0", "30", r#""before-body""#, "700", r#""before-last""#] {
        let mishap = format!(r#"{{"on": "CreateSnapshot", "does": {{"cut": {bytes}}}}}"#);
        let (lab, session) = start(QUICK, &mishap);
        let error = create(&session).unwrap_err();
        assert!(error.may_have_happened(), "{bytes}: {error}");
        assert_eq!(checkpoints(&lab), 1, "it was done, and once");
    }
}

#[test]
fn a_lost_page_costs_nothing_but_time() {
    for (on, skip) in [("Enumerate", 0), ("Pull", 0), ("Pull", 1)] {
        let mishap = format!(r#"{{"on": "{on}", "skip": {skip}, "does": {{"cut": 500}}}}"#);
        let (lab, session) = start(QUICK, &mishap);
        let class = "CIM_ResourceAllocationSettingData";
        let all = session
            .query(HYPER_V, &format!("SELECT * FROM {class}"))
            .unwrap();
        let id = |instance: &Instance| instance.get::<String>("InstanceID").unwrap();
        let told: Vec<String> = all.iter().map(id).collect();
        let mut service = lab.server.service();
        assert_eq!(service.mishaps, [], "it happened");
        let held = service.repository.instances(HYPER_V, class).unwrap();
        assert_eq!(told, held.iter().map(id).collect::<Vec<_>>(), "{on} {skip}");
        assert!(told.len() > 4);
    }
}

#[test]
fn a_job_that_is_gone_says_nothing_of_its_end() {
    let restart = r#"{"on": "CreateSnapshot", "after": ["restart-service"]}"#;
    let (lab, session) = start(QUICK, restart);
    let started = create(&session).unwrap();
    vanishes(&lab, &session, &started);
    assert_eq!(
        checkpoints(&lab),
        0,
        "the service restarted before it was done"
    );
    // The same, but it was done.
    let restart = r#"{"on": "CreateSnapshot", "after": ["restart-service-when-done"]}"#;
    let (lab, session) = start(QUICK, restart);
    let started = create(&session).unwrap();
    vanishes(&lab, &session, &started);
    assert_eq!(checkpoints(&lab), 1);
    // In the middle of it, while somebody looks.
    let restart = r#"{"on": "Get", "skip": 1, "after": ["restart-service"]}"#;
    let (lab, session) = start(r#""checkpoint-ms": 60000"#, restart);
    let started = create(&session).unwrap();
    vanishes(&lab, &session, &started);
    assert_eq!(checkpoints(&lab), 0);
    // Done, and forgotten before anybody looked.
    let (lab, session) = start(r#""checkpoint-ms": 50, "job-removed-ms": 0"#, "");
    let started = create(&session).unwrap();
    vanishes(&lab, &session, &started);
    assert_eq!(checkpoints(&lab), 1);
}

#[test]
fn what_cannot_go_wrong_is_told() {
    for (mishap, why) in [
        (r#"{"on": "Get"}"#, "nothing happens"),
        (r#"{"does": "lost"}"#, "at which request"),
        (
            r#"{"on": "Get", "before": [{"job-fails": {"hresult": "5"}}]}"#,
            "0x",
        ),
        (
            r#"{"on": "Get", "does": {"held": "late"}, "after": ["restart-service"]}"#,
            "nothing after it",
        ),
    ] {
        let scenario = format!(r#"{{"mishaps": [{mishap}]}}"#);
        let folder = tempfile::tempdir().unwrap();
        let scenario = Scenario::read(&scenario).unwrap();
        let host = scenario
            .build(folder.path(), Arc::new(SystemClock))
            .unwrap();
        let error = scenario.service(host).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
    let mishap = r#"{"on": "CreateSnapshot", "before": [{"receives-delta": "web"}]}"#;
    let (_lab, session) = start("", mishap);
    let error = create(&session).unwrap_err().to_string();
    assert!(error.contains("Szenario"), "{error}");
    let mishap = r#"{"on": "CreateSnapshot", "before": [{"loses-tracking": "D:\\b.vhdx"}]}"#;
    let (lab, session) = start(QUICK, mishap);
    let error = create(&session).unwrap_err().to_string();
    assert!(error.contains("b.vhdx"), "{error}");
    assert_eq!(checkpoints(&lab), 0);
}

/// Everything that a scenario can make happen, in one: it is understood, and happens.
#[test]
fn every_accident_can_be_told() {
    let accidents = r#"{"on": "CreateSnapshot", "before": [
        {"writes": {"vm": "web", "what": {"offset": 4096, "length": 512, "seed": 3}}},
        {"takes-checkpoint": {"vm": "web", "name": "theirs", "kind": "recovery"}},
        {"drops-checkpoint": {"vm": "web", "name": "theirs"}},
        {"settles": {"vm": "web", "is": false}},
        {"stuck": {"vm": "web", "is": true}},
        {"stuck": {"vm": "web", "is": false}},
        {"turns": {"vm": "web", "state": "off"}},
        {"merge-fails": {}},
        {"loses-tracking": "D:\\a.vhdx"}]}"#;
    let (lab, session) = start(QUICK, accidents);
    let outcome = create(&session).unwrap().outcome().unwrap();
    assert!(
        matches!(outcome, Invoked::Refused(32775)),
        "it merges: {outcome:?}"
    );
    let mut service = lab.server.service();
    assert_eq!(service.mishaps, []);
    let host = &mut service.repository.host;
    let vm = &host.vms()[0];
    assert!(!vm.guest.settles && vm.checkpoints.is_empty());
    assert_eq!(vm.power, Power::Off);
}

#[test]
fn without_room_a_checkpoint_fails_and_later_does_not() {
    let mishaps = r#"
        {"on": "CreateSnapshot", "before": [{"space": {"volume": "D:", "free": 0}}]},
        {"on": "CreateSnapshot", "before": [{"space": {"volume": "D:", "free": 99000000}}]}"#;
    let (lab, session) = start(QUICK, mishaps);
    let free = |session: &WsmanSession| -> u64 {
        let all = session.query(CIMV2, "SELECT * FROM Win32_Volume").unwrap();
        all[0].get("FreeSpace").unwrap()
    };
    assert!(free(&session) > 99_000_000);
    let started = create(&session).unwrap();
    let JobEnd::Failed(failure) = follow(&lab, &session, &started) else {
        panic!("there was room");
    };
    assert_eq!(failure.code, Some(Hresult(0x8007_0070)));
    assert_eq!((free(&session), checkpoints(&lab)), (0, 0));
    let started = create(&session).unwrap();
    completes(&lab, &session, &started);
    assert_eq!(checkpoints(&lab), 1);
}

#[test]
fn a_replica_is_in_the_way_until_its_delta_is_applied() {
    let vm = r#", "state": "off", "replication":
        {"mode": 2, "state": 3, "health": 1, "interval": 300, "delta-ms": 300}"#;
    let mishap = r#"{"on": "CreateSnapshot", "before": [{"receives-delta": "web"}]}"#;
    let (lab, session) = start_with(vm, QUICK, mishap);
    let started = create(&session).unwrap();
    let JobEnd::Failed(failure) = follow(&lab, &session, &started) else {
        panic!("nothing was in the way");
    };
    // Only the text says what it is.
    assert_eq!((failure.code, failure.errors.len()), (None, 1));
    assert_eq!(checkpoints(&lab), 0);
    let started = create(&session).unwrap();
    completes(&lab, &session, &started);
    // Suspended, none arrives; and it goes on afterwards.
    let vm = session
        .query_paths(
            HYPER_V,
            "SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'",
        )
        .unwrap()
        .remove(0);
    for (wanted, state) in [(7_u16, 7), (1, 3)] {
        let inputs = Instance::new("").with("RequestedState", wanted);
        let method = "RequestReplicationStateChangeEx";
        let started = session.invoke(&vm, method, &inputs).unwrap();
        completes(&lab, &session, &started);
        let query = "SELECT * FROM Msvm_ReplicationRelationship";
        let told = session.query(HYPER_V, query).unwrap();
        assert_eq!(told[0].get::<u16>("ReplicationState"), Ok(state));
    }
}

/// Asks what changed on the disk since the first checkpoint, by the second.
fn changes(lab: &Lab, session: &WsmanSession) -> Invoked {
    let (path, since) = {
        let service = lab.server.service();
        let vm = &service.repository.host.vms()[0];
        let path = vm.checkpoints[1]
            .settings
            .disks()
            .next()
            .unwrap()
            .1
            .to_owned();
        (path, vm.checkpoints[0].tracked[0].id.clone().unwrap())
    };
    let service = ObjectPath::new(HYPER_V, "Msvm_ImageManagementService");
    let inputs = Instance::new("")
        .with("Path", path)
        .with("LimitId", since)
        .with("ByteOffset", 0_u64)
        .with("ByteLength", 4_u64 << 20);
    let result = session.invoke(&service, "GetVirtualDiskChanges", &inputs);
    result.unwrap().outcome().unwrap()
}

#[test]
fn an_id_of_change_tracking_is_lost_between_two_backups() {
    let mishap =
        r#"{"on": "CreateSnapshot", "skip": 2, "before": [{"loses-tracking": "D:\\a.vhdx"}]}"#;
    let (lab, session) = start(QUICK, mishap);
    for _ in 0..2 {
        let started = create(&session).unwrap();
        completes(&lab, &session, &started);
    }
    assert_eq!(changes(&lab, &session), Invoked::Done);
    let started = create(&session).unwrap();
    completes(&lab, &session, &started);
    assert_eq!(changes(&lab, &session), Invoked::Refused(32768));
}

#[test]
fn a_merge_fails_in_the_background_and_its_job_tells_so() {
    let mishap =
        r#"{"on": "DestroySnapshot", "before": [{"merge-fails": {"hresult": "0x80070299"}}]}"#;
    let (lab, session) = start(
        r#""checkpoint-ms": 50, "destroy-ms": 20, "merge-ms": 20"#,
        mishap,
    );
    let started = create(&session).unwrap();
    completes(&lab, &session, &started);
    let recovery = "SELECT * FROM Msvm_VirtualSystemSettingData WHERE VirtualSystemType = 'Microsoft:Hyper-V:Snapshot:Recovery'";
    let made = session.query_paths(HYPER_V, recovery).unwrap().remove(0);
    let service = ObjectPath::new(HYPER_V, "Msvm_VirtualSystemSnapshotService");
    let inputs = Instance::new("").with("AffectedSnapshot", made);
    let started = session
        .invoke(&service, "DestroySnapshot", &inputs)
        .unwrap();
    completes(&lab, &session, &started);
    assert_eq!(checkpoints(&lab), 0);
    let failed = "SELECT * FROM Msvm_ConcreteJob WHERE JobType = 50 AND JobState = 10";
    let merges = session.query(HYPER_V, failed).unwrap();
    let text: String = merges[0].get("ErrorDescription").unwrap();
    assert_eq!(Hresult::find(&text), Some(Hresult(0x8007_0299)));
    let disks = "SELECT * FROM Msvm_StorageAllocationSettingData";
    let leaf: Vec<String> = session.query(HYPER_V, disks).unwrap()[0]
        .get_list("HostResource")
        .unwrap();
    assert!(leaf[0].ends_with(".avhdx"), "the chain stays: {leaf:?}");
}
