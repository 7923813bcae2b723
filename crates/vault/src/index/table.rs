//! A sorted table of chunk places, on disk or in memory: the decrypted form of index runs.
//!
//! | part | holds |
//! |---|---|
//! | header, 64 B | magic, counts, checksum of everything but the records |
//! | records, 48 B each | chunk id, pack number, offset, stored length, plain length; sorted |
//! | covered runs, 32 B each | names of the index runs whose contents are in the table |
//! | packs, 40 B each | name, size, kind |
//! | filter, fence, sums | what is kept in memory: 1.5 B, 0.06 B and 0.06 B for each record |
//!
//! The file is a cache: it may be deleted at any time, and one that does not check out is made
//! again. Records are checked when they are read, by groups, each against its own sum, so that
//! opening stays cheap and a damaged record is never taken for a chunk that is not there.

mod builder;
pub(super) mod fuzz;
#[cfg(test)]
mod tests;

pub(super) mod layout;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use vault_format::index::{IndexEntry, PackRef};
use vault_format::{ChunkId, ObjectHash};
use xxhash_rust::xxh3::xxh3_64;

use super::filter::Filter;
pub(super) use builder::Builder;
use layout::{Bytes, GROUP, HEADER, Header, PACK, RECORD, decode_pack, decode_record, prefix};

/// A table and what of it is kept in memory.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Bytes,
    count: u64,
    covered: Vec<ObjectHash>,
    packs: Vec<PackRef>,
    filter: Filter,
    /// The first eight bytes of the first id of every group of records.
    fence: Vec<u64>,
    /// A checksum of every group of records.
    sums: Vec<u64>,
    /// The file that holds it, if one does.
    pub(super) path: Option<PathBuf>,
}

impl Table {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn covered(&self) -> &[ObjectHash] {
        &self.covered
    }

    pub(super) fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// Where the chunk lies, by this table.
    pub(super) fn get(&self, id: &ChunkId) -> io::Result<Option<IndexEntry>> {
        if self.count == 0 || !self.filter.may_hold(&id.0) {
            return Ok(None);
        }
        let key = prefix(&id.0);
        // Equal prefixes may begin in the group before the first one that is not below.
        let mut group = self
            .fence
            .partition_point(|first| *first < key)
            .saturating_sub(1);
        while self.fence.get(group).is_some_and(|first| *first <= key) {
            let bytes = self.read(group as u64 * GROUP as u64, GROUP)?;
            let (records, _) = bytes.as_chunks::<RECORD>();
            if let Ok(i) = records.binary_search_by(|r| r[..32].cmp(&id.0)) {
                return Ok(records.get(i).map(decode_record));
            }
            group += 1;
        }
        Ok(None)
    }

    /// All records, ascending by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = io::Result<IndexEntry>> + '_ {
        const BATCH: usize = 4096;
        (0..self.count.div_ceil(BATCH as u64)).flat_map(move |batch| {
            let bytes = self.read(batch * BATCH as u64, BATCH);
            let (records, error) = match bytes {
                Ok(bytes) => {
                    let all = bytes.as_chunks::<RECORD>().0.iter();
                    (all.map(decode_record).collect(), None)
                }
                Err(e) => (Vec::new(), Some(Err(e))),
            };
            records.into_iter().map(Ok).chain(error)
        })
    }

    /// Up to `count` records from `first`, as bytes. Both are whole groups.
    fn read(&self, first: u64, count: usize) -> io::Result<Vec<u8>> {
        let count = (self.count - first.min(self.count)).min(count as u64) as usize;
        let mut bytes = vec![0; count * RECORD];
        let start = first * RECORD as u64 + HEADER as u64;
        self.bytes.read_at(start, &mut bytes)?;
        let sums = self.sums.get(first as usize / GROUP..).unwrap_or_default();
        let groups = bytes.chunks(GROUP * RECORD);
        if groups.len() > sums.len() || groups.zip(sums).any(|(group, sum)| xxh3_64(group) != *sum)
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "records are damaged",
            ));
        }
        Ok(bytes)
    }

    /// Opens a table that [`Builder`] wrote to a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut table = Self::decode(Bytes::File(File::open(path)?))?;
        table.path = Some(path.to_owned());
        Ok(table)
    }

    /// Reads all but the records. Any doubt is an error of kind `InvalidData`.
    pub(super) fn decode(bytes: Bytes) -> io::Result<Self> {
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let mut header = [0; HEADER];
        bytes.read_at(0, &mut header)?;
        let header = Header::decode(&header).ok_or_else(bad)?;
        let (tail_at, end) = header.ends().ok_or_else(bad)?;
        // The file's own size bounds every count before anything is allocated by one.
        if end != bytes.len()? {
            return Err(bad());
        }
        let mut tail = vec![0; usize::try_from(end - tail_at).map_err(|_| bad())?];
        bytes.read_at(tail_at, &mut tail)?;
        if header.checksum(&tail) != header.sum
            || header.filter == 0
            || header.fence != header.records.div_ceil(GROUP as u64)
        {
            return Err(bad());
        }
        let (covered, rest) = tail.split_at(header.covered as usize * 32);
        let (packs, rest) = rest.split_at(header.packs as usize * PACK);
        let (filter, rest) = rest.split_at(header.filter as usize * 8);
        let (fence, sums) = rest.split_at(header.fence as usize * 8);
        let words = |bytes: &[u8]| -> Vec<u64> {
            let (words, _) = bytes.as_chunks::<8>();
            words.iter().map(|w| u64::from_le_bytes(*w)).collect()
        };
        let covered = covered.as_chunks::<32>().0.iter();
        let packs = packs.as_chunks::<PACK>().0.iter();
        let packs: Option<Vec<_>> = packs.map(decode_pack).collect();
        Ok(Self {
            bytes,
            count: header.records,
            covered: covered.map(|hash| ObjectHash(*hash)).collect(),
            packs: packs.ok_or_else(bad)?,
            filter: Filter::from_words(words(filter)),
            fence: words(fence),
            sums: words(sums),
            path: None,
        })
    }
}
