//! Out of a vault again.

pub mod target;
