//! Jobs: what a host does on after a method has returned, followed to its end.
//!
//! A job ends in one of several states, can report success with an error code, and its object
//! goes away about five minutes after its end. The follower knows no clock of its own ([`Pace`]),
//! tolerates a host that does not answer for a while, and never reports a success that it has not
//! seen: what vanished is [`JobEnd::Vanished`], and its effect must be looked for.

mod failure;
mod follow;
mod pace;
mod state;

pub use failure::{JobError, JobFailure};
pub use follow::{JobEnd, follow, results};
pub use pace::{Pace, Patience, SystemPace};
pub use state::{JobSnapshot, JobState};

#[cfg(test)]
mod tests;
