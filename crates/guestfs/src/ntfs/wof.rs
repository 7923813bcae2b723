//! Contents of files that Windows' overlay filter compresses: CompactOS, `compact /exe`.
//!
//! The stream `WofCompressedData` has a table of where chunks end, and then the chunks. One that did not get
//! smaller is stored as it is. The contents of the file itself are one hole.

use disk::ByteRange;

use super::contents::within;
use super::le::{le32, le64};
use super::{lzx, xpress};
use crate::error::{Error, Result};
use crate::fs::Content;

/// The stream that has the chunks.
pub(super) const STREAM: &str = "WofCompressedData";

/// Entries of the table that are read at once.
const ENTRIES: u64 = 1024;

/// Contents compressed by WOF.
pub(super) struct Wof<'a> {
    stored: Box<dyn Content + 'a>,
    what: String,
    len: u64,
    algorithm: u32,
    /// Bytes of a chunk.
    chunk: u64,
    /// The first of some entries of the table, and them.
    table: Option<(u64, Vec<u8>)>,
    /// The chunk that was read last.
    kept: Option<(u64, Vec<u8>)>,
}

impl<'a> Wof<'a> {
    /// A file of `len` bytes, by one of the algorithms that are known.
    pub(super) fn new(
        stored: Box<dyn Content + 'a>,
        what: String,
        len: u64,
        algorithm: u32,
    ) -> Self {
        let chunk = match algorithm {
            0 => 4 << 10,
            2 => 8 << 10,
            3 => 16 << 10,
            _ => lzx::WINDOW as u64,
        };
        Self {
            stored,
            what,
            len,
            algorithm,
            chunk,
            table: None,
            kept: None,
        }
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(self.what.clone(), why)
    }

    /// Bytes of an entry of the table.
    fn width(&self) -> u64 {
        if self.len > u64::from(u32::MAX) { 8 } else { 4 }
    }

    fn chunks(&self) -> u64 {
        self.len.div_ceil(self.chunk)
    }

    /// Where a chunk begins, counted from the end of the table.
    fn place(&mut self, chunk: u64) -> Result<u64> {
        let entries = self.chunks() - 1;
        let table = entries * self.width();
        let stored = self.stored.len();
        if table > stored {
            return Err(self.damaged(format!("a table of {table} bytes in {stored}")));
        }
        if chunk == 0 {
            return Ok(0);
        }
        if chunk > entries {
            return Ok(stored - table);
        }
        let entry = chunk - 1;
        let first = entry / ENTRIES * ENTRIES;
        if self.table.as_ref().is_none_or(|(kept, _)| *kept != first) {
            let count = ENTRIES.min(entries - first);
            let mut bytes = vec![0; (count * self.width()) as usize];
            self.stored.read_at(first * self.width(), &mut bytes)?;
            self.table = Some((first, bytes));
        }
        let bytes = self.table.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let at = ((entry - first) * self.width()) as usize;
        Ok(match self.width() {
            4 => le32(bytes, at).into(),
            _ => le64(bytes, at),
        })
    }

    /// Sees to it that a chunk is kept.
    fn keep(&mut self, number: u64) -> Result<()> {
        if self.kept.as_ref().is_some_and(|(kept, _)| *kept == number) {
            return Ok(());
        }
        let (start, end) = (self.place(number)?, self.place(number + 1)?);
        let plain_len = self.chunk.min(self.len - number * self.chunk);
        let table = (self.chunks() - 1) * self.width();
        let stored = self.stored.len() - table;
        let len = end.checked_sub(start).filter(|_| end <= stored);
        let len = len.filter(|len| (1..=plain_len).contains(len));
        let Some(len) = len else {
            let why = format!("chunk {number} from {start} to {end} of {stored}");
            return Err(self.damaged(why));
        };
        let mut bytes = vec![0; len as usize];
        self.stored.read_at(table + start, &mut bytes)?;
        if len < plain_len {
            let mut plain = vec![0; plain_len as usize];
            let done = match self.algorithm {
                1 => lzx::decompress(&bytes, &mut plain),
                _ => xpress::decompress(&bytes, &mut plain),
            };
            done.map_err(|why| self.damaged(format!("chunk {number}: {why}")))?;
            bytes = plain;
        }
        self.kept = Some((number, bytes));
        Ok(())
    }
}

impl Content for Wof<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        within(self.len, offset, buf)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            self.keep(at / self.chunk)?;
            let from = (at % self.chunk) as usize;
            let kept = self.kept.as_ref().and_then(|(_, chunk)| chunk.get(from..));
            let kept = kept.ok_or_else(|| Error::NotFound(format!("byte {at}")))?;
            let len = kept.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(kept.get(..len).unwrap_or_default());
            rest = later;
            at += len as u64;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        Ok((from < self.len).then(|| ByteRange::new(from, self.len)))
    }
}
