//! Whose turn it is, when some have to try again later.
//!
//! What meets a conflict goes to the end of the queue and waits there, a little longer each time
//! and each time another while, so that it does not meet the same delta again. Time and chance
//! come from outside.

use std::collections::VecDeque;
use std::time::Duration;

/// How long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first wait at most.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// How long in all, from the first conflict on; three of the replication's own intervals if
    /// that is more.
    pub total: Duration,
}

/// Of the replication's own interval, so many are waited: a delta takes one at most, and the one
/// after it need not come in the way again.
const INTERVALS: u32 = 3;

impl Default for Patience {
    /// 15 s rising to a minute, for 15 minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(15),
            most: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}

/// A queue of what is to be done.
#[derive(Debug)]
pub struct Turns<T> {
    patience: Patience,
    queue: VecDeque<Turn<T>>,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<T> {
    /// What.
    pub what: T,
    /// Tries that met a conflict so far.
    pub conflicts: u32,
    since: Option<Duration>,
    not_before: Duration,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// This.
    Go(Turn<T>),
    /// Nothing for so long, unless something is put back earlier.
    Wait(Duration),
    /// Nothing any more.
    Empty,
}

/// Something that was tried for as long as there was patience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaveUp<T> {
    /// What.
    pub what: T,
    /// Tries that met a conflict.
    pub conflicts: u32,
    /// For how long.
    pub waited: Duration,
}

impl<T> Turns<T> {
    /// A queue of these, in their order.
    pub fn new(all: impl IntoIterator<Item = T>, patience: Patience) -> Self {
        let turn = |what| Turn {
            what,
            conflicts: 0,
            since: None,
            not_before: Duration::ZERO,
        };
        let queue = all.into_iter().map(turn).collect();
        Self { patience, queue }
    }

    /// What comes next: the first whose time has come. `now` is a clock that only goes forward.
    pub fn next(&mut self, now: Duration) -> Next<T> {
        let place = self.queue.iter().position(|turn| turn.not_before <= now);
        if let Some(turn) = place.and_then(|place| self.queue.remove(place)) {
            return Next::Go(turn);
        }
        let soonest = self.queue.iter().map(|turn| turn.not_before).min();
        soonest.map_or(Next::Empty, |at| Next::Wait(at.saturating_sub(now)))
    }

    /// Puts something that met a conflict to the end, and tells how long it waits there at least.
    /// `interval` is that of its replication, `chance` any number.
    ///
    /// # Errors
    /// When there is no patience left.
    pub fn again(
        &mut self,
        turn: Turn<T>,
        now: Duration,
        interval: Option<Duration>,
        chance: u64,
    ) -> Result<Duration, GaveUp<T>> {
        let since = turn.since.unwrap_or(now);
        let intervals = interval.unwrap_or_default().saturating_mul(INTERVALS);
        let doublings = turn.conflicts.min(16);
        let longest = self.patience.first.saturating_mul(1 << doublings);
        let longest = longest.min(self.patience.most);
        // Between half of it and all.
        let half = longest / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let wait = half + Duration::from_millis(chance % spread.saturating_add(1));
        let waited = now.saturating_sub(since);
        let conflicts = turn.conflicts.saturating_add(1);
        if waited.saturating_add(wait) > self.patience.total.max(intervals) {
            let what = turn.what;
            return Err(GaveUp {
                what,
                conflicts,
                waited,
            });
        }
        self.queue.push_back(Turn {
            what: turn.what,
            conflicts,
            since: Some(since),
            not_before: now.saturating_add(wait),
        });
        Ok(wait)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_met_a_conflict_goes_to_the_end_and_waits() {
        let mut turns = Turns::new(["a", "b"], Patience::default());
        let Next::Go(a) = turns.next(s(0)) else {
            panic!()
        };
        let waits = Duration::from_millis(14_999);
        assert_eq!(turns.again(a, s(0), None, 7_499), Ok(waits));
        let Next::Go(b) = turns.next(s(0)) else {
            panic!()
        };
        assert_eq!((b.what, b.conflicts), ("b", 0));
        let Next::Wait(wait) = turns.next(s(1)) else {
            panic!()
        };
        assert_eq!(wait, Duration::from_millis(13_999));
        // Put back meanwhile, it has not waited as long.
        turns.again(b, s(2), None, 0).unwrap();
        let Next::Go(b) = turns.next(s(10)) else {
            panic!()
        };
        assert_eq!((b.what, b.conflicts), ("b", 1));
        assert!(matches!(
            turns.next(s(15)),
            Next::Go(Turn { what: "a", .. })
        ));
        assert_eq!(turns.next(s(15)), Next::Empty);
        assert!(turns.is_empty());
    }

    /// How often, and for how long, it is tried with a replication of this interval.
    fn tries(interval: Option<Duration>, chance: u64) -> (u32, Duration) {
        let mut turns = Turns::new([()], Patience::default());
        let mut now = s(1000);
        loop {
            let turn = match turns.next(now) {
                Next::Go(turn) => turn,
                Next::Wait(wait) => {
                    now += wait;
                    continue;
                }
                Next::Empty => panic!("it went away"),
            };
            if let Err(gave_up) = turns.again(turn, now, interval, chance) {
                return (gave_up.conflicts, gave_up.waited);
            }
        }
    }

    #[test]
    fn it_is_tried_for_three_intervals_and_no_longer() {
        for chance in [0, 12_345, u64::MAX] {
            let (count, waited) = tries(Some(s(30)), chance);
            assert!((15..=32).contains(&count), "{count}");
            assert!((s(840)..=s(900)).contains(&waited), "{waited:?}");
            let (count, waited) = tries(Some(s(900)), chance);
            assert!((45..=95).contains(&count), "{count}");
            assert!((s(2640)..=s(2700)).contains(&waited), "{waited:?}");
        }
    }
}
