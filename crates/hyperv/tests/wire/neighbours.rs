//! Others who protect the same VM, and hosts that do not merge.

use std::time::Duration;

use hyperkeep_hyperv::frozen::Merge;
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::journal::RunState;
use hyperkeep_hyperv::plan::Policy;
use hyperkeep_hyperv::recovery::{Suspect, Thing, Whose, sweep};
use testkit::crash::Random;
use testkit::vary;

use crate::keeper::{Keeper, Others, Outcome, Run};
use crate::killed::kill;
use crate::support::{Lab, SIZE};

const SCENARIO: &str = r#"{
    "vms": [{"name": "a", "guest": {"name": "Windows", "version": "10.0", "platform": 2},
             "disks": [{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096}
}"#;

fn is_incremental(run: &Run) -> bool {
    matches!(run.outcome, Outcome::Incremental(_))
}

/// Rounds of two who take turns, and then one after the other without the host having merged.
fn take_turns(one: &mut Keeper, other: &mut Keeper, lab: &Lab, others: &Others) {
    let mut guest = vec![vec![0; SIZE as usize]];
    for round in 0..4_u8 {
        for (at, keeper) in [&mut *one, &mut *other].into_iter().enumerate() {
            let place = u64::from(round) * 262_144 + 65_536 * at as u64;
            lab.write(0, place, &[round + 1; 4096], &mut guest[0]);
            let run = keeper.run(lab, &guest);
            assert_eq!(is_incremental(&run), round > 0, "{round} {at}: {run:?}");
            assert_eq!(run.problems, [""; 0]);
            lab.rest();
        }
        let keepers = [&*one, &*other];
        assert_eq!(others.check(lab, &keepers, &format!("{round}")), 0);
    }
    let point = |keeper: &Keeper| keeper.token.clone().unwrap().reference_point.unwrap();
    assert_ne!(point(one), point(other));
}

#[test]
fn two_installations_are_in_nobodys_way() {
    let lab = Lab::start(SCENARIO);
    let others = Others::settle(&lab);
    let policy = Policy::default();
    let (mut one, mut other) = (Keeper::new(1, policy), Keeper::new(2, policy));
    take_turns(&mut one, &mut other, &lab, &others);
    assert!(one.is_clean() && other.is_clean());
}

#[test]
fn two_vaults_of_an_installation_are_in_nobodys_way() {
    let lab = Lab::start(SCENARIO);
    let others = Others::settle(&lab);
    let mut one = Keeper::new(1, Policy::default());
    let mut other = one.other_vault();
    take_turns(&mut one, &mut other, &lab, &others);
    assert!(one.is_clean());
    // A run of the one is killed, and the other is the next to see to the journals: what it made
    // is kept until the one can say that it does not need it.
    assert_eq!(kill(&mut one, &lab, usize::MAX, true), None);
    lab.rest();
    other.clean(&lab);
    assert!(!other.is_clean());
    assert_eq!(
        points(&lab),
        3,
        "one of the other, one of others, one that may be needed"
    );
    let guest: [Vec<u8>; 0] = [];
    assert!(is_incremental(&other.run(&lab, &guest)));
    lab.rest();
    one.has_other_vaults = false;
    one.clean(&lab);
    assert!(one.is_clean());
    one.token = None;
    assert_eq!(others.check(&lab, &[&one, &other], "the end"), 0);
}

fn points(lab: &Lab) -> usize {
    let service = lab.server.service();
    service.repository.host.vms()[0].reference_points.len()
}

/// While one holds the VM the other is refused, and touches nothing.
#[test]
fn two_at_the_same_time() {
    let lab = Lab::start(SCENARIO);
    let others = Others::settle(&lab);
    let policy = Policy::default();
    let (mut one, mut other) = (Keeper::new(1, policy), Keeper::new(2, policy));
    let guest = vec![vec![0; SIZE as usize]];
    for keeper in [&mut one, &mut other] {
        keeper.run(&lab, &guest);
        lab.rest();
    }
    let plan = lab.plan(&policy);
    lab.with(|control| {
        let frozen = one.hold(&lab, control, &plan).unwrap();
        for _ in 0..2 {
            let run = other.run(&lab, &guest);
            let Outcome::None(why) = &run.outcome else {
                panic!("{run:?}")
            };
            assert!(why.contains("recovery checkpoint"), "{why}");
            assert!(why.contains(&one.mark.name()), "{why}");
            assert!(other.is_clean());
        }
        one.token = frozen.keep().token;
    });
    lab.rest();
    for keeper in [&mut one, &mut other] {
        assert!(is_incremental(&keeper.run(&lab, &guest)));
        lab.rest();
    }
    assert_eq!(others.check(&lab, &[&one, &other], "both"), 0);
}

/// A journal is lost with its disk. Whoever made the checkpoint finds it by its name when it is a
/// day old; nobody else ever removes it.
#[test]
fn a_checkpoint_without_a_journal_is_removed_by_its_own_installation() {
    let lab = Lab::start(SCENARIO);
    let others = Others::settle(&lab);
    let policy = Policy::default();
    let (mut lost, other) = (Keeper::new(1, policy), Keeper::new(2, policy));
    let plan = lab.plan(&policy);
    let at = (1..200).find(|at| {
        let died = kill(&mut lost, &lab, *at, false);
        let died = died.as_deref() == Some("ConvertToReferencePoint");
        if !died {
            lost.clean(&lab);
            lab.rest();
        }
        died
    });
    assert!(at.is_some());
    let mut found = Keeper::new(1, policy);
    found.mark.run = lost.next_run();
    let sweep = |keeper: &Keeper| {
        lab.with(|control| {
            let inventory = inventory::take(control.session()).unwrap();
            sweep(control, &inventory, &keeper.mark, &|_| RunState::Unknown)
        })
    };
    for (days, removes) in [(0, false), (2, true)] {
        lab.time.clock.advance(Duration::from_secs(days * 86_400));
        let seen = sweep(&other);
        assert_eq!((seen.removed.len(), seen.seen.len()), (0, 1), "{seen:?}");
        assert_eq!(seen.seen[0].whose, Whose::OtherInstallation);
        let seen = sweep(&found);
        assert_eq!(seen.removed.len(), usize::from(removes), "{seen:?}");
        assert_eq!(seen.seen.len(), usize::from(!removes), "{seen:?}");
    }
    assert_eq!(others.check(&lab, &[&found, &other], "swept"), 0);
    assert_eq!(plan.vm, lab.vm());
}

/// Two who know nothing of each other, each killed again and again.
#[test]
fn two_that_are_killed_in_any_order() {
    let (mut incremental, mut all_told) = (0, 0);
    for seed in 0..u64::from(vary::cases(6)) {
        let lab = Lab::start(SCENARIO);
        let others = Others::settle(&lab);
        let policy = Policy::default();
        let mut keepers = [Keeper::new(1, policy), Keeper::new(2, policy)];
        let mut guest = vec![vec![0; SIZE as usize]];
        let mut random = Random(vary::seed(seed));
        let mut below = |most: u64| random.number() % most;
        let mut history = Vec::new();
        for _ in 0..8 {
            let (who, at) = (below(2) as usize, below(90) as usize + 1);
            let keeper = &mut keepers[who];
            lab.write(
                0,
                below(SIZE / 4096) * 4096,
                &[at as u8; 4096],
                &mut guest[0],
            );
            if below(2) == 0 {
                keeper.clean(&lab);
                // The other's checkpoint may be there, or a merge.
                if lab.try_plan(&policy).is_err() {
                    continue;
                }
                let sent = below(2) == 0;
                let died = kill(keeper, &lab, at, sent);
                history.push(format!("{who} dies at {died:?}, sent {sent}"));
                if died.is_none() {
                    keeper.forget(&lab);
                }
            } else {
                let run = keeper.run(&lab, &guest);
                incremental += usize::from(is_incremental(&run));
                history.push(format!("{who}: {:?}", run.outcome));
                assert!(
                    run.report.suspects.is_empty(),
                    "{seed} {history:?}: {run:?}"
                );
            }
            lab.time.clock.advance(Duration::from_secs(below(400)));
        }
        let mut told = Vec::new();
        for _ in 0..3 {
            let reports = keepers.iter().flat_map(|keeper| keeper.clean(&lab));
            told = reports.flat_map(|report| report.suspects).collect();
            lab.rest();
        }
        keepers.iter_mut().for_each(|keeper| keeper.forget(&lab));
        // Of two new reference points nobody can tell whose is whose, once the host has forgotten
        // the job that made the one: it stays, and people are told.
        let points = |suspect: &Suspect| suspect.what == Thing::ReferencePoint;
        assert!(told.iter().all(points), "{told:?}");
        let told: Vec<String> = told.into_iter().map(|suspect| suspect.id).collect();
        let [one, other] = &keepers;
        let what = format!("{seed} {history:?}");
        assert_eq!(others.check_beside(&lab, &[one, other], &told, &what), 0);
        let clean = one.is_clean() && other.is_clean();
        assert!(clean || !told.is_empty(), "{what}");
        all_told += usize::from(clean);
    }
    assert!(all_told > 3, "{all_told}");
    assert!(incremental > 3, "{incremental}");
}

#[test]
fn merges_that_do_not_come_are_told_and_the_next_backup_is_right() {
    let rules = r#""merges-fail": true, "events-by-wmi": true, "tracking"#;
    let scenario = SCENARIO.replace(r#""tracking"#, rules);
    let lab = Lab::start(&scenario);
    let mut keeper = Keeper::new(1, Policy::default());
    let mut guest = vec![vec![0; SIZE as usize]];
    for round in 0..3_u8 {
        lab.write(
            0,
            u64::from(round) * 8192,
            &[round + 1; 4096],
            &mut guest[0],
        );
        let run = keeper.run(&lab, &guest);
        assert_eq!(is_incremental(&run), round > 0, "{run:?}");
        let most = Duration::from_secs(120);
        let merge = lab.with(|control| Merge::wait(control, lab.vm(), &run.resting, most));
        let merge = merge.unwrap();
        let Merge::Pending { log, .. } = &merge else {
            panic!("{merge:?}");
        };
        let log = log.as_ref().expect("the host says why");
        assert!(log.contains("konnte nicht abgeschlossen"), "{log}");
    }
}
