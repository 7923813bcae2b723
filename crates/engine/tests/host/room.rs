//! Volumes of a host that fill up while it is read from.

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

/// Files whose bytes do not come as long as nobody is in a hurry.
struct Hanging {
    inner: MappedFiles,
    hurry: Hurry,
    hang: Arc<AtomicBool>,
}

struct HangingFile(Arc<FrozenFile>, Hurry, Arc<AtomicBool>);

impl ReadAt for HangingFile {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        // What lies far in is the disk's data; a minute is longer than any test takes.
        let begun = std::time::Instant::now();
        while offset >= 4 << 20 && self.2.load(Ordering::Relaxed) {
            if self.1.is_on() || begun.elapsed() > Duration::from_secs(60) {
                return Err(std::io::Error::other("nobody waits any more"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.read_exact_at(buf, offset)
    }
}

impl HostFiles for Hanging {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = self.inner.open(path)?;
        let file = HangingFile(file, self.hurry.clone(), Arc::clone(&self.hang));
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(file))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.inner.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.inner.list(folder)
    }
}

/// Nothing comes by any more that could look: a thread does.
#[test]
fn a_volume_that_fills_while_a_read_hangs_ends_the_backup_as_well() {
    let place = filling();
    let hurry = Hurry::default();
    let files = Hanging {
        inner: place.lab.files(),
        hurry: hurry.clone(),
        hang: Arc::new(AtomicBool::new(true)),
    };
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::default());
    setup.files = Arc::new(files);
    setup.hurry = hurry.clone();
    let source = HostSource::open(setup).unwrap();
    let mut source = source.looking_every(Duration::from_millis(5));
    let begun = std::time::Instant::now();
    let report = place.back_up(&mut source, None);
    assert!(begun.elapsed() < Duration::from_secs(50), "the read hung");
    let first = &report.vms[0];
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    let told = |f: &Finding| f.message.contains("MiB are free");
    assert!(first.findings.iter().any(told), "{first:#?}");
    assert!(!hurry.is_on());
    drop(source);
    assert_eq!(place.rest(), ours(0));
}
