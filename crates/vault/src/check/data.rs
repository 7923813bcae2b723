//! Reads every object: hashes, and every chunk by its id.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use vault_format::index::PackRef;
use vault_format::pack::{MAX_PACK_LEN, PackKind, PackOpener, TRAILER_LEN, Trailer};
use vault_format::{Access, ChunkId, ObjectHash, ObjectName, Writer, WriterId};

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result, pack_name};
use crate::index::MAX_RUN_LEN;
use crate::packs::{Packs, Place};
use crate::vault::Vault;

use super::{Broken, CheckOptions, Finding, Report};

/// What reading one pack found.
#[derive(Default)]
struct PackReport {
    chunks: u64,
    duplicates: u64,
    findings: Vec<Finding>,
    broken: Broken,
    places: Vec<u64>,
    damaged: Option<ObjectHash>,
    /// The pack, if all of it was read and is what it should be.
    well: Option<ObjectHash>,
}

impl PackReport {
    /// Nothing new may lean on the pack.
    fn condemn(&mut self, pack: ObjectHash, why: String) {
        self.damaged = Some(pack);
        self.findings.push(Finding::ObjectDamaged {
            object: pack_name(pack),
            why,
        });
    }
}

/// Where chunks really lie, as the packs themselves tell, in eight bytes for each.
pub(super) struct Places {
    marks: Vec<u64>,
    packs: HashSet<ObjectHash>,
    /// Packs in which something is not what it should be.
    pub(super) damaged: BTreeSet<ObjectHash>,
    /// Packs in which everything was read and is right.
    pub(super) well: HashSet<ObjectHash>,
}

impl Places {
    /// Whether the chunk does not lie there. Of packs that came after the reading, nothing is
    /// known.
    pub(super) fn deny(&self, id: &ChunkId, place: &Place) -> bool {
        self.packs.contains(&place.pack.hash) && !self.hold(id, place)
    }

    /// Whether the chunk was read there, and is whole.
    pub(super) fn hold(&self, id: &ChunkId, place: &Place) -> bool {
        self.marks.binary_search(&mark(id, place)).is_ok()
    }
}

fn mark(id: &ChunkId, place: &Place) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&id.0);
    sum.update(&place.pack.hash.0);
    for n in [place.offset, place.stored_len, place.plain_len] {
        sum.update(&n.to_le_bytes());
    }
    sum.digest()
}

/// Each thread holds a whole pack, and memory is bounded before time is.
const PACKS_AT_ONCE: usize = 5;

impl Vault {
    pub(super) fn check_data(
        &self,
        options: CheckOptions,
        packs: &[(ObjectName, store::Stat)],
        writers: &HashMap<WriterId, Result<Writer>>,
        report: &mut Report,
        broken: &mut Broken,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Places> {
        self.check_index_runs(report)?;
        report.data_sealed = self.access() != Access::Full;

        let fresh = Packs::new(self.objects().clone(), self.keys().clone());
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let results = Mutex::new(Vec::new());
        let total = report.pack_bytes;
        let work = || -> Result<()> {
            let mut plain = Vec::new();
            loop {
                let Some((name, stat)) = packs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok(());
                };
                let ObjectName::Pack(hash) = name else {
                    continue;
                };
                let found = self.check_pack(&fresh, *hash, stat.len, writers, &mut plain)?;
                results
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .push(found);
                let now = done.fetch_add(stat.len, Ordering::Relaxed) + stat.len;
                progress(now, total);
            }
        };
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
        .min(PACKS_AT_ONCE);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                let panicked = |_| Err(Error::invalid("a thread that reads packs panicked"));
                worker.join().unwrap_or_else(panicked)
            })
        })?;
        let mut results = results.into_inner().unwrap_or_else(|e| e.into_inner());
        results.sort_by(|a, b| format!("{:?}", a.findings).cmp(&format!("{:?}", b.findings)));
        let (mut places, mut damaged, mut well) = (Vec::new(), BTreeSet::new(), HashSet::new());
        for found in results {
            damaged.extend(found.damaged);
            well.extend(found.well);
            places.extend(found.places);
            report.chunks_read += found.chunks;
            report.duplicate_chunks += found.duplicates;
            report.findings.extend(found.findings);
            broken.extend(found.broken);
        }
        places.sort_unstable();
        let packs = packs.iter().filter_map(|(name, _)| name.hash());
        Ok(Places {
            marks: places,
            packs: packs.collect(),
            damaged,
            well,
        })
    }

    /// An index run is a cache, but one that is damaged tells of a store that is.
    fn check_index_runs(&self, report: &mut Report) -> Result<()> {
        for (name, _) in self.objects().list("index/")? {
            match self.objects().get_verified(&name, MAX_RUN_LEN) {
                Ok(_) => {}
                // Merged into another one, or removed, since the listing.
                Err(Error::Store(e)) if e.is_not_found() => {}
                Err(e) => report.findings.push(Finding::ObjectDamaged {
                    object: name.to_string(),
                    why: self.objects().of_one(e)?.to_string(),
                }),
            }
        }
        Ok(())
    }

    fn check_pack(
        &self,
        packs: &Packs,
        hash: ObjectHash,
        len: u64,
        writers: &HashMap<WriterId, Result<Writer>>,
        plain: &mut Vec<u8>,
    ) -> Result<PackReport> {
        // The kind is not known yet, and not asked for.
        let pack = PackRef {
            hash,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            kind: PackKind::Data,
        };
        if len > MAX_PACK_LEN {
            let mut report = PackReport::default();
            let why = format!("it has {len} bytes, and a pack at most {MAX_PACK_LEN}");
            report.condemn(hash, why);
            return Ok(report);
        }
        let checked = packs.fetch(&pack, 0, pack.len as usize, |bytes| {
            self.check_bytes(packs, pack, bytes, writers, plain)
        });
        checked.or_else(|e| {
            let mut report = PackReport::default();
            let e = self.objects().of_one(e)?;
            report.condemn(hash, format!("it cannot be read: {e}"));
            Ok(report)
        })
    }

    /// Checks a pack of which all bytes are at hand; they are used up.
    fn check_bytes(
        &self,
        packs: &Packs,
        pack: PackRef,
        bytes: &mut [u8],
        writers: &HashMap<WriterId, Result<Writer>>,
        plain: &mut Vec<u8>,
    ) -> PackReport {
        let mut report = PackReport::default();
        let whole = ObjectHash::of(bytes) == pack.hash;
        if !whole {
            let why = "its bytes do not have the hash in its name";
            report.condemn(pack.hash, why.to_owned());
        }
        let read = PackOpener::new(self.keys(), bytes).and_then(|opener| {
            let trailer = Trailer::decode(bytes, bytes.len() as u64)?;
            let start = trailer.directory_offset as usize;
            let sealed = &bytes[start..bytes.len() - TRAILER_LEN];
            let directory = opener.directory(&trailer, sealed)?;
            let author = opener.header().writer();
            let known = writers.get(&author).and_then(|writer| writer.as_ref().ok());
            if let Some(writer) = known {
                opener.verify(&trailer, sealed, &writer.public)?;
            }
            let unknown = known.is_none().then_some(author);
            Ok((opener.header().kind(), directory, unknown))
        });
        let (kind, entries) = match read {
            Ok((kind, directory, unknown)) => {
                report
                    .findings
                    .extend(unknown.map(|writer| Finding::UnknownWriter {
                        object: pack_name(pack.hash),
                        writer,
                    }));
                (kind, directory.into_entries())
            }
            Err(e) => {
                if whole {
                    report.condemn(pack.hash, e.to_string());
                }
                // What the index places in it is as good as lost, chunk by chunk.
                self.check_by_index(packs, pack.hash, bytes, plain, &mut report);
                return report;
            }
        };
        let sealed = kind == PackKind::Data && self.access() != Access::Full;
        for entry in entries {
            let place = Place {
                pack: PackRef { kind, ..pack },
                offset: entry.offset,
                stored_len: entry.stored_len,
                plain_len: entry.plain_len,
            };
            if sealed {
                report.places.push(mark(&entry.id, &place));
            } else {
                // No two chunks of a directory lie in one place, so none is used up before.
                let sealed = bytes.get_mut(lies(&place));
                self.check_chunk(packs, &entry.id, &place, sealed, plain, &mut report);
            }
        }
        // Its writer stored what it did not mean to: memory that failed, or malice.
        if whole && !report.broken.is_empty() {
            let count = report.broken.len();
            let why = format!("{count} of its chunks do not open or are not what their ids tell");
            report.condemn(pack.hash, why);
        }
        // Of chunks that this key does not open, nothing is known.
        report.well = (report.damaged.is_none() && !sealed).then_some(pack.hash);
        report
    }

    /// For a pack whose own directory is gone: what the index knows of it.
    fn check_by_index(
        &self,
        packs: &Packs,
        hash: ObjectHash,
        bytes: &[u8],
        plain: &mut Vec<u8>,
        report: &mut PackReport,
    ) {
        for (id, place) in self.index().entries_of(hash) {
            let mut sealed = bytes.get(lies(&place)).map(<[u8]>::to_vec);
            let sealed = sealed.as_deref_mut();
            self.check_chunk(packs, &id, &place, sealed, plain, report);
        }
    }

    fn check_chunk(
        &self,
        packs: &Packs,
        id: &ChunkId,
        place: &Place,
        sealed: Option<&mut [u8]>,
        plain: &mut Vec<u8>,
        report: &mut PackReport,
    ) {
        let opened = match (sealed, place.room(plain)) {
            (Some(sealed), Ok(plain)) => packs.open(id, place, sealed, plain),
            (None, _) => Err(Error::map("it lies beyond the end of its pack")),
            (_, Err(e)) => Err(e),
        };
        match opened {
            Ok(()) => {
                report.chunks += 1;
                report.places.push(mark(id, place));
                let used = self.index().known(id);
                if used.is_some_and(|used| used.pack.hash != place.pack.hash) {
                    report.duplicates += 1;
                }
            }
            Err(e) => {
                report.broken.insert(*id, e.to_string());
            }
        }
    }
}

/// Where a sealed chunk lies in the bytes of its pack.
fn lies(place: &Place) -> Range<usize> {
    let start = place.offset as usize;
    start..start.saturating_add(place.stored_len as usize)
}
