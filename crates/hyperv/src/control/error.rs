//! How a call that changes a host can fail.

use cim::CimError;
use cim::job::JobFailure;

use crate::journal::JournalError;

/// A call that was not seen to be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It was not made, since it could not be written down first.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was surely not done.
    #[error("{call} was not done: {why}")]
    NotDone {
        /// The method.
        call: String,
        /// Why.
        why: NotDone,
    },
    /// Nobody knows whether it was done.
    #[error("{call} may have been done, which must be looked for on the host: {why}")]
    Unknown {
        /// The method.
        call: String,
        /// Why.
        why: String,
        /// Its number in the journal, where it is open until somebody has looked; `None` when the
        /// journal could not take it.
        number: Option<u64>,
    },
}

/// Why something was surely not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotDone {
    /// The host refused with this code.
    #[error("the host refuses with code {0} ({text})", text = meaning(*.0))]
    Refused(u32),
    /// The host began it and failed.
    #[error("{0}")]
    Failed(Box<JobFailure>),
    /// The host ended it as it was asked to.
    #[error("it was cancelled")]
    Cancelled(Box<JobFailure>),
    /// The host was not reached, or did not take the call.
    #[error("{0}")]
    NotCalled(Box<CimError>),
}

/// Codes after which waiting may help, whatever the method.
const IN_USE: u32 = 32774;
const INVALID_STATE: u32 = 32775;
/// Of a call that makes something, this leaves open whether it was done.
pub(super) const STATUS_UNKNOWN: u32 = 32771;
const NOT_AVAILABLE: u32 = 32777;

/// What the codes mean that every method of Hyper-V shares.
fn meaning(code: u32) -> &'static str {
    match code {
        1 | 32770 => "not supported",
        2 | 32768 => "it failed",
        3 | 32772 => "it took too long",
        4 | 32773 => "a parameter is not valid",
        5 | INVALID_STATE => "not in this state of the VM",
        6 | 32776 => "a parameter is of another type",
        32769 => "access denied",
        STATUS_UNKNOWN => "status unknown",
        IN_USE => "in use",
        NOT_AVAILABLE => "not available",
        32778 => "out of memory",
        _ => "a code of this method",
    }
}

impl ChangeError {
    /// Whether it was surely not done, and waiting may help without anybody changing anything.
    pub fn is_worth_waiting(&self) -> bool {
        let Self::NotDone { why, .. } = self else {
            return false;
        };
        match why {
            NotDone::Refused(code) => {
                matches!(
                    *code,
                    IN_USE | INVALID_STATE | STATUS_UNKNOWN | NOT_AVAILABLE
                )
            }
            NotDone::NotCalled(error) => error.is_transient(),
            NotDone::Failed(failure) => {
                let code = failure.job.error_code;
                matches!(
                    code,
                    IN_USE | INVALID_STATE | STATUS_UNKNOWN | NOT_AVAILABLE
                )
            }
            NotDone::Cancelled(_) => false,
        }
    }
}
