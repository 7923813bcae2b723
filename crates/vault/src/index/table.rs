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

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use vault_format::index::{IndexEntry, PackRef};
use vault_format::pack::PackKind;
use vault_format::{ChunkId, ObjectHash};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::filter::Filter;

const MAGIC: [u8; 8] = *b"HKTABLE2";
const HEADER: usize = 64;
const PACK: usize = 40;
const RECORD: usize = 48;
const GROUP: usize = 128;

/// A table and what of it is kept in memory.
#[derive(Debug)]
pub(super) struct Table {
    records: Records,
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

#[derive(Debug)]
enum Records {
    Memory(Vec<u8>),
    File(File),
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
        let len = count * RECORD;
        let start = first * RECORD as u64;
        let bytes = match &self.records {
            Records::Memory(all) => {
                let start = start as usize;
                all.get(start..start + len).unwrap_or_default().to_vec()
            }
            Records::File(file) => {
                let mut bytes = vec![0; len];
                read_at(file, start + HEADER as u64, &mut bytes)?;
                bytes
            }
        };
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

    /// Opens a table that [`Builder`] wrote. Any doubt is an error of kind `InvalidData`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        read_at(&file, 0, &mut header)?;
        let field = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let [count, covered, packs, filter, fence, sum] = [8, 16, 24, 32, 40, 48].map(field);
        let parts = [
            (count, RECORD),
            (covered, 32),
            (packs, PACK),
            (filter, 8),
            (fence, 8),
            (fence, 8),
        ]
        .map(|(n, size)| n.checked_mul(size as u64));
        let mut total = HEADER as u64;
        for part in parts {
            total = part
                .and_then(|len| total.checked_add(len))
                .ok_or_else(bad)?;
        }
        // The file's own size bounds every count before anything is allocated by one.
        if header[..8] != MAGIC || total != file.metadata()?.len() {
            return Err(bad());
        }
        let tail_at = HEADER as u64 + parts[0].unwrap_or_default();
        let mut tail = vec![0; (total - tail_at) as usize];
        read_at(&file, tail_at, &mut tail)?;
        if checksum(&header, &tail) != sum || filter == 0 || fence != count.div_ceil(GROUP as u64) {
            return Err(bad());
        }
        let (covered, rest) = tail.split_at(covered as usize * 32);
        let (packs, rest) = rest.split_at(packs as usize * PACK);
        let (filter, rest) = rest.split_at(filter as usize * 8);
        let (fence, sums) = rest.split_at(fence as usize * 8);
        let words = |bytes: &[u8]| -> Vec<u64> {
            let (words, _) = bytes.as_chunks::<8>();
            words.iter().map(|w| u64::from_le_bytes(*w)).collect()
        };
        Ok(Self {
            records: Records::File(file),
            count,
            covered: covered
                .as_chunks::<32>()
                .0
                .iter()
                .map(|h| ObjectHash(*h))
                .collect(),
            packs: packs
                .as_chunks::<PACK>()
                .0
                .iter()
                .map(decode_pack)
                .collect::<Option<_>>()
                .ok_or_else(bad)?,
            filter: Filter::from_words(words(filter)),
            fence: words(fence),
            sums: words(sums),
            path: Some(path.to_owned()),
        })
    }
}

/// Makes a table out of ascending records.
pub(super) struct Builder {
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
    /// A table for at most `count` records; on disk if `path` is given, which must not exist.
    pub(super) fn new(
        path: Option<&Path>,
        count: u64,
        covered: Vec<ObjectHash>,
        packs: Vec<PackRef>,
    ) -> io::Result<Self> {
        let out = match path {
            None => Out::Memory(Vec::new()),
            Some(path) => {
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)?;
                let mut out = BufWriter::with_capacity(1 << 18, file);
                out.write_all(&[0; HEADER])?;
                Out::File(out)
            }
        };
        Ok(Self {
            out,
            table: Table {
                records: Records::Memory(Vec::new()),
                count: 0,
                covered,
                packs,
                filter: Filter::for_count(count),
                fence: Vec::new(),
                sums: Vec::new(),
                path: path.map(Path::to_owned),
            },
            last: None,
            sum: Xxh3::new(),
        })
    }

    /// Adds a record. One that does not ascend is left out: the first of equal ids stays.
    pub(super) fn push(&mut self, record: &IndexEntry) -> io::Result<()> {
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
    pub(super) fn finish(mut self) -> io::Result<Table> {
        self.end_group();
        let mut table = self.table;
        let mut tail = Vec::new();
        table
            .covered
            .iter()
            .for_each(|h| tail.extend_from_slice(&h.0));
        table
            .packs
            .iter()
            .for_each(|p| tail.extend_from_slice(&encode_pack(p)));
        table
            .filter
            .words()
            .iter()
            .for_each(|w| tail.extend_from_slice(&w.to_le_bytes()));
        table
            .fence
            .iter()
            .chain(&table.sums)
            .for_each(|w| tail.extend_from_slice(&w.to_le_bytes()));
        match &mut self.out {
            Out::Memory(bytes) => table.records = Records::Memory(std::mem::take(bytes)),
            Out::File(out) => {
                out.write_all(&tail)?;
                let mut header = [0; HEADER];
                header[..8].copy_from_slice(&MAGIC);
                let counts = [
                    table.count,
                    table.covered.len() as u64,
                    table.packs.len() as u64,
                    table.filter.words().len() as u64,
                    table.fence.len() as u64,
                ];
                for (i, n) in counts.iter().enumerate() {
                    header[8 + 8 * i..16 + 8 * i].copy_from_slice(&n.to_le_bytes());
                }
                let sum = checksum(&header, &tail);
                header[48..56].copy_from_slice(&sum.to_le_bytes());
                out.flush()?;
                let file = out.get_mut();
                file.seek(SeekFrom::Start(0))?;
                file.write_all(&header)?;
                table.records = Records::File(file.try_clone()?);
            }
        }
        Ok(table)
    }
}

fn checksum(header: &[u8; HEADER], tail: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&header[..48]);
    sum.update(tail);
    sum.digest()
}

fn prefix(id: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id[..8]);
    u64::from_be_bytes(first)
}

fn encode_record(entry: &IndexEntry) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[..32].copy_from_slice(&entry.id.0);
    let fields = [entry.pack, entry.offset, entry.stored_len, entry.plain_len];
    for (i, n) in fields.iter().enumerate() {
        out[32 + 4 * i..36 + 4 * i].copy_from_slice(&n.to_le_bytes());
    }
    out
}

fn decode_record(bytes: &[u8; RECORD]) -> IndexEntry {
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

fn encode_pack(pack: &PackRef) -> [u8; PACK] {
    let mut out = [0; PACK];
    out[..32].copy_from_slice(&pack.hash.0);
    out[32..36].copy_from_slice(&pack.len.to_le_bytes());
    out[36] = pack.kind.code();
    out
}

fn decode_pack(bytes: &[u8; PACK]) -> Option<PackRef> {
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

#[cfg(unix)]
fn read_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_read(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> IndexEntry {
        IndexEntry {
            id: ChunkId(*blake3::hash(&n.to_le_bytes()).as_bytes()),
            pack: 0,
            offset: n as u32,
            stored_len: 5,
            plain_len: 6,
        }
    }

    fn build(path: Option<&Path>, count: u64) -> Table {
        let mut records: Vec<_> = (0..count).map(record).collect();
        records.sort_by_key(|r| r.id);
        let pack = PackRef {
            hash: ObjectHash([7; 32]),
            len: 99,
            kind: PackKind::Map,
        };
        let mut builder = Builder::new(path, count, vec![ObjectHash([1; 32])], vec![pack]).unwrap();
        for r in &records {
            builder.push(r).unwrap();
            builder.push(r).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn every_record_is_found_in_memory_and_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 127, 128, 129, 5000] {
            let path = dir.path().join(count.to_string());
            let tables = [
                build(None, count),
                build(Some(&path), count),
                Table::open(&path).unwrap(),
            ];
            for table in tables {
                assert_eq!(table.count(), count);
                assert_eq!(table.packs()[0].len, 99);
                assert_eq!(table.covered(), [ObjectHash([1; 32])]);
                for n in 0..count {
                    assert_eq!(table.get(&record(n).id).unwrap(), Some(record(n)), "{n}");
                }
                for n in count..count + 500 {
                    assert_eq!(table.get(&record(n).id).unwrap(), None);
                }
                let all: Vec<_> = table.iter().map(Result::unwrap).collect();
                assert_eq!(all.len() as u64, count);
                assert!(all.is_sorted_by(|a, b| a.id < b.id));
            }
        }
    }

    #[test]
    fn a_damaged_cache_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        build(Some(&path), 300);
        let good = std::fs::read(&path).unwrap();
        let records = HEADER..HEADER + 300 * RECORD;
        for at in (0..good.len()).filter(|at| !records.contains(at) && !(56..64).contains(at)) {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            std::fs::write(&path, &bad).unwrap();
            assert!(Table::open(&path).is_err(), "byte {at}");
        }
        for len in [0, 10, 64, 1000, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(Table::open(&path).is_err(), "cut to {len}");
        }
    }
}
