//! VMs that cannot be backed up just now, and what a source does around a run.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::source::Memory;

/// Only sleeping lets its time pass.
#[derive(Default)]
pub(super) struct Manual(Mutex<Duration>);

impl Clock for Manual {
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    fn unix_seconds(&self) -> u64 {
        1_700_000_000
    }
    fn sleep(&self, span: Duration) {
        *self.0.lock().unwrap() += span;
    }
}

/// Two VMs of which the first is not to be had for so many times.
struct Busy {
    inner: ModelSource,
    times: AtomicU32,
    /// Whether it can tell which VMs there are.
    lists: bool,
    /// Whether an earlier run had left something.
    left: bool,
    frozen: Mutex<Vec<String>>,
    /// What the vault remembers of the VM when the run begins and when it ends.
    remembered: Vec<Vec<Option<Vec<u8>>>>,
}

impl Source for Busy {
    fn describe(&self) -> String {
        "busy".to_owned()
    }
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        let id = Uuid::from_u128(2);
        self.remembered.push(memory.tokens(id).unwrap());
        let began = Finding::note(Code::PutRight, "host", "began");
        Ok(self.left.then_some(began).into_iter().collect())
    }
    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let id = Uuid::from_u128(2);
        self.remembered.push(memory.tokens(id).unwrap());
        let left = Finding::new(Code::CleanupFailed, Severity::Warning, "host", "left");
        let left = left.hint("see to it");
        self.left.then_some(left).into_iter().collect()
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        if !self.lists {
            return Err(SourceError::new("host", "no answer", "see to the host"));
        }
        let vm = |number: u128| VmRef {
            key: number.to_string(),
            id: Uuid::from_u128(number),
            name: format!("vm {number}"),
            kind: Default::default(),
        };
        Ok(Listing {
            vms: vec![vm(1), vm(2)],
            findings: vec![],
        })
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        self.frozen.lock().unwrap().push(vm.name.clone());
        let left = self.times.load(Ordering::Relaxed);
        if vm.id == Uuid::from_u128(1) && left > 0 {
            self.times.store(left - 1, Ordering::Relaxed);
            return Err(SourceError {
                not_now: true,
                code: Code::NotNow,
                ..SourceError::new("vm 1", "somebody is at work on it", "wait")
            });
        }
        self.inner.freeze(vm, request)
    }
}

fn busy(times: u32) -> Busy {
    Busy {
        inner: source(vec![written(None, 1, 1000)]),
        times: AtomicU32::new(times),
        lists: true,
        left: true,
        frozen: Mutex::default(),
        remembered: Vec::new(),
    }
}

fn run(times: u32) -> (Busy, JobReport, Duration) {
    let mut source = busy(times);
    let (report, waited) = run_of(&mut source);
    (source, report.unwrap(), waited)
}

fn run_of(source: &mut Busy) -> (Result<JobReport, SourceError>, Duration) {
    let vault = vault();
    let clock = Manual::default();
    let job = Job {
        vault: &vault,
        clock: &clock,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits: Limits {
            workers: 1,
            in_flight: 256 << 10,
            results: 256 << 10,
        },
    };
    let mut next = 0_u8;
    let mut rng = |out: &mut [u8]| {
        for byte in out {
            next = next.wrapping_add(1);
            *byte = next;
        }
    };
    let report = backup(&job, source, &Options::default(), &mut rng);
    (report, clock.monotonic())
}

#[test]
fn a_vm_that_is_busy_has_its_turn_after_all_others() {
    let (source, report, waited) = run(2);
    let frozen = source.frozen.into_inner().unwrap();
    assert_eq!(frozen, ["vm 1", "vm 2", "vm 1", "vm 1"]);
    assert_eq!(waited, Duration::from_secs(90));
    // In the order of the list, whoever came first.
    let names: Vec<_> = report.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["vm 1", "vm 2"]);
    assert!(report.vms.iter().all(|vm| vm.point.is_some()));
    let found = &report.vms[0].findings;
    let told = |f: &&Finding| f.code == Code::NotNow && f.message.contains("3 times");
    assert_eq!(found.iter().filter(told).count(), 1, "{found:?}");
}

#[test]
fn a_vm_that_stays_busy_fails_and_the_run_ends() {
    let (source, report, _) = run(u32::MAX);
    assert_eq!(
        source.frozen.lock().unwrap().len() as u32,
        1 + Retry::default().tries
    );
    assert_eq!(report.vms[0].outcome, Outcome::Failed);
    assert_eq!(report.vms[0].findings[0].code, Code::NotNow);
    assert_eq!(report.vms[1].outcome, Outcome::Ok);
}

#[test]
fn a_source_is_told_before_and_after_what_the_vault_remembers() {
    let (source, report, _) = run(0);
    assert_eq!(source.remembered[0], []);
    assert_eq!(source.remembered[1], [Some(b"token".to_vec())]);
    let codes: Vec<_> = report.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::PutRight, Code::CleanupFailed]);
    assert_eq!(report.outcome, Outcome::Warning);
}

#[test]
fn what_was_put_right_is_told_where_nobody_can_tell_which_vms_there_are() {
    let mut source = busy(0);
    source.lists = false;
    let report = run_of(&mut source).0.unwrap();
    assert_eq!((report.outcome, report.vms.len()), (Outcome::Failed, 0));
    let codes: Vec<_> = report.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::PutRight, Code::Failed, Code::CleanupFailed]);
    source.left = false;
    let error = run_of(&mut source).0.unwrap_err();
    assert_eq!(error.message, "no answer");
}
