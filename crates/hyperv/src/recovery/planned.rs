//! Planned VMs that a run left behind.
//!
//! Surely ours is one whose id the run had written down, or that was not there before the call and
//! has its configuration in the folder that is that run's alone. Every other new one is told and
//! left alone. One that has become a VM is whole, and stays.

use std::time::Duration;

use cim::CimError;

use super::now::{BEGINS_YET, may_begin, running};
use super::{KnownBy, Left, Machine, Suspect, Thing, Wait, of};
use crate::checkpoint::CheckpointError;
use crate::control::Control;
use crate::ids::{self, fold};
use crate::import::{SeenPlanned, destroy_planned, planned, same_folder};
use crate::journal::{Call, Open, Outcome};

/// How a call about a planned VM ended.
enum Told {
    Ended(Outcome),
    Later(String),
}

impl Machine<'_> {
    /// Settles what is open of planned VMs and removes those that are ours.
    pub(super) fn remove_planned(&mut self) -> Result<(), CheckpointError> {
        let (control, vm) = (self.control, self.vm);
        let mut tries = control.tries();
        loop {
            let mut open = self.journal()?.open;
            open.retain(|open| {
                let call = &open.intent.call;
                // What holds over several calls is settled when these are.
                open.intent.vm == vm && call.is_restore() && !call.is_span()
            });
            if open.is_empty() {
                break;
            }
            let there = planned(control.session())?;
            let mut later = Vec::new();
            let mut suspects = Vec::new();
            for open in open {
                match self.told(&open, &there, &mut suspects)? {
                    Told::Ended(outcome) => {
                        control.settle(open.number, outcome);
                    }
                    Told::Later(why) => later.push(why),
                }
            }
            if later.is_empty() {
                self.report.suspects.extend(suspects);
                break;
            }
            let pace = control.pace();
            let wait = match self.wait {
                Wait::Long => tries.next(pace).filter(|_| !pace.cancelled()),
                Wait::No => None,
            };
            if let Some(wait) = wait {
                pace.sleep(wait.max(Duration::ZERO));
                continue;
            }
            let vm = Some(vm);
            let later = later.into_iter().map(|what| Left { vm, what });
            match self.wait {
                Wait::Long => self.report.left.extend(later),
                Wait::No => self.report.waiting.extend(later),
            }
            return Ok(());
        }
        let ours = of(vm, self.journal()?.planned);
        if ours.is_empty() {
            return Ok(());
        }
        let there = planned(control.session())?;
        for id in ours {
            if there.iter().any(|seen| fold(&seen.id) == fold(&id)) {
                match destroy_planned(control, vm, &id) {
                    Ok(()) => self.removed(id),
                    Err(error) => self.left(error.to_string()),
                }
            } else {
                control.seen_done(vm, Call::DestroyPlanned { planned: id });
            }
        }
        Ok(())
    }

    fn told(
        &mut self,
        open: &Open,
        there: &[SeenPlanned],
        suspects: &mut Vec<Suspect>,
    ) -> Result<Told, CimError> {
        let (control, vm) = (self.control, self.vm);
        let has = |id: &str| there.iter().any(|seen| fold(&seen.id) == fold(id));
        let not_done = |why: &str| {
            let why = why.to_owned();
            Told::Ended(Outcome::NotDone { why })
        };
        let done = || Told::Ended(Outcome::Done { made: None });
        if !matches!(open.intent.call, Call::DestroyPlanned { .. })
            && let Some(job) = running(control, open)?
        {
            return Ok(Told::Later(format!("the job {job} goes on")));
        }
        Ok(match &open.intent.call {
            Call::DestroyPlanned { planned } if has(planned) => not_done("it is still there"),
            // A VM or nothing, and in either case no planned VM any more.
            Call::DestroyPlanned { .. } => done(),
            Call::RealizePlanned { planned } if !has(planned) => done(),
            Call::RealizePlanned { .. }
            | Call::ChangePlanned { .. }
            | Call::ChangePower { .. }
            | Call::PutAside { .. }
                if may_begin(control, open) =>
            {
                Told::Later(BEGINS_YET.to_owned())
            }
            Call::RealizePlanned { .. } => not_done("it is only planned still"),
            Call::DestroyMachine { machine }
                if may_begin(control, open) && is_vm(control, machine)? =>
            {
                Told::Later(BEGINS_YET.to_owned())
            }
            Call::MakePlanned { folder, before } => {
                let new = |id: &str| !before.iter().any(|known| fold(known) == fold(id));
                let mut all = there.iter().filter(|seen| new(&seen.id));
                let ours = |seen: &&SeenPlanned| {
                    let own = seen.folder.as_ref();
                    own.is_some_and(|own| same_folder(own, folder))
                };
                let mut in_ours = all.clone().filter(ours);
                let several = match (in_ours.next(), in_ours.next()) {
                    (Some(made), None) => {
                        self.known.insert(made.id.clone(), KnownBy::Folder);
                        let made = Some(made.id.clone());
                        return Ok(Told::Ended(Outcome::Done { made }));
                    }
                    (_, several) => several.is_some(),
                };
                if may_begin(control, open) {
                    return Ok(Told::Later(BEGINS_YET.to_owned()));
                }
                let why = match several {
                    true => "it is new, and not the only one in our folder",
                    false => "it is new, and not in our folder",
                };
                suspects.extend(all.by_ref().map(|seen| Suspect {
                    vm,
                    what: Thing::Planned,
                    id: seen.id.clone(),
                    why: why.to_owned(),
                }));
                not_done("there is no new planned VM of ours")
            }
            _ => done(),
        })
    }
}

fn is_vm(control: &Control, machine: &str) -> Result<bool, CimError> {
    let Some(id) = ids::guid(machine) else {
        return Ok(false);
    };
    match control.session().get(&ids::machine_path(id)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
