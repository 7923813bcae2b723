//! The tree of checkpoints, as the chains of disks tell it.
//!
//! A checkpoint names the files that it froze. What was written later went to differencing disks
//! above them. So checkpoint P came before checkpoint C where a file of P is an ancestor of a
//! file of C, and P is C's parent where it is the last such one.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::graph::ChainEnd;
use super::{AttachedDisk, Checkpoint, Evidence, ParentCheckpoint, UnknownOrder};

/// Sets the parents of all checkpoints and gives that of the present state.
pub(super) fn set_parents(
    checkpoints: &mut [Checkpoint],
    now: &[AttachedDisk],
    now_hints: &[Uuid],
) -> ParentCheckpoint {
    let mut frozen_by = BTreeMap::<String, BTreeSet<usize>>::new();
    for (at, checkpoint) in checkpoints.iter().enumerate() {
        for path in checkpoint.disks.iter().filter_map(|disk| disk.file.path()) {
            frozen_by.entry(path.to_owned()).or_default().insert(at);
        }
    }
    let before: Vec<Before> = checkpoints
        .iter()
        .enumerate()
        .map(|(at, checkpoint)| Before::of(&checkpoint.disks, Some(at), &frozen_by))
        .collect();
    let before_now = Before::of(now, None, &frozen_by);
    let ids: Vec<Option<Uuid>> = checkpoints.iter().map(|c| c.config.id).collect();
    let parents: Vec<ParentCheckpoint> = checkpoints
        .iter()
        .zip(&before)
        .enumerate()
        .map(|(at, (checkpoint, own))| {
            own.parent(&before)
                .or_hint(&checkpoint.config.parent_hints, &ids, Some(at))
        })
        .collect();
    for (checkpoint, parent) in checkpoints.iter_mut().zip(parents) {
        checkpoint.parent = parent;
    }
    break_cycles(checkpoints);
    before_now.parent(&before).or_hint(now_hints, &ids, None)
}

/// The checkpoints that came before a set of disks.
struct Before {
    all: BTreeSet<usize>,
    doubt: Option<UnknownOrder>,
}

impl Before {
    fn of(
        disks: &[AttachedDisk],
        own: Option<usize>,
        frozen_by: &BTreeMap<String, BTreeSet<usize>>,
    ) -> Self {
        let mut before = Before {
            all: BTreeSet::new(),
            doubt: None,
        };
        if disks.is_empty() {
            before.doubt = Some(UnknownOrder::NoDisks);
        }
        for disk in disks {
            let Some(chain) = &disk.chain else {
                before.doubt = before.doubt.or(Some(UnknownOrder::BrokenChain));
                continue;
            };
            // A checkpoint's own file is above what came before; the present state's leaf may
            // itself be a frozen file, if nothing was written since.
            let frozen = |path: &String| frozen_by.get(path).into_iter().flatten().copied();
            let above = usize::from(own.is_some());
            let mut found = false;
            for path in chain.layers.iter().skip(above) {
                for at in frozen(path).filter(|at| Some(*at) != own) {
                    before.all.insert(at);
                    found = true;
                }
            }
            let twins = chain.layers.iter().take(above).flat_map(frozen);
            if twins.into_iter().any(|at| Some(at) != own) {
                before.doubt = Some(UnknownOrder::Contradiction);
            }
            if !found && chain.end != ChainEnd::Base {
                before.doubt = before.doubt.or(Some(UnknownOrder::BrokenChain));
            }
        }
        before
    }

    /// The last of the checkpoints before, which is the one that all others come before.
    fn parent(&self, all: &[Before]) -> ParentCheckpoint {
        if let Some(why) = self.doubt {
            return ParentCheckpoint::Unknown { why };
        }
        if self.all.is_empty() {
            return ParentCheckpoint::None;
        }
        let mut last = self.all.iter().filter(|&&last| {
            let mut others = self.all.iter().filter(|&&other| other != last);
            // What has fewer before it than there are others need not be compared with each.
            let before = all.get(last).map(|before| &before.all);
            let before = before.filter(|before| before.len() + 1 >= self.all.len());
            before.is_some_and(|before| others.all(|other| before.contains(other)))
        });
        match (last.next(), last.next()) {
            (Some(&checkpoint), None) => ParentCheckpoint::Of {
                checkpoint,
                evidence: Evidence::Disks,
            },
            _ => ParentCheckpoint::Unknown {
                why: UnknownOrder::Contradiction,
            },
        }
    }
}

impl ParentCheckpoint {
    /// Takes a configuration's hint where the disks do not tell: one id that is another
    /// checkpoint's.
    fn or_hint(self, hints: &[Uuid], ids: &[Option<Uuid>], own: Option<usize>) -> Self {
        if !matches!(self, ParentCheckpoint::Unknown { .. }) {
            return self;
        }
        let fits = |(at, id): &(usize, &Option<Uuid>)| {
            Some(*at) != own && id.is_some_and(|id| hints.contains(&id))
        };
        let mut fitting = ids.iter().enumerate().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some((checkpoint, _)), None) => ParentCheckpoint::Of {
                checkpoint,
                evidence: Evidence::Hint,
            },
            _ => self,
        }
    }
}

/// Hints may contradict each other: whatever leads back to itself is unknown after all.
fn break_cycles(checkpoints: &mut [Checkpoint]) {
    let next = |checkpoints: &[Checkpoint], at: usize| match checkpoints.get(at)?.parent {
        ParentCheckpoint::Of { checkpoint, .. } => Some(checkpoint),
        _ => None,
    };
    let on_cycle: Vec<usize> = (0..checkpoints.len())
        .filter(|&start| {
            let mut at = next(checkpoints, start);
            for _ in 0..checkpoints.len() {
                match at {
                    Some(here) if here == start => return true,
                    Some(here) => at = next(checkpoints, here),
                    None => return false,
                }
            }
            false
        })
        .collect();
    for at in on_cycle {
        if let Some(checkpoint) = checkpoints.get_mut(at) {
            checkpoint.parent = ParentCheckpoint::Unknown {
                why: UnknownOrder::Contradiction,
            };
        }
    }
}
