//! No change is ever missed: what a host tells is taken only if it surely covers the disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath, path::HYPER_V};
use disk::{ByteRange, ByteRanges};
use hyperkeep_hyperv::tracking::{NoChanges, changes};
use proptest::prelude::*;

use crate::support::{broken, fault, untyped};

/// A host that knows which units of a disk changed.
struct Host {
    changed: Vec<bool>,
    unit: u64,
    /// Bytes that it gets through in one call.
    most: u64,
    /// The whole disk is too much to ask for.
    refuse_whole: bool,
    /// Ranges that an answer may have before it is larger than a message may be.
    fits: usize,
    /// Offsets count from where the question begins.
    relative: bool,
    /// What is done to each answer.
    spoil: fn(u64, Instance) -> Instance,
    lost: Mutex<u32>,
    calls: Mutex<Vec<(u64, u64)>>,
    now: Mutex<Duration>,
}

impl Host {
    fn new(changed: Vec<bool>, unit: u64, most: u64) -> Self {
        Self {
            changed,
            unit,
            most,
            refuse_whole: false,
            fits: usize::MAX,
            relative: false,
            spoil: |_, answer| answer,
            lost: Mutex::new(0),
            calls: Mutex::new(Vec::new()),
            now: Mutex::new(Duration::ZERO),
        }
    }

    fn len(&self) -> u64 {
        self.changed.len() as u64 * self.unit
    }

    fn truth(&self) -> ByteRanges {
        let all = self
            .changed
            .iter()
            .enumerate()
            .filter(|(_, changed)| **changed);
        all.map(|(at, _)| ByteRange::new(at as u64 * self.unit, (at as u64 + 1) * self.unit))
            .collect()
    }

    fn ask(&self) -> Result<ByteRanges, NoChanges> {
        changes(self, self, "D:\\a.vhdx", "rct:1", self.len())
    }
}

impl Pace for Host {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, span: Duration) {
        *self.now.lock().unwrap() += span;
    }
}

impl CimSession for Host {
    fn query_paths(&self, _: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        assert_eq!(wql, "SELECT * FROM Msvm_ImageManagementService");
        Ok(vec![
            ObjectPath::new(HYPER_V, "Msvm_ImageManagementService").with_key("Name", "vhdsvc"),
        ])
    }

    fn invoke(
        &self,
        _: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        assert_eq!(method, "GetVirtualDiskChanges");
        assert_eq!(inputs.get::<String>("LimitId").unwrap(), "rct:1");
        let (at, asked): (u64, u64) = (
            inputs.get("ByteOffset").unwrap(),
            inputs.get("ByteLength").unwrap(),
        );
        {
            let mut lost = self.lost.lock().unwrap();
            if *lost > 0 {
                *lost -= 1;
                return Err(broken(method, true, true));
            }
        }
        self.calls.lock().unwrap().push((at, asked));
        assert!(asked > 0 && at + asked <= self.len());
        if self.refuse_whole && asked == self.len() {
            let outputs = Instance::new("OUTPUT").with("ReturnValue", 32773_u32);
            return Ok(MethodResult { outputs });
        }
        let processed = asked.min(self.most);
        let window = ByteRange::new(at, at + processed);
        let ranges = self
            .truth()
            .iter()
            .filter_map(|r| r.intersect(&window))
            .collect::<Vec<_>>();
        if ranges.len() > self.fits {
            return Err(fault(method, 0x8033_8026, true));
        }
        let base = if self.relative { at } else { 0 };
        let answer = Instance::new("GetVirtualDiskChanges_OUTPUT")
            .with("ReturnValue", 0_u32)
            .with("ProcessedByteLength", processed)
            .with(
                "ChangedByteOffsets",
                ranges.iter().map(|r| r.start - base).collect::<Vec<_>>(),
            )
            .with(
                "ChangedByteLengths",
                ranges.iter().map(ByteRange::len).collect::<Vec<_>>(),
            );
        let outputs = untyped(&(self.spoil)(at, answer));
        Ok(MethodResult { outputs })
    }

    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        panic!("{path}")
    }

    fn query(&self, _: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        panic!("{wql}")
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        panic!("{which:?}")
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        panic!("{which:?}")
    }

    fn class(&self, _: &str, name: &str) -> Result<Arc<Class>, CimError> {
        panic!("{name}")
    }
}

proptest! {
    /// Whatever the host gets through at once, either all changes are known or there is no answer;
    /// with one call there always is one.
    #[test]
    fn every_change_is_found(
        changed in prop::collection::vec(any::<bool>(), 1..40),
        most in 1_u64..50,
        relative in any::<bool>(),
    ) {
        let mut host = Host::new(changed, 4096, most * 4096);
        host.relative = relative;
        let found = host.ask();
        let once = host.len() <= host.most;
        match found {
            Ok(found) => prop_assert_eq!(found, host.truth()),
            Err(error) => {
                prop_assert!(!once, "{error}");
                prop_assert!(matches!(error, NoChanges::Odd(_)), "{error}");
                // A host whose offsets are the disk's is believed unless its first answer has
                // nothing to try that by.
                let tell = host.truth().iter().any(|r| r.start > 0 && r.start < host.most);
                prop_assert!(relative || !tell, "{error}");
            }
        }
    }
}

#[test]
fn a_large_disk_is_asked_for_in_parts() {
    let unit = 64 << 30;
    let mut changed = vec![false; 16];
    changed[1] = true;
    changed[15] = true;
    let host = Host::new(changed, unit, u64::MAX);
    assert_eq!(host.ask().unwrap(), host.truth());
    let calls = host.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 4, "no part is longer than what comes before");
    assert!(calls.iter().all(|(_, asked)| *asked <= 256 << 30));
}

#[test]
fn the_number_of_calls_does_not_depend_on_the_changes() {
    for count in [0, 1, 500] {
        let changed = (0..1000).map(|at| at % 2 == 1 && at < 2 * count).collect();
        let host = Host::new(changed, 1 << 20, u64::MAX);
        assert_eq!(host.ask().unwrap(), host.truth());
        assert_eq!(host.calls.lock().unwrap().len(), 1, "{count} changes");
    }
}

#[test]
fn lost_answers_are_asked_for_again_and_not_for_ever() {
    let host = Host::new(vec![true], 512, u64::MAX);
    *host.lost.lock().unwrap() = 2;
    assert_eq!(host.ask().unwrap(), host.truth());
    *host.lost.lock().unwrap() = 3;
    assert!(matches!(host.ask(), Err(NoChanges::Host(_))));
}

#[test]
fn an_answer_that_makes_no_sense_is_none() {
    let spoils: [fn(u64, Instance) -> Instance; 9] = [
        |_, answer| answer.with("ProcessedByteLength", 0_u64),
        |_, answer| answer.with("ProcessedByteLength", u64::MAX),
        |_, answer| answer.with("ProcessedByteLength", "viel"),
        |_, answer| answer.with("ChangedByteLengths", Vec::<u64>::new()),
        |_, answer| answer.with("ChangedByteOffsets", vec![1_u64 << 40, 1 << 41]),
        |_, answer| answer.with("ChangedByteOffsets", vec![u64::MAX, u64::MAX]),
        |_, answer| answer.with("ChangedByteOffsets", vec!["a".to_owned(), "b".to_owned()]),
        |_, answer| answer.with("ReturnValue", 32779_u32),
        |_, answer| {
            let job = ObjectPath::new(HYPER_V, "Msvm_StorageJob").with_key("InstanceID", "J");
            answer.with("ReturnValue", 4096_u32).with("Job", job)
        },
    ];
    for (number, spoil) in spoils.into_iter().enumerate() {
        let mut host = Host::new(vec![false, true, false, true], 4096, u64::MAX);
        assert_eq!(host.ask().unwrap(), host.truth());
        host.spoil = spoil;
        assert!(host.ask().is_err(), "{number}");
    }
}

/// The page of the method wants less than the whole disk.
#[test]
fn a_host_that_refuses_the_whole_is_asked_for_halves() {
    let mut host = Host::new((0..64).map(|at| at % 5 == 0).collect(), 1 << 19, u64::MAX);
    host.refuse_whole = true;
    assert_eq!(host.ask().unwrap(), host.truth());
    assert_eq!(
        host.calls.lock().unwrap().len(),
        3,
        "refused, and two halves"
    );
    let mut host = Host::new(vec![true], 512, u64::MAX);
    host.refuse_whole = true;
    assert!(matches!(host.ask(), Err(NoChanges::Refused(32773))));
}

/// Changes all over a disk make an answer that does not fit into a message.
#[test]
fn what_does_not_fit_into_a_message_is_asked_for_in_parts() {
    let changed: Vec<bool> = (0..64).map(|at| at % 2 == 0).collect();
    let mut host = Host::new(changed, 1 << 20, u64::MAX);
    host.fits = 5;
    assert_eq!(host.ask().unwrap(), host.truth());
    assert!(host.calls.lock().unwrap().len() < 32);
    // There is an end to it.
    host.fits = 0;
    assert!(matches!(host.ask(), Err(NoChanges::Host(_))));
}
