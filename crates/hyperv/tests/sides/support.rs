//! Simulated hosts that listen, a clock that all share, and processes that are killed.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::job::Pace;
use cim::wsman::Associations;
use cim::{
    CimError, CimProblem, CimSession, Class, Instance, MethodResult, ObjectPath, TransportError,
    TransportProblem, WsmanSession, random_ids,
};
use hyperkeep_hyperv::checkpoint::{Consistency, GuestBackup, Mark, Options};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::files::{HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::recovery::{Remembered, Report, recover};
use jiff::Timestamp;
use lab::ManualClock;
use lab::scenario::Scenario;
use lab::server::{Account, Server};
use lab::state::Vm;
use lab::wsman::Rights;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const MARK: Mark = Mark {
    installation: Uuid::from_u128(0x11),
    run: Uuid::from_u128(0x22),
};

pub(crate) const OPTIONS: Options = Options {
    consistency: Consistency::Crash,
    guest_backup: GuestBackup::Copy,
    ignore_other_disks: false,
};

/// The hosts' clock; waiting moves it.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: ManualClock,
    spent: Arc<Mutex<Duration>>,
}

impl Pace for Shared {
    fn now(&self) -> Duration {
        *self.spent.lock().unwrap()
    }

    fn sleep(&self, span: Duration) {
        *self.spent.lock().unwrap() += span;
        self.clock.advance(span);
    }
}

/// A host, or the nodes of a cluster.
pub(crate) struct Lab {
    pub(crate) servers: Vec<Server>,
    pub(crate) time: Shared,
    pub(crate) folder: TempDir,
}

/// In memory where the system has such a place: nobody cuts the power of a test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

impl Lab {
    pub(crate) fn start(scenario: &str) -> Self {
        let folder = folder();
        let clock = ManualClock::new("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap());
        let scenario = Scenario::read(scenario).unwrap();
        let hosts = scenario.build_all(folder.path(), Arc::new(clock.clone()));
        let servers = hosts.unwrap().into_iter().map(|host| {
            let service = scenario.service(host).unwrap();
            let account = Account {
                user: "LAB\\backup".to_owned(),
                password: "pass word".to_owned(),
                rights: Rights::Administrator,
            };
            let address = "127.0.0.1:0".parse().unwrap();
            Server::start(address, service, vec![account], None).unwrap()
        });
        let servers = servers.collect();
        let spent = Arc::new(Mutex::new(Duration::ZERO));
        Self {
            servers,
            time: Shared { clock, spent },
            folder,
        }
    }

    pub(crate) fn session_of(&self, node: usize) -> WsmanSession {
        let port = Some(self.servers[node].address().port());
        let endpoint = Endpoint::http("127.0.0.1", port).unwrap();
        let who = Credentials {
            user: "LAB\\backup".into(),
            password: Secret::new("pass word".into()),
        };
        let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
        WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()))
    }

    pub(crate) fn session(&self) -> WsmanSession {
        self.session_of(0)
    }

    /// The first host's drive D.
    pub(crate) fn files(&self) -> MappedFiles {
        let root = HostPath::parse("D:\\").unwrap();
        MappedFiles::new(PathMap::new().with(root, self.folder.path().join("D")))
    }

    /// The id of a VM of the first host.
    pub(crate) fn vm(&self, at: usize) -> Uuid {
        self.servers[0].service().repository.host.vms()[at].id
    }

    /// Looks at, or changes, a VM of the first host, as it is when its time has passed.
    pub(crate) fn on<T>(&self, vm: Uuid, look: impl FnOnce(&mut Vm) -> T) -> T {
        let mut service = self.servers[0].service();
        service.repository.host.advance();
        look(service.repository.host.vm_mut(vm).unwrap())
    }

    pub(crate) fn control(&self, session: Arc<dyn CimSession>, journal: &Arc<Journal>) -> Control {
        let time = self.time.clone();
        let clock = Arc::new(move || Timestamp::UNIX_EPOCH + Pace::now(&time));
        Control::new(session, journal.clone(), Arc::new(self.time.clone()), clock)
    }

    /// A flow of a run that ends well; the journal must be settled by then.
    pub(crate) fn with<T>(&self, flow: impl FnOnce(&Arc<Control>) -> T) -> T {
        self.with_patience(Duration::from_secs(900), flow)
    }

    /// The same with other patience for what is not now.
    pub(crate) fn with_patience<T>(
        &self,
        total: Duration,
        flow: impl FnOnce(&Arc<Control>) -> T,
    ) -> T {
        let journals = folder();
        let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
        let mut control = self.control(Arc::new(self.session()), &journal);
        control.backoff.total = total;
        control.begin.total = total;
        let result = flow(&Arc::new(control));
        let reading = journal.reading().unwrap();
        assert!(reading.is_settled(), "{reading:?}");
        result
    }

    /// A flow of a process that is killed at one of its requests, which the host gets or not; what
    /// its journal was then, unless it came to its end.
    pub(crate) fn killed(
        &self,
        (at, sent): (usize, bool),
        flow: impl FnOnce(&Arc<Control>),
    ) -> Option<Vec<u8>> {
        let journals = folder();
        let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
        let session = Arc::new(Mortal {
            inner: self.session(),
            left: Mutex::new(at),
            sent,
            journal: journal.path().to_owned(),
            remains: Mutex::new(None),
        });
        let control = Arc::new(self.control(session.clone(), &journal));
        flow(&control);
        drop(control);
        session.remains.lock().unwrap().take()
    }

    /// The next run, and those after it for what is still at work.
    pub(crate) fn next_runs(&self, journal: &[u8], what: &str) -> Vec<Report> {
        let journals = folder();
        fs::write(journals.path().join("killed.journal"), journal).unwrap();
        let mut reports = Vec::new();
        while let Some(taken) = dead(journals.path()).unwrap().pop() {
            let journal = Arc::new(taken);
            let control = self.control(Arc::new(self.session()), &journal);
            let report = recover(&control, &|_, _| Remembered::No).unwrap();
            assert!(report.suspects.is_empty(), "{what}: {report:?}");
            reports.push(report);
            // What the host may not have begun is waited for, some minutes.
            assert!(reports.len() < 10, "{what}: {reports:?}");
            drop(control);
            journal.close().unwrap();
            drop(journal);
            self.time.sleep(Duration::from_secs(60));
        }
        reports
    }
}

/// The error of a node that is not reached.
pub(crate) fn unreachable(node: &str) -> CimError {
    broken("connect", node)
}

fn broken(call: &str, endpoint: &str) -> CimError {
    let error = TransportError {
        endpoint: endpoint.to_owned(),
        problem: TransportProblem::Broken("gone".to_owned()),
        maybe_sent: true,
    };
    CimError {
        call: call.to_owned(),
        problem: Box::new(CimProblem::Transport(error)),
        changes: true,
    }
}

/// A session of a process that is killed at one of its requests.
struct Mortal {
    inner: WsmanSession,
    left: Mutex<usize>,
    /// Whether the host still gets the last request.
    sent: bool,
    journal: PathBuf,
    /// The journal as it was at the end.
    remains: Mutex<Option<Vec<u8>>>,
}

impl Mortal {
    fn ask<T>(&self, call: &str, ask: impl FnOnce() -> Result<T, CimError>) -> Result<T, CimError> {
        let mut left = self.left.lock().unwrap();
        if *left > 1 {
            *left -= 1;
            drop(left);
            return ask();
        }
        let dies = *left == 1;
        *left = 0;
        drop(left);
        if dies {
            *self.remains.lock().unwrap() = Some(fs::read(&self.journal).unwrap());
            if self.sent {
                let _ = ask();
            }
        }
        Err(broken(call, "killed"))
    }
}

impl CimSession for Mortal {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.ask("get", || self.inner.get(path))
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        self.ask("query", || self.inner.query(namespace, wql))
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        self.ask("query_paths", || self.inner.query_paths(namespace, wql))
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.ask("associators", || self.inner.associators(which))
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.ask("references", || self.inner.references(which))
    }

    fn invoke(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        self.ask(method, || self.inner.invoke(target, method, inputs))
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.ask("class", || self.inner.class(namespace, name))
    }
}
