//! What a file system tells of a file or folder.

use std::fmt;

use crate::name::Name;

/// What a file or folder is known by within its file system: the number of an inode, the reference of an
/// MFT record, the place of a FAT entry. It holds for one state of one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file with contents.
    File,
    /// A folder.
    Folder,
    /// A symbolic link; its target is text.
    Link,
    /// A junction of Windows, or a folder on which another volume is mounted: a folder that is a link.
    /// It is never followed.
    Junction,
    /// A device of characters or blocks.
    Device {
        /// Whether it is one of blocks.
        block: bool,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A pipe with a name.
    Fifo,
    /// A socket with a name.
    Socket,
    /// What this reader has no word for, such as a reparse point of somebody's own.
    Other,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is stored.
    pub name: Name,
    /// What it leads to.
    pub node: NodeId,
    /// What that is, where the folder tells it without a look at the node.
    pub kind: Option<Kind>,
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is known by.
    pub id: NodeId,
    /// What it is.
    pub kind: Kind,
    /// Bytes of its contents; 0 for a folder.
    pub len: u64,
    /// Names that lead to it. Names of 8.3 characters beside a long one do not count.
    pub links: u32,
    /// Owner and mode of Unix, where the file system has them.
    pub owner: Option<Owner>,
    /// When what happened to it.
    pub times: Times,
    /// Attributes as Windows counts them (`FILE_ATTRIBUTE_…`), where the file system has them.
    pub attributes: Option<u32>,
    /// Why its contents are not to be had, if so.
    pub obstacle: Option<Obstacle>,
}

/// Owner and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The twelve lower bits: permissions, set-user-id, set-group-id, sticky.
    pub mode: u16,
}

/// Seconds since 1970, UTC, and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds; before 1970 they are negative.
    pub seconds: i64,
    /// Below 1 000 000 000, and always counted forwards.
    pub nanos: u32,
}

impl Time {
    /// Of a time of Windows: 100 ns since 1601.
    pub fn from_windows(ticks: u64) -> Self {
        const TO_1970: i64 = 11_644_473_600;
        Self {
            seconds: (ticks / 10_000_000) as i64 - TO_1970,
            nanos: (ticks % 10_000_000) as u32 * 100,
        }
    }
}

/// When what happened, as far as the file system keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Contents were changed.
    pub modified: Option<Time>,
    /// Contents were read.
    pub accessed: Option<Time>,
    /// It was made.
    pub created: Option<Time>,
    /// Anything of it was changed.
    pub changed: Option<Time>,
}

/// What few nodes have and listing does not need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Streams besides the contents, by name.
    pub streams: Vec<Stream>,
    /// Extended attributes as Linux knows them (`user.…`, `system.posix_acl_access`…), sorted by name.
    pub xattrs: Vec<(Name, Vec<u8>)>,
    /// The security descriptor, self-relative.
    pub security: Option<Vec<u8>>,
    /// The reparse point.
    pub reparse: Option<Reparse>,
    /// The name of 8.3 characters beside a long one.
    pub short_name: Option<Name>,
}

/// A stream besides the contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: Name,
    /// Its bytes.
    pub len: u64,
}

/// A reparse point of Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reparse {
    /// Who understands it.
    pub tag: u32,
    /// What follows tag and length.
    pub data: Vec<u8>,
}

/// Why contents are not to be had from this disk alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// They are encrypted, by what is named: EFS, fscrypt.
    Encrypted(&'static str),
    /// They are in the store of Windows' data deduplication.
    Deduplicated,
    /// They are elsewhere: with a cloud, on a tape, in an image that is not on this volume.
    Elsewhere(String),
    /// They are stored in a way that this reader does not know.
    Unknown(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted(by) => write!(
                f,
                "its contents are encrypted by {by}: restore the disk, and read them in the guest"
            ),
            Self::Deduplicated => f.write_str(
                "its contents are in the store of Windows' data deduplication: restore the disk, and \
                 read them in Windows",
            ),
            Self::Elsewhere(place) => write!(f, "its contents are not on this disk but {place}"),
            Self::Unknown(how) => write!(
                f,
                "its contents are stored as {how}, which is not understood here: restore the disk, and \
                 read them in the guest"
            ),
        }
    }
}
