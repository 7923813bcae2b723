//! Is everything there, and is it what it should be?
//!
//! *Structure*: every point opens, every map is whole, every chunk has a place in a pack that is
//! there and has the right size. Costs the maps and the listing, and needs no data key.
//! *Data*, on top: every object's bytes have the hash in its name, and every chunk opens and has
//! its id.
//!
//! What is damaged is told once, with everything that it affects: points, maps, ranges.

mod affected;
mod data;
mod walk;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use vault_format::{ChunkId, NodeId, ObjectName, PointId, VmKey, WriterId};

use crate::error::{Result, Warning, pack_name};
use crate::packs::Packs;
use crate::points::{Point, SignedBy};
use crate::tree::Nodes;
use crate::vault::Vault;

pub use affected::{Affected, MapOf};

/// How thorough to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Also read all data.
    pub read_data: bool,
    /// Threads that read data; 0 for as many as there are processors.
    pub threads: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A restore point cannot be read.
    PointUnreadable {
        /// The point's object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// A restore point is signed by a writer that the vault does not know.
    UnknownWriter {
        /// The point's object.
        object: String,
        /// The writer.
        writer: WriterId,
    },
    /// A pack that the index names is not in the store, or has another size.
    PackMissing {
        /// The pack.
        object: String,
    },
    /// An object's bytes are not those that were stored.
    ObjectDamaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// A chunk or node that points need is nowhere, or cannot be read.
    ChunkLost {
        /// The chunk, or the node of a disk map.
        id: ChunkId,
        /// What is wrong with it.
        why: String,
        /// What cannot be restored because of it.
        affected: Vec<Affected>,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PointUnreadable { object, why } => write!(f, "{object} cannot be read: {why}"),
            Self::UnknownWriter { object, writer } => {
                write!(
                    f,
                    "{object} is signed by writer {writer}, which the vault does not know"
                )
            }
            Self::PackMissing { object } => {
                write!(f, "{object} is missing or has another size than it should")
            }
            Self::ObjectDamaged { object, why } => write!(f, "{object} is damaged: {why}"),
            Self::ChunkLost { id, why, affected } => {
                write!(f, "chunk {id} is lost ({why}); affected:")?;
                affected.iter().try_for_each(|a| write!(f, " {a};"))
            }
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
    /// What was noticed without harm to any point.
    pub warnings: Vec<Warning>,
    /// Restore points that were read.
    pub points: u64,
    /// Nodes of maps that were read.
    pub nodes: u64,
    /// References to chunks that were followed.
    pub references: u64,
    /// Packs in the store.
    pub packs: u64,
    /// Bytes of all packs in the store.
    pub pack_bytes: u64,
    /// Chunks that were read and had their id (only when data was read).
    pub chunks_read: u64,
    /// Chunks that lie in several packs, counted once for each copy beyond the first (only when
    /// data was read). They cost space and harm nothing.
    pub duplicate_chunks: u64,
    /// Whether data could not be read because the vault was opened without the private data
    /// key: then only hashes of objects were checked.
    pub data_sealed: bool,
}

impl Report {
    /// Points of which something is lost, and points that cannot be read at all are not among
    /// them.
    pub fn affected_points(&self) -> Vec<(VmKey, PointId)> {
        let affected = self.findings.iter().flat_map(|finding| match finding {
            Finding::ChunkLost { affected, .. } => affected.as_slice(),
            _ => &[],
        });
        let mut points: Vec<_> = affected.map(|a| (a.vm, a.point)).collect();
        points.sort_unstable();
        points.dedup();
        points
    }
}

/// What is known to be broken, by id, and why.
type Broken = BTreeMap<ChunkId, String>;

impl Vault {
    /// Checks the vault. `progress` is told bytes read and bytes to read of packs, from any
    /// thread, when data is read.
    ///
    /// # Errors
    /// Only when the store cannot be asked; everything that is wrong *in* the vault is in the
    /// report.
    pub fn check(
        &self,
        options: CheckOptions,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Report> {
        let mut report = Report::default();
        self.index().refresh()?;
        self.index().verify();
        self.index().adopt(false)?;
        self.index().search()?;
        let mut lost: Vec<_> = self.index().lost().into_iter().collect();
        lost.sort_unstable();
        report
            .findings
            .extend(lost.into_iter().map(|hash| Finding::PackMissing {
                object: pack_name(hash),
            }));
        let points = self.check_points(&mut report)?;

        let mut broken = Broken::new();
        let mut places = None;
        if options.read_data {
            places = Some(self.check_data(options, &mut report, &mut broken, progress)?);
        } else {
            for (_, stat) in self.objects().list("packs/")? {
                report.packs += 1;
                report.pack_bytes += stat.len;
            }
        }
        let damaged: HashSet<ChunkId> = broken.keys().copied().collect();
        // Nothing that was read before may hide what is damaged now.
        let packs = Arc::new(Packs::new(self.objects().clone(), self.keys().clone()));
        let segment = self.description().segment;
        let nodes = Nodes::new(self.index().clone(), packs, segment);
        let mut walk = walk::Walk::new(&nodes, self.index(), &damaged, places.as_ref());
        for point in &points {
            for root in point.outline.roots() {
                walk.map(&root)?;
            }
        }
        report.nodes = walk.count();
        report.references = walk.references;
        // Damage that nothing refers to is told by its object and needs no more.
        let mut needed = walk.into_broken();
        for (id, why) in &mut needed {
            if let Some(reason) = broken.remove(id) {
                *why = reason;
            }
        }
        report
            .findings
            .extend(affected::affected(&nodes, &points, needed)?);
        // A lost pack is a finding already.
        let warnings = self.take_warnings().into_iter();
        report.warnings = warnings
            .filter(|w| !matches!(w, Warning::PackLost { .. }))
            .collect();
        Ok(report)
    }

    fn check_points(&self, report: &mut Report) -> Result<Vec<Point>> {
        let mut writers = self.writers()?;
        for (id, writer) in &writers {
            if let Err(e) = writer {
                report.findings.push(Finding::ObjectDamaged {
                    object: ObjectName::Writer(*id).to_string(),
                    why: e.to_string(),
                });
            }
        }
        writers.retain(|_, writer| writer.is_ok());
        let mut points = Vec::new();
        for point in self.points(None)? {
            let read = self.point_by(&point, |id| {
                Ok(writers.get(&id).and_then(|w| w.as_ref().ok()).cloned())
            });
            let read = read.and_then(|read| {
                if self.access() == vault_format::Access::Full {
                    read.details()?;
                }
                Ok(read)
            });
            match read {
                Ok(read) => {
                    if let SignedBy::Unknown(writer) = read.signed_by {
                        report.findings.push(Finding::UnknownWriter {
                            object: point.name().to_string(),
                            writer,
                        });
                    }
                    report.points += 1;
                    points.push(read);
                }
                Err(crate::Error::Store(e)) => return Err(e.into()),
                Err(e) => report.findings.push(Finding::PointUnreadable {
                    object: point.name().to_string(),
                    why: e.to_string(),
                }),
            }
        }
        Ok(points)
    }
}

/// A node as the chunk that it is stored as.
fn as_chunk(node: NodeId) -> ChunkId {
    node.into()
}
