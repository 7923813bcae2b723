//! A running VM with its memory, by an export into a folder of its host.
//!
//! ```text
//! how much is needed ─► room on the staging volume? ─► export ─► opened, read ─► removed
//!                                                                  dropped ───► removed
//! ```
//!
//! No recovery checkpoint holds memory. An export with live state does, and it holds the disks of
//! the same moment. Memory fits no other disks than these: so they are exported and read too, in
//! full, and there has to be room for all of it on the host. That is the price of memory, and it is
//! told before anything is begun ([`Needs`]).
//!
//! Invariants:
//!
//! - The folder bears our mark and is new. It is in the journal before it is made, and it is
//!   removed on every path, by recovery too. Nothing else is ever removed.
//! - Nothing is begun where less than the floor would be left free, or the host does not tell. When
//!   less is free while it goes on, the host is asked to end it, and it is removed.
//! - What has no memory in it after all is an error, and no backup with memory.

mod export;
mod folder;
mod needs;
mod room;

use cim::CimError;

pub use export::{MemoryExport, Request};
pub(crate) use folder::is_there;
pub use folder::remove_export;
pub use needs::Needs;

use crate::control::ChangeError;
use crate::files::FileError;
use crate::space::Shortage;

/// A VM that could not be exported with its memory, or whose export could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The host could not be asked.
    #[error(transparent)]
    Host(#[from] CimError),
    /// The call failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Memory is in use only while it runs.
    #[error("the VM does not run: what is saved of its memory is in its own files")]
    NotRunning,
    /// The staging folder is no path of the host.
    #[error("the staging folder: {0}")]
    BadFolder(String),
    /// There is something in the place of our folder.
    #[error("{0} is there already")]
    Exists(String),
    /// What has to be exported is not known to its size.
    #[error("how much room is needed is not known: {0}")]
    SizeUnknown(String),
    /// The host does not tell how much is free there.
    #[error("the host does not tell how much is free where {0} is")]
    RoomUnknown(String),
    /// There is not enough room.
    #[error("{needs} are needed on {volume}, of whose {} MiB {} MiB have to stay free", free >> 20, floor >> 20)]
    NoRoom {
        /// What is needed.
        needs: Needs,
        /// The volume.
        volume: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to stay free.
        floor: u64,
    },
    /// There was not enough room while it went on.
    #[error("the export was given up to keep the host's volume from filling: {0}")]
    Ended(Shortage),
    /// Two disks have files of one name, and an export has one folder for all.
    #[error("two disks have files of the name {0}, and an export has one folder for all of them")]
    SameName(String),
    /// Somebody changed the VM's disks while it was exported.
    #[error("the VM's disks were changed while it was exported")]
    Changed,
    /// The host has exported it without its memory.
    #[error("the host has exported the VM without its memory")]
    NoMemory,
    /// An exported file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// What the host was to be asked for could not be written.
    #[error("the export's settings cannot be written: {0}")]
    Unwritable(String),
    /// The folder is on another host than the one that answers.
    #[error(
        "{folder} is on {node}, which cannot be asked: it is in the journal, and the next run tries again"
    )]
    Elsewhere {
        /// The folder.
        folder: String,
        /// The host that has it.
        node: String,
    },
    /// The folder is still there.
    #[error("{0} is still there: it is in the journal, and the next run tries again")]
    StillThere(String),
}
