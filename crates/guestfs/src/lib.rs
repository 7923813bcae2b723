//! What is on a guest's disk, over any [`disk::BlockRead`].
//!
//! So far that is its [`partitions`].
//!
//! Invariants of the whole crate:
//!
//! - Nothing is ever written.
//! - Every byte of a disk is hostile: no panic, no loop without an end, no allocation by a number that was
//!   not checked first.
//! - What is odd is told and not mended in silence.

pub mod partitions;
