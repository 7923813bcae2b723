//! A VM of a host while it is being read.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyperv::Hint;
use hyperv::control::Control;
use hyperv::files::FileError;
use hyperv::frozen::{Closed, Frozen, Kept, Resting};
use hyperv::preflight::Level;
use hyperv::space::Floor;

use super::RestingDisks;
use super::peace::{Quiet, volumes_of};
use super::start::Start;
use super::watch::{self, Hurry, Watch, Watched, Watcher};
use crate::finding::{Code, Finding, Severity};
use crate::source::{Consistency, End, Finished, FrozenView, FrozenVm, Leave, LetGo, Moved};

/// See the [module](self).
pub(super) struct HostVm {
    // Files are closed before the checkpoint ends: the view goes first.
    view: FrozenView,
    watch: Arc<Watch>,
    watcher: Option<Watcher>,
    held: Held,
    control: Arc<Control>,
    resting: RestingDisks,
    least: Level,
    quiet: Quiet,
    /// Where its disks lie.
    volumes: Vec<String>,
}

/// How far a VM's end has come.
enum Held {
    Frozen(Box<Frozen>),
    Closed(Box<Closed>),
    Ended,
}

/// What a VM that is read has from its source.
pub(super) struct Around {
    pub(super) control: Arc<Control>,
    pub(super) floor: Floor,
    pub(super) resting: RestingDisks,
    /// How consistent it has to be.
    pub(super) least: Level,
    pub(super) hurry: Hurry,
    pub(super) look_every: Duration,
    pub(super) quiet: Quiet,
    /// Whether somebody wants the VM to start, if that matters.
    pub(super) start: Option<Start>,
}

impl HostVm {
    pub(super) fn new(frozen: Frozen, mut view: FrozenView, around: Around) -> Self {
        let Around {
            control,
            floor,
            resting,
            least,
            hurry,
            look_every,
            mut quiet,
            start,
        } = around;
        let media = frozen.settings.media.iter();
        let files: Vec<String> = media.map(|medium| medium.path.clone()).collect();
        let volumes = volumes_of(&quiet.host, &files);
        quiet.pace(&mut view);
        let watched_by = watch::Around {
            control: Arc::clone(&control),
            floor,
            start,
            peace: Arc::clone(&quiet.peace),
            hurry,
        };
        let watch = Arc::new(Watch::new(files, watched_by));
        let watcher = watcher(&mut view, &watch, look_every);
        watched(&mut view, &watch);
        Self {
            view,
            watch,
            watcher,
            held: Held::Frozen(Box::new(frozen)),
            control,
            resting,
            least,
            quiet,
            volumes,
        }
    }

    /// Closes everything of the VM; what there was of it is taken out.
    fn close(&mut self) -> Held {
        if matches!(self.held, Held::Frozen(_)) {
            let urgent = || self.watch.is_over();
            self.quiet.peace.before_end(&self.volumes, &urgent);
        }
        self.watcher = None;
        self.view.layers.clear();
        self.view.files.clear();
        std::mem::replace(&mut self.held, Held::Ended)
    }

    fn rests(&self, disks: Vec<Resting>) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.push((self.view.id, disks));
    }

    /// The layers that are made of a file.
    fn layers_of(&self, frozen: &Frozen, file: &str) -> Vec<usize> {
        if frozen.tree.is_some() {
            let layers = self.view.layers.iter().enumerate();
            let same = layers.filter(|(_, layer)| layer.origin == file);
            return same.map(|(at, _)| at).collect();
        }
        // One layer for each disk.
        let disks = frozen.disks.iter();
        let of_it = disks.filter(|disk| disk.files.iter().any(|known| known == file));
        let origins: Vec<&str> = of_it.map(|disk| disk.medium.path.as_str()).collect();
        let layers = self.view.layers.iter().enumerate();
        let same = layers.filter(|(_, layer)| origins.contains(&layer.origin.as_str()));
        same.map(|(at, _)| at).collect()
    }

    fn moved(&self, frozen: &Frozen, error: &FileError) -> Vec<Moved> {
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
        match self.layers_of(frozen, &error.path).as_slice() {
            [] => vec![tell(None)],
            layers => layers.iter().map(|layer| tell(Some(*layer))).collect(),
        }
    }
}

/// Lets nothing of a view be read any further once the VM is to be let go.
pub(super) fn watched(view: &mut FrozenView, watch: &Arc<Watch>) {
    for layer in &mut view.layers {
        layer.data = Arc::new(Watched {
            inner: Arc::clone(&layer.data),
            watch: Arc::clone(watch),
        });
    }
    for file in &mut view.files {
        file.data = Arc::new(Watched {
            inner: Arc::clone(&file.data),
            watch: Arc::clone(watch),
        });
    }
}

/// Begins to look whether a VM is to be let go; a view whose host is looked at less says so.
pub(super) fn watcher(
    view: &mut FrozenView,
    watch: &Arc<Watch>,
    every: Duration,
) -> Option<Watcher> {
    match Watcher::begin(watch, every) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            let why = format!("its host is looked at less often: no thread: {error}");
            let note = Finding::note(Code::HostNote, view.name.clone(), why);
            view.findings.push(note);
            None
        }
    }
}

impl FrozenVm for HostVm {
    fn view(&self) -> &FrozenView {
        &self.view
    }

    fn at_once(&self) -> usize {
        self.quiet.peace.at_once()
    }

    fn first(&self) -> usize {
        self.quiet.first()
    }

    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let over = || stopped() || self.watch.is_over();
        self.quiet.leave(&self.view, layer, &over)
    }

    fn give_up(&self) -> Option<Finding> {
        self.watch.give_up(&self.view.name)
    }

    fn recheck(&mut self) -> Vec<Moved> {
        let Held::Frozen(frozen) = &self.held else {
            return Vec::new();
        };
        let mut errors = frozen.not_frozen();
        let mut moved = frozen.moved();
        moved.retain(|error| errors.iter().all(|known| known.path != error.path));
        errors.append(&mut moved);
        let tell = |error| self.moved(frozen, error);
        errors.iter().flat_map(tell).collect()
    }

    fn let_go(&mut self) -> Result<LetGo, Finding> {
        let Held::Frozen(frozen) = self.close() else {
            return Ok(LetGo::default());
        };
        let closed = frozen.close();
        let less = closed.less().map(str::to_owned);
        self.held = Held::Closed(Box::new(closed));
        let Some(less) = less else {
            return Ok(LetGo::default());
        };
        let told = |severity| {
            Finding::new(
                Code::LessConsistent,
                severity,
                self.view.name.clone(),
                less.clone(),
            )
            .hint("see the guest's event log: one of its writers may not settle")
        };
        match self.least > Level::Crash {
            true => Err(told(Severity::Error)),
            false => Ok(LetGo {
                consistency: Some(Consistency::Crash),
                findings: vec![told(Severity::Warning)],
            }),
        }
    }

    fn finish(mut self: Box<Self>, end: End) -> Finished {
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
        let kept = match (self.close(), end) {
            (Held::Ended, _) => return Finished::default(),
            (Held::Frozen(frozen), End::Durable) => frozen.keep(),
            (Held::Closed(closed), End::Durable) => closed.keep(),
            (Held::Closed(closed), End::Abandoned) => closed.abandon(),
            (Held::Frozen(frozen), End::Abandoned) => Kept {
                // It was given up to have the host merge, if for want of room.
                resting: frozen.resting(),
                problems: frozen
                    .abandon()
                    .err()
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                ..Kept::default()
            },
        };
        self.rests(kept.resting);
        let mut findings: Vec<Finding> = kept.problems.into_iter().map(problem).collect();
        if end == End::Abandoned {
            findings.extend(self.control.take_notes().into_iter().map(problem));
        }
        let token = match kept.token.as_ref().map(serde_json::to_vec) {
            Some(Ok(token)) => Some(token),
            Some(Err(error)) => {
                findings.push(Finding::note(
                    Code::TokenLost,
                    name.clone(),
                    format!("the next backup will read in full: {error}"),
                ));
                None
            }
            None => None,
        };
        Finished { token, findings }
    }
}
