//! Copies of VMs: which side, when, and without leaving their replication standing still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath, WsmanSession};
use hyperkeep_hyperv::checkpoint::{CheckpointError, Consistency, RecoveryCheckpoint};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::frozen::Frozen;
use hyperkeep_hyperv::inventory::{self, ReplicationMode};
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::plan::{NoPlan, Policy, Wanted, plan};
use hyperkeep_hyperv::preflight::{Finding, Level};
use hyperkeep_hyperv::replication::{
    Calm, Prefer, Seen, SuspendError, Suspended, Suspension, ToldBy, Why, conflict, sides,
};
use jiff::Timestamp;
use lab::state::{Accident, Failure};
use uuid::Uuid;

use crate::support::{Lab, MARK, OPTIONS, Shared};

/// A copy that gets no delta by itself and needs ten minutes for one, and a VM that nobody copies.
const SCENARIO: &str = r#"{
    "vms": [{"name": "copie de «web»", "state": "off",
             "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}],
             "replication": {"mode": 2, "state": 3, "health": 1, "interval": 0, "delta-ms": 600000}},
            {"name": "db", "disks": [{"path": "D:\\VMs\\db\\a.vhdx", "size": 4194304}]}],
    "rules": RULES
}"#;

fn lab(rules: &str) -> Lab {
    Lab::start(&SCENARIO.replace("RULES", rules))
}

fn state(lab: &Lab, vm: Uuid) -> u16 {
    lab.on(vm, |vm| vm.replication.unwrap().state)
}

fn set_state(lab: &Lab, vm: Uuid, state: u16) {
    lab.on(vm, |vm| vm.replication.as_mut().unwrap().state = state);
}

fn happens(lab: &Lab, what: Accident) {
    let mut service = lab.servers[0].service();
    service.repository.host.suffer(&what).unwrap();
}

const COPY: ReplicationMode = ReplicationMode::Replica;

#[test]
fn a_copy_is_saved_as_after_a_power_cut_and_is_labelled_so() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    lab.with(|control| {
        let all = inventory::take(control.session()).unwrap();
        let machine = all.machine(vm).unwrap();
        let policy = Policy {
            consistency: Wanted::RequireApplication,
            ..Policy::default()
        };
        let refused = plan(machine, &all.host, &policy).unwrap_err();
        assert!(matches!(refused, NoPlan::NotConsistent(_)), "{refused}");
        let plan = plan(machine, &all.host, &Policy::default()).unwrap();
        assert_eq!(plan.options.consistency, Consistency::Crash);
        assert_eq!(plan.expected, Level::Crash);
        let labels = |finding: &Finding| matches!(finding, Finding::Replica { mode: COPY });
        assert!(plan.findings.iter().any(labels), "{:?}", plan.findings);
        let request = plan.request(MARK, None, false);
        let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
        // It is off and its disks are at rest, and they are no better for it.
        assert_eq!(frozen.level, Level::Crash);
        assert_eq!(frozen.disks.len(), 1);
        let kept = frozen.keep();
        let point = kept.token.unwrap().reference_point.unwrap();
        control.journal().release(vm, &point).unwrap();
    });
}

/// The error of a checkpoint that is asked for once.
fn refused(control: &Arc<Control>, vm: Uuid) -> CheckpointError {
    RecoveryCheckpoint::create(control, vm, OPTIONS, &MARK).unwrap_err()
}

fn once<T>(lab: &Lab, flow: impl FnOnce(&Arc<Control>) -> T) -> T {
    lab.with_patience(Duration::ZERO, flow)
}

#[test]
fn a_conflict_is_told_in_whatever_language_and_by_whatever_code() {
    for (rules, told_by) in [
        (r#"{"replica-conflict": "refused"}"#, ToldBy::Code(32775)),
        (
            r#"{"replica-conflict": {"job": 32775}}"#,
            ToldBy::Code(32775),
        ),
        (r#"{"replica-conflict": {"job": 32768}}"#, ToldBy::Job(108)),
    ] {
        let lab = lab(rules);
        let vm = lab.vm(0);
        happens(&lab, Accident::ReceivesDelta(vm));
        once(&lab, |control| {
            let error = refused(control, vm);
            let found = conflict(control.session(), (vm, COPY), &error).unwrap();
            assert_eq!(found.unwrap().told_by, told_by, "{rules}: {error}");
            // By the time that it is looked for, it may be over.
            lab.time.sleep(Duration::from_secs(1200));
            let found = conflict(control.session(), (vm, COPY), &error).unwrap();
            let later = found.unwrap().told_by;
            assert!(later == told_by || later == ToldBy::Copy, "{later:?}");
            // Nothing stands in the way any more.
            RecoveryCheckpoint::create(control, vm, OPTIONS, &MARK)
                .unwrap()
                .destroy()
                .unwrap();
        });
    }
}

#[test]
fn what_fails_for_a_reason_of_its_own_is_no_conflict() {
    let lab = lab("{}");
    let (copy, other) = (lab.vm(0), lab.vm(1));
    let fails = |hresult| {
        let text = "Es geht nicht.";
        happens(&lab, Accident::JobFails(Failure::general(hresult, text)));
    };
    once(&lab, |control| {
        let told = |vm, mode| {
            let error = refused(control, vm);
            let found = conflict(control.session(), (vm, mode), &error).unwrap();
            found.map(|found| found.told_by)
        };
        fails(Some(0x8007_0070));
        assert_eq!(told(copy, COPY), None, "the disk is full");
        fails(Some(0x8007_00aa));
        assert_eq!(told(copy, COPY), Some(ToldBy::Hresult(0x8007_00aa)));
        fails(None);
        assert_eq!(told(copy, COPY), Some(ToldBy::Copy));
        fails(None);
        assert_eq!(told(other, ReplicationMode::None), None);
        let english = "cannot start a backup operation because it is currently executing a \
                       conflicting operation. Try the backup again.";
        happens(&lab, Accident::JobFails(Failure::general(None, english)));
        assert_eq!(told(other, ReplicationMode::None), Some(ToldBy::Text));
    });
}

#[test]
fn a_replication_at_work_is_waited_for_and_not_for_ever() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    happens(&lab, Accident::ReceivesDelta(vm));
    lab.with(|control| {
        let minute = Duration::from_secs(60);
        let seen = Calm::wait(control, vm, minute).unwrap();
        let jobs = vec![108];
        let operation = None;
        assert_eq!(seen, Calm::AtWork { operation, jobs });
        assert_eq!(Calm::wait(control, vm, 10 * minute).unwrap(), Calm::Yes);
        assert!((540..=660).contains(&lab.time.now().as_secs()));
        set_state(&lab, vm, 10);
        assert_eq!(Calm::wait(control, vm, minute).unwrap(), Calm::Busy(10));
        set_state(&lab, vm, 3);
        assert_eq!(Calm::look(control.session(), vm).unwrap(), Calm::Yes);
    });
}

fn suspend(control: &Arc<Control>, vm: Uuid) -> Suspension {
    match Suspension::take(control, (vm, COPY)).unwrap() {
        Suspended::Ours(suspension) => suspension,
        Suspended::Theirs => panic!("somebody else did"),
    }
}

#[test]
fn what_was_suspended_goes_on_on_every_path() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    let backup = |control: &Arc<Control>| {
        let suspension = suspend(control, vm);
        assert_eq!(state(&lab, vm), 7);
        assert_eq!(control.journal().reading().unwrap().suspended.len(), 1);
        RecoveryCheckpoint::create(control, vm, OPTIONS, &MARK)
            .unwrap()
            .destroy()
            .unwrap();
        suspension
    };
    lab.with(|control| backup(control).resume().unwrap());
    assert_eq!(state(&lab, vm), 3);
    lab.with(|control| drop(backup(control)));
    assert_eq!(state(&lab, vm), 3);
    // Somebody let it go on meanwhile, or ended it.
    lab.with(|control| {
        let suspension = backup(control);
        set_state(&lab, vm, 3);
        suspension.resume().unwrap();
    });
    lab.with(|control| {
        let suspension = backup(control);
        lab.on(vm, |vm| vm.replication = None);
        suspension.resume().unwrap();
    });
}

/// A whole backup that suspends: the replication goes on while the disks are still being read.
#[test]
fn it_is_suspended_for_the_moment_of_the_checkpoint_alone() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    let backup = |before: u16, notes: usize| {
        set_state(&lab, vm, before);
        lab.with(|control| {
            let all = inventory::take(control.session()).unwrap();
            let policy = Policy {
                suspend_replication: true,
                ..Policy::default()
            };
            let plan = plan(all.machine(vm).unwrap(), &all.host, &policy).unwrap();
            let request = plan.request(MARK, None, false);
            let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
            assert_eq!(state(&lab, vm), before);
            let journal = std::fs::read_to_string(control.journal().path()).unwrap();
            let suspended = journal.contains("suspend-replication");
            assert_eq!(suspended, before == 3, "{journal}");
            let kept = frozen.keep();
            assert_eq!(kept.problems.len(), notes, "{:?}", kept.problems);
            let point = kept.token.unwrap().reference_point.unwrap();
            control.journal().release(vm, &point).unwrap();
        });
        lab.time.sleep(Duration::from_secs(60));
    };
    backup(3, 0);
    backup(7, 0);
    // What cannot be suspended is told, and backed up all the same.
    backup(8, 1);
}

/// A host whose job suspends the replication at once, whatever it says in the end; and somebody who
/// stops the run when it is asked for that, if they do.
struct Hasty {
    inner: WsmanSession,
    lab: Arc<Lab>,
    stops: Option<Arc<AtomicBool>>,
}

impl CimSession for Hasty {
    fn invoke(
        &self,
        target: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        let answer = self.inner.invoke(target, method, inputs);
        let wanted = inputs.get_opt::<u16>("RequestedState").ok().flatten();
        if (method, wanted) == ("RequestReplicationStateChangeEx", Some(7)) {
            set_state(&self.lab, self.lab.vm(0), 7);
            let stops = self.stops.iter();
            stops.for_each(|stops| stops.store(true, Relaxed));
        }
        answer
    }

    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.inner.get(path)
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        self.inner.query(namespace, wql)
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        self.inner.query_paths(namespace, wql)
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.inner.associators(which)
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        self.inner.references(which)
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.inner.class(namespace, name)
    }
}

/// The hosts' clock, and somebody who wants to stop.
struct Stopped(Shared, Arc<AtomicBool>);

impl Pace for Stopped {
    fn now(&self) -> Duration {
        Pace::now(&self.0)
    }

    fn sleep(&self, span: Duration) {
        self.0.sleep(span);
    }

    fn cancelled(&self) -> bool {
        self.1.load(Relaxed)
    }
}

#[test]
fn what_was_suspended_by_a_job_that_denies_it_goes_on() {
    for stopped in [false, true] {
        for dropped in [false, true] {
            let lab = Arc::new(lab("{}"));
            let vm = lab.vm(0);
            let flag = Arc::new(AtomicBool::new(false));
            let session = Arc::new(Hasty {
                inner: lab.session(),
                lab: Arc::clone(&lab),
                stops: stopped.then(|| Arc::clone(&flag)),
            });
            if !stopped {
                let (code, hresult, text) = (32768, None, "Fehler".to_owned());
                let failure = Failure {
                    code,
                    hresult,
                    text,
                    others: Vec::new(),
                };
                happens(&lab, Accident::JobFails(failure));
            }
            let journals = crate::support::folder();
            let journal = Arc::new(Journal::create(journals.path(), MARK.run).unwrap());
            let time = lab.time.clone();
            let clock = Arc::new(move || Timestamp::UNIX_EPOCH + Pace::now(&time));
            let pace = Arc::new(Stopped(lab.time.clone(), flag));
            let control = Arc::new(Control::new(session, journal, pace, clock));
            let suspension = suspend(&control, vm);
            assert_eq!(state(&lab, vm), 7);
            match dropped {
                true => drop(suspension),
                false => suspension.resume().unwrap(),
            }
            assert_eq!(state(&lab, vm), 3, "stopped {stopped}, dropped {dropped}");
            assert_eq!(control.take_notes(), [""; 0]);
            let reading = control.journal().reading().unwrap();
            assert!(reading.is_settled(), "{reading:?}");
        }
    }
}

#[test]
fn what_somebody_else_suspended_is_left_to_them() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    let calls = |control: &Arc<Control>| control.journal().reading().unwrap().last;
    lab.with(|control| {
        set_state(&lab, vm, 7);
        let theirs = Suspension::take(control, (vm, COPY)).unwrap();
        assert!(matches!(theirs, Suspended::Theirs));
        drop(theirs);
        assert_eq!((state(&lab, vm), calls(control)), (7, 0));
        // What does not go on is not made to stand still either.
        set_state(&lab, vm, 8);
        let error = Suspension::take(control, (vm, COPY)).err().unwrap();
        assert!(matches!(
            error,
            SuspendError::NotGoingOn { state: Some(8), .. }
        ));
        let none = Suspension::take(control, (lab.vm(1), COPY)).err().unwrap();
        assert!(matches!(none, SuspendError::NotReplicated), "{none}");
        assert_eq!((state(&lab, vm), calls(control)), (8, 0));
    });
}

#[test]
fn what_does_not_go_on_is_told_and_tried_by_the_next_run() {
    let lab = lab("{}");
    let vm = lab.vm(0);
    let suspended = lab.killed((usize::MAX, false), |control| {
        let suspension = suspend(control, vm);
        // As long as anybody waits for it.
        happens(&lab, Accident::Stuck(vm, true));
        let error = suspension.resume().unwrap_err();
        assert!(error.to_string().contains("32775"), "{error}");
        let reading = control.journal().reading().unwrap();
        assert_eq!(reading.suspended.len(), 1);
        assert_eq!(state(&lab, vm), 7);
        let dropped = control.journal().path().to_owned();
        let journal = std::fs::read(dropped).unwrap();
        happens(&lab, Accident::Stuck(vm, false));
        let reports = lab.next_runs(&journal, "stuck");
        assert_eq!(reports[0].resumed.len(), 1, "{reports:?}");
        assert_eq!(state(&lab, vm), 3);
    });
    assert!(suspended.is_none());
}

#[test]
fn killed_at_any_request_the_replication_goes_on_or_is_left_to_who_suspended_it() {
    let mut requests = 0;
    let mut resumed = 0;
    for at in 1..200 {
        let mut ended = false;
        for sent in [false, true] {
            for late in [0, 3600] {
                for before in [3, 7] {
                    let lab = lab("{}");
                    let vm = lab.vm(0);
                    set_state(&lab, vm, before);
                    let journal = lab.killed((at, sent), |control| {
                        let Ok(suspended) = Suspension::take(control, (vm, COPY)) else {
                            return;
                        };
                        let made = RecoveryCheckpoint::create(control, vm, OPTIONS, &MARK);
                        drop(made);
                        if let Suspended::Ours(suspension) = suspended {
                            let _ = suspension.resume();
                        }
                    });
                    let Some(journal) = journal else {
                        assert_eq!(state(&lab, vm), before);
                        ended |= before == 3;
                        continue;
                    };
                    lab.time.sleep(Duration::from_secs(late));
                    let what = format!("request {at}, sent {sent}, late {late}, {before}");
                    let reports = lab.next_runs(&journal, &what);
                    resumed += reports.iter().map(|r| r.resumed.len()).sum::<usize>();
                    lab.time.sleep(Duration::from_secs(60));
                    assert_eq!(state(&lab, vm), before, "{what}: {reports:?}");
                    let checkpoints = lab.on(vm, |vm| vm.checkpoints.len());
                    assert_eq!(checkpoints, 0, "{what}");
                }
            }
        }
        if ended {
            break;
        }
        requests = at;
    }
    assert!((15..150).contains(&requests), "{requests}");
    assert!(resumed > 20, "{resumed}");
}

/// Two hosts that have the same VM, each telling its own side of it.
#[test]
fn a_vm_on_two_hosts_is_backed_up_once() {
    let host = |name: &str, mode: u16, state: u16| {
        let scenario = r#"{"host": {"name": "NAME"},
            "vms": [{"name": "web", "state": "off",
                     "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4194304}],
                     "replication": {"mode": MODE, "state": STATE, "health": 1, "interval": 300}}]}"#;
        let scenario = scenario.replace("NAME", name);
        let scenario = scenario.replace("MODE", &mode.to_string());
        let lab = Lab::start(&scenario.replace("STATE", &state.to_string()));
        inventory::take(&lab.session()).unwrap()
    };
    let primary = host("HV01", 1, 3);
    for (state, prefer, taken) in [
        (3, Prefer::PreferPrimary, "one"),
        (3, Prefer::PreferReplica, "two"),
        (10, Prefer::PreferReplica, "one"),
    ] {
        let replica = host("HV02", 2, state);
        let seen = [("one", &primary), ("two", &replica)];
        let seen = seen.map(|(host, inventory)| Seen { host, inventory });
        let [choice] = &sides(&seen, prefer)[..] else {
            panic!("one VM");
        };
        let [side] = &choice.taken[..] else {
            panic!("{choice:?}");
        };
        assert_eq!((side.side.host.as_str(), choice.left_out.len()), (taken, 1));
        let behind = matches!(
            side.why,
            Why::CopyIsBehind {
                state: Some(10),
                ..
            }
        );
        assert_eq!(behind, state == 10, "{}", side.why);
    }
}
