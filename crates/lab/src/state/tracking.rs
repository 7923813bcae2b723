//! Change tracking (RCT) of one disk: which ranges were written since which point.
//!
//! The record is a row of epochs. A checkpoint *seals* the running one: a new id begins a new
//! epoch, and what changed since an id is what was written in its epoch and in all later ones.
//! Merging and checkpoints of a user change nothing, as the record belongs to the disk and not to
//! a file of its chain.

use disk::{ByteRange, ByteRanges};

/// What one disk's tracking knows.
#[derive(Clone, Debug, Default)]
pub(in crate::state) struct Tracking {
    epochs: Vec<Epoch>,
    /// A checkpoint has the disk's id, and nothing is noted until that becomes a reference point.
    asleep: bool,
}

#[derive(Clone, Debug)]
struct Epoch {
    id: String,
    written: ByteRanges,
}

impl Tracking {
    /// Ends the running epoch and begins one with the id.
    pub(in crate::state) fn seal(&mut self, id: String) {
        self.epochs.push(Epoch {
            id,
            written: ByteRanges::new(),
        });
    }

    /// The same of a disk that may never have been tracked: then nothing is noted until somebody
    /// [wakes](Self::wake) it.
    pub(in crate::state) fn seal_asleep(&mut self, id: String) {
        self.asleep |= self.epochs.is_empty();
        self.seal(id);
    }

    /// A reference point is made of the disk: from now on it is tracked.
    pub(in crate::state) fn wake(&mut self) {
        self.asleep = false;
    }

    /// Notes that a range was written. Before the first seal nothing is kept.
    pub(in crate::state) fn note(&mut self, range: ByteRange) {
        if self.asleep {
            return;
        }
        if let Some(running) = self.epochs.last_mut() {
            let one: ByteRanges = [range].into_iter().collect();
            running.written = running.written.union(&one);
        }
    }

    /// What was written since `since` and before `until`, or until now. `None` when one of the
    /// ids is not known, or `until` comes first.
    pub(in crate::state) fn changes(&self, since: &str, until: Option<&str>) -> Option<ByteRanges> {
        let place = |id: &str| self.epochs.iter().position(|epoch| epoch.id == id);
        let from = place(since)?;
        let to = match until {
            Some(id) => place(id)?,
            None => self.epochs.len(),
        };
        let epochs = self.epochs.get(from..to)?;
        let all = epochs.iter().map(|epoch| &epoch.written);
        Some(all.fold(ByteRanges::new(), |sum, written| sum.union(written)))
    }

    /// Forgets ids that nobody holds any more; what was written stays with the id before.
    pub(in crate::state) fn keep(&mut self, held: impl Fn(&str) -> bool) {
        let mut kept: Vec<Epoch> = Vec::new();
        for epoch in std::mem::take(&mut self.epochs) {
            if held(&epoch.id) {
                kept.push(epoch);
            } else if let Some(before) = kept.last_mut() {
                before.written = before.written.union(&epoch.written);
            }
        }
        self.epochs = kept;
    }

    /// Forgets what was written since the last id, and not that there is one.
    pub(in crate::state) fn forget_running(&mut self) {
        if let Some(running) = self.epochs.last_mut() {
            running.written = ByteRanges::new();
        }
    }

    /// Forgets everything, as when the tracking file is lost.
    pub(in crate::state) fn lose(&mut self) {
        self.epochs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, u64),
        Seal(u8),
        Keep(Vec<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..64_u64, 1..16_u64).prop_map(|(at, len)| Step::Write(at, len)),
            any::<u8>().prop_map(Step::Seal),
            proptest::collection::vec(any::<u8>(), 0..200).prop_map(Step::Keep),
        ]
    }

    proptest! {
        /// Against a plain list of all that ever happened.
        #[test]
        fn it_equals_a_plain_list(steps in proptest::collection::vec(step(), 0..40)) {
            let mut tracking = Tracking::default();
            let mut history: Vec<Step> = Vec::new();
            let mut known: BTreeSet<u8> = BTreeSet::new();
            for step in steps {
                match &step {
                    Step::Write(at, len) => tracking.note(ByteRange::new(*at, at + len)),
                    Step::Seal(id) if history.iter().any(|h| matches!(h, Step::Seal(o) if o == id)) => continue,
                    Step::Seal(id) => {
                        tracking.seal(id.to_string());
                        known.insert(*id);
                    }
                    Step::Keep(ids) => {
                        tracking.keep(|id| ids.iter().any(|i| i.to_string() == id));
                        known.retain(|id| ids.contains(id));
                    }
                }
                history.push(step);
            }
            let place = |id: u8| history.iter().position(|h| matches!(h, Step::Seal(o) if *o == id));
            for since in 0..=255_u8 {
                let told = tracking.changes(&since.to_string(), None);
                prop_assert_eq!(told.is_some(), known.contains(&since));
                let Some(told) = told else { continue };
                let from = place(since).unwrap();
                let written = history[from..].iter().filter_map(|h| match h {
                    Step::Write(at, len) => Some(ByteRange::new(*at, at + len)),
                    _ => None,
                });
                prop_assert_eq!(told, written.collect::<ByteRanges>());
                for until in known.iter().copied() {
                    let part = tracking.changes(&since.to_string(), Some(&until.to_string()));
                    let to = place(until).unwrap();
                    prop_assert_eq!(part.is_some(), to >= from);
                    let Some(part) = part else { continue };
                    let written = history[from..to].iter().filter_map(|h| match h {
                        Step::Write(at, len) => Some(ByteRange::new(*at, at + len)),
                        _ => None,
                    });
                    prop_assert_eq!(part, written.collect::<ByteRanges>());
                }
            }
        }
    }
}
