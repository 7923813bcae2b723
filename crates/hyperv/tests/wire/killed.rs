//! A process that is killed at any request leaves nothing on the host that the next one does not
//! remove.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{
    CimError, CimProblem, CimSession, Class, Instance, MethodResult, ObjectPath, TransportError,
    TransportProblem, WsmanSession,
};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::plan::{Policy, WantedMode};
use hyperkeep_hyperv::recovery::{Remembered, Suspect, Thing, recover};
use testkit::vary;

use crate::keeper::{Keeper, Others, Outcome};
use crate::support::{Lab, SIZE};

const SCENARIO: &str = r#"{
    "vms": [{"name": "wéb & <co>",
             "guest": {"name": "Windows Server 2022", "version": "10.0", "platform": 2},
             "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "most-changes": 2, "merge-ms": 20000}
}"#;

/// A session of a process that is killed at one of its requests, or asked to stop.
pub(crate) struct Mortal {
    inner: WsmanSession,
    left: Mutex<usize>,
    /// Whether the host still gets the last request.
    sent: bool,
    /// What tells that somebody wants to stop: then the process goes on.
    stop: Option<Arc<AtomicBool>>,
    journal: PathBuf,
    /// The last request, and the journal as it was then.
    end: Mutex<Option<(String, Vec<u8>)>>,
}

impl Mortal {
    /// One that is killed at its `at`th request, which the host still gets, or does not.
    pub(crate) fn new(lab: &Lab, at: usize, sent: bool, journal: PathBuf) -> Self {
        Self {
            inner: lab.session(),
            left: Mutex::new(at),
            sent,
            stop: None,
            journal,
            end: Mutex::new(None),
        }
    }

    /// The request at which it was killed, and the journal as it was then.
    pub(crate) fn died(&self) -> Option<(String, Vec<u8>)> {
        self.end.lock().unwrap().take()
    }

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
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::Relaxed);
            return ask();
        }
        if dies {
            let remains = fs::read(&self.journal).unwrap();
            *self.end.lock().unwrap() = Some((call.to_owned(), remains));
            if self.sent {
                let _ = ask();
            }
        }
        let error = TransportError {
            endpoint: "killed".to_owned(),
            problem: TransportProblem::Broken("killed".to_owned()),
            maybe_sent: true,
        };
        Err(CimError {
            call: call.to_owned(),
            problem: Box::new(CimProblem::Transport(error)),
            changes: true,
        })
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

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Killed {
    /// The first run, or the second.
    first: bool,
    mode: WantedMode,
    /// At which request.
    at: usize,
    /// Whether the host still gets it.
    sent: bool,
    /// Seconds until the next run: at once, or when the host has forgotten all jobs.
    late: u64,
}

/// Protects a VM by runs of which one is killed. The method at which it was, or `None` if it came
/// to its end before.
fn protect(how: Killed) -> Option<String> {
    let lab = Lab::start(SCENARIO);
    let others = Others::settle(&lab);
    let policy = Policy {
        mode: how.mode,
        ..Policy::default()
    };
    let mut keeper = Keeper::new(1, policy);
    let mut guest = vec![vec![0; SIZE as usize]];
    lab.write(0, 4096, &[1; 4096], &mut guest[0]);
    if !how.first {
        keeper.run(&lab, &guest);
        lab.rest();
        lab.write(0, 1 << 20, &[2; 4096], &mut guest[0]);
    }
    let died = kill(&mut keeper, &lab, how.at, how.sent);
    let what = format!(
        "first {}, {:?}, request {} {died:?}, sent {}, late {}",
        how.first, how.mode, how.at, how.sent, how.late
    );
    lab.time.sleep(Duration::from_secs(how.late));
    for run in 0.. {
        for report in keeper.clean(&lab) {
            // Whose a reference point is nobody can tell when its job is forgotten.
            let points = |suspect: &Suspect| suspect.what == Thing::ReferencePoint;
            assert!(report.suspects.iter().all(points), "{what}: {report:?}");
            let told: Vec<String> = report.suspects.iter().map(|s| s.id.clone()).collect();
            if how.late > 0 && told.len() == 1 {
                keeper.forget(&lab);
                assert_eq!(others.check_beside(&lab, &[&keeper], &told, &what), 0);
                return died;
            }
            assert!(told.is_empty() && run < 3, "{what}: {report:?}");
        }
        if keeper.is_clean() {
            break;
        }
        lab.time.sleep(Duration::from_secs(60));
    }
    // Without a new token the old one may be good still, or its reference point is gone; what was
    // said to be unchanged always is.
    keeper.forget(&lab);
    assert_eq!(others.check(&lab, &[&keeper], &what), 0);
    lab.write(0, 2 << 20, &[3; 4096], &mut guest[0]);
    let run = keeper.run(&lab, &guest);
    assert!(!matches!(run.outcome, Outcome::None(_)), "{what}: {run:?}");
    assert_eq!(run.problems, [""; 0], "{what}");
    keeper.clean(&lab);
    assert_eq!(others.check(&lab, &[&keeper], &what), 0);
    assert!(keeper.is_clean(), "{what}: {:?}", keeper.clean(&lab));
    died
}

/// A run that is killed at a request, or when it has ended and nobody knows of its token yet.
/// At which method that was, or `None` in the latter case.
pub(crate) fn kill(keeper: &mut Keeper, lab: &Lab, at: usize, sent: bool) -> Option<String> {
    let run = keeper.next_run();
    let journal = Arc::new(Journal::create(keeper.journals(), run).unwrap());
    let path = journal.path().to_owned();
    let session = Arc::new(Mortal::new(lab, at, sent, path));
    let plan = lab.plan(&keeper.policy);
    let control = lab.control_by(session.clone(), &journal);
    if let Ok(frozen) = keeper.hold(lab, &control, &plan) {
        frozen.keep();
    }
    let end = session.died();
    let (died, remains) = match end {
        Some((at, remains)) => (Some(at), remains),
        None => (None, fs::read(journal.path()).unwrap()),
    };
    journal.close().unwrap();
    fs::write(journal.path(), remains).unwrap();
    died
}

/// Kills a run at each of its requests, or in an ordinary test run at each `step`th. Whether the
/// host gets a request matters only where it changes something.
fn kill_at_each(first: bool, mode: WantedMode, step: usize) -> usize {
    let step = if vary::cases(1) > 1 { 1 } else { step };
    for at in (1..500).step_by(step) {
        let lates: &[u64] = match vary::cases(1) > 1 {
            true => &[0, 3600],
            false => &[[0, 3600][at / step % 2]],
        };
        for late in lates {
            let how = Killed {
                first,
                mode,
                at,
                sent: false,
                late: *late,
            };
            let Some(died) = protect(how) else {
                return at;
            };
            if died.starts_with(|c: char| c.is_ascii_uppercase()) {
                protect(Killed { sent: true, ..how });
            }
        }
    }
    panic!("it comes to no end");
}

#[test]
fn a_first_run_that_is_killed() {
    let requests = kill_at_each(true, WantedMode::Auto, 2);
    assert!((20..150).contains(&requests), "{requests}");
}

#[test]
fn a_run_by_what_changed_that_is_killed() {
    let requests = kill_at_each(false, WantedMode::Auto, 1);
    assert!((30..150).contains(&requests), "{requests}");
}

#[test]
fn a_run_of_everything_that_is_killed() {
    let requests = kill_at_each(false, WantedMode::Standard, 3);
    assert!((20..150).contains(&requests), "{requests}");
}

#[test]
fn a_run_of_the_whole_tree_that_is_killed() {
    let requests = kill_at_each(false, WantedMode::AllCheckpoints, 4);
    assert!((40..300).contains(&requests), "{requests}");
}

/// Whoever asks to stop waits for nothing but what has to be removed, and nothing is left to the
/// next run.
#[test]
fn a_run_that_is_asked_to_stop_at_any_request() {
    let step = if vary::cases(1) > 1 { 1 } else { 3 };
    let mut waited = Duration::ZERO;
    for at in (1..500).step_by(step) {
        let lab = Lab::start(SCENARIO);
        let others = Others::settle(&lab);
        let mut keeper = Keeper::new(1, Policy::default());
        let mut guest = vec![vec![0; SIZE as usize]];
        keeper.run(&lab, &guest);
        lab.rest();
        lab.write(0, 1 << 20, &[2; 4096], &mut guest[0]);
        let plan = lab.plan(&keeper.policy);
        let run = keeper.next_run();
        let journal = Arc::new(Journal::create(keeper.journals(), run).unwrap());
        let session = Arc::new(Mortal {
            inner: lab.session(),
            left: Mutex::new(at),
            sent: true,
            stop: Some(Arc::clone(&lab.time.stop)),
            journal: journal.path().to_owned(),
            end: Mutex::new(None),
        });
        let control = lab.control_by(session, &journal);
        let begun = lab.time.now();
        let ended = match keeper.hold(&lab, &control, &plan) {
            Ok(frozen) => {
                let ended = !lab.time.cancelled();
                frozen.abandon().unwrap();
                ended
            }
            Err(_) => false,
        };
        waited = waited.max(lab.time.now() - begun);
        recover(&control, &|_, _| Remembered::Yes).unwrap();
        assert!(journal.close().unwrap().is_settled(), "{at}");
        lab.time.stop.store(false, Ordering::Relaxed);
        assert_eq!(others.check(&lab, &[&keeper], &format!("{at}")), 0);
        let run = keeper.run(&lab, &guest);
        assert!(matches!(run.outcome, Outcome::Incremental(_)), "{run:?}");
        if ended {
            assert!(
                at > 20 && waited < Duration::from_secs(60),
                "{at} {waited:?}"
            );
            return;
        }
    }
    panic!("it comes to no end");
}
