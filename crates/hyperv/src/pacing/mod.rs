//! How much is done at once, so that the host's own work does not suffer.
//!
//! ```text
//! Caps ─► Slots: a disk is read when its host and its volume have a place
//! Stagger: checkpoints of one volume end one after the other, since each end is a merge
//! Backing: how long the host takes to answer, before and during ─► fewer places, and back
//! ```
//!
//! All of it is decided here and nothing waits here: who asks gets a place or is told when to ask
//! again, by a clock that comes from outside.
//!
//! Invariants:
//!
//! - A cap is never exceeded, whatever the order of asking, and a place that was given comes back
//!   when its holder is dropped.
//! - Who came first and could go on is never passed by for ever: places are given in order among
//!   those that have one.
//! - At least one disk is always read: backing off slows a backup down and does not stop it.

mod latency;
mod slots;
mod stagger;

pub use latency::{Answers, Backing, LatencyReport, Limits, probe};
pub use slots::{Caps, Place, Slots};
pub use stagger::Stagger;
