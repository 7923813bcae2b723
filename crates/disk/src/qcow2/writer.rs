//! Writing a new QCOW2.
//!
//! ```text
//! header │ L1 table │ data clusters and L2 tables as they come │ refcount blocks │ refcount table
//! ```
//!
//! Clusters go to the end of the file in the order in which the disk's first bytes of them come, and
//! none is ever given back: so each has exactly one reference, and refcounts need no memory. The
//! header is written last, after a sync of everything it leads to; without it no reader takes the
//! file for a QCOW2.
//!
//! Of the L2 tables, which take 8 GiB for the largest disk, at most [`TABLES`] are in memory; one that is
//! wanted again is read back.

use crate::block::{Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::range::ByteRange;
use crate::write::DiskWrite;

/// Bytes of one cluster: the unit of allocation.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Entries of 8 bytes in a table of one cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// Bytes of the disk that one L2 table maps.
const TABLE_SPAN: u64 = ENTRIES * CLUSTER;
/// Refcounts of 16 bits in a block of one cluster.
const COUNTS: u64 = CLUSTER / 2;
/// Set in an entry whose cluster has exactly one reference.
const COPIED: u64 = 1 << 63;
/// L2 tables in memory: 1 MiB.
const TABLES: usize = 16;
const MAGIC: [u8; 4] = *b"QFI\xfb";
const HEADER_LEN: u32 = 104;

/// A new QCOW2 being written.
pub struct Qcow2Writer<F> {
    file: F,
    geometry: Geometry,
    /// Where each L2 table is; 0 where there is none.
    l1: Vec<u64>,
    /// The tables in memory, the one used last at the end.
    tables: Vec<Table>,
    /// Where the next cluster goes.
    end: u64,
}

/// An L2 table in memory.
struct Table {
    /// Its entry in the L1 table.
    index: usize,
    /// Where each cluster is; 0 where there is none.
    clusters: Vec<u64>,
    /// Whether the file has it as it is.
    kept: bool,
}

impl<F: WriteAt> Qcow2Writer<F> {
    /// Starts an image of `len` bytes on an empty file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a size that is no whole sectors of 512 or more than 64 TiB, or when the
    /// file already holds bytes.
    pub fn create(file: F, len: u64) -> Result<Self> {
        if file
            .len()
            .map_err(Error::io("asking for the new file's length"))?
            != 0
        {
            return Err(Error::Invalid("a new image needs an empty file".into()));
        }
        if len == 0 || !len.is_multiple_of(512) || len > crate::raw::MAX_LEN {
            let why =
                format!("a QCOW2 of {len} bytes: it takes whole sectors of 512, up to 64 TiB");
            return Err(Error::Invalid(why));
        }
        // At most 131072, of a disk of 64 TiB.
        let l1 = vec![0; len.div_ceil(TABLE_SPAN) as usize];
        let end = CLUSTER + (l1.len() as u64 * 8).next_multiple_of(CLUSTER);
        Ok(Self {
            file,
            geometry: Geometry {
                len,
                logical_sector: 512,
                physical_sector: 512,
            },
            l1,
            tables: Vec::new(),
            end,
        })
    }

    fn put(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let put = self.file.write_all_at(bytes, at);
        put.map_err(Error::io("writing the QCOW2"))
    }

    /// The table of this entry of L1, in memory; `None` where there is none and none is to be made.
    fn table(&mut self, index: usize, make: bool) -> Result<Option<&mut Table>> {
        let found = self.tables.iter().position(|table| table.index == index);
        let table = match found {
            Some(at) => self.tables.remove(at),
            None => {
                let kept = self.l1[index] != 0;
                let clusters = match self.l1[index] {
                    0 if !make => return Ok(None),
                    0 => {
                        self.l1[index] = self.allocate();
                        vec![0; ENTRIES as usize]
                    }
                    at => {
                        let mut bytes = vec![0; CLUSTER as usize];
                        self.file
                            .read_exact_at(&mut bytes, at)
                            .map_err(Error::io("reading back the QCOW2"))?;
                        let (entries, _) = bytes.as_chunks::<8>();
                        let entries = entries.iter().map(|entry| u64::from_be_bytes(*entry));
                        entries.map(|entry| entry & !COPIED).collect()
                    }
                };
                if self.tables.len() >= TABLES {
                    let oldest = self.tables.remove(0);
                    self.keep(&oldest)?;
                }
                Table {
                    index,
                    clusters,
                    kept,
                }
            }
        };
        self.tables.push(table);
        Ok(self.tables.last_mut())
    }

    /// Space for one cluster at the end of the file.
    fn allocate(&mut self) -> u64 {
        let at = self.end;
        self.end += CLUSTER;
        at
    }

    /// Where this byte of the disk is in the file; `None` where nothing is and nothing is to be.
    fn place(&mut self, offset: u64, make: bool) -> Result<Option<u64>> {
        let index = (offset / TABLE_SPAN) as usize;
        let entry = (offset % TABLE_SPAN / CLUSTER) as usize;
        // Where the cluster goes if it has no place yet and its table has one.
        let Some(table) = self.table(index, make)? else {
            return Ok(None);
        };
        let mut at = table.clusters[entry];
        if at == 0 && !make {
            return Ok(None);
        }
        if at == 0 {
            at = self.allocate();
            if let Some(table) = self.tables.last_mut() {
                table.clusters[entry] = at;
                table.kept = false;
            }
        }
        Ok(Some(at + offset % CLUSTER))
    }

    /// Writes a table to its place.
    fn keep(&self, table: &Table) -> Result<()> {
        match table.kept {
            true => Ok(()),
            false => self.put(self.l1[table.index], &entries(&table.clusters)),
        }
    }

    fn keep_all(&mut self) -> Result<()> {
        for table in &self.tables {
            self.keep(table)?;
        }
        for table in &mut self.tables {
            table.kept = true;
        }
        Ok(())
    }

    /// Writes the refcounts of all clusters, their own included, and tells where their table is and
    /// how many clusters it takes.
    fn count(&mut self) -> Result<(u64, u64)> {
        let used = self.end / CLUSTER;
        let (mut blocks, mut table) = (0u64, 0u64);
        // Each step needs at most what the last one added: a few steps, and 2^30 clusters need 32768
        // blocks.
        loop {
            let total = used + blocks + table;
            let (more, longer) = (total.div_ceil(COUNTS), (blocks * 8).div_ceil(CLUSTER));
            if (more, longer) == (blocks, table) {
                break;
            }
            (blocks, table) = (more, longer);
        }
        let first = self.end;
        let total = used + blocks + table;
        let mut counts = [0u8, 1].repeat(COUNTS as usize);
        let mut places = Vec::with_capacity(blocks as usize);
        for block in 0..blocks {
            let here = (total - block * COUNTS).min(COUNTS) as usize;
            counts[here * 2..].fill(0);
            let at = first + block * CLUSTER;
            self.put(at, &counts)?;
            places.push(at);
        }
        let at = first + blocks * CLUSTER;
        let places: Vec<u8> = places.iter().flat_map(|at| at.to_be_bytes()).collect();
        self.put(at, &places)?;
        self.end = at + table * CLUSTER;
        Ok((at, table))
    }

    fn header(&self, counts: (u64, u64)) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LEN as usize + 8);
        header.extend(MAGIC);
        header.extend(3u32.to_be_bytes());
        // No backing file.
        header.extend([0; 12]);
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.geometry.len.to_be_bytes());
        // Not encrypted.
        header.extend([0; 4]);
        header.extend((self.l1.len() as u32).to_be_bytes());
        header.extend(CLUSTER.to_be_bytes());
        header.extend(counts.0.to_be_bytes());
        header.extend((counts.1 as u32).to_be_bytes());
        // No snapshots; no features, lazy refcounts among them.
        header.extend([0; 12 + 24]);
        // Refcounts have 2 to the power of 4 bits.
        header.extend(4u32.to_be_bytes());
        header.extend(HEADER_LEN.to_be_bytes());
        // The end of the header's extensions.
        header.extend([0; 8]);
        header
    }

    fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the QCOW2"))
    }
}

/// A table as the file has it. Every cluster has one reference.
fn entries(places: &[u64]) -> Vec<u8> {
    let entry = |at: &u64| match at {
        0 => 0u64,
        at => at | COPIED,
    };
    places
        .iter()
        .flat_map(|at| entry(at).to_be_bytes())
        .collect()
}

impl<F: WriteAt> DiskWrite for Qcow2Writer<F> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        check_bounds(self.geometry.len, offset, data.len() as u64)?;
        // What lies together in the file is written together.
        let mut run: Option<(u64, usize)> = None;
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let take = (data.len() - done).min((CLUSTER - at % CLUSTER) as usize);
            let Some(place) = self.place(at, true)? else {
                return Err(Error::Invalid(format!("no cluster for byte {at}")));
            };
            run = match run {
                Some((start, from)) if start + (done - from) as u64 == place => Some((start, from)),
                Some((start, from)) => {
                    self.put(start, &data[from..done])?;
                    Some((place, done))
                }
                None => Some((place, done)),
            };
            done += take;
        }
        match run {
            Some((start, from)) => self.put(start, &data[from..]),
            None => Ok(()),
        }
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        check_bounds(self.geometry.len, range.start, range.len())?;
        let zeros = vec![0; CLUSTER.min(range.len()) as usize];
        let mut at = range.start;
        while at < range.end {
            let span_end = (at / TABLE_SPAN + 1).saturating_mul(TABLE_SPAN);
            if self.table((at / TABLE_SPAN) as usize, false)?.is_none() {
                at = span_end.min(range.end);
                continue;
            }
            let take = (range.end - at).min(CLUSTER - at % CLUSTER);
            if let Some(place) = self.place(at, false)? {
                self.put(place, &zeros[..take as usize])?;
            }
            at += take;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.keep_all()?;
        self.sync()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.keep_all()?;
        self.put(CLUSTER, &entries(&self.l1))?;
        let counts = self.count()?;
        // Whole clusters: what was not written of the last ones reads as zeros.
        self.file
            .set_len(self.end)
            .map_err(Error::io("setting the image's length"))?;
        self.sync()?;
        self.put(0, &self.header(counts))?;
        self.sync()
    }
}
