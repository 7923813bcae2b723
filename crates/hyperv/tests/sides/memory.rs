//! A VM that runs, with its memory.

use std::sync::Arc;
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;
use disk::BlockRead;
use hyperkeep_hyperv::cluster::Cluster;
use hyperkeep_hyperv::control::{ChangeError, Control};
use hyperkeep_hyperv::files::{HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::frozen::FileRole;
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::memory::{ExportError, MemoryExport, Needs, Request};
use hyperkeep_hyperv::recovery::{Remembered, recover};
use hyperkeep_hyperv::space::Floor;
use lab::state::{Accident, Failure, Power};
use uuid::Uuid;

use crate::cluster::{follow, moves, sessions};
use crate::support::{Lab, MARK, folder};

const MIB: u64 = 1 << 20;

/// A VM that runs on disks of which one has a checkpoint below it, and a volume that has room.
const SCENARIO: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 10737418240}],
    "vms": [{"name": "wéb", "memory": 64,
             "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304},
                       {"path": "D:\\VMs\\web\\b.vhdx", "size": 4194304}],
             "checkpoints": [{"name": "before", "writes": [{"offset": 4096, "length": 4096, "seed": 7}]}],
             "writes": [{"offset": 8192, "length": 4096, "seed": 8}]},
            {"name": "off", "state": "off"}],
    "rules": {"export-ms": 30000}
}"#;

const FLOOR: Floor = Floor {
    percent: 0,
    bytes: MIB,
};

fn take(
    control: &Arc<Control>,
    lab: &Lab,
    vm: Uuid,
    floor: Floor,
) -> Result<MemoryExport, ExportError> {
    std::fs::create_dir_all(lab.folder.path().join("D/Staging")).unwrap();
    let request = Request {
        vm,
        staging: r"D:\Staging",
        floor,
        mark: MARK,
    };
    MemoryExport::take(control, &lab.files(), &request)
}

/// What is in the staging folder.
fn staged(lab: &Lab) -> usize {
    let folder = lab.folder.path().join("D/Staging");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn reads(lab: &Lab, vm: Uuid, drive: usize) -> Vec<u8> {
    let service = lab.servers[0].service();
    let host = &service.repository.host;
    let (_, path) = host.vm(vm).unwrap().settings.disks().nth(drive).unwrap();
    let path = path.to_owned();
    drop(service);
    let medium = lab.files();
    let finder = hyperkeep_hyperv::files::HostFinder::new(&medium);
    let path = hyperkeep_hyperv::files::HostPath::parse(&path).unwrap();
    let layers = disk::resolve::resolve(&finder, &hyperkeep_hyperv::files::HostFinder::path(&path));
    let layers = layers
        .unwrap()
        .into_iter()
        .map(|found| found.layer)
        .collect();
    let chain = disk::Chain::new(layers).unwrap();
    let mut bytes = vec![0; 4 << 20];
    chain.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn memory_comes_with_the_disks_of_its_moment_and_nothing_stays() {
    let lab = Lab::start(SCENARIO);
    let vm = lab.vm(0);
    let now = [reads(&lab, vm, 0), reads(&lab, vm, 1)];
    assert!(now[0].iter().any(|byte| *byte != 0));
    lab.with(|control| {
        let export = take(control, &lab, vm, FLOOR).unwrap();
        assert_eq!(export.needs.memory, 64 * MIB);
        assert!(export.needs.disks > 3 * MIB, "{}", export.needs);
        assert_eq!((export.lost.len(), export.lost_files.len()), (0, 0));
        assert!(export.folder().contains(&MARK.installation.to_string()));
        // The guest goes on meanwhile.
        let mut service = lab.servers[0].service();
        let host = &mut service.repository.host;
        host.guest_writes(vm, 0, 8192, &[9; 4096]).unwrap();
        drop(service);
        for (disk, now) in export.disks.iter().zip(&now) {
            let mut bytes = vec![0; 4 << 20];
            disk.chain.read_at(0, &mut bytes).unwrap();
            assert!(bytes == *now, "{}", disk.medium.path);
            assert!(disk.medium.path.starts_with(export.folder()));
        }
        let roles: Vec<FileRole> = export.files.iter().map(|file| file.role).collect();
        assert!(roles.contains(&FileRole::RuntimeState), "{roles:?}");
        export.verify().unwrap();
        assert_eq!(staged(&lab), 1);
        export.remove().unwrap();
        assert_eq!(staged(&lab), 0);
        // And when it is dropped.
        drop(take(control, &lab, vm, FLOOR).unwrap());
        assert_eq!(staged(&lab), 0);
        assert!(control.take_notes().is_empty());
    });
    // The VM goes on as it was.
    lab.on(vm, |vm| {
        assert_eq!((vm.power, vm.checkpoints.len()), (Power::Running, 1));
        assert!(!vm.merges_off);
    });
}

#[test]
fn it_is_not_begun_where_it_cannot_be_or_would_do_harm() {
    let lab = Lab::start(SCENARIO);
    let (vm, off) = (lab.vm(0), lab.vm(1));
    lab.with(|control| {
        let refused = |vm, floor| take(control, &lab, vm, floor).err().unwrap();
        assert!(matches!(refused(off, FLOOR), ExportError::NotRunning));
        let floor = Floor {
            percent: 0,
            bytes: 10 << 30,
        };
        let error = refused(vm, floor);
        let text = error.to_string();
        assert!(matches!(error, ExportError::NoRoom { .. }), "{error}");
        assert!(
            text.contains("memory 64 MiB") && text.contains("D:\\"),
            "{text}"
        );
        // Somebody's folder in the place of ours is left alone.
        let theirs = lab.folder.path().join("D/Staging");
        let name = format!("{} {vm}", MARK.name());
        std::fs::create_dir_all(theirs.join(&name)).unwrap();
        assert!(matches!(refused(vm, FLOOR), ExportError::Exists(_)));
        assert_eq!(staged(&lab), 1);
        std::fs::remove_dir(theirs.join(&name)).unwrap();
        for staging in ["Staging", r"\\nas\staging", r"E:\Staging"] {
            let request = Request {
                vm,
                staging,
                floor: FLOOR,
                mark: MARK,
            };
            let error = MemoryExport::take(control, &lab.files(), &request).err();
            let error = error.unwrap();
            let bad = matches!(
                error,
                ExportError::BadFolder(_) | ExportError::RoomUnknown(_)
            );
            assert!(bad, "{staging}: {error}");
        }
        assert_eq!(control.journal().reading().unwrap().last, 0);
    });
}

#[test]
fn what_fails_leaves_nothing() {
    let lab = Lab::start(SCENARIO);
    let vm = lab.vm(0);
    lab.with(|control| {
        let failure = Failure::general(Some(0x8007_0005), "Zugriff verweigert");
        let mut service = lab.servers[0].service();
        let fails = Accident::JobFails(failure);
        service.repository.host.suffer(&fails).unwrap();
        drop(service);
        let error = take(control, &lab, vm, FLOOR).err().unwrap();
        assert!(error.to_string().contains("80070005"), "{error}");
        assert_eq!(staged(&lab), 0);
    });
}

/// The volume fills while the host exports, until less is free than has to be but enough for the export.
/// The host ends it when it is asked to, or was done with it by then, or does not end it.
#[test]
fn an_export_that_would_fill_its_volume_is_ended_and_removed() {
    let filling = |more: &str| {
        let mishaps = format!(
            r#"{{"mishaps": [{more} {{"on": "DeleteEx", "does": "told"}}, {{"on": "ExportSystemDefinition", "after":
                [{{"space": {{"volume": "D:\\", "free": 104857600}}}}]}}],"#
        );
        Lab::start(&SCENARIO.replacen('{', &mishaps, 1))
    };
    let floor = Floor {
        percent: 0,
        bytes: 1 << 30,
    };
    let done = r#"{"on": "RequestStateChange", "before": [{"time-passes-s": 60}]},"#;
    for more in ["", done] {
        let lab = filling(more);
        lab.with(|control| {
            let begun = lab.time.now();
            let error = take(control, &lab, lab.vm(0), floor).err().unwrap();
            assert!(matches!(error, ExportError::Ended(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains("100 MiB are free on D:"), "{text}");
            // Well before the host would have been done.
            assert!(lab.time.now() - begun < Duration::from_secs(20));
            assert_eq!(staged(&lab), 0);
            assert!(control.take_notes().is_empty());
        });
        assert_eq!(lab.servers[0].service().mishaps, [], "there was something");
        // With room again it can be exported.
        let room = Accident::Space("D:\\".to_owned(), 9 << 30);
        let mut service = lab.servers[0].service();
        service.repository.host.suffer(&room).unwrap();
        drop(service);
        lab.with(|control| drop(take(control, &lab, lab.vm(0), floor).unwrap()));
        assert_eq!(staged(&lab), 0);
    }
}

/// It goes on, whatever is asked of it: what it will have made is in the journal, and the next run
/// removes it.
#[test]
fn an_export_that_cannot_be_ended_is_left_to_the_next_run() {
    let mishaps = r#"{"mishaps": [
        {"on": "ExportSystemDefinition", "after": [{"space": {"volume": "D:\\", "free": 104857600}}]},
        {"on": "RequestStateChange", "does": {"returns": 32775}}],"#;
    let long = SCENARIO.replace(r#""export-ms": 30000"#, r#""export-ms": 300000"#);
    let lab = Lab::start(&long.replacen('{', mishaps, 1));
    let vm = lab.vm(0);
    let floor = Floor {
        percent: 0,
        bytes: 1 << 30,
    };
    let journals = folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = Arc::new(lab.control(Arc::new(lab.session()), &journal));
    let error = take(&control, &lab, vm, floor).err().unwrap();
    let unknown = |error: &ChangeError| matches!(error, ChangeError::Unknown { .. });
    assert!(
        matches!(&error, ExportError::Change(error) if unknown(error)),
        "{error}"
    );
    let notes = control.take_notes();
    assert!(notes[0].contains("asked to end: 100 MiB"), "{notes:?}");
    assert!(!journal.reading().unwrap().is_settled());
    let killed = std::fs::read(journal.path()).unwrap();
    lab.time.sleep(Duration::from_secs(300));
    lab.on(vm, |vm| assert_eq!(vm.busy, None));
    assert_eq!(staged(&lab), 1, "it was exported");
    lab.next_runs(&killed, "not ended");
    assert_eq!(staged(&lab), 0);
}

#[test]
fn how_much_is_needed_is_told_before_anything_is_begun() {
    let lab = Lab::start(SCENARIO);
    let session = lab.session();
    let all = hyperkeep_hyperv::inventory::take(&session).unwrap();
    let needs = Needs::ask(&session, &all.machine(lab.vm(0)).unwrap().settings).unwrap();
    let folder = lab.folder.path().join("D/VMs/web");
    let files = std::fs::read_dir(folder).unwrap();
    let disks = files.filter_map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let disk = name.ends_with(".vhdx") || name.ends_with(".avhdx");
        disk.then(|| entry.metadata().unwrap().len())
    });
    assert_eq!(needs.disks, disks.sum::<u64>());
    let none = Needs::ask(&session, &all.machine(lab.vm(1)).unwrap().settings).unwrap();
    assert_eq!(none.disks, 0);
}

#[test]
fn killed_at_any_request_nothing_stays_in_the_staging_folder() {
    let mut requests = 0;
    for at in 1..200 {
        let mut ended = false;
        for sent in [false, true] {
            for late in [0, 3600] {
                let lab = Lab::start(SCENARIO);
                let vm = lab.vm(0);
                let journal = lab.killed((at, sent), |control| {
                    drop(take(control, &lab, vm, FLOOR));
                });
                let Some(journal) = journal else {
                    assert_eq!(staged(&lab), 0);
                    ended = true;
                    continue;
                };
                lab.time.sleep(Duration::from_secs(late));
                let what = format!("request {at}, sent {sent}, late {late}");
                lab.next_runs(&journal, &what);
                lab.on(vm, |_| {});
                assert_eq!(staged(&lab), 0, "{what}");
            }
        }
        if ended {
            break;
        }
        requests = at;
    }
    assert!((15..150).contains(&requests), "{requests}");
}

/// A cluster whose nodes have a drive of their own each, beside what they share.
const CLUSTER: &str = r#"{
    "cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
    "volumes": [{"name": "D:\\", "capacity": 10737418240},
                {"name": "C:\\ClusterStorage\\Volume1", "capacity": 10737418240}],
    "vms": [{"name": "web", "memory": 64, "folder": "C:\\ClusterStorage\\Volume1\\web",
             "disks": [{"path": "C:\\ClusterStorage\\Volume1\\web\\a.vhdx", "size": 4194304}]}]
}"#;

/// An export is on the node that had the VM then, wherever the VM is by now.
#[test]
fn what_was_exported_before_its_vm_moved_is_removed_from_where_it_is() {
    let lab = Arc::new(Lab::start(CLUSTER));
    let vm = lab.vm(0);
    let drive = lab.folder.path().join("HV01/D");
    let staging = drive.join("Staging");
    std::fs::create_dir_all(&staging).unwrap();
    let staged = || -> Vec<_> {
        let entries = std::fs::read_dir(&staging).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let path = |text| HostPath::parse(text).unwrap();
    let shared = lab.folder.path().join("shared/C/ClusterStorage");
    let map = PathMap::new().with(path("D:\\"), drive);
    let files = MappedFiles::new(map.with(path("C:\\ClusterStorage"), shared));
    let request = Request {
        vm,
        staging: r"D:\Staging",
        floor: FLOOR,
        mark: MARK,
    };
    let found = Cluster::find("HV01", sessions(&lab, "")).unwrap();
    let cluster = Arc::new(found.expect("a cluster"));
    let journals = folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = Arc::new(lab.control(follow(&lab, &cluster, vm), &journal));
    let export = MemoryExport::take(&control, &files, &request).unwrap();
    let folders = staged();
    assert_eq!(folders.len(), 1);
    let killed = std::fs::read(journal.path()).unwrap();
    moves(&lab, vm);
    export.remove().unwrap();
    assert_eq!(staged().len(), 0);
    assert!(journal.reading().unwrap().is_settled());
    // The same by the next run, which finds the VM where it is now, or not at all.
    let next = |session: Arc<dyn CimSession>| {
        let journals = folder();
        std::fs::write(journals.path().join("killed.journal"), &killed).unwrap();
        std::fs::create_dir_all(folders[0].join("Virtual Machines")).unwrap();
        let journal = Arc::new(dead(journals.path()).unwrap().pop().unwrap());
        let report = recover(&lab.control(session, &journal), &|_, _| Remembered::No).unwrap();
        let settled = journal.reading().unwrap().is_settled();
        (report.removed.len(), report.left, settled, staged().len())
    };
    let followed = next(follow(&lab, &cluster, vm));
    assert_eq!(followed, (1, vec![], true, 0));
    let (removed, left, settled, there) = next(Arc::new(lab.session_of(1)));
    assert_eq!((removed, settled, there), (0, false, 1));
    assert!(left[0].what.contains("HV01"), "{left:?}");
    let without_vm = next(Arc::new(lab.session_of(0)));
    assert_eq!(without_vm, (1, vec![], true, 0));
}
