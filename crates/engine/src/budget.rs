//! Bytes that several pipelines share, so that memory does not grow with their number.
//!
//! Who needs bytes takes a lease of them and gives it back by dropping it. Leases are given in the
//! order of asking. More than the whole budget is given when nothing else is on loan, so that it
//! passes alone instead of never.
//!
//! Invariant: no more bytes are on loan than the budget has, but for a single lease that is larger.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Budget {
    bound: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lent: u64,
    /// Who waits, in the order of coming.
    queue: VecDeque<u64>,
    next: u64,
}

/// Bytes on loan, until it is dropped.
#[derive(Debug)]
#[must_use = "the bytes are given back when this is dropped"]
pub(crate) struct Loan<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bound: u64) -> Self {
        Self {
            bound,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits for `bytes`; `None` as soon as `stopped` says so, which is asked each time that bytes are
    /// given back: whoever stops others has some on loan, and gives them back.
    pub(crate) fn take(&self, bytes: u64, stopped: &dyn Fn() -> bool) -> Option<Loan<'_>> {
        let mut state = self.lock();
        let ticket = state.next;
        state.next = ticket.wrapping_add(1);
        state.queue.push_back(ticket);
        loop {
            let stop = stopped();
            let first = state.queue.front() == Some(&ticket);
            let fits = state.lent == 0 || state.lent.saturating_add(bytes) <= self.bound;
            if stop || (first && fits) {
                state.queue.retain(|other| *other != ticket);
                if !stop {
                    state.lent = state.lent.saturating_add(bytes);
                }
                drop(state);
                // Whoever comes next may find enough, too.
                self.changed.notify_all();
                return (!stop).then_some(Loan {
                    budget: self,
                    bytes,
                });
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.lent = state.lent.saturating_sub(self.bytes);
        drop(state);
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn what_is_lent_never_exceeds_the_budget_and_everybody_gets_his() {
        let budget = Budget::new(10);
        let (lent, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (budget, lent, most) = (&budget, &lent, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = 1 + (thread * 7 + round) % 10;
                        let loan = budget.take(bytes, &|| false).unwrap();
                        let now = lent.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        lent.fetch_sub(bytes, Ordering::SeqCst);
                        drop(loan);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert_eq!(budget.lock().lent, 0);
    }

    #[test]
    fn what_is_larger_passes_alone_and_who_is_stopped_gets_nothing() {
        let budget = Budget::new(10);
        let large = budget.take(99, &|| false).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let waits = scope.spawn(|| budget.take(1, &|| stop.load(Ordering::SeqCst)).is_none());
            stop.store(true, Ordering::SeqCst);
            // It may have begun to wait before it was stopped.
            let other = scope.spawn(|| budget.take(10, &|| false).is_some());
            drop(large);
            assert!(other.join().unwrap());
            waits.join().unwrap();
        });
        assert!(budget.lock().queue.is_empty());
    }
}
