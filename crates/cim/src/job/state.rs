//! The state of a job at one look.

use crate::instance::PropertyError;
use crate::{Hresult, Instance};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// 2: it has not begun.
    New,
    /// 3.
    Starting,
    /// 4.
    Running,
    /// 5.
    Suspended,
    /// 6: it comes to its end.
    ShuttingDown,
    /// 7: it ended well.
    Completed,
    /// 8: it was ended.
    Terminated,
    /// 9: it was ended by force.
    Killed,
    /// 10: it failed.
    Exception,
    /// 32768: it ended well, with warnings.
    CompletedWithWarnings,
    /// Anything else; taken to be in progress.
    Other(u16),
}

impl JobState {
    /// The state of a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            2 => Self::New,
            3 => Self::Starting,
            4 => Self::Running,
            5 => Self::Suspended,
            6 => Self::ShuttingDown,
            7 => Self::Completed,
            8 => Self::Terminated,
            9 => Self::Killed,
            10 => Self::Exception,
            32768 => Self::CompletedWithWarnings,
            other => Self::Other(other),
        }
    }

    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        self.is_success() || matches!(self, Self::Terminated | Self::Killed | Self::Exception)
    }

    /// Whether it is an end without a failure.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithWarnings)
    }
}

/// What one look at a job tells.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSnapshot {
    /// Its state.
    pub state: JobState,
    /// How far it is.
    pub percent: Option<u16>,
    /// What kind of work it is, by Hyper-V's numbers.
    pub job_type: Option<u16>,
    /// Its status, in the host's language.
    pub status: Option<String>,
    /// Whether it can be cancelled.
    pub cancellable: bool,
    /// Its error code; jobs are known to complete with one that is not zero.
    pub error_code: u32,
    /// What went wrong, in the host's language.
    pub description: Option<String>,
    /// The same in short.
    pub summary: Option<String>,
    /// The code of Windows that jobs of the storage service tell.
    pub storage_code: Option<Hresult>,
}

impl JobSnapshot {
    /// Reads a job's object. Only the state must be there; older hosts lack other properties.
    pub fn read(job: &Instance) -> Result<Self, PropertyError> {
        let text = |name| job.get_opt::<String>(name);
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let storage = job.get_opt::<u32>("JobCompletionStatusCode")?;
        Ok(Self {
            state: JobState::from_number(job.get("JobState")?),
            percent: job.get_opt("PercentComplete")?,
            job_type: job.get_opt("JobType")?,
            status: filled(text("JobStatus")?),
            cancellable: job.get_opt("Cancellable")?.unwrap_or(false),
            error_code: job.get_opt("ErrorCode")?.unwrap_or(0),
            description: filled(text("ErrorDescription")?),
            summary: filled(text("ErrorSummaryDescription")?),
            storage_code: storage.map(Hresult).filter(|code| code.is_failure()),
        })
    }

    /// Whether it ended well: in such a state, and without an error code.
    pub fn succeeded(&self) -> bool {
        self.state.is_success() && self.error_code == 0 && self.storage_code.is_none()
    }
}
