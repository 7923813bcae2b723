//! Both sides of a replication, of which now the one and now the other is backed up.

use hyperkeep_engine::source::hyperv::Hosts;
use hyperv::replication::Prefer;

use super::*;

const SIDE: &str = r#"{
    "host": {"name": "NAME"},
    "volumes": [{"name": "D:\\", "capacity": 1099511627776}],
    "vms": [{"name": "web", "state": "STATE",
             "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
             "replication": {"mode": MODE, "state": 3, "health": 1, "interval": 0}}],
    "rules": {"tracking-unit": 4096, "merge-ms": 20000}
}"#;

fn side(name: &str, state: &str, mode: &str) -> Lab {
    let scenario = SIDE.replace("NAME", name).replace("STATE", state);
    Lab::start(&scenario.replace("MODE", mode))
}

/// Waiting lets the time of both hosts pass.
struct Both(Shared, Shared);

impl Pace for Both {
    fn now(&self) -> Duration {
        self.0.now()
    }
    fn sleep(&self, span: Duration) {
        self.0.sleep(span);
        self.1.sleep(span);
    }
}

/// The reference points of a host.
fn points(lab: &Lab) -> usize {
    lab.rest().1
}

#[test]
fn what_one_side_was_asked_by_goes_when_the_other_is_backed_up() {
    let place = Place::with(side("HV01", "running", "1"));
    let copy = side("HV02", "off", "2");
    let run = |prefer| {
        let time = || Arc::new(Both(place.lab.time.clone(), copy.time.clone()));
        let primary = place.setup(time(), Floor::NONE);
        let primary = Setup {
            name: "one".to_owned(),
            journals: primary.journals.join("one"),
            ..primary
        };
        let replica = place.setup(time(), Floor::NONE);
        let replica = Setup {
            name: "two".to_owned(),
            session: Arc::new(copy.session()),
            files: Arc::new(copy.files()),
            journals: replica.journals.join("two"),
            ..replica
        };
        let hosts = [primary, replica].map(|setup| HostSource::open(setup).unwrap());
        let mut hosts = Hosts::new(hosts.into(), prefer, Vec::new());
        let report = place.back_up(&mut hosts, None);
        drop(hosts);
        // Guests of a copy are not asked, and there is no other guest here.
        assert!(report.vms[0].point.is_some(), "{report:#?}");
        report
    };
    let now = || (points(&place.lab), points(&copy));
    use Prefer::{PreferPrimary, PreferReplica};
    run(PreferPrimary);
    assert_eq!(now(), (1, 0));
    let report = run(PreferReplica);
    assert_eq!(now(), (0, 1));
    let told = report.findings.iter().filter(|f| f.code == Code::PutRight);
    assert_eq!(told.count(), 1, "{report:#?}");
    // What the newest point asks by stays, wherever others would be asked.
    let report = run(PreferReplica);
    assert_eq!(report.vms[0].level, Some("incremental"), "{report:#?}");
    assert!(!codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(now(), (0, 1));
    run(PreferPrimary);
    assert_eq!(now(), (1, 0));
}
