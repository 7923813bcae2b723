//! VHDX and AVHDX, after MS-VHDX (version 8.0).
//!
//! The file begins with 1 MiB of fixed places: an identifier, two headers of which the newer one
//! counts, and two copies of the region table. Everything else (log, block allocation table,
//! metadata, payload and bitmap blocks) lies anywhere behind, on 1 MiB boundaries, each in a place
//! of its own.
//!
//! The modules [`identifier`], [`header`], [`region`], [`metadata`], [`locator`], [`bat`] and
//! [`log`] turn each structure into values and back. They are pure and share this rule: `decode`
//! accepts what Microsoft's and other common writers produce, `encode` writes only what the
//! specification asks for.
//!
//! [`VhdxImage`] reads a whole file by them.

pub mod bat;
pub(crate) mod bytes;
mod create;
mod edit;
pub mod header;
pub mod identifier;
mod image;
pub mod locator;
pub mod log;
pub mod metadata;
mod pages;
pub mod region;
mod table;

pub use create::{VhdxLayout, VhdxParams, VhdxWriter};
pub use edit::{EditIds, MergeIds, Merged, VhdxEditor, merge};
pub use image::{VhdxImage, identity};

/// 1 MiB: what regions, blocks and the log are aligned to.
pub const MIB: u64 = 1 << 20;

/// 4 KiB: the unit of the log.
pub const SECTOR: u64 = 4096;

/// The largest disk: 64 TiB.
pub const MAX_DISK_LEN: u64 = 64 << 40;
