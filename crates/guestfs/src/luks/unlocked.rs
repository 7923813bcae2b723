//! What is encrypted, as a device.

use disk::block::check_bounds;
use disk::{BlockRead, ByteRange, Content, Extent, Geometry};

use super::Data;
use crate::cipher::{Cipher, whole_sectors};
use crate::error::{Error, Result};
use crate::fs::Device;

/// The device within an encrypted one.
pub struct Unlocked {
    device: Device,
    start: u64,
    len: u64,
    sector: u32,
    tweak: u64,
    cipher: Cipher,
}

impl Unlocked {
    pub(super) fn new(device: Device, data: &Data, cipher: Cipher) -> Result<Self> {
        let bad = |why: String| Err(Error::damaged("LUKS header", why));
        let Some(room) = device.len().checked_sub(data.start) else {
            return bad(format!("its data begin at {}, behind the end", data.start));
        };
        let len = match data.len {
            Some(len) if len > room => return bad(format!("{len} bytes of data where {room} are")),
            Some(len) => len,
            None => room,
        };
        Ok(Self {
            device,
            start: data.start,
            len: len / u64::from(data.sector) * u64::from(data.sector),
            sector: data.sector,
            tweak: data.tweak,
            cipher,
        })
    }

    /// Decrypts whole sectors from `offset` on.
    fn sectors(&self, offset: u64, bytes: &mut [u8]) -> disk::Result<()> {
        self.device.read_at(self.start + offset, bytes)?;
        let sector = u64::from(self.sector);
        for (number, bytes) in (offset / sector..).zip(bytes.chunks_mut(self.sector as usize)) {
            // Whatever a sector has, they are counted in 512 bytes.
            let number = self.tweak.wrapping_add(number * (sector / 512));
            self.cipher.decrypt(number, bytes);
        }
        Ok(())
    }
}

impl BlockRead for Unlocked {
    fn geometry(&self) -> Geometry {
        let geometry = self.device.geometry();
        Geometry {
            len: self.len,
            logical_sector: geometry.logical_sector.max(self.sector),
            physical_sector: geometry.physical_sector.max(self.sector),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        check_bounds(self.len, offset, buf.len() as u64)?;
        let read = |at, sectors: &mut [u8]| self.sectors(at, sectors);
        whole_sectors(self.sector, offset, buf, read)
    }

    /// All of it is data: what is a hole below is no zeros once it is decrypted.
    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        check_bounds(self.len, range.start, range.len())?;
        let content = Content::Data;
        Ok(match range.is_empty() {
            true => Vec::new(),
            false => vec![Extent { range, content }],
        })
    }
}
