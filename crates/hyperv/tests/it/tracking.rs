//! No change is ever missed: what a host tells is taken only if it surely covers the disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, MethodResult, ObjectPath, path::HYPER_V};
use disk::{ByteRange, ByteRanges};
use hyperkeep_hyperv::inventory::{ReferencePoint, TrackedDisk};
use hyperkeep_hyperv::tracking::{
    Applied, Decision, Doubt, NoChanges, Now, NowDisk, Token, TokenDisk, changes, decide,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{broken, untyped};

/// A host that knows which units of a disk changed.
struct Host {
    changed: Vec<bool>,
    unit: u64,
    /// Bytes that it gets through in one call.
    most: u64,
    /// The whole disk is too much to ask for.
    refuse_whole: bool,
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

const VM: Uuid = Uuid::from_u128(1);
const INSTALLATION: Uuid = Uuid::from_u128(2);

fn files(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn token() -> Token {
    Token {
        installation: INSTALLATION,
        vm: VM,
        reference_point: Some("R".to_owned()),
        last_applied: Applied::None,
        checkpoints: Some(vec!["x".to_owned()]),
        disks: vec![TokenDisk {
            place: format!("Microsoft:{VM}\\c\\0\\0\\D"),
            disk_id: Some(Uuid::from_u128(5)),
            len: 100,
            files: files(&["D:\\VMs\\a.vhdx"]),
            tracking_id: Some("rct:1".to_owned()),
        }],
        layers: Vec::new(),
    }
}

fn now() -> Now {
    Now {
        installation: INSTALLATION,
        vm: VM,
        last_applied: [Applied::None, Applied::None],
        checkpoints: Some(vec!["x".to_owned()]),
        disks: vec![NowDisk {
            place: format!("Microsoft:{}\\C\\0\\0\\L", Uuid::from_u128(9)),
            disk_id: Some(Uuid::from_u128(5)),
            len: 100,
            files: files(&["d:\\vms\\A.vhdx"]),
        }],
    }
}

fn point() -> ReferencePoint {
    ReferencePoint {
        instance_id: "R".to_owned(),
        vm: VM,
        kind: Some(2),
        consistency: Some(1),
        disks: Some(vec![TrackedDisk {
            instance_id: format!("Microsoft:{VM}\\c\\0\\0\\D"),
            tracking_id: "rct:1".to_owned(),
        }]),
    }
}

#[test]
fn a_disk_is_asked_about_only_if_nothing_is_doubtful() {
    let since = "rct:1".to_owned();
    assert_eq!(
        decide(Some(&token()), &[point()], &now()),
        [Decision::Ask { since }]
    );
    assert_eq!(
        decide(None, &[point()], &now()),
        [Decision::Full(Doubt::NoToken)]
    );
    type Change = fn(&mut Token, &mut ReferencePoint, &mut Now);
    let cases: [(Change, Doubt); 21] = [
        (|_, _, now| now.vm = Uuid::nil(), Doubt::OtherMachine),
        (
            |_, _, now| now.installation = Uuid::nil(),
            Doubt::OtherMachine,
        ),
        (
            |_, point, _| point.instance_id = "S".to_owned(),
            Doubt::NoReferencePoint,
        ),
        (
            |token, _, _| token.reference_point = None,
            Doubt::NoReferencePoint,
        ),
        (
            |_, point, _| point.vm = Uuid::nil(),
            Doubt::NoReferencePoint,
        ),
        (
            |_, _, now| now.last_applied[0] = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |_, _, now| now.last_applied[1] = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |token, _, _| token.last_applied = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |token, _, now| {
                token.last_applied = Applied::Untold;
                now.last_applied = [Applied::Untold, Applied::Untold];
            },
            Doubt::Applied,
        ),
        // One and the same checkpoint was applied once more.
        (
            |token, _, now| {
                token.last_applied = Applied::Of("x".to_owned());
                now.last_applied = [Applied::Of("X".to_owned()), Applied::Of("x".to_owned())];
                token.disks[0].files = files(&["D:\\VMs\\a_1.avhdx", "D:\\VMs\\a.vhdx"]);
                now.disks[0].files = files(&["D:\\VMs\\a_2.avhdx", "D:\\VMs\\a.vhdx"]);
            },
            Doubt::Replaced {
                was: "D:\\VMs\\a_1.avhdx".to_owned(),
            },
        ),
        (|_, _, now| now.disks[0].files.clear(), Doubt::OtherDisk),
        (
            |_, _, now| now.disks[0].place = "Microsoft:A".to_owned(),
            Doubt::Ambiguous,
        ),
        (|token, _, _| token.disks.clear(), Doubt::NewDisk),
        (
            |token, _, _| token.disks.extend(token.disks.clone()),
            Doubt::Ambiguous,
        ),
        (
            |_, _, now| now.disks[0].disk_id = Some(Uuid::nil()),
            Doubt::OtherDisk,
        ),
        (
            |token, _, now| (token.disks[0].disk_id, now.disks[0].disk_id) = (None, None),
            Doubt::OtherDisk,
        ),
        (
            |_, _, now| now.disks[0].len = 101,
            Doubt::Resized { was: 100 },
        ),
        (
            |_, _, now| now.disks[0].files = files(&["E:\\VMs\\a.vhdx"]),
            Doubt::Moved {
                was: "D:\\VMs\\a.vhdx".to_owned(),
            },
        ),
        (
            |token, _, _| token.disks[0].tracking_id = None,
            Doubt::NotTracked,
        ),
        (
            |_, point, _| point.disks.as_mut().unwrap()[0].tracking_id = "rct:2".to_owned(),
            Doubt::OtherTracking,
        ),
        (|_, point, _| point.disks = None, Doubt::OtherTracking),
    ];
    for (change, doubt) in cases {
        let (mut token, mut point, mut now) = (token(), point(), now());
        change(&mut token, &mut point, &mut now);
        let decided = decide(Some(&token), &[point], &now);
        assert_eq!(decided, [Decision::Full(doubt.clone())], "{doubt}");
        assert!(!doubt.to_string().is_empty());
    }
    // Two disks in one place: neither.
    let mut twice = now();
    twice.disks.extend(twice.disks.clone());
    let ambiguous = Decision::Full(Doubt::Ambiguous);
    assert_eq!(
        decide(Some(&token()), &[point()], &twice),
        [ambiguous.clone(), ambiguous]
    );
}

/// What a disk's files may go through without anything being lost.
#[test]
fn files_may_grow_and_be_merged() {
    let (base, one, two) = (
        "D:\\VMs\\a.vhdx",
        "D:\\VMs\\a_1.avhdx",
        "D:\\VMs\\a_2.avhdx",
    );
    let decide = |then: &[&str], at: &[&str], same: bool| {
        let (mut token, mut now) = (token(), now());
        token.disks[0].files = files(then);
        now.disks[0].files = files(at);
        if !same {
            now.checkpoints = None;
        }
        decide(Some(&token), &[point()], &now).remove(0)
    };
    let asks = |decision: Decision| matches!(decision, Decision::Ask { .. });
    // A user took a checkpoint, or two.
    assert!(asks(decide(&[base], &[one, base], false)));
    assert!(asks(decide(&[one, base], &[two, one, base], false)));
    // The merge after the last backup was late.
    assert!(asks(decide(&[one, base], &[base], true)));
    // A user's checkpoint was removed, or one was applied and then removed.
    assert!(!asks(decide(&[one, base], &[base], false)));
    // Whatever the checkpoints are, the file that was written to is gone.
    assert!(!asks(decide(&[one, base], &[two, base], true)));
    assert!(!asks(decide(&[base], &[two], true)));
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
