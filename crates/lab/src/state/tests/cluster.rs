//! Nodes of a cluster, and a VM that moves in the middle of a backup.

use std::path::{Path, PathBuf};

use super::*;
use crate::scenario::Scenario;

const DISK: &str = "C:\\ClusterStorage\\Volume1\\web\\a.vhdx";

struct Cluster {
    nodes: Vec<Host>,
    clock: ManualClock,
    folder: tempfile::TempDir,
    vm: Uuid,
}

fn cluster(rules: &str) -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let text = format!(
        r#"{{"cluster": {{"name": "CL1", "nodes": ["HV01", "HV02"]}}, "switches": ["LAN"],
            "vms": [{{"name": "web", "adapters": [{{"switch": "LAN"}}],
                      "disks": [{{"path": "C:\\ClusterStorage\\Volume1\\web\\a.vhdx", "size": 4194304}}]}},
                    {{"name": "local", "node": "HV02", "folder": "D:\\VMs",
                      "disks": [{{"path": "D:\\VMs\\a.vhdx", "size": 4194304}}]}}],
            "rules": {{"tracking-unit": 4096 {rules}}}}}"#
    );
    let scenario = Scenario::read(&text).unwrap();
    let nodes = scenario
        .build_all(folder.path(), Arc::new(clock.clone()))
        .unwrap();
    let vm = nodes[0].vms()[0].id;
    Cluster {
        nodes,
        clock,
        folder,
        vm,
    }
}

impl Cluster {
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.nodes.iter_mut().for_each(Host::advance);
        }
    }

    /// Which nodes have the VM.
    fn at(&self) -> Vec<usize> {
        let has = |place: &usize| self.nodes[*place].vm(self.vm).is_some();
        (0..2).filter(has).collect()
    }

    fn owner(&self) -> usize {
        let cluster = &self.nodes[0].node.as_ref().unwrap().cluster;
        cluster.roles()[0].owner
    }

    fn done(&mut self, place: usize, job: JobId) -> End {
        self.pass(10);
        let job = self.nodes[place].job(job).unwrap();
        job.end.clone().unwrap().1
    }

    fn content(&self, path: &str) -> Vec<u8> {
        let shared: PathBuf = self.folder.path().join("shared/C/ClusterStorage");
        let files = Folders::new().mount("C:\\ClusterStorage\\", shared);
        let local = self.nodes[0].files().local(path).unwrap();
        let chain = open_chain(&files, Path::new(&local)).unwrap();
        let mut bytes = vec![0; 4 << 20];
        chain.read_at(0, &mut bytes).unwrap();
        bytes
    }
}

#[test]
fn a_vm_moves_with_its_checkpoint_and_its_tracking() {
    let mut cluster = cluster("");
    let vm = cluster.vm;
    assert_eq!((cluster.at(), cluster.owner()), (vec![0], 0));
    let roles = cluster.nodes[1].node.as_ref().unwrap().cluster.roles();
    assert_eq!(roles.len(), 1, "a VM on a node's own disk is none");
    // A first point at the first node.
    let job = cluster.nodes[0].create_checkpoint(vm, RECOVERY).unwrap();
    let End::Completed(Some(Made::Checkpoint(first))) = cluster.done(0, job) else {
        panic!("no checkpoint");
    };
    let job = cluster.nodes[0].convert_checkpoint(vm, first).unwrap();
    assert!(matches!(cluster.done(0, job), End::Completed(_)));
    let point = cluster.nodes[0].vm(vm).unwrap().reference_points[0].clone();
    cluster.nodes[0]
        .guest_writes(vm, 0, 1 << 20, &[1; 4096])
        .unwrap();
    // It moves as soon as the second checkpoint is there.
    let job = cluster.nodes[0].create_checkpoint(vm, RECOVERY).unwrap();
    cluster.nodes[0].migrate(vm, "hv02").unwrap();
    assert_eq!(cluster.at(), [0], "not while it is busy");
    assert!(matches!(cluster.done(0, job), End::Completed(_)));
    assert_eq!((cluster.at(), cluster.owner()), (vec![1], 1));
    let node = &mut cluster.nodes[1];
    let known = node.vm(vm).unwrap();
    let frozen = known.checkpoints[0]
        .settings
        .disks()
        .next()
        .unwrap()
        .1
        .to_owned();
    let second = known.checkpoints[0].settings.id;
    let switch = known.settings.adapters[0].switch;
    assert_eq!(frozen, DISK);
    assert_eq!(switch, Some(node.switches[0].id), "by its name");
    let since = point.tracked[0].id.clone().unwrap();
    let query = ChangesQuery {
        path: frozen.clone(),
        since,
        offset: 0,
        len: 4 << 20,
    };
    let page = ByteRange::at(1 << 20, 4096).unwrap();
    assert_eq!(node.changes(&query).unwrap().ranges, [page]);
    node.guest_writes(vm, 0, 2 << 20, &[2; 4096]).unwrap();
    let job = node.convert_checkpoint(vm, second).unwrap();
    assert!(matches!(cluster.done(1, job), End::Completed(_)));
    let leaf = cluster.nodes[1].vm(vm).unwrap().settings.disks().next();
    assert_eq!(leaf.unwrap().1, DISK, "merged at the new node");
    let content = cluster.content(DISK);
    assert_eq!((content[1 << 20], content[2 << 20]), (1, 2));
    let refused = cluster.nodes[0].create_checkpoint(vm, RECOVERY);
    assert_eq!(refused, Err(Refusal::INVALID_PARAMETER));
}

#[test]
fn a_vm_stays_while_it_has_a_checkpoint_if_the_scenario_says_so() {
    let mut cluster = cluster(r#", "migrates-with-checkpoint": false"#);
    let vm = cluster.vm;
    let job = cluster.nodes[0].create_checkpoint(vm, RECOVERY).unwrap();
    let End::Completed(Some(Made::Checkpoint(id))) = cluster.done(0, job) else {
        panic!("no checkpoint");
    };
    cluster.nodes[0].migrate(vm, "HV02").unwrap();
    cluster.pass(60);
    assert_eq!(cluster.at(), [0]);
    let job = cluster.nodes[0].destroy_checkpoint(vm, id).unwrap();
    assert!(matches!(cluster.done(0, job), End::Completed(_)));
    cluster.pass(10);
    assert_eq!(cluster.at(), [1]);
}

#[test]
fn what_cannot_move_does_not() {
    let mut cluster = cluster("");
    let vm = cluster.vm;
    let local = cluster.nodes[1].vms()[0].id;
    for (node, vm, to) in [
        (0, vm, "HV01"),
        (0, vm, "HV09"),
        (1, local, "HV01"),
        (1, vm, "HV01"),
    ] {
        let refused = cluster.nodes[node].migrate(vm, to);
        assert_eq!(refused, Err(Refusal::INVALID_PARAMETER), "{to}");
    }
    let mut alone = bench(Rules::default());
    let refused = alone.host.migrate(alone.vm, "HV02");
    assert_eq!(refused, Err(Refusal::NOT_SUPPORTED));
}
