//! VMs of a cluster, which move.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath};
use hyperkeep_hyperv::checkpoint::RecoveryCheckpoint;
use hyperkeep_hyperv::cluster::{Cluster, Following, Move, NodeState, Sessions};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::files::{HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::frozen::{Frozen, Reading};
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::plan::{Plan, Policy, plan};
use hyperkeep_hyperv::recovery::{Remembered, Wait, machines, recover_one};
use hyperkeep_hyperv::replication::{Prefer, Why, sides};
use hyperkeep_hyperv::tracking::Token;
use lab::state::{CheckpointKind, ClusterNames};
use uuid::Uuid;

use crate::meddled::{Before, Meddled};
use crate::support::{Lab, MARK, OPTIONS, folder, unreachable};

const NODES: [&str; 2] = ["HV01", "HV02"];

const SCENARIO: &str = r#"{
    "cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
    "volumes": [{"name": "C:\\ClusterStorage\\Volume1", "capacity": 107374182400}],
    "vms": [{"name": "wéb's \\ <a>", "folder": "C:\\ClusterStorage\\Volume1\\web",
             "disks": [{"path": "C:\\ClusterStorage\\Volume1\\web\\a.vhdx", "size": 4194304}]},
            {"name": "db", "node": "HV02",
             "disks": [{"path": "C:\\ClusterStorage\\Volume1\\db\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "merge-ms": 1000}
}"#;

/// The nodes of a lab, by their names.
pub(crate) fn sessions(lab: &Arc<Lab>, down: &'static str) -> Sessions {
    let lab = lab.clone();
    Arc::new(move |node: &str| {
        let at = NODES.iter().position(|name| *name == node && node != down);
        let at = at.ok_or_else(|| unreachable(node))?;
        Ok(Arc::new(lab.session_of(at)) as Arc<dyn CimSession>)
    })
}

fn start() -> (Arc<Lab>, Arc<Cluster>) {
    let lab = Arc::new(Lab::start(SCENARIO));
    let cluster = Cluster::find("HV01", sessions(&lab, "")).unwrap();
    (lab, Arc::new(cluster.expect("a cluster")))
}

fn files(lab: &Lab) -> MappedFiles {
    let root = HostPath::parse("C:\\ClusterStorage").unwrap();
    let here = lab.folder.path().join("shared/C/ClusterStorage");
    MappedFiles::new(PathMap::new().with(root, here))
}

/// A VM moves to the second node, at once.
pub(crate) fn moves(lab: &Lab, vm: Uuid) {
    let mut old = lab.servers[0].service();
    let host = &mut old.repository.host;
    host.advance();
    if host.vm(vm).is_none() {
        return;
    }
    host.migrate(vm, "HV02").unwrap();
    for _ in 0..100 {
        lab.time.clock.advance(Duration::from_secs(1));
        host.advance();
        if host.vm(vm).is_none() {
            return;
        }
    }
    panic!("it does not move");
}

/// Kinds of the checkpoints and the number of reference points of a VM, wherever it is, when all
/// has had its time; and the node.
fn rest(lab: &Lab, vm: Uuid) -> (Vec<CheckpointKind>, usize, usize) {
    lab.time.sleep(Duration::from_secs(600));
    let mut found = Vec::new();
    for (at, server) in lab.servers.iter().enumerate() {
        let mut service = server.service();
        for _ in 0..5 {
            service.repository.host.advance();
        }
        if let Some(vm) = service.repository.host.vm(vm) {
            let kinds = vm.checkpoints.iter().map(|c| c.kind).collect();
            found.push((kinds, vm.reference_points.len(), at));
        }
    }
    assert_eq!(found.len(), 1, "a VM is on one node");
    found.remove(0)
}

pub(crate) fn follow(lab: &Lab, cluster: &Arc<Cluster>, vm: Uuid) -> Arc<Following> {
    let followed = cluster.follow(vm, Arc::new(lab.time.clone())).unwrap();
    Arc::new(followed.expect("the cluster keeps it"))
}

fn planned(session: &dyn CimSession, vm: Uuid) -> Plan {
    let all = inventory::take(session).unwrap();
    plan(all.machine(vm).unwrap(), &all.host, &Policy::default()).unwrap()
}

#[test]
fn the_vms_of_all_nodes_are_found_and_what_is_not_is_told() {
    let (lab, cluster) = start();
    let web = lab.vm(0);
    assert_eq!(cluster.name(), "CL1");
    let survey = cluster.survey().unwrap();
    let nodes: Vec<_> = survey.nodes.iter().map(|n| n.node.name.as_str()).collect();
    assert_eq!(nodes, NODES);
    assert!(survey.nodes.iter().all(|n| n.node.state == NodeState::Up));
    assert!(survey.missing.is_empty());
    let folders: Vec<&str> = survey.volumes.folders().collect();
    assert_eq!(folders, [r"C:\ClusterStorage\Volume1"]);
    let machine = survey.nodes[0].inventory.as_ref().unwrap();
    assert!(
        survey
            .volumes
            .local(machine.machine(web).unwrap())
            .is_empty()
    );
    let choices = sides(&survey.seen(), Prefer::default());
    assert!(choices.iter().all(|c| c.taken[0].why == Why::Only));
    let names: BTreeSet<&str> = choices.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["db", "wéb's \\ <a>"]));
    // A node that cannot be asked, with what the cluster says is on it.
    let cluster = Cluster::find("HV01", sessions(&lab, "HV02"))
        .unwrap()
        .unwrap();
    let survey = cluster.survey().unwrap();
    assert!(survey.nodes[0].inventory.is_ok());
    let why = &survey.nodes[1].inventory.as_ref().unwrap_err().why;
    assert!(why.contains("HV02"), "{why}");
    let [missing] = &survey.missing[..] else {
        panic!("{:?}", survey.missing);
    };
    assert_eq!(missing.role.owner.as_deref(), Some("HV02"));
    let json = serde_json::to_string(&survey).unwrap();
    let read: hyperkeep_hyperv::cluster::Survey = serde_json::from_str(&json).unwrap();
    assert_eq!(read, survey);
    // The first node is asked no more, and the second one answers for the cluster.
    let cluster = Cluster::find("HV02", sessions(&lab, "HV01"))
        .unwrap()
        .unwrap();
    assert_eq!(cluster.nodes().unwrap().len(), 2);
    assert!(cluster.survey().unwrap().nodes[0].inventory.is_err());
}

#[test]
fn roles_are_joined_with_vms_by_their_ids_whatever_those_are_called() {
    for (names, told) in [
        (ClusterNames::AsKnown, true),
        (ClusterNames::OtherCase, true),
        (ClusterNames::Other, true),
        (ClusterNames::Untold, false),
    ] {
        let (lab, cluster) = start();
        for server in &lab.servers {
            server.service().repository.host.rules.cluster_names = names;
        }
        let role = cluster.role(lab.vm(0), None).unwrap();
        let owner = role.and_then(|role| role.owner);
        assert_eq!(owner.as_deref(), told.then_some("HV01"), "{names:?}");
        let survey = cluster.survey().unwrap();
        for node in survey.nodes {
            let found = node.inventory.unwrap().findings;
            let untold =
                |f: &&inventory::Finding| matches!(f, inventory::Finding::UnknownRole { .. });
            let expected = if told { 0 } else { 2 };
            assert_eq!(found.iter().filter(untold).count(), expected, "{found:?}");
        }
    }
}

#[test]
fn a_host_of_no_cluster_says_so() {
    let lab = Arc::new(Lab::start("{}"));
    assert!(Cluster::find("HV01", sessions(&lab, "")).unwrap().is_none());
}

/// A VM whose list was taken before it moved, and which is on the other node when that is asked.
#[test]
fn a_vm_that_moves_between_two_lists_is_found_once() {
    let lab = Arc::new(Lab::start(SCENARIO));
    let web = lab.vm(0);
    // The second node is asked first for its VMs, as the VM comes from the first one after that.
    let asked = Arc::new(AtomicUsize::new(0));
    let plain = sessions(&lab, "");
    let (counted, moving) = (asked.clone(), lab.clone());
    let sessions: Sessions = Arc::new(move |node| {
        let session = plain(node)?;
        let (counted, lab) = (counted.clone(), moving.clone());
        Ok(Arc::new(Trigger::new(session, move || {
            if counted.fetch_add(1, Ordering::Relaxed) == 45 {
                moves(&lab, web);
            }
        })))
    });
    let cluster = Cluster::find("HV01", sessions).unwrap().unwrap();
    let survey = cluster.survey().unwrap();
    assert!(asked.load(Ordering::Relaxed) > 46);
    assert!(survey.missing.is_empty(), "{:?}", survey.missing);
    let choices = sides(&survey.seen(), Prefer::default());
    let web: Vec<_> = choices.iter().filter(|c| c.vm == web).collect();
    assert_eq!((web.len(), web[0].taken.len()), (1, 1));
}

fn backup(
    control: &Arc<Control>,
    lab: &Lab,
    plan: &Plan,
    token: Option<&Token>,
    meanwhile: impl FnOnce(),
) -> Option<Token> {
    let request = plan.request(MARK, token, false);
    let frozen = Frozen::take(control, &files(lab), &request).ok()?;
    meanwhile();
    frozen.keep().token
}

/// A flow over a session that follows the VM, with a journal; whether that is settled.
fn with<T>(
    lab: &Lab,
    session: Arc<dyn CimSession>,
    flow: impl FnOnce(&Arc<Control>) -> T,
) -> (T, Vec<u8>) {
    let journals = folder();
    let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
    let control = Arc::new(lab.control(session, &journal));
    let result = flow(&control);
    let bytes = std::fs::read(journal.path()).unwrap();
    (result, bytes)
}

#[test]
fn a_vm_that_moves_in_mid_backup_is_followed() {
    let (lab, cluster) = start();
    let vm = lab.vm(0);
    let following = follow(&lab, &cluster, vm);
    let plan = planned(following.as_ref(), vm);
    let mut token = None;
    let (_, _) = with(&lab, following.clone(), |control| {
        token = backup(control, &lab, &plan, None, || moves(&lab, vm));
    });
    let (from, to) = ("HV01".to_owned(), "HV02".to_owned());
    assert_eq!(following.moves(), [Move { from, to }]);
    assert_eq!(following.node(), "HV02");
    assert!(following.take_doubts().is_empty());
    assert_eq!(rest(&lab, vm), (Vec::new(), 1, 1));
    // Its reference point went with it, and the next backup asks by it.
    let token = token.expect("a token");
    with(&lab, follow(&lab, &cluster, vm), |control| {
        let request = plan.request(MARK, Some(&token), false);
        let frozen = Frozen::take(control, &files(&lab), &request).unwrap();
        let reading = &frozen.disks[0].reading;
        assert!(matches!(reading, Reading::Changed(_)), "{reading:?}");
        frozen.keep();
    });
    assert_eq!(rest(&lab, vm), (Vec::new(), 1, 1));
}

/// The cluster's service answers nowhere: the node that had the VM last is asked, and that is told.
#[test]
fn when_the_cluster_does_not_tell_the_last_owner_is_asked() {
    let lab = Arc::new(Lab::start(SCENARIO));
    let vm = lab.vm(0);
    let plain = sessions(&lab, "");
    let silent = Arc::new(AtomicUsize::new(0));
    let heard = silent.clone();
    let sessions: Sessions = Arc::new(move |node| {
        let inner = plain(node)?;
        let silent = heard.clone();
        let before: Before = Box::new(move |asked| {
            let cluster = asked.contains("MSCluster");
            match silent.load(Ordering::Relaxed) == 1 && cluster {
                true => Err(unreachable("the cluster")),
                false => Ok(()),
            }
        });
        Ok(Arc::new(Meddled { inner, before }))
    });
    let cluster = Arc::new(Cluster::find("HV01", sessions).unwrap().unwrap());
    let following = follow(&lab, &cluster, vm);
    silent.store(1, Ordering::Relaxed);
    let checkpoints = hyperkeep_hyperv::checkpoint::checkpoints(following.as_ref(), vm);
    assert_eq!(checkpoints.unwrap(), []);
    let doubts = following.take_doubts();
    assert!(doubts[0].contains("does not tell"), "{doubts:?}");
    assert_eq!(doubts.len(), 1, "each once");
    assert!(following.moves().is_empty());
    // A VM that has moved meanwhile is not found, and that is an error and no guess.
    moves(&lab, vm);
    let lost = hyperkeep_hyperv::checkpoint::checkpoints(following.as_ref(), vm);
    assert!(lost.unwrap_err().is_not_found());
    silent.store(0, Ordering::Relaxed);
    let found = hyperkeep_hyperv::checkpoint::checkpoints(following.as_ref(), vm);
    assert_eq!(found.unwrap(), []);
    assert_eq!(following.moves().len(), 1);
}

/// The node knew the VM's settings, and has let go of it when its devices are asked for: an answer
/// without any is no answer.
#[test]
fn a_vm_that_leaves_between_two_questions_has_all_its_disks() {
    let lab = Arc::new(Lab::start(SCENARIO));
    let vm = lab.vm(0);
    let plain = sessions(&lab, "");
    let leaves = Arc::new(AtomicUsize::new(0));
    let (here, now) = (lab.clone(), leaves.clone());
    let sessions: Sessions = Arc::new(move |node| {
        let inner = plain(node)?;
        let (here, now) = (here.clone(), now.clone());
        let before: Before = Box::new(move |asked| {
            if asked == "associators" && now.swap(0, Ordering::Relaxed) == 1 {
                moves(&here, vm);
            }
            Ok(())
        });
        Ok(Arc::new(Meddled { inner, before }))
    });
    let cluster = Arc::new(Cluster::find("HV01", sessions).unwrap().unwrap());
    let following = follow(&lab, &cluster, vm);
    leaves.store(1, Ordering::Relaxed);
    let own = format!("Microsoft:{}", vm.to_string().to_uppercase());
    let told = inventory::configuration(following.as_ref(), &own).unwrap();
    assert_eq!(told.findings, []);
    assert_eq!(told.settings.media.len(), 1);
    assert_eq!(following.moves().len(), 1);
}

/// The run is killed, its VM moves, and the next run finds what is left on the new owner.
#[test]
fn a_checkpoint_of_a_killed_run_is_removed_where_the_vm_is_now() {
    let (lab, cluster) = start();
    let vm = lab.vm(0);
    let (_, journal) = with(&lab, follow(&lab, &cluster, vm), |control| {
        let held = RecoveryCheckpoint::create(control, vm, OPTIONS, &MARK).unwrap();
        std::mem::forget(held);
    });
    moves(&lab, vm);
    assert_eq!(rest(&lab, vm), (vec![CheckpointKind::Recovery], 0, 1));
    assert!(next_run(&lab, &cluster, &journal));
    assert_eq!(rest(&lab, vm), (Vec::new(), 0, 1));
}

/// The next run over a journal; whether nothing is left in it.
fn next_run(lab: &Arc<Lab>, cluster: &Arc<Cluster>, journal: &[u8]) -> bool {
    let journals = folder();
    std::fs::write(journals.path().join("killed.journal"), journal).unwrap();
    let taken = Arc::new(dead(journals.path()).unwrap().pop().unwrap());
    for vm in machines(&taken.reading().unwrap()) {
        let control = lab.control(follow(lab, cluster, vm), &taken);
        let report = recover_one(&control, vm, Wait::Long, &|_, _| Remembered::No);
        assert!(report.suspects.is_empty(), "{report:?}");
    }
    taken.close().unwrap().is_settled()
}

/// Whatever request the VM moves before, nothing of ours stays, and the backup goes on or says
/// that it did not.
#[test]
fn moved_at_any_request_nothing_of_ours_stays() {
    let (mut went_on, mut requests) = (0, 0);
    for at in 1..200 {
        let lab = Arc::new(Lab::start(SCENARIO));
        let vm = lab.vm(0);
        let plain = sessions(&lab, "");
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, moving) = (asked.clone(), lab.clone());
        let sessions: Sessions = Arc::new(move |node| {
            let (counted, lab) = (counted.clone(), moving.clone());
            let moves = move || {
                if counted.fetch_add(1, Ordering::Relaxed) + 1 == at {
                    moves(&lab, vm);
                }
            };
            Ok(Arc::new(Trigger::new(plain(node)?, moves)))
        });
        let plan = planned(&lab.session_of(0), vm);
        let cluster = Arc::new(Cluster::find("HV01", sessions).unwrap().unwrap());
        let begun = asked.load(Ordering::Relaxed);
        let following = follow(&lab, &cluster, vm);
        let (token, journal) = with(&lab, following, |control| {
            backup(control, &lab, &plan, None, || {})
        });
        let ended = asked.load(Ordering::Relaxed) < at;
        went_on += usize::from(token.is_some() && !ended && at > begun);
        let known = token.and_then(|token| token.reference_point);
        let kept = usize::from(known.is_some());
        if kept == 0 {
            next_run(&lab, &cluster, &journal);
        }
        let (kinds, points, node) = rest(&lab, vm);
        assert_eq!((kinds, points), (Vec::new(), kept), "request {at}");
        assert_eq!(node, usize::from(!ended), "request {at}");
        if ended {
            break;
        }
        requests = at;
    }
    assert!((30..190).contains(&requests), "{requests}");
    assert!(went_on * 10 > requests * 7, "{went_on} of {requests}");
}

/// A session with something that happens before each request.
struct Trigger<F> {
    inner: Arc<dyn CimSession>,
    before: Mutex<F>,
}

impl<F: Fn() + Send> Trigger<F> {
    fn new(inner: Arc<dyn CimSession>, before: F) -> Self {
        let before = Mutex::new(before);
        Self { inner, before }
    }

    fn before(&self) -> &dyn CimSession {
        (self.before.lock().unwrap())();
        self.inner.as_ref()
    }
}

impl<F: Fn() + Send> CimSession for Trigger<F> {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.before().get(path)
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        self.before().query(namespace, wql)
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        self.before().query_paths(namespace, wql)
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.before().associators(which)
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.before().references(which)
    }

    fn invoke(
        &self,
        path: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        self.before().invoke(path, method, inputs)
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.before().class(namespace, name)
    }
}
