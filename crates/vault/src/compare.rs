//! Comparing bytes with a disk in the vault without reading it: a chunk's id tells whether bytes are
//! those of the chunk.

use std::ops::Range;

use vault_format::map::Target;

use crate::error::{Error, Result};
use crate::reader::DiskReader;

impl DiskReader {
    /// Which parts of `bytes`, held against what is stored from `offset` on, are not told by ids alone
    /// to be the same: those that differ, those of which only a part of a chunk is there, and zeros.
    /// Ascending, as offsets of the disk. Whoever wants to know reads them.
    ///
    /// # Errors
    /// When the range does not lie within the disk, or the map or a chunk is missing.
    pub fn unlike(&self, offset: u64, bytes: &[u8]) -> Result<Vec<Range<u64>>> {
        let end = offset.checked_add(bytes.len() as u64);
        let end = end.filter(|end| *end <= self.len()).ok_or_else(|| {
            let (len, all) = (bytes.len(), self.len());
            Error::invalid(format!("{len} bytes at {offset} of a disk of {all} bytes"))
        })?;
        let segment = u64::from(self.segment_size());
        let mut unlike: Vec<Range<u64>> = Vec::new();
        let mut at = offset;
        while at < end {
            let (index, within) = (at / segment, (at % segment) as u32);
            let start = index * segment;
            let last = (end - start).min(u64::from(self.segment_len(index))) as u32;
            for piece in self.leaf(index)?.pieces(within, last) {
                let from = start + u64::from(piece.offset);
                let range = from..from + u64::from(piece.len);
                let part = (range.start - offset) as usize..(range.end - offset) as usize;
                let same = match piece.target {
                    Some(Target::Chunk { id, within: 0 }) => {
                        let whole = self.index.find(&id)?.plain_len == piece.len;
                        let found = bytes.get(part).unwrap_or_default();
                        whole && self.packs.is_chunk(&id, found)
                    }
                    _ => false,
                };
                match unlike.last_mut() {
                    _ if same => {}
                    Some(before) if before.end == range.start => before.end = range.end,
                    _ => unlike.push(range),
                }
            }
            at = start + u64::from(last);
        }
        Ok(unlike)
    }
}
