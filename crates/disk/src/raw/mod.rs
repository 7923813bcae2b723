//! Raw images: the file is the disk.
//!
//! The one thing worth knowing about a raw image is which of its bytes the host's file system
//! stores at all. An [`AllocationProbe`] answers that; without one every byte counts as data.

mod edit;
mod reader;
mod writer;

pub use edit::RawEditor;
pub use reader::RawDisk;
pub use writer::RawWriter;

use std::io;

use crate::range::{ByteRange, ByteRanges};

/// Largest raw image that is written: as large as the largest VHDX.
pub(crate) const MAX_LEN: u64 = 64 << 40;

/// Tells which bytes of a file its file system stores.
pub trait AllocationProbe: Send + Sync {
    /// The stored parts of `range`, clipped to it. Bytes that are not in the answer read as
    /// zeros; bytes that are may do so too.
    fn allocated(&self, range: ByteRange) -> io::Result<ByteRanges>;
}
