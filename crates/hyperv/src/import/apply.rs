//! A plan, carried out: from what the caller has written to a VM.
//!
//! The steps of the plan are done in their order. Until the planned VM is realized, whatever goes
//! wrong destroys it; nothing is done to a host that is not what the plan was made for, as far as
//! that can be seen: an id that is kept must be free.
//!
//! A VM that is replaced is put aside and taken off the host when nothing but the import is left to
//! be done, and comes back when that fails ([`Replacing`]).
//!
//! What was realized is compared with the plan. A VM that is not what was planned stays, is told
//! with every difference, and is not started: it holds all that was restored.

use std::sync::Arc;

use uuid::Uuid;

use super::applied::{Applied, ApplyError, Aside, Undo, Written};
use super::aside::may_put_aside;
use super::define::{Made, define};
use super::error::ImportError;
use super::finding::Finding;
use super::plan::Way;
use super::planned::{Definition, PlannedVm};
use super::power::start;
use super::replace::Replacing;
use super::replication::remove_replication;
use super::rollback::{at_rest, is_idle};
use super::seen::{Seen, planned};
use super::steps::Step;
use super::verify::verify;
use super::{Plan, Point};
use crate::control::Control;
use crate::ids;

/// Keeps what is needed to take a restore back, durably, or says why it could not.
pub type Keep<'k> = dyn FnMut(&Undo) -> Result<(), String> + 'k;

/// Carries a plan out. `tell` is told of each step before it is done; what the caller has written
/// before is told as well, in its place. `keep` gets what is needed to bring a VM back that is replaced,
/// before another one has its id: when it cannot be kept, none has.
///
/// # Errors
/// When there is no VM of the plan, as far as is known. Then nothing of it is left on the host, or
/// it is in the journal.
pub fn apply(
    control: &Arc<Control>,
    point: &Point,
    plan: &Plan,
    written: &Written,
    tell: &mut dyn FnMut(&Step),
    keep: &mut Keep<'_>,
) -> Result<Applied, ApplyError> {
    let mut run = Run {
        control,
        point,
        plan,
        written,
        keep,
        replacing: plan.replaces.map(|vm| {
            let go = |finding: &Finding| matches!(finding, Finding::CheckpointsGo { .. });
            Replacing::new(control, vm, plan.findings.iter().any(go))
        }),
        aside: None,
        planned: None,
        made: Made::default(),
        realized: None,
        connected: 0,
        applied: None,
    };
    if let Err(problem) = run.may_begin() {
        return Err(run.failed(None, problem));
    }
    for step in &plan.steps {
        tell(step);
        if let Err(problem) = run.step(step) {
            return Err(run.failed(Some(step), problem));
        }
    }
    match run.applied.take() {
        Some(applied) => Ok(applied),
        None => Err(run.failed(None, no_planned())),
    }
}

/// A plan that is carried out.
struct Run<'r, 'k> {
    control: &'r Arc<Control>,
    point: &'r Point,
    plan: &'r Plan,
    written: &'r Written,
    keep: &'r mut Keep<'k>,
    /// What is replaced, until the new one is there.
    replacing: Option<Replacing>,
    aside: Option<Aside>,
    planned: Option<PlannedVm>,
    /// The pieces of one that is made anew.
    made: Made,
    realized: Option<Uuid>,
    /// How many adapters have been connected: they are in the order of the plan.
    connected: usize,
    applied: Option<Applied>,
}

impl Run<'_, '_> {
    /// Looks whether the plan can be carried out, and the host is still what it was made for.
    fn may_begin(&self) -> Result<(), ImportError> {
        if !self.plan.is_possible() || self.plan.steps.is_empty() {
            let why = self.plan.blocking().map(ToString::to_string);
            let why: Vec<String> = why.collect();
            return Err(ImportError::NotPossible(why.join("; ")));
        }
        let removes = |step: &Step| matches!(step, Step::RemoveReplication { .. });
        let removes = self.plan.steps.iter().any(removes);
        Seen::look(self.control.session())?.is_free(&self.plan.folder)?;
        match (self.plan.replaces, self.plan.id) {
            (None, Some(id)) => self.is_free(id),
            (Some(vm), _) => {
                match removes {
                    true => is_idle(self.control, vm)?,
                    false => at_rest(self.control, vm)?,
                }
                // Before it is turned off, or loses anything for good.
                if let Some(replacing) = &self.replacing {
                    replacing.may_be_replaced()?;
                }
                has_room_aside(self.control, self.plan)
            }
            (None, None) => Ok(()),
        }
    }

    /// Ends it: nothing of the new VM stays, and what should have been replaced comes back.
    fn failed(&mut self, step: Option<&Step>, problem: ImportError) -> ApplyError {
        // It has the id that the old one needs.
        drop(self.planned.take());
        let replaced = self.replacing.take();
        ApplyError {
            step: step.cloned().map(Box::new),
            problem,
            replaced: replaced.map(|mut old| Box::new(old.give_up())),
        }
    }

    /// An id that is kept is nobody's.
    fn is_free(&self, id: Uuid) -> Result<(), ImportError> {
        let session = self.control.session();
        match session.get(&ids::machine_path(id)) {
            Ok(_) => return Err(ImportError::Exists(id)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let same = |seen: &str| ids::guid(seen) == Some(id);
        match planned(session)?.iter().any(|seen| same(&seen.id)) {
            true => Err(ImportError::Exists(id)),
            false => Ok(()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), ImportError> {
        let config = &self.point.config;
        match step {
            // The caller's, and done.
            Step::WriteDisk { .. } | Step::WriteConfiguration { .. } => Ok(()),
            Step::TurnOff { .. } => self.replacing()?.stop(),
            Step::RemoveReplication { vm } => remove_replication(self.control, *vm).map(drop),
            Step::PutAside { folder, .. } => self.replacing()?.put_aside(folder),
            Step::Destroy { .. } => {
                let (new, old) = (self.plan.folder.clone(), self.plan.replaced_folder.clone());
                let lacks =
                    || ImportError::Lacks("folder of the VM when it was planned".to_owned());
                self.replacing()?.take_off((&old.ok_or_else(lacks)?, &new))
            }
            Step::Import {
                new_id,
                checkpoints,
            } => self.import(*new_id, *checkpoints),
            Step::Define { .. } => {
                let (planned, made) = define(self.control, self.point, self.plan)?;
                (self.planned, self.made) = (Some(planned), made);
                Ok(())
            }
            Step::Name { name } => {
                let planned = self.planned()?;
                planned.name(name)?;
                match &self.plan.checkpoint_folder {
                    Some(folder) => planned.keep_checkpoints_in(folder),
                    None => Ok(()),
                }
            }
            Step::Attach { location, path } => match self.plan.way {
                Way::Import => self.planned()?.attach(*location, path, config),
                Way::Define => {
                    let disk = (*location, path.as_str());
                    let planned = self.planned.as_ref().ok_or_else(no_planned)?;
                    planned.add_disk(disk, config, &mut self.made)
                }
            },
            Step::TakeOut { location } => self.planned()?.take_out(*location, config),
            Step::Connect { .. } => {
                let lacks = || ImportError::Lacks("adapter of this step in its plan".to_owned());
                let adapter = self.plan.adapters.get(self.connected).ok_or_else(lacks)?;
                match self.plan.way {
                    Way::Import => {
                        let in_place = self.plan.replaces.is_some();
                        self.planned()?.connect(adapter, in_place)?;
                    }
                    Way::Define => {
                        let planned = self.planned.as_ref().ok_or_else(no_planned)?;
                        planned.add_adapter(adapter, &mut self.made)?;
                    }
                }
                self.connected += 1;
                Ok(())
            }
            // With the connection.
            Step::NewAddress { .. } => Ok(()),
            Step::BootFrom { .. } => self.planned()?.boot_from(config, &self.made),
            Step::DropSavedState => self.planned()?.drop_saved_state(),
            Step::DropCheckpointMemory => self.planned()?.drop_checkpoint_memory(),
            Step::Validate => {
                let (adapters, in_place) = (&self.plan.adapters, self.plan.replaces.is_some());
                let planned = self.planned()?;
                if self.plan.checkpoints > 0 {
                    planned.rewire_checkpoints(adapters, in_place)?;
                }
                planned.has_only_its_own(self.plan)?;
                planned.validate()
            }
            Step::Realize => {
                let planned = self.planned.take();
                let planned = planned.ok_or_else(no_planned)?;
                if let Some(aside) = self.replacing.as_ref().and_then(Replacing::aside) {
                    let undo = self.undo(aside.vm, Some(aside.clone()));
                    (self.keep)(&undo).map_err(ImportError::NotKept)?;
                }
                self.realized = Some(planned.realize()?);
                self.aside = self.replacing.take().and_then(|mut old| old.done());
                Ok(())
            }
            Step::Verify => {
                let vm = self.realized.ok_or_else(no_planned)?;
                self.applied = Some(self.verified(vm));
                Ok(())
            }
            Step::Start => {
                let vm = self.point.vm;
                if let Some(applied) = &mut self.applied {
                    begin(self.control, vm, applied);
                }
                Ok(())
            }
        }
    }

    fn replacing(&mut self) -> Result<&mut Replacing, ImportError> {
        self.replacing.as_mut().ok_or_else(no_planned)
    }

    fn planned(&self) -> Result<&PlannedVm, ImportError> {
        self.planned.as_ref().ok_or_else(no_planned)
    }

    fn import(&mut self, new_id: bool, checkpoints: bool) -> Result<(), ImportError> {
        let lacks = |what: &str| ImportError::NotWritten(what.to_owned());
        let file = self.written.configuration.clone();
        let snapshots = self.written.snapshots.clone().filter(|_| checkpoints);
        if checkpoints && snapshots.is_none() {
            return Err(lacks("configurations of its checkpoints"));
        }
        let from = Definition {
            file: file.ok_or_else(|| lacks("configuration"))?,
            snapshots,
            new_id,
            folder: self.plan.folder.clone(),
        };
        let planned = PlannedVm::import(self.control, self.point.vm, &from)?;
        // One with another id than the one that it shall keep is another VM.
        let wrong = self.plan.id.is_some() && planned.id() != self.plan.id;
        if wrong {
            let found = planned.id().map(|id| id.to_string()).unwrap_or_default();
            return Err(ImportError::OtherId(found));
        }
        if !checkpoints {
            planned.drop_missing()?;
        }
        self.planned = Some(planned);
        Ok(())
    }

    /// What is there, compared with the plan.
    fn verified(&self, vm: Uuid) -> Applied {
        let compared = verify(self.control.session(), self.point, self.plan, vm);
        let (differences, unverified) = match compared {
            Ok(found) => (found, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Applied {
            vm,
            name: self.plan.name.clone(),
            differences,
            unverified,
            started: false,
            not_started: None,
            undo: self.undo(vm, self.aside.clone()),
        }
    }

    fn undo(&self, vm: Uuid, aside: Option<Aside>) -> Undo {
        Undo {
            vm,
            folder: self.plan.folder.clone(),
            aside,
        }
    }
}

/// Looks whether what a plan puts aside can be put where the plan says. [`apply`] does it too; who writes
/// disks before asks before that.
///
/// # Errors
/// When something is there already, or the host does not tell.
pub fn has_room_aside(control: &Control, plan: &Plan) -> Result<(), ImportError> {
    plan.steps.iter().try_for_each(|step| match step {
        Step::PutAside { vm, folder } => may_put_aside(control, *vm, folder),
        _ => Ok(()),
    })
}

/// Starts what is as it was planned.
fn begin(control: &Control, of: Uuid, applied: &mut Applied) {
    if let Some(why) = &applied.unverified {
        applied.not_started = Some(format!("it could not be compared with its plan: {why}"));
    } else if !applied.differences.is_empty() {
        applied.not_started = Some("it is not what was planned".to_owned());
    } else {
        match start(control, of, applied.vm) {
            Ok(()) => applied.started = true,
            Err(error) => applied.not_started = Some(error.to_string()),
        }
    }
}

fn no_planned() -> ImportError {
    ImportError::NotPossible("the steps of the plan are in no order".to_owned())
}
