//! What can be wrong with a container.

use std::io;

use crate::warnings::AndMore;

/// The result of reading or writing a container.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a container cannot be read, or a tree cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    /// The file does not begin like a HyperVStorage container.
    #[error("not a HyperVStorage file: neither header has the signature 14 20 28 01")]
    NotHvs,
    /// Both headers are damaged.
    #[error("both headers are damaged: their checksums do not match")]
    NoValidHeader,
    /// Both headers are valid and claim to be equally new but differ.
    #[error("the two headers differ but have the same sequence number {0}")]
    AmbiguousHeaders(u16),
    /// A format version other than 4.0.
    #[error("container format {}.{} is not supported, only 4.0 (Windows Server 2016 and later)", .0 >> 8, .0 & 0xff)]
    UnsupportedVersion(u32),
    /// The file ends before something that it says it has.
    #[error("the {what} at {offset} with {len} bytes lies outside the file of {file_len} bytes")]
    OutOfBounds {
        /// What lies outside.
        what: &'static str,
        /// Its offset.
        offset: u64,
        /// Its length.
        len: u64,
        /// The file's length.
        file_len: u64,
    },
    /// A structure breaks a rule of the format.
    #[error("damaged {what} at {offset}: {why}")]
    Damaged {
        /// Which structure.
        what: &'static str,
        /// Offset of the structure in the file.
        offset: u64,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The object tables lead back to one that was read before.
    #[error("the chain of object tables returns to offset {0}")]
    ObjectTableCycle(u64),
    /// Keys are their own ancestors.
    #[error("{0} keys are their own ancestors")]
    KeyCycle(usize),
    /// The tree is nested too deeply.
    #[error("the tree is nested deeper than {0} levels")]
    TooDeep(usize),
    /// The tables or values are larger than the caller's limit.
    #[error("the {what} take more than {limit} bytes, the limit for such a file")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more tables or keys than the caller's limit.
    #[error("there are more than {limit} {what}, the limit for such a file")]
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A name that the container cannot hold.
    #[error("key name {0:?} cannot be stored: it must be 1 to 254 bytes long without NUL")]
    BadName(String),
    /// A value was left in another file and must be loaded before it can be written.
    #[error("the value of key {0:?} was not loaded from its file")]
    BlobNotLoaded(String),
}

/// What is wrong with a container that could be read nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// One of the two headers is damaged; the other one was used.
    #[error("header {0} is damaged; the other copy was used")]
    HeaderDamaged(char),
    /// The replay log holds changes that could not be applied: the tree may be an older or a
    /// half-changed state.
    #[error("parsed without replaying the log of {entries} outstanding changes: {why}")]
    ParsedWithoutReplay {
        /// Number of changes in the log.
        entries: u32,
        /// Why they could not be applied.
        why: &'static str,
    },
    /// Outstanding changes were applied in memory: the file was not closed cleanly.
    #[error("{0} outstanding changes of the replay log were applied in memory")]
    Replayed(u32),
    /// The replay log itself cannot be read, so nobody knows whether changes are outstanding.
    #[error("the replay log cannot be read: {0}")]
    NoReplayLog(&'static str),
    /// The count of an object table does not fill the table.
    #[error("the object table at {0} has an unusual number of entries")]
    OddObjectTable(u64),
    /// An object table entry's checksum does not match.
    #[error("wrong checksum in object table at {table}, entry {index}")]
    ObjectChecksum {
        /// Offset of the table.
        table: u64,
        /// Index of the entry.
        index: u32,
    },
    /// An entry of an object type that is not known.
    #[error("object of unknown type {kind} at {offset}")]
    UnknownObject {
        /// Type number.
        kind: u8,
        /// Offset of the object.
        offset: u64,
    },
    /// A key table's checksum does not match.
    #[error("wrong checksum in the header of key table {0}")]
    KeyTableChecksum(u16),
    /// Two key tables have the same index and the same sequence; the first was used.
    #[error("two key tables with index {0} are equally new; the first was used")]
    EqualKeyTables(u16),
    /// A key's checksum does not match.
    #[error("wrong checksum of key {name:?} in key table {table}")]
    KeyChecksum {
        /// The key's name.
        name: String,
        /// Index of its table.
        table: u16,
    },
    /// A key whose parent does not exist; it is not in the tree.
    #[error("key {0:?} has no parent and was left out")]
    Orphan(String),
    /// A key of a type that is not known; it is not in the tree.
    #[error("key {name:?} has the unknown type {kind} and was left out")]
    UnknownType {
        /// The key's name.
        name: String,
        /// Type number.
        kind: u8,
    },
    /// A key's large value lies outside the file; the key is not in the tree.
    #[error("the large value of key {0:?} lies outside the file and was left out")]
    BlobOutOfBounds(String),
    /// More problems than are listed one by one.
    #[error("and {0} more")]
    More(usize),
}

impl Warning {
    /// Whether the warning is only about how the file was closed, so that the tree itself is
    /// whole and current.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Warning::Replayed(_))
    }
}

impl AndMore for Warning {
    fn and_more(count: usize) -> Self {
        Warning::More(count)
    }
}

/// What was noticed in one container.
pub(crate) type Warnings = crate::warnings::Warnings<Warning>;
