//! Putting right what a run left behind that was killed.
//!
//! The journal says what the run was about to do; the host shows what became of it. What is surely
//! ours is removed; what may be somebody else's is told and left alone ([`Report::suspects`]), and
//! stays in the journal. Recovery is itself written into that journal, so it may be killed as well.
//!
//! Surely ours is a checkpoint whose id the run had written down, which the job of its call made, or
//! which has the name that the run would give it. A checkpoint that appeared after a call whose
//! answer was lost, and that nobody has named yet, is not.

use std::collections::BTreeSet;

use cim::job::{self, JobSnapshot};
use cim::{CimError, ObjectPath};
use uuid::Uuid;

use crate::checkpoint::{
    CheckpointError, SeenCheckpoint, checkpoints, destroy_checkpoint, destroy_reference_point,
    reference_points,
};
use crate::control::Control;
use crate::ids::{self, fold};
use crate::inventory::Operation;
use crate::journal::{Call, JournalError, Open, Outcome, Reading};

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

/// What was done and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checkpoints and reference points that were removed.
    pub removed: Vec<String>,
    /// What may be ours or somebody else's. A person has to decide.
    pub suspects: Vec<String>,
    /// What could not be seen to, with the reason; the next run tries again.
    pub failed: Vec<String>,
}

/// Puts right what the journal of `control`, taken over from a run that is gone, tells.
///
/// # Errors
/// When the journal cannot be read. What fails on the host is in the report.
pub fn recover(
    control: &Control<'_>,
    remembered: &dyn Fn(Uuid, &str) -> Remembered,
) -> Result<Report, JournalError> {
    let reading = control.journal().reading()?;
    let mut report = Report::default();
    for vm in machines(&reading) {
        if let Err(error) = machine(control, vm, remembered, &mut report) {
            report.failed.push(format!("VM {vm}: {error}"));
        }
    }
    report.failed.extend(control.take_notes());
    Ok(report)
}

fn machines(reading: &Reading) -> BTreeSet<Uuid> {
    let open = reading.open.iter().map(|open| open.intent.vm);
    let made = reading.checkpoints.iter().chain(&reading.reference_points);
    open.chain(made.map(|(vm, _)| *vm)).collect()
}

fn machine(
    control: &Control<'_>,
    vm: Uuid,
    remembered: &dyn Fn(Uuid, &str) -> Remembered,
    report: &mut Report,
) -> Result<(), CheckpointError> {
    let now = Now::look(control, vm)?;
    for open in journal(control)?
        .open
        .into_iter()
        .filter(|open| open.intent.vm == vm)
    {
        if let Some(outcome) = now.outcome(control, &open, report)? {
            control.settle(open.number, outcome);
        }
    }
    // What is open has told more of what is ours.
    for (_, id) in journal(control)?
        .checkpoints
        .into_iter()
        .filter(|(of, _)| *of == vm)
    {
        if now.has_checkpoint(&id) {
            destroy_checkpoint(control, vm, &id)?;
            report.removed.push(id);
        } else {
            control.seen_done(vm, Call::DestroyCheckpoint { checkpoint: id });
        }
    }
    for (_, id) in journal(control)?
        .reference_points
        .into_iter()
        .filter(|(of, _)| *of == vm)
    {
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
                report.removed.push(id);
            }
        }
    }
    Ok(())
}

fn journal(control: &Control<'_>) -> Result<Reading, CheckpointError> {
    let reading = control.journal().reading();
    reading.map_err(|error| CheckpointError::Change(error.into()))
}

/// What a VM has now.
struct Now {
    /// What the host is doing with it.
    operation: Option<Operation>,
    checkpoints: Vec<SeenCheckpoint>,
    points: Vec<String>,
}

impl Now {
    fn look(control: &Control<'_>, vm: Uuid) -> Result<Self, CimError> {
        let session = control.session();
        // Asked first: what it is at may end before the rest is asked, and not the other way round.
        // A VM that is not here may be on another node, with all that we made.
        let row = session.get(&ids::machine_path(vm))?;
        let status: Vec<u16> = row.get_list("OperationalStatus").unwrap_or_default();
        let points = reference_points(session, vm)?;
        Ok(Self {
            operation: status.get(1).copied().and_then(Operation::from_number),
            checkpoints: checkpoints(session, vm)?,
            points: points.into_iter().map(|point| point.instance_id).collect(),
        })
    }

    fn has_checkpoint(&self, id: &str) -> bool {
        self.checkpoints
            .iter()
            .any(|c| fold(&c.instance_id) == fold(id))
    }

    /// How a call ended whose end is not known; `None` when that cannot be told.
    fn outcome(
        &self,
        control: &Control<'_>,
        open: &Open,
        report: &mut Report,
    ) -> Result<Option<Outcome>, CheckpointError> {
        let done = Outcome::Done { made: None };
        let still = || {
            let why = "it is still there".to_owned();
            Outcome::NotDone { why }
        };
        Ok(match &open.intent.call {
            Call::CreateCheckpoint { name, before, .. } => {
                self.created(control, open, name, before, report)?
            }
            // Its effect is seen in the name, or does not matter.
            Call::RenameCheckpoint { .. } => Some(done),
            Call::ConvertCheckpoint { checkpoint, before } => {
                if self.has_checkpoint(checkpoint) {
                    return Ok(Some(still()));
                }
                let points = self.points.iter().map(String::as_str);
                match new(points, before).as_slice() {
                    [] => Some(done),
                    [one] => {
                        let made = Some((*one).to_owned());
                        Some(Outcome::Done { made })
                    }
                    several => {
                        report
                            .suspects
                            .extend(several.iter().map(|id| (*id).to_owned()));
                        None
                    }
                }
            }
            Call::DestroyCheckpoint { checkpoint } => Some(match self.has_checkpoint(checkpoint) {
                true => still(),
                false => done,
            }),
            Call::DestroyReferencePoint { reference_point } => {
                let mut points = self.points.iter();
                let there = points.any(|point| fold(point) == fold(reference_point));
                Some(if there { still() } else { done })
            }
        })
    }

    fn created(
        &self,
        control: &Control<'_>,
        open: &Open,
        name: &str,
        before: &[String],
        report: &mut Report,
    ) -> Result<Option<Outcome>, CheckpointError> {
        let recovery = self.checkpoints.iter().filter(|c| c.recovery);
        let ids = recovery.clone().map(|c| c.instance_id.as_str());
        let new = new(ids, before);
        let made = |id: &str| {
            let made = Some(id.to_owned());
            Some(Outcome::Done { made })
        };
        if let Some(named) = recovery.clone().find(|c| c.name == name) {
            return Ok(made(&named.instance_id));
        }
        let job = open.job.as_deref().and_then(|path| path.parse().ok());
        if let Some(job) = job {
            if runs(control, &job)? {
                let vm = open.intent.vm;
                report
                    .failed
                    .push(format!("VM {vm}: the job {job} goes on"));
                return Ok(None);
            }
            let rows = job::results(control.session(), &job, "Msvm_VirtualSystemSettingData");
            // Hosts forget jobs after minutes; then it tells nothing.
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) if error.fault_kind().is_some() => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            let told: Vec<String> = rows
                .iter()
                .filter_map(|r| r.get("InstanceID").ok())
                .collect();
            let ours = new
                .iter()
                .find(|id| told.iter().any(|told| fold(told) == fold(id)));
            if let Some(id) = ours {
                return Ok(made(id));
            }
        }
        if let (true, Some(operation)) = (new.is_empty(), self.operation) {
            // It may be taking it just now.
            let vm = open.intent.vm;
            report
                .failed
                .push(format!("VM {vm}: the host is at work on it: {operation:?}"));
            return Ok(None);
        }
        if new.is_empty() {
            let why = "there is no new checkpoint".to_owned();
            return Ok(Some(Outcome::NotDone { why }));
        }
        report
            .suspects
            .extend(new.iter().map(|id| (*id).to_owned()));
        Ok(None)
    }
}

/// Whether a job is there and goes on.
fn runs(control: &Control<'_>, job: &ObjectPath) -> Result<bool, CimError> {
    match control.session().get(job) {
        Ok(row) => Ok(JobSnapshot::read(&row).is_ok_and(|job| !job.state.is_end())),
        // Hosts forget jobs after minutes.
        Err(error) if error.fault_kind().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

fn new<'n>(now: impl Iterator<Item = &'n str>, before: &[String]) -> Vec<&'n str> {
    now.filter(|id| !before.iter().any(|old| fold(old) == fold(id)))
        .collect()
}
