//! A Hyper-V host: what is on it.
//!
//! ```text
//! cim::CimSession ─► inventory         what there is, as plain data
//! ```
//!
//! Invariants of the whole crate:
//!
//! - What a host tells is hostile and may differ from its documentation: it becomes a finding,
//!   never a panic and never a guess.
//! - The number of calls does not grow with the number of devices.

mod ids;
pub mod inventory;

pub use ids::{machine_path, settings_path};
pub use inventory::Inventory;
