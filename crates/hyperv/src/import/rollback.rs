//! A VM whose disks become again what they were, under the registration that it has.
//!
//! It is turned off, others write what differs, and it is started again. From before the first byte
//! is written until the last, [`Call::RollBack`] is open in the journal: disks of which a part is
//! old and a part is new are no VM's, and whoever comes after a run that was killed is told so until
//! the VM has been rolled back, or somebody has started it all the same.
//!
//! Checkpoints stay what they are: what is written goes to the files that the VM writes to, whose
//! parents nobody touches.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::aside::size;
use super::error::ImportError;
use super::planned::service;
use super::power::{again, start, turn_off};
use crate::checkpoint::{SeenCheckpoint, checkpoints, machine, reference_points};
use crate::control::{ChangeError, Control};
use crate::ids;
use crate::inventory::{self, Medium, PowerState};
use crate::journal::{self, Call, Intent, Outcome, Reading};

/// What may be done to the VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// It may be turned off, with what it has in memory.
    pub turn_off: bool,
    /// It may have checkpoints; they stay.
    pub checkpoints: bool,
    /// It may be replicated, until something of it is written.
    pub replicated: bool,
}

/// A VM that is off and whose disks are being written.
#[must_use = "until it is finished or abandoned, the journal keeps it"]
pub struct Rollback {
    control: Arc<Control>,
    vm: Uuid,
    number: u64,
    /// What it did before.
    before: PowerState,
    /// When it went off, if the host tells.
    off_since: Option<Timestamp>,
    /// The files to write to, by their places.
    pub disks: Vec<Medium>,
    /// Its checkpoints, which read as before.
    pub checkpoints: Vec<SeenCheckpoint>,
    /// Moments by which backups would ask for changes, whoever made them. They do not know of what
    /// is written to a disk while its VM is off: the next backup has to read everything.
    pub reference_points: Vec<String>,
}

impl Rollback {
    /// Turns a VM off for its disks to be written.
    ///
    /// # Errors
    /// When that is not allowed, the host is at work on the VM, it is replicated, or it is not off.
    pub fn begin(control: &Arc<Control>, vm: Uuid, may: Consent) -> Result<Self, ImportError> {
        let session = control.session();
        match may.replicated {
            true => is_idle(control, vm)?,
            false => at_rest(control, vm)?,
        }
        let state = machine(session, vm)?.state;
        if state != PowerState::Off && !may.turn_off {
            return Err(ImportError::OtherState(state));
        }
        let checkpoints = checkpoints(session, vm)?;
        if !checkpoints.is_empty() && !may.checkpoints {
            let count = checkpoints.len();
            return Err(ImportError::NotPossible(format!(
                "the VM has {count} checkpoints: remove them first, or allow that they stay"
            )));
        }
        let points = reference_points(session, vm)?.into_iter();
        // Written down before it is turned off: whoever finds it off is told why.
        let disks = disks(control, vm)?;
        let intent = Intent {
            vm,
            call: Call::RollBack {
                disks: disks.iter().map(|disk| disk.path.clone()).collect(),
            },
            at: control.time(),
        };
        let number = control.journal().begin(intent);
        let mut held = Self {
            control: Arc::clone(control),
            vm,
            number: number.map_err(ChangeError::from)?,
            before: state,
            off_since: None,
            disks,
            checkpoints,
            reference_points: points.map(|point| point.instance_id).collect(),
        };
        match held.take_down() {
            Ok(()) => Ok(held),
            // It may be turned off yet.
            Err(error @ ImportError::Change(ChangeError::Unknown { .. })) => Err(error),
            Err(error) => {
                if let Err(off) = held.abandon(false) {
                    control.note(format!("it was turned off and does not run: {off}"));
                }
                Err(error)
            }
        }
    }

    fn take_down(&mut self) -> Result<(), ImportError> {
        turn_off(&self.control, self.vm, self.vm)?;
        self.off_since = machine(self.control.session(), self.vm)?.since;
        self.has_its_disks()
    }

    /// Looks whether it still has the disks that it had when this began.
    ///
    /// # Errors
    /// When it has others, or the host does not tell.
    pub fn has_its_disks(&self) -> Result<(), ImportError> {
        match disks(&self.control, self.vm)? == self.disks {
            true => Ok(()),
            false => Err(ImportError::OtherDisks(self.vm)),
        }
    }

    /// Whether it ran when it was turned off.
    pub fn ran(&self) -> bool {
        self.before == PowerState::Running
    }

    /// All is written, durably: starts the VM if that is wanted. Gives why it was not started.
    ///
    /// # Errors
    /// When somebody has started it or attached other disks meanwhile: then what it has is not what was
    /// written alone, and the journal keeps it.
    pub fn finish(self, run: bool) -> Result<Option<ImportError>, ImportError> {
        let (control, vm) = (&self.control, self.vm);
        let seen = machine(control.session(), vm)?;
        if seen.state != PowerState::Off {
            return Err(ImportError::OtherState(seen.state));
        }
        if disks(control, vm)? != self.disks {
            return Err(ImportError::OtherDisks(vm));
        }
        if let (Some(then), Some(now)) = (self.off_since, seen.since)
            && then != now
        {
            return Err(ImportError::RanMeanwhile(vm));
        }
        control.settle(self.number, Outcome::Done { made: None });
        settle_rollbacks(control, vm);
        Ok(match run {
            true => start(control, vm, vm).err(),
            false => None,
        })
    }

    /// Nothing was written: the VM is as it was, and runs again if it ran. `untouched` says that no run
    /// before this one has written anything either.
    ///
    /// # Errors
    /// When it does not run, or had something in memory that is gone.
    pub fn abandon(self, untouched: bool) -> Result<(), ImportError> {
        // Until it runs again, whoever comes after a kill is told that it is off.
        let tried = again(&self.control, self.vm, self.before);
        let why = "nothing was written".to_owned();
        self.control.settle(self.number, Outcome::NotDone { why });
        if untouched {
            settle_rollbacks(&self.control, self.vm);
        }
        tried
    }
}

/// What earlier runs have left half done of a VM's disks is done, undone or agreed to now: their journals
/// let go of it.
pub fn settle_rollbacks(control: &Control, vm: Uuid) {
    let own = control.journal();
    let host = own.reading().ok().and_then(|reading| reading.host);
    let is_one = |open: &&journal::Open| {
        open.intent.vm == vm && matches!(open.intent.call, Call::RollBack { .. })
    };
    let wanted =
        |reading: &Reading| reading.host == host && reading.open.iter().any(|open| is_one(&open));
    let Some(folder) = own.path().parent() else {
        return;
    };
    let settle = |journal: &journal::Journal| -> Result<(), journal::JournalError> {
        for open in journal.reading()?.open.iter().filter(is_one) {
            journal.end(open.number, Outcome::Done { made: None })?;
        }
        journal.close().map(drop)
    };
    let all = journal::dead_that(folder, &wanted);
    for earlier in all.into_iter().flatten() {
        let settled = earlier.and_then(|journal| settle(&journal));
        if let Err(error) = settled {
            control.note(error.to_string());
        }
    }
}

/// Whether the host has a file of this name. One that was made here a moment ago tells whether a folder
/// here is the one of the host that it is taken for.
///
/// # Errors
/// When the host does not tell.
pub fn has_file(control: &Control, path: &str) -> Result<bool, ImportError> {
    let host = service(control.session())?.key("SystemName");
    Ok(size(control.session(), host, path)?.is_some())
}

/// Looks whether nothing and nobody else is at work on a VM.
///
/// # Errors
/// When the host is, or the VM is replicated, or may be.
pub(super) fn at_rest(control: &Control, vm: Uuid) -> Result<(), ImportError> {
    is_idle(control, vm)?;
    match is_replicated(control, vm)? {
        false => Ok(()),
        true => Err(ImportError::NotPossible(
            "the VM is replicated, or the host does not tell that it is not: remove its \
             replication first (--remove-replication does)"
                .to_owned(),
        )),
    }
}

/// Looks whether the host is at nothing with a VM.
///
/// # Errors
/// When it is.
pub(super) fn is_idle(control: &Control, vm: Uuid) -> Result<(), ImportError> {
    match machine(control.session(), vm)?.operation {
        None => Ok(()),
        Some(operation) => Err(ImportError::NotPossible(format!(
            "the host is at work on the VM ({operation:?}): wait until that has ended"
        ))),
    }
}

/// Whether a VM is replicated, or the host does not tell that it is not.
pub(super) fn is_replicated(control: &Control, vm: Uuid) -> Result<bool, ImportError> {
    let row = control.session().get(&ids::machine_path(vm))?;
    let mode: Option<u16> = row.get_opt("ReplicationMode").ok().flatten();
    Ok(mode != Some(0))
}

fn disks(control: &Control, vm: Uuid) -> Result<Vec<Medium>, ImportError> {
    let own = format!("Microsoft:{}", ids::upper(vm));
    let found = inventory::configuration(control.session(), &own)?;
    Ok(found.settings.media)
}
