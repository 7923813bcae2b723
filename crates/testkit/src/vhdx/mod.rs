//! A maker of VHDX files of any shape, written from the specification alone.
//!
//! It shares no code with the reader that it tests, not even checksums and GUID order, so that a
//! misunderstanding there does not hide behind the same one here. [`Image`] says what the file is
//! to hold; [`Image::build`] gives its bytes, closed cleanly; [`dirty()`] turns them into what a
//! crash leaves, with the metadata only in the log.

mod dirty;
mod image;

pub use dirty::{Dirty, dirty};
pub use image::{Block, Image};

use uuid::Uuid;

const MIB: u64 = 1 << 20;

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82F6_3B78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// Puts the checksum of `structure` into its bytes 4 to 7.
pub fn seal(structure: &mut [u8]) {
    structure[4..8].fill(0);
    let crc = crc32c(structure);
    structure[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// A GUID as the format stores it: text `01020304-0506-0708-090a-…` becomes 04 03 02 01 06 05…
fn guid(id: Uuid) -> [u8; 16] {
    let mut bytes = *id.as_bytes();
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// Writes `value` at `at`.
fn put(bytes: &mut [u8], at: u64, value: &[u8]) {
    let at = at as usize;
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
