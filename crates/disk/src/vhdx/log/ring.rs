//! The log as a ring of sectors, and whether an entry stands at a place in it.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::vhdx::SECTOR;
use crate::vhdx::bytes::array_at;
use crate::vhdx::log::entry::{
    DESCRIPTOR_LEN, Descriptor, EntryHeader, HEADER_LEN, SECTOR_LEN, Sector, descriptor_sectors,
    is_data_sector,
};

/// Bytes that are read at once; the log's length is a multiple of it.
const WINDOW: usize = 64 << 10;

/// A log that is being looked through.
pub(super) struct Ring<'a, F> {
    file: &'a F,
    offset: u64,
    len: u64,
    guid: Uuid,
    window: Vec<u8>,
    window_at: Option<u64>,
}

impl<'a, F: ReadAt> Ring<'a, F> {
    /// The log at `offset` of the file; `len` is a multiple of 1 MiB.
    pub(super) fn new(file: &'a F, offset: u64, len: u64, guid: Uuid) -> Self {
        Self {
            file,
            offset,
            len,
            guid,
            window: vec![0; WINDOW],
            window_at: None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Where in the file a place of the log is.
    pub(super) fn file_offset(&self, at: u64) -> u64 {
        self.offset + at % self.len
    }

    fn sector(&mut self, at: u64) -> Result<Sector> {
        let at = at % self.len;
        let start = at / WINDOW as u64 * WINDOW as u64;
        if self.window_at != Some(start) {
            self.window_at = None;
            self.file
                .read_exact_at(&mut self.window, self.offset + start)
                .map_err(Error::io("reading the log"))?;
            self.window_at = Some(start);
        }
        Ok(array_at(&self.window, (at - start) as usize))
    }

    /// The entry at `at`, if a valid one stands there. `each` is given its descriptors, those of
    /// data with the place of their data sector; before the whole entry is known to be valid.
    ///
    /// The search tries every sector as a beginning. It stays linear in the log, whatever the log
    /// holds: an entry is followed only up to the first sector that cannot be part of it, and a
    /// sector that could begin another entry never can.
    pub(super) fn entry(
        &mut self,
        at: u64,
        mut each: impl FnMut(Descriptor, u64) -> Result<()>,
    ) -> Result<Option<EntryHeader>> {
        let mut sector = self.sector(at)?;
        let Some(header) = EntryHeader::decode(&sector) else {
            return Ok(None);
        };
        let entry_len = u64::from(header.entry_len);
        if header.log_guid != self.guid
            || entry_len >= self.len
            || u64::from(header.tail) >= self.len
        {
            return Ok(None);
        }
        let mut crc = crc32c::crc32c(&sector[..4]);
        crc = crc32c::crc32c_append(crc, &[0; 4]);
        crc = crc32c::crc32c_append(crc, &sector[8..]);

        let descriptor_len = descriptor_sectors(header.descriptors) * SECTOR;
        let mut data_len = 0;
        let mut read = 1;
        let mut places = HEADER_LEN..SECTOR_LEN;
        for _ in 0..header.descriptors {
            if places.is_empty() {
                sector = self.sector(at + read * SECTOR)?;
                crc = crc32c::crc32c_append(crc, &sector);
                read += 1;
                places = 0..SECTOR_LEN;
            }
            let bytes = array_at(&sector, places.start);
            places.start += DESCRIPTOR_LEN;
            let Some(descriptor) = Descriptor::decode(&bytes) else {
                return Ok(None);
            };
            if descriptor.sequence() != header.sequence {
                return Ok(None);
            }
            let data_at = at + descriptor_len + data_len;
            if let Descriptor::Data { .. } = descriptor {
                data_len += SECTOR;
            }
            each(descriptor, data_at % self.len)?;
        }
        if descriptor_len + data_len != entry_len {
            return Ok(None);
        }
        while read * SECTOR < entry_len {
            sector = self.sector(at + read * SECTOR)?;
            if !is_data_sector(&sector, header.sequence) {
                return Ok(None);
            }
            crc = crc32c::crc32c_append(crc, &sector);
            read += 1;
        }
        Ok((crc == header.checksum).then_some(header))
    }
}
