//! The sectors of a log, in which the one after the last is the first.

use disk::BlockRead;

use super::super::volume::Volume;
use crate::error::{Error, Result};

/// Bytes of a sector of a log, whatever the sectors of the disk have.
pub(super) const SECTOR: u32 = 512;

/// Where a log lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    /// Its first byte on the device.
    start: u64,
    /// Its sectors.
    pub(super) len: u32,
}

impl Ring {
    pub(super) fn of(volume: &Volume) -> Result<Self> {
        let sb = &volume.sb;
        let damaged = |why: String| Err(Error::damaged("log", why));
        let Some(start) = sb.bytes_of(sb.log_start, sb.log_blocks.into()) else {
            return damaged(format!("{} blocks at {}", sb.log_blocks, sb.log_start));
        };
        let bytes = u64::from(sb.log_blocks) << sb.block_log;
        if start + bytes > volume.device.len() {
            return damaged("it lies behind the end of the device".into());
        }
        match u32::try_from(bytes / u64::from(SECTOR)) {
            Ok(len) if len >= 64 => Ok(Self { start, len }),
            _ => damaged(format!("it has {bytes} bytes")),
        }
    }

    /// The sector that lies `by` sectors behind `at`.
    pub(super) fn after(self, at: u32, by: u32) -> u32 {
        ((u64::from(at) + u64::from(by)) % u64::from(self.len)) as u32
    }

    /// Sectors from `from` on to `to`.
    pub(super) fn distance(self, from: u32, to: u32) -> u32 {
        if to >= from {
            to - from
        } else {
            self.len - from + to
        }
    }

    /// Reads from byte `within` of the sector `at` on, around the end.
    pub(super) fn read(
        self,
        device: &dyn BlockRead,
        at: u32,
        within: u32,
        buf: &mut [u8],
    ) -> Result<()> {
        let all = u64::from(self.len) * u64::from(SECTOR);
        let first = (u64::from(at) * u64::from(SECTOR) + u64::from(within)) % all;
        if buf.len() as u64 > all {
            return Err(Error::damaged("log", "a record is longer than the log"));
        }
        let len = usize::try_from(all - first)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let (now, later) = buf.split_at_mut(len);
        device.read_at(self.start + first, now)?;
        device.read_at(self.start, later)?;
        Ok(())
    }
}
