//! A VM that is replaced: put aside, taken off the host, and brought back if need be.
//!
//! From the moment before it is taken off until the new one is a VM, [`Call::Replace`] is open in
//! the journal: a run that is killed in between leaves the next one to bring the old VM back, unless
//! the new one is there. Whoever holds a [`Replacing`] brings it back on every other path.

use std::sync::Arc;

use uuid::Uuid;

use super::applied::{Aside, Replaced};
use super::aside::{bring_back, is_whole, put_aside, remove_aside};
use super::error::ImportError;
use super::power::{again, turn_off};
use super::rollback::at_rest;
use super::take_off::{home, same_folder, take_off};
use crate::checkpoint::{checkpoints, machine};
use crate::control::{ChangeError, Control};
use crate::ids;
use crate::inventory::{self, PowerState};
use crate::journal::{Call, Intent, Outcome};

/// A VM that is replaced.
pub(super) struct Replacing {
    control: Arc<Control>,
    vm: Uuid,
    /// Whether it may have checkpoints, which go with it.
    checkpoints: bool,
    /// What it did before it was turned off by us, and the number of that in the journal.
    stopped: Option<(PowerState, u64)>,
    aside: Option<Aside>,
    /// The folder of its configuration, and that of what comes in its place.
    folders: Option<(String, String)>,
    /// Whether it was taken off the host, or may have been: the number in the journal.
    away: Option<u64>,
    /// Whether the host may still be about to take it off.
    doubt: bool,
}

impl Replacing {
    /// Of a VM of which nothing has been done yet.
    pub(super) fn new(control: &Arc<Control>, vm: Uuid, checkpoints: bool) -> Self {
        Self {
            control: Arc::clone(control),
            vm,
            checkpoints,
            stopped: None,
            aside: None,
            folders: None,
            away: None,
            doubt: false,
        }
    }

    /// Turns it off, unless it is saved.
    ///
    /// # Errors
    /// When it is neither off nor saved.
    pub(super) fn stop(&mut self) -> Result<(), ImportError> {
        let control = Arc::clone(&self.control);
        let state = machine(control.session(), self.vm)?.state;
        if matches!(state, PowerState::Off | PowerState::Saved) {
            return Ok(());
        }
        let intent = Intent {
            vm: self.vm,
            call: Call::KeepOff {
                machine: ids::upper(self.vm),
            },
            at: control.time(),
        };
        let number = control.journal().begin(intent);
        self.stopped = Some((state, number.map_err(ChangeError::from)?));
        turn_off(&control, self.vm, self.vm)
    }

    /// Puts its configuration aside.
    ///
    /// # Errors
    /// When it is not off, or not seen to be aside.
    pub(super) fn put_aside(&mut self, folder: &str) -> Result<(), ImportError> {
        match machine(self.control.session(), self.vm)?.state {
            PowerState::Off | PowerState::Saved => {}
            // It was off when this was planned.
            state => return Err(ImportError::OtherState(state)),
        }
        self.may_go()?;
        self.aside = Some(put_aside(&self.control, self.vm, folder)?);
        Ok(())
    }

    /// Whether it is still such that may be taken off: much may have happened since that was planned.
    fn may_go(&self) -> Result<(), ImportError> {
        at_rest(&self.control, self.vm)?;
        self.may_be_replaced()
    }

    /// The same of what says nothing of whether the host is at work on it.
    pub(super) fn may_be_replaced(&self) -> Result<(), ImportError> {
        let session = self.control.session();
        let not = |why: &str| Err(ImportError::NotPossible(why.to_owned()));
        if !self.checkpoints && !checkpoints(session, self.vm)?.is_empty() {
            return not(
                "the VM has got checkpoints since this was planned, which would go with it",
            );
        }
        let seen = inventory::take(session)?;
        match seen.machine(self.vm).and_then(|seen| seen.cluster.as_ref()) {
            Some(_) => not("the VM has become a role of a cluster: remove the role first"),
            None => Ok(()),
        }
    }

    /// Takes it off the host. `meant` is the folder that it has if it is the one that is meant, and
    /// `new` that of what comes in its place.
    ///
    /// # Errors
    /// When it is another one, the host is at work on it, it is there still, or nobody knows.
    pub(super) fn take_off(&mut self, (meant, new): (&str, &str)) -> Result<(), ImportError> {
        let control = Arc::clone(&self.control);
        let not_aside = || ImportError::NotAside(new.to_owned());
        let aside = self.aside.clone().ok_or_else(not_aside)?;
        let session = control.session();
        let lacks = || ImportError::Lacks(format!("VM {}", self.vm));
        let folder = home(session, self.vm)?.ok_or_else(lacks)?;
        if !same_folder(&folder, meant) {
            let vm = self.vm;
            return Err(ImportError::AnotherVm { vm, folder });
        }
        self.may_go()?;
        if !is_whole(session, &aside)? {
            return Err(ImportError::NotAside(aside.configuration));
        }
        let intent = Intent {
            vm: self.vm,
            call: Call::Replace {
                aside,
                folder: new.to_owned(),
                was: Some(folder.clone()),
            },
            at: control.time(),
        };
        let number = control.journal().begin(intent);
        self.away = Some(number.map_err(ChangeError::from)?);
        self.folders = Some((folder.clone(), new.to_owned()));
        let tried = take_off(&control, self.vm, self.vm, &folder);
        self.doubt = tried.as_ref().is_err_and(may_be_done);
        tried
    }

    /// What was put aside of it.
    pub(super) fn aside(&self) -> Option<&Aside> {
        self.aside.as_ref()
    }

    /// The new one is there: gives what the old one can come back from.
    pub(super) fn done(&mut self) -> Option<Aside> {
        let off = self.stopped.take().map(|(_, number)| number);
        self.control.settle(off, Outcome::Done { made: None });
        let number = self.away.take();
        self.control.settle(number, Outcome::Done { made: None });
        self.aside.take()
    }

    /// The new one is not there: brings the old one back, and tells what became of it.
    pub(super) fn give_up(&mut self) -> Replaced {
        if let (Some(aside), Some(number)) = (self.aside.clone(), self.away.take()) {
            match self.back(&aside, number) {
                Ok(None) => {}
                Ok(Some(folder)) => {
                    self.clear();
                    let off = self.start();
                    return Replaced::Back { folder, off };
                }
                Err(why) => return Replaced::Away { aside, why },
            }
        }
        self.clear();
        Replaced::There { off: self.start() }
    }

    /// The folder in which it is again; `None` if it was never away. An error says why nobody knows.
    fn back(&self, aside: &Aside, number: u64) -> Result<Option<String>, String> {
        let control = &self.control;
        if self.doubt {
            return Err("nobody knows yet whether it was taken off the host".to_owned());
        }
        // Of the new one, which has its id: the host may still be making it, or changing it.
        let reading = control.journal().reading();
        let reading = reading.map_err(|error| error.to_string())?;
        let waits = |call: &Call| call.is_restore() && !call.is_span();
        let mut open = reading.open.iter();
        if open.any(|open| open.intent.vm == self.vm && waits(&open.intent.call)) {
            return Err("nobody knows yet what became of the VM that should replace it".to_owned());
        }
        if reading.planned.iter().any(|(of, _)| *of == self.vm) {
            return Err("an import of the VM that should replace it is there still".to_owned());
        }
        let (before, new) = self.folders.clone().unwrap_or_default();
        let own = home(control.session(), self.vm).map_err(|error| error.to_string())?;
        match own {
            Some(own) if same_folder(&own, &new) => {
                return Err("the VM that should replace it is there".to_owned());
            }
            Some(own) if !same_folder(&own, &before) && !same_folder(&own, &aside.folder) => {
                return Err(strange(&own));
            }
            _ => {}
        }
        let folder = bring_back(control, aside).map_err(|error| error.to_string())?;
        let why = "what it should be replaced by is not there".to_owned();
        control.settle(number, Outcome::NotDone { why });
        Ok((!same_folder(&folder, &before)).then_some(folder))
    }

    /// Removes what was put aside of a VM that is there.
    fn clear(&mut self) {
        if let Some(aside) = self.aside.take()
            && let Err(error) = remove_aside(&self.control, &aside)
        {
            self.control.note(error.to_string());
        }
    }

    /// Starts it again if it ran; whether it is off and was not.
    fn start(&mut self) -> bool {
        let Some((before, number)) = self.stopped.take() else {
            return false;
        };
        let (control, vm) = (&self.control, self.vm);
        let tried = again(control, vm, before);
        control.settle(number, Outcome::Done { made: None });
        if let Err(error) = &tried {
            control.note(format!("it was turned off and does not run: {error}"));
        }
        tried.is_err()
    }
}

/// Why nobody knows which VM it is that has a folder of its own.
pub(crate) fn strange(folder: &str) -> String {
    format!(
        "there is a VM of its id with its configuration in {folder}, which is neither the old one's \
         folder nor the new one's: what was put aside stays"
    )
}

/// Whether a VM may be taken off though that failed.
fn may_be_done(error: &ImportError) -> bool {
    !matches!(
        error,
        ImportError::Change(ChangeError::NotDone { .. } | ChangeError::Journal(_))
            | ImportError::OtherState(_)
            | ImportError::AnotherVm { .. }
            | ImportError::Lacks(_)
    )
}
