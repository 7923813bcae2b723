//! A disk as a guest sees it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::extent::Extent;
use crate::range::ByteRange;

/// Size and sector sizes of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    /// Size of the disk; a multiple of `logical_sector` except for raw images.
    pub len: u64,
    /// Smallest unit that the guest addresses: 512 or 4096.
    pub logical_sector: u32,
    /// Smallest unit that the medium writes: 512 or 4096.
    pub physical_sector: u32,
}

/// A readable disk: one layer, a whole chain, or a disk read out of a vault.
///
/// Reads may start and end anywhere; they need not be aligned to sectors.
pub trait BlockRead: Send + Sync {
    /// Size and sector sizes.
    fn geometry(&self) -> Geometry;

    /// Fills `buf` with the disk's bytes from `offset`; zeros where the extents say
    /// [`Zero`](crate::Content::Zero) or [`Hole`](crate::Content::Hole).
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when the range does not lie within the disk; on any error the
    /// contents of `buf` are unspecified.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// The extents of `range`: ascending, contiguous, covering exactly `range`, neighbours of
    /// one kind joined.
    ///
    /// The answer is proportional to the range's fragmentation; walk a large disk with
    /// [`windows`] instead of asking for all of it at once.
    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>>;

    /// Size of the disk in bytes.
    fn len(&self) -> u64 {
        self.geometry().len
    }

    /// Whether the disk has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: BlockRead + ?Sized> BlockRead for $pointer {
            fn geometry(&self) -> Geometry {
                (**self).geometry()
            }
            fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
                (**self).read_at(offset, buf)
            }
            fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
                (**self).extents(range)
            }
        }
    )*};
}
forward!(&T, Box<T>, Arc<T>);

/// Checks that a request lies within a disk.
pub fn check_bounds(disk_len: u64, offset: u64, len: u64) -> Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= disk_len => Ok(()),
        _ => Err(Error::OutOfBounds {
            offset,
            len,
            disk_len,
        }),
    }
}

/// Cuts a disk of `len` bytes into consecutive windows of `window` bytes, the last one shorter.
///
/// # Panics
/// If `window` is zero.
pub fn windows(len: u64, window: u64) -> impl Iterator<Item = ByteRange> {
    assert!(window > 0, "a window has bytes");
    (0..len.div_ceil(window)).map(move |i| {
        let start = i * window;
        ByteRange::new(start, start.saturating_add(window).min(len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_disk_without_gap_or_overlap() {
        let cut: Vec<_> = windows(10, 4).collect();
        assert_eq!(
            cut,
            [
                ByteRange::new(0, 4),
                ByteRange::new(4, 8),
                ByteRange::new(8, 10)
            ]
        );
        assert_eq!(windows(0, 4).count(), 0);
        assert_eq!(windows(8, 4).count(), 2);
    }

    #[test]
    fn bounds_do_not_wrap() {
        check_bounds(10, 10, 0).unwrap();
        check_bounds(10, 4, 6).unwrap();
        assert!(check_bounds(10, 4, 7).is_err());
        assert!(check_bounds(10, u64::MAX, 2).is_err());
    }
}
