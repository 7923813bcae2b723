//! Jobs: work that goes on after a method has returned.
//!
//! A job changes nothing until its time has come: then its effect happens at once, or fails. A
//! host that restarts in between has done nothing. Five minutes after its end a job is gone.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::refusal::Failure;

/// The name of a job.
pub type JobId = Uuid;

/// How long a job is there after its end, unless a scenario says otherwise.
pub const REMOVED_AFTER: Duration = Duration::from_secs(300);

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// `JobType`: what it does.
    pub kind: u16,
    /// Whether it is one of the storage service.
    pub storage: bool,
    /// The VM that it works on.
    pub vm: Uuid,
    /// When it began.
    pub started: Timestamp,
    /// How long it takes.
    pub takes: Duration,
    /// Whether it can be cancelled.
    pub cancellable: bool,
    /// How it ended, and when.
    pub end: Option<(Timestamp, End)>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it should; this is what it made.
    Completed(Option<Made>),
    /// It failed.
    Failed(Failure),
    /// Somebody cancelled it.
    Terminated,
}

/// What a job made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// A VM, or a planned one.
    System(Uuid),
    /// Pieces of a configuration, by their places in it.
    Places(Uuid, Vec<String>),
    /// A checkpoint.
    Checkpoint(Uuid),
    /// A reference point.
    ReferencePoint(Uuid),
}

impl Job {
    /// When its effect happens.
    pub fn due(&self) -> Timestamp {
        self.started
            .checked_add(self.takes)
            .unwrap_or(Timestamp::MAX)
    }

    /// How long it has been going on, or went on.
    pub fn elapsed(&self, now: Timestamp) -> Duration {
        let until = self.end.as_ref().map_or(now, |(at, _)| *at);
        Duration::try_from(until.duration_since(self.started)).unwrap_or_default()
    }

    /// `JobState`.
    pub fn state(&self, now: Timestamp) -> u16 {
        match &self.end {
            Some((_, End::Completed(_))) => 7,
            Some((_, End::Terminated)) => 8,
            Some((_, End::Failed(_))) => 10,
            None if self.elapsed(now).is_zero() => 2,
            None if self.percent(now) < 10 => 3,
            None => 4,
        }
    }

    /// `PercentComplete`.
    pub fn percent(&self, now: Timestamp) -> u16 {
        match &self.end {
            Some((_, End::Completed(_))) => 100,
            _ => {
                let (done, whole) = (self.elapsed(now).as_millis(), self.takes.as_millis());
                let percent = (done * 100).checked_div(whole).unwrap_or(0);
                u16::try_from(percent.min(99)).unwrap_or(99)
            }
        }
    }
}
