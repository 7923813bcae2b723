//! The bytes of a table file: constants, records, packs, header, and where they are read from.

use std::fs::File;
use std::io;

use vault_format::index::{IndexEntry, PackRef};
use vault_format::pack::PackKind;
use vault_format::{ChunkId, ObjectHash};
use xxhash_rust::xxh3::Xxh3;

pub(super) const MAGIC: [u8; 8] = *b"HKTABLE2";
pub(super) const HEADER: usize = 64;
pub(super) const PACK: usize = 40;
pub(super) const RECORD: usize = 48;
/// Records that share a checksum and an entry of the fence.
pub(super) const GROUP: usize = 128;

/// Header and records of a table, and in a file the rest as well.
#[derive(Debug)]
pub(in crate::index) enum Bytes {
    Memory(Vec<u8>),
    File(File),
}

impl Bytes {
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let part = usize::try_from(offset)
                    .ok()
                    .and_then(|at| bytes.get(at..)?.get(..out.len()))
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(part);
                Ok(())
            }
            Self::File(file) => hostfile::read_exact_at(file, out, offset),
        }
    }
}

/// The counts of a table, as its header tells them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) records: u64,
    pub(super) covered: u64,
    pub(super) packs: u64,
    pub(super) filter: u64,
    pub(super) fence: u64,
    /// Of the fields before and of everything behind the records.
    pub(super) sum: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..8].copy_from_slice(&MAGIC);
        let fields = [
            self.records,
            self.covered,
            self.packs,
            self.filter,
            self.fence,
            self.sum,
        ];
        for (i, n) in fields.iter().enumerate() {
            out[8 + 8 * i..16 + 8 * i].copy_from_slice(&n.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let field = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(field)
        };
        let [records, covered, packs, filter, fence, sum] = [8, 16, 24, 32, 40, 48].map(field);
        Some(Self {
            records,
            covered,
            packs,
            filter,
            fence,
            sum,
        })
        .filter(|_| bytes[..8] == MAGIC)
    }

    /// Where the records end, and where the table does; `None` if no file is that long.
    pub(super) fn ends(&self) -> Option<(u64, u64)> {
        let records = self.records.checked_mul(RECORD as u64)?;
        let records = records.checked_add(HEADER as u64)?;
        let mut end = records;
        for (count, size) in [
            (self.covered, 32),
            (self.packs, PACK as u64),
            (self.filter, 8),
            (self.fence, 8),
            (self.fence, 8),
        ] {
            end = end.checked_add(count.checked_mul(size)?)?;
        }
        Some((records, end))
    }

    /// The sum that belongs to these counts and what lies behind the records.
    pub(super) fn checksum(&self, tail: &[u8]) -> u64 {
        let mut sum = Xxh3::new();
        sum.update(&self.encode()[..48]);
        sum.update(tail);
        sum.digest()
    }
}

pub(super) fn prefix(id: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id[..8]);
    u64::from_be_bytes(first)
}

pub(super) fn encode_record(entry: &IndexEntry) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[..32].copy_from_slice(&entry.id.0);
    let fields = [entry.pack, entry.offset, entry.stored_len, entry.plain_len];
    for (i, n) in fields.iter().enumerate() {
        out[32 + 4 * i..36 + 4 * i].copy_from_slice(&n.to_le_bytes());
    }
    out
}

pub(super) fn decode_record(bytes: &[u8; RECORD]) -> IndexEntry {
    let mut id = [0; 32];
    id.copy_from_slice(&bytes[..32]);
    let [pack, offset, stored_len, plain_len] = [32, 36, 40, 44].map(|at| u32_at(bytes, at));
    IndexEntry {
        id: ChunkId(id),
        pack,
        offset,
        stored_len,
        plain_len,
    }
}

pub(super) fn encode_pack(pack: &PackRef) -> [u8; PACK] {
    let mut out = [0; PACK];
    out[..32].copy_from_slice(&pack.hash.0);
    out[32..36].copy_from_slice(&pack.len.to_le_bytes());
    out[36] = pack.kind.code();
    out
}

pub(super) fn decode_pack(bytes: &[u8; PACK]) -> Option<PackRef> {
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[..32]);
    Some(PackRef {
        hash: ObjectHash(hash),
        len: u32_at(bytes, 32),
        kind: PackKind::from_code(bytes[36].into())?,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}
