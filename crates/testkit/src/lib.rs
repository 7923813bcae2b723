//! Image makers, damage and crash helpers, and oracles for tests.

pub mod corpus;
pub mod crash;
pub mod floppy;
pub mod image;
pub mod memory;
pub mod ops;
#[cfg(unix)]
pub mod samba;
pub mod vary;
pub mod vhd;
pub mod vhdx;
pub mod vm;
