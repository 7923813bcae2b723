//! Several VMs of a host at a time.

use std::sync::Condvar;

use hyperkeep_engine::backup::VmReport;

use super::*;

/// Four VMs on two volumes.
const FOUR: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 1099511627776},
                {"name": "E:\\", "capacity": 1099511627776}],
    "vms": [{"name": "a", "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 1048576, "seed": 1}]},
            {"name": "b", "disks": [{"path": "D:\\VMs\\b.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 1048576, "seed": 2}]},
            {"name": "c", "disks": [{"path": "E:\\VMs\\c.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 1048576, "seed": 3}]},
            {"name": "d", "disks": [{"path": "E:\\VMs\\d.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 1048576, "seed": 4}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 20000}
}"#;

/// VMs of a host that are read when so many hold still.
struct Together {
    host: HostSource,
    count: usize,
    held: Mutex<usize>,
    changed: Condvar,
    /// Somebody asks to stop as soon as they do.
    stop: Option<Cancel>,
    /// The host is at work on this VM until somebody had to be told so.
    busy: Option<(Arc<Lab>, Uuid)>,
}

impl Together {
    fn new(host: HostSource, count: usize) -> Self {
        Self {
            host,
            count,
            held: Mutex::new(0),
            changed: Condvar::new(),
            stop: None,
            busy: None,
        }
    }
}

impl Source for Together {
    passes_on!(host: describe, begin, end, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.host.freeze(vm, request);
        if let (Err(error), Some((lab, busy))) = (&frozen, &self.busy) {
            assert!(error.not_now && *busy == vm.id, "{error}");
            suffer(lab, &Accident::Stuck(*busy, false));
        }
        let frozen = frozen?;
        let mut held = self.held.lock().unwrap();
        *held += 1;
        self.changed.notify_all();
        let wait = |held: &mut usize| *held < self.count;
        drop(self.changed.wait_while(held, wait).unwrap());
        if let Some(stop) = &self.stop {
            stop.cancel();
        }
        Ok(frozen)
    }
}

pub(super) fn at_a_time(parallel: usize) -> Options {
    Options {
        audit: Audit::OFF,
        parallel,
        ..Options::default()
    }
}

#[test]
fn vms_that_hold_still_at_once_are_backed_up_each_by_itself() {
    let place = Place::new(FOUR);
    let run = || {
        let host = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
        // Three hold still before one of them is read.
        let mut source = Together::new(host, 3);
        place.back_up_as(&mut source, &at_a_time(3), &Cancel::new(), None)
    };
    let report = run();
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let names: Vec<_> = report.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    // What is new of each is its own.
    let new = |vm: &VmReport| vm.layers[0].stats.new == 1 << 20;
    assert!(report.vms.iter().all(new), "{report:#?}");
    assert_eq!(place.rest(), vec![(Vec::new(), 1); 4]);
    let again = run();
    assert!(again.vms.iter().all(|vm| vm.level == Some("incremental")));
    assert_eq!(place.rest(), vec![(Vec::new(), 1); 4]);
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
}

#[test]
fn one_that_is_busy_is_tried_again_while_others_are_at_work() {
    let place = Place::new(FOUR);
    let busy = place.id("a");
    suffer(&place.lab, &Accident::Stuck(busy, true));
    let host = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    // The others go on meanwhile.
    let mut source = Together::new(host, 2);
    source.busy = Some((Arc::clone(&place.lab), busy));
    let report = place.back_up_as(&mut source, &at_a_time(2), &Cancel::new(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.vms[0].findings).contains(&Code::NotNow));
    let others = report.vms[1..].iter();
    assert!(
        others
            .clone()
            .all(|vm| !codes(&vm.findings).contains(&Code::NotNow))
    );
    drop(source);
    assert_eq!(place.rest(), vec![(Vec::new(), 1); 4]);
}

#[test]
fn who_asks_to_stop_leaves_no_checkpoint_of_any_of_them() {
    let place = Place::new(FOUR);
    let cancel = Cancel::new();
    let host = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let mut source = Together::new(host, 3);
    source.stop = Some(cancel.clone());
    let report = place.back_up_as(&mut source, &at_a_time(3), &cancel, None);
    let all = report.vms.iter().all(|vm| vm.outcome == Outcome::Cancelled);
    assert!(all && report.vms.len() == 4, "{report:#?}");
    drop(source);
    assert_eq!(place.rest(), vec![(Vec::new(), 0); 4]);
    assert!(place.vault.points(None).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
}
