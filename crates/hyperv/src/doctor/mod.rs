//! What can be done with a host, and what stands in the way.
//!
//! ```text
//! inventory ─► ways        each way of backing up × for how many VMs × why not for the others
//!           ─► conditions  each condition of an online backup × for which VMs it is not met
//! files     ─► reach       whether the VMs' files can be read, a folder at a time
//! set_up                   a script for the host's administrator, with the least rights that will do
//! ```
//!
//! Everything here looks and nothing changes a host; what a killed run has left there is
//! [recovery](crate::recovery)'s.

mod conditions;
mod reach;
mod set_up;
mod ways;

pub use conditions::{ConditionReport, conditions};
pub use reach::{Reach, reach};
pub use set_up::{BadAccount, Share, set_up, shares};
pub use ways::{Obstacle, Way, WayReport, ways};
