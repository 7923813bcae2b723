//! Why a file of a host cannot be had.

use std::io;

use super::path::HostPath;

/// A file of a host that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FileError {
    /// The file, as the host spells it.
    pub path: String,
    /// Why.
    pub problem: FileProblem,
}

/// Why a file of a host cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// No rule says where it is found here.
    #[error(
        "nothing says where this is found here: map its folder, as in C:\\ClusterStorage=/mnt/csv"
    )]
    Unmapped,
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// It is something else than was asked for.
    #[error("it is no {0}")]
    Not(&'static str),
    /// Several names differ in case only, and none is the one asked for.
    #[error("several names differ in case only: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// A link leads out of the mapped folder.
    #[error("a link leads out of the mapped folder: map where it leads to")]
    Escapes,
    /// The folder has more entries than are accepted.
    #[error("the folder has more than {0} entries")]
    TooMany(usize),
    /// It is not as long as when it was opened.
    #[error("it had {was} bytes when it was opened and has {is} now: it is not frozen")]
    Changed {
        /// Bytes when it was opened.
        was: u64,
        /// Bytes now.
        is: u64,
    },
    /// It is a VHDX whose header says that it was written to.
    #[error("it was written to since it was opened: it is not frozen")]
    Rewritten,
    /// Its disk was left out of the checkpoint.
    #[error(
        "the host took no checkpoint of it, and its VM and whoever shares it may have written to it \
         while it was read"
    )]
    NotFrozen,
    /// It is the state of a saved VM, which was started since or is not saved any more.
    #[error("the VM was started while it was read, or its saved state was dropped")]
    NotSavedAnyMore,
    /// A checkpoint is gone since, with which the host may merge files, and this one does not say
    /// whether it was written to.
    #[error("a checkpoint was removed while it was read, and may have been merged into it")]
    MayBeMerged,
    /// The host does not tell whether its checkpoints are what they were, and this file does not
    /// say whether it was written to.
    #[error("whether it was left alone while it was read cannot be told: {0}")]
    Unwatched(String),
    /// It is not the file that was opened: the connection to it was away in between.
    #[error("it is not the file that was opened any more: {0}")]
    Replaced(String),
    /// The server that has it does not let us in, or is none that we use.
    #[error("{0}")]
    Refused(String),
    /// Another program has it in a way that keeps us out.
    #[error("another program has it open: {0}")]
    InUse(String),
    /// The account may not read it.
    #[error("the account may not read it: {0}")]
    Denied(String),
    /// Something else.
    #[error("{0}")]
    Io(String),
}

/// Windows' codes for a file that is open or locked elsewhere.
const SHARING_VIOLATION: i32 = 32;
const LOCK_VIOLATION: i32 = 33;

impl FileError {
    pub(crate) fn new(path: &HostPath, problem: FileProblem) -> Self {
        Self {
            path: path.to_string(),
            problem,
        }
    }

    pub(crate) fn io(path: &HostPath, error: &io::Error) -> Self {
        if let Some(told) = Self::within(error) {
            return told.clone();
        }
        let text = error.to_string();
        let code = error.raw_os_error().filter(|_| cfg!(windows));
        let problem = match error.kind() {
            _ if matches!(code, Some(SHARING_VIOLATION | LOCK_VIOLATION)) => {
                FileProblem::InUse(text)
            }
            io::ErrorKind::NotFound => FileProblem::NotFound,
            io::ErrorKind::PermissionDenied => FileProblem::Denied(text),
            io::ErrorKind::ResourceBusy | io::ErrorKind::ExecutableFileBusy => {
                FileProblem::InUse(text)
            }
            _ => FileProblem::Io(text),
        };
        Self::new(path, problem)
    }

    /// The error of a file that an error of reading it carries.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Whether waiting for a minute or two may help: virus scanners and merges hold files for
    /// such a time, and Windows answers with either of these.
    pub fn is_transient(&self) -> bool {
        matches!(self.problem, FileProblem::InUse(_) | FileProblem::Denied(_))
    }
}
