//! Answers about changes that no source rules out.

use super::*;

/// A frozen disk, the id of a point before it, and the service to ask.
fn asked(bench: &mut Bench) -> (Instance, ObjectPath) {
    let vm = bench.repository.host.vms()[0].id;
    let path = bench.path("SELECT * FROM Msvm_ComputerSystem WHERE ElementName = 'web'");
    let snapshots = bench.service("Msvm_VirtualSystemSnapshotService");
    let create = Instance::new("")
        .with("AffectedSystem", path)
        .with("SnapshotType", 32768_u16);
    bench.finish(&snapshots, "CreateSnapshot", create.clone());
    let since = bench.repository.host.vms()[0].checkpoints[0].tracked[0].clone();
    let host = &mut bench.repository.host;
    host.guest_writes(vm, 0, 5 << 20, &[7; 512]).unwrap();
    bench.finish(&snapshots, "CreateSnapshot", create);
    let frozen = &bench.repository.host.vms()[0].checkpoints[1];
    let question = Instance::new("")
        .with("Path", frozen.settings.disks().next().unwrap().1)
        .with("LimitId", since.id.unwrap())
        .with("ByteOffset", 4_u64 << 20)
        .with("ByteLength", 4_u64 << 20);
    let service = bench.service("Msvm_ImageManagementService");
    (question, service)
}

fn offsets(answer: &Instance) -> Vec<u64> {
    answer.get_list("ChangedByteOffsets").unwrap()
}

#[test]
fn offsets_count_from_the_disk_or_from_the_question() {
    let mut bench = bench();
    let (question, service) = asked(&mut bench);
    for (rule, expected) in [(false, 5 << 20), (true, 1 << 20)] {
        bench.repository.host.rules.changes_count_from_question = rule;
        let answer = bench.call(&service, "GetVirtualDiskChanges", question.clone());
        assert_eq!(offsets(&answer), [expected]);
    }
}

#[test]
fn an_answer_without_progress_tells_nothing() {
    let mut bench = bench();
    let (question, service) = asked(&mut bench);
    bench.repository.host.rules.changes_stand_still = true;
    let answer = bench.call(&service, "GetVirtualDiskChanges", question);
    assert_eq!(answer.get::<u32>("ReturnValue").unwrap(), 0);
    assert_eq!(answer.get::<u64>("ProcessedByteLength").unwrap(), 0);
    assert_eq!(offsets(&answer), [0_u64; 0]);
}

#[test]
fn an_answer_as_a_job_tells_nothing_either() {
    let mut bench = bench();
    let (mut question, service) = asked(&mut bench);
    bench.repository.host.rules.changes_as_job = true;
    let answer = bench.call(&service, "GetVirtualDiskChanges", question.clone());
    assert_eq!(answer.get::<u32>("ReturnValue").unwrap(), 4096);
    assert!(
        answer
            .property("ChangedByteOffsets")
            .unwrap()
            .value
            .is_null()
    );
    let path: ObjectPath = answer.get("Job").unwrap();
    assert_eq!(path.class, "Msvm_StorageJob");
    bench.clock.advance(Duration::from_secs(5));
    let job = bench.repository.get(&path).unwrap();
    assert_eq!(job.get::<u16>("JobState").unwrap(), 7);
    assert_eq!(job.get::<u32>("JobCompletionStatusCode").unwrap(), 0);
    let errors = bench.call(&path, "GetErrorEx", Instance::new(""));
    assert_eq!(errors.get_list::<Instance>("Errors").unwrap(), []);
    // What is refused is refused without a job.
    question.set("LimitId", "another");
    let answer = bench.call(&service, "GetVirtualDiskChanges", question);
    assert_eq!(answer.get::<u32>("ReturnValue").unwrap(), 32768);
}

#[test]
fn points_name_disks_by_what_is_in_the_drive_or_by_the_drive() {
    let mut bench = bench();
    asked(&mut bench);
    let vm = bench.repository.host.vms()[0].id;
    let first = bench.repository.host.vms()[0].checkpoints[0].settings.id;
    bench.clock.advance(Duration::from_secs(60));
    bench.repository.host.convert_checkpoint(vm, first).unwrap();
    bench.clock.advance(Duration::from_secs(60));
    for (rule, ending, class) in [
        (false, "\\L", "Msvm_StorageAllocationSettingData"),
        (true, "\\D", "Msvm_ResourceAllocationSettingData"),
    ] {
        bench.repository.host.rules.points_name_drives = rule;
        let point = bench.one("SELECT * FROM Msvm_VirtualSystemReferencePoint");
        let disks: Vec<String> = point.get_list("VirtualDiskIdentifiers").unwrap();
        assert!(disks[0].ends_with(ending), "{disks:?}");
        let path = ObjectPath::new(HYPER_V, class).with_key("InstanceID", disks[0].as_str());
        bench.repository.get(&path).unwrap();
    }
}
