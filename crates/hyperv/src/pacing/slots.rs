//! Places for disks that are read at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::fold;

/// The longest time in which nobody who waits looks whether it is to stop.
const STEP: Duration = Duration::from_millis(250);

/// How many disks are read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Caps {
    /// Of one host.
    pub per_host: usize,
    /// Of one volume.
    pub per_volume: usize,
}

impl Default for Caps {
    /// Four, and two.
    fn default() -> Self {
        Self {
            per_host: 4,
            per_volume: 2,
        }
    }
}

/// Places of one host. Clones share them.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    caps: Caps,
    /// Of the host's places, so many are given while it is slow.
    open: usize,
    taken: usize,
    by_volume: BTreeMap<String, usize>,
    /// Who waits, in the order of coming, each with its volume.
    queue: Vec<(u64, String)>,
    next: u64,
}

/// A place, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    slots: Slots,
    volume: String,
}

impl State {
    fn has_place(&self, volume: &str) -> bool {
        let here = self.by_volume.get(volume).copied().unwrap_or(0);
        self.taken < self.open && here < self.caps.per_volume.max(1)
    }

    /// Whether it is somebody's turn: there is a place, and no one who came before could have it.
    fn is_turn(&self, ticket: u64, volume: &str) -> bool {
        let mut before = self.queue.iter().take_while(|(other, _)| *other != ticket);
        self.has_place(volume) && !before.any(|(_, volume)| self.has_place(volume))
    }

    fn give(&mut self, volume: &str) {
        self.taken += 1;
        *self.by_volume.entry(volume.to_owned()).or_default() += 1;
    }
}

impl Slots {
    /// The places of a host.
    pub fn new(caps: Caps) -> Self {
        let state = State {
            caps,
            open: caps.per_host.max(1),
            taken: 0,
            by_volume: BTreeMap::new(),
            queue: Vec::new(),
            next: 0,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            freed: Condvar::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place to read a disk on a volume, named in any case; `None` as soon as
    /// `stopped` says so. That is asked each time that something changes ([`Slots::wake`]), and now
    /// and then, since not all who ask to stop know who waits; nobody has a place meanwhile, so it
    /// has to answer at once.
    pub fn take(&self, volume: &str, stopped: &dyn Fn() -> bool) -> Option<Place> {
        let volume = fold(volume);
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.queue.push((ticket, volume.clone()));
        loop {
            let stop = stopped();
            let turn = !stop && state.is_turn(ticket, &volume);
            if turn {
                state.give(&volume);
            }
            if turn || stop {
                state.queue.retain(|(other, _)| *other != ticket);
                drop(state);
                // Whoever comes next may have a place, too.
                self.0.freed.notify_all();
                let slots = self.clone();
                return turn.then_some(Place { slots, volume });
            }
            let waited = self.0.freed.wait_timeout(state, STEP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A place if there is one now and nobody waits who could have it.
    pub fn try_take(&self, volume: &str) -> Option<Place> {
        let volume = fold(volume);
        let mut state = self.state();
        let waits = state
            .queue
            .iter()
            .any(|(_, volume)| state.has_place(volume));
        if waits || !state.has_place(&volume) {
            return None;
        }
        state.give(&volume);
        drop(state);
        let slots = self.clone();
        Some(Place { slots, volume })
    }

    /// Gives so many of the host's places from now on, at least one and at most all. Places that
    /// are taken stay.
    pub fn open(&self, places: usize) {
        let mut state = self.state();
        state.open = places.clamp(1, state.caps.per_host.max(1));
        drop(state);
        self.wake();
    }

    /// The places that are given just now: of the host, and taken.
    pub fn now(&self) -> (usize, usize) {
        let state = self.state();
        (state.open, state.taken)
    }

    /// Lets everybody who waits look again, to stop above all.
    pub fn wake(&self) {
        // Who has looked and does not wait yet would not hear of it.
        drop(self.state());
        self.0.freed.notify_all();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        state.taken = state.taken.saturating_sub(1);
        if let Some(here) = state.by_volume.get_mut(&self.volume) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                state.by_volume.remove(&self.volume);
            }
        }
        drop(state);
        self.slots.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn slots(per_host: usize, per_volume: usize) -> Slots {
        Slots::new(Caps {
            per_host,
            per_volume,
        })
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let slots = slots(2, 1);
        let one = slots.try_take("D:\\").unwrap();
        assert!(slots.try_take("d:\\").is_none(), "the volume's cap");
        let two = slots.try_take("E:\\").unwrap();
        assert!(slots.try_take("F:\\").is_none(), "the host's cap");
        drop(one);
        assert_eq!(slots.now(), (2, 1));
        let again = slots.try_take("D:\\").unwrap();
        drop((two, again));
        assert_eq!(slots.now(), (2, 0));
        // No cap at all would be no backup at all.
        assert!(self::slots(0, 0).try_take("D:\\").is_some());
    }

    #[test]
    fn fewer_places_are_given_while_the_host_is_slow_and_never_none() {
        let slots = slots(3, 3);
        let held: Vec<Place> = (0..3).map(|_| slots.try_take("D:\\").unwrap()).collect();
        slots.open(0);
        assert_eq!(slots.now(), (1, 3));
        drop(held);
        let one = slots.try_take("D:\\").unwrap();
        assert!(slots.try_take("D:\\").is_none());
        slots.open(100);
        assert_eq!(slots.now(), (3, 1));
        let _two = slots.try_take("D:\\").unwrap();
        drop(one);
    }

    /// Twelve threads over three volumes: no cap is ever exceeded, and all come to their end.
    #[test]
    fn no_cap_is_exceeded_and_everybody_has_a_turn() {
        let slots = slots(4, 2);
        let (all, on) = (AtomicUsize::new(0), [const { AtomicUsize::new(0) }; 3]);
        let (most, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for worker in 0..12_usize {
                let (slots, all, on, most, done) = (slots.clone(), &all, &on, &most, &done);
                scope.spawn(move || {
                    for round in 0..50 {
                        let at = (worker + round) % 3;
                        let volume = format!("{at}");
                        let place = slots.take(&volume, &|| false).unwrap();
                        let now = all.fetch_add(1, Ordering::SeqCst) + 1;
                        let here = on[at].fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= 4 && here <= 2, "{now} {here}");
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        on[at].fetch_sub(1, Ordering::SeqCst);
                        all.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!((done.into_inner(), slots.now().1), (12, 0));
        assert!(most.into_inner() >= 1);
    }

    #[test]
    fn who_waits_can_be_stopped() {
        let slots = slots(1, 1);
        let held = slots.try_take("D:\\").unwrap();
        let (stop, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let stopped = || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    stop.load(Ordering::SeqCst)
                };
                slots.take("D:\\", &stopped).is_none()
            });
            while begun.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            stop.store(true, Ordering::SeqCst);
            // Once will do.
            slots.wake();
            assert!(waits.join().unwrap());
        });
        drop(held);
        assert!(
            slots.try_take("D:\\").is_some(),
            "and leaves nothing in the queue"
        );
    }

    proptest! {
        /// Against the simplest model: counters.
        #[test]
        fn it_counts_as_a_model_counts(
            caps in (1_usize..4, 1_usize..4),
            steps in proptest::collection::vec((0_u8..3, 0_usize..4), 0..60),
        ) {
            let slots = slots(caps.0, caps.1);
            let mut held: Vec<(String, Place)> = Vec::new();
            let mut open = caps.0;
            for (what, which) in steps {
                let volume = format!("V{which}");
                let here = held.iter().filter(|(known, _)| *known == volume).count();
                match what {
                    0 => {
                        let given = slots.try_take(&volume);
                        let fits = held.len() < open && here < caps.1;
                        prop_assert_eq!(given.is_some(), fits);
                        held.extend(given.map(|place| (volume, place)));
                    }
                    1 => {
                        let at = which.min(held.len().saturating_sub(1));
                        if at < held.len() {
                            drop(held.remove(at));
                        }
                    }
                    _ => {
                        slots.open(which);
                        open = which.clamp(1, caps.0);
                    }
                }
                prop_assert_eq!(slots.now(), (open, held.len()));
            }
        }
    }
}
