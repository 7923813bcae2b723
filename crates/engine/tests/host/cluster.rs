//! Nodes of a cluster, whose VMs move between two looks of one run.

use cim::CimSession;
use hyperkeep_engine::list::points;
use hyperkeep_engine::source::hyperv::{Hosts, Node};
use hyperv::cluster::{Cluster, Sessions};
use hyperv::pacing::Caps;
use hyperv::replication::Prefer;
use lab::state::ClusterNames;

use super::*;

const SCENARIO: &str = r#"{
    "cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
    "volumes": [{"name": "C:\\ClusterStorage\\Volume1", "capacity": 1099511627776}],
    "vms": [{"name": "web", "disks": [{"path": "C:\\ClusterStorage\\Volume1\\web\\a.vhdx",
                                       "size": 4194304}]},
            {"name": "db", "node": "HV02",
             "disks": [{"path": "C:\\ClusterStorage\\Volume1\\db\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 1000}
}"#;
const NODES: [&str; 2] = ["HV01", "HV02"];

struct Nodes {
    place: Place,
    labs: [Arc<Lab>; 2],
}

impl Nodes {
    fn new() -> Self {
        let mut labs = Lab::start_all(SCENARIO).into_iter();
        let (first, second) = (labs.next().unwrap(), labs.next().unwrap());
        let place = Place::with(first);
        let labs = [Arc::clone(&place.lab), Arc::new(second)];
        Self { place, labs }
    }

    /// The same of a cluster that calls its private properties so.
    fn named(names: ClusterNames) -> Self {
        let nodes = Self::new();
        for lab in &nodes.labs {
            lab.server.service().repository.host.rules.cluster_names = names;
        }
        nodes
    }

    fn hosts(&self) -> Hosts {
        self.paced(Pacing::default())
    }

    fn paced(&self, pacing: Pacing) -> Hosts {
        let labs = self.labs.clone();
        let sessions: Sessions = Arc::new(move |node| {
            let at = NODES.iter().position(|name| *name == node).unwrap();
            Ok(Arc::new(labs[at].session()) as Arc<dyn CimSession>)
        });
        let cluster = Cluster::find("HV01", sessions).unwrap().unwrap();
        let cluster = Arc::new(cluster);
        let host = |at: usize| {
            let journals = self.place.journals().join(NODES[at]);
            std::fs::create_dir_all(&journals).unwrap();
            let setup = Setup {
                name: NODES[at].to_owned(),
                pacing,
                session: Arc::new(self.labs[at].session()),
                journals,
                node: Some(Node {
                    all: true,
                    cluster: Arc::clone(&cluster),
                    name: NODES[at].to_owned(),
                }),
                ..self
                    .place
                    .setup(Arc::new(self.place.lab.time.clone()), Floor::NONE)
            };
            HostSource::open(setup).unwrap()
        };
        Hosts::new(vec![host(0), host(1)], Prefer::default(), Vec::new())
    }

    /// For each VM of a node, the number of its checkpoints and of its reference points.
    fn rest(&self, at: usize) -> Vec<(String, usize, usize)> {
        self.place.lab.time.clock.advance(Duration::from_secs(600));
        let mut service = self.labs[at].server.service();
        (0..5).for_each(|_| service.repository.host.advance());
        let vms = service.repository.host.vms().iter();
        vms.map(|vm| {
            let name = vm.settings.name.clone();
            (name, vm.checkpoints.len(), vm.reference_points.len())
        })
        .collect()
    }
}

/// A VM goes to the second node: before its turn, when all have been looked at, or while it holds
/// still.
struct Moves {
    hosts: Hosts,
    from: Arc<Lab>,
    held: bool,
}

impl Moves {
    fn go(&self) {
        let vm = self.from.vm();
        let mut service = self.from.server.service();
        let host = &mut service.repository.host;
        host.advance();
        if host.vm(vm).is_some() {
            host.migrate(vm, "HV02").unwrap();
        }
        while host.vm(vm).is_some() {
            self.from.time.clock.advance(Duration::from_secs(1));
            host.advance();
        }
    }
}

impl Source for Moves {
    passes_on!(hosts: describe, origin, begin, end);

    fn list(&mut self) -> Result<Listing, SourceError> {
        let listing = self.hosts.list()?;
        if !self.held {
            self.go();
        }
        Ok(listing)
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.hosts.freeze(vm, request)?;
        if self.held && vm.id == self.from.vm() {
            self.go();
        }
        Ok(frozen)
    }
}

#[test]
fn a_vm_that_moved_before_its_turn_is_taken_where_it_is() {
    let (nodes, report) = moved(false);
    assert_eq!(sources(&nodes), ["HV02", "HV02"]);
    goes_on(&nodes, &report);
}

#[test]
fn a_vm_that_moves_while_it_holds_still_is_followed() {
    let (nodes, report) = moved(true);
    let found = sources(&nodes);
    assert!(found.contains(&"HV01".to_owned()), "{found:?}");
    let said = |finding: &Finding| finding.message == "it went from HV01 to HV02";
    assert!(report.findings.iter().any(said), "{report:#?}");
    goes_on(&nodes, &report);
}

/// How a cluster tells the id of a VM is common practice and documented nowhere.
#[test]
fn vms_are_followed_whatever_a_cluster_calls_their_ids() {
    for names in [ClusterNames::OtherCase, ClusterNames::Other] {
        let (nodes, report) = moved_of(Nodes::named(names), true);
        let said = |finding: &Finding| finding.message == "it went from HV01 to HV02";
        assert!(report.findings.iter().any(said), "{names:?}: {report:#?}");
        goes_on(&nodes, &report);
    }
}

#[test]
fn a_cluster_that_does_not_tell_which_vms_it_keeps_is_told() {
    let nodes = Nodes::named(ClusterNames::Untold);
    let report = nodes.place.back_up(&mut nodes.hosts(), None);
    assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
    assert!(report.vms.iter().all(|vm| vm.outcome == Outcome::Ok));
    assert_eq!(points(&nodes.place.vault).unwrap().points.len(), 2);
    for name in ["web", "db"] {
        let role = format!("Virtual Machine {name} of the cluster does not tell which VM it is");
        let told = |finding: &Finding| finding.message.contains(&role);
        assert!(report.findings.iter().any(told), "{role}: {report:#?}");
    }
}

fn moved(held: bool) -> (Nodes, JobReport) {
    moved_of(Nodes::new(), held)
}

fn moved_of(nodes: Nodes, held: bool) -> (Nodes, JobReport) {
    let mut moves = Moves {
        held,
        hosts: nodes.hosts(),
        from: Arc::clone(&nodes.labs[0]),
    };
    let report = nodes.place.back_up(&mut moves, None);
    drop(moves);
    (nodes, report)
}

/// Where each restore point is from.
fn sources(nodes: &Nodes) -> Vec<String> {
    let all = points(&nodes.place.vault).unwrap().points;
    let of = |point: &hyperkeep_engine::list::PointLine| point.open().details.source.clone();
    all.iter().map(of).collect()
}

/// All is well, nothing of ours is left but what the next run asks by.
fn goes_on(nodes: &Nodes, report: &JobReport) {
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert_eq!(report.vms.len(), 2);
    assert_eq!(nodes.rest(0), []);
    let mut kept = nodes.rest(1);
    kept.sort();
    assert_eq!(kept, ["db", "web"].map(|name| (name.to_owned(), 0, 1)));
    for node in NODES {
        let left = std::fs::read_dir(nodes.place.journals().join(node)).unwrap();
        assert_eq!(left.count(), 0, "{node}");
    }
    let again = nodes.place.back_up(&mut nodes.hosts(), None);
    let levels = again.vms.iter().all(|vm| vm.level == Some("incremental"));
    assert!(levels, "{again:#?}");
}

/// Nodes of which one VM is to be read while another one has a place.
struct Beside {
    hosts: Hosts,
    vms: Vec<VmRef>,
    /// Whether there was a place for the other one.
    places: Mutex<Vec<bool>>,
}

impl Source for Beside {
    passes_on!(hosts: describe, origin, begin, end);

    fn list(&mut self) -> Result<Listing, SourceError> {
        let listing = self.hosts.list()?;
        self.vms.clone_from(&listing.vms);
        Ok(listing)
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.hosts.freeze(vm, request)?;
        let other = self.vms.iter().find(|other| other.id != vm.id).unwrap();
        // Who may not have a place at once does not wait for one.
        let asked = AtomicBool::new(false);
        let stopped = || asked.swap(true, Ordering::SeqCst);
        let early = self.hosts.early(other, &request.disks, &stopped);
        self.places.lock().unwrap().push(early.is_some());
        Ok(frozen)
    }
}

/// The nodes are two hosts, and their volume is one.
#[test]
fn a_volume_of_the_cluster_is_left_in_peace_by_all_nodes_together() {
    for (per_volume, gap) in [(1, 0), (2, 600)] {
        let caps = Caps {
            per_host: 4,
            per_volume,
        };
        let nodes = Nodes::new();
        let pacing = Pacing {
            caps,
            gap: Duration::from_secs(gap),
            ..Pacing::default()
        };
        let mut source = Beside {
            hosts: nodes.paced(pacing),
            vms: Vec::new(),
            places: Mutex::default(),
        };
        let begun = nodes.place.lab.time.now();
        let report = nodes.place.back_up(&mut source, None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(*source.places.lock().unwrap(), [per_volume > 1; 2]);
        // Their checkpoints end one after the other as well.
        let spent = nodes.place.lab.time.now() - begun;
        assert_eq!(spent.as_secs() >= 600, gap == 600, "{spent:?}");
    }
}

/// The nodes merge side by side, so the time for it is that of the run.
#[test]
fn merges_are_waited_for_once_and_not_once_for_each_host() {
    let nodes = Nodes::new();
    for lab in &nodes.labs {
        let failure = Failure::general(Some(0x8007_0299), "it does not go");
        suffer(lab, &Accident::MergeFails(failure));
    }
    let begun = nodes.place.lab.time.now();
    let report = nodes.place.back_up(&mut nodes.hosts(), None);
    assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
    let told = |f: &&Finding| f.code == Code::CleanupFailed && f.message.contains("has not merged");
    assert_eq!(
        report.findings.iter().filter(told).count(),
        2,
        "{report:#?}"
    );
    let spent = (nodes.place.lab.time.now() - begun).as_secs();
    assert!((900..1000).contains(&spent), "{spent} s");
}
