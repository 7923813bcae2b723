//! Backups and restores over a store in memory, against a plain model of chains.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use disk::layer::{Format, ParentLink, VhdxInfo};
use disk::{BlockRead, ByteRange, ByteRanges, Content, Extent, Geometry, LayerInfo};
use store::MemoryStore;
use testkit::image::noise;
use uuid::Uuid;
use vault::{Argon2Cost, Env, InitOptions};

use super::*;
use crate::changes::Changed;
use crate::point::Reading;
use crate::progress::Quiet;
use crate::restore::Opened;
use crate::restore::layer::open_chain;
use crate::source::{
    Consistency, DiskUse, End, Finished, FrozenLayer, FrozenView, FrozenVm, Listing, Moved, Owner,
    RelPath, Request,
};

mod audit;
mod base;
mod beside;
mod bounds;
mod chance;
#[cfg(unix)]
mod hooks;
mod later;
mod property;
mod rest;
mod trouble;

const SECTOR: u64 = 4096;
const SECTORS: u64 = 96;
const LEN: u64 = SECTOR * SECTORS;

struct Still;

impl Clock for Still {
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    fn unix_seconds(&self) -> u64 {
        1_700_000_000
    }
    fn sleep(&self, span: Duration) {
        panic!("nobody waits for {span:?} here");
    }
}

/// What a layer says about one sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sector {
    Hole,
    Zero,
    Data(u64),
}

#[derive(Debug, Clone)]
struct Model {
    info: LayerInfo,
    sectors: Vec<Sector>,
    /// Reading this sector fails.
    broken: Option<u64>,
    /// Reading anything panics.
    cursed: bool,
    reads: Arc<Mutex<u64>>,
    /// Sectors that were read.
    touched: Arc<Mutex<BTreeSet<u64>>>,
}

impl Model {
    fn new(parent: Option<&Model>, number: u128) -> Self {
        let parent = parent.and_then(|parent| parent.info.identity());
        Self {
            info: LayerInfo {
                geometry: Geometry {
                    len: LEN,
                    logical_sector: 4096,
                    physical_sector: 4096,
                },
                format: Format::Vhdx(VhdxInfo {
                    block_size: 1 << 20,
                    fixed: false,
                    disk_id: Uuid::from_u128(1),
                    data_write_guid: Uuid::from_u128(number),
                    file_write_guid: Uuid::from_u128(number),
                    creator: String::new(),
                    metadata: vec![],
                    dirty_log: false,
                }),
                parent: parent.map(|identity| ParentLink {
                    identities: vec![identity],
                    paths: vec![],
                    other: vec![],
                    timestamp: None,
                }),
            },
            sectors: vec![Sector::Hole; SECTORS as usize],
            broken: None,
            cursed: false,
            reads: Arc::default(),
            touched: Arc::default(),
        }
    }
}

impl BlockRead for Model {
    fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        disk::block::check_bounds(LEN, offset, buf.len() as u64)?;
        assert!(!self.cursed, "this layer is cursed");
        *self.reads.lock().unwrap() += buf.len() as u64;
        let end = (offset + buf.len() as u64).div_ceil(SECTOR);
        self.touched.lock().unwrap().extend(offset / SECTOR..end);
        for (at, byte) in (offset..).zip(buf) {
            if self.broken == Some(at / SECTOR) {
                return Err(disk::Error::damaged("test disk", "a bad sector"));
            }
            *byte = match self.sectors[(at / SECTOR) as usize] {
                Sector::Hole | Sector::Zero => 0,
                Sector::Data(seed) => {
                    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ (at % SECTOR / 8)) as u8
                }
            };
        }
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        let mut list = disk::extent::ExtentList::new();
        let mut at = range.start;
        while at < range.end {
            let end = ((at / SECTOR + 1) * SECTOR).min(range.end);
            let content = match self.sectors[(at / SECTOR) as usize] {
                Sector::Hole => Content::Hole,
                Sector::Zero => Content::Zero,
                Sector::Data(_) => Content::Data,
            };
            list.push(ByteRange::new(at, end), content);
            at = end;
        }
        Ok(list.into_vec())
    }
}

/// A chain, base first, as one VM.
struct ModelSource {
    chain: Vec<Model>,
    /// What changed in the leaf since the last time, if that is known.
    changed: Option<ByteRanges>,
    /// This layer moves while it is read.
    moves: Option<usize>,
    /// The VM's id.
    id: u128,
    /// Where its disk is attached.
    slots: Vec<String>,
    findings: Vec<Finding>,
    /// Looking again when all was read panics.
    panics: bool,
    ends: Arc<Mutex<Vec<End>>>,
}

struct ModelVm {
    view: FrozenView,
    moves: Option<usize>,
    panics: bool,
    ends: Arc<Mutex<Vec<End>>>,
}

impl Source for ModelSource {
    fn describe(&self) -> String {
        "model".to_owned()
    }
    fn list(&mut self) -> Result<Listing, SourceError> {
        Ok(Listing {
            vms: vec![VmRef {
                key: "vm".to_owned(),
                id: Uuid::from_u128(self.id),
                name: "vm".to_owned(),
                kind: Default::default(),
            }],
            findings: vec![],
        })
    }
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let last = self.chain.len() - 1;
        let unknown = || Changed::Unknown {
            why: "not told".to_owned(),
        };
        let layers = self
            .chain
            .iter()
            .enumerate()
            .map(|(index, model)| FrozenLayer {
                path: RelPath::new(format!("{index}.vhdx")).unwrap(),
                origin: format!("/model/{}", model.info.identity().unwrap()),
                read_from: None,
                place: None,
                info: model.info.clone(),
                parent: index.checked_sub(1),
                interior: index < last,
                changed: match &self.changed {
                    Some(ranges) if index == last && request.token.is_some() => {
                        Changed::Ranges(ranges.clone())
                    }
                    _ => unknown(),
                },
                data: Arc::new(model.clone()),
            });
        Ok(Box::new(ModelVm {
            view: FrozenView {
                id: vm.id,
                name: vm.name.clone(),
                mode: "model".to_owned(),
                mode_reason: None,
                consistency: Consistency::Offline,
                config: None,
                files: vec![],
                layers: layers.collect(),
                uses: self.slots.iter().map(|slot| used(slot, last)).collect(),
                checkpoints: vec![],
                current: None,
                missing: vec![],
                findings: self.findings.clone(),
                not_covered: vec![],
            },
            moves: self.moves,
            panics: self.panics,
            ends: Arc::clone(&self.ends),
        }))
    }
}

impl FrozenVm for ModelVm {
    fn view(&self) -> &FrozenView {
        &self.view
    }
    fn recheck(&mut self) -> Vec<Moved> {
        assert!(!self.panics, "a look too many");
        let moved = self.moves.map(|layer| Moved {
            layer: Some(layer),
            finding: Finding::new(
                Code::ChangedDuringBackup,
                Severity::Partial,
                "layer",
                "moved",
            )
            .hint("stop what writes to it"),
        });
        moved.into_iter().collect()
    }
    fn finish(self: Box<Self>, end: End) -> Finished {
        self.ends.lock().unwrap().push(end);
        let left = Finding::new(Code::CleanupFailed, Severity::Warning, "host", "left");
        Finished {
            token: (end == End::Durable).then(|| b"token".to_vec()),
            findings: match end {
                End::Durable => vec![],
                End::Abandoned => vec![left.hint("see to it")],
            },
        }
    }
}

fn used(slot: &str, layer: usize) -> DiskUse {
    DiskUse {
        owner: Owner::Vm,
        slot: slot.to_owned(),
        layer,
        consistency: Some(Consistency::Offline),
    }
}

fn source(chain: Vec<Model>) -> ModelSource {
    ModelSource {
        chain,
        changed: None,
        moves: None,
        id: 42,
        slots: vec!["SCSI 0:0".to_owned()],
        findings: vec![],
        panics: false,
        ends: Arc::default(),
    }
}

fn vault() -> Vault {
    vault_in(&Arc::new(MemoryStore::default())).0
}

fn vault_in(store: &Arc<MemoryStore>) -> (Vault, vault::RecoveryCode) {
    vault_of(store, Env::system())
}

fn vault_of(store: &Arc<MemoryStore>, env: Env) -> (Vault, vault::RecoveryCode) {
    let options = InitOptions {
        passphrase: None,
        cost: Argon2Cost::default(),
        segment: 64 << 10,
        cutter: vault::CutterSizes {
            min: 4096,
            average: 8192,
            max: 16384,
            ..Default::default()
        },
        writer: "test",
    };
    Vault::init(store.clone(), &options, env).unwrap()
}

/// Without an audit, so that what is read can be told.
fn run_backup(vault: &Vault, source: &mut ModelSource, level: Level) -> VmReport {
    run_audited(vault, source, level, Audit::OFF)
}

fn run_audited(vault: &Vault, source: &mut ModelSource, level: Level, audit: Audit) -> VmReport {
    let job = Job {
        vault,
        clock: &Still,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits: Limits {
            workers: 2,
            in_flight: 256 << 10,
            results: 256 << 10,
        },
    };
    let options = Options {
        level,
        audit,
        ..Options::default()
    };
    let mut next = noise(vault.points(None).unwrap().len() as u64 + 1, 1 << 14).into_iter();
    let mut rng = |out: &mut [u8]| out.iter_mut().for_each(|b| *b = next.next().unwrap());
    let mut report = backup(&job, source, &options, &mut rng).unwrap();
    report.vms.remove(0)
}

fn opened(vault: &Vault, report: &VmReport) -> Opened {
    let id = report.point.as_ref().unwrap();
    let all = vault.points(None).unwrap();
    let reference = all.iter().find(|p| p.point.to_string() == *id).unwrap();
    Opened::open(&vault.point(reference).unwrap()).unwrap()
}

fn contents(disk: &dyn BlockRead) -> Vec<u8> {
    let mut bytes = vec![0; disk.len() as usize];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
}

/// What a guest sees of a chain, base first.
fn expected(chain: &[Model]) -> Vec<u8> {
    let mut flat = Model::new(None, 0);
    for layer in chain {
        for (below, above) in flat.sectors.iter_mut().zip(&layer.sectors) {
            if *above != Sector::Hole {
                *below = *above;
            }
        }
    }
    contents(&flat)
}

/// Every layer by itself, and the whole chain, are in the point exactly as they are.
fn check(vault: &Vault, report: &VmReport, chain: &[Model]) {
    let point = opened(vault, report);
    for (index, model) in chain.iter().enumerate() {
        let root = &point.layer_roots[index];
        let info = &point.details.layers[index].info;
        let layer = crate::restore::layer::VaultLayer::open(vault, root, info).unwrap();
        assert_eq!(*info, model.info);
        assert_eq!(contents(&layer), contents(model), "layer {index}");
        // What hides a parent and what does not must stay apart in a difference; in a base both
        // read as zeros, and data may be found to be zeros.
        let says = |disk: &dyn BlockRead, sector: u64| {
            let range = ByteRange::new(sector * SECTOR, (sector + 1) * SECTOR);
            let hides = disk.extents(range).unwrap();
            hides.iter().all(|e| e.content != Content::Hole)
        };
        if index > 0 {
            for sector in 0..SECTORS {
                assert_eq!(
                    says(&layer, sector),
                    says(model, sector),
                    "layer {index} sector {sector}"
                );
            }
        }
    }
    let whole = open_chain(vault, &point.details, &point.layer_roots, chain.len() - 1).unwrap();
    assert_eq!(contents(&whole), expected(chain));
}

fn written(parent: Option<&Model>, number: u128, seed: u64) -> Model {
    let mut model = Model::new(parent, number);
    for (index, sector) in model.sectors.iter_mut().enumerate() {
        *sector = Sector::Data(seed + index as u64);
    }
    model
}

fn reset(chain: &[Model]) {
    for model in chain {
        *model.reads.lock().unwrap() = 0;
        model.touched.lock().unwrap().clear();
    }
}

fn reads(chain: &[Model]) -> Vec<u64> {
    chain.iter().map(|m| *m.reads.lock().unwrap()).collect()
}
