//! The two headers (MS-VHDX 2.2.2): the file's only mutable fixed point.
//!
//! A change goes to the header that is *not* current, with a sequence number one higher; once it is
//! on the medium it is the current one. A torn write leaves a bad checksum there and the old header
//! in force.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::vhdx::MIB;
use crate::vhdx::bytes::{checksum, guid_at, put, seal, u16_at, u32_at, u64_at};

/// Bytes of a header that carry information and a checksum.
pub const HEADER_LEN: usize = 4096;

/// Where the two headers are.
pub const HEADER_OFFSETS: [u64; 2] = [64 << 10, 128 << 10];

/// The longest log that is accepted: 1 GiB, as in Microsoft's implementation.
pub const MAX_LOG_LEN: u32 = 1 << 30;

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The larger one of two is current.
    pub sequence: u64,
    /// Names the file's bytes.
    pub file_write_guid: Uuid,
    /// Names the content that a guest sees.
    pub data_write_guid: Uuid,
    /// Names the log's entries that count; nil when there are none.
    pub log_guid: Uuid,
    /// Bytes of the log, a multiple of 1 MiB.
    pub log_len: u32,
    /// Where the log is, a multiple of 1 MiB.
    pub log_offset: u64,
}

impl Header {
    /// Reads one header.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a wrong signature, checksum or log place, [`Error::Unsupported`] for
    /// a version other than 1.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self> {
        let damaged = |why: String| Error::damaged("header", why);
        if !bytes.starts_with(b"head") {
            return Err(damaged("wrong signature".into()));
        }
        let (stored, actual) = (u32_at(bytes, 4), checksum(bytes));
        if stored != actual {
            return Err(damaged(format!(
                "checksum {stored:#010x} where the contents give {actual:#010x}"
            )));
        }
        let version = u16_at(bytes, 66);
        if version != 1 {
            return Err(Error::Unsupported(format!("VHDX version {version}")));
        }
        let header = Self {
            sequence: u64_at(bytes, 8),
            file_write_guid: guid_at(bytes, 16),
            data_write_guid: guid_at(bytes, 32),
            log_guid: guid_at(bytes, 48),
            log_len: u32_at(bytes, 68),
            log_offset: u64_at(bytes, 72),
        };
        let log_version = u16_at(bytes, 64);
        if !header.log_guid.is_nil() && log_version != 0 {
            return Err(Error::Unsupported(format!("log version {log_version}")));
        }
        let (len, offset) = (header.log_len, header.log_offset);
        if len == 0 && !header.log_guid.is_nil() {
            return Err(damaged("a log in use that has no length".into()));
        }
        if len > MAX_LOG_LEN || !u64::from(len).is_multiple_of(MIB) {
            return Err(damaged(format!("log length {len}")));
        }
        let misplaced = offset < MIB
            || !offset.is_multiple_of(MIB)
            || offset.checked_add(u64::from(len)).is_none();
        if len > 0 && misplaced {
            return Err(damaged(format!("log offset {offset}")));
        }
        Ok(header)
    }

    /// Writes it, as version 1 with log version 0.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, b"head");
        put(&mut out, 8, &self.sequence.to_le_bytes());
        put(&mut out, 16, &self.file_write_guid.to_bytes_le());
        put(&mut out, 32, &self.data_write_guid.to_bytes_le());
        put(&mut out, 48, &self.log_guid.to_bytes_le());
        put(&mut out, 66, &1u16.to_le_bytes());
        put(&mut out, 68, &self.log_len.to_le_bytes());
        put(&mut out, 72, &self.log_offset.to_le_bytes());
        seal(&mut out);
        out
    }
}

/// The header that counts, and in which of the two slots it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentHeader {
    /// 0 or 1, an index into [`HEADER_OFFSETS`]. The next change goes to the other.
    pub slot: usize,
    /// The header.
    pub header: Header,
}

/// Chooses the current one of the two headers, given in the order of [`HEADER_OFFSETS`].
///
/// A slot that could not be read may be given as `None`. The specification names no winner for
/// equal sequence numbers; that is accepted only where the choice makes no difference.
///
/// # Errors
/// [`Error::Damaged`] when neither is valid or two different ones have one number;
/// [`Error::Unsupported`] when the newer one is of an unknown version.
pub fn current(slots: [Option<&[u8; HEADER_LEN]>; 2]) -> Result<CurrentHeader> {
    let [first, second] = slots.map(|slot| match slot {
        Some(bytes) => Header::decode(bytes),
        None => Err(Error::damaged("header", "missing")),
    });
    let pick = |slot, header| Ok(CurrentHeader { slot, header });
    match (first, second) {
        // A writer of a later version may have updated only one slot. The other is then stale, and
        // taking it would be reading old data.
        (Err(e @ Error::Unsupported(_)), _) | (_, Err(e @ Error::Unsupported(_))) => Err(e),
        (Ok(a), Err(_)) => pick(0, a),
        (Err(_), Ok(b)) => pick(1, b),
        (Ok(a), Ok(b)) if a.sequence > b.sequence => pick(0, a),
        (Ok(a), Ok(b)) if a.sequence < b.sequence => pick(1, b),
        (Ok(a), Ok(b)) if a == b => pick(0, a),
        (Ok(a), Ok(_)) => Err(Error::damaged(
            "header",
            format!("two different headers with sequence number {}", a.sequence),
        )),
        (Err(a), Err(b)) => Err(Error::damaged(
            "header",
            format!("neither copy is usable: first: {a}; second: {b}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u64) -> Header {
        Header {
            sequence,
            file_write_guid: Uuid::from_bytes([0x11; 16]),
            data_write_guid: Uuid::from_bytes([0x22; 16]),
            log_guid: Uuid::nil(),
            log_len: 1 << 20,
            log_offset: 1 << 20,
        }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        let bytes = header(1).encode();
        assert_eq!(u32_at(&bytes, 4), 0x7E89_F022);
        assert_eq!(Header::decode(&bytes).unwrap(), header(1));
    }

    #[test]
    fn the_larger_sequence_number_of_the_valid_ones_wins() {
        let (old, new) = (header(6).encode(), header(7).encode());
        let torn = {
            let mut bytes = header(8).encode();
            bytes[100] ^= 1;
            bytes
        };
        let slot = |a, b| current([Some(a), Some(b)]).map(|c| (c.slot, c.header.sequence));
        assert_eq!(slot(&old, &new).unwrap(), (1, 7));
        assert_eq!(slot(&new, &old).unwrap(), (0, 7));
        assert_eq!(slot(&torn, &old).unwrap(), (1, 6));
        assert_eq!(slot(&old, &torn).unwrap(), (0, 6));
        assert_eq!(slot(&old, &old).unwrap(), (0, 6));
        slot(&torn, &torn).unwrap_err();
        current([None, None]).unwrap_err();
    }

    #[test]
    fn equal_numbers_with_different_contents_are_not_guessed_at() {
        let other = Header {
            data_write_guid: Uuid::from_bytes([0x23; 16]),
            ..header(6)
        };
        let (a, b) = (header(6).encode(), other.encode());
        assert!(current([Some(&a), Some(&b)]).is_err());
    }

    #[test]
    fn a_log_must_have_a_place() {
        for (log_len, log_offset) in [
            (1 << 20, 0),
            (1 << 20, (1 << 20) + 4096),
            (1 << 19, 1 << 20),
            (MAX_LOG_LEN + (1 << 20), 1 << 20),
            (1 << 20, u64::MAX / MIB * MIB),
        ] {
            let bad = Header {
                log_len,
                log_offset,
                ..header(1)
            };
            assert!(Header::decode(&bad.encode()).is_err(), "{bad:?}");
        }
        let none = Header {
            log_len: 0,
            log_offset: 0,
            ..header(1)
        };
        assert!(Header::decode(&none.encode()).is_ok());
        let used = Header {
            log_guid: Uuid::from_u128(1),
            ..none
        };
        assert!(Header::decode(&used.encode()).is_err());
    }
}
