//! What can go wrong with a file system, in its own terms.

use crate::node::Obstacle;

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something on a guest's disk could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk below failed.
    #[error(transparent)]
    Disk(#[from] disk::Error),

    /// The bytes contradict the file system's own format.
    #[error("damaged {structure}: {why}")]
    Damaged {
        /// The structure, in the format's terms: "superblock", "MFT record 5"…
        structure: String,
        /// The value and the rule that it breaks.
        why: String,
    },

    /// The file system asks for something that this reader does not know and must not ignore.
    #[error("unsupported: {0}")]
    Unsupported(String),

    /// The bytes are no such file system at all.
    #[error("not {0}")]
    NotThis(&'static str),

    /// What was asked for is not there.
    #[error("{0} is not there")]
    NotFound(String),

    /// What was asked for is something else, such as a file where a folder is needed.
    #[error("{what} is {is}")]
    WrongKind {
        /// What was asked for.
        what: String,
        /// What it is.
        is: &'static str,
    },

    /// It is encrypted, and no key was given for it.
    #[error("{volume}: {why}")]
    Locked {
        /// The volume, by its name.
        volume: String,
        /// By what it is encrypted, and what opens it.
        why: String,
    },

    /// It is encrypted, and what was given as its key is not.
    #[error("wrong key: {0}")]
    WrongKey(String),

    /// The contents are there, and not to be had from this disk alone.
    #[error("{0}")]
    Obstacle(Obstacle),
}

impl Error {
    /// Damage, in the format's terms.
    pub(crate) fn damaged(structure: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged {
            structure: structure.into(),
            why: why.into(),
        }
    }
}
