//! Virtual disk images as block devices.
//!
//! A disk image is met from two sides. From below it is a *file*: bytes that something else
//! stores, reached through [`ReadAt`] and [`WriteAt`]. From above it is a *disk*: what a guest
//! would read, reached through [`BlockRead`], together with the [`Extent`]s that tell which parts
//! of it hold data, are zero, or were never stored.
//!
//! Invariants of the whole crate:
//!
//! - Only [`mod@file`] and [`resolve::Folders`] touch the file system; parsing works
//!   on any [`ReadAt`].
//! - Every byte of an image is hostile. Parsers answer with [`Error`], never with a panic, and
//!   never allocate by a number that was not checked first.
//! - Reading never changes an image, not even one that a crash left dirty.
//! - No async, no clock, no randomness: identifiers and times are passed in.

mod bits;
pub mod block;
pub mod chain;
pub mod error;
pub mod extent;
pub mod file;
pub mod io;
pub mod layer;
pub mod open;
mod overlap;
pub mod qcow2;
pub mod range;
pub mod raw;
pub mod resolve;
pub mod vhd;
pub mod vhdx;
pub mod write;

pub use block::{BlockRead, Geometry};
pub use chain::Chain;
pub use error::{Error, Result};
pub use extent::{Content, Extent};
pub use file::DirectFile;
pub use io::{MemFile, ReadAt, WriteAt};
pub use layer::{Format, Layer, LayerInfo, ParentLink};
pub use open::{OpenAs, open};
pub use range::{ByteRange, ByteRanges};
pub use write::{DiskWrite, rebuild};
