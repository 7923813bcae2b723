//! Time, and whether somebody asked to stop, as calls to a host want it.

use std::time::Duration;

use cim::job::{Pace, SystemPace};
use engine::Cancel;
use engine::source::hyperv::Hurry;

/// The machine's clock, which a request to stop cuts short.
pub(crate) struct HostPace {
    clock: SystemPace,
    cancel: Cancel,
    /// Of those who wait for files: a VM is given up.
    hurry: Hurry,
}

/// The longest time in which nobody looks whether somebody asked to stop.
const STEP: Duration = Duration::from_millis(250);

impl HostPace {
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self {
            clock: SystemPace::default(),
            cancel,
            hurry: Hurry::default(),
        }
    }

    /// The same for those who wait for files of VMs that may be given up.
    pub(crate) fn hurried(mut self, hurry: Hurry) -> Self {
        self.hurry = hurry;
        self
    }

    fn is_to_stop(&self) -> bool {
        self.cancel.is_cancelled() || self.hurry.is_on()
    }
}

impl Pace for HostPace {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    /// What waits although somebody asked to stop cleans up, and has its time.
    fn sleep(&self, span: Duration) {
        let asked = self.is_to_stop();
        let until = self.now() + span;
        loop {
            let left = until.saturating_sub(self.now());
            if left.is_zero() || (!asked && self.is_to_stop()) {
                return;
            }
            self.clock.sleep(left.min(STEP));
        }
    }

    fn cancelled(&self) -> bool {
        self.is_to_stop()
    }
}
