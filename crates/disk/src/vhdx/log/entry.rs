//! Log entries (MS-VHDX 2.3.1): header, descriptors, data sectors.
//!
//! Every sector of an entry is marked with the entry's sequence number, so that a torn write shows.
//! In data sectors the mark takes the place of the first 8 and last 4 bytes, which move to the
//! descriptor.

use uuid::Uuid;

use crate::vhdx::SECTOR;
use crate::vhdx::bytes::{array_at, guid_at, put, seal, u32_at, u64_at};

/// Bytes of a log sector.
pub const SECTOR_LEN: usize = SECTOR as usize;

/// Bytes of an entry's header.
pub const HEADER_LEN: usize = 64;

/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 32;

/// One sector.
pub type Sector = [u8; SECTOR_LEN];

/// The header of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    /// CRC-32C of the whole entry with this field as zero.
    pub checksum: u32,
    /// Bytes of the entry: whole sectors.
    pub entry_len: u32,
    /// Where in the log the oldest entry begins that is still needed.
    pub tail: u32,
    /// One more than the entry's before; never 0.
    pub sequence: u64,
    /// Number of descriptors.
    pub descriptors: u32,
    /// The file header's log GUID.
    pub log_guid: Uuid,
    /// Bytes of the file that were on the medium when the entry was written.
    pub flushed_file_offset: u64,
    /// Bytes of file that everything allocated needs.
    pub last_file_offset: u64,
}

impl EntryHeader {
    /// Reads the header at the start of a sector; `None` when there is none, or one whose lengths
    /// contradict each other.
    pub fn decode(sector: &Sector) -> Option<Self> {
        if !sector.starts_with(b"loge") {
            return None;
        }
        let header = Self {
            checksum: u32_at(sector, 4),
            entry_len: u32_at(sector, 8),
            tail: u32_at(sector, 12),
            sequence: u64_at(sector, 16),
            descriptors: u32_at(sector, 24),
            log_guid: guid_at(sector, 32),
            flushed_file_offset: u64_at(sector, 48),
            last_file_offset: u64_at(sector, 56),
        };
        let sound = header.sequence > 0
            && u64::from(header.tail).is_multiple_of(SECTOR)
            && u64::from(header.entry_len).is_multiple_of(SECTOR)
            && u64::from(header.entry_len) >= descriptor_sectors(header.descriptors) * SECTOR;
        sound.then_some(header)
    }
}

/// Sectors that a header and this many descriptors take: 126 descriptors fit beside the header,
/// 128 in each further sector.
pub fn descriptor_sectors(descriptors: u32) -> u64 {
    (HEADER_LEN as u64 + DESCRIPTOR_LEN as u64 * u64::from(descriptors)).div_ceil(SECTOR)
}

/// A descriptor: one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// A sector gets new contents; a data sector of the entry has them.
    Data {
        /// Where in the file, a multiple of 4 KiB.
        file_offset: u64,
        /// The entry's sequence number.
        sequence: u64,
        /// The first bytes of the contents.
        leading: [u8; 8],
        /// The last bytes of the contents.
        trailing: [u8; 4],
    },
    /// A range becomes zeros.
    Zero {
        /// Where in the file, a multiple of 4 KiB.
        file_offset: u64,
        /// The entry's sequence number.
        sequence: u64,
        /// Bytes, a multiple of 4 KiB.
        len: u64,
    },
}

impl Descriptor {
    /// Reads a descriptor; `None` when it is neither kind, or its place is not whole sectors
    /// within 64 bits.
    pub fn decode(bytes: &[u8; DESCRIPTOR_LEN]) -> Option<Self> {
        let file_offset = u64_at(bytes, 16);
        let sequence = u64_at(bytes, 24);
        let (descriptor, len) = match &bytes[..4] {
            b"desc" => {
                let leading = array_at(bytes, 8);
                let trailing = array_at(bytes, 4);
                let data = Self::Data {
                    file_offset,
                    sequence,
                    leading,
                    trailing,
                };
                (data, SECTOR)
            }
            b"zero" => {
                let len = u64_at(bytes, 8);
                (
                    Self::Zero {
                        file_offset,
                        sequence,
                        len,
                    },
                    len,
                )
            }
            _ => return None,
        };
        file_offset.checked_add(len)?;
        (file_offset.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR)).then_some(descriptor)
    }

    /// Writes it.
    pub fn encode(&self) -> [u8; DESCRIPTOR_LEN] {
        let mut out = [0; DESCRIPTOR_LEN];
        match self {
            Self::Data {
                leading, trailing, ..
            } => {
                put(&mut out, 0, b"desc");
                put(&mut out, 4, trailing);
                put(&mut out, 8, leading);
            }
            Self::Zero { len, .. } => {
                put(&mut out, 0, b"zero");
                put(&mut out, 8, &len.to_le_bytes());
            }
        }
        put(&mut out, 16, &self.file_offset().to_le_bytes());
        put(&mut out, 24, &self.sequence().to_le_bytes());
        out
    }

    /// Where in the file the change goes.
    pub fn file_offset(&self) -> u64 {
        match self {
            Self::Data { file_offset, .. } | Self::Zero { file_offset, .. } => *file_offset,
        }
    }

    /// Bytes of the file that change.
    pub fn len(&self) -> u64 {
        match self {
            Self::Data { .. } => SECTOR,
            Self::Zero { len, .. } => *len,
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number that it carries.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Data { sequence, .. } | Self::Zero { sequence, .. } => *sequence,
        }
    }
}

/// Whether this is a data sector of the entry with that number.
pub fn is_data_sector(sector: &Sector, sequence: u64) -> bool {
    sector.starts_with(b"data")
        && u32_at(sector, 4) == (sequence >> 32) as u32
        && u32_at(sector, 4092) == sequence as u32
}

/// Turns a data sector into the contents that it stands for.
pub fn restore(sector: &mut Sector, leading: [u8; 8], trailing: [u8; 4]) {
    put(sector, 0, &leading);
    put(sector, 4092, &trailing);
}

/// A change to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogWrite {
    /// A sector gets new contents.
    Data {
        /// Where in the file, a multiple of 4 KiB.
        file_offset: u64,
        /// The contents.
        sector: Box<Sector>,
    },
    /// A range becomes zeros.
    Zero {
        /// Where in the file, a multiple of 4 KiB.
        file_offset: u64,
        /// Bytes, a multiple of 4 KiB.
        len: u64,
    },
}

/// A whole entry, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// One more than the entry's before; never 0.
    pub sequence: u64,
    /// Where in the log the oldest entry begins that is still needed.
    pub tail: u32,
    /// The file header's log GUID.
    pub log_guid: Uuid,
    /// Bytes of the file that are on the medium.
    pub flushed_file_offset: u64,
    /// Bytes of file that everything allocated needs.
    pub last_file_offset: u64,
    /// The changes.
    pub writes: Vec<LogWrite>,
}

impl LogEntry {
    /// Bytes of the entry in the log.
    pub fn encoded_len(&self) -> u64 {
        let data = self
            .writes
            .iter()
            .filter(|w| matches!(w, LogWrite::Data { .. }));
        let descriptors = HEADER_LEN as u64 + DESCRIPTOR_LEN as u64 * self.writes.len() as u64;
        (descriptors.div_ceil(SECTOR) + data.count() as u64) * SECTOR
    }

    /// Writes it. That it fits in the log is for the caller to see to.
    pub fn encode(&self) -> Vec<u8> {
        let len = self.encoded_len();
        let mut out = vec![0; len as usize];
        put(&mut out, 0, b"loge");
        put(&mut out, 8, &(len as u32).to_le_bytes());
        put(&mut out, 12, &self.tail.to_le_bytes());
        put(&mut out, 16, &self.sequence.to_le_bytes());
        put(&mut out, 24, &(self.writes.len() as u32).to_le_bytes());
        put(&mut out, 32, &self.log_guid.to_bytes_le());
        put(&mut out, 48, &self.flushed_file_offset.to_le_bytes());
        put(&mut out, 56, &self.last_file_offset.to_le_bytes());

        let sequence = self.sequence;
        let mut data_at = descriptor_sectors(self.writes.len() as u32) as usize * SECTOR_LEN;
        for (i, write) in self.writes.iter().enumerate() {
            let descriptor = match write {
                LogWrite::Zero { file_offset, len } => Descriptor::Zero {
                    file_offset: *file_offset,
                    sequence,
                    len: *len,
                },
                LogWrite::Data {
                    file_offset,
                    sector,
                } => {
                    put(&mut out, data_at, &sector[..]);
                    put(&mut out, data_at, b"data");
                    put(
                        &mut out,
                        data_at + 4,
                        &((sequence >> 32) as u32).to_le_bytes(),
                    );
                    put(&mut out, data_at + 4092, &(sequence as u32).to_le_bytes());
                    data_at += SECTOR_LEN;
                    Descriptor::Data {
                        file_offset: *file_offset,
                        sequence,
                        leading: array_at(&sector[..], 0),
                        trailing: array_at(&sector[..], 4092),
                    }
                }
            };
            put(
                &mut out,
                HEADER_LEN + DESCRIPTOR_LEN * i,
                &descriptor.encode(),
            );
        }
        seal(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vhdx::bytes::checksum;

    fn entry(sequence: u64, writes: Vec<LogWrite>) -> LogEntry {
        LogEntry {
            sequence,
            tail: 0,
            log_guid: Uuid::from_bytes([0x33; 16]),
            flushed_file_offset: 0x40_0000,
            last_file_offset: 0x40_0000,
            writes,
        }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        let bytes = entry(1, vec![]).encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(u32_at(&bytes, 4), 0xEF73_CAF7);
    }

    #[test]
    fn descriptor_areas_have_126_and_then_128_places_a_sector() {
        let at = [0, 126, 127, 254, 255].map(descriptor_sectors);
        assert_eq!(at, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn an_entry_can_be_read_back_piece_by_piece() {
        let mut sector = Box::new([0; SECTOR_LEN]);
        for (i, byte) in sector.iter_mut().enumerate() {
            *byte = (i * 7) as u8;
        }
        let sequence = 0x1_0000_0002;
        let writes = vec![
            LogWrite::Zero {
                file_offset: 3 << 20,
                len: 8192,
            },
            LogWrite::Data {
                file_offset: 4 << 20,
                sector: sector.clone(),
            },
        ];
        let bytes = entry(sequence, writes).encode();
        assert_eq!(bytes.len(), 8192);
        let first: Sector = array_at(&bytes, 0);
        let header = EntryHeader::decode(&first).unwrap();
        assert_eq!((header.sequence, header.descriptors), (sequence, 2));
        assert_eq!(header.checksum, checksum(&bytes));

        let zero = Descriptor::decode(&array_at(&bytes, 64)).unwrap();
        assert_eq!(
            zero,
            Descriptor::Zero {
                file_offset: 3 << 20,
                sequence,
                len: 8192
            }
        );
        let data = Descriptor::decode(&array_at(&bytes, 96)).unwrap();
        assert_eq!(data.encode(), bytes[96..128]);
        let Descriptor::Data {
            leading, trailing, ..
        } = data
        else {
            panic!("{data:?}");
        };
        let mut stored: Sector = array_at(&bytes, 4096);
        assert!(is_data_sector(&stored, sequence));
        assert!(!is_data_sector(&stored, 2) && !is_data_sector(&stored, 0x1_0000_0003));
        restore(&mut stored, leading, trailing);
        assert_eq!(stored, *sector);
    }

    #[test]
    fn headers_and_descriptors_that_contradict_themselves_are_none() {
        let bytes = entry(1, vec![]).encode();
        let good: Sector = array_at(&bytes, 0);
        assert!(EntryHeader::decode(&good).is_some());
        for (at, value) in [(0, 0u32), (8, 0), (8, 100), (12, 1), (16, 0), (24, 127)] {
            let mut bad = good;
            put(&mut bad, at, &value.to_le_bytes());
            assert!(EntryHeader::decode(&bad).is_none(), "{at} {value}");
        }
        let zero = |file_offset, len| {
            let descriptor = Descriptor::Zero {
                file_offset,
                sequence: 1,
                len,
            };
            Descriptor::decode(&descriptor.encode())
        };
        assert!(zero(4096, 4096).is_some());
        for (offset, len) in [(1, 4096), (4096, 1), (u64::MAX - 4095, 4096)] {
            assert!(zero(offset, len).is_none(), "{offset} {len}");
        }
        assert!(Descriptor::decode(&[0; 32]).is_none());
    }
}
