//! Whether a checkpoint failed since the replication was at work.
//!
//! The host says so in a text of its own language ("… is currently executing a conflicting
//! operation …"), and no public source has its number. So it is told by what does not depend on
//! the language: the codes that mean *not now* everywhere, and what the host is doing with the VM.
//! What is taken for a conflict and was none costs some tries, which have an end.

use std::fmt;

use cim::{CimError, CimSession, Hresult};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::{Calm, jobs};
use crate::checkpoint::CheckpointError;
use crate::control::{ChangeError, NotDone};
use crate::inventory::{Operation, ReplicationMode};

/// `JobType` of what replication does with a VM: sending and receiving deltas, comparing, applying
/// change logs and deltas.
const REPLICATES: [u16; 7] = [95, 104, 105, 106, 107, 108, 120];
/// Codes of methods and jobs: in use, invalid state, not available, unknown.
const NOT_NOW: [u32; 4] = [32774, 32775, 32777, 32771];
/// `ERROR_BUSY`, and that another shadow copy is being made.
const BUSY: [u32; 2] = [0x8007_00aa, 0x8004_2316];
/// In the English text.
const ENGLISH: &str = "conflicting operation";

/// The host was at something with the VM that no backup can begin beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What told that it was one.
    pub told_by: ToldBy,
    /// What the host said.
    pub said: String,
}

/// What tells that something was a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told-by", content = "number", rename_all = "kebab-case")]
pub enum ToldBy {
    /// A code of the method or its job.
    Code(u32),
    /// Windows' code within the text.
    Hresult(u32),
    /// The text, which was English.
    Text,
    /// A job of this type that goes on with the VM.
    Job(u16),
    /// The host is at work on the VM.
    Operation(Operation),
    /// Nothing but that it is a copy, whose checkpoint involves no guest and failed without any
    /// reason of Windows'.
    Copy,
}

/// Tells whether the failure of a checkpoint was a conflict: then the VM belongs to the end of the
/// queue. To be asked at once: what the host is doing is part of it.
///
/// # Errors
/// When the host cannot be asked.
pub fn conflict(
    session: &dyn CimSession,
    (vm, mode): (Uuid, ReplicationMode),
    error: &CheckpointError,
) -> Result<Option<Conflict>, CimError> {
    let found = |told_by| {
        let said = error.to_string();
        Ok(Some(Conflict { told_by, said }))
    };
    let why = match error {
        CheckpointError::Conflict(conflict) => return Ok(Some((**conflict).clone())),
        CheckpointError::Busy(operation) => return found(ToldBy::Operation(*operation)),
        CheckpointError::Change(ChangeError::NotDone { why, .. }) => why,
        _ => return Ok(None),
    };
    let failure = match why {
        NotDone::Refused(code) if NOT_NOW.contains(code) => return found(ToldBy::Code(*code)),
        NotDone::Failed(failure) => failure,
        _ => return Ok(None),
    };
    let code = failure.job.error_code;
    if NOT_NOW.contains(&code) {
        return found(ToldBy::Code(code));
    }
    if let Some(Hresult(code)) = failure.code.filter(|code| BUSY.contains(&code.0)) {
        return found(ToldBy::Hresult(code));
    }
    if error.to_string().to_lowercase().contains(ENGLISH) {
        return found(ToldBy::Text);
    }
    if !mode.is_copy() && mode != ReplicationMode::Primary {
        return Ok(None);
    }
    let now = jobs(session, vm)?;
    if let Some(job) = now.into_iter().find(|job| REPLICATES.contains(job)) {
        return found(ToldBy::Job(job));
    }
    match (failure.code, mode.is_copy()) {
        // A reason of its own: disk full, access denied.
        (Some(_), _) | (None, false) => Ok(None),
        (None, true) => found(ToldBy::Copy),
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.told_by {
            ToldBy::Code(code) => format!("code {code}"),
            ToldBy::Hresult(code) => format!("0x{code:08X}"),
            ToldBy::Text => "it says so".to_owned(),
            ToldBy::Job(kind) => format!("a job of type {kind} goes on"),
            ToldBy::Operation(operation) => format!("{operation:?}"),
            ToldBy::Copy => "a copy, and no other reason".to_owned(),
        };
        write!(f, "the host was at work on the VM ({why}): {}", self.said)
    }
}

impl Conflict {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "it is tried again at the end of the run; if it stays so, let the backup suspend the \
         replication"
    }
}

impl fmt::Display for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("nothing is in a checkpoint's way"),
            Self::AtWork {
                operation: Some(operation),
                ..
            } => write!(f, "the host is at work on the VM: {operation:?}"),
            Self::AtWork { jobs, .. } => {
                write!(f, "the host is at work on the VM: jobs of type {jobs:?}")
            }
            Self::Busy(state) => write!(f, "its replication is in state {state}"),
        }
    }
}
