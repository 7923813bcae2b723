//! A process that is killed at any request leaves nothing on the host that the next one does not
//! remove.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{
    CimError, CimProblem, CimSession, Class, Instance, MethodResult, ObjectPath, TransportError,
    TransportProblem, WsmanSession,
};
use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::frozen::{Frozen, Reading};
use hyperkeep_hyperv::journal::{Journal, dead};
use hyperkeep_hyperv::plan::{Plan, Policy};
use hyperkeep_hyperv::recovery::{Remembered, recover};
use hyperkeep_hyperv::tracking::Token;
use lab::state::CheckpointKind;

use crate::support::{Lab, MARK, SCENARIO, folder};

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

/// A backup of a process that is killed; its journal, unless it came to its end.
fn killed(
    lab: &Lab,
    plan: &Plan,
    token: Option<&Token>,
    (at, sent): (usize, bool),
) -> Option<Vec<u8>> {
    let dir = folder();
    let journal = Arc::new(Journal::create(dir.path(), MARK.run).unwrap());
    let session = Arc::new(Mortal {
        inner: lab.session(),
        left: Mutex::new(at),
        sent,
        journal: journal.path().to_owned(),
        remains: Mutex::new(None),
    });
    let control = lab.control_by(session.clone(), &journal);
    let request = plan.request(MARK, token, false);
    if let Ok(frozen) = Frozen::take(&control, &lab.files(), &request) {
        frozen.keep();
    }
    session.remains.lock().unwrap().take()
}

/// The next run, and those after it for what is still at work.
fn next_runs(
    lab: &Lab,
    journal: &[u8],
    what: &str,
    remembered: &dyn Fn(uuid::Uuid, &str) -> Remembered,
) {
    let dir = folder();
    fs::write(dir.path().join("killed.journal"), journal).unwrap();
    for run in 0.. {
        let Some(taken) = dead(dir.path()).unwrap().pop() else {
            break;
        };
        let taken = Arc::new(taken);
        let report = recover(&lab.control(&taken), remembered).unwrap();
        assert!(report.suspects.is_empty(), "{what}: {report:?}");
        assert!(run < 3, "{what}: {report:?}");
        taken.close().unwrap();
        lab.time.sleep(Duration::from_secs(60));
    }
}

#[test]
fn killed_at_any_request_nothing_of_ours_stays() {
    let mut requests = 0;
    for at in 1..200 {
        let mut ended = false;
        for sent in [false, true] {
            for late in [0, 3600] {
                let lab = Lab::start(SCENARIO);
                lab.user_checkpoint();
                let before = lab.rest();
                let plan = lab.plan(&lab.session(), &Policy::default());
                let Some(journal) = killed(&lab, &plan, None, (at, sent)) else {
                    ended = true;
                    continue;
                };
                // The next run comes at once, or when the host has forgotten all jobs.
                lab.time.sleep(Duration::from_secs(late));
                let what = format!("request {at}, sent {sent}, late {late}");
                next_runs(&lab, &journal, &what, &|_, _| Remembered::No);
                assert_eq!(lab.rest(), before, "{what}");
            }
        }
        if ended {
            break;
        }
        requests = at;
    }
    assert!((20..150).contains(&requests), "{requests}");
}

/// An incremental backup that is killed: the token of the last one is good still, or its reference
/// point is gone and the next backup reads in full; what was said to be unchanged always is.
#[test]
fn killed_at_any_request_the_next_backup_is_right() {
    let (mut requests, mut incremental) = (0, 0);
    for at in 1..200 {
        let mut ended = false;
        for sent in [false, true] {
            let lab = Lab::start(SCENARIO);
            lab.user_checkpoint();
            let plan = lab.plan(&lab.session(), &Policy::default());
            let mut guest = vec![0; 4 << 20];
            lab.write(0, 4096, &[1; 4096], &mut guest);
            let mut copy = guest.clone();
            let token = lab.with(|control| {
                let request = plan.request(MARK, None, false);
                let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
                frozen.keep().token.unwrap()
            });
            lab.rest();
            lab.write(0, 1 << 20, &[2; 4096], &mut guest);
            let what = format!("request {at}, sent {sent}");
            let Some(journal) = killed(&lab, &plan, Some(&token), (at, sent)) else {
                ended = true;
                continue;
            };
            let kept = |_, point: &str| match token.reference_point.as_deref() == Some(point) {
                true => Remembered::Yes,
                false => Remembered::No,
            };
            next_runs(&lab, &journal, &what, &kept);
            let (kinds, points, _) = lab.rest();
            assert_eq!(kinds, [CheckpointKind::User], "{what}");
            assert!(points <= 1, "{what}: {points}");
            lab.write(0, 2 << 20, &[3; 4096], &mut guest);
            lab.with(|control| {
                let request = plan.request(MARK, Some(&token), false);
                let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
                let disk = &frozen.disks[0];
                let ranges = match &disk.reading {
                    Reading::Changed(ranges) => {
                        incremental += 1;
                        assert_eq!(points, 1, "{what}");
                        ranges.clone()
                    }
                    Reading::Full(why) => {
                        assert_eq!(points, 0, "{what}: {why}");
                        [ByteRange::new(0, 4 << 20)].into_iter().collect()
                    }
                };
                for range in ranges.iter() {
                    let (from, to) = (range.start as usize, range.end as usize);
                    disk.chain
                        .read_at(range.start, &mut copy[from..to])
                        .unwrap();
                }
                assert!(copy == guest, "{what}: {ranges:?}");
                frozen.keep();
            });
            let (kinds, points, _) = lab.rest();
            assert_eq!((kinds, points), (vec![CheckpointKind::User], 1), "{what}");
        }
        if ended {
            break;
        }
        requests = at;
    }
    assert!(
        (30..150).contains(&requests) && incremental > 20,
        "{requests} {incremental}"
    );
}
