//! Numbers of the format, and little-endian fields.

pub(super) const SIGNATURE: u32 = 0x0128_2014;
pub(super) const OBJECT_TABLE_SIGNATURE: u32 = 0x0111_0001;
pub(super) const REPLAY_LOG_SIGNATURE: u32 = 0x0111_0003;
pub(super) const KEY_TABLE_SIGNATURE: u16 = 0x0002;

pub(super) const VERSION: u32 = 0x0400;
pub(super) const PAGE: usize = 4096;
pub(super) const MAX_ALIGNMENT: u32 = 0x1_0000;

pub(super) const HEADER_LEN: usize = 46;
pub(super) const HEADER_B: u64 = 4096;
pub(super) const FIRST_OBJECT_TABLE: u64 = 8192;

pub(super) const OBJECT_TABLE_HEADER_LEN: usize = 8;
pub(super) const OBJECT_ENTRY_LEN: usize = 18;
/// Slots in an object table of one page, the chain slot included.
pub(super) const OBJECT_SLOTS: usize = (PAGE - OBJECT_TABLE_HEADER_LEN) / OBJECT_ENTRY_LEN;

pub(super) const OBJECT_EMPTY: u8 = 0;
pub(super) const OBJECT_TABLE: u8 = 1;
pub(super) const OBJECT_KEY_TABLE: u8 = 2;
pub(super) const OBJECT_BLOB: u8 = 3;
pub(super) const OBJECT_FREE: u8 = 4;
pub(super) const OBJECT_REPLAY_LOG: u8 = 6;
pub(super) const OBJECT_CHANGE_TRACKING: u8 = 7;

pub(super) const KEY_TABLE_HEADER_LEN: usize = 10;
pub(super) const KEY_HEADER_LEN: usize = 21;
/// Longest key name in bytes, its NUL excluded: the length field counts the NUL and is a byte.
pub(super) const MAX_NAME: usize = 254;
/// Values of this many bytes and more are stored as blobs.
pub(super) const BLOB_THRESHOLD: usize = 2048;

pub(super) const KEY_FREE: u8 = 1;
pub(super) const KEY_INT: u8 = 3;
pub(super) const KEY_UINT: u8 = 4;
pub(super) const KEY_DOUBLE: u8 = 5;
pub(super) const KEY_STRING: u8 = 6;
pub(super) const KEY_ARRAY: u8 = 7;
pub(super) const KEY_BOOL: u8 = 8;
pub(super) const KEY_NODE: u8 = 9;

pub(super) const FLAG_BLOB: u8 = 1;
pub(super) const FLAG_SUBCOMPONENT: u8 = 2;

pub(super) const REPLAY_HEADER_LEN: usize = 34;
pub(super) const REPLAY_ENTRY_LEN: usize = 28;

/// The `N` bytes at `at`, or `None` where `bytes` ends before.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    field(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    field(bytes, at).map(u64::from_le_bytes)
}

/// CRC-32 (the one of zlib) of `bytes`, with the four bytes at `at` taken as zero: every
/// checksum of the format lies within what it covers.
pub(super) fn crc_without(bytes: &[u8], at: usize) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let at = at.min(bytes.len());
    let end = at.saturating_add(4).min(bytes.len());
    let (before, rest) = bytes.split_at(at);
    crc.update(before);
    crc.update(&[0; 4][..end - at]);
    crc.update(rest.get(end - at..).unwrap_or_default());
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_zlib_s_and_skips_its_own_field() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        let mut bytes = [7u8; 46];
        let crc = crc_without(&bytes, 4);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(crc_without(&bytes, 4), crc);
        bytes[4..8].fill(0);
        assert_eq!(crc32fast::hash(&bytes), crc);
        assert_eq!(crc_without(&[], 4), 0);
    }
}
