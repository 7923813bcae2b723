//! VMs that are saved with their memory.

use hyperkeep_engine::source::{FileRole, Owner};
use hyperv::plan::WantedMode;
use lab::state::Power;

use super::killed::{Dies, mortal};
use super::*;

const WITH_MEMORY: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 1099511627776}],
    "vms": [{"name": "first", "memory": 64, "tpm": true,
             "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 20000}
}"#;

/// What is in the staging folder, which is made if need be.
fn staged(place: &Place) -> usize {
    let folder = place.lab.drive('D').join("Staging");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn killed_while_an_export_is_read_the_next_run_removes_it() {
    let place = Place::new(WITH_MEMORY);
    assert_eq!(staged(&place), 0);
    assert_eq!(place.run().outcome, Outcome::Ok);
    let with_memory = || {
        let source = HostSource::open(mortal(&place)).unwrap();
        source.with_memory("D:\\Staging".to_owned())
    };
    place.back_up(&mut Dies(with_memory(), false), None);
    assert_eq!(staged(&place), 1);

    let mut source = with_memory();
    let report = place.back_up(&mut source, None);
    drop(source);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(staged(&place), 0);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
    // The one that was killed has published a point without a token, so nothing goes on from it.
    assert!(place.rest()[0].0.is_empty());
    let again = place.run();
    assert_eq!(again.outcome, Outcome::Ok, "{again:#?}");
    assert_eq!(place.rest(), vec![(Vec::new(), 1)]);
}

/// There is no room for a copy: the disks are saved all the same, and what is missing is told.
#[test]
fn without_room_for_its_memory_a_vm_is_saved_without_it_and_partial() {
    let room = WITH_MEMORY.replace("1099511627776", "41943040");
    let place = Place::new(&room);
    assert_eq!(staged(&place), 0);
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let mut source = source.with_memory("D:\\Staging".to_owned());
    let report = place.back_up(&mut source, None);
    drop(source);
    let vm = &report.vms[0];
    assert_eq!(vm.outcome, Outcome::Partial, "{report:#?}");
    let told = |f: &Finding| f.code == Code::NotCovered && f.message.contains("memory 64 MiB");
    assert!(vm.findings.iter().any(told), "{vm:#?}");
    assert!(vm.point.is_some());
    assert_eq!((staged(&place), place.rest()), (0, vec![(Vec::new(), 1)]));
}

/// The staging folder's volume fills while the host exports: the VM is saved all the same.
#[test]
fn an_export_that_fills_its_volume_is_given_up_and_told() {
    let filling = r#"{"mishaps": [{"on": "ExportSystemDefinition", "after":
            [{"space": {"volume": "E:\\", "free": 1073741824}}]}],
        "volumes": [{"name": "E:\\", "capacity": 1099511627776}, "#;
    let scenario = WITH_MEMORY.replacen(
        r#"{
    "volumes": ["#,
        filling,
        1,
    );
    let place = Place::new(&scenario.replace(r#""rules": {"#, r#""rules": {"export-ms": 60000, "#));
    let staging = place.lab.drive('E').join("Staging");
    std::fs::create_dir_all(&staging).unwrap();
    let floor = Floor {
        percent: 0,
        bytes: 4 << 30,
    };
    let source = place.source(Arc::new(place.lab.time.clone()), floor);
    let mut source = source.with_memory("E:\\Staging".to_owned());
    let report = place.back_up(&mut source, None);
    drop(source);
    let vm = &report.vms[0];
    assert_eq!(vm.outcome, Outcome::Partial, "{report:#?}");
    assert!(vm.point.is_some());
    let told = |f: &Finding| {
        f.code == Code::NotCovered
            && f.message.contains("memory is not in the restore point")
            && f.message.contains("1024 MiB are free on E:")
    };
    assert!(vm.findings.iter().any(told), "{vm:#?}");
    let points = hyperkeep_engine::list::points(&place.vault).unwrap().points;
    let details = &points[0].open().details;
    assert_eq!(details.has_memory(&Owner::Vm), Some(false));
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
    assert_eq!(place.rest(), vec![(Vec::new(), 1)]);
}

fn saved() -> Place {
    let state = r#""name": "first", "state": "saved","#;
    Place::new(&WITH_MEMORY.replacen(r#""name": "first","#, state, 1))
}

/// No checkpoint has it: it lies with the VM's own configuration.
#[test]
fn a_saved_vm_comes_with_its_memory() {
    let place = saved();
    let report = place.run();
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let points = hyperkeep_engine::list::points(&place.vault).unwrap().points;
    let details = &points[0].open().details;
    assert_eq!(details.has_memory(&Owner::Vm), Some(true));
    // What belongs together has one name.
    let stems: std::collections::BTreeSet<&str> = details
        .files
        .iter()
        .filter(|file| file.role != FileRole::Other)
        .filter_map(|file| file.path.file_name().split('.').next())
        .collect();
    assert_eq!(stems.len(), 1, "{stems:?}");
}

/// Something happens to the host as soon as a VM holds still.
struct Once(HostSource, Arc<Lab>, Accident);

impl Source for Once {
    passes_on!(0: describe, begin, end, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.0.freeze(vm, request)?;
        suffer(&self.1, &self.2);
        Ok(frozen)
    }
}

#[test]
fn a_saved_vm_that_is_started_meanwhile_is_partial() {
    let place = saved();
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let starts = Accident::Turns(place.id("first"), Power::Running);
    let report = place.back_up(&mut Once(source, Arc::clone(&place.lab), starts), None);
    let vm = &report.vms[0];
    assert_eq!(vm.outcome, Outcome::Partial, "{report:#?}");
    let told = |f: &Finding| {
        f.code == Code::ChangedDuringBackup && f.object.to_lowercase().ends_with(".vmrs")
    };
    assert!(vm.findings.iter().any(told), "{vm:#?}");
}

/// The inventory is of a time when it was off.
#[test]
fn a_vm_that_was_started_since_the_inventory_is_taken_as_one_that_runs() {
    let off = r#""name": "first", "state": "off","#;
    let place = Place::new(&WITH_MEMORY.replacen(r#""name": "first","#, off, 1));
    assert_eq!(staged(&place), 0);
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let source = source.with_memory("D:\\Staging".to_owned());
    let (lab, first) = (Arc::clone(&place.lab), place.id("first"));
    let starts = move || suffer(&lab, &Accident::Turns(first, Power::Running));
    let report = place.back_up(&mut Then(source, Box::new(starts)), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let points = hyperkeep_engine::list::points(&place.vault).unwrap().points;
    let details = &points[0].open().details;
    assert_eq!(details.has_memory(&Owner::Vm), Some(true));
}

#[test]
fn each_checkpoint_with_a_virtual_tpm_comes_with_its_key_protector() {
    let checkpoint = r#""name": "first", "checkpoints": [{"name": "old"}],"#;
    let place = Place::new(&WITH_MEMORY.replacen(r#""name": "first","#, checkpoint, 1));
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.policy.mode = WantedMode::AllCheckpoints;
    let mut source = HostSource::open(setup).unwrap();
    let report = place.back_up(&mut source, None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let points = hyperkeep_engine::list::points(&place.vault).unwrap().points;
    let files = points[0].open().details.files.iter();
    let protectors = files.filter(|file| file.path.file_name().ends_with(".keyprotector"));
    let mut owners: Vec<bool> = protectors.map(|file| file.owner == Owner::Vm).collect();
    owners.sort();
    assert_eq!(owners, [false, true]);
}
