//! VHD, version 1 of Microsoft's virtual hard disks: fixed, dynamic and differencing.
//!
//! Source: Virtual Hard Disk Image Format Specification 1.0, and what Windows really writes where
//! that differs (said at each place). All numbers are big-endian, except Windows paths.
//!
//! - A *footer* of 512 bytes ends the file. A dynamic or differencing image has a copy of it at
//!   offset 0, then a *dynamic header*, parent locators, and the *BAT* (block allocation table).
//! - Each block is a *sector bitmap* followed by the block's bytes. In a differencing image a
//!   cleared bit means "ask the parent"; in a dynamic one "never written", which reads as zero.
//! - There is no log. A crash may leave a dynamic image without the footer at its end; the copy
//!   at the beginning then serves, and the image carries a finding.
//!
//! Sectors always have 512 bytes, and no image is larger than [`MAX_LEN`].

mod create;
mod footer;
mod geometry;
mod header;
mod image;
mod locator;

pub use create::{DEFAULT_BLOCK, VhdLayout, VhdParams, VhdWriter};
pub use footer::{FOOTER_LEN, Footer};
pub use geometry::Chs;
pub use header::{DynamicHeader, HEADER_LEN};
pub use image::{Checksums, VhdImage};
pub use locator::LocatorEntry;

/// Bytes in a sector.
pub const SECTOR: u64 = 512;

/// Largest virtual size: 2040 GiB.
pub const MAX_LEN: u64 = 2040 << 30;

/// One's complement of the sum of all bytes, the checksum of both footer and dynamic header. The
/// caller has zeroed the field that the sum itself will go to.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(0u32, |sum, byte| sum.wrapping_add((*byte).into()))
}

/// The `N` bytes at `offset` of a structure whose length was checked.
fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}
