//! A VM that runs, with its memory: exported, read, and removed again.
//!
//! The reference point of the last backup stays, and so does its token: whatever changed since the
//! export has changed since then too, so the next backup without memory may ask by it and go on
//! from the disks that were exported.

use std::sync::Arc;

use hyperv::Hint;
use hyperv::control::Control;
use hyperv::files::FileError;
use hyperv::memory::{ExportError, MemoryExport};
use hyperv::tracking::Token;

use super::errors;
use super::peace::Quiet;
use super::vm::{Around, watched, watcher};
use super::watch::{self, Watch, Watcher};
use crate::finding::{Code, Finding, Severity};
use crate::source::{End, Finished, FrozenView, FrozenVm, Leave, Moved, SourceError, VmRef};

/// See the [module](self).
pub(super) struct ExportedVm {
    // Files are closed before the export is removed: the view goes first.
    view: FrozenView,
    watch: Arc<Watch>,
    watcher: Option<Watcher>,
    export: MemoryExport,
    control: Arc<Control>,
    token: Option<Vec<u8>>,
    quiet: Quiet,
}

/// What becomes of a VM that was not exported.
pub(super) enum Not {
    /// It has no restore point.
    Failed(SourceError),
    /// It is backed up without its memory, with these findings.
    Without(Vec<Finding>),
}

/// What to do about an export that did not come about. What was only asked for and cannot be leaves
/// a backup without memory, which says so.
pub(super) fn not(vm: &VmRef, error: &ExportError, notes: Vec<String>, cancelled: bool) -> Not {
    let failed = |not_now| {
        let error = SourceError {
            cancelled,
            not_now,
            code: if not_now { Code::NotNow } else { Code::Failed },
            ..errors::hinted(&vm.name, error)
        };
        Not::Failed(errors::with_notes(error, &notes))
    };
    match error {
        _ if cancelled => return failed(false),
        ExportError::Change(error) if error.is_worth_waiting() => return failed(true),
        // Nothing else will be possible either.
        ExportError::Host(error) if error.fault_kind().is_none() => return failed(false),
        ExportError::NotRunning => {
            return Not::Without(vec![Finding::note(
                Code::HostNote,
                vm.name.clone(),
                error.to_string(),
            )]);
        }
        _ => {}
    }
    let mut findings = vec![
        Finding::new(
            Code::NotCovered,
            Severity::Partial,
            vm.name.clone(),
            format!("its memory is not in the restore point: {error}"),
        )
        .hint(error.hint()),
    ];
    findings.extend(notes.into_iter().map(|note| problem(&vm.name, note)));
    Not::Without(findings)
}

/// The same of an export of which no disk can be read.
pub(super) fn no_disks(vm: &VmRef, export: MemoryExport, control: &Control) -> Vec<Finding> {
    let lost = export.lost.first();
    let why = lost.map_or_else(String::new, |lost| {
        format!(": {}: {}", lost.medium.path, lost.why)
    });
    let message =
        format!("its memory is not in the restore point: no disk of the export can be read{why}");
    let finding = Finding::new(
        Code::NotCovered,
        Severity::Partial,
        vm.name.clone(),
        message,
    );
    let left = export.remove().err().map(|error| error.to_string());
    let notes = left.into_iter().chain(control.take_notes());
    std::iter::once(finding.hint("see that the staging folder is reached, by --map or as a share"))
        .chain(notes.map(|note| problem(&vm.name, note)))
        .collect()
}

fn problem(vm: &str, message: String) -> Finding {
    Finding::new(Code::CleanupFailed, Severity::Warning, vm, message)
        .hint("the next run looks at the host and puts it right")
}

/// The token of the last backup, if it is ours and of this VM: it goes on with the new restore point.
pub(super) fn goes_on(token: Option<&Token>, own: &hyperv::checkpoint::Mark, vm: &VmRef) -> bool {
    token.is_some_and(|token| token.installation == own.installation && token.vm == vm.id)
}

impl ExportedVm {
    pub(super) fn new(
        export: MemoryExport,
        mut view: FrozenView,
        mut around: Around,
        token: Option<Vec<u8>>,
    ) -> Self {
        let needs = format!(
            "exported with its memory into {}: {} meanwhile on the host",
            export.folder(),
            export.needs
        );
        let note = Finding::note(Code::HostNote, view.name.clone(), needs);
        view.findings.push(note);
        let disks = export.disks.iter().map(|disk| disk.medium.path.clone());
        let watched_by = watch::Around {
            control: Arc::clone(&around.control),
            floor: around.floor,
            start: around.start,
            peace: Arc::clone(&around.quiet.peace),
            hurry: around.hurry,
        };
        let watch = Arc::new(Watch::new(disks.collect(), watched_by));
        let watcher = watcher(&mut view, &watch, around.look_every);
        around.quiet.pace(&mut view);
        watched(&mut view, &watch);
        Self {
            view,
            watch,
            watcher,
            export,
            control: around.control,
            token,
            quiet: around.quiet,
        }
    }

    /// The layer that is made of a file.
    fn layer_of(&self, error: &FileError) -> Option<usize> {
        let mut disks = self.export.disks.iter();
        let disk = disks.find(|disk| disk.files.contains(&error.path))?;
        let place = hyperv::place(&disk.medium.instance_id).map(|place| format!("disk {place}"));
        let mut layers = self.view.layers.iter();
        layers.position(|layer| place.is_some() && layer.place == place)
    }
}

impl FrozenVm for ExportedVm {
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
        let Err(error) = self.export.verify() else {
            return Vec::new();
        };
        let finding = Finding::new(
            Code::ChangedDuringBackup,
            Severity::Partial,
            error.path.clone(),
            error.problem.to_string(),
        );
        vec![Moved {
            layer: self.layer_of(&error),
            finding: finding.hint(error.hint()),
        }]
    }

    fn finish(self: Box<Self>, end: End) -> Finished {
        let Self {
            view,
            watch,
            watcher,
            export,
            control,
            token,
            quiet: _,
        } = *self;
        let name = view.name.clone();
        drop((view, watcher, watch));
        let left = export.remove().err().map(|error| error.to_string());
        let notes = left.into_iter().chain(control.take_notes());
        Finished {
            token: token.filter(|_| end == End::Durable),
            findings: notes.map(|note| problem(&name, note)).collect(),
        }
    }
}
