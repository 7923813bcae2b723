//! A queue between threads that is bounded by bytes, not by items.
//!
//! Any number of threads push and pop. What bounds memory is the *lease*: an item's bytes count
//! from the moment it is admitted until its lease is dropped, so that the bound covers items that
//! wait **and** items that are being worked on. An item larger than the whole bound is admitted
//! when nothing else is leased, so that it passes alone instead of never.
//!
//! A queue ends in one of two ways. [`close`](ByteQueue::close): no more pushes, what waits is
//! still popped. [`poison`](ByteQueue::poison): everything ends at once with the first error
//! given; what waits is dropped.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard};

/// See the [module](self).
#[derive(Debug)]
pub struct ByteQueue<T, E> {
    bound: u64,
    state: Mutex<State<T, E>>,
    /// Signalled when an item arrives or the queue ends.
    arrived: Condvar,
    /// Signalled when bytes come free or the queue ends.
    freed: Condvar,
}

#[derive(Debug)]
struct State<T, E> {
    waiting: VecDeque<(T, u64)>,
    leased: u64,
    closed: bool,
    poison: Option<E>,
}

/// Why a push or pop could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<E> {
    /// Nobody pushes any more, and nothing waits (of a pop), or the queue is closed (of a push).
    Closed,
    /// Somebody gave up, for this reason.
    Poisoned(E),
}

impl<T, E: Clone> ByteQueue<T, E> {
    /// An empty queue that holds out at most `bound` bytes.
    pub fn new(bound: u64) -> Self {
        Self {
            bound,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                leased: 0,
                closed: false,
                poison: None,
            }),
            arrived: Condvar::new(),
            freed: Condvar::new(),
        }
    }

    /// Waits until `bytes` fit under the bound and appends `item`.
    ///
    /// # Errors
    /// When the queue ended before the item was admitted; the item is dropped.
    pub fn push(&self, item: T, bytes: u64) -> Result<(), Ended<E>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.poison {
                return Err(Ended::Poisoned(error.clone()));
            }
            if state.closed {
                return Err(Ended::Closed);
            }
            let fits = state
                .leased
                .checked_add(bytes)
                .is_some_and(|sum| sum <= self.bound);
            if fits || state.leased == 0 {
                state.leased = state.leased.saturating_add(bytes);
                state.waiting.push_back((item, bytes));
                drop(state);
                self.arrived.notify_one();
                return Ok(());
            }
            state = wait(&self.freed, state);
        }
    }

    /// Waits for the next item, in the order of pushes.
    ///
    /// # Errors
    /// [`Ended::Closed`] once the queue is closed and empty; [`Ended::Poisoned`] as soon as it is.
    pub fn pop(&self) -> Result<Lease<'_, T, E>, Ended<E>> {
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.poison {
                return Err(Ended::Poisoned(error.clone()));
            }
            if let Some((item, bytes)) = state.waiting.pop_front() {
                return Ok(Lease {
                    item,
                    bytes,
                    queue: self,
                });
            }
            if state.closed {
                return Err(Ended::Closed);
            }
            state = wait(&self.arrived, state);
        }
    }

    /// Ends pushing. What waits is still popped. Closing again changes nothing.
    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.freed.notify_all();
    }

    /// Ends everything with `error`; of several the first one counts.
    pub fn poison(&self, error: E) {
        let mut state = self.lock();
        state.poison.get_or_insert(error);
        let dropped = std::mem::take(&mut state.waiting);
        let bytes: u64 = dropped.iter().map(|(_, bytes)| bytes).sum();
        state.leased = state.leased.saturating_sub(bytes);
        drop(state);
        // Not under the lock: what they hold may be asked for under locks of its own.
        drop(dropped);
        self.arrived.notify_all();
        self.freed.notify_all();
    }

    /// The error that ended the queue, if one did.
    pub fn poisoned(&self) -> Option<E> {
        self.lock().poison.clone()
    }

    /// Bytes that wait or are being worked on.
    pub fn leased(&self) -> u64 {
        self.lock().leased
    }
}

impl<T, E> ByteQueue<T, E> {
    // The state is only ever changed by the few lines above, none of which can panic half way;
    // a poisoned mutex therefore still holds a whole state.
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn release(&self, bytes: u64) {
        {
            let mut state = self.lock();
            state.leased = state.leased.saturating_sub(bytes);
        }
        self.freed.notify_all();
    }
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|e| e.into_inner())
}

/// An item on loan: its bytes count against the bound until this is dropped.
#[derive(Debug)]
pub struct Lease<'a, T, E> {
    item: T,
    bytes: u64,
    queue: &'a ByteQueue<T, E>,
}

impl<T, E> Deref for Lease<'_, T, E> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T, E> DerefMut for Lease<'_, T, E> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T, E> Drop for Lease<'_, T, E> {
    fn drop(&mut self) {
        self.queue.release(self.bytes);
    }
}

#[cfg(test)]
#[path = "queue/tests.rs"]
mod tests;
