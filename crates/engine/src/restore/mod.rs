//! Out of a vault again.

pub mod plan;
pub mod target;
