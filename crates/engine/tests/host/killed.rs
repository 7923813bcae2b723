//! What runs leave that do not come to their end. Under Wine most of it takes minutes, and nothing in it
//! depends on the system.

use super::*;

/// Files that are not kept open, as those of a process that is gone are not.
struct Loaded(MappedFiles);

impl HostFiles for Loaded {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let file = self.0.open(path)?;
        let mut bytes = vec![0; usize::try_from(self.0.len(path)?).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Ok(Arc::new(FrozenFile::new(path.clone(), Arc::new(bytes))?))
    }
    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        self.0.len(path)
    }
    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        self.0.list(folder)
    }
}

/// What a run on the host of a place is set up with that is going to die.
pub(crate) fn mortal(place: &Place) -> Setup {
    let setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    Setup {
        files: Arc::new(Loaded(place.lab.files())),
        ..setup
    }
}

/// A source whose process dies between a VM's restore point and its end; whether it was let go by
/// then.
pub(crate) struct Dies(pub(crate) HostSource, pub(crate) bool);

struct DiesVm(Option<Box<dyn FrozenVm>>, bool);

impl Source for Dies {
    passes_on!(0: describe, begin, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        Ok(Box::new(DiesVm(Some(self.0.freeze(vm, request)?), self.1)))
    }
}

impl FrozenVm for DiesVm {
    fn view(&self) -> &FrozenView {
        self.0.as_ref().unwrap().view()
    }
    fn recheck(&mut self) -> Vec<Moved> {
        self.0.as_mut().unwrap().recheck()
    }
    fn let_go(&mut self) -> Result<LetGo, Finding> {
        match self.1 {
            true => self.0.as_mut().unwrap().let_go(),
            false => Ok(LetGo::default()),
        }
    }
    fn finish(mut self: Box<Self>, _: End) -> Finished {
        std::mem::forget(self.0.take());
        Finished::default()
    }
}

#[cfg(unix)]
#[test]
fn killed_between_a_restore_point_and_its_end_nothing_of_either_is_left() {
    use CheckpointKind::Recovery;
    for (let_go, left_then) in [(false, (vec![Recovery], 1)), (true, (Vec::new(), 2))] {
        let place = Place::new(SCENARIO);
        assert_eq!(place.run().outcome, Outcome::Ok);
        assert_eq!(place.rest(), ours(1));
        let source = HostSource::open(mortal(&place)).unwrap();
        let mut dies = Dies(source, let_go);
        place.back_up(&mut dies, None);
        drop(dies);
        assert_eq!(place.rest(), vec![left_then; 2]);

        // Its restore points have no tokens, so the reference points before them are nobody's.
        let report = place.run();
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let put_right = codes(&report.findings);
        let count = put_right.iter().filter(|code| **code == Code::PutRight);
        assert_eq!(count.count(), 4, "{report:#?}");
        assert!(report.vms.iter().all(|vm| vm.level == Some("full")));
        assert_eq!(place.rest(), ours(1));
        assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
        let again = place.run();
        assert!(again.vms.iter().all(|vm| vm.level == Some("incremental")));
    }
}

/// The same at a place where journals do not say which host they are of, as earlier versions wrote
/// them: only its name tells that the checkpoint is ours.
#[cfg(unix)]
#[test]
fn what_was_killed_and_no_journal_leads_to_goes_after_a_day() {
    let place = Place::new(SCENARIO);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut setup = mortal(&place);
    setup.journals = elsewhere.path().to_owned();
    let mut dies = Dies(HostSource::open(setup).unwrap(), false);
    place.back_up(&mut dies, None);
    drop(dies);
    for file in std::fs::read_dir(elsewhere.path()).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (host, rest) = text.split_once('\n').unwrap();
        assert!(host.contains(r#""entry":"host""#), "{host}");
        std::fs::write(&path, rest).unwrap();
    }
    let run = || {
        let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
        setup.neighbours = vec![Neighbour {
            folder: elsewhere.path().to_owned(),
            same_vault: true,
        }];
        place.back_up(&mut HostSource::open(setup).unwrap(), None)
    };
    let report = run();
    let codes_then = codes(&report.findings);
    assert!(codes_then.contains(&Code::LeftOnHost), "{report:#?}");
    assert!(!codes_then.contains(&Code::PutRight), "{report:#?}");
    let hint = &report.findings[0].hint;
    let folder = elsewhere.path().display().to_string();
    assert!(hint.as_ref().is_some_and(|hint| hint.contains(&folder)));

    place.lab.time.sleep(Duration::from_secs(24 * 3600));
    let report = run();
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    assert!(codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(place.rest(), ours(1));
}
