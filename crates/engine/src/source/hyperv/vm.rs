//! A VM of a host while it is being read.

use std::sync::{Arc, PoisonError};

use hyperv::Hint;
use hyperv::control::Control;
use hyperv::files::FileError;
use hyperv::frozen::Frozen;
use hyperv::space::Floor;

use super::RestingDisks;
use super::watch::{Watch, Watched};
use crate::finding::{Code, Finding, Severity};
use crate::source::{End, Finished, FrozenView, FrozenVm, Moved};

/// See the [module](self).
pub(super) struct HostVm {
    // Files are closed before the checkpoint ends: the view goes first.
    view: FrozenView,
    watch: Arc<Watch>,
    frozen: Frozen,
    control: Arc<Control>,
    resting: RestingDisks,
}

impl HostVm {
    pub(super) fn new(
        frozen: Frozen,
        mut view: FrozenView,
        control: Arc<Control>,
        floor: Floor,
        resting: RestingDisks,
    ) -> Self {
        let media = frozen.settings.media.iter();
        let files = media.map(|medium| medium.path.clone()).collect();
        let watch = Arc::new(Watch::new(Arc::clone(&control), files, floor));
        for layer in &mut view.layers {
            layer.data = Arc::new(Watched {
                inner: Arc::clone(&layer.data),
                watch: Arc::clone(&watch),
            });
        }
        Self {
            view,
            watch,
            frozen,
            control,
            resting,
        }
    }

    /// The layers that are made of a file.
    fn layers_of(&self, file: &str) -> Vec<usize> {
        if self.frozen.tree.is_some() {
            let layers = self.view.layers.iter().enumerate();
            let same = layers.filter(|(_, layer)| layer.origin == file);
            return same.map(|(at, _)| at).collect();
        }
        // One layer for each disk.
        let disks = self.frozen.disks.iter();
        let of_it = disks.filter(|disk| disk.files.iter().any(|known| known == file));
        let origins: Vec<&str> = of_it.map(|disk| disk.medium.path.as_str()).collect();
        let layers = self.view.layers.iter().enumerate();
        let same = layers.filter(|(_, layer)| origins.contains(&layer.origin.as_str()));
        same.map(|(at, _)| at).collect()
    }

    fn moved(&self, error: &FileError) -> Vec<Moved> {
        let finding = Finding::new(
            Code::ChangedDuringBackup,
            Severity::Partial,
            error.path.clone(),
            error.problem.to_string(),
        )
        .hint(error.hint());
        let tell = |layer| Moved {
            layer,
            finding: finding.clone(),
        };
        match self.layers_of(&error.path).as_slice() {
            [] => vec![tell(None)],
            layers => layers.iter().map(|layer| tell(Some(*layer))).collect(),
        }
    }
}

impl FrozenVm for HostVm {
    fn view(&self) -> &FrozenView {
        &self.view
    }

    fn give_up(&self) -> Option<Finding> {
        let shortage = self.watch.short()?;
        Some(
            Finding::new(
                Code::Failed,
                Severity::Error,
                self.view.name.clone(),
                format!("given up to keep the host's volume from filling: {shortage}"),
            )
            .hint(shortage.hint()),
        )
    }

    fn recheck(&mut self) -> Vec<Moved> {
        let errors = self.frozen.moved();
        errors.iter().flat_map(|error| self.moved(error)).collect()
    }

    fn finish(mut self: Box<Self>, end: End) -> Finished {
        self.view.layers.clear();
        self.view.files.clear();
        let vm = self.view.id;
        let name = self.view.name.clone();
        let problem = |message: String| {
            Finding::new(
                Code::CleanupFailed,
                Severity::Warning,
                name.clone(),
                message,
            )
            .hint("the next run looks at the host and puts it right")
        };
        match end {
            End::Durable => {
                let kept = self.frozen.keep();
                let mut findings: Vec<Finding> = kept.problems.into_iter().map(problem).collect();
                let token = match kept.token.as_ref().map(serde_json::to_vec) {
                    Some(Ok(token)) => Some(token),
                    Some(Err(error)) => {
                        findings.push(Finding::note(
                            Code::TokenLost,
                            self.view.name.clone(),
                            format!("the next backup will read in full: {error}"),
                        ));
                        None
                    }
                    None => None,
                };
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                resting.push((vm, kept.resting));
                Finished { token, findings }
            }
            End::Abandoned => {
                // It was given up to have the host merge, if for want of room.
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                resting.push((vm, self.frozen.resting()));
                drop(resting);
                let mut notes: Vec<String> = Vec::new();
                notes.extend(self.frozen.abandon().err().map(|error| error.to_string()));
                notes.extend(self.control.take_notes());
                Finished {
                    token: None,
                    findings: notes.into_iter().map(problem).collect(),
                }
            }
        }
    }
}
