//! Time, injected: the only place of this crate that knows a clock exists.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock, so that rates and times can be tested without waiting.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never runs backwards.
    fn monotonic(&self) -> Duration;

    /// Seconds since 1970-01-01 UTC. Only ever shown and stored, never used to order anything.
    fn unix_seconds(&self) -> u64;

    /// Lets time pass.
    fn sleep(&self, span: Duration);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_seconds(&self) -> u64 {
        // A clock before 1970 is wrong in any case; 1970 shows it.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}
