//! Making a table out of ascending records.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use vault_format::index::{IndexEntry, PackRef};
use vault_format::{ChunkId, ObjectHash};
use xxhash_rust::xxh3::Xxh3;

use super::Table;
use super::layout::{Bytes, GROUP, HEADER, Header, encode_pack, encode_record, prefix};
use crate::index::filter::Filter;

/// Makes a table out of ascending records.
pub(in crate::index) struct Builder {
    out: Out,
    table: Table,
    last: Option<ChunkId>,
    /// Of the group that is being filled.
    sum: Xxh3,
}

enum Out {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

impl Builder {
    /// A table for at most `count` records; in `file` if one is given, which must be empty and
    /// open for reading and writing.
    pub(in crate::index) fn new(
        file: Option<File>,
        count: u64,
        covered: Vec<ObjectHash>,
        packs: Vec<PackRef>,
    ) -> io::Result<Self> {
        // The header is written when the counts are known.
        let out = match file {
            None => Out::Memory(vec![0; HEADER]),
            Some(file) => {
                let mut out = BufWriter::with_capacity(1 << 18, file);
                out.write_all(&[0; HEADER])?;
                Out::File(out)
            }
        };
        Ok(Self {
            out,
            table: Table {
                bytes: Bytes::Memory(Vec::new()),
                count: 0,
                covered,
                packs,
                filter: Filter::for_count(count),
                fence: Vec::new(),
                sums: Vec::new(),
                path: None,
            },
            last: None,
            sum: Xxh3::new(),
        })
    }

    /// Adds a record. One that does not ascend is left out: the first of equal ids stays.
    pub(in crate::index) fn push(&mut self, record: &IndexEntry) -> io::Result<()> {
        if self.last.is_some_and(|last| record.id <= last) {
            return Ok(());
        }
        self.last = Some(record.id);
        if self.table.count.is_multiple_of(GROUP as u64) {
            self.end_group();
            self.table.fence.push(prefix(&record.id.0));
        }
        let bytes = encode_record(record);
        self.sum.update(&bytes);
        self.table.count += 1;
        self.table.filter.insert(&record.id.0);
        match &mut self.out {
            Out::Memory(all) => all.extend_from_slice(&bytes),
            Out::File(out) => out.write_all(&bytes)?,
        }
        Ok(())
    }

    fn end_group(&mut self) {
        if self.table.sums.len() < self.table.fence.len() {
            self.table.sums.push(self.sum.digest());
            self.sum.reset();
        }
    }

    /// Completes the table. A file is not synced: it is a cache.
    pub(in crate::index) fn finish(mut self) -> io::Result<Table> {
        self.end_group();
        let mut table = self.table;
        table.bytes = match self.out {
            Out::Memory(bytes) => Bytes::Memory(bytes),
            Out::File(mut out) => {
                let tail = tail(&table);
                out.write_all(&tail)?;
                let header = Header {
                    records: table.count,
                    covered: table.covered.len() as u64,
                    packs: table.packs.len() as u64,
                    filter: table.filter.words().len() as u64,
                    fence: table.fence.len() as u64,
                    sum: 0,
                };
                let sum = header.checksum(&tail);
                let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&Header { sum, ..header }.encode())?;
                Bytes::File(file)
            }
        };
        Ok(table)
    }
}

/// What lies behind the records.
fn tail(table: &Table) -> Vec<u8> {
    let mut tail = Vec::new();
    for hash in &table.covered {
        tail.extend_from_slice(&hash.0);
    }
    for pack in &table.packs {
        tail.extend_from_slice(&encode_pack(pack));
    }
    let words = table.filter.words().iter();
    for word in words.chain(&table.fence).chain(&table.sums) {
        tail.extend_from_slice(&word.to_le_bytes());
    }
    tail
}
