//! What can go wrong with an image, in words that name the image's own terms.

use std::io;

use crate::resolve::Tried;

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image could not be read or written.
///
/// The messages name the structure and the offending value. Which file it was is known to the
/// caller that opened it, and added there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file below the image failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being read or written.
        what: &'static str,
        /// The operating system's or transport's answer.
        source: io::Error,
    },

    /// The bytes do not begin like any image of this format.
    #[error("not a {format} image: {why}")]
    NotThisFormat {
        /// The format that was expected.
        format: &'static str,
        /// What was found instead.
        why: String,
    },

    /// The image contradicts its own format.
    #[error("damaged {structure}: {why}")]
    Damaged {
        /// The structure, in the format's terms: "header", "BAT", "log"…
        structure: &'static str,
        /// The value and the rule that it breaks.
        why: String,
    },

    /// The image asks for something that this reader does not know and must not ignore.
    #[error("unsupported: {0}")]
    Unsupported(String),

    /// A request lies outside the disk.
    #[error("{len} bytes at {offset} lie outside the disk of {disk_len} bytes")]
    OutOfBounds {
        /// First byte asked for.
        offset: u64,
        /// Number of bytes asked for.
        len: u64,
        /// Size of the disk.
        disk_len: u64,
    },

    /// Layers that do not make a chain.
    #[error("broken chain: {0}")]
    BrokenChain(String),

    /// A differencing image's parent is nowhere to be found.
    #[error(
        "{child} needs a parent with the identity {identity}, which was not found; put it beside \
         the child or name its folder; tried: {}",
        tried.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    ParentMissing {
        /// Path of the image whose parent is missing.
        child: String,
        /// What the parent must have as its identity.
        identity: String,
        /// Where it was looked for, and what was there.
        tried: Vec<Tried>,
    },

    /// The caller asked for an image that the format cannot express.
    #[error("invalid request: {0}")]
    Invalid(String),
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// A structure that breaks a rule of its format.
    pub fn damaged(structure: &'static str, why: impl Into<String>) -> Self {
        Self::Damaged {
            structure,
            why: why.into(),
        }
    }
}
