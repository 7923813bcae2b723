//! Runs that were killed while they wrote into another vault, or knew the host by another name.

#[cfg(unix)]
use hyperkeep_engine::backup::put_right;
#[cfg(unix)]
use killed::{Dies, mortal};

use super::*;

/// Another vault of the same installation, with the journals of its own.
fn other_vault(place: &Place, runs: u128) -> Place {
    Place {
        lab: Arc::clone(&place.lab),
        runs: Mutex::new(runs),
        ..Place::new(SCENARIO)
    }
}

/// A run into this vault that knows of the other one's journals.
fn beside(place: &Place, other: &Place, same_vault: bool) -> HostSource {
    let setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    HostSource::open(Setup {
        neighbours: vec![Neighbour {
            folder: other.journals().to_owned(),
            same_vault,
        }],
        ..setup
    })
    .unwrap()
}

fn journals(place: &Place) -> usize {
    std::fs::read_dir(place.journals()).unwrap().count()
}

/// A run that dies when it holds its VMs, or has let them go. Under Wine that takes minutes, and nothing
/// in what uses it depends on the system.
#[cfg(unix)]
fn dies(place: &Place, let_go: bool) {
    let source = HostSource::open(mortal(place)).unwrap();
    let mut dies = Dies(source, let_go);
    place.back_up(&mut dies, None);
    drop(dies);
    assert_eq!(journals(place), 1);
}

#[cfg(unix)]
#[test]
fn what_was_killed_into_another_vault_is_in_nobodys_way() {
    use CheckpointKind::Recovery;
    for (let_go, left, points_of_one) in [(false, vec![Recovery], 1), (true, Vec::new(), 2)] {
        let one = Place::new(SCENARIO);
        let other = other_vault(&one, 1000);
        assert_eq!(one.run().outcome, Outcome::Ok);
        dies(&one, let_go);
        assert_eq!(one.rest(), vec![(left.clone(), points_of_one); 2]);

        // At once, and every point of the other vault is still there.
        let report = other.back_up(&mut beside(&other, &one, false), None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let put_right = codes(&report.findings);
        let count = put_right.iter().filter(|code| **code == Code::PutRight);
        assert_eq!(count.count(), left.len() * 2, "{report:#?}");
        assert!(!put_right.contains(&Code::LeftOnHost), "{report:#?}");
        assert_eq!(one.rest(), ours(points_of_one + 1));
        assert_eq!(journals(&one), usize::from(let_go));

        // Its own next run judges them by its own vault: its last restore point has no token.
        let report = one.back_up(&mut beside(&one, &other, false), None);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        assert_eq!(one.rest(), ours(2));
        assert_eq!((journals(&one), journals(&other)), (0, 0));
        for (place, neighbour) in [(&one, &other), (&other, &one)] {
            let report = place.back_up(&mut beside(place, neighbour, false), None);
            let levels = report.vms.iter().map(|vm| vm.level);
            assert!(levels.eq([Some("incremental"); 2]), "{report:#?}");
        }
    }
}

/// Journals are kept by the name by which a run knew the host.
#[cfg(unix)]
#[test]
fn what_was_killed_under_another_name_of_the_host_is_settled_by_the_same_vault() {
    for let_go in [false, true] {
        let place = Place::new(SCENARIO);
        let by_name = tempfile::tempdir().unwrap();
        assert_eq!(place.run().outcome, Outcome::Ok);
        dies(&place, let_go);
        let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
        setup.neighbours = vec![Neighbour {
            folder: std::mem::replace(&mut setup.journals, by_name.path().to_owned()),
            same_vault: true,
        }];
        let mut source = HostSource::open(setup).unwrap();
        let told = put_right(&place.vault, &mut source).unwrap();
        drop(source);
        assert_eq!(codes(&told), [Code::PutRight; 4], "{told:#?}");
        assert_eq!((place.rest(), journals(&place)), (ours(0), 0));
    }
}

/// The other side of a replication has VMs of the same ids; what it does not show is not gone.
#[cfg(unix)]
#[test]
fn the_journal_of_another_host_is_left_as_it_is() {
    let place = Place::new(SCENARIO);
    dies(&place, false);
    let path = std::fs::read_dir(place.journals()).unwrap().next();
    let path = path.unwrap().unwrap().path();
    let before = std::fs::read(&path).unwrap();
    let replica = SCENARIO.replacen('{', r#"{"host": {"name": "HV02"},"#, 1);
    let other = Place {
        runs: Mutex::new(1000),
        ..Place::new(&replica)
    };
    assert_eq!(place.id("first"), other.id("first"));
    let report = other.back_up(&mut beside(&other, &place, false), None);
    assert_eq!((report.outcome, other.rest()), (Outcome::Ok, ours(1)));
    assert!(!codes(&report.findings).contains(&Code::PutRight));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(place.rest(), vec![(vec![CheckpointKind::Recovery], 0); 2]);
}

#[test]
fn what_a_run_holds_that_is_alive_is_left_to_it() {
    let one = Place::new(SCENARIO);
    let other = other_vault(&one, 1000);
    let mut refused = None;
    let theirs = || refused = Some(other.back_up(&mut beside(&other, &one, false), None));
    let mut held = others::Meanwhile {
        host: one.source(Arc::new(one.lab.time.clone()), Floor::NONE),
        what: Mutex::new(Some(Box::new(theirs))),
    };
    let report = one.back_up(&mut held, None);
    drop(held);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let refused = refused.unwrap();
    assert!(!codes(&refused.findings).contains(&Code::PutRight));
    assert_eq!(refused.vms[0].outcome, Outcome::Failed, "{refused:#?}");
    let kept: Vec<usize> = one.rest().iter().map(|(_, points)| *points).collect();
    assert_eq!(kept, [1, 2]);
}

/// It was alive when the other one began, or was just being looked at by somebody else, and is gone when
/// the VM's turn comes.
#[test]
fn what_is_killed_while_another_run_is_at_work_does_not_keep_that_from_the_vm() {
    for own in [false, true] {
        let one = Place::new(SCENARIO);
        let other = other_vault(&one, 1000);
        let journal = late::killed(&one);
        let host = one.lab.server.service().repository.host.name.clone();
        journal.host(&host).unwrap();
        suffer(&one.lab, &late::takes(&one));

        let alive = Mutex::new(Some(journal));
        let dies = move || drop(alive.lock().unwrap().take());
        let (of, source) = match own {
            true => (&one, beside(&one, &other, false)),
            false => (&other, beside(&other, &one, false)),
        };
        let mut source = Then(source, Box::new(dies));
        let report = of.back_up(&mut source, None);
        drop(source);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let found = codes(&report.findings);
        assert!(found.contains(&Code::LeftOnHost) && found.contains(&Code::PutRight));
        assert_eq!((one.rest(), journals(&one)), (ours(1), 0));
    }
}
