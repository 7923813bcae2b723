//! Putting right what a run left behind that was killed.
//!
//! The journal says what the run was about to do; the host shows what became of it. What is surely
//! ours is removed; what may be somebody else's is told and left alone ([`Report::suspects`]), and
//! stays in the journal. Recovery is itself written into that journal, so it may be killed as well.
//!
//! Surely ours is a checkpoint whose id the run had written down, which the job of its call made,
//! which has the name that the run would give it, or which everything that the host tells ties to a
//! call whose answer was lost. What merely appeared is not.

mod now;
mod planned;
mod replaced;
mod report;
mod sweep;
mod tie;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

pub use report::{KnownBy, Left, Removed, Report, Resumed, Returned, Suspect, Thing};
pub use sweep::{Seen, Swept, Whose, sweep};

use crate::checkpoint::{CheckpointError, destroy_checkpoint, destroy_reference_point};
use crate::control::Control;
use crate::ids::fold;
use crate::import::is_lived_in;
use crate::journal::{Call, Export, JournalError, Open, Outcome, Reading};
use crate::memory;
use crate::replication;
use now::{Now, Told};

/// Whether a reference point is needed by a backup to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// A restore point's token names it: it is kept, and the journal forgets it.
    Yes,
    /// No restore point does: it is removed.
    No,
    /// That is not known yet: it stays, in the journal as well.
    NotYet,
}

/// How long is waited for what can be told only later: a host that is at work on a VM, or may be
/// about to begin a call, and what was made a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// As long as for any other call; what cannot be told then is [left](Report::left).
    Long,
    /// Not at all.
    No,
}

/// Puts right what the journal of `control` tells: one taken over from a run that is gone, or, when
/// nothing else is at work, this run's own, for calls whose answers it lost.
///
/// What was made a moment ago is looked at again, and a host that is at work on a VM is waited for,
/// as long as for any other call, unless somebody wants to stop.
///
/// # Errors
/// When the journal cannot be read. What fails on the host is in the report.
pub fn recover(
    control: &Control,
    remembered: &dyn Fn(Uuid, &str) -> Remembered,
) -> Result<Report, JournalError> {
    let mut report = Report::default();
    for vm in machines(&control.journal().reading()?) {
        put_right(control, (vm, Wait::Long), remembered, &mut report);
    }
    Ok(report)
}

/// The same for one of the VMs, with a control that leads to it. Of a VM that is not waited for
/// long enough nothing else is removed before, and why is told by [`Report::waiting`].
pub fn recover_one(
    control: &Control,
    vm: Uuid,
    wait: Wait,
    remembered: &dyn Fn(Uuid, &str) -> Remembered,
) -> Report {
    let mut report = Report::default();
    put_right(control, (vm, wait), remembered, &mut report);
    report
}

fn put_right(
    control: &Control,
    (vm, wait): (Uuid, Wait),
    remembered: &dyn Fn(Uuid, &str) -> Remembered,
    report: &mut Report,
) {
    let mut machine = Machine {
        control,
        vm,
        wait,
        known: BTreeMap::new(),
        report,
    };
    if let Err(error) = machine.put_right(remembered) {
        machine.left(error.to_string());
    }
    let notes = control.take_notes().into_iter();
    let notes = notes.map(|what| Left { vm: None, what });
    report.left.extend(notes);
}

/// The VMs of which a journal tells something that is to be seen to.
pub fn machines(reading: &Reading) -> BTreeSet<Uuid> {
    let open = reading.open.iter().map(|open| open.intent.vm);
    let made = reading.checkpoints.iter().chain(&reading.reference_points);
    let made = made.chain(&reading.suspended).map(|(vm, _)| *vm);
    let exports = reading.exports.iter().map(|(vm, _)| *vm);
    let planned = reading.planned.iter().map(|(vm, _)| *vm);
    let asides = reading.asides.iter().map(|(vm, _)| *vm);
    let restores = planned.chain(asides);
    open.chain(made).chain(exports).chain(restores).collect()
}

/// One VM that is put right.
struct Machine<'m> {
    control: &'m Control,
    vm: Uuid,
    wait: Wait,
    /// What told of each checkpoint that it is ours.
    known: BTreeMap<String, KnownBy>,
    report: &'m mut Report,
}

impl Machine<'_> {
    fn put_right(
        &mut self,
        remembered: &dyn Fn(Uuid, &str) -> Remembered,
    ) -> Result<(), CheckpointError> {
        let (control, vm) = (self.control, self.vm);
        // A folder is there whether or not its VM is still.
        let tried = self.remove_exports(&BTreeSet::new())?;
        // What is only planned is no VM yet, and that of which it is made need not be here.
        self.remove_planned()?;
        self.settle_replaced()?;
        let mut rest = self.journal()?;
        rest.open.retain(|open| !open.intent.call.is_restore());
        rest.planned.clear();
        rest.asides.clear();
        if !machines(&rest).contains(&vm) {
            return Ok(());
        }
        let now = self.settle()?;
        // What is being converted is not removed beside that, and so on.
        let busy: Vec<String> = self
            .open()?
            .into_iter()
            .filter_map(|open| match open.intent.call {
                Call::ConvertCheckpoint { checkpoint, .. } => Some(checkpoint),
                Call::ResumeReplication { relationship } => Some(relationship),
                _ => None,
            })
            .collect();
        // Before all else that may fail: a copy that stands still is a copy that gets old.
        for id in of(vm, self.journal()?.suspended) {
            self.resume(&busy, id);
        }
        if !self.report.waiting.is_empty() {
            return Ok(());
        }
        self.remove_exports(&tried)?;
        // What was open has told more of what is ours.
        for id in of(vm, self.journal()?.checkpoints) {
            if busy.contains(&id) {
                continue;
            }
            if now.has_checkpoint(&id) {
                destroy_checkpoint(control, vm, &id)?;
                self.removed(id);
            } else {
                control.seen_done(vm, Call::DestroyCheckpoint { checkpoint: id });
            }
        }
        for id in of(vm, self.journal()?.reference_points) {
            if !now.points.iter().any(|point| fold(point) == fold(&id)) {
                let reference_point = id;
                control.seen_done(vm, Call::DestroyReferencePoint { reference_point });
                continue;
            }
            match remembered(vm, &id) {
                Remembered::NotYet => {}
                Remembered::Yes => {
                    if let Err(error) = control.journal().release(vm, &id) {
                        control.note(error.to_string());
                    }
                }
                Remembered::No => {
                    destroy_reference_point(control, vm, &id)?;
                    self.removed(id);
                }
            }
        }
        Ok(())
    }

    /// Removes what is known to be exported and was not tried before, and tells what was tried. What
    /// may still be written is left alone.
    fn remove_exports(
        &mut self,
        before: &BTreeSet<Export>,
    ) -> Result<BTreeSet<Export>, CheckpointError> {
        // A removal that was cut short is none that goes on: it is begun once more.
        let mut written = BTreeSet::new();
        for open in self.open()? {
            match open.intent.call {
                Call::ExportMemory { folder, node } => _ = written.insert(Export { folder, node }),
                Call::RemoveExport { .. } => {
                    let why = "it was not seen to be done".to_owned();
                    self.control.settle(open.number, Outcome::NotDone { why });
                }
                _ => {}
            }
        }
        let mut tried = BTreeSet::new();
        for (vm, export) in self.journal()?.exports {
            if vm != self.vm || written.contains(&export) || before.contains(&export) {
                continue;
            }
            // What was put aside may have become the home of the VM again.
            match is_lived_in(self.control.session(), &export.folder) {
                Ok(false) => {}
                Ok(true) => {
                    let Export { folder, node } = export.clone();
                    self.control
                        .seen_done(vm, Call::RemoveExport { folder, node });
                    continue;
                }
                Err(error) => {
                    self.left(error.to_string());
                    continue;
                }
            }
            match memory::remove_export(self.control, vm, &export) {
                Ok(true) => self.removed(export.folder.clone()),
                Ok(false) => {}
                Err(error) => self.left(error.to_string()),
            }
            tried.insert(export);
        }
        Ok(tried)
    }

    fn resume(&mut self, busy: &[String], relationship: String) {
        if busy.contains(&relationship) {
            return;
        }
        let vm = self.vm;
        match replication::resume(self.control, vm, &relationship) {
            Ok(true) => self.report.resumed.push(Resumed { vm, relationship }),
            Ok(false) => {}
            Err(error) => self.left(format!("its replication does not go on: {error}")),
        }
    }

    /// Settles each open call whose end can be told, and gives what the VM has.
    fn settle(&mut self) -> Result<Now, CheckpointError> {
        let (vm, pace) = (self.vm, self.control.pace());
        let mut tries = self.control.tries();
        loop {
            let all = self.open()?;
            let now = Now::look(self.control, self.vm, &all)?;
            let (mut soon, mut suspects) = (Vec::new(), Vec::new());
            for open in all {
                match now.told(self.control, &open)? {
                    Told::Ended { outcome, ours } => {
                        self.known.extend(ours);
                        self.control.settle(open.number, outcome);
                    }
                    Told::Soon { after, why } => soon.push((after, why)),
                    Told::Suspects(what, found) => {
                        let found = found.into_iter();
                        suspects.extend(found.map(|(id, why)| Suspect { vm, what, id, why }));
                    }
                }
            }
            let after = soon.iter().map(|(after, _)| *after).max();
            let wait = match after.filter(|_| self.wait == Wait::Long) {
                Some(after) => tries.next(pace).map(|wait| wait.max(after)),
                None => None,
            };
            if let Some(wait) = wait.filter(|_| !pace.cancelled()) {
                pace.sleep(wait);
                continue;
            }
            let why = soon.into_iter().map(|(_, why)| why);
            match self.wait {
                Wait::Long => why.for_each(|why| self.left(why)),
                Wait::No => {
                    let vm = Some(vm);
                    let waiting = why.map(|what| Left { vm, what });
                    self.report.waiting.extend(waiting);
                }
            }
            // They are looked at again with what is waited for.
            if self.report.waiting.is_empty() {
                self.report.suspects.extend(suspects);
            }
            return Ok(now);
        }
    }

    fn open(&self) -> Result<Vec<Open>, CheckpointError> {
        let mut open = self.journal()?.open;
        open.retain(|open| open.intent.vm == self.vm && !open.intent.call.is_restore());
        Ok(open)
    }

    fn journal(&self) -> Result<Reading, CheckpointError> {
        let reading = self.control.journal().reading();
        reading.map_err(|error| CheckpointError::Change(error.into()))
    }

    fn left(&mut self, what: String) {
        let vm = Some(self.vm);
        self.report.left.push(Left { vm, what });
    }

    fn removed(&mut self, id: String) {
        let known_by = self.known.get(&id).copied().unwrap_or(KnownBy::Journal);
        let vm = self.vm;
        self.report.removed.push(Removed { vm, id, known_by });
    }
}

/// The names of a VM's objects.
fn of(vm: Uuid, all: BTreeSet<(Uuid, String)>) -> Vec<String> {
    let all = all.into_iter().filter(|(of, _)| *of == vm);
    all.map(|(_, id)| id).collect()
}
