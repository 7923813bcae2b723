//! A Hyper-V host: what is on it, what a backup of it can be, and how one is made without harm.
//!
//! ```text
//! cim::CimSession ─► inventory ─► preflight ─► plan  what there is, what is possible, what is done
//! estimate                                      what the next backup would read
//! control ─► journal, checkpoint ─► recovery        what is done to it: written down first, undone after
//! frozen ─► checkpoint, files, tracking             a VM that holds still, and what changed of it
//! files::HostFiles ─► disk::Chain                   disks, by the host's own paths
//! memory                                            of a VM that runs, by an export
//! pacing, release                                   how much at once, and when to let go
//! host_settings                                     what the host is set to, and what differs
//! cluster                                           the same on whichever node has the VM
//! replication                                       which side, when, and without getting in its way
//! ```
//!
//! Invariants of the whole crate:
//!
//! - What a host tells is hostile and may differ from its documentation: it becomes a finding,
//!   never a panic and never a guess.
//! - The number of calls of an inventory does not grow with the number of devices.
//! - A host is changed by [`control`] alone, which writes down first what it will do. What was made
//!   is removed on every path; what others made is never touched.

pub mod checkpoint;
pub mod cluster;
pub mod control;
pub mod doctor;
pub mod estimate;
pub mod files;
pub mod frozen;
pub mod hint;
pub mod host_settings;
mod ids;
mod images;
pub mod import;
pub mod inventory;
pub mod journal;
pub mod memory;
pub mod pacing;
pub mod plan;
mod powershell;
pub mod preflight;
pub mod recovery;
pub mod release;
pub mod replication;
pub mod space;
pub mod tracking;

pub use hint::Hint;
pub use ids::{machine_path, place, same_host, settings_path};
pub use inventory::Inventory;
pub use preflight::{Mode, Preflight};
