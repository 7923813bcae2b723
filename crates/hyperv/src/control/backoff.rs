//! How long to wait before something is tried again.

use std::time::Duration;

use cim::job::Pace;

/// Waits that double up to a limit, until their time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// How long in all.
    pub total: Duration,
}

impl Default for Backoff {
    /// 15 s rising to a minute, for 15 minutes: the longest interval of Hyper-V Replica.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(15),
            most: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}

/// The waits of one attempt.
pub(crate) struct Tries {
    backoff: Backoff,
    begun: Duration,
    wait: Duration,
}

impl Backoff {
    pub(crate) fn start(self, pace: &dyn Pace) -> Tries {
        Tries {
            backoff: self,
            begun: pace.now(),
            wait: self.first,
        }
    }
}

impl Tries {
    /// The next wait; `None` when the time would be over.
    pub(crate) fn next(&mut self, pace: &dyn Pace) -> Option<Duration> {
        let spent = pace.now().saturating_sub(self.begun);
        let wait = self.wait;
        if spent.saturating_add(wait) > self.backoff.total {
            return None;
        }
        self.wait = wait.saturating_mul(2).min(self.backoff.most);
        Some(wait)
    }
}
