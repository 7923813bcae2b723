//! What is on a guest's disk, over any [`disk::BlockRead`].
//!
//! ```text
//! disk ─► partitions ─► Part (a BlockRead again) ─► probe ─► FileSystem ─► Node, Entry, Content
//! ```
//!
//! [`partitions`] says where the parts of a disk are, [`Part`] is one of them, [`probe`] tells what is on
//! it, and a [`FileSystem`] is one read-only tree, whatever wrote it. [`volumes`] does all of that for all
//! disks of a machine at once.
//!
//! Invariants of the whole crate:
//!
//! - Nothing is ever written. A journal is replayed beside the disk and never onto it.
//! - Every byte of a disk is hostile: no panic, no loop without an end, no allocation by a number that was
//!   not checked first.
//! - What is odd is told and not mended in silence. What cannot be read is an [`Obstacle`] or an error, and
//!   never an empty file.

pub mod bitlocker;
pub mod btrfs;
mod cache;
mod cipher;
mod clusters;
mod error;
pub mod exfat;
mod ext;
pub mod fat;
mod fs;
pub mod ldm;
pub mod luks;
pub mod lvm;
mod name;
mod node;
pub mod ntfs;
mod part;
pub mod partitions;
pub mod probe;
mod recent;
mod state;
pub mod volumes;
pub mod xfs;

pub use cache::Cached;
pub use error::{Error, Result};
pub use ext::Ext;
pub use fs::{About, Content, Device, FileSystem, Lies, Place, by_path};
pub use name::Name;
pub use node::{Entry, Extras, Kind, Node, NodeId, Obstacle, Owner, Reparse, Stream, Time, Times};
pub use part::Part;
pub use state::{How, State};
