//! The host as a state machine over plain data and real disk files.
//!
//! Whatever asks the host something first lets its time pass ([`Host::advance`]): jobs whose time
//! has come take effect, in the order of their time, and old ones go. Nothing else happens by
//! itself, so with a [`crate::ManualClock`] a host does the same each time.
//!
//! Invariants:
//!
//! - A VM does one thing at a time; what else is asked of it meanwhile is refused with 32775.
//! - A file that a checkpoint refers to is never written to; the VM writes to a child of it.
//! - Every file of a VM's disks is known by its parent ([`Host::parent_of`]), and leaves the folder
//!   only when it has been merged or belongs to nothing.

mod accident;
mod changes;
mod checkpoint;
mod cluster;
mod config;
mod define;
mod definition;
mod edit;
mod effect;
mod export;
mod files;
mod folders;
mod frozen;
mod host;
pub mod job;
mod log;
mod loses;
mod merge;
mod own;
mod planned;
mod refusal;
mod replay;
mod replica;
mod rules;
mod system;
mod time;
mod tracking;
mod tree;
mod vhd;
pub mod vm;
mod volume;

pub use accident::{Accident, Impossible};
pub use changes::{Changes, ChangesQuery};
pub use checkpoint::CheckpointWish;
pub use cluster::{Cluster, Node, Role};
pub use define::NewVm;
pub use edit::Edit;
pub use export::{ExportWish, LiveState};
pub use files::{FileError, Files};
pub use host::{Host, NewHost};
pub use job::{End, Job, JobId, Made};
pub use log::{Log, LogEntry};
pub use loses::ImportLoses;
pub use planned::ImportWish;
pub use refusal::{Failure, Refusal};
pub use rules::{AfterApply, ClusterNames, ReplicaConflict, Rules};
pub use vm::{
    Adapter, BOOT_FILE, Busy, Changed, Checkpoint, CheckpointKind, Consistency, Controller,
    ControllerKind, Drive, Guest, GuestSystem, HostDevice, HostDeviceKind, Medium, Power,
    ReferencePoint, Replication, Settings, Switch, Tracked, Vm, upper,
};
pub use volume::Volume;

#[cfg(test)]
mod tests;
