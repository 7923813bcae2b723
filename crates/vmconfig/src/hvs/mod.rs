//! The HyperVStorage container: `.vmcx`, `.vmrs` and, on newer hosts, `.vsv` and `data.vmcx`.
//!
//! A key tree in small tables, with large values ("file objects", here *blobs*) beside them:
//!
//! ```text
//! 0      header A ┐ the valid one with the higher sequence counts
//! 4096   header B ┘
//! 8192   object table: where everything else lies; its last slot chains to the next one
//! …      key tables (4 KiB each), blobs, more object tables, in any order
//! …      replay log: pages to be copied to their places before the file may be read
//! ```
//!
//! Invariants:
//!
//! - Reading never changes the file: an outstanding replay log is applied as an overlay in memory.
//! - Where a checksum does not match but the structure holds, the tree is still given, with a
//!   [`Warning`]; where the structure does not hold there is an [`Error`].
//! - Blobs carry no checksum in this format: damage inside one cannot be seen here.
//!
//! Sources: Microsoft's openvmm (`support/hvs_file/FORMAT.md`), fox-it's dissect.hypervisor.
//! What neither of them tells, or where they disagree, is said at the place.

mod error;
mod format;
mod header;
mod key_table;
mod link;
mod object_table;
mod reader;
mod replay;
mod search;
mod segments;
mod writer;

pub use error::{Error, Result, Warning};
pub use reader::{HvsFile, Limits, read_tree};
pub(crate) use search::{Node, Search};
pub use writer::write_tree;

/// Whether a file begins like a HyperVStorage container; `start` is its first bytes.
pub fn is_hvs(start: &[u8]) -> bool {
    start.starts_with(&format::SIGNATURE.to_le_bytes())
}
