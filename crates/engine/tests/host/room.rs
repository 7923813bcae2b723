//! Volumes of a host that fill up while it is read from.

use std::sync::OnceLock;

use hyperkeep_engine::backup::VmReport;

use super::*;

/// The volume is nearly full as soon as the first checkpoint has its name.
fn filling() -> Place {
    let fills = r#""rules": {"merge-ms": 20000}, "mishaps": [{"on": "ModifySystemSettings",
        "after": [{"space": {"volume": "D:\\", "free": 1073741824}}]}]"#;
    let at = SCENARIO.find(r#""rules""#).unwrap();
    Place::new(&format!("{}{fills}}}", &SCENARIO[..at]))
}

#[test]
fn a_volume_that_fills_while_a_vm_is_read_ends_its_backup_and_its_checkpoint() {
    let place = filling();
    let mut source = place.source(Arc::new(Ticking(place.lab.time.clone())), Floor::default());
    let report = place.back_up(&mut source, None);
    let [first, second] = report.vms.as_slice() else {
        panic!("{report:#?}");
    };
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    assert!(
        first.findings[0].message.contains("MiB are free"),
        "{first:#?}"
    );
    // The other VM is on the same volume.
    assert_eq!(second.point, None, "{second:#?}");
    drop(source);
    assert_eq!(place.rest(), ours(0));
    assert!(place.vault.points(None).unwrap().is_empty());
}

/// The room comes back by merging: whether that was done is told of a VM that was given up as well.
#[test]
fn a_vm_that_was_given_up_is_told_if_its_host_does_not_merge() {
    let place = filling();
    let failure = Failure::general(Some(0x8007_0070), "no room");
    suffer(&place.lab, &Accident::MergeFails(failure));
    let mut source = place.source(Arc::new(Ticking(place.lab.time.clone())), Floor::default());
    let report = place.back_up(&mut source, None);
    assert_eq!(report.vms[0].outcome, Outcome::Failed);
    let told = |f: &Finding| f.code == Code::CleanupFailed && f.message.contains("has not merged");
    assert!(report.findings.iter().any(told), "{report:#?}");
}

/// Nothing was read yet, and there was a checkpoint all the same.
#[test]
fn a_vm_whose_host_went_silent_under_a_checkpoint_is_told_if_it_is_not_merged() {
    let tpm = SCENARIO.replacen(r#""name": "first","#, r#""name": "first", "tpm": true,"#, 1);
    let lost = r#""mishaps": [{"on": "GetKeyProtector", "does": "lost"}], "rules""#;
    let place = Place::new(&tpm.replace(r#""rules""#, lost));
    let failure = Failure::general(Some(0x8007_0070), "no room");
    suffer(&place.lab, &Accident::MergeFails(failure));
    let report = place.run();
    assert_eq!(report.vms[0].outcome, Outcome::Failed, "{report:#?}");
    let told = |f: &Finding| f.code == Code::CleanupFailed && f.message.contains("has not merged");
    assert!(report.findings.iter().any(told), "{report:#?}");
    assert!(place.rest()[0].0.is_empty(), "the checkpoint has ended");
}

/// Files of D: whose bytes do not come as long as nobody is in a hurry. Those of other drives come
/// after that.
struct Hanging {
    inner: MappedFiles,
    hurry: Hurry,
    seen: Arc<Seen>,
}

struct Seen {
    /// What happens when a read of D: hangs.
    hangs: Box<dyn Fn() + Send + Sync>,
    /// Whether it was in a hurry then.
    hurried: AtomicBool,
    /// Whether a read of another drive was, after that.
    other: OnceLock<bool>,
    /// Whether there is one.
    both: bool,
}

struct HangingFile {
    inner: Arc<FrozenFile>,
    hurry: Hurry,
    seen: Arc<Seen>,
    is_d: bool,
}

impl ReadAt for HangingFile {
    fn len(&self) -> std::io::Result<u64> {
        self.inner.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        let seen = &self.seen;
        // A minute is longer than any test takes.
        let begun = std::time::Instant::now();
        let wait = |until: &dyn Fn() -> bool| {
            while !until() && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        // What lies far in is the disk's data.
        let far = offset >= 4 << 20;
        if far && self.is_d {
            (seen.hangs)();
            wait(&|| self.hurry.is_on());
            seen.hurried.store(self.hurry.is_on(), Ordering::SeqCst);
            wait(&|| !seen.both || seen.other.get().is_some());
            return Err(std::io::Error::other("nobody waits any more"));
        }
        if far && seen.other.get().is_none() {
            wait(&|| seen.hurried.load(Ordering::SeqCst));
            let _ = seen.other.set(self.hurry.is_on());
        }
        self.inner.read_exact_at(buf, offset)
    }
}

impl HostFiles for Hanging {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = self.inner.open(path)?;
        let file = HangingFile {
            inner: file,
            hurry: self.hurry.clone(),
            seen: Arc::clone(&self.seen),
            is_d: path.to_string().starts_with("D:"),
        };
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(file))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.inner.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.inner.list(folder)
    }
}

/// A host of which VMs of D: are read with reads that hang.
fn hanging(
    place: &Place,
    both: bool,
    hangs: impl Fn() + Send + Sync + 'static,
) -> (HostSource, Arc<Seen>) {
    let hurry = Hurry::default();
    let seen = Arc::new(Seen {
        hangs: Box::new(hangs),
        hurried: AtomicBool::new(false),
        other: OnceLock::new(),
        both,
    });
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::default());
    setup.files = Arc::new(Hanging {
        inner: place.lab.files(),
        hurry: hurry.clone(),
        seen: Arc::clone(&seen),
    });
    setup.hurry = hurry;
    let source = HostSource::open(setup).unwrap();
    (source.looking_every(Duration::from_millis(5)), seen)
}

fn given_up(vm: &VmReport) {
    assert_eq!((vm.outcome, &vm.point), (Outcome::Failed, &None));
    let told = |f: &Finding| f.message.contains("MiB are free");
    assert!(vm.findings.iter().any(told), "{vm:#?}");
}

/// Nothing comes by any more that could look: a thread does.
#[test]
fn a_volume_that_fills_while_a_read_hangs_ends_the_backup_as_well() {
    let place = filling();
    let (mut source, seen) = hanging(&place, false, || {});
    let report = place.back_up(&mut source, None);
    assert!(seen.hurried.load(Ordering::SeqCst), "the read hung");
    given_up(&report.vms[0]);
    drop(source);
    assert_eq!(place.rest(), ours(0));
}

/// Others bear an outage meanwhile as they always do.
#[test]
fn nobody_is_in_a_hurry_but_the_vm_that_is_given_up() {
    let scenario = SCENARIO
        .replace(r"D:\\VMs\\b", r"E:\\b")
        .replace(
            r#"b.vhdx", "size": 4194304}]"#,
            r#"b.vhdx", "size": 4194304}], "writes": [{"offset": 0, "length": 4194304, "seed": 5}]"#,
        )
        .replace(
            r#"[{"name": "D:\\","#,
            r#"[{"name": "E:\\", "capacity": 1099511627776}, {"name": "D:\\","#,
        );
    let place = Place::new(&scenario);
    let lab = Arc::clone(&place.lab);
    let fills = move || suffer(&lab, &Accident::Space("D:\\".to_owned(), 1 << 30));
    let (mut source, seen) = hanging(&place, true, fills);
    let report = place.back_up_as(&mut source, &many::at_a_time(2), &Cancel::new(), None);
    assert!(seen.hurried.load(Ordering::SeqCst));
    assert_eq!(seen.other.get(), Some(&false));
    given_up(&report.vms[0]);
    assert_eq!(report.vms[1].outcome, Outcome::Ok, "{report:#?}");
    drop(source);
    let rest = place.rest();
    assert_eq!(rest, [(Vec::new(), 0), (Vec::new(), 1)]);
}
