//! What a Hyper-V virtual machine is, as plain data, and where its files lie.
//!
//! The way of a configuration file through this crate:
//!
//! ```text
//! .vmcx ─ hvs ─┐                 ┌─ model::VmConfig   what the VM is, for people and restores
//!              ├─► tree::Tree ───┤
//! .xml  ─ xml ─┘                 └─ rewrite           the same tree with other disk paths
//!
//! a listing of files ─ layout ─► VMs, their files, disks and checkpoints ─ export ─► target paths
//! ```
//!
//! Invariants of the whole crate:
//!
//! - Every byte is hostile: parsers answer with typed errors, never with a panic, and never
//!   allocate by a number that was not checked first.
//! - Nothing is dropped in silence. What is damaged but readable carries a warning, a device of
//!   unknown type is listed with its type and name, an order that nothing tells is
//!   [`layout::ParentCheckpoint::Unknown`].
//! - No clock, no randomness, no unsafe; `std::fs` only in [`layout::fs`].
//! - A restore changes values of keys that a configuration has ([`rewrite`]) and adds none.

pub mod export;
pub mod hvs;
pub mod io;
pub mod layout;
pub mod model;
pub mod names;
pub mod rewrite;
mod saved_memory;
pub mod tree;
pub mod vmgs;
pub mod vmrs;
mod warnings;
mod windows_folder;
pub mod xml;

pub use io::ReadAt;
pub use model::VmConfig;
pub use saved_memory::SavedMemory;

pub use tree::{Entry, Tree, Value};
pub use windows_folder::{NotAFolder, WindowsFolder};
