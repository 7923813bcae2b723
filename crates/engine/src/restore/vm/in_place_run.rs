//! Disks that are brought back under their VM: what [`in_place`](super::in_place) has planned.

use hyperv::import::{ImportError, Rollback};
use vault_format::Entropy;

use super::in_place::{InPlaceDisk, InPlacePlan};
use super::in_place_folder::are_the_hosts;
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::restore::rollback::{RollbackDisk, RolledBack, is_kept, may_roll_back, roll_back};
use crate::restore::{Opened, Task};
use crate::source::hyperv::HostSource;

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing is kept of what the disks were: nothing of them was written.
    Nothing,
    /// Some may be written, and what they were is kept.
    Part,
    /// All are as the point has them, and what they were is kept.
    Written,
    /// All were written, and somebody has used the VM meanwhile.
    Used,
}

/// What came of it.
#[derive(Debug)]
pub struct InPlaceReport {
    /// How it went.
    pub outcome: Outcome,
    /// The disks that are as the point has them.
    pub disks: Vec<RolledBack>,
    /// How far it came.
    pub reached: Reached,
    /// Whether all are as the point has them, and the VM is as it was asked to be.
    pub done: bool,
    /// Whether the VM runs in the end.
    pub started: bool,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Told when all disks are as the point has them, and before their VM may run: an error keeps it off.
pub type AllWritten<'w> = dyn FnMut() -> Result<(), String> + 'w;

/// Brings the disks of a VM back where they are. `was_written` says that an earlier run has written all of
/// them. Until all of them are, and it is told so, the VM is
/// off.
pub fn roll_back_vm(
    task: &Task<'_>,
    opened: &Opened,
    (plan, disks): (&InPlacePlan, &[RollbackDisk]),
    (source, start): (&HostSource, bool),
    (was_written, all_written): (bool, &mut AllWritten<'_>),
    rng: &mut dyn Entropy,
) -> InPlaceReport {
    let mut run = Run {
        was_written,
        plan,
        disks,
        start,
        all_written,
        ended: InPlaceReport {
            outcome: Outcome::Failed,
            disks: Vec::new(),
            reached: reached(disks),
            done: false,
            started: false,
            findings: Vec::new(),
        },
    };
    let paths = plan.disks.iter().zip(disks);
    let paths = paths.map(|(of, disk)| (of.path.as_str(), disk.file.as_path()));
    // Before it is turned off, which is done only when that was planned.
    let begun = are_the_hosts(source, paths, rng);
    let (turns_off, replicated) = (plan.turns_off, plan.removes_replication);
    match begun.and_then(|()| source.begin_rollback(plan.vm, turns_off, replicated)) {
        Ok(rollback) => run.written(task, opened, (source, rollback), rng),
        Err(error) => run.failed(error.message, &error.hint),
    }
    let mut ended = run.ended;
    ended.outcome = Outcome::worst([ended.outcome, outcome_of(&ended.findings)]);
    ended
}

struct Run<'a, 'w> {
    was_written: bool,
    plan: &'a InPlacePlan,
    disks: &'a [RollbackDisk],
    start: bool,
    all_written: &'a mut AllWritten<'w>,
    ended: InPlaceReport,
}

impl Run<'_, '_> {
    fn failed(&mut self, message: String, hint: &str) {
        let name = self.plan.name.clone();
        let finding = Finding::new(Code::Failed, Severity::Error, name, message);
        self.ended.findings.push(finding.hint(hint));
    }

    fn written(
        &mut self,
        task: &Task<'_>,
        opened: &Opened,
        (source, rollback): (&HostSource, Rollback),
        rng: &mut dyn Entropy,
    ) {
        let (plan, disks) = (self.plan, self.disks);
        let now = |disk: &InPlaceDisk| {
            let mut media = rollback.disks.iter();
            media.any(|medium| (medium.location, &medium.path) == (disk.location, &disk.path))
        };
        if !plan.disks.iter().all(now) {
            self.failed(
                "the VM has other disks than a moment ago: nothing was written".to_owned(),
                "give the same command again",
            );
            return self.give_up(rollback, false);
        }
        let against = may_roll_back(task, opened, disks);
        if !against.is_empty() {
            self.ended.findings.extend(against);
            return self.give_up(rollback, false);
        }
        if plan.removes_replication && !self.unreplicated(source, &rollback) {
            return self.give_up(rollback, false);
        }
        let mut forgotten = false;
        let mut before = || {
            if !forgotten {
                let done = source.forget_changes(plan.vm, &rollback);
                done.map_err(|error| error.message)?;
                forgotten = true;
            }
            Ok(())
        };
        let report = roll_back(task, opened, disks, Some(&mut before), rng);
        let all = report.disks.len() == disks.len() && report.outcome < Outcome::Partial;
        self.ended.reached = reached(disks);
        self.ended.outcome = report.outcome;
        self.ended.disks = report.disks;
        self.ended.findings.extend(report.findings);
        match (all, self.ended.reached) {
            (true, Reached::Nothing) => {
                // It was what it should become.
                self.ended.done = true;
                match self.start && !rollback.ran() {
                    true => self.finish(rollback),
                    false => self.give_up(rollback, false),
                }
            }
            (true, _) => {
                match (self.all_written)() {
                    Ok(()) => {
                        self.ended.reached = Reached::Written;
                        self.finish(rollback);
                    }
                    Err(why) => {
                        drop(rollback);
                        self.failed(
                        format!("its disks are as the restore point has them, and the VM is off: {why}"),
                        "see to that, and give the same command again",
                    );
                    }
                }
            }
            (false, _) => self.give_up(rollback, forgotten),
        }
    }

    /// Removes its replication, when nothing else is in the way; whether it has none now.
    fn unreplicated(&mut self, source: &HostSource, rollback: &Rollback) -> bool {
        match source.remove_replication(self.plan.vm, rollback) {
            Ok(count) => {
                let what =
                    format!("its replication was removed ({count}); the other host keeps its copy");
                let name = self.plan.name.clone();
                let finding = Finding::new(Code::HostNote, Severity::Warning, name, what);
                let hint = "set it up anew on its host when the VM is right";
                self.ended.findings.push(finding.hint(hint));
                true
            }
            Err(error) => {
                let what = format!(
                    "its replication, or a part of it, may be gone for good, and nothing was written: {}",
                    error.message
                );
                self.failed(what, &error.hint);
                false
            }
        }
    }

    fn finish(&mut self, rollback: Rollback) {
        let used = "`restore confirm --vm` gives up what is kept, then the same command brings them back anew; \
                    or restore the VM beside this one";
        match rollback.finish(self.start) {
            Ok(None) => (self.ended.done, self.ended.started) = (true, self.start),
            Ok(Some(error)) => {
                self.ended.done = true;
                self.failed(
                    format!("its disks are as the restore point has them, and it was not started: {error}"),
                    "look at the VM on its host, and start it there when that is right",
                );
            }
            Err(
                error @ (ImportError::OtherState(_)
                | ImportError::OtherDisks(_)
                | ImportError::RanMeanwhile(_)),
            ) => {
                self.ended.done = false;
                if self.ended.reached == Reached::Written {
                    self.ended.reached = Reached::Used;
                }
                match self.ended.reached {
                    Reached::Nothing => self.failed(
                        format!("somebody has used the VM meanwhile; nothing was written: {error}"),
                        "look at the VM on its host",
                    ),
                    _ => self.failed(
                        format!(
                            "somebody has used the VM while its disks were written, so that they may be \
                             part old and part new: {error}"
                        ),
                        used,
                    ),
                }
            }
            Err(error) => {
                self.ended.done = false;
                self.failed(
                    format!(
                        "its disks are as the restore point has them, and the VM is left off: whether somebody \
                         has used it meanwhile could not be looked at: {error}"
                    ),
                    "give the same command again, which looks at it once more",
                );
            }
        }
    }

    /// The VM does again what it did, unless something of its disks may have been written, by this run
    /// or by one before it.
    fn give_up(&mut self, rollback: Rollback, wrote: bool) {
        self.ended.reached = reached(self.disks);
        let kept = self.ended.reached != Reached::Nothing;
        let ran = rollback.ran();
        if kept && self.was_written && !wrote {
            self.failed(
                "an earlier run has brought its disks back, and they are not as it left them: nothing was written"
                    .to_owned(),
                "`restore confirm --vm` gives up what they were before; then the same command brings them back anew",
            );
        } else if kept && (wrote || !ran) {
            // The journal keeps it.
            drop(rollback);
            self.failed(
                "the VM is off, and its disks may be part old and part new: it must not be started"
                    .to_owned(),
                "give the same command again to finish it, or take it back with `restore undo --vm`",
            );
            return;
        }
        match rollback.abandon(!kept) {
            Ok(()) => self.ended.started = ran,
            Err(error) => {
                let what = format!("it ran, was turned off, and does not run again: {error}");
                let name = self.plan.name.clone();
                let finding = Finding::new(Code::HostNote, Severity::Warning, name, what);
                self.ended
                    .findings
                    .push(finding.hint("start it on its host"));
            }
        }
    }
}

/// Whether something is kept beside one of these disks; what cannot be looked at may have something.
fn reached(disks: &[RollbackDisk]) -> Reached {
    let is_kept = |disk: &RollbackDisk| is_kept(&disk.file).unwrap_or(true);
    match disks.iter().any(is_kept) {
        true => Reached::Part,
        false => Reached::Nothing,
    }
}
