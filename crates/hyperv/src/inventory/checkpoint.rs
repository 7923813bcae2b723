//! Checkpoints of a VM, as the tree that they are.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::{Finding, Notes};
use super::settings::Settings;
use crate::ids;

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id, which names its files.
    pub id: Uuid,
    /// What it is for.
    pub kind: CheckpointKind,
    /// What it was made after.
    pub parent: Parent,
    /// Whether the host took it by itself at a start.
    pub automatic: Option<bool>,
    /// The VM as it was.
    pub settings: Settings,
}

/// What a checkpoint is for (`VirtualSystemType`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum CheckpointKind {
    /// People took it.
    User,
    /// Somebody's backup took it.
    Recovery,
    /// Hyper-V Replica took it.
    Replica(String),
    /// It belongs to a planned VM.
    Planned,
    /// The host knows of it, but its files are not there.
    Missing,
    /// Something else.
    Other(String),
}

/// What a checkpoint, or the present state, was made after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "parent", content = "id", rename_all = "kebab-case")]
pub enum Parent {
    /// No checkpoint.
    None,
    /// This one.
    Of(Uuid),
    /// The host does not tell, or contradicts itself.
    #[default]
    Unknown,
}

/// What settings are, by `VirtualSystemType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SettingsKind {
    Machine,
    PlannedMachine,
    Checkpoint(CheckpointKind),
    Other,
}

impl SettingsKind {
    pub(super) fn of(system_type: &str) -> Self {
        let known = ids::fold(system_type);
        let Some(name) = known.strip_prefix("microsoft:hyper-v:") else {
            return Self::Other;
        };
        match name {
            "system:realized" => return Self::Machine,
            "system:planned" => return Self::PlannedMachine,
            _ => {}
        }
        let Some(kind) = name.strip_prefix("snapshot:") else {
            return Self::Other;
        };
        Self::Checkpoint(match kind {
            "realized" => CheckpointKind::User,
            "recovery" => CheckpointKind::Recovery,
            "planned" => CheckpointKind::Planned,
            "missing" => CheckpointKind::Missing,
            other => match other.strip_prefix("replica:") {
                Some(kind) => CheckpointKind::Replica(kind.to_owned()),
                None => CheckpointKind::Other(other.to_owned()),
            },
        })
    }
}

/// A parent as it is told, before it is known to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToldParent {
    None,
    Id(Uuid),
    Odd(String),
    /// Nothing is told at all, which is a finding of its own.
    Untold,
}

/// Puts checkpoints into an order that does not depend on the host's, and makes sure that each
/// parent is there and that none is its own ancestor. What fails that becomes [`Parent::Unknown`].
pub(super) fn settle(
    mut checkpoints: Vec<(Checkpoint, ToldParent)>,
    now: &ToldParent,
    notes: &mut Notes,
) -> (Vec<Checkpoint>, Parent) {
    checkpoints.sort_by(|(a, _), (b, _)| {
        let key = |c: &Checkpoint| (c.settings.config.created, c.id);
        key(a).cmp(&key(b))
    });
    let known: HashSet<Uuid> = checkpoints.iter().map(|(c, _)| c.id).collect();
    let mut check = |of: &str, told: &ToldParent| match told {
        ToldParent::None => Parent::None,
        ToldParent::Untold => Parent::Unknown,
        ToldParent::Id(id) if known.contains(id) => Parent::Of(*id),
        ToldParent::Id(id) => {
            let (of, parent) = (of.to_owned(), id.to_string());
            notes.push(Finding::NoParent { of, parent });
            Parent::Unknown
        }
        ToldParent::Odd(text) => {
            let (of, parent) = (of.to_owned(), text.clone());
            notes.push(Finding::NoParent { of, parent });
            Parent::Unknown
        }
    };
    let now = check("now", now);
    let mut settled: Vec<Checkpoint> = Vec::with_capacity(checkpoints.len());
    for (mut checkpoint, told) in checkpoints {
        checkpoint.parent = check(&checkpoint.settings.instance_id, &told);
        settled.push(checkpoint);
    }
    cut_cycles(&mut settled, notes);
    (settled, now)
}

/// Each checkpoint of a cycle loses its parent. The work is linear: a walk ends at what an
/// earlier walk has seen.
fn cut_cycles(checkpoints: &mut [Checkpoint], notes: &mut Notes) {
    let at: HashMap<Uuid, usize> = checkpoints
        .iter()
        .enumerate()
        .map(|(at, c)| (c.id, at))
        .collect();
    let parent = |at_: usize, all: &[Checkpoint]| match all.get(at_).map(|c| c.parent) {
        Some(Parent::Of(id)) => at.get(&id).copied(),
        _ => None,
    };
    let mut walk_of = vec![0_usize; checkpoints.len()];
    let mut looped = Vec::new();
    for start in 0..checkpoints.len() {
        let walk = start + 1;
        let mut next = Some(start);
        while let Some(here) = next {
            match walk_of.get_mut(here) {
                Some(seen @ 0) => *seen = walk,
                // Back on this very walk: everything from here to here again is the cycle.
                Some(seen) if *seen == walk => {
                    let mut around = here;
                    loop {
                        looped.push(around);
                        match parent(around, checkpoints) {
                            Some(up) if up != here => around = up,
                            _ => break,
                        }
                    }
                    break;
                }
                _ => break,
            }
            next = parent(here, checkpoints);
        }
    }
    for at in looped {
        if let Some(checkpoint) = checkpoints.get_mut(at) {
            checkpoint.parent = Parent::Unknown;
            let checkpoint = checkpoint.settings.instance_id.clone();
            notes.push(Finding::Cycle { checkpoint });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn checkpoint(number: u128) -> Checkpoint {
        Checkpoint {
            id: id(number),
            kind: CheckpointKind::User,
            parent: Parent::Unknown,
            automatic: None,
            settings: Settings::default(),
        }
    }

    proptest! {
        /// Against the plain definition: a parent stands if it is there and walking up from the
        /// checkpoint never comes back to it.
        #[test]
        fn parents_are_kept_unless_missing_or_cyclic(
            told in prop::collection::vec(prop::option::of(0_u128..9), 0..8),
        ) {
            let parents: Vec<ToldParent> = told
                .iter()
                .map(|p| p.map_or(ToldParent::None, |p| ToldParent::Id(id(p))))
                .collect();
            let all = parents.iter().enumerate();
            let all = all.map(|(at, p)| (checkpoint(at as u128), p.clone())).collect();
            let (settled, _) = settle(all, &ToldParent::None, &mut Notes::default());
            for (at, found) in settled.iter().enumerate() {
                let up = |at: usize| told[at].map(|p| p as usize).filter(|p| *p < told.len());
                let mut here = up(at);
                let mut cyclic = false;
                for _ in 0..told.len() {
                    cyclic |= here == Some(at);
                    here = here.and_then(up);
                }
                let expected = match told[at] {
                    None => Parent::None,
                    Some(p) if (p as usize) < told.len() && !cyclic => Parent::Of(id(p)),
                    Some(_) => Parent::Unknown,
                };
                prop_assert_eq!(found.parent, expected);
            }
        }
    }

    #[test]
    fn kinds_of_settings_are_told_by_their_type() {
        use CheckpointKind::*;
        use SettingsKind::Checkpoint as C;
        for (text, kind) in [
            ("Microsoft:Hyper-V:System:Realized", SettingsKind::Machine),
            (
                "Microsoft:Hyper-V:System:Planned",
                SettingsKind::PlannedMachine,
            ),
            ("Microsoft:Hyper-V:Snapshot:Realized", C(User)),
            ("Microsoft:Hyper-V:Snapshot:Recovery", C(Recovery)),
            ("Microsoft:Hyper-V:Snapshot:Missing", C(Missing)),
            ("Microsoft:Hyper-V:Snapshot:Planned", C(Planned)),
            (
                "Microsoft:Hyper-V:Snapshot:Replica:Standard",
                C(Replica("standard".to_owned())),
            ),
            ("Microsoft:Hyper-V:Snapshot:New", C(Other("new".to_owned()))),
            ("Microsoft:Hyper-V:Replica", SettingsKind::Other),
            ("", SettingsKind::Other),
        ] {
            assert_eq!(SettingsKind::of(text), kind, "{text}");
        }
    }
}
