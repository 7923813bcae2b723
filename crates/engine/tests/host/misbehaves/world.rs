//! A VM with a guest that goes on writing, what is others' beside it, and what may be left of a backup.

use cim::CimSession;
use disk::BlockRead;
use disk::resolve::{Folders, open_chain};
use hyperkeep_engine::list::points;
use hyperkeep_engine::source::hyperv::{Hosts, Node};
use hyperv::cluster::{Cluster, Sessions};
use hyperv::replication::Prefer;
use lab::state::CheckpointWish;
use lab::wsman::Mishap;

use super::*;

const LEN: usize = 4 << 20;
const NODES: [&str; 2] = ["HV01", "HV02"];

/// What the guest has written, and what it had when its VM held still the last time.
struct Guest {
    now: Vec<u8>,
    frozen: Vec<u8>,
    writes: usize,
}

/// A VM that is on the host, or on a node of the cluster, with what is others'.
pub(super) struct World {
    pub(super) place: Place,
    pub(super) labs: Vec<Arc<Lab>>,
    guest: Mutex<Guest>,
    /// A user's checkpoint with its disk, and a reference point of another program.
    theirs: (Uuid, Vec<u8>),
    their_point: Uuid,
}

fn scenario(vm: &str, cluster: bool, mishaps: &str) -> String {
    let (host, volume, folder) = match cluster {
        true => (
            r#""cluster": {"name": "CL", "nodes": ["HV01", "HV02"]},"#,
            r"C:\\ClusterStorage\\Volume1",
            r"C:\\ClusterStorage\\Volume1",
        ),
        false => ("", r"D:\\", r"D:"),
    };
    format!(
        r#"{{{host} "volumes": [{{"name": "{volume}", "capacity": 1099511627776}}],
            "vms": [{{"name": "a", {vm},
                      "disks": [{{"path": "{folder}\\VMs\\a.vhdx", "size": {LEN}}}]}}],
            "rules": {{"tracking-unit": 4096, "merge-ms": 20000, "migration-ms": 0}},
            "mishaps": [{mishaps}]}}"#
    )
}

impl World {
    /// The VM has been backed up once; the mishaps are kept for later.
    pub(super) fn new(vm: &str, cluster: bool, mishaps: &str) -> (Self, Vec<Mishap>) {
        let mut labs = Lab::start_all(&scenario(vm, cluster, mishaps)).into_iter();
        let place = Place::with(labs.next().unwrap());
        let mut all = vec![Arc::clone(&place.lab)];
        all.extend(labs.map(Arc::new));
        let kept = std::mem::take(&mut place.lab.server.service().mishaps);
        let mut world = Self {
            place,
            labs: all,
            guest: Mutex::new(Guest {
                now: vec![0; LEN],
                frozen: Vec::new(),
                writes: 0,
            }),
            theirs: (Uuid::nil(), Vec::new()),
            their_point: Uuid::nil(),
        };
        world.write();
        world.settle();
        world.write();
        let first = world.run(Audit::OFF);
        assert_eq!(first.outcome, Outcome::Ok, "{first:#?}");
        world.holds(&first, "the first one");
        (world, kept)
    }

    /// Others take a checkpoint, and another program has a reference point.
    fn settle(&mut self) {
        let lab = &self.place.lab;
        self.theirs = (
            lab.user_checkpoint(),
            self.guest.lock().unwrap().now.clone(),
        );
        let wish = CheckpointWish {
            kind: CheckpointKind::Recovery,
            consistency: lab::state::Consistency::Crash,
            ignore_unfreezable: true,
            memory: false,
        };
        let (vm, now) = (lab.vm(), lab.time.clock.now());
        let mut service = lab.server.service();
        let host = &mut service.repository.host;
        let made = host.freeze(vm, wish, now).unwrap();
        host.convert_checkpoint(vm, made).unwrap();
        drop(service);
        lab.rest();
        let service = lab.server.service();
        self.their_point = service.repository.host.vms()[0].reference_points[0].id;
    }

    /// The host that has the VM.
    pub(super) fn home(&self) -> &Arc<Lab> {
        self.labs
            .iter()
            .find(|lab| {
                let mut service = lab.server.service();
                service.repository.host.advance();
                !service.repository.host.vms().is_empty()
            })
            .expect("a host has it")
    }

    /// The guest writes somewhere in the first MiB, where it has not written yet.
    pub(super) fn write(&self) {
        let mut guest = self.guest.lock().unwrap();
        guest.writes += 1;
        let at = guest.writes * 40_960;
        let data = [guest.writes as u8; 4096];
        let home = self.home();
        let mut service = home.server.service();
        let vm = service.repository.host.vms()[0].id;
        let host = &mut service.repository.host;
        // A guest on a full volume stands still.
        if host.guest_writes(vm, 0, at as u64, &data).is_ok() {
            guest.now[at..at + 4096].copy_from_slice(&data);
        }
    }

    fn source(&self) -> Box<dyn Source> {
        let time = || Arc::new(self.place.lab.time.clone());
        if self.labs.len() == 1 {
            return Box::new(self.place.source(time(), Floor::NONE));
        }
        let labs = self.labs.clone();
        let sessions: Sessions = Arc::new(move |node| {
            let at = NODES.iter().position(|name| *name == node).unwrap();
            Ok(Arc::new(labs[at].session()) as Arc<dyn CimSession>)
        });
        let cluster = Arc::new(Cluster::find("HV01", sessions).unwrap().unwrap());
        let host = |at: usize| {
            let journals = self.place.journals().join(NODES[at]);
            std::fs::create_dir_all(&journals).unwrap();
            let setup = Setup {
                name: NODES[at].to_owned(),
                session: Arc::new(self.labs[at].session()),
                journals,
                node: Some(Node {
                    all: true,
                    cluster: Arc::clone(&cluster),
                    name: NODES[at].to_owned(),
                }),
                ..self.place.setup(time(), Floor::NONE)
            };
            HostSource::open(setup).unwrap()
        };
        let hosts = vec![host(0), host(1)];
        Box::new(Hosts::new(hosts, Prefer::default(), Vec::new()))
    }

    pub(super) fn run(&self, audit: Audit) -> JobReport {
        let options = Options {
            audit,
            ..Options::default()
        };
        let mut source = Writes(self.source(), self);
        let cancel = Cancel::new();
        self.place.back_up_as(&mut source, &options, &cancel, None)
    }

    /// The point of a report, restored as a disk file, is the disk that was held still. Without
    /// one the vault has no more than it had.
    pub(super) fn holds(&self, report: &JobReport, what: &str) {
        let stored = points(&self.place.vault).unwrap().points;
        let Some(point) = report.vms.iter().find_map(|vm| vm.point.as_ref()) else {
            assert_eq!(stored.len(), 1, "{what}: {report:#?}");
            return;
        };
        let bytes = self.place.restored(point);
        let guest = self.guest.lock().unwrap();
        assert!(bytes == guest.frozen, "{what}: it is not the frozen disk");
    }

    /// What is others' is there as it was; the number of reference points that are ours, of which
    /// there is one at most, and nothing else.
    pub(super) fn rest(&self, what: &str) -> usize {
        let home = self.home();
        for _ in 0..20 {
            home.time.clock.advance(Duration::from_secs(30));
            self.labs
                .iter()
                .for_each(|lab| lab.server.service().repository.host.advance());
        }
        let service = home.server.service();
        let vm = &service.repository.host.vms()[0];
        for checkpoint in &vm.checkpoints {
            let name = checkpoint.settings.name.as_str();
            let theirs = checkpoint.settings.id == self.theirs.0 || name == "theirs";
            assert!(theirs, "{what}: {name} is left");
        }
        let user = vm.checkpoints.iter();
        let user = user.clone().find(|c| c.settings.id == self.theirs.0);
        let (_, path) = user
            .expect("theirs is there")
            .settings
            .disks()
            .next()
            .unwrap();
        assert!(
            self.disk(path) == self.theirs.1,
            "{what}: theirs is another"
        );
        let ids: Vec<Uuid> = vm.reference_points.iter().map(|point| point.id).collect();
        assert!(ids.contains(&self.their_point), "{what}");
        assert!(ids.len() <= 2, "{what}: {} are ours", ids.len() - 1);
        ids.len() - 1
    }

    /// A disk of the host, by its files.
    fn disk(&self, path: &str) -> Vec<u8> {
        let lab = &self.place.lab;
        let shared = lab.drive('D').with_file_name("shared");
        let folders = Folders::new()
            .mount("D:\\", lab.drive('D'))
            .mount("C:\\ClusterStorage", shared.join("C/ClusterStorage"));
        let file = match path.strip_prefix("D:\\") {
            Some(below) => lab.drive('D').join(below.replace('\\', "/")),
            None => shared.join(path.replace(':', "").replace('\\', "/")),
        };
        let chain = open_chain(&folders, &file).unwrap();
        let mut bytes = vec![0; LEN];
        chain.read_at(0, &mut bytes).unwrap();
        bytes
    }

    pub(super) fn journals(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.place.journals().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push(path),
                }
            }
        }
        found
    }
}

/// A source whose guest goes on writing as soon as its VM holds still.
struct Writes<'w>(Box<dyn Source>, &'w World);

impl Source for Writes<'_> {
    passes_on!(0: describe, origin, begin, end, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.0.freeze(vm, request)?;
        let mut guest = self.1.guest.lock().unwrap();
        guest.frozen = guest.now.clone();
        drop(guest);
        // What it writes meanwhile is for the next backup to be told.
        let home = self.1.home();
        home.server.service().repository.host.rules.missed_writes = 0;
        self.1.write();
        Ok(frozen)
    }
}
