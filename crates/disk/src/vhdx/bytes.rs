//! Little-endian fields of structures whose length is known.
//!
//! The callers hold buffers of a structure's full, fixed size; an offset beyond it would be a slip
//! of this crate, not of the file.

use uuid::Uuid;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// A GUID in Microsoft's order: the first three fields little-endian.
pub(crate) fn guid_at(bytes: &[u8], at: usize) -> Uuid {
    Uuid::from_bytes_le(array_at(bytes, at))
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// CRC-32C of a structure, with the four bytes at offset 4 taken as zero: where every VHDX
/// structure keeps its own checksum.
pub(crate) fn checksum(structure: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&structure[..4]);
    let crc = crc32c::crc32c_append(crc, &[0; 4]);
    crc32c::crc32c_append(crc, &structure[8..])
}

/// Writes the checksum into its place.
pub(crate) fn seal(structure: &mut [u8]) {
    let crc = checksum(structure);
    put(structure, 4, &crc.to_le_bytes());
}

/// UTF-16LE to text; half a surrogate pair becomes U+FFFD, a last odd byte is ignored.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Text to UTF-16LE.
pub(crate) fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
