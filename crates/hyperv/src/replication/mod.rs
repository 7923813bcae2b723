//! VMs that Hyper-V Replica copies to another host.
//!
//! ```text
//! inventories ─► sides: which side is backed up, and why         a VM is backed up once
//! checkpoint fails ─► conflict: tried again later                 the replication was at work
//! Calm::wait                                                     until it is not
//! Suspension: suspended ─► checkpoint ─► resumed                 where nothing else helps
//! ```
//!
//! Invariants:
//!
//! - What is not surely the same VM is not left out: two VMs of one id of which neither says that
//!   it is a copy are both backed up, and that is told.
//! - A side whose copy is behind is not preferred, whatever was asked for.
//! - Replication is suspended only where it was seen to go on, and what somebody else suspended is
//!   never resumed. What we suspended is resumed on every path, and by recovery after a crash.

mod conflict;
mod sides;
mod state;
mod suspension;

pub use conflict::{Conflict, ToldBy, conflict};
pub use sides::{Choice, Prefer, Seen, Side, Taken, Why, sides};
pub use state::{Calm, relationships};
pub(crate) use state::{jobs, rows};
pub use suspension::{SuspendError, Suspended, Suspension, resume};

/// `ReplicationState` of one that goes on.
pub(crate) const REPLICATING: u16 = 3;
/// The same of one that stands still since somebody wanted it to.
pub(crate) const SUSPENDED: u16 = 7;
