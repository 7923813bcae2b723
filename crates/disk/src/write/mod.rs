//! Writing a whole new image, whatever its format.
//!
//! A restore knows ranges of a disk and their bytes; it does not want to know how a format stores
//! them. [`DiskWrite`] is that seam: create a writer over an empty file with the constructor of a
//! format, give it data and zeros in any order, and [`finish`](DiskWrite::finish) it.
//!
//! What every writer of this crate keeps:
//!
//! - **Unfinished is unreadable.** The structure by which readers recognise the format (VHDX
//!   headers, VHD footer, QCOW2 header) is written last, after a sync of everything it leads to. A file that a
//!   crash left behind is refused by readers instead of being taken for a disk with holes. Raw
//!   images have no such structure, and fixed VHDs have it only at the end, where its absence
//!   makes them look raw: a caller always writes under a temporary name and renames afterwards.
//! - **No holes in the file** (except raw and QCOW2): Windows refuses to attach sparse VHD and VHDX files,
//!   so every byte of an allocated block is really written. See [`dense`].
//! - **Any order, one thread.** Ascending order is the fast path.

pub mod dense;
mod rebuild;
mod rehearsal;
pub(crate) mod touched;

pub use rebuild::rebuild;
pub use rehearsal::Rehearsal;

use crate::block::Geometry;
use crate::error::Result;
use crate::range::ByteRange;

/// A new disk being written.
pub trait DiskWrite: Send {
    /// Size and sector sizes of the disk.
    fn geometry(&self) -> Geometry;

    /// Stores `data` at `offset` of the disk. A later write wins over an earlier one.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`](crate::Error::OutOfBounds) outside the disk. Differencing images
    /// know only whole sectors: there, offset and length must be multiples of the logical
    /// sector, else [`Error::Invalid`](crate::Error::Invalid).
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()>;

    /// Makes `range` read as zeros. In a base image that costs no space where nothing was
    /// written before; in a differencing image it hides the parent's bytes.
    ///
    /// # Errors
    /// As for [`write_at`](DiskWrite::write_at).
    fn write_zeros(&mut self, range: ByteRange) -> Result<()>;

    /// Makes what was written so far durable. Whoever then [rehearses](Rehearsal) the same calls with
    /// another new writer over the same file goes on where this one was.
    ///
    /// # Errors
    /// When the file fails.
    fn checkpoint(&mut self) -> Result<()>;

    /// Completes the image and makes it durable. Dropping a writer instead leaves a file that
    /// readers refuse.
    fn finish(self: Box<Self>) -> Result<()>;
}
