//! Places for disks that are read at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::fold;
use crate::space::is_common;

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
///
/// Hosts that read of the same volumes, as the nodes of a cluster do, have [their places
/// together](Slots::beside): what lies on a volume of all of them counts once.
#[derive(Clone, Debug)]
pub struct Slots {
    shared: Arc<Shared>,
    /// Which of the hosts.
    host: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    hosts: Vec<Host>,
    by_volume: BTreeMap<String, usize>,
    /// Who waits, in the order of coming.
    queue: Vec<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Host {
    caps: Caps,
    /// Of its places, so many are given while it is slow.
    open: usize,
    taken: usize,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    host: usize,
    /// One of them will do.
    volumes: Vec<String>,
}

/// A place, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    slots: Slots,
    volume: String,
}

impl Host {
    fn new(caps: Caps) -> Self {
        Self {
            caps,
            open: caps.per_host.max(1),
            taken: 0,
        }
    }
}

impl State {
    fn has_place(&self, host: usize, volume: &str) -> bool {
        let here = self.by_volume.get(volume).copied().unwrap_or(0);
        let host = self.hosts.get(host);
        host.is_some_and(|host| host.taken < host.open && here < host.caps.per_volume.max(1))
    }

    /// The first of the volumes that somebody could have a place of.
    fn could_have(&self, who: &Waiting) -> Option<String> {
        let mut volumes = who.volumes.iter();
        let found = volumes.find(|volume| self.has_place(who.host, volume));
        found.cloned()
    }

    /// The volume of which it is somebody's turn: there is a place, and no one who came before
    /// could have one.
    fn turn(&self, ticket: u64) -> Option<String> {
        let at = self.queue.iter().position(|one| one.ticket == ticket)?;
        let (before, rest) = self.queue.split_at(at);
        let volume = self.could_have(rest.first()?)?;
        let nobody = before.iter().all(|one| self.could_have(one).is_none());
        nobody.then_some(volume)
    }

    fn give(&mut self, host: usize, volume: &str) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.taken += 1;
        }
        *self.by_volume.entry(volume.to_owned()).or_default() += 1;
    }
}

impl Slots {
    /// The places of a host.
    pub fn new(caps: Caps) -> Self {
        let state = State {
            hosts: vec![Host::new(caps)],
            by_volume: BTreeMap::new(),
            queue: Vec::new(),
            next: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            freed: Condvar::new(),
        });
        Self { shared, host: 0 }
    }

    /// The places of another host, which has the volumes that [all hosts have](is_common) in common
    /// with this one.
    #[must_use]
    pub fn beside(&self, caps: Caps) -> Self {
        let mut state = self.state();
        let host = state.hosts.len();
        state.hosts.push(Host::new(caps));
        drop(state);
        let shared = Arc::clone(&self.shared);
        Self { shared, host }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// The one name of a volume of this host among those of all hosts.
    pub fn name_of(&self, volume: &str) -> String {
        let volume = fold(volume);
        match is_common(&volume) {
            true => volume,
            false => format!("{}|{volume}", self.host),
        }
    }

    /// Waits for a place to read a disk on one of these volumes, named in any case; `None` as soon
    /// as `stopped` says so, and where there is no volume. That is asked each time that something
    /// changes ([`Slots::wake`]), and now and then, since not all who ask to stop know who waits;
    /// nobody has a place meanwhile, so it has to answer at once.
    pub fn take(&self, volumes: &[String], stopped: &dyn Fn() -> bool) -> Option<Place> {
        if volumes.is_empty() {
            return None;
        }
        let mut state = self.state();
        let ticket = state.next;
        state.next += 1;
        state.queue.push(Waiting {
            ticket,
            host: self.host,
            volumes: volumes.iter().map(|volume| self.name_of(volume)).collect(),
        });
        loop {
            let stop = stopped();
            let turn = if stop { None } else { state.turn(ticket) };
            if let Some(volume) = &turn {
                state.give(self.host, volume);
            }
            if turn.is_some() || stop {
                state.queue.retain(|one| one.ticket != ticket);
                drop(state);
                // Whoever comes next may have a place, too.
                self.shared.freed.notify_all();
                let slots = self.clone();
                return turn.map(|volume| Place { slots, volume });
            }
            let waited = self.shared.freed.wait_timeout(state, STEP);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A place if there is one now and nobody waits who could have it.
    pub fn try_take(&self, volume: &str) -> Option<Place> {
        let volume = self.name_of(volume);
        let mut state = self.state();
        let waits = state
            .queue
            .iter()
            .any(|one| state.could_have(one).is_some());
        if waits || !state.has_place(self.host, &volume) {
            return None;
        }
        state.give(self.host, &volume);
        drop(state);
        let slots = self.clone();
        Some(Place { slots, volume })
    }

    /// Gives so many of the host's places from now on, at least one and at most all. Places that
    /// are taken stay.
    pub fn open(&self, places: usize) {
        if let Some(host) = self.state().hosts.get_mut(self.host) {
            host.open = places.clamp(1, host.caps.per_host.max(1));
        }
        self.wake();
    }

    /// The places that are given just now: of the host, and taken.
    pub fn now(&self) -> (usize, usize) {
        let state = self.state();
        let host = state.hosts.get(self.host);
        host.map_or((0, 0), |host| (host.open, host.taken))
    }

    /// Lets everybody who waits look again, to stop above all.
    pub fn wake(&self) {
        // Who has looked and does not wait yet would not hear of it.
        drop(self.state());
        self.shared.freed.notify_all();
    }
}

impl Place {
    /// Whether it is for a disk on this volume, read from this host.
    pub fn is_for(&self, slots: &Slots, volume: &str) -> bool {
        self.is_of(slots) && self.volume == slots.name_of(volume)
    }

    /// Whether it is one of this host.
    pub fn is_of(&self, slots: &Slots) -> bool {
        Arc::ptr_eq(&self.slots.shared, &slots.shared) && self.slots.host == slots.host
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if let Some(host) = state.hosts.get_mut(self.slots.host) {
            host.taken = host.taken.saturating_sub(1);
        }
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

    /// Of two nodes of a cluster.
    #[test]
    fn a_volume_of_all_hosts_counts_once_and_others_are_each_hosts_own() {
        let shared = r"C:\ClusterStorage\Volume1";
        let one = slots(2, 1);
        let other = one.beside(Caps {
            per_host: 1,
            per_volume: 1,
        });
        let first = one.try_take(shared).unwrap();
        assert!(other.try_take(shared).is_none(), "the volume's cap");
        let second = one.try_take("D:\\").unwrap();
        assert_eq!((one.now(), other.now()), ((2, 2), (1, 0)));
        // Its own drive, and its own places.
        let third = other.try_take("D:\\").unwrap();
        assert!(other.try_take("E:\\").is_none(), "the host's cap");
        drop((first, third));
        assert!(
            other
                .try_take(shared)
                .is_some_and(|place| place.is_of(&other))
        );
        assert!(second.is_for(&one, "d:\\") && !second.is_for(&other, "d:\\"));
    }

    #[test]
    fn who_could_read_of_several_volumes_has_the_first_place_of_any() {
        let slots = slots(9, 1);
        let held = slots.try_take("D:\\").unwrap();
        let any = ["D:\\".to_owned(), "E:\\".to_owned()];
        let place = slots.take(&any, &|| false).unwrap();
        assert!(place.is_for(&slots, "E:\\"));
        drop(held);
        assert!(slots.take(&any, &|| false).unwrap().is_for(&slots, "D:\\"));
        assert!(slots.take(&[], &|| false).is_none());
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
                        let place = slots.take(&[volume], &|| false).unwrap();
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
                slots.take(&["D:\\".to_owned()], &stopped).is_none()
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
