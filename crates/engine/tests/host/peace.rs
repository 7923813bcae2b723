//! A host that is left in peace.

use std::collections::BTreeMap;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering};

use hyperkeep_engine::select::Disks;
use hyperkeep_engine::source::{Early, Leave};
use hyperv::pacing::Caps;

use super::*;

/// Counts the layers that are read at once, in all and of each folder's drive.
struct Counting {
    host: HostSource,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    now: Mutex<Now>,
    changed: Condvar,
    /// The first of them wait until there are so many.
    together: usize,
}

#[derive(Default)]
struct Now {
    at_once: BTreeMap<char, usize>,
    most: usize,
    most_of_one: usize,
    in_all: usize,
}

struct CountingVm {
    vm: Box<dyn FrozenVm>,
    counts: Arc<Counts>,
}

struct Counted {
    drive: char,
    counts: Arc<Counts>,
    _leave: Leave,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut now = self.counts.now.lock().unwrap();
        *now.at_once.get_mut(&self.drive).unwrap() -= 1;
    }
}

impl Source for Counting {
    passes_on!(host: describe, begin, end, list);

    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        self.host.early(vm, disks, stopped)
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let vm = self.host.freeze(vm, request)?;
        let counts = Arc::clone(&self.counts);
        Ok(Box::new(CountingVm { vm, counts }))
    }
}

impl FrozenVm for CountingVm {
    passes_on!(vm: view, at_once, first, give_up, recheck, let_go, finish);

    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let leave = self.vm.leave(layer, stopped)?;
        let drive = self.view().layers[layer].origin.chars().next().unwrap();
        let counts = &*self.counts;
        let mut now = counts.now.lock().unwrap();
        *now.at_once.entry(drive).or_default() += 1;
        now.most = now.most.max(now.at_once.values().sum());
        now.most_of_one = now.most_of_one.max(now.at_once[&drive]);
        now.in_all += 1;
        counts.changed.notify_all();
        let wait = |now: &mut Now| now.in_all < counts.together;
        drop(counts.changed.wait_while(now, wait).unwrap());
        Some(Box::new(Counted {
            drive,
            counts: Arc::clone(&self.counts),
            _leave: leave,
        }))
    }
}

/// Two VMs, each with three disks on one volume and two on another.
fn many_disks() -> String {
    let disk = |vm: &str, path: &str| format!(r#"{{"path": "{path}{vm}.vhdx", "size": 1048576}}"#);
    let vm = |name: &str| {
        let paths = [
            r"D:\\VMs\\1",
            r"D:\\VMs\\2",
            r"D:\\VMs\\3",
            r"E:\\4",
            r"E:\\5",
        ];
        let disks = paths.map(|path| disk(name, path)).join(",");
        format!(r#"{{"name": "{name}", "disks": [{disks}]}}"#)
    };
    format!(
        r#"{{"volumes": [{{"name": "D:\\", "capacity": 1099511627776}},
                        {{"name": "E:\\", "capacity": 1099511627776}}],
            "vms": [{}, {}], "rules": {{"tracking-unit": 4096}}}}"#,
        vm("x"),
        vm("y")
    )
}

pub(super) fn paced(place: &Place, pacing: Pacing) -> HostSource {
    let pace = Arc::new(place.lab.time.clone());
    HostSource::open(Setup {
        pacing,
        ..place.setup(pace, Floor::NONE)
    })
    .unwrap()
}

#[test]
fn disks_are_read_at_once_as_far_as_their_host_and_their_volumes_have_places() {
    let caps = |per_host, per_volume| Caps {
        per_host,
        per_volume,
    };
    // With the caps, how many are at once in all and of one volume, and VMs at a time.
    for (caps, most, most_of_one, parallel) in [
        (caps(1, 9), 1, 1, 1),
        (caps(9, 1), 2, 1, 1),
        // Each VM wants places of both volumes.
        (caps(1, 1), 1, 1, 2),
        (caps(2, 1), 2, 1, 2),
        (caps(3, 2), 3, 2, 1),
        (caps(3, 2), 3, 2, 2),
        (caps(9, 9), 9, 6, 2),
    ] {
        let place = Place::new(&many_disks());
        let pacing = Pacing {
            caps,
            ..Pacing::default()
        };
        let counts = Arc::new(Counts {
            together: most,
            ..Counts::default()
        });
        let mut source = Counting {
            host: paced(&place, pacing),
            counts: Arc::clone(&counts),
        };
        let options = many::at_a_time(parallel);
        let report = place.back_up_as(&mut source, &options, &Cancel::new(), None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        for vm in &report.vms {
            // In their order, whichever was first.
            let paths = vm
                .layers
                .iter()
                .map(|layer| layer.path.rsplit('/').next().unwrap());
            let expected = ["1", "2", "3", "4", "5"].map(|n| format!("{n}{}.vhdx", vm.name));
            assert!(paths.eq(expected.iter().map(String::as_str)), "{vm:#?}");
        }
        let now = counts.now.lock().unwrap();
        assert!(now.most <= most && now.most_of_one <= most_of_one);
        assert_eq!((now.most, now.in_all), (most, 10));
        drop(source);
        assert_eq!(place.rest(), ours(1));
    }
}

#[test]
fn checkpoints_of_one_volume_end_one_after_the_other() {
    let spent = |second: &str, gap: u64| {
        let place = Place::new(&SCENARIO.replace(r"D:\\VMs\\b", second).replace(
            r#"[{"name": "D:\\","#,
            r#"[{"name": "E:\\", "capacity": 1099511627776}, {"name": "D:\\","#,
        ));
        let pacing = Pacing {
            gap: Duration::from_secs(gap),
            ..Pacing::default()
        };
        let mut source = paced(&place, pacing);
        let begun = place.lab.time.now();
        let report = place.back_up(&mut source, None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        (place.lab.time.now() - begun).as_secs()
    };
    let alone = spent(r"D:\\VMs\\b", 0);
    assert!(alone < 600, "{alone}");
    assert!(spent(r"D:\\VMs\\b", 600) >= 600);
    assert!(spent(r"E:\\VMs\\b", 600) < 600);
}

/// A clock by which the host takes longer to answer as soon as one of its VMs holds still.
struct Slowed(Arc<Lab>);

impl Pace for Slowed {
    fn now(&self) -> Duration {
        let service = self.0.server.service();
        let held = service.repository.host.vms().iter();
        let slow = held.clone().any(|vm| !vm.checkpoints.is_empty());
        drop(service);
        let step = if slow { 1000 } else { 10 };
        self.0.time.sleep(Duration::from_millis(step));
        self.0.time.now()
    }
    fn sleep(&self, span: Duration) {
        self.0.time.sleep(span);
    }
}

#[test]
fn fewer_disks_are_read_at_once_when_the_host_gets_slow_and_that_is_told() {
    let place = Place::new(SCENARIO);
    let pace = Arc::new(Slowed(Arc::clone(&place.lab)));
    let mut source = place.source(pace, Floor::NONE);
    let report = place.back_up(&mut source, None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let latency = report.latency[0].report;
    let (before, during) = (latency.before.unwrap(), latency.during.unwrap());
    assert_eq!((before.count, before.median_ms), (5, 10));
    assert!(during.count >= 5 && during.median_ms >= 1000, "{latency:?}");
    assert!(latency.backed_off >= 1 && latency.fewest_places <= 2);
    let told = |found: &Finding| found.code == Code::HostNote && found.message.contains("slow");
    assert!(report.findings.iter().any(told), "{report:#?}");
    drop(source);

    // Another one is not slow, and nothing is told.
    let quick = place.run();
    assert_eq!(quick.latency[0].report.backed_off, 0);
    assert!(!quick.findings.iter().any(told));
}

/// Off, and somebody starts it as soon as its checkpoint has its name.
const STARTED: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 1099511627776}],
    "vms": [{"name": "first", "state": "off",
             "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 4194304, "seed": 3}]},
            {"name": "second", "disks": [{"path": "D:\\VMs\\b.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096},
    "mishaps": [{"on": "ModifySystemSettings",
                 "after": [{"turns": {"vm": "first", "state": "running"}}]}]
}"#;

#[test]
fn a_vm_that_somebody_starts_is_let_go_and_backed_up_later() {
    for release_on_start in [true, false] {
        let place = Place::new(STARTED);
        let pacing = Pacing {
            release_on_start,
            ..Pacing::default()
        };
        let pace = Arc::new(Ticking(place.lab.time.clone()));
        let mut source = HostSource::open(Setup {
            pacing,
            ..place.setup(pace, Floor::NONE)
        })
        .unwrap();
        let report = place.back_up(&mut source, None);
        // Without it the backup goes on, and says that the VM was in two states.
        let expected = match release_on_start {
            true => Outcome::Ok,
            false => Outcome::Warning,
        };
        assert_eq!(report.outcome, expected, "{report:#?}");
        let first = &report.vms[0];
        let again = codes(&first.findings).contains(&Code::NotNow);
        assert_eq!(again, release_on_start, "{first:#?}");
        // What was given up is no restore point.
        assert_eq!(place.vault.points(None).unwrap().len(), 2);
        drop(source);
        assert_eq!(place.rest(), ours(1));
    }
}

/// Asks for a place for a disk of another volume whenever it has one for a disk.
struct Asking {
    host: HostSource,
    had: Arc<Mutex<Vec<bool>>>,
}

struct AskingVm {
    vm: Box<dyn FrozenVm>,
    had: Arc<Mutex<Vec<bool>>>,
}

impl Source for Asking {
    passes_on!(host: describe, begin, end, list);

    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        self.host.early(vm, disks, stopped)
    }

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let vm = self.host.freeze(vm, request)?;
        let had = Arc::clone(&self.had);
        Ok(Box::new(AskingVm { vm, had }))
    }
}

impl FrozenVm for AskingVm {
    passes_on!(vm: view, first, give_up, recheck, let_go, finish);

    fn at_once(&self) -> usize {
        1
    }

    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let leave = self.vm.leave(layer, stopped)?;
        if layer == 0 {
            // It waits once, and then no longer.
            let asked = AtomicBool::new(false);
            let other = self.vm.leave(3, &|| asked.swap(true, Ordering::Relaxed));
            self.had.lock().unwrap().push(other.is_some());
        }
        Some(leave)
    }
}

/// What was exported is all on the volume of the staging folder, wherever the VM's own disks are.
#[test]
fn an_export_is_read_with_the_places_of_its_own_volume() {
    let disks = r#""disks":"#;
    let with_memory = format!(r#""memory": 64, {disks}"#);
    let place = Place::new(&many_disks().replace(disks, &with_memory));
    std::fs::create_dir_all(place.lab.drive('E').join("Staging")).unwrap();
    let caps = Caps {
        per_host: 9,
        per_volume: 1,
    };
    let pacing = Pacing {
        caps,
        ..Pacing::default()
    };
    for (with_memory, expected) in [(false, true), (true, false)] {
        let mut host = paced(&place, pacing);
        if with_memory {
            host = host.with_memory("E:\\Staging".to_owned());
        }
        let had = Arc::default();
        let mut source = Asking {
            host,
            had: Arc::clone(&had),
        };
        let report = place.back_up(&mut source, None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let had = had.lock().unwrap();
        assert_eq!(*had, [expected; 2]);
    }
}
