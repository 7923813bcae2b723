//! How one layer or file is stored: in the cheapest way that is safe.

use std::borrow::Cow;

use disk::ByteRanges;
use vault::{Base, NodeId, Session};

use crate::backup::audit::{Audit, audit};
use crate::backup::hands::Hands;
use crate::backup::layer::{LayerError, Mapped, changed, file, full};
use crate::backup::plan;
use crate::backup::prior::{Kept, Prior, kind};
use crate::changes::Changed;
use crate::finding::{Code, Finding, Severity};
use crate::pipeline::Stop;
use crate::point::format::Identity;
use crate::point::{Reading, Stats};
use crate::progress::Meter;
use crate::source::{FrozenFile, FrozenLayer, FrozenView};

/// A map that is continued is followed whole in this many runs...
const SURVEY_RUNS: u64 = 16;
/// ...or in one, if it has no more segments than this: 16 GiB of data, some 10 MiB of map.
const SURVEY_LEAST: u64 = 4096;

/// What the layers of one VM are stored with.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a, 'h> {
    pub(super) hands: &'a Hands<'h>,
    pub(super) session: &'a Session,
    /// The VM's newest point, if it may be leaned on.
    pub(super) prior: Option<&'a Prior>,
    pub(super) audit: Audit,
    pub(super) vm: &'a str,
}

/// A layer that is in the vault.
pub(super) struct Stored {
    pub(super) root: NodeId,
    pub(super) reading: Reading,
    pub(super) stats: Stats,
    /// Bytes that it takes in packs.
    pub(super) stored: u64,
    /// Where the next audit's sweep begins.
    pub(super) audited_to: u64,
    /// Where the next look at the map begins.
    pub(super) surveyed_to: u64,
    pub(super) findings: Vec<Finding>,
}

/// Why a layer's earlier map can be continued.
enum Lean<'a> {
    /// The layer is provably what it was.
    Proof(&'static str),
    /// The source says that only this has changed.
    Word(Cow<'a, ByteRanges>),
}

/// An earlier map that could have been leaned on, and what speaks against it.
struct Doubt(Finding);

impl Doubt {
    fn map(layer: &FrozenLayer, error: &vault::Error) -> Self {
        Self(
            Finding::new(
                Code::ReadInFull,
                Severity::Warning,
                layer.origin.clone(),
                format!("the map of the last restore point cannot be continued: {error}"),
            )
            .hint("it was read in full, which makes this point whole; `hyperkeep check --read-data` shows which earlier points are affected"),
        )
    }

    fn difference(layer: &FrozenLayer, at: u64) -> Self {
        Self(
            Finding::new(
                Code::ChangesMissed,
                Severity::Warning,
                layer.origin.clone(),
                format!(
                    "something changed near byte {at} that is not among the changed ranges; the disk \
                     was read in full instead"
                ),
            )
            .hint("this point is right; points made with changed ranges before it may hold old data: find out why the ranges were incomplete"),
        )
    }

    fn kind(layer: &FrozenLayer) -> Self {
        Self(Finding::note(
            Code::ReadInFull,
            layer.origin.clone(),
            "the disk was read in full: since the last restore point it has become a difference to a \
             parent, or has ceased to be one",
        ))
    }

    fn why(&self) -> String {
        self.0.message.clone()
    }
}

impl Reader<'_, '_> {
    /// Stores one layer.
    pub(super) fn layer(
        &self,
        view: &FrozenView,
        index: usize,
        identity: &Identity,
    ) -> Result<Stored, Stop<LayerError>> {
        let layer = &view.layers[index];
        let doubt = match self.lean(view, index, identity) {
            None => None,
            Some((prior, kept, lean)) => match self.lean_on(layer, prior, kept, &lean) {
                Ok(Ok(stored)) => return Ok(stored),
                Ok(Err(doubt)) => Some(doubt),
                Err(Stop::Failed(LayerError::Vault(error))) if error.is_of_map() => {
                    Some(Doubt::map(layer, &error))
                }
                Err(stop) => return Err(stop),
            },
        };
        let meter = self.begin(layer, None)?;
        let Mapped {
            root,
            stats,
            stored,
        } = full(self.hands, self.session, layer, &meter)?;
        let why = match (&doubt, &layer.changed) {
            (Some(doubt), _) => doubt.why(),
            (None, Changed::Unknown { why }) => why.clone(),
            _ => "there is no earlier point of this disk to start from".to_owned(),
        };
        Ok(Stored {
            root,
            reading: Reading::Full { why },
            stats,
            stored,
            audited_to: 0,
            surveyed_to: 0,
            findings: doubt.into_iter().map(|doubt| doubt.0).collect(),
        })
    }

    /// What of the last point could be continued, and why.
    fn lean<'v>(
        &self,
        view: &'v FrozenView,
        index: usize,
        identity: &Identity,
    ) -> Option<(&Prior, &Kept, Lean<'v>)> {
        let prior = self.prior?;
        if let Some((kept, why)) = prior.unchanged(view, index, identity) {
            return Some((prior, kept, Lean::Proof(why)));
        }
        let layer = &view.layers[index];
        let ranges = match &layer.changed {
            Changed::Unknown { .. } => return None,
            Changed::Unchanged => Cow::Owned(ByteRanges::new()),
            Changed::Ranges(ranges) => Cow::Borrowed(ranges),
        };
        Some((
            prior,
            prior.same_place(identity, layer)?,
            Lean::Word(ranges),
        ))
    }

    fn lean_on(
        &self,
        layer: &FrozenLayer,
        prior: &Prior,
        kept: &Kept,
        lean: &Lean<'_>,
    ) -> Result<Result<Stored, Doubt>, Stop<LayerError>> {
        let failed = |error| Stop::Failed(LayerError::Vault(error));
        let base = self.session.base(&kept.root).map_err(failed)?;
        if base.kind() != kind(layer) {
            return Ok(Err(Doubt::kind(layer)));
        }
        let (data, surveyed_to) = self.survey(&base, kept).map_err(failed)?;
        let since = prior.reference.point.to_string();
        let as_it_was = |why: &str, compared, audited_to| Stored {
            root: kept.root,
            reading: Reading::Reused {
                since: since.clone(),
                why: why.to_owned(),
                compared,
            },
            stats: Stats {
                data,
                read: compared,
                new: 0,
            },
            stored: 0,
            audited_to,
            surveyed_to,
            findings: Vec::new(),
        };
        let ranges = match lean {
            Lean::Proof(why) => return Ok(Ok(as_it_was(why, 0, kept.audited_to))),
            Lean::Word(ranges) => ranges,
        };
        let audited = audit(
            self.audit,
            &base,
            &*layer.data,
            kind(layer),
            ranges,
            kept.audited_to,
            &mut self.hands.rng(),
        )
        .map_err(Stop::Failed)?;
        if let Some(at) = audited.differs {
            return Ok(Err(Doubt::difference(layer, at)));
        }
        if layer.changed == Changed::Unchanged && audited.again.is_empty() {
            let why = "the source knows that nothing changed";
            return Ok(Ok(as_it_was(why, audited.compared, audited.next)));
        }
        let ranges = ranges.union(&audited.again);
        let meter = self.begin(layer, Some(&ranges))?;
        let base = (kept.root, data);
        let Mapped {
            root,
            stats,
            stored,
        } = changed(self.hands, self.session, layer, base, &ranges, &meter)?;
        Ok(Ok(Stored {
            root,
            reading: Reading::Ranges {
                since,
                compared: audited.compared,
            },
            stats: Stats {
                read: stats.read.saturating_add(audited.compared),
                ..stats
            },
            stored,
            audited_to: audited.next,
            surveyed_to,
            findings: Vec::new(),
        }))
    }

    /// How much data an earlier map leads to, and where the next look at it begins. When packs may
    /// be lost, all of it is followed: where it does not lead to one of them it is as good as ever.
    /// Packs may also be gone together with all that told of them, so a part of the map is
    /// followed each time.
    fn survey(&self, base: &Base, kept: &Kept) -> Result<(u64, u64), vault::Error> {
        match kept.data {
            Some(data) if !self.session.doubts_maps() => {
                let size = u64::from(base.segment_size());
                let count = base.segments().div_ceil(SURVEY_RUNS).max(SURVEY_LEAST);
                let next = base.survey_part(kept.surveyed_to / size, count)?;
                Ok((data, next.saturating_mul(size)))
            }
            _ => Ok((base.survey()?, 0)),
        }
    }

    /// Says how much there is to read.
    fn begin(
        &self,
        layer: &FrozenLayer,
        ranges: Option<&ByteRanges>,
    ) -> Result<Meter<'_>, Stop<LayerError>> {
        let total = plan::to_read(&*layer.data, ranges)
            .map_err(|error| Stop::Failed(LayerError::Read(error)))?;
        Ok(self.meter(layer.path.file_name(), total))
    }

    fn meter(&self, disk: &str, bytes: u64) -> Meter<'_> {
        let job = self.hands.job;
        Meter::begin(job.sink, job.clock, self.vm, disk, bytes)
    }

    /// Stores one file.
    pub(super) fn file(&self, frozen: &FrozenFile) -> Result<(Mapped, u64), Stop<LayerError>> {
        let len = frozen
            .data
            .len()
            .map_err(|e| Stop::Failed(LayerError::ReadFile(e)))?;
        let meter = self.meter(frozen.path.file_name(), len);
        file(self.hands, self.session, &*frozen.data, &meter)
    }
}
