//! What can go wrong between us and a server.

use hyperv::files::FileProblem;

use crate::wire::{Malformed, Status};

/// Why something cannot be had of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection went, or did not come about: another may.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// The server is away for longer than is waited for. Nobody waits for it again before it was
    /// there again.
    #[error("the server of files is away: {0}")]
    GivenUp(String),
    /// The server was never there.
    #[error("no server of files answers: {0}")]
    Away(String),
    /// The server is none that we use, or does not let us in. It is not asked again: each time
    /// counts as an attempt to guess the password.
    #[error("{0}")]
    Refused(String),
    /// The answer is no.
    #[error("{0}")]
    Status(Status),
    /// The answer makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no share of this name.
    #[error("the server has no share {0}: create it, or map the folder to one that there is")]
    NoShare(String),
    /// A file is not the one that it was.
    #[error("{0}")]
    Replaced(String),
    /// A folder has too many entries.
    #[error("the folder has more than {0} entries")]
    TooMany(usize),
    /// Names of a folder that differ in case only.
    #[error("several names differ in case only")]
    Ambiguous(Vec<String>),
    /// Somebody wants it to stop.
    #[error("it was cancelled")]
    Cancelled,
}

impl From<Fault> for FileProblem {
    fn from(fault: Fault) -> Self {
        let status = match fault {
            Fault::Status(status) => status,
            Fault::Refused(why) => return Self::Refused(why),
            Fault::Replaced(why) => return Self::Replaced(why),
            Fault::TooMany(most) => return Self::TooMany(most),
            Fault::Ambiguous(names) => return Self::Ambiguous(names),
            other => return Self::Io(other.to_string()),
        };
        let text = status.to_string();
        match status {
            Status::NO_SUCH_FILE
            | Status::OBJECT_NAME_NOT_FOUND
            | Status::OBJECT_PATH_NOT_FOUND
            | Status::DELETE_PENDING => Self::NotFound,
            Status::FILE_IS_A_DIRECTORY => Self::Not("file"),
            Status::NOT_A_DIRECTORY => Self::Not("folder"),
            Status::STOPPED_ON_SYMLINK | Status::PATH_NOT_COVERED => Self::Escapes,
            Status::SHARING_VIOLATION | Status::FILE_LOCK_CONFLICT => Self::InUse(text),
            Status::ACCESS_DENIED => Self::Denied(text),
            _ => Self::Io(text),
        }
    }
}
