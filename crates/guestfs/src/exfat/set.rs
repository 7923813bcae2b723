//! What a folder of exFAT says of one file: an entry of the file, one of its clusters, and its name in
//! pieces, with a checksum over all of them.

use crate::clusters::{dos_time, shifted};
use crate::error::{Error, Result};
use crate::node::{Kind, Obstacle, Time, Times};
use crate::partitions::le;

pub(super) const ENTRY: usize = 32;
/// A file: the first entry of a set.
pub(super) const FILE: u8 = 0x85;
const STREAM: u8 = 0xc0;
const NAME: u8 = 0xc1;
/// An entry of a set that may be passed over by who does not know it.
const BENIGN: u8 = 0x20;
/// Units of a name in one entry.
const PIECE: usize = 15;
const FOLDER: u16 = 0x10;

/// A file or folder.
pub(super) struct Set {
    pub(super) units: Vec<u16>,
    pub(super) attributes: u16,
    pub(super) times: Times,
    pub(super) first: u32,
    /// Whether its clusters lie one behind the other, and the table does not count.
    pub(super) is_row: bool,
    pub(super) len: u64,
    /// Bytes that were ever written.
    pub(super) valid: u64,
    pub(super) obstacle: Option<Obstacle>,
}

/// Entries that follow the first one of a set.
pub(super) fn following(first: &[u8; ENTRY]) -> usize {
    usize::from(first[1])
}

impl Set {
    /// Reads a set out of all of its entries.
    pub(super) fn read(entries: &[[u8; ENTRY]]) -> Result<Self> {
        let damaged = |why: String| Error::damaged("entry of a file", why);
        let [file, stream, names @ ..] = entries else {
            return Err(damaged("it is of less than three entries".to_owned()));
        };
        let (sum, is) = (le(file, 2, 2) as u16, checksum(entries));
        if sum != is {
            return Err(damaged(format!(
                "its checksum is {is:#06x} and not {sum:#06x}"
            )));
        }
        if file[0] != FILE || stream[0] != STREAM {
            return Err(damaged(format!(
                "its second entry is of type {:#04x}",
                stream[0]
            )));
        }
        let count = usize::from(stream[3]);
        let mut units = Vec::with_capacity(count);
        let mut obstacle = None;
        for entry in names {
            match entry[0] {
                NAME if units.len() < count => {
                    let piece = entry.as_chunks::<2>().0.iter().skip(1).take(PIECE);
                    units.extend(piece.map(|pair| u16::from_le_bytes(*pair)));
                }
                kind if kind & BENIGN != 0 || kind & 0x80 == 0 => {}
                kind => {
                    obstacle = Some(Obstacle::Unknown(format!(
                        "an exFAT entry of type {kind:#04x}"
                    )));
                }
            }
        }
        if count == 0 || units.len() < count {
            let why = format!("its name has {count} units, and {} are there", units.len());
            return Err(damaged(why));
        }
        units.truncate(count);
        let (valid, len) = (le(stream, 8, 8), le(stream, 24, 8));
        if valid > len {
            return Err(damaged(format!("{valid} of its {len} bytes were written")));
        }
        Ok(Self {
            units,
            attributes: le(file, 4, 2) as u16,
            times: times(file),
            first: le(stream, 20, 4) as u32,
            is_row: stream[1] & 2 != 0,
            len,
            valid,
            obstacle,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        match self.attributes & FOLDER {
            0 => Kind::File,
            _ => Kind::Folder,
        }
    }
}

fn times(file: &[u8; ENTRY]) -> Times {
    let time = |at: usize, hundredths: u8, zone: u8| -> Option<Time> {
        let time = dos_time(
            le(file, at + 2, 2) as u16,
            le(file, at, 2) as u16,
            hundredths,
        )?;
        // Quarters of an hour, of seven bits and signed. Without a zone it is taken as UTC.
        let quarters = (zone << 1) as i8 >> 1;
        Some(match zone & 0x80 {
            0 => time,
            _ => shifted(time, quarters),
        })
    };
    Times {
        created: time(8, file[20], file[22]),
        modified: time(12, file[21], file[23]),
        accessed: time(16, 0, file[24]),
        changed: None,
    }
}

/// Of a whole set, without the field that holds it.
fn checksum(entries: &[[u8; ENTRY]]) -> u16 {
    let bytes = entries.as_flattened().iter().enumerate();
    let summed = bytes.filter(|(at, _)| !matches!(at, 2 | 3));
    summed.fold(0_u16, |sum, (_, byte)| {
        sum.rotate_right(1).wrapping_add(u16::from(*byte))
    })
}
