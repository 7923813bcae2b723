//! Shared between tests: trees to write and read.

pub(crate) mod tree;
