//! A VM that is to come (back) to a host: what will be done, before anything is.
//!
//! ```text
//! Point: what was backed up ──┐
//! Request: what is wanted  ───┼─► plan ─► Plan: what is made, stopped, rewired; and every Finding
//! Target: what the host has ──┘
//! ```
//!
//! All of it is serde data, so a plan needs no host: a [`Target`] that was recorded will do, and it
//! says the same.
//!
//! [`apply()`] carries a plan out, when the caller has written disks and configuration, and [`undo()`]
//! takes it back; a [`Rollback`] holds a VM while its disks are written. [`PlannedVm`] is what there
//! is on the host until it is a VM: it goes with whoever holds it, and after a crash with the next
//! run.
//!
//! Invariants:
//!
//! - Nothing is asked of a host by a plan, and nothing done to it.
//! - What the point or the host does not tell is a finding, and never taken for well.
//! - A plan that cannot be carried out has a finding that blocks, and no steps.
//! - No disk is planned in a place where a file of the host's VMs is.
//! - A VM that is replaced goes only when all disks of the new one are written, and after what is
//!   needed to bring it back has been put aside.

mod adapters;
#[cfg(test)]
mod along_tests;
mod applied;
mod apply;
mod aside;
mod boot;
mod checks;
mod define;
mod defined;
mod disks;
mod error;
mod finding;
mod hardware;
mod pieces;
mod plan;
mod planned;
mod point;
mod power;
mod replace;
mod replication;
mod request;
mod rewire;
mod rollback;
mod saved;
mod script;
mod seen;
mod steps;
mod take_off;
mod target;
#[cfg(test)]
mod tests;
mod tree;
mod tuning;
mod undo;
mod verify;
mod versions;

pub use adapters::AdapterPlan;
pub use applied::{Applied, ApplyError, Aside, Difference, Replaced, Undo, Written};
pub use apply::{Keep, apply, has_room_aside};
pub(crate) use aside::{bring_back, remove_aside};
pub use disks::DiskPlan;
pub use error::ImportError;
pub use finding::{Finding, Weight};
pub use plan::{Plan, Way, plan};
pub(crate) use planned::destroy_planned;
pub use planned::{Definition, PlannedVm};
pub use point::{Point, PointCheckpoint, PointDisk};
pub(crate) use replace::strange;
pub use replication::{can_be_removed, remove_replication};
pub use request::{Identity, Mac, Network, Place, Request, SavedState, SwitchMap, Tree, WantedWay};
pub use rollback::{Consent, Rollback, has_file, settle_rollbacks};
pub use script::script;
pub(crate) use seen::{SeenPlanned, is_lived_in, planned};
pub use steps::Step;
pub(crate) use take_off::{home, same_folder};
pub use target::Target;
pub use undo::{Found, MayUndo, NotUndone, Undone, confirm, undo};
pub use versions::versions;

pub use crate::powershell::Unspeakable;
