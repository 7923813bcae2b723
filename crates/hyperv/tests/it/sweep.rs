//! Checkpoints that no journal tells of, and whose they are.

use std::sync::Arc;
use std::time::Duration;

use hyperkeep_hyperv::checkpoint::Mark;
use hyperkeep_hyperv::inventory::{
    Checkpoint, CheckpointKind, Inventory, Machine, Parent, Settings,
};
use hyperkeep_hyperv::journal::{Journal, RunState, run_state};
use hyperkeep_hyperv::recovery::{Swept, Whose, sweep};
use uuid::Uuid;

use crate::support::vmms::{VM, Vmms};

const fn mark(installation: u128, run: u128) -> Mark {
    Mark {
        installation: Uuid::from_u128(installation),
        run: Uuid::from_u128(run),
    }
}

const NOW: Mark = mark(0x11, 0x99);
const HOUR: Duration = Duration::from_secs(3600);

/// A host on which these recovery checkpoints are, each with its age.
fn host(names: &[(&str, Duration)]) -> (Vmms, Inventory) {
    let host = Vmms::new();
    host.put_checkpoint("Microsoft:THEIRS", &mark(0x11, 1).name(), false);
    let oldest = names.iter().map(|(_, age)| *age).max().unwrap_or_default();
    let mut checkpoints = Vec::new();
    for (at, (name, age)) in names.iter().enumerate() {
        let id = format!("Microsoft:{at}");
        host.put_checkpoint(&id, name, true);
        let mut settings = Settings {
            instance_id: id,
            ..Settings::default()
        };
        settings.config.name = (*name).to_owned();
        // The host's clock is an hour ahead of the tests', and has gone on by the oldest age.
        let now = jiff::Timestamp::UNIX_EPOCH + HOUR + oldest;
        settings.config.created = Some(now - *age);
        checkpoints.push(Checkpoint {
            id: Uuid::from_u128(at as u128),
            kind: CheckpointKind::Recovery,
            parent: Parent::None,
            automatic: None,
            settings,
        });
    }
    host.pass(oldest);
    let machine = Machine {
        id: VM,
        checkpoints,
        ..Machine::default()
    };
    let inventory = Inventory {
        machines: vec![machine],
        ..Inventory::default()
    };
    (host, inventory)
}

fn swept(host: &Vmms, inventory: &Inventory, state: &dyn Fn(Uuid) -> RunState) -> Swept {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(Journal::create(dir.path(), NOW.run).unwrap());
    let control = host.control(&journal);
    let swept = sweep(&control, inventory, &NOW, state);
    assert!(journal.close().unwrap().is_settled());
    assert!(
        host.checkpoints().contains_key("Microsoft:THEIRS"),
        "it is no recovery checkpoint"
    );
    swept
}

#[test]
fn only_what_is_surely_ours_and_nobodys_any_more_goes() {
    let names = [
        mark(0x11, 1).name(),
        mark(0x11, 2).name(),
        mark(0x11, 3).name(),
        NOW.name(),
        mark(0x12, 1).name(),
        "web - Backup - (1)".to_owned(),
        format!("{} copy", mark(0x11, 1).name()),
    ];
    let mut aged: Vec<(&str, Duration)> = names.iter().map(|n| (n.as_str(), 25 * HOUR)).collect();
    // The third is young.
    aged[2].1 = HOUR;
    let (host, inventory) = host(&aged);
    // The second run is alive.
    let alive = |run| match run == Uuid::from_u128(2) {
        true => RunState::Alive,
        false => RunState::Unknown,
    };
    let found = swept(&host, &inventory, &alive);
    let removed: Vec<_> = found.removed.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(removed, ["Microsoft:0"]);
    use Whose::{Other, OtherInstallation, Ours};
    let whose: Vec<_> = found.seen.iter().map(|seen| seen.whose).collect();
    assert_eq!(whose, [Ours, Ours, Ours, OtherInstallation, Other, Other]);
    assert!(found.seen.iter().all(|seen| !seen.hint().is_empty()));
    assert_eq!(found.seen[1].age_s, Some(3600));
    assert_eq!(host.checkpoints().len(), 7, "{:?}", host.checkpoints());
}

/// Its journal may be one that nobody looks at again: of a host that has another name now.
#[test]
fn what_a_killed_run_left_goes_after_a_day_wherever_its_journal_is() {
    let name = mark(0x11, 1).name();
    let young = 24 * HOUR - Duration::from_secs(1);
    for (age, removed) in [(young, 0), (24 * HOUR, 1)] {
        let (host, inventory) = host(&[(name.as_str(), age)]);
        let found = swept(&host, &inventory, &|_| RunState::Dead);
        assert_eq!(found.removed.len(), removed, "{age:?}");
        for seen in &found.seen {
            assert_eq!(seen.run, Some((Uuid::from_u128(1), RunState::Dead)));
            assert!(seen.hint().contains("same vault"), "{}", seen.hint());
        }
    }
}

#[test]
fn without_a_clock_or_with_another_name_nothing_goes() {
    let name = mark(0x11, 1).name();
    let (mut host, inventory) = host(&[(name.as_str(), 30 * HOUR)]);
    host.tells_time = false;
    let found = swept(&host, &inventory, &|_| RunState::Unknown);
    assert_eq!((found.removed.len(), found.seen[0].age_s), (0, None));
    // Somebody has made it theirs since the inventory.
    host.tells_time = true;
    host.rename_after(Duration::ZERO, "Microsoft:0", "do not touch");
    host.pass(Duration::ZERO);
    let found = swept(&host, &inventory, &|_| RunState::Unknown);
    assert_eq!((found.removed.len(), found.left.len()), (0, 1));
    assert_eq!(host.checkpoints().len(), 2);
}

#[test]
fn runs_are_alive_as_long_as_they_hold_their_journals() {
    let dir = tempfile::tempdir().unwrap();
    let state = || run_state(dir.path(), NOW.run).unwrap();
    assert_eq!(state(), RunState::Unknown);
    let journal = Journal::create(dir.path(), NOW.run).unwrap();
    assert_eq!(state(), RunState::Alive);
    drop(journal);
    assert_eq!(state(), RunState::Dead);
}
