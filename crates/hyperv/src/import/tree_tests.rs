//! Trees of checkpoints, against the plain definition of what is the same tree.

use proptest::prelude::*;
use testkit::vary;

use super::*;
use crate::inventory::{CheckpointKind, Settings};

fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

/// A tree: for each checkpoint its name and the one that it was made after; and the one that is gone
/// on from.
type Tree = (Vec<(u8, Option<usize>)>, Option<usize>);

fn point((checkpoints, now): &Tree) -> Point {
    let all = checkpoints.iter().enumerate();
    let checkpoint = |(at, (name, parent)): (usize, &(u8, Option<usize>))| PointCheckpoint {
        id: id(at),
        name: name.to_string(),
        parent: parent.map(id),
        first: parent.is_none(),
        memory: Some(false),
    };
    Point {
        checkpoints: all.map(checkpoint).collect(),
        parent: now.map(id),
        ..Point::default()
    }
}

/// The host's, with ids that are so much greater.
fn machine((checkpoints, now): &Tree, more: usize) -> Machine {
    let parent = |at: Option<usize>| at.map_or(Parent::None, |at| Parent::Of(id(at + more)));
    let all = checkpoints.iter().enumerate();
    let checkpoint = |(at, (name, above)): (usize, &(u8, Option<usize>))| {
        let mut settings = Settings::default();
        settings.config.name = name.to_string();
        Checkpoint {
            id: id(at + more),
            kind: CheckpointKind::User,
            parent: parent(*above),
            automatic: None,
            settings,
        }
    };
    Machine {
        checkpoints: all.map(checkpoint).collect(),
        parent: parent(*now),
        ..Machine::default()
    }
}

fn plan() -> Plan {
    let point = super::super::tests::point();
    let target = super::super::tests::target();
    super::super::plan(&point, &super::super::Request::default(), &target)
}

fn told(point: &Point, machine: &Machine) -> Vec<String> {
    let all = differs(point, &plan(), machine);
    all.iter().map(ToString::to_string).collect()
}

/// root → a → b and root → c, and c is gone on from.
fn branched() -> Tree {
    (
        vec![(0, None), (1, Some(0)), (2, Some(1)), (3, Some(0))],
        Some(3),
    )
}

#[test]
fn each_difference_is_told_whether_ids_were_kept_or_not() {
    let point = point(&branched());
    for more in [0, 100] {
        assert_eq!(told(&point, &machine(&branched(), more)), [""; 0]);
        let mut other = branched();
        other.1 = Some(1);
        let of = "the checkpoint that it goes on from should be \"3\" and is \"1\"";
        assert_eq!(told(&point, &machine(&other, more)), [of]);
        other.1 = None;
        let of = "the checkpoint that it goes on from should be \"3\" and is none";
        assert_eq!(told(&point, &machine(&other, more)), [of]);
        let mut lost = machine(&branched(), more);
        lost.parent = Parent::Unknown;
        let of = "the checkpoint that it goes on from should be \"3\" and is not told";
        assert_eq!(told(&point, &lost), [of]);
    }
    let mut moved = branched();
    moved.0[2].1 = Some(3);
    assert_eq!(
        told(&point, &machine(&moved, 0)),
        ["what the checkpoint \"2\" was made after should be \"1\" and is \"3\""]
    );
    assert_eq!(
        told(&point, &machine(&moved, 100)),
        [
            "the checkpoint \"2\" after \"1\" should be there and is not there",
            "the checkpoint \"2\" after \"3\" should be not there and is there"
        ]
    );
    let mut named = branched();
    named.0[1].0 = 9;
    assert_eq!(
        told(&point, &machine(&named, 0)),
        ["the name of the checkpoint \"1\" should be 1 and is 9"]
    );
    assert!(!told(&point, &machine(&named, 100)).is_empty());
    let mut gone = machine(&branched(), 0);
    gone.checkpoints[2].id = id(50);
    assert_eq!(
        told(&point, &gone),
        [
            "the checkpoint \"2\" should be there and is not there",
            "the checkpoint \"2\" should be not there and is there"
        ]
    );
}

#[test]
fn checkpoints_of_one_name_are_told_apart_by_what_hangs_on_them() {
    // 0 → 1 → 2 and 0 → 1 → 3, and 0 → 1 → both with 0 → 1.
    let (one, other): (Tree, Tree) = (
        (
            vec![
                (0, None),
                (1, Some(0)),
                (1, Some(0)),
                (2, Some(1)),
                (3, Some(2)),
            ],
            Some(3),
        ),
        (
            vec![
                (0, None),
                (1, Some(0)),
                (1, Some(0)),
                (2, Some(1)),
                (3, Some(1)),
            ],
            Some(3),
        ),
    );
    let what =
        "what hangs on which of its checkpoints of one name should be as it was and is otherwise";
    assert_eq!(told(&point(&one), &machine(&other, 100)), [what]);
    // The way to both is the same.
    let mut now = one.clone();
    (now.0[4].0, now.1) = (2, Some(4));
    let mut same = now.clone();
    same.1 = Some(3);
    assert_eq!(told(&point(&now), &machine(&same, 100)), [""; 0]);
}

#[test]
fn what_the_point_does_not_tell_is_not_compared() {
    let mut point = point(&branched());
    point.parent = None;
    for checkpoint in &mut point.checkpoints {
        (checkpoint.parent, checkpoint.first) = (None, false);
    }
    let mut other = branched();
    (other.0[2].1, other.1) = (Some(3), Some(1));
    for more in [0, 100] {
        assert_eq!(told(&point, &machine(&other, more)), [""; 0]);
    }
    other.0[2].0 = 9;
    for more in [0, 100] {
        assert!(!told(&point, &machine(&other, more)).is_empty());
    }
    // What the host does not tell is a difference all the same.
    let mut silent = machine(&branched(), 100);
    silent.checkpoints[1].parent = Parent::Unknown;
    assert!(!told(&super::tests::point(&branched()), &silent).is_empty());
}

#[test]
fn memory_that_is_lost_or_still_there_is_told() {
    for more in [0, 100] {
        let mut point = point(&branched());
        point.checkpoints[2].memory = Some(true);
        let there = |has: &[usize]| {
            let mut machine = machine(&branched(), more);
            for at in has {
                let config = &mut machine.checkpoints[*at].settings.config;
                config.saved_state = Some(vmconfig::model::SavedState::default());
            }
            machine
        };
        let names = |what: &[(&str, bool)]| -> Vec<String> {
            let all = what.iter().map(|(of, should)| {
                let (should, is) = match should {
                    true => ("there", "not there"),
                    false => ("not there", "there"),
                };
                format!("the saved memory of the checkpoint {of} should be {should} and is {is}")
            });
            all.collect()
        };
        let (two, three) = match more {
            0 => ("\"2\"", "\"3\""),
            _ => ("\"2\" after \"1\"", "\"3\" after \"0\""),
        };
        assert_eq!(told(&point, &there(&[2])), [""; 0]);
        assert_eq!(told(&point, &there(&[])), names(&[(two, true)]));
        let other = names(&[(two, true), (three, false)]);
        assert_eq!(told(&point, &there(&[3])), other);
        // Of one of which nobody can tell, anything goes, but not when it was to be dropped.
        point.checkpoints[2].memory = None;
        assert_eq!(told(&point, &there(&[2])), told(&point, &there(&[])));
        let plan = Plan {
            checkpoint_memory: false,
            ..plan()
        };
        assert_eq!(differs(&point, &plan, &there(&[2])).len(), 1);
        assert_eq!(differs(&point, &plan, &there(&[])), []);
    }
}

/// The tree as a text that is the same for the same tree.
fn text((checkpoints, now): &Tree, below: Option<usize>) -> String {
    let all = checkpoints.iter().enumerate();
    let mut parts: Vec<String> = all
        .filter(|(_, (_, parent))| *parent == below)
        .map(|(at, (name, _))| {
            let mark = if *now == Some(at) { "!" } else { "" };
            format!(
                "{name}{mark}({})",
                text(&(checkpoints.clone(), *now), Some(at))
            )
        })
        .collect();
    parts.sort();
    parts.concat()
}

prop_compose! {
    fn trees()(
        told in prop::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..8),
        now in any::<prop::sample::Index>(),
    ) -> Tree {
        let len = told.len();
        let one = |(at, (name, above)): (usize, (u8, prop::sample::Index))| {
            // Nothing, or one before it.
            let above = above.index(at + 1);
            (name, above.checked_sub(1))
        };
        let all = told.into_iter().enumerate().map(one).collect();
        (all, Some(now.index(len)))
    }
}

proptest! {
    #![proptest_config(vary::config(200))]

    #[test]
    fn two_trees_are_the_same_when_they_are(one in trees(), other in trees()) {
        for (one, other) in [(&one, &one), (&one, &other)] {
            let same = text(one, None) == text(other, None);
            let found = told(&point(one), &machine(other, 100));
            prop_assert_eq!(found.is_empty(), same, "{:?}", found);
        }
        // By their ids, where the places in the lists are what they are.
        let found = told(&point(&one), &machine(&other, 0));
        prop_assert_eq!(found.is_empty(), one == other, "{:?}", found);
    }
}
