//! Why stored bytes were refused.

use crate::id::{VaultId, WriterId};

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why bytes could not be read, or a value not be written.
///
/// The messages name the kind of object and the rule; *which* object it was is known to the
/// caller that fetched it, and added there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin like any object of a vault.
    #[error("not a {expected}: the bytes do not begin like any object of a vault")]
    NotAnObject {
        /// What the caller expected.
        expected: &'static str,
    },

    /// The bytes are an object, but of another kind.
    #[error("not a {expected} but a {found}")]
    WrongKind {
        /// What the caller expected.
        expected: &'static str,
        /// What the object says it is.
        found: String,
    },

    /// The object is of a later format than this reader knows.
    #[error(
        "this {object} has format version {version}, and this program reads up to {known}; \
         use a newer hyperkeep"
    )]
    UnknownVersion {
        /// The kind of object.
        object: &'static str,
        /// The version that it carries.
        version: u64,
        /// The newest version known here.
        known: u16,
    },

    /// The object requires features that this reader does not know.
    #[error("this {object} requires {}, which this program does not know; use a newer hyperkeep",
        .names.join(", "))]
    UnknownFeature {
        /// The kind of object.
        object: &'static str,
        /// The features' names.
        names: Vec<String>,
    },

    /// The object belongs to another vault.
    #[error("this {object} belongs to vault {found}, not to {expected}")]
    OtherVault {
        /// The kind of object.
        object: &'static str,
        /// The vault that was opened.
        expected: VaultId,
        /// The vault that the object names.
        found: VaultId,
    },

    /// The object ends before it is complete.
    #[error("truncated {object}: {why}")]
    Truncated {
        /// The kind of object or structure.
        object: &'static str,
        /// What was missing.
        why: String,
    },

    /// The object contradicts its own format.
    #[error("damaged {object}: {why}")]
    Damaged {
        /// The kind of object or structure.
        object: &'static str,
        /// The value and the rule that it breaks.
        why: String,
    },

    /// A size or count lies above what the format allows.
    #[error("{object}: {what} of {size} is above the limit of {limit}")]
    TooLarge {
        /// The kind of object or structure.
        object: &'static str,
        /// The quantity.
        what: &'static str,
        /// Its value.
        size: u64,
        /// The format's limit.
        limit: u64,
    },

    /// Decryption failed: the bytes were changed, or the key is another one.
    #[error(
        "{object} does not authenticate: its bytes were changed, or it was sealed with another key"
    )]
    NotAuthentic {
        /// The kind of object or section.
        object: &'static str,
    },

    /// A signature does not fit.
    #[error("the signature on this {object} is not one of writer {writer}")]
    BadSignature {
        /// The kind of object.
        object: &'static str,
        /// The writer that the object names.
        writer: WriterId,
    },

    /// A key slot does not open with this secret.
    #[error("this {holder} does not open the key slot")]
    WrongSecret {
        /// The kind of secret: "passphrase", "recovery code", "recipient key".
        holder: &'static str,
    },

    /// The keys at hand do not include the one that is needed.
    #[error("{what} needs {needs}, which this key slot does not hold")]
    NoKey {
        /// What was to be done.
        what: &'static str,
        /// The missing key class.
        needs: &'static str,
    },

    /// Text that a person typed is malformed.
    #[error("{what}: {why}")]
    Typed {
        /// What was typed: "recovery code", "recipient".
        what: &'static str,
        /// Where and how it is wrong. Never the secret itself.
        why: String,
    },

    /// The caller asked for something that the format cannot express.
    #[error("invalid {object}: {why}")]
    Invalid {
        /// The kind of object or structure.
        object: &'static str,
        /// The value and the rule that it breaks.
        why: String,
    },
}

impl Error {
    pub(crate) fn damaged(object: &'static str, why: impl Into<String>) -> Self {
        Self::Damaged {
            object,
            why: why.into(),
        }
    }

    pub(crate) fn truncated(object: &'static str, why: impl Into<String>) -> Self {
        Self::Truncated {
            object,
            why: why.into(),
        }
    }

    pub(crate) fn invalid(object: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid {
            object,
            why: why.into(),
        }
    }

    /// Turns the decoders' verdict on a value that is about to be written into the caller's
    /// mistake that it is.
    pub(crate) fn into_invalid(self) -> Self {
        match self {
            Self::Damaged { object, why } => Self::Invalid { object, why },
            other => other,
        }
    }
}

/// Refuses a quantity above the format's limit, before anything is allocated by it.
pub(crate) fn limit(object: &'static str, what: &'static str, size: u64, limit: u64) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge {
            object,
            what,
            size,
            limit,
        });
    }
    Ok(())
}
