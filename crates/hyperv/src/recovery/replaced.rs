//! VMs that a run was replacing when it was killed.
//!
//! While a VM is replaced there is a moment at which the host has neither the old one nor the new
//! one. What the run had written down tells where the old one's configuration is aside, and in which
//! folder the new one's would be: a VM in that folder is the new one, and whole; one in the folder
//! that the old one had, or in which it is aside, is the old one; of any other nobody knows; and if
//! there is none, it is brought back. What was put aside is removed when the VM is there, and never before.

use super::{Machine, Returned};
use crate::checkpoint::{CheckpointError, machine};
use crate::import::{Aside, bring_back, home, remove_aside, same_folder, strange};
use crate::inventory::PowerState;
use crate::journal::{Call, Open, Outcome};

impl Machine<'_> {
    /// Settles what was being replaced, and removes what was put aside and is not needed.
    pub(super) fn settle_replaced(&mut self) -> Result<(), CheckpointError> {
        let vm = self.vm;
        let mut open = self.journal()?.open;
        open.retain(|open| open.intent.vm == vm);
        // Something may still be about to happen to it.
        let waits = |call: &Call| call.is_restore() && !call.is_span();
        if open.iter().any(|open| waits(&open.intent.call)) {
            return Ok(());
        }
        // What could not be removed has the id of the VM that would be brought back.
        if self.journal()?.planned.iter().any(|(of, _)| *of == vm) {
            return Ok(());
        }
        let is_off = |open: &Open| matches!(open.intent.call, Call::KeepOff { .. });
        let (held, open): (Vec<_>, Vec<_>) = open.into_iter().partition(is_off);
        let mut is_new = false;
        for open in open {
            let replaces = matches!(open.intent.call, Call::Replace { .. });
            let told = match &open.intent.call {
                Call::Replace { aside, folder, was } => {
                    self.replaced(aside, (folder, was.as_deref()))
                }
                Call::RollBack { .. } => self.rolled_back(),
                _ => continue,
            };
            match told {
                Ok(outcome) => {
                    if replaces && matches!(outcome, Outcome::Done { .. }) {
                        is_new = true;
                        let what = "it has taken the place of another VM when a run ended, and was not \
                                    compared with its plan nor started: look at it, and start it if that is \
                                    right";
                        self.left(what.to_owned());
                    }
                    self.control.settle(open.number, outcome);
                }
                Err(why) => {
                    self.left(why);
                    return Ok(());
                }
            }
        }
        for open in held {
            if !is_new && !self.tell_off() {
                continue;
            }
            let done = Outcome::Done { made: None };
            self.control.settle(open.number, done);
        }
        let asides = self.journal()?.asides.into_iter();
        for (_, aside) in asides.filter(|(of, _)| *of == vm) {
            match remove_aside(self.control, &aside) {
                Ok(true) => self.removed(aside.folder),
                Ok(false) => {}
                Err(error) => self.left(error.to_string()),
            }
        }
        Ok(())
    }

    /// Tells of a VM that is off since a run turned it off. It is not started: who has found it off
    /// may have done something about it. Whether that is known.
    fn tell_off(&mut self) -> bool {
        match machine(self.control.session(), self.vm) {
            Ok(seen) if seen.state == PowerState::Off => {
                let what = "a run that ended has turned it off, and changed nothing of it: start it if \
                            that is right";
                self.left(what.to_owned());
                true
            }
            Ok(_) => true,
            Err(error) if error.is_not_found() => true,
            Err(error) => {
                self.left(error.to_string());
                false
            }
        }
    }

    /// Disks that are half written are nobody's to judge: the VM stays off.
    fn rolled_back(&mut self) -> Result<Outcome, String> {
        match machine(self.control.session(), self.vm) {
            Ok(seen) if seen.state == PowerState::Running => {
                let what = "its disks were being rolled back when a run ended, and somebody has started it \
                            since: what it has may be part old and part new";
                self.left(what.to_owned());
                Ok(Outcome::Done { made: None })
            }
            Ok(_) => Err(
                "its disks were being rolled back when a run ended, and may be part old and part \
                 new: roll it back again before it is started"
                    .to_owned(),
            ),
            Err(error) if error.is_not_found() => Ok(Outcome::Done { made: None }),
            Err(error) => Err(error.to_string()),
        }
    }

    fn returned(&mut self, folder: String, was: Option<&str>) {
        let (vm, was) = (self.vm, was.map(str::to_owned));
        self.report.returned.push(Returned { vm, folder, was });
    }

    fn replaced(
        &mut self,
        aside: &Aside,
        (folder, was): (&str, Option<&str>),
    ) -> Result<Outcome, String> {
        let own = home(self.control.session(), self.vm).map_err(|error| error.to_string())?;
        let not_done = |why: &str| {
            let why = why.to_owned();
            Outcome::NotDone { why }
        };
        match own {
            Some(own) if same_folder(&own, folder) => Ok(Outcome::Done { made: None }),
            Some(own) if was.is_some_and(|was| same_folder(&own, was)) => {
                Ok(not_done("the VM that should be replaced is there"))
            }
            // Brought back by a run that did not come to tell it.
            Some(own) if same_folder(&own, &aside.folder) => {
                self.returned(own, was);
                Ok(not_done("the VM that should be replaced is there"))
            }
            Some(own) => Err(strange(&own)),
            None => {
                let control = self.control.apart();
                let back = bring_back(&control, aside);
                let notes = control.take_notes().into_iter();
                notes.for_each(|note| self.control.note(note));
                let folder = back.map_err(|error| {
                    format!(
                        "a VM was being replaced and is not back: {error}; its configuration is {}",
                        aside.configuration
                    )
                })?;
                self.returned(folder, was);
                Ok(not_done("the VM that should be replaced was brought back"))
            }
        }
    }
}
