//! Time and ids, injected: a test says what time it is, and runs alike each time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// What time it is on the host.
pub trait Clock: Send + Sync {
    /// Now. Never earlier than it was.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands until it is moved. Clones move together.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    /// Moves it forward. At the end of the calendar it stays.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes ids, a new one with each call.
pub type Ids = Box<dyn FnMut() -> Uuid + Send>;

/// Ids that follow from a number: the same each time, and different for each number.
pub fn counted_ids(seed: u32) -> Ids {
    let mut count = 0_u64;
    Box::new(move || {
        count += 1;
        // Of the random version, so that nobody takes them for something else.
        uuid::Builder::from_random_bytes(
            (u128::from(seed) << 64 | u128::from(count).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .to_be_bytes(),
        )
        .into_uuid()
    })
}
