//! Time as a follower of jobs needs it, so that tests need none.

use std::time::{Duration, Instant};

/// The clock, the sleep, and whether somebody wants it to stop.
pub trait Pace {
    /// The time since some beginning; it never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, span: Duration);

    /// Whether the job should be cancelled. Asked before each look at it.
    fn cancelled(&self) -> bool {
        false
    }
}

/// How often to look, and how long to bear what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between the first looks.
    pub first: Duration,
    /// Between later looks; each wait is half as long again as the one before.
    pub most: Duration,
    /// How long the host may fail to answer in a row.
    pub silence: Duration,
    /// How long a job may take in all; `None` for as long as it wants.
    pub total: Option<Duration>,
    /// How long a job may take to end after it was asked to.
    pub cancel: Duration,
}

impl Default for Patience {
    /// 100 ms rising to 2 s; 2 minutes of silence, which is above a restart of Hyper-V's service;
    /// no limit in all; 2 minutes after cancelling.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(2),
            silence: Duration::from_secs(120),
            total: None,
            cancel: Duration::from_secs(120),
        }
    }
}

/// The machine's clock; nobody cancels.
#[derive(Clone, Copy, Debug)]
pub struct SystemPace {
    begun: Instant,
}

impl Default for SystemPace {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
        }
    }
}

impl Pace for SystemPace {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn sleep(&self, span: Duration) {
        std::thread::sleep(span);
    }
}
