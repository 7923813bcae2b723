//! What is encrypted, as a device.

use disk::block::check_bounds;
use disk::{BlockRead, ByteRange, Content, Extent, Geometry};

use super::elephant;
use super::metadata::{COPY, Metadata};
use crate::cipher::{Aes, Cipher, cbc, whole_sectors};
use crate::error::{Error, Result};
use crate::fs::Device;

/// The volume within an encrypted one.
///
/// Its first bytes are where the metadata say; there, and where the metadata are, the guest reads zeros.
pub struct Unlocked {
    device: Device,
    sector: u32,
    copies: [u64; 3],
    moved: (u64, u64),
    encrypted: u64,
    method: Method,
}

enum Method {
    Xts(Cipher),
    Cbc { data: Aes, tweak: Option<Aes> },
}

impl Unlocked {
    pub(super) fn new(device: Device, metadata: &Metadata, key: &[u8]) -> Result<Self> {
        let short = || {
            Error::damaged(
                "BitLocker volume key",
                format!("it has {} bytes", key.len()),
            )
        };
        let part = |from: usize, len: usize| key.get(from..from + len).ok_or_else(short);
        let aes = |from, len| Aes::new(part(from, len)?).ok_or_else(short);
        let method = match metadata.method {
            0x8000 | 0x8001 => {
                let len = if metadata.method == 0x8000 { 16 } else { 32 };
                let tweak = Some(aes(32, len)?);
                let data = aes(0, len)?;
                Method::Cbc { data, tweak }
            }
            0x8002 => Method::Cbc {
                data: aes(0, 16)?,
                tweak: None,
            },
            0x8003 => Method::Cbc {
                data: aes(0, 32)?,
                tweak: None,
            },
            0x8004 => Method::Xts(Cipher::xts(part(0, 32)?).ok_or_else(short)?),
            0x8005 => Method::Xts(Cipher::xts(part(0, 64)?).ok_or_else(short)?),
            other => {
                let why = format!("BitLocker with the method {other:#06x}");
                return Err(Error::Unsupported(why));
            }
        };
        Ok(Self {
            device,
            sector: metadata.sector,
            copies: metadata.copies,
            moved: metadata.moved,
            encrypted: metadata.encrypted,
            method,
        })
    }

    /// Fills whole sectors from `offset` on.
    fn sectors(&self, offset: u64, bytes: &mut [u8]) -> disk::Result<()> {
        let sector = u64::from(self.sector);
        let mut at = offset;
        let mut rest = bytes;
        // Runs of sectors that are alike.
        while !rest.is_empty() {
            let place = self.place(at);
            let mut len = sector;
            while len < rest.len() as u64 && self.place(at + len) == place.after(len) {
                len += sector;
            }
            let count = rest.len().min(len as usize);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(count);
            match place {
                Place::Zeros => now.fill(0),
                Place::Plain(from) => self.device.read_at(from, now)?,
                Place::Encrypted(from) => {
                    self.device.read_at(from, now)?;
                    for (number, one) in (0..).zip(now.chunks_mut(self.sector as usize)) {
                        self.decrypt(from + number * sector, one);
                    }
                }
            }
            rest = later;
            at += len;
        }
        Ok(())
    }

    fn place(&self, at: u64) -> Place {
        let (moved, len) = self.moved;
        let within = |start: u64, len: u64| at >= start && at - start < len;
        let stored = |at: u64| match at < self.encrypted {
            true => Place::Encrypted(at),
            false => Place::Plain(at),
        };
        // Where encryption has not come yet, what was moved is plain as well.
        if at < len {
            return stored(moved + at);
        }
        if within(moved, len) || self.copies.iter().any(|copy| within(*copy, COPY)) {
            return Place::Zeros;
        }
        stored(at)
    }

    /// Decrypts the sector that is stored at `at`.
    fn decrypt(&self, at: u64, sector: &mut [u8]) {
        let mut vector = [0; 16];
        for (to, from) in vector.iter_mut().zip(at.to_le_bytes()) {
            *to = from;
        }
        match &self.method {
            Method::Xts(cipher) => cipher.decrypt(at / u64::from(self.sector), sector),
            Method::Cbc { data, tweak } => {
                let mut first = vector;
                data.encrypt(&mut first);
                cbc(data, first, sector);
                let Some(tweak) = tweak else {
                    return;
                };
                elephant::undo(sector);
                let mut second = vector;
                if let Some(last) = second.last_mut() {
                    *last = 0x80;
                }
                tweak.encrypt(&mut vector);
                tweak.encrypt(&mut second);
                let key = vector.iter().chain(&second).cycle();
                for (to, from) in sector.iter_mut().zip(key) {
                    *to ^= from;
                }
            }
        }
    }
}

/// Where a sector is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Zeros,
    Plain(u64),
    Encrypted(u64),
}

impl Place {
    /// Of what follows after `len` bytes, if it is stored behind this.
    fn after(self, len: u64) -> Self {
        match self {
            Self::Zeros => Self::Zeros,
            Self::Plain(at) => Self::Plain(at.saturating_add(len)),
            Self::Encrypted(at) => Self::Encrypted(at.saturating_add(len)),
        }
    }
}

impl BlockRead for Unlocked {
    fn geometry(&self) -> Geometry {
        let geometry = self.device.geometry();
        let sector = u64::from(self.sector);
        Geometry {
            len: geometry.len / sector * sector,
            logical_sector: geometry.logical_sector.max(self.sector),
            physical_sector: geometry.physical_sector.max(self.sector),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        check_bounds(self.len(), offset, buf.len() as u64)?;
        let read = |at, sectors: &mut [u8]| self.sectors(at, sectors);
        whole_sectors(self.sector, offset, buf, read)
    }

    /// All of it is data: what is a hole below is no zeros once it is decrypted.
    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        check_bounds(self.len(), range.start, range.len())?;
        let content = Content::Data;
        Ok(match range.is_empty() {
            true => Vec::new(),
            false => vec![Extent { range, content }],
        })
    }
}
