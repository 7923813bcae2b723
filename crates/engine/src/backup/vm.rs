//! One VM into the vault.

use vault::point::{FileRef, LayerRef, Outline};
use vault::{NodeId, PointId, Session};
use vault_format::Entropy;

use crate::backup::layer::LayerError;
use crate::backup::prior::{Prior, newest, newest_full};
use crate::backup::reading::{store_file, store_layer};
use crate::backup::report::{LayerReport, VmReport};
use crate::backup::{Job, Options, cancelled};
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::point::format::{Identity, consistency_to_format, to_format};
use crate::point::{Details, Level, PointFile, PointLayer, Reading, Stats};
use crate::progress::Event;
use crate::source::{
    Consistency, DiskUse, End, FrozenLayer, FrozenView, Held, MissingLayer, Owner, Request, Source,
    VmRef,
};

/// Why a VM got no restore point.
enum Failure {
    Cancelled,
    Found(Finding),
}

impl Failure {
    fn vault(error: &vault::Error) -> Self {
        Self::Found(
            Finding::new(Code::Failed, Severity::Error, "vault", error.to_string())
                .hint("nothing was lost: run the backup again; what is stored is not stored again"),
        )
    }
}

/// Backs up one VM.
pub(super) fn back_up(
    job: &Job<'_>,
    source: &mut dyn Source,
    options: &Options,
    vm: &VmRef,
    session: &mut Option<Session>,
    rng: &mut dyn Entropy,
) -> VmReport {
    let started = job.clock.monotonic();
    let tell = |finding: &Finding| {
        job.sink.event(&Event::Found {
            vm: vm.name.clone(),
            finding: finding.clone(),
        });
    };
    let mut report = match attempt(job, source, options, vm, session, rng) {
        Ok(report) => report,
        Err(Failure::Cancelled) => VmReport::ended(vm, cancelled(vm)),
        Err(Failure::Found(finding)) => VmReport::ended(
            vm,
            Finding {
                severity: Severity::Error,
                ..finding
            },
        ),
    };
    report.findings.iter().for_each(tell);
    let spent = job.clock.monotonic().saturating_sub(started);
    report.milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    report
}

fn attempt(
    job: &Job<'_>,
    source: &mut dyn Source,
    options: &Options,
    vm: &VmRef,
    session: &mut Option<Session>,
    rng: &mut dyn Entropy,
) -> Result<VmReport, Failure> {
    let mut findings = Vec::new();
    let prior = newest(job.vault, vm, &mut findings).map_err(|e| Failure::vault(&e))?;
    // Points keep their order even when a clock is set back; see `Session::commit`.
    let written = prior
        .as_ref()
        .map_or(0, |prior| prior.written.saturating_add(1));
    let prior = prior.filter(|_| options.level != Level::Full);
    let request = Request {
        token: prior.as_ref().and_then(|prior| prior.token.clone()),
        full: options.level == Level::Full,
        cancel: job.cancel.clone(),
    };
    let origin = source.describe();
    let frozen = source.freeze(vm, &request).map_err(|error| {
        if error.cancelled {
            return Failure::Cancelled;
        }
        Failure::Found(Finding {
            code: Code::Failed,
            severity: Severity::Error,
            object: error.object,
            message: error.message,
            hint: error.hint,
        })
    })?;
    let taken = job.clock.unix_seconds();
    let mut held = Held::new(frozen);
    let session = match session {
        Some(session) => session,
        None => session.insert(
            job.vault
                .session(options.compression)
                .map_err(|e| Failure::vault(&e))?,
        ),
    };
    let stored_before = session.progress().stored.bytes;

    let mut point = Taken::new(held.vm().view(), findings);
    point.layers(job, session, held.vm().view(), prior.as_ref(), &vm.name)?;
    point.files(job, session, held.vm().view(), &vm.name)?;
    for moved in held.vm().recheck() {
        point.moved(moved.layer, moved.finding);
    }
    if point.details.layers.is_empty() && point.details.files.is_empty() {
        return Err(Failure::Found(point.nothing(vm)));
    }
    if job.cancel.is_cancelled() {
        return Err(Failure::Cancelled);
    }

    point.details.source = origin;
    point.details.level = options.level;
    let level = point.level(options.level, prior.is_some());
    let parent = match level {
        vault::point::Level::Full => None,
        vault::point::Level::Differential => newest_full(job.vault, vm),
        _ => prior.as_ref().map(|prior| prior.reference.point),
    };
    point.details.outcome = outcome_of(&point.details.findings);
    let outline = Outline {
        required: Vec::new(),
        point: PointId::random(rng),
        vm: job.vault.vm_key(&vm.id.to_string()),
        taken: taken.saturating_mul(1000),
        written,
        level: level.clone(),
        mode: point.details.mode.clone(),
        consistency: consistency_to_format(point.details.consistency),
        parent,
        partial: point.details.outcome >= Outcome::Partial,
        layers: std::mem::take(&mut point.layer_refs),
        files: std::mem::take(&mut point.file_refs),
        statistics: [
            ("bytes_data", point.total.data),
            ("bytes_read", point.total.read),
            ("bytes_new", point.total.new),
        ]
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect(),
        other: Default::default(),
    };
    let committed = session
        .commit(outline, &to_format(&point.details))
        .map_err(|e| Failure::vault(&e))?;

    // From here on the point is durable, whatever else goes wrong.
    let mut report = point.report(vm, committed.point, &level);
    report.stored = session
        .progress()
        .stored
        .bytes
        .saturating_sub(stored_before);
    let finished = held.finish(End::Durable);
    report.findings.extend(finished.findings);
    if let Some(token) = finished.token
        && let Err(error) = job.vault.put_token(&committed, &token)
    {
        report.findings.push(Finding::new(
            Code::TokenLost,
            Severity::Warning,
            vm.name.clone(),
            format!("the next backup will read in full: {error}"),
        ));
    }
    report.outcome = outcome_of(&report.findings);
    Ok(report)
}

/// A point in the making.
struct Taken {
    details: Details,
    layer_refs: Vec<LayerRef>,
    file_refs: Vec<FileRef>,
    /// Where each layer of the view is in the point, if it is.
    places: Vec<Option<usize>>,
    total: Stats,
}

impl Taken {
    fn new(view: &FrozenView, mut findings: Vec<Finding>) -> Self {
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
                missing: view.missing.clone(),
                findings,
                not_covered: view.not_covered.clone(),
            },
            layer_refs: Vec::new(),
            file_refs: Vec::new(),
            places: Vec::new(),
            total: Stats::default(),
        }
    }

    fn layers(
        &mut self,
        job: &Job<'_>,
        session: &Session,
        view: &FrozenView,
        prior: Option<&Prior>,
        vm: &str,
    ) -> Result<(), Failure> {
        for (index, layer) in view.layers.iter().enumerate() {
            let identity = Identity::of(&layer.info, &layer.origin, layer.interior, false);
            match store_layer(job, session, view, index, &identity, prior, vm) {
                Ok((root, reading, stats)) => self.add_layer(layer, root, identity, reading, stats),
                Err(Stop::Cancelled) => return Err(Failure::Cancelled),
                Err(Stop::Failed(LayerError::Vault(error))) => return Err(Failure::vault(&error)),
                Err(Stop::Failed(error)) => self.lose_layer(view, index, &error.to_string()),
                Err(Stop::Panicked(why)) => {
                    self.lose_layer(view, index, &format!("internal error: {why}"));
                }
            }
        }
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

    fn add_layer(
        &mut self,
        layer: &FrozenLayer,
        root: NodeId,
        identity: Identity,
        reading: Reading,
        stats: Stats,
    ) {
        let place = self.details.layers.len();
        self.places.push(Some(place));
        self.total = self.total.plus(stats);
        self.layer_refs.push(LayerRef {
            id: place as u32,
            identity: serde_json::json!(identity),
            root,
            len: layer.info.geometry.len,
            other: Default::default(),
        });
        self.details.layers.push(PointLayer {
            path: layer.path.clone(),
            origin: layer.origin.clone(),
            info: layer.info.clone(),
            parent: layer.parent.and_then(|parent| self.places[parent]),
            interior: layer.interior,
            moved: false,
            reading,
            stats,
        });
    }

    /// A layer that could not be read: the point goes on without it and says so.
    fn lose_layer(&mut self, view: &FrozenView, index: usize, why: &str) {
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
            why: why.to_owned(),
            needed_by,
        });
        self.details.findings.push(
            Finding::new(
                Code::DiskUnreadable,
                Severity::Partial,
                layer.origin.clone(),
                format!("could not be read and is not in the restore point: {why}"),
            )
            .hint("check the disk that it lies on; an earlier restore point may hold it"),
        );
    }

    fn files(
        &mut self,
        job: &Job<'_>,
        session: &Session,
        view: &FrozenView,
        vm: &str,
    ) -> Result<(), Failure> {
        for frozen in &view.files {
            match store_file(job, session, frozen, vm) {
                Ok((root, len, stats)) => {
                    self.total = self.total.plus(stats);
                    self.file_refs.push(FileRef {
                        id: self.details.files.len() as u32,
                        root,
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
                Err(stop) => self.details.findings.push(Finding::new(
                    Code::FileUnreadable,
                    Severity::Partial,
                    frozen.path.as_str(),
                    format!("could not be read and is not in the restore point: {stop}"),
                )),
            }
        }
        Ok(())
    }

    /// Something did not hold still.
    fn moved(&mut self, layer: Option<usize>, finding: Finding) {
        self.details.consistency = Consistency::Torn;
        self.details.findings.push(finding);
        let place = layer.and_then(|layer| self.places.get(layer).copied().flatten());
        if let Some(place) = place {
            let layer = &mut self.details.layers[place];
            layer.moved = true;
            let identity = Identity::of(&layer.info, &layer.origin, layer.interior, true);
            self.layer_refs[place].identity = serde_json::json!(identity);
        }
    }

    fn nothing(&self, vm: &VmRef) -> Finding {
        let worst = self.details.findings.iter().max_by_key(|f| f.severity);
        worst.cloned().unwrap_or_else(|| {
            Finding::new(
                Code::Failed,
                Severity::Error,
                vm.name.clone(),
                "it has neither disks nor files",
            )
        })
    }

    /// How the point is told.
    fn level(&self, asked: Level, has_prior: bool) -> vault::point::Level {
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

    fn report(self, vm: &VmRef, point: PointId, level: &vault::point::Level) -> VmReport {
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
