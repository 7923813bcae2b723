//! What can go wrong with an object, and what to do about it.

use std::io;

/// Shorthand used throughout the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such object.
    #[error("{name} is not in the store: check that the vault's location is right and complete")]
    NotFound {
        /// The object.
        name: String,
    },

    /// The name is taken by other bytes, or by anything where nothing was allowed.
    #[error(
        "{name} already exists: objects are never overwritten, so keep it or use another vault"
    )]
    AlreadyExists {
        /// The object.
        name: String,
    },

    /// The store has no room left.
    #[error("no space left for {name}: free or add space, then run again ({source})")]
    Full {
        /// The object.
        name: String,
        /// The store's answer.
        source: io::Error,
    },

    /// The store refuses this to this user.
    #[error("no permission to {doing} {name}: check the account's rights to the vault ({source})")]
    Permission {
        /// The object.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// The store's answer.
        source: io::Error,
    },

    /// Nobody knows whether the object was stored or removed.
    #[error("unknown whether {doing} {name} took effect: look, or do the same again ({source})")]
    Ambiguous {
        /// The object.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// The store's answer.
        source: io::Error,
    },

    /// The object is larger than anything of its kind can be.
    #[error("{name} has {len} bytes where at most {limit} are possible: it is damaged or foreign")]
    TooLarge {
        /// The object.
        name: String,
        /// Its size.
        len: u64,
        /// The most that the caller accepts.
        limit: u64,
    },

    /// The object ends before the range that was asked for.
    #[error("{name} ends before byte {end}: it was cut off or is not what it should be")]
    TooShort {
        /// The object.
        name: String,
        /// One past the last byte asked for.
        end: u64,
    },

    /// The name breaks the rules for names.
    #[error("{name:?} is no object name: {why}")]
    BadName {
        /// The name.
        name: String,
        /// The rule.
        why: &'static str,
    },

    /// Everything else.
    #[error("cannot {doing} {name}: {source}")]
    Io {
        /// The object.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// The operating system's or transport's answer.
        source: io::Error,
    },
}

impl Error {
    /// Sorts an I/O error by what the reader can do about it.
    pub fn io(name: &str, doing: &'static str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { name, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission {
                    name,
                    doing,
                    source,
                }
            }
            _ => Self::Io {
                name,
                doing,
                source,
            },
        }
    }

    /// Whether the object is simply not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
