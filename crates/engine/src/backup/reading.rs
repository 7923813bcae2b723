//! How one layer or file is stored: in the cheapest way that is safe.

use vault::{NodeId, Session};

use crate::backup::layer::{LayerError, changed, file, full};
use crate::backup::prior::Prior;
use crate::backup::{Job, plan};
use crate::changes::Changed;
use crate::pipeline::Stop;
use crate::point::format::Identity;
use crate::point::{Reading, Stats};
use crate::progress::{Event, Meter};
use crate::source::{FrozenFile, FrozenView};

/// Stores one layer in the cheapest way that is safe.
pub(super) fn store_layer(
    job: &Job<'_>,
    session: &Session,
    view: &FrozenView,
    index: usize,
    identity: &Identity,
    prior: Option<&Prior>,
    vm: &str,
) -> Result<(NodeId, Reading, Stats), Stop<LayerError>> {
    let layer = &view.layers[index];
    // While packs are lost, an earlier map may lead to chunks that are gone.
    let prior = prior.filter(|_| session.lost_packs() == 0);
    let read_error = |e| Stop::Failed(LayerError::Read(e));
    if let Some(prior) = prior
        && let Some(same) = prior.unchanged(view, index, identity)
    {
        return Ok((
            same.root,
            Reading::Reused {
                since: prior.reference.point.to_string(),
                why: same.why.to_owned(),
            },
            Stats::default(),
        ));
    }
    let base = prior.and_then(|prior| Some((prior, prior.same_place(identity, layer)?)));
    let (base, ranges) = match (&layer.changed, base) {
        (Changed::Unchanged, Some((prior, root))) => {
            return Ok((
                root,
                Reading::Reused {
                    since: prior.reference.point.to_string(),
                    why: "the source knows that nothing changed".to_owned(),
                },
                Stats::default(),
            ));
        }
        (Changed::Ranges(ranges), Some((prior, root))) => (Some((prior, root)), Some(ranges)),
        _ => (None, None),
    };
    let total = plan::to_read(&*layer.data, ranges).map_err(read_error)?;
    job.sink.event(&Event::DiskStarted {
        vm: vm.to_owned(),
        disk: layer.path.file_name().to_owned(),
        bytes: total,
    });
    let meter = Meter::new(job.sink, job.clock, total);
    match (base, ranges) {
        (Some((prior, root)), Some(ranges)) => {
            let (root, stats) = changed(job, session, layer, root, ranges, &meter)?;
            let since = prior.reference.point.to_string();
            Ok((root, Reading::Ranges { since }, stats))
        }
        _ => {
            let (root, stats) = full(job, session, layer, &meter)?;
            let why = match &layer.changed {
                Changed::Unknown { why } => why.clone(),
                _ => "there is no earlier point of this disk to start from".to_owned(),
            };
            Ok((root, Reading::Full { why }, stats))
        }
    }
}

/// Stores one file.
pub(super) fn store_file(
    job: &Job<'_>,
    session: &Session,
    frozen: &FrozenFile,
    vm: &str,
) -> Result<(NodeId, u64, Stats), Stop<LayerError>> {
    let len = frozen
        .data
        .len()
        .map_err(|e| Stop::Failed(LayerError::ReadFile(e)))?;
    job.sink.event(&Event::DiskStarted {
        vm: vm.to_owned(),
        disk: frozen.path.file_name().to_owned(),
        bytes: len,
    });
    let meter = Meter::new(job.sink, job.clock, len);
    file(job, session, &*frozen.data, &meter)
}
