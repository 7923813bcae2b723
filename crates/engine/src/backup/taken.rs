//! A restore point in the making: what was stored of a VM so far, and what was not.

use vault::PointId;
use vault::point::{FileRef, LayerRef};

use crate::backup::in_order::in_order;
use crate::backup::layer::LayerError;
use crate::backup::prior::Kept;
use crate::backup::reading::{Reader, Stored};
use crate::backup::report::{LayerReport, VmReport};
use crate::finding::{Code, Finding, Severity};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::point::format::Identity;
use crate::point::{Details, Level, PointFile, PointLayer, Reading, Stats};
use crate::saved_memory::saved_memory;
use crate::source::{
    Consistency, DiskUse, FrozenLayer, FrozenView, FrozenVm, LetGo, MissingLayer, Owner, VmRef,
};

/// Why a VM got no restore point.
pub(super) enum Failure {
    Cancelled,
    Found(Finding),
    /// Later it may be possible.
    NotNow(Finding),
}

impl Failure {
    pub(super) fn vault(error: &vault::Error) -> Self {
        Self::Found(
            Finding::new(Code::Failed, Severity::Error, "vault", error.to_string())
                .hint("nothing was lost: run the backup again; what is stored is not stored again"),
        )
    }

    /// Of a VM that was let go before everything was read.
    fn given_up(why: Finding) -> Self {
        match why.code {
            Code::NotNow => Self::NotNow(why),
            _ => Self::Found(why),
        }
    }

    fn no_thread(stop: &Stop<LayerError>) -> Self {
        Self::Found(
            Finding::new(
                Code::Failed,
                Severity::Error,
                "this machine",
                stop.to_string(),
            )
            .hint("close other programs, or back up with --threads 1"),
        )
    }
}

/// What to do after something could not be read.
fn after(stop: &Stop<LayerError>) -> &'static str {
    match stop {
        Stop::Panicked(_) => "this is a defect of this program: please report it",
        _ => "check the disk that it lies on; an earlier restore point may hold it",
    }
}

/// A point in the making.
pub(super) struct Taken {
    pub(super) details: Details,
    pub(super) layer_refs: Vec<LayerRef>,
    pub(super) file_refs: Vec<FileRef>,
    /// Where each layer of the view is in the point, if it is.
    places: Vec<Option<usize>>,
    pub(super) total: Stats,
    /// Bytes that its own chunks and maps take in packs.
    pub(super) stored: u64,
}

impl Taken {
    pub(super) fn new(view: &FrozenView, mut findings: Vec<Finding>) -> Self {
        findings.extend(view.findings.iter().cloned());
        Self {
            details: Details {
                vm_id: view.id,
                vm_name: view.name.clone(),
                source: String::new(),
                mode: view.mode.clone(),
                mode_reason: view.mode_reason.clone(),
                level: Level::Auto,
                consistency: view.consistency,
                outcome: Outcome::Ok,
                config: view.config.clone(),
                layers: Vec::new(),
                files: Vec::new(),
                uses: Vec::new(),
                checkpoints: view.checkpoints.clone(),
                current: view.current,
                saved_memory: Vec::new(),
                missing: view.missing.clone(),
                findings,
                not_covered: view.not_covered.clone(),
            },
            layer_refs: Vec::new(),
            file_refs: Vec::new(),
            places: Vec::new(),
            total: Stats::default(),
            stored: 0,
        }
    }

    pub(super) fn layers(
        &mut self,
        reader: &Reader<'_, '_>,
        vm: &dyn FrozenVm,
    ) -> Result<(), Failure> {
        let view = vm.view();
        let cancel = reader.hands.job.cancel;
        let read = |index: usize| {
            let layer = &view.layers[index];
            let identity = Identity::of(&layer.info, layer.place(), layer.interior, false);
            // Others that hold still may wait for the end of a session that has failed.
            let failed = || reader.session.has_failed();
            let stored = match vm.leave(index, &|| cancel.is_cancelled() || failed()) {
                Some(_leave) => reader.layer(view, index, &identity),
                // It tells why.
                None if failed() && !cancel.is_cancelled() && vm.give_up().is_none() => {
                    reader.layer(view, index, &identity)
                }
                None => Err(Stop::Cancelled),
            };
            (identity, stored)
        };
        let layers = (view.layers.len(), vm.first());
        in_order(vm.at_once(), layers, read, |index, read| {
            match read {
                (identity, Ok(stored)) => self.add_layer(&view.layers[index], &identity, stored),
                (_, Err(Stop::Cancelled)) => {
                    let why = vm.give_up().filter(|_| !cancel.is_cancelled());
                    return Err(why.map_or(Failure::Cancelled, Failure::given_up));
                }
                (_, Err(Stop::Failed(LayerError::Vault(error)))) => {
                    return Err(Failure::vault(&error));
                }
                // Nothing is wrong with the layer then.
                (_, Err(stop @ Stop::NoThread(_))) => return Err(Failure::no_thread(&stop)),
                (_, Err(stop)) => self.lose_layer(view, index, &stop),
            }
            vm.give_up()
                .map_or(Ok(()), |why| Err(Failure::given_up(why)))
        })?;
        self.details.uses = view
            .uses
            .iter()
            .filter_map(|u| {
                Some(DiskUse {
                    layer: (*self.places.get(u.layer)?)?,
                    ..u.clone()
                })
            })
            .collect();
        Ok(())
    }

    fn add_layer(&mut self, layer: &FrozenLayer, identity: &Identity, stored: Stored) {
        let place = self.details.layers.len();
        self.places.push(Some(place));
        self.total = self.total.plus(stored.stats);
        self.stored = self.stored.saturating_add(stored.stored);
        self.details.findings.extend(stored.findings);
        self.layer_refs.push(LayerRef {
            id: place as u32,
            identity: serde_json::json!(identity),
            root: stored.root,
            len: layer.info.geometry.len,
            other: Kept::to_members(stored.stats.data, stored.audited_to, stored.surveyed_to),
        });
        self.details.layers.push(PointLayer {
            path: layer.path.clone(),
            origin: layer.origin.clone(),
            info: layer.info.clone(),
            parent: layer.parent.and_then(|parent| self.places[parent]),
            interior: layer.interior,
            moved: false,
            reading: stored.reading,
            stats: stored.stats,
        });
    }

    /// A layer that could not be read: the point goes on without it and says so.
    fn lose_layer(&mut self, view: &FrozenView, index: usize, stop: &Stop<LayerError>) {
        self.places.push(None);
        let layer = &view.layers[index];
        let needs = |u: &&DiskUse| {
            let chain = std::iter::successors(Some(u.layer), |l| view.layers[*l].parent);
            chain.into_iter().any(|l| l == index)
        };
        let mut needed_by: Vec<Owner> = view
            .uses
            .iter()
            .filter(needs)
            .map(|u| u.owner.clone())
            .collect();
        needed_by.sort();
        needed_by.dedup();
        self.details.missing.push(MissingLayer {
            name: layer.path.to_string(),
            why: stop.to_string(),
            needed_by,
            by_choice: false,
        });
        self.details.findings.push(
            Finding::new(
                Code::DiskUnreadable,
                Severity::Partial,
                layer.origin.clone(),
                format!("could not be read and is not in the restore point: {stop}"),
            )
            .hint(after(stop)),
        );
    }

    pub(super) fn files(
        &mut self,
        reader: &Reader<'_, '_>,
        vm: &dyn FrozenVm,
    ) -> Result<(), Failure> {
        let view = vm.view();
        let mut there = vec![false; view.files.len()];
        for (frozen, there) in view.files.iter().zip(&mut there) {
            match reader.file(frozen) {
                Ok((mapped, len)) => {
                    *there = true;
                    self.total = self.total.plus(mapped.stats);
                    self.stored = self.stored.saturating_add(mapped.stored);
                    self.file_refs.push(FileRef {
                        id: self.details.files.len() as u32,
                        root: mapped.root,
                        len,
                        other: Default::default(),
                    });
                    self.details.files.push(PointFile {
                        path: frozen.path.clone(),
                        role: frozen.role,
                        owner: frozen.owner.clone(),
                        len,
                    });
                }
                Err(Stop::Cancelled) => return Err(Failure::Cancelled),
                Err(Stop::Failed(LayerError::Vault(error))) => return Err(Failure::vault(&error)),
                Err(stop @ Stop::NoThread(_)) => return Err(Failure::no_thread(&stop)),
                Err(stop) => self.details.findings.push(
                    Finding::new(
                        Code::FileUnreadable,
                        Severity::Partial,
                        frozen.path.as_str(),
                        format!("could not be read and is not in the restore point: {stop}"),
                    )
                    .hint(after(&stop)),
                ),
            }
            if let Some(finding) = vm.give_up() {
                return Err(Failure::given_up(finding));
            }
        }
        self.details.saved_memory = saved_memory(view, |file| there[file]);
        self.details.beside_memory();
        Ok(())
    }

    /// Something did not hold still.
    pub(super) fn moved(&mut self, layer: Option<usize>, finding: Finding) {
        self.details.consistency = Consistency::Torn;
        self.details.findings.push(finding);
        let place = layer.and_then(|layer| self.places.get(layer).copied().flatten());
        if let Some(place) = place {
            self.details.layer_moved(place);
            let reference = &mut self.layer_refs[place];
            let identity = Identity::from_value(&reference.identity);
            let moved = identity.map(|identity| Identity {
                moved: true,
                ..identity
            });
            // What cannot be recognised is read in full the next time.
            reference.identity = serde_json::json!(moved);
        }
    }

    /// The VM was let go, and that told more of it.
    pub(super) fn let_go(&mut self, told: LetGo) {
        if let Some(most) = told.consistency {
            self.details.at_most(most);
        }
        self.details.findings.extend(told.findings);
    }

    pub(super) fn nothing(&self, vm: &VmRef) -> Finding {
        let findings = self.details.findings.iter();
        let worst = findings.max_by_key(|f| f.severity);
        // Of a note nobody would learn why there is no point.
        let worst = worst.filter(|f| f.severity > Severity::Info);
        worst.cloned().unwrap_or_else(|| {
            Finding::new(
                Code::Failed,
                Severity::Error,
                vm.name.clone(),
                "it has neither disks nor files",
            )
            .hint("there is nothing to back up: leave it out with --exclude")
        })
    }

    /// How the point is told.
    pub(super) fn level(&self, asked: Level, has_prior: bool) -> vault::point::Level {
        let all_read = self
            .details
            .layers
            .iter()
            .all(|layer| matches!(layer.reading, Reading::Full { .. }));
        match asked {
            _ if !has_prior => vault::point::Level::Full,
            Level::Differential => vault::point::Level::Differential,
            Level::Full => vault::point::Level::Full,
            // Everything was read, whatever was asked for.
            Level::Auto | Level::Incremental if all_read => vault::point::Level::Full,
            Level::Auto | Level::Incremental => vault::point::Level::Incremental,
        }
    }

    pub(super) fn report(
        self,
        vm: &VmRef,
        point: PointId,
        level: &vault::point::Level,
    ) -> VmReport {
        VmReport {
            id: vm.id,
            name: vm.name.clone(),
            outcome: self.details.outcome,
            point: Some(point.to_string()),
            level: Some(match level {
                vault::point::Level::Incremental => "incremental",
                vault::point::Level::Differential => "differential",
                _ => "full",
            }),
            consistency: Some(self.details.consistency),
            layers: self
                .details
                .layers
                .into_iter()
                .map(|layer| LayerReport {
                    path: layer.path.to_string(),
                    reading: layer.reading,
                    stats: layer.stats,
                })
                .collect(),
            stats: self.total,
            stored: 0,
            milliseconds: 0,
            findings: self.details.findings,
        }
    }
}
