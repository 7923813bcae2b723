//! A record of the log: a header, and operations behind it.
//!
//! The first four bytes of every sector of a record are replaced by the number of the round (cycle) in which
//! it was written, so that a sector tells whether it is of this round; the header keeps what was there.

use disk::BlockRead;

use super::super::block::Block;
use super::super::volume::Volume;
use super::ring::{Ring, SECTOR};
use crate::error::{Error, Result};

pub(super) const MAGIC: u32 = 0xfeed_babe;
/// Sectors whose first bytes one sector of the header keeps.
const KEPT: u32 = 64;
/// Bytes that a record may have.
const MOST: u32 = 512 << 10;
/// Bytes of a header that its checksum covers, as 64-bit and as 32-bit kernels make it.
const SUMMED: [usize; 2] = [328, 324];
/// Bytes that it covers of each further sector of the header.
const SUMMED_MORE: usize = 260;

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The sector of its header.
    pub(super) at: u32,
    pub(super) cycle: u32,
    /// Sectors of the header.
    headers: u32,
    /// Bytes behind it.
    len: u32,
    pub(super) operations: u32,
    /// Where the log begins that is needed with it: cycle and sector.
    pub(super) tail: u64,
    /// How numbers in items are stored.
    pub(super) format: u32,
}

impl Record {
    /// The header in a sector, if there is one that says it lies there.
    pub(super) fn header(volume: &Volume, ring: Ring, at: u32) -> Result<Option<Self>> {
        let mut bytes = vec![0; SECTOR as usize];
        ring.read(volume.cached(), at, 0, &mut bytes)?;
        Self::parse(volume, at, bytes)
    }

    pub(super) fn parse(volume: &Volume, at: u32, bytes: Vec<u8>) -> Result<Option<Self>> {
        let block = Block::new(format!("log record at sector {at}"), bytes, false);
        let cycle = block.be32(4)?;
        let version = block.be32(8)?;
        let len = block.be32(12)?;
        let place = u64::from(cycle) << 32 | u64::from(at);
        let ours = block.slice(304, 16)? == volume.sb.uuid;
        if block.be32(0)? != MAGIC || block.be64(16)? != place || !ours || cycle == 0 {
            return Ok(None);
        }
        let size = if version & 2 != 0 {
            block.be32(320)?
        } else {
            0
        };
        if !(1..=3).contains(&version) || len == 0 || len > MOST || len % SECTOR != 0 || size > MOST
        {
            return Ok(None);
        }
        Ok(Some(Self {
            at,
            cycle,
            headers: size.div_ceil(KEPT * SECTOR).max(1),
            len,
            operations: block.be32(40)?,
            tail: block.be64(24)?,
            format: block.be32(300)?,
        }))
    }

    /// Sectors of header and operations.
    pub(super) fn sectors(&self) -> u32 {
        self.headers + self.len / SECTOR
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(format!("log record at sector {}", self.at), why)
    }

    /// The number of the round that a sector of this record has, so many behind its first.
    fn round(&self, ring: Ring, behind: u32) -> u32 {
        if u64::from(self.at) + u64::from(behind) < ring.len.into() {
            return self.cycle;
        }
        // The magic of a header is no number of a round.
        match self.cycle.wrapping_add(1) {
            MAGIC => MAGIC + 1,
            next => next,
        }
    }

    /// Its operations, checked, with the bytes that the numbers of rounds had replaced. `None` if it was
    /// not written to its end.
    pub(super) fn operations(&self, volume: &Volume, ring: Ring) -> Result<Option<Block>> {
        let sectors = self.sectors();
        if sectors > ring.len {
            return Ok(None);
        }
        let mut all = vec![0; (sectors * SECTOR) as usize];
        ring.read(volume.cached(), self.at, 0, &mut all)?;
        let what = || format!("log record at sector {}", self.at);
        let all = Block::new(what(), all, false);
        for sector in 1..sectors {
            if all.be32((sector * SECTOR) as usize)? != self.round(ring, sector) {
                return Ok(None);
            }
        }
        let stored = all.le32(32)?;
        // Nobody but mkfs.xfs leaves it out, in the one record that it makes.
        if stored == 0 && volume.sb.sums && self.operations != 1 && !self.sums_to(&all, 0)? {
            return Ok(None);
        }
        if stored != 0 && !self.sums_to(&all, stored)? {
            return Ok(None);
        }
        let start = (self.headers * SECTOR) as usize;
        let mut operations = all.slice(start, self.len as usize)?.to_vec();
        for (index, sector) in operations.chunks_mut(SECTOR as usize).enumerate() {
            let kept = all.slice(self.kept(index as u32) as usize, 4)?;
            if let Some(first) = sector.get_mut(..4) {
                first.copy_from_slice(kept);
            }
        }
        Ok(Some(Block::new(what(), operations, false)))
    }

    /// Where the header keeps the first bytes of a sector behind it.
    fn kept(&self, sector: u32) -> u32 {
        let (header, index) = (sector / KEPT, sector % KEPT);
        let words = if header == 0 { 44 } else { 4 };
        header * SECTOR + words + index * 4
    }

    fn sums_to(&self, all: &Block, stored: u32) -> Result<bool> {
        for len in SUMMED {
            let mut after = all.slice(36, len - 36)?.to_vec();
            let used = self.len.div_ceil(KEPT * SECTOR).max(1).min(self.headers);
            for header in 1..used {
                after.extend_from_slice(all.slice((header * SECTOR) as usize, SUMMED_MORE)?);
            }
            after
                .extend_from_slice(all.slice((self.headers * SECTOR) as usize, self.len as usize)?);
            if super::super::block::sum_without(all.slice(0, 32)?, &after) == stored {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks that items are stored as x86 and ARM do.
    pub(super) fn check_format(&self) -> Result<()> {
        match self.format {
            1 => Ok(()),
            other => Err(Error::Unsupported(format!(
                "numbers of the form {other} in its log"
            ))),
        }
    }
}

/// Bytes among the operations of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The sector of the record's header.
    pub(super) record: u32,
    /// The first byte behind the header.
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Piece {
    /// A part of it.
    pub(super) fn part(self, from: u32, len: u32) -> Self {
        let at = self.at + from;
        Self { at, len, ..self }
    }

    /// Reads it, with what the header keeps of it. `buf` is as long as it.
    pub(super) fn read(self, volume: &Reader<'_>, buf: &mut [u8]) -> Result<()> {
        let Reader { device, ring } = *volume;
        let mut number = [0; 4];
        let mut field = |at| -> Result<u32> {
            ring.read(device, self.record, at, &mut number)?;
            Ok(u32::from_be_bytes(number))
        };
        let size = if field(8)? & 2 != 0 { field(320)? } else { 0 };
        let headers = size.min(MOST).div_ceil(KEPT * SECTOR).max(1);
        let record = Record {
            at: self.record,
            cycle: 0,
            headers,
            len: 0,
            operations: 0,
            tail: 0,
            format: 0,
        };
        ring.read(device, self.record, headers * SECTOR + self.at, buf)?;
        let end = self.at + self.len;
        for sector in self.at / SECTOR..end.div_ceil(SECTOR) {
            let mut kept = [0; 4];
            ring.read(device, self.record, record.kept(sector), &mut kept)?;
            for (index, byte) in kept.into_iter().enumerate() {
                let place = (sector * SECTOR + index as u32).checked_sub(self.at);
                let place = place.and_then(|place| buf.get_mut(place as usize));
                if let Some(place) = place {
                    *place = byte;
                }
            }
        }
        Ok(())
    }
}

/// From where pieces are read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) device: &'a dyn BlockRead,
    pub(super) ring: Ring,
}

impl Record {
    /// Damage of it.
    pub(super) fn broken(&self) -> Error {
        self.damaged("it was not written to its end, and lies between others")
    }
}
