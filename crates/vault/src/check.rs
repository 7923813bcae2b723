//! Is everything there, and is it what it should be?
//!
//! *Structure*: every point opens, every map is whole and as long as its point tells, every chunk
//! has a place in a pack that is there and has the right size; keys, tokens and signs of life open.
//! Costs the maps and the listing, and needs no data key.
//! *Data*, on top: every object's bytes have the hash in its name, and every chunk opens and has
//! its id, and every pack is signed by a writer that the vault knows. What is found damaged is noted
//! in the cache, so that no new backup leans on it.
//!
//! What is damaged is told once, with everything that it affects: points, maps, ranges.

mod affected;
mod data;
mod small;
mod walk;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use vault_format::{ChunkId, NodeId, PointId, VmKey, Writer, WriterId};

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
    /// Threads that read data; 0 for as many as there are processors. Each holds a pack, so more than
    /// five are not used.
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
    /// A restore point or a pack is signed by a writer that the vault does not know.
    UnknownWriter {
        /// The point or pack.
        object: String,
        /// The writer.
        writer: WriterId,
    },
    /// A pack that the index names is not in the store, or has another size.
    PackMissing {
        /// The pack.
        object: String,
    },
    /// A restore point tells another length of a layer or file than its map has.
    LengthDiffers {
        /// The VM, by its name in the vault.
        vm: VmKey,
        /// The restore point.
        point: PointId,
        /// The layer or file.
        map: MapOf,
        /// Bytes by the point.
        told: u64,
        /// Bytes by the map.
        found: u64,
    },
    /// An object's bytes are not those that were stored, or its writer stored what cannot be used.
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
            Self::LengthDiffers {
                vm,
                point,
                map,
                told,
                found,
            } => write!(
                f,
                "point {point} of VM {vm} tells {told} bytes for {map}, whose map has {found}"
            ),
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
    /// Packs that no restore point needs: left by a backup that did not finish or is still running,
    /// or by points that were removed. They cost space and harm nothing.
    pub unreferenced_packs: Vec<String>,
    /// Bytes of them.
    pub unreferenced_bytes: u64,
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
    /// Whether a finding is about this object.
    fn names(&self, name: &str) -> bool {
        self.findings.iter().any(|finding| match finding {
            Finding::PackMissing { object } | Finding::ObjectDamaged { object, .. } => {
                object == name
            }
            _ => false,
        })
    }

    /// Points of which something is lost, and points that cannot be read at all are not among
    /// them.
    pub fn affected_points(&self) -> Vec<(VmKey, PointId)> {
        let mut points = Vec::new();
        for finding in &self.findings {
            match finding {
                Finding::ChunkLost { affected, .. } => {
                    points.extend(affected.iter().map(|a| (a.vm, a.point)));
                }
                Finding::LengthDiffers { vm, point, .. } => points.push((*vm, *point)),
                _ => {}
            }
        }
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
        let writers = self.writers()?;
        let points = self.check_points(&mut report, &writers)?;
        self.check_small(&mut report, &writers)?;
        let packs = self.objects().list("packs/")?;
        report.packs = packs.len() as u64;
        report.pack_bytes = packs.iter().map(|(_, stat)| stat.len).sum();

        let mut broken = Broken::new();
        let mut places = None;
        if options.read_data {
            let read = self.check_data(
                options,
                &packs,
                &writers,
                &mut report,
                &mut broken,
                progress,
            )?;
            self.index().judge(&read.well, &read.damaged)?;
            self.index().search()?;
            // What one pack has lost, another one may hold.
            let whole = |id: &ChunkId| {
                let all = self.index().places(id);
                all.iter().any(|place| read.hold(id, place))
            };
            broken.retain(|id, _| !whole(id));
            places = Some(read);
        }
        let damaged: HashSet<ChunkId> = broken.keys().copied().collect();
        // Nothing that was read before may hide what is damaged now.
        let fresh = Arc::new(Packs::new(self.objects().clone(), self.keys().clone()));
        let segment = self.description().segment;
        let nodes = Nodes::new(self.index().clone(), fresh, segment);
        let index = self.index();
        let mut walk = walk::Walk::new(self.objects(), &nodes, index, &damaged, places.as_ref());
        for point in &points {
            let outline = &point.outline;
            for (root, told, map) in affected::maps(point) {
                let found = walk.map(&root)?.filter(|found| *found != told);
                report
                    .findings
                    .extend(found.map(|found| Finding::LengthDiffers {
                        vm: outline.vm,
                        point: outline.point,
                        map,
                        told,
                        found,
                    }));
            }
        }
        report.nodes = walk.count();
        report.references = walk.references;
        for (name, stat) in &packs {
            if name.hash().is_some_and(|hash| !walk.used().contains(&hash)) {
                report.unreferenced_packs.push(name.to_string());
                report.unreferenced_bytes += stat.len;
            }
        }
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
        // What is a finding already is not told again. One that was met on the way, and whose place
        // another copy took, is none.
        let mut warnings = self.take_warnings();
        warnings.retain(|warning| match warning {
            Warning::PackLost { object } | Warning::PackDamaged { object, .. } => {
                !report.names(object)
            }
            _ => true,
        });
        report.warnings.extend(warnings);
        Ok(report)
    }

    fn check_points(
        &self,
        report: &mut Report,
        writers: &HashMap<WriterId, Result<Writer>>,
    ) -> Result<Vec<Point>> {
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
                Err(e) => report.findings.push(Finding::PointUnreadable {
                    object: point.name().to_string(),
                    why: self.objects().of_one(e)?.to_string(),
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
