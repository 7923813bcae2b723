//! A simulated host that listens, and a clock that both sides share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::job::Pace;
use cim::{CimSession, WsmanSession, random_ids};
use hyperkeep_hyperv::checkpoint::Mark;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::files::{HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::plan::{NoPlan, Plan, Policy, plan};
use jiff::Timestamp;
use lab::scenario::Scenario;
use lab::server::{Account, Server};
use lab::state::CheckpointKind;
use lab::wsman::Rights;
use lab::{Clock, ManualClock};
use uuid::Uuid;

pub(crate) const MARK: Mark = Mark {
    installation: Uuid::from_u128(0x11),
    run: Uuid::from_u128(0x22),
};

/// The account of an administrator, and one without rights to Hyper-V.
pub(crate) const BACKUP: &str = "LAB\\backup";
pub(crate) const NOBODY: &str = "LAB\\nobody";

/// Bytes of the disks.
pub(crate) const SIZE: u64 = 4 << 20;

/// Two disks, partial answers about changes, and merges that take their time.
pub(crate) const SCENARIO: &str = r#"{
    "vms": [{"name": "wéb & <co>",
             "guest": {"name": "Windows Server 2022", "version": "10.0", "platform": 2},
             "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304},
                       {"path": "D:\\VMs\\web\\b.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "most-changes": 2, "merge-ms": 20000}
}"#;

/// The host's clock; waiting moves it.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: ManualClock,
    spent: Arc<Mutex<Duration>>,
    /// Whether somebody wants to stop.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Pace for Shared {
    fn now(&self) -> Duration {
        *self.spent.lock().unwrap()
    }

    fn sleep(&self, span: Duration) {
        *self.spent.lock().unwrap() += span;
        self.clock.advance(span);
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A host, or one node of a cluster.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) time: Shared,
    /// Who logs on.
    pub(crate) user: &'static str,
    folder: Arc<tempfile::TempDir>,
    vm: Uuid,
}

/// A folder for disks and journals: in memory where the system has such a place, since nobody cuts
/// the power of a test and making thousands of entries durable takes minutes.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl Lab {
    pub(crate) fn start(scenario: &str) -> Self {
        Self::start_all(scenario).remove(0)
    }

    /// All nodes of a cluster, which have one clock; the first one has the VM.
    pub(crate) fn start_all(scenario: &str) -> Vec<Self> {
        let folder = Arc::new(folder());
        let clock = ManualClock::new("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap());
        let time = Shared {
            spent: Arc::default(),
            stop: Arc::default(),
            clock,
        };
        let scenario = Scenario::read(scenario).unwrap();
        let hosts = scenario
            .build_all(folder.path(), Arc::new(time.clock.clone()))
            .unwrap();
        let vm = hosts[0].vms()[0].id;
        let start = |host| {
            let service = scenario.service(host).unwrap();
            let account = |user: &str, rights| Account {
                user: user.to_owned(),
                password: "pass word".to_owned(),
                rights,
            };
            let accounts = vec![
                account(BACKUP, Rights::Administrator),
                account(NOBODY, Rights::Filtered),
            ];
            let address = "127.0.0.1:0".parse().unwrap();
            Self {
                server: Server::start(address, service, accounts, None).unwrap(),
                time: time.clone(),
                folder: Arc::clone(&folder),
                user: BACKUP,
                vm,
            }
        };
        hosts.into_iter().map(start).collect()
    }

    pub(crate) fn session(&self) -> WsmanSession {
        let ids = random_ids().unwrap();
        WsmanSession::new(Box::new(self.transport()), Box::new(ids))
    }

    pub(crate) fn transport(&self) -> HttpTransport {
        let port = Some(self.server.address().port());
        let endpoint = Endpoint::http("127.0.0.1", port).unwrap();
        let who = Credentials {
            user: self.user.into(),
            password: Secret::new("pass word".into()),
        };
        HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap()
    }

    /// Where a drive of the host is.
    #[allow(dead_code, reason = "tests of other crates share the drive")]
    pub(crate) fn drive(&self, letter: char) -> std::path::PathBuf {
        self.folder.path().join(letter.to_string())
    }

    pub(crate) fn files(&self) -> MappedFiles {
        let path = |text| HostPath::parse(text).unwrap();
        let folder = |name| self.folder.path().join(name);
        let shared = path("C:\\ClusterStorage");
        let map = PathMap::new()
            .with(path("D:\\"), folder("D"))
            .with(path("E:\\"), folder("E"))
            .with(shared, folder("shared/C/ClusterStorage"));
        MappedFiles::new(map)
    }

    pub(crate) fn vm(&self) -> Uuid {
        self.vm
    }

    /// What the guest writes, to the disk and to the flat copy of it.
    pub(crate) fn write(&self, drive: usize, offset: u64, data: &[u8], copy: &mut [u8]) {
        let vm = self.vm();
        let host = &mut self.server.service().repository.host;
        host.guest_writes(vm, drive, offset, data).unwrap();
        let at = usize::try_from(offset).unwrap();
        copy[at..at + data.len()].copy_from_slice(data);
    }

    /// Somebody's checkpoint, which must be there in the end.
    pub(crate) fn user_checkpoint(&self) -> Uuid {
        let vm = self.vm();
        let wish = lab::state::CheckpointWish {
            kind: CheckpointKind::User,
            consistency: lab::state::Consistency::Crash,
            ignore_unfreezable: true,
            memory: false,
        };
        let mut service = self.server.service();
        service.repository.host.create_checkpoint(vm, wish).unwrap();
        self.time.clock.advance(Duration::from_secs(10));
        service.repository.host.advance();
        let vm = &service.repository.host.vms()[0];
        vm.checkpoints.last().unwrap().settings.id
    }

    /// Kinds of the checkpoints, the number of reference points, and the files of the disks, when
    /// all jobs and merges have had their time.
    pub(crate) fn rest(&self) -> (Vec<CheckpointKind>, usize, Vec<String>) {
        let mut service = self.server.service();
        for _ in 0..20 {
            self.time.clock.advance(Duration::from_secs(30));
            service.repository.host.advance();
        }
        let vm = &service.repository.host.vms()[0];
        let kinds = vm.checkpoints.iter().map(|c| c.kind).collect();
        let disks = vm
            .settings
            .disks()
            .map(|(_, path)| path.to_owned())
            .collect();
        (kinds, vm.reference_points.len(), disks)
    }

    pub(crate) fn plan(&self, policy: &Policy) -> Plan {
        self.try_plan(policy).unwrap()
    }

    pub(crate) fn try_plan(&self, policy: &Policy) -> Result<Plan, NoPlan> {
        let inventory = inventory::take(&self.session()).unwrap();
        let machine = inventory.machine(self.vm()).unwrap();
        plan(machine, &inventory.host, policy)
    }

    /// A control of the host, by the host's own clock.
    pub(crate) fn control(&self, journal: &Arc<Journal>) -> Arc<Control> {
        self.control_by(Arc::new(self.session()), journal)
    }

    pub(crate) fn control_by(
        &self,
        session: Arc<dyn CimSession>,
        journal: &Arc<Journal>,
    ) -> Arc<Control> {
        let (pace, clock) = (Arc::new(self.time.clone()), self.time.clock.clone());
        let clock = Arc::new(move || clock.now());
        Arc::new(Control::new(session, Arc::clone(journal), pace, clock))
    }

    pub(crate) fn with<T>(&self, flow: impl FnOnce(&Arc<Control>) -> T) -> T {
        let journals = folder();
        let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
        let result = flow(&self.control(&journal));
        journal.close().unwrap();
        result
    }
}
