//! A physical volume: its label, and the places of the metadata of its group.

use disk::BlockRead;

use super::text::{self, Section};
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::partitions::le;

const MAGIC: &[u8] = b"LABELONE";
const KIND: &[u8] = b"LVM2 001";
const AREA: &[u8] = b" LVM2 x[5A%r0N*>";
const SECTOR: usize = 512;
/// Labels are in one of the first sectors.
const SECTORS: u64 = 4;
/// Areas of a volume, and bytes of a text, at most.
const MOST_AREAS: usize = 16;
const MOST_TEXT: u64 = 64 << 20;

/// A physical volume as it tells itself.
pub struct PhysicalVolume {
    /// What it is read from.
    pub(super) device: Device,
    /// Its id, without the hyphens that people see.
    pub id: String,
    /// The newest metadata that it has, and their number. Not every volume of a group has them.
    pub(super) metadata: Option<(u64, Section)>,
    /// What is damaged of it.
    pub notes: Vec<String>,
}

impl PhysicalVolume {
    /// Reads label and metadata.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else.
    pub fn open(device: Device) -> Result<Self> {
        for sector in 0..SECTORS {
            let at = sector * SECTOR as u64;
            let mut bytes = [0; SECTOR];
            if at + SECTOR as u64 > device.len() {
                break;
            }
            device.read_at(at, &mut bytes)?;
            let is_label = bytes.starts_with(MAGIC)
                && bytes.get(24..32) == Some(KIND)
                && le(&bytes, 8, 8) == sector
                && bytes
                    .get(20..)
                    .is_some_and(|rest| u64::from(sum(rest)) == le(&bytes, 16, 4));
            if is_label {
                return Self::labelled(device, &bytes);
            }
        }
        Err(Error::NotThis("a physical volume of LVM2"))
    }

    fn labelled(device: Device, label: &[u8; SECTOR]) -> Result<Self> {
        let header = usize::try_from(le(label, 20, 4)).unwrap_or(usize::MAX);
        let id = label
            .get(header..)
            .and_then(|rest| rest.first_chunk::<32>());
        let Some(id) = id.filter(|id| id.iter().all(u8::is_ascii_graphic)) else {
            return Err(Error::damaged("LVM label", "its id is not of letters"));
        };
        let mut volume = Self {
            id: id.iter().map(|byte| char::from(*byte)).collect(),
            device,
            metadata: None,
            notes: Vec::new(),
        };
        // Behind id and size: areas of data, and behind nought areas of metadata.
        let mut areas = label
            .get(header + 40..)
            .unwrap_or_default()
            .as_chunks::<16>()
            .0
            .iter();
        let pair = |bytes: &[u8; 16]| (le(bytes, 0, 8), le(bytes, 8, 8));
        let is_some = |area: &(u64, u64)| *area != (0, 0);
        let _ = areas.by_ref().map(pair).take_while(is_some).count();
        for (at, len) in areas.map(pair).take_while(is_some).take(MOST_AREAS) {
            match area(&volume.device, at, len) {
                Ok(Some(text)) => volume.take(text),
                Ok(None) => {}
                Err(error @ Error::Disk(_)) => return Err(error),
                Err(error) => volume.notes.push(error.to_string()),
            }
        }
        Ok(volume)
    }

    fn take(&mut self, text: Section) {
        let number = text
            .sections()
            .next()
            .and_then(|(_, group)| group.number("seqno").ok());
        match number {
            Some(number) if self.metadata.as_ref().is_none_or(|(own, _)| *own < number) => {
                self.metadata = Some((number, text));
            }
            Some(_) => {}
            None => self.notes.push("metadata without a number".to_owned()),
        }
    }
}

/// The newest text of an area; `None` if it has none yet, or is told to be ignored.
fn area(device: &dyn BlockRead, at: u64, len: u64) -> Result<Option<Section>> {
    let damaged = |why: &str| Err(Error::damaged(format!("LVM metadata area at {at}"), why));
    let end = at.checked_add(len);
    if len < SECTOR as u64 || end.is_none_or(|end| end > device.len()) {
        return damaged("it does not lie on the volume");
    }
    let mut header = [0; SECTOR];
    device.read_at(at, &mut header)?;
    let (summed, body) = (le(&header, 0, 4), header.get(4..).unwrap_or_default());
    if u64::from(sum(body)) != summed || !body.starts_with(AREA) {
        return damaged("the checksum of its header does not hold");
    }
    if (le(&header, 24, 8), le(&header, 32, 8)) != (at, len) {
        return damaged("its header is of another place");
    }
    let (start, size) = (le(&header, 40, 8), le(&header, 48, 8));
    let (wanted, flags) = (le(&header, 56, 4), le(&header, 60, 4));
    if size == 0 || flags & 1 != 0 {
        return Ok(None);
    }
    let first = SECTOR as u64;
    if start < first || start >= len || size > len - first || size > MOST_TEXT {
        return damaged("its text does not lie in it");
    }
    // The area is a ring behind its header.
    let mut bytes = vec![0; size as usize];
    let (front, back) = bytes.split_at_mut(size.min(len - start) as usize);
    device.read_at(at + start, front)?;
    device.read_at(at + first, back)?;
    if u64::from(sum(&bytes)) != wanted {
        return damaged("the checksum of its text does not hold");
    }
    text::parse(&bytes).map(Some)
}

/// The CRC of all structures of LVM2: that of zlib with another beginning, and without the last step.
fn sum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!0xf597_a6cf);
    hasher.update(bytes);
    !hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_lvm() {
        assert_eq!(sum(b"123456789"), 0x4991_cf02);
    }
}
