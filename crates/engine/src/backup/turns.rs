//! Whose turn it is, when some VMs cannot be backed up at once.
//!
//! A VM that another program or its host is at work on goes to the end of the queue; those that
//! wait behind it do not. When nobody else is left, the waits grow, and they are few.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::clock::Clock;

/// The longest time in which nobody looks whether somebody asked to stop.
pub(super) const STEP: Duration = Duration::from_millis(250);

/// How a VM that cannot be backed up just now is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often in all, the first time among them.
    pub tries: u32,
    /// How long it is left alone after the first time.
    pub first: Duration,
    /// How long at most; each wait is twice as long as the one before.
    pub most: Duration,
}

impl Default for Retry {
    /// Six times: after half a minute, and at most five, which makes more than ten.
    fn default() -> Self {
        Self {
            tries: 6,
            first: Duration::from_secs(30),
            most: Duration::from_secs(300),
        }
    }
}

/// The queue.
pub(super) struct Turns {
    retry: Retry,
    queue: VecDeque<Turn>,
}

/// One VM's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Which of the VMs.
    pub(super) vm: usize,
    /// How often it was tried before.
    pub(super) tried: u32,
    due: Duration,
}

impl Turns {
    /// Each of `count` VMs once, in their order.
    pub(super) fn new(retry: Retry, count: usize) -> Self {
        let turn = |vm| Turn {
            vm,
            tried: 0,
            due: Duration::ZERO,
        };
        Self {
            retry,
            queue: (0..count).map(turn).collect(),
        }
    }

    /// The next one whose time has come; where none is, the first whose time will come is waited
    /// for, unless somebody asks to stop.
    pub(super) fn next(&mut self, clock: &dyn Clock, cancel: &Cancel) -> Option<Turn> {
        self.wait(clock, cancel);
        self.due(clock, cancel)
    }

    /// Waits until somebody's time has come, unless somebody asks to stop; whether there is anybody.
    pub(super) fn wait(&self, clock: &dyn Clock, cancel: &Cancel) -> bool {
        let Some(first) = self.queue.iter().map(|turn| turn.due).min() else {
            return false;
        };
        while !cancel.is_cancelled() {
            let left = first.saturating_sub(clock.monotonic());
            if left.is_zero() {
                break;
            }
            clock.sleep(left.min(STEP));
        }
        true
    }

    /// The next one whose time has come.
    pub(super) fn due(&mut self, clock: &dyn Clock, cancel: &Cancel) -> Option<Turn> {
        let now = clock.monotonic();
        let due = self.queue.iter().position(|turn| turn.due <= now);
        // When somebody asked to stop, whoever is first is told so.
        let first = cancel.is_cancelled().then_some(0);
        self.queue.remove(due.or(first)?)
    }

    /// Puts a turn back that was not used.
    pub(super) fn put_back(&mut self, turn: Turn) {
        self.queue.push_front(turn);
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts a VM that could not be backed up at the end; tells how long it is left alone, or `None`
    /// if it was tried often enough.
    pub(super) fn again(&mut self, turn: Turn, clock: &dyn Clock) -> Option<Duration> {
        let tried = turn.tried.saturating_add(1);
        if tried >= self.retry.tries {
            return None;
        }
        let factor = 1_u32.checked_shl(turn.tried).unwrap_or(u32::MAX);
        let wait = self.retry.first.saturating_mul(factor).min(self.retry.most);
        self.queue.push_back(Turn {
            tried,
            due: clock.monotonic().saturating_add(wait),
            ..turn
        });
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Only sleeping lets its time pass.
    #[derive(Default)]
    struct Manual(Mutex<Duration>);

    impl Clock for Manual {
        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
        fn unix_seconds(&self) -> u64 {
            0
        }
        fn sleep(&self, span: Duration) {
            *self.0.lock().unwrap() += span;
        }
    }

    #[test]
    fn who_cannot_be_served_holds_up_nobody() {
        let (clock, cancel) = (Manual::default(), Cancel::new());
        let mut turns = Turns::new(Retry::default(), 3);
        let mut order = Vec::new();
        while let Some(turn) = turns.next(&clock, &cancel) {
            order.push((turn.vm, clock.monotonic().as_secs()));
            // The second never can; the first can at its second time.
            if turn.vm == 1 || (turn.vm == 0 && turn.tried == 0) {
                turns.again(turn, &clock);
            }
        }
        let expected = [
            (0, 0),
            (1, 0),
            (2, 0),
            (0, 30),
            (1, 30),
            (1, 90),
            (1, 210),
            (1, 450),
            (1, 750),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn nobody_is_waited_for_when_somebody_asks_to_stop() {
        let (clock, cancel) = (Manual::default(), Cancel::new());
        let mut turns = Turns::new(Retry::default(), 1);
        let turn = turns.next(&clock, &cancel).unwrap();
        assert_eq!(turns.again(turn, &clock), Some(Duration::from_secs(30)));
        cancel.cancel();
        assert_eq!(turns.next(&clock, &cancel).map(|turn| turn.tried), Some(1));
        assert_eq!(clock.monotonic(), Duration::ZERO);
        assert_eq!(turns.next(&clock, &cancel), None);
    }
}
