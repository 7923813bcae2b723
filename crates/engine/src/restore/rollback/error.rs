//! Why a disk is not brought back in place, not put back, or not given up, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{Code, Finding, Severity};
use crate::pipeline::Stop;

/// Why a disk was not brought back, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The file.
    #[error("{0}")]
    Image(#[source] io::Error),
    /// Somebody has it open.
    #[error("it is in use")]
    InUse,
    /// What is in the file.
    #[error("{0}")]
    Disk(#[from] disk::Error),
    /// The vault.
    #[error("{0}")]
    Vault(String),
    /// It is not to be changed in place: why, and what to do instead.
    #[error("{0}")]
    Refused(String, &'static str),
    /// The file that keeps what it was.
    #[error("{}: {why}", path.display())]
    Undo {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An earlier rollback is not ended.
    #[error("an earlier rollback of it was neither confirmed nor undone")]
    Unconfirmed,
    /// It was being put back.
    #[error("it was being put back to what it was, and that did not come to its end")]
    Undoing,
    /// It was ended, and its file was not yet gone.
    #[error("its undo file is empty: its rollback was confirmed or undone before")]
    Ended,
    /// It is another file.
    #[error("it is not the file of which something is kept, but another one that took its name")]
    Replaced,
    /// There is nothing to put back or to confirm.
    #[error("nothing is kept of what it was before a rollback")]
    Nothing,
    /// Confirmed too early.
    #[error("its rollback did not come to its end")]
    Unfinished,
    /// Somebody wrote to it.
    #[error(
        "it was written to since it was rolled back: what it was before would be mixed with that"
    )]
    Changed,
    /// There is no room.
    #[error(
        "{needed} bytes are to be kept of it, and {free} are free beside it: nothing was written"
    )]
    Full {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// It has another length by now.
    #[error("it has {0} bytes, and is to have {1}")]
    Length(u64, u64),
    /// Something had to be done first.
    #[error("{0}: nothing of it was written")]
    NotReady(String),
    /// What was written is not what is read.
    #[error("what was written at {0} is not what is read there")]
    Differs(u64),
}

impl RollbackError {
    pub(super) fn disk(error: disk::Error) -> Stop<Self> {
        Stop::Failed(Self::Disk(error))
    }

    pub(super) fn vault(error: disk::Error) -> Stop<Self> {
        Stop::Failed(Self::Vault(error.to_string()))
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Image(_) | Self::Disk(_) | Self::Length(..) => {
                "see whether the file is in order and may be written; restore the disk as a new file otherwise"
            }
            Self::InUse => "shut its VM down, and end every program that has it open",
            Self::Vault(_) => "`hyperkeep check --read-data` shows whether the vault is whole",
            Self::Refused(_, hint) => hint,
            Self::Undo { .. } => {
                "keep both files as they are until it is known what happened to them; the disk can be \
                 restored as a new file"
            }
            Self::Unconfirmed => {
                "`restore confirm` keeps what is there, `restore undo` puts back what was"
            }
            Self::Undoing => "`restore undo` brings it to its end",
            Self::Ended => "delete the undo file, which keeps nothing any more",
            Self::Replaced => {
                "put the file back that was there; where it is gone, delete the undo file, which is of no \
                 use without it"
            }
            Self::Nothing => "name the disk file, or the folder that it is in",
            Self::Unfinished => {
                "give the rollback's command again to finish it, or put back what was with `restore undo`"
            }
            Self::Changed => {
                "`restore confirm` keeps what is there; what it was before can only be had from another \
                 restore point"
            }
            Self::Full { .. } => {
                "free some space there, or restore the disk as a new file elsewhere"
            }
            Self::NotReady(_) => "see to what is said, and give the same command again",
            Self::Differs(_) => {
                "the medium may be failing: `restore undo` puts back what was; restore to another one"
            }
        }
    }

    pub(super) fn finding(&self, path: &Path) -> Finding {
        let code = match self {
            Self::Full { .. } => Code::TargetFull,
            Self::Vault(_) => Code::Failed,
            _ => Code::NotInPlace,
        };
        Finding::new(
            code,
            Severity::Partial,
            path.display().to_string(),
            format!("was not rolled back: {self}"),
        )
        .hint(self.hint())
    }
}
