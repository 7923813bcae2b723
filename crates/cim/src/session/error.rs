//! A call that failed: what was asked, and why it failed.

use crate::cimxml::Unwritable;
use crate::instance::PropertyError;
use crate::transport::TransportError;
use crate::wsman::{Fault, FaultKind, ReplyError};

/// A call that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{call}: {problem}")]
pub struct CimError {
    /// What was asked: the verb and the object.
    pub call: String,
    /// Why it failed.
    pub problem: Box<CimProblem>,
    /// Whether the call would have changed the host.
    pub changes: bool,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CimProblem {
    /// The host refused.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// The host was not reached, or did not answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The host's answer is not understood.
    #[error("the host's answer is not understood: {0}")]
    Reply(#[from] ReplyError),
    /// A value cannot be sent.
    #[error("the request cannot be written: {0}")]
    Unwritable(#[from] Unwritable),
    /// A property of the answer is not as it must be.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// An enumeration is larger than is accepted, or does not end.
    #[error("the enumeration {0}")]
    Enumeration(&'static str),
}

impl CimError {
    /// What the host's fault means, if it is one.
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match &*self.problem {
            CimProblem::Fault(fault) => Some(fault.kind()),
            _ => None,
        }
    }

    /// Whether the host said that there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.fault_kind() == Some(FaultKind::NotFound)
    }

    /// Whether another attempt may go better without anybody changing anything. Says nothing of
    /// whether one is allowed: see [`CimError::may_have_happened`].
    pub fn is_transient(&self) -> bool {
        use FaultKind::{ContextLost, Quota, TimedOut, Unavailable};
        match &*self.problem {
            CimProblem::Transport(error) => error.is_transient(),
            CimProblem::Fault(fault) => {
                matches!(fault.kind(), ContextLost | Quota | TimedOut | Unavailable)
            }
            _ => false,
        }
    }

    /// Whether the call would have changed the host and the host may have carried it out: its
    /// state must be looked at before anything else is done.
    pub fn may_have_happened(&self) -> bool {
        self.changes
            && match &*self.problem {
                CimProblem::Transport(error) => error.maybe_sent,
                // The method may still run; and an answer that nobody understands is one.
                CimProblem::Fault(fault) => matches!(
                    fault.kind(),
                    FaultKind::TimedOut
                        | FaultKind::Other
                        | FaultKind::TooLarge
                        | FaultKind::Unavailable
                ),
                CimProblem::Reply(_) | CimProblem::Property(_) => true,
                CimProblem::Unwritable(_) | CimProblem::Enumeration(_) => false,
            }
    }
}
