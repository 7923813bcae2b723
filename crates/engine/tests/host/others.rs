//! Another installation that backs up the same VMs at the same time.

use super::*;

/// A source of which something is done while its first VM holds still.
pub(super) struct Meanwhile<'w> {
    pub(super) host: HostSource,
    pub(super) what: Mutex<Option<Box<dyn FnOnce() + Send + 'w>>>,
}

impl Source for Meanwhile<'_> {
    passes_on!(host: describe, begin, end, list);

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let frozen = self.host.freeze(vm, request)?;
        if let Some(what) = self.what.lock().unwrap().take() {
            what();
        }
        Ok(frozen)
    }
}

#[test]
fn a_vm_that_another_installation_holds_fails_there_and_is_well_here() {
    let place = Place::new(SCENARIO);
    let other = Place {
        lab: Arc::clone(&place.lab),
        runs: Mutex::new(1000),
        ..Place::new(SCENARIO)
    };
    let source = |place: &Place, installation| {
        let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
        setup.mark.installation = Uuid::from_u128(installation);
        HostSource::open(setup).unwrap()
    };
    for (place, installation) in [(&place, 1), (&other, 2)] {
        let report = place.back_up(&mut source(place, installation), None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    }
    assert_eq!(place.rest(), ours(2));
    let mut refused = None;
    let theirs = || {
        refused = Some(other.back_up(&mut source(&other, 2), None));
    };
    let mut held = Meanwhile {
        host: source(&place, 1),
        what: Mutex::new(Some(Box::new(theirs))),
    };
    let report = place.back_up(&mut held, None);
    drop(held);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let levels = |report: &JobReport| report.vms.iter().all(|vm| vm.level == Some("incremental"));
    assert!(levels(&report), "{report:#?}");

    // It says that somebody else is at work on the first, by the name of their checkpoint, and has
    // tried it again in vain; the second nobody held.
    let refused = refused.unwrap();
    let first = &refused.vms[0];
    assert_eq!((first.outcome, &first.point), (Outcome::Failed, &None));
    assert!(codes(&first.findings).contains(&Code::NotNow), "{first:#?}");
    let says = |finding: &Finding| finding.message.contains("recovery checkpoint");
    assert!(first.findings.iter().any(says), "{first:#?}");
    assert_eq!(refused.vms[1].outcome, Outcome::Ok, "{refused:#?}");
    assert_eq!(place.rest(), ours(2));

    for (place, installation) in [(&other, 2), (&place, 1)] {
        assert_eq!(std::fs::read_dir(place.journals()).unwrap().count(), 0);
        let report = place.back_up(&mut source(place, installation), None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert!(levels(&report), "{report:#?}");
        assert_eq!(place.rest(), ours(2));
    }
}
