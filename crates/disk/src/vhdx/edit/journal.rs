//! The writing side of the log.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::vhdx::header::Header;
use crate::vhdx::log::entry::{LogEntry, LogWrite, Sector};
use crate::vhdx::{MIB, SECTOR};

/// The most pages in one entry. Two entries of this size fit into the smallest log, so that a new
/// entry never runs over the one before it, which counts until the new one is complete.
pub(super) const MAX_PAGES: usize = 100;

/// Where the next entry goes, and what it is called.
pub(super) struct Journal {
    guid: Uuid,
    /// Where in the file the log is.
    offset: u64,
    len: u64,
    /// Where in the log the next entry begins.
    head: u64,
    sequence: u64,
}

impl Journal {
    /// An empty log in the place that the header names; at least 1 MiB long.
    pub(super) fn new(header: &Header, guid: Uuid) -> Self {
        Self {
            guid,
            offset: header.log_offset,
            len: header.log_len.into(),
            head: 0,
            sequence: 1,
        }
    }

    /// Writes an entry and makes it durable. Everything that earlier entries changed is durable in
    /// its place already, so the log's tail is this entry itself.
    pub(super) fn append(
        &mut self,
        file: &impl WriteAt,
        file_len: u64,
        pages: &[(u64, Box<Sector>)],
    ) -> Result<()> {
        debug_assert!(pages.len() <= MAX_PAGES);
        let entry = LogEntry {
            sequence: self.sequence,
            // The log is at most 1 GiB long.
            tail: self.head as u32,
            log_guid: self.guid,
            flushed_file_offset: file_len / MIB * MIB,
            last_file_offset: file_len.next_multiple_of(MIB),
            writes: pages
                .iter()
                .map(|(file_offset, sector)| LogWrite::Data {
                    file_offset: *file_offset,
                    sector: sector.clone(),
                })
                .collect(),
        };
        let bytes = entry.encode();
        let first = (self.len - self.head).min(bytes.len() as u64) as usize;
        let (now, wrapped) = bytes.split_at(first);
        let write = || {
            file.write_all_at(now, self.offset + self.head)?;
            if !wrapped.is_empty() {
                file.write_all_at(wrapped, self.offset)?;
            }
            file.sync()
        };
        write().map_err(Error::io("writing the log"))?;
        self.head = (self.head + bytes.len() as u64) % self.len;
        debug_assert!(self.head.is_multiple_of(SECTOR));
        self.sequence += 1;
        Ok(())
    }
}
