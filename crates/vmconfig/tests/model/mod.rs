//! Shared between tests: trees to write and read, folders to look through.
// Every test uses a part of it.
#![allow(dead_code)]

pub(crate) mod folder;
pub(crate) mod tree;
