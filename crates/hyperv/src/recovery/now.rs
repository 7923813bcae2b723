//! What a VM has now, and what that tells of a call whose end is not known.

use std::time::Duration;

use cim::job::{self, JobSnapshot};
use cim::{CimError, ObjectPath};
use jiff::SignedDuration;
use uuid::Uuid;

use super::tie::{Tie, tie};
use super::{KnownBy, Thing};
use crate::checkpoint::{
    self, CheckpointError, SeenCheckpoint, SeenMachine, checkpoints, reference_points,
};
use crate::control::Control;
use crate::ids::fold;
use crate::inventory::{Operation, Relationship};
use crate::journal::{Call, Open, Outcome};
use crate::replication::{self, SUSPENDED};

/// How long after a conversion was begun the only new reference point is taken for what it made.
/// Nobody else can make one while our checkpoint is there; but people who find it remove it, and
/// the next to come may be another backup.
const ALONE: SignedDuration = SignedDuration::from_mins(15);

/// How long after a call was written down the host may still begin it. A call whose answer was lost
/// may wait in the host's queue, where nothing tells of it.
const BEGINS: SignedDuration = SignedDuration::from_mins(5);

/// What a VM has now.
pub(super) struct Now {
    machine: SeenMachine,
    checkpoints: Vec<SeenCheckpoint>,
    pub(super) points: Vec<String>,
    /// Of a VM with calls for which they matter.
    relationships: Vec<Relationship>,
    /// The types of the jobs that go on with it.
    jobs: Vec<u16>,
}

/// What a look at the host tells of a call.
pub(super) enum Told {
    /// How it ended, and what is ours by that.
    Ended {
        outcome: Outcome,
        ours: Option<(String, KnownBy)>,
    },
    /// Nothing yet, for this reason; after this time at the earliest.
    Soon { after: Duration, why: String },
    /// What may be ours, and why that is not known of each.
    Suspects(Thing, Vec<(String, String)>),
}

impl Told {
    fn done() -> Self {
        Self::ended(Outcome::Done { made: None })
    }

    fn not_done(why: &str) -> Self {
        let why = why.to_owned();
        Self::ended(Outcome::NotDone { why })
    }

    fn ended(outcome: Outcome) -> Self {
        let ours = None;
        Self::Ended { outcome, ours }
    }

    fn busy(why: String) -> Self {
        let after = Duration::ZERO;
        Self::Soon { after, why }
    }

    fn made(id: &str, known_by: KnownBy) -> Self {
        let made = Some(id.to_owned());
        Self::Ended {
            outcome: Outcome::Done { made },
            ours: Some((id.to_owned(), known_by)),
        }
    }
}

impl Now {
    pub(super) fn look(control: &Control, vm: Uuid, open: &[Open]) -> Result<Self, CimError> {
        let session = control.session();
        let about_jobs = open.iter().any(|open| {
            matches!(
                open.intent.call,
                Call::SuspendReplication { .. }
                    | Call::ResumeReplication { .. }
                    | Call::RemoveReplication { .. }
                    | Call::ExportMemory { .. }
            )
        });
        // Asked first: what it is at may end before the rest is asked, and not the other way round.
        // A VM that is not here may be on another node, with all that we made.
        let machine = checkpoint::machine(session, vm)?;
        let jobs = match about_jobs {
            true => replication::jobs(session, vm)?,
            false => Vec::new(),
        };
        let relationships = match about_jobs {
            true => replication::relationships(session, vm)?,
            false => Vec::new(),
        };
        let points = reference_points(session, vm)?;
        let checkpoints = checkpoints(session, vm)?;
        // And last: it may have gone there meanwhile.
        checkpoint::still_here(session, vm)?;
        Ok(Self {
            relationships,
            jobs,
            machine,
            checkpoints,
            points: points.into_iter().map(|point| point.instance_id).collect(),
        })
    }

    pub(super) fn has_checkpoint(&self, id: &str) -> bool {
        self.checkpoints.iter().any(|c| c.is(id))
    }

    /// How a call ended whose end is not known.
    pub(super) fn told(&self, control: &Control, open: &Open) -> Result<Told, CheckpointError> {
        const STILL: &str = "it is still there";
        Ok(match &open.intent.call {
            Call::CreateCheckpoint { name, before, .. } => {
                self.created(control, open, name, before)?
            }
            // Its effect is seen in the name, or does not matter.
            Call::RenameCheckpoint { .. } => Told::done(),
            Call::ConvertCheckpoint { checkpoint, before } => {
                // It may be doing it just now.
                if let Some(job) = running(control, open)? {
                    return Ok(Told::busy(format!("the job {job} goes on")));
                }
                match (self.has_checkpoint(checkpoint), self.machine.operation) {
                    (true, Some(operation)) => return Ok(at_work(operation)),
                    (true, None) => return Ok(unseen(control, open, STILL)),
                    (false, _) => {}
                }
                let points = self.points.iter();
                let new: Vec<&String> = points.filter(|id| !has(before, id)).collect();
                if let Some(job) = job(open) {
                    let made = made_by(control, &job, "Msvm_VirtualSystemReferencePoint")?;
                    if let Some(ours) = new.iter().find(|id| has(&made, id)) {
                        return Ok(Told::made(ours, KnownBy::Job));
                    }
                }
                let why = match new.as_slice() {
                    [] => return Ok(Told::done()),
                    [one] if is_younger(control, open, ALONE) => {
                        return Ok(Told::made(one, KnownBy::Journal));
                    }
                    [_] => "it is new, and another backup may have made it since",
                    _ => "it is one of several new reference points",
                };
                let new = new.into_iter();
                let new = new.map(|id| (id.clone(), why.to_owned()));
                Told::Suspects(Thing::ReferencePoint, new.collect())
            }
            Call::DestroyCheckpoint { checkpoint } => match self.has_checkpoint(checkpoint) {
                true => Told::not_done(STILL),
                false => Told::done(),
            },
            Call::DestroyReferencePoint { reference_point } => {
                match has(&self.points, reference_point) {
                    true => Told::not_done(STILL),
                    false => Told::done(),
                }
            }
            // It may be writing just now; and when it does not, part of it may be there.
            Call::ExportMemory { .. } => match (self.machine.operation, self.jobs.is_empty()) {
                (Some(operation), _) => at_work(operation),
                (None, false) => Told::busy(self.at_jobs()),
                (None, true) if may_begin(control, open) => Told::busy(BEGINS_YET.to_owned()),
                (None, true) => Told::done(),
            },
            // It is looked for before all else.
            Call::RemoveExport { .. } => Told::not_done(STILL),
            Call::SuspendReplication { relationship } => match self.suspended(relationship) {
                // It was going on when this was written down.
                true => Told::done(),
                false if !self.jobs.is_empty() => Told::busy(self.at_jobs()),
                false => unseen(control, open, "the replication is not suspended"),
            },
            // What was wanted of that run is not done by another one.
            Call::RemoveReplication { relationship } => match self.is_replicated_by(relationship) {
                false => Told::done(),
                true if !self.jobs.is_empty() => Told::busy(self.at_jobs()),
                true => unseen(control, open, "the replication is there still"),
            },
            // They are seen to before all else, and need no VM.
            Call::PutAside { .. }
            | Call::Replace { .. }
            | Call::RollBack { .. }
            | Call::KeepOff { .. }
            | Call::DestroyMachine { .. }
            | Call::ChangePower { .. }
            | Call::MakePlanned { .. }
            | Call::ChangePlanned { .. }
            | Call::RealizePlanned { .. }
            | Call::DestroyPlanned { .. } => Told::busy(BEGINS_YET.to_owned()),
            Call::ResumeReplication { relationship } => match self.suspended(relationship) {
                true if !self.jobs.is_empty() => Told::busy(self.at_jobs()),
                true => Told::not_done("the replication is suspended still"),
                false => Told::done(),
            },
        })
    }

    fn suspended(&self, relationship: &str) -> bool {
        let mut all = self.relationships.iter();
        let found = all.find(|known| fold(&known.instance_id) == fold(relationship));
        found.is_some_and(|known| known.state == Some(SUSPENDED))
    }

    fn is_replicated_by(&self, relationship: &str) -> bool {
        let mut all = self.relationships.iter();
        all.any(|known| fold(&known.instance_id) == fold(relationship))
    }

    fn at_jobs(&self) -> String {
        format!("the host is at work on it: jobs of type {:?}", self.jobs)
    }

    fn created(
        &self,
        control: &Control,
        open: &Open,
        name: &str,
        before: &[String],
    ) -> Result<Told, CheckpointError> {
        let recovery = self.checkpoints.iter().filter(|c| c.recovery);
        let new: Vec<&SeenCheckpoint> = recovery.filter(|c| !has(before, &c.instance_id)).collect();
        if let Some(named) = new.iter().find(|c| c.name == name) {
            return Ok(Told::made(&named.instance_id, KnownBy::Name));
        }
        if let Some(job) = running(control, open)? {
            return Ok(Told::busy(format!("the job {job} goes on")));
        }
        if let Some(job) = job(open) {
            let made = made_by(control, &job, "Msvm_VirtualSystemSettingData")?;
            if let Some(ours) = new.iter().find(|c| has(&made, &c.instance_id)) {
                return Ok(Told::made(&ours.instance_id, KnownBy::Job));
            }
        }
        if let Some(operation) = self.machine.operation
            && (new.is_empty() || operation == Operation::CreatingCheckpoint)
        {
            // It may be taking it just now; or what is there is another's, and has no name yet.
            return Ok(at_work(operation));
        }
        let Some(first) = new.first() else {
            return Ok(unseen(control, open, "there is no new checkpoint"));
        };
        let clock = checkpoint::clock(control.session())?;
        Ok(match tie(&open.intent, first, new.len(), clock) {
            Tie::Ours => Told::made(&first.instance_id, KnownBy::Time),
            Tie::Wait(after) => Told::Soon {
                after,
                why: "a checkpoint is too young to tell whose it is".to_owned(),
            },
            Tie::No(why) => {
                let new = new.iter();
                let new = new.map(|c| (c.instance_id.clone(), why.to_owned()));
                Told::Suspects(Thing::Checkpoint, new.collect())
            }
        })
    }
}

fn has(all: &[String], id: &str) -> bool {
    all.iter().any(|known| fold(known) == fold(id))
}

fn at_work(operation: Operation) -> Told {
    Told::busy(format!("the host is at work on it: {operation:?}"))
}

pub(super) const BEGINS_YET: &str = "the host may be about to begin it";

/// Whether the host may have a call and not have begun it. A job is a beginning.
pub(super) fn may_begin(control: &Control, open: &Open) -> bool {
    open.job.is_none() && is_younger(control, open, BEGINS)
}

/// What it means that nothing is seen of a call.
fn unseen(control: &Control, open: &Open, why: &str) -> Told {
    match may_begin(control, open) {
        true => Told::busy(format!("{why}, and {BEGINS_YET}")),
        false => Told::not_done(why),
    }
}

/// Whether a call was written down less than so long ago. One of the future was written down by a clock
/// that was wrong, and nothing tells when.
fn is_younger(control: &Control, open: &Open, than: SignedDuration) -> bool {
    let age = control.time().duration_since(open.intent.at);
    age > -BEGINS && age < than
}

/// The job of a call, if the run came so far as to write it down.
pub(super) fn job(open: &Open) -> Option<ObjectPath> {
    open.job.as_deref().and_then(|path| path.parse().ok())
}

/// The job of a call, if it goes on.
pub(super) fn running(control: &Control, open: &Open) -> Result<Option<ObjectPath>, CimError> {
    let Some(job) = job(open) else {
        return Ok(None);
    };
    match control.session().get(&job) {
        Ok(row) => {
            let ended = JobSnapshot::read(&row).map_or(true, |job| job.state.is_end());
            Ok((!ended).then_some(job))
        }
        // Hosts forget jobs after minutes.
        Err(error) if error.fault_kind().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a job made of a class, as long as the host remembers it.
fn made_by(control: &Control, job: &ObjectPath, class: &str) -> Result<Vec<String>, CimError> {
    match job::results(control.session(), job, class) {
        Ok(rows) => {
            let ids = rows.iter().filter_map(|row| row.get("InstanceID").ok());
            Ok(ids.collect())
        }
        Err(error) if error.fault_kind().is_some() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
