//! Noticing that somebody wants a VM to start, while it holds still.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;
use hyperv::release;
use uuid::Uuid;

use crate::finding::{Code, Finding, Severity};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// A VM that is not running, and whether somebody wants it to.
pub(super) struct Start {
    watch: release::Watch,
    looked: Mutex<Duration>,
    wanted: OnceLock<release::Wanted>,
}

impl Start {
    /// Begins to look at a VM; `None` when it runs, so that nobody can want to start it.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub(super) fn begin(
        session: &dyn CimSession,
        pace: &dyn Pace,
        vm: Uuid,
    ) -> Result<Option<Self>, cim::CimError> {
        let watch = release::Watch::begin(session, vm)?;
        Ok(watch.map(|watch| Self {
            watch,
            looked: Mutex::new(pace.now()),
            wanted: OnceLock::new(),
        }))
    }

    /// Whether somebody was seen to want it.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.get().is_some()
    }

    /// Looks.
    pub(super) fn look(&self, session: &dyn CimSession, pace: &dyn Pace) {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(looked, session, pace);
    }

    /// Looks if it is time to and nobody else is at it.
    pub(super) fn look_if_due(&self, session: &dyn CimSession, pace: &dyn Pace) {
        let Ok(looked) = self.looked.try_lock() else {
            return;
        };
        if pace.now().saturating_sub(*looked) >= EVERY {
            self.ask(looked, session, pace);
        }
    }

    fn ask(&self, mut looked: MutexGuard<'_, Duration>, session: &dyn CimSession, pace: &dyn Pace) {
        if self.is_wanted() {
            return;
        }
        // A host that does not tell is asked again the next time.
        if let Ok(Some(wanted)) = self.watch.look(session) {
            // Nobody else is at it.
            let _ = self.wanted.set(wanted);
        }
        *looked = pace.now();
    }

    /// Why the VM is to be let go, if it is. Its turn comes again.
    pub(super) fn give_up(&self, vm: &str) -> Option<Finding> {
        let seen = match self.wanted.get()? {
            release::Wanted::Starting => "it is starting",
            release::Wanted::Waiting => "it waits to be started",
            release::Wanted::Runs => "it runs now",
            release::Wanted::Changed => "it has been in another state meanwhile",
        };
        let message = format!("given up since somebody wants the VM to start: {seen}");
        let finding = Finding::new(Code::NotNow, Severity::Error, vm, message);
        Some(finding.hint("it is backed up when its turn comes again, running or not"))
    }
}
