//! Calls that change a host: written down first, made once, followed to their end.
//!
//! [`Control::change`] is the only way to such a call. It knows three ends: *done*, *not done* and
//! *unknown*, and never takes one for another: an answer that got lost, a job that vanished or goes
//! on too long is unknown, and whoever asked must look at the host. Only what was surely not done
//! is tried again, and only where the host says that waiting may help.

mod backoff;
mod error;
mod patient;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cim::job::{self, JobEnd, Pace, Patience};
use cim::{CimError, CimSession, Instance, Invoked, ObjectPath};
use jiff::Timestamp;
use uuid::Uuid;

pub use backoff::Backoff;
pub(crate) use backoff::Tries;
use error::STATUS_UNKNOWN;
pub use error::{ChangeError, NotDone};

use self::patient::Patient;
use crate::journal::{Call, Intent, Journal, Outcome};

/// The time by the clock of this machine.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How long a job may take. One that is stuck in the host never ends, and would keep all other VMs
/// from being backed up; the longest that is known to end is the merging of a large disk.
const LONGEST_JOB: Duration = Duration::from_secs(2 * 60 * 60);

/// What is needed to change a host. It owns it all, so that what was begun can be held, and ended,
/// wherever it goes.
pub struct Control {
    session: Arc<dyn CimSession>,
    journal: Arc<Journal>,
    pace: Arc<dyn Pace + Send + Sync>,
    clock: Clock,
    /// How long to bear what of jobs.
    pub patience: Patience,
    /// How often and how long to try again what was surely not done.
    pub backoff: Backoff,
    /// The same for what may be given up: taking a checkpoint of a VM, where others may be waiting.
    pub begin: Backoff,
    notes: Mutex<Vec<String>>,
    /// Who gets the notes that nobody took out.
    parent: Option<Arc<Control>>,
}

/// What a call that is done has returned.
pub struct Returned<'a> {
    /// The outputs; null where a job did it.
    pub outputs: &'a Instance,
    /// The job.
    pub job: Option<&'a ObjectPath>,
}

/// A call that changes a host.
pub struct Change<'a> {
    /// What the journal says of it.
    pub call: Call,
    /// The object.
    pub target: &'a ObjectPath,
    /// The method.
    pub method: &'a str,
    /// Its inputs.
    pub inputs: &'a Instance,
    /// Whether its job may be ended when somebody wants to stop. What cleans up goes on.
    pub cancellable: bool,
}

/// Looks, when the host says that it did not do something, whether that is so; an error says why
/// nobody knows.
pub(crate) type Undone<'a> = &'a dyn Fn(&NotDone) -> Result<(), String>;

/// Where nothing can be looked at, the host is believed unless it contradicts itself.
pub(crate) fn believed(why: &NotDone) -> Result<(), String> {
    match why {
        NotDone::Failed(failure) if failure.job.state.is_success() => {
            Err("its job ended well all the same".to_owned())
        }
        _ => Ok(()),
    }
}

impl Control {
    /// Changes a host over a session, with every call in a journal first.
    pub fn new(
        session: Arc<dyn CimSession>,
        journal: Arc<Journal>,
        pace: Arc<dyn Pace + Send + Sync>,
        clock: Clock,
    ) -> Self {
        let session = Arc::new(Patient {
            inner: session,
            pace: Arc::clone(&pace),
        });
        Self {
            session,
            journal,
            pace,
            clock,
            patience: Patience {
                total: Some(LONGEST_JOB),
                ..Patience::default()
            },
            backoff: Backoff::default(),
            begin: Backoff::default(),
            notes: Mutex::new(Vec::new()),
            parent: None,
        }
    }

    /// A control of the same host over the same journal with notes of its own, for one VM of
    /// several. Notes that nobody takes out of it come to these when it ends.
    pub fn for_one(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(self.copy(Some(Arc::clone(self))))
    }

    /// The same for who has no more than a reference; its notes are to be taken out.
    pub(crate) fn apart(&self) -> Arc<Self> {
        Arc::new(self.copy(None))
    }

    /// The same by another pace, which may say otherwise when to stop.
    pub(crate) fn by(self: &Arc<Self>, pace: Arc<dyn Pace + Send + Sync>) -> Self {
        let mut other = self.copy(Some(Arc::clone(self)));
        other.pace = pace;
        other
    }

    fn copy(&self, parent: Option<Arc<Self>>) -> Self {
        Self {
            session: Arc::clone(&self.session),
            journal: Arc::clone(&self.journal),
            pace: Arc::clone(&self.pace),
            clock: Arc::clone(&self.clock),
            patience: self.patience,
            backoff: self.backoff,
            begin: self.begin,
            notes: Mutex::new(Vec::new()),
            parent,
        }
    }

    /// The session; what changes nothing is asked again when the host is too busy to answer.
    pub fn session(&self) -> &dyn CimSession {
        self.session.as_ref()
    }

    /// The clock, the sleep, and whether somebody wants to stop.
    pub fn pace(&self) -> &dyn Pace {
        self.pace.as_ref()
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The time by the clock of this machine.
    pub(crate) fn time(&self) -> Timestamp {
        (self.clock)()
    }

    /// The waits of one attempt.
    pub(crate) fn tries(&self) -> Tries {
        self.backoff.start(self.pace())
    }

    /// The waits of one attempt at what may be given up.
    pub(crate) fn tries_to_begin(&self) -> Tries {
        self.begin.start(self.pace())
    }

    /// What went wrong on the way without being anybody's error: what was left on the host above
    /// all. Taken out.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn note(&self, note: String) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note);
    }

    /// Makes a call. `made` tells, when it is done, the name of what it made; an error of it means
    /// that this is not known.
    ///
    /// # Errors
    /// [`ChangeError::NotDone`] and [`ChangeError::Unknown`]; [`ChangeError::Journal`] when nothing
    /// was done because it could not be written down, which keeps nobody from removing what was
    /// made before.
    pub fn change(
        &self,
        vm: Uuid,
        change: &Change<'_>,
        made: &dyn Fn(&Returned<'_>) -> Result<Option<String>, String>,
    ) -> Result<Option<String>, ChangeError> {
        self.change_looking(vm, change, made, &believed)
    }

    /// The same with a look at the host when it says that it did not do it.
    pub(crate) fn change_looking(
        &self,
        vm: Uuid,
        change: &Change<'_>,
        made: &dyn Fn(&Returned<'_>) -> Result<Option<String>, String>,
        undone: Undone<'_>,
    ) -> Result<Option<String>, ChangeError> {
        let mut tries = match change.cancellable {
            true => self.tries_to_begin(),
            false => self.tries(),
        };
        loop {
            let error = match self.once(vm, change, made, undone) {
                Ok(made) => return Ok(made),
                Err(error) => error,
            };
            if !error.is_worth_waiting() || (change.cancellable && self.pace.cancelled()) {
                return Err(error);
            }
            match tries.next(self.pace()) {
                Some(wait) => self.pace.sleep(wait),
                None => return Err(error),
            }
        }
    }

    /// Writes down how a call ended. What cannot be written stays open, and the next run looks at
    /// the host.
    pub(crate) fn settle(&self, number: impl Into<Option<u64>>, outcome: Outcome) {
        let Some(number) = number.into() else {
            return;
        };
        if let Err(error) = self.journal.end(number, outcome) {
            self.note(error.to_string());
        }
    }

    /// Writes down that something was seen to be done, whoever did it.
    pub(crate) fn seen_done(&self, vm: Uuid, call: Call) {
        self.seen(vm, call, Outcome::Done { made: None });
    }

    /// Writes down that something is still to be done: recovery will do it.
    pub(crate) fn seen_undone(&self, vm: Uuid, call: Call) {
        let why = "it was not seen to be done".to_owned();
        self.seen(vm, call, Outcome::NotDone { why });
    }

    fn seen(&self, vm: Uuid, call: Call, outcome: Outcome) {
        let at = self.time();
        match self.journal.begin(Intent { vm, call, at }) {
            Ok(number) => self.settle(number, outcome),
            Err(error) => self.note(error.to_string()),
        }
    }

    /// The same once, whatever comes of it.
    pub(crate) fn once(
        &self,
        vm: Uuid,
        change: &Change<'_>,
        made: &dyn Fn(&Returned<'_>) -> Result<Option<String>, String>,
        undone: Undone<'_>,
    ) -> Result<Option<String>, ChangeError> {
        let intent = Intent {
            vm,
            call: change.call.clone(),
            at: self.time(),
        };
        let number = match self.journal.begin(intent) {
            Ok(number) => Some(number),
            // A checkpoint that stays is the worse harm, and that it is there was written down.
            Err(error) if removes(&change.call) => {
                self.note(format!("it was done all the same: {error}"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let end = match self.perform(number, change, made) {
            Err(End::NotDone(why)) => Err(match undone(&why) {
                Ok(()) => End::NotDone(why),
                Err(seen) => End::Unknown(format!("{why}; {seen}")),
            }),
            end => end,
        };
        let outcome = match &end {
            Ok(made) => Outcome::Done { made: made.clone() },
            Err(End::NotDone(why)) => Outcome::NotDone {
                why: why.to_string(),
            },
            Err(End::Unknown(why)) => Outcome::Unknown { why: why.clone() },
        };
        self.settle(number, outcome);
        let call = change.method.to_owned();
        end.map_err(|end| match end {
            End::NotDone(why) => ChangeError::NotDone { call, why },
            End::Unknown(why) => ChangeError::Unknown { call, why, number },
        })
    }

    fn perform(
        &self,
        number: Option<u64>,
        change: &Change<'_>,
        made: &dyn Fn(&Returned<'_>) -> Result<Option<String>, String>,
    ) -> Result<Option<String>, End> {
        let answer = self
            .session
            .invoke(change.target, change.method, change.inputs);
        let result = answer.map_err(End::of)?;
        let outputs = &result.outputs;
        let job = match result
            .outcome()
            .map_err(|error| End::Unknown(error.to_string()))?
        {
            Invoked::Done => None,
            Invoked::Job(path) => Some(path),
            Invoked::Refused(STATUS_UNKNOWN) if makes(&change.call) => {
                let why = NotDone::Refused(STATUS_UNKNOWN);
                return Err(End::Unknown(why.to_string()));
            }
            Invoked::Refused(code) => return Err(End::NotDone(NotDone::Refused(code))),
        };
        if let Some(job) = &job {
            let noted = number.map_or(Ok(()), |number| self.journal.job(number, &job.to_string()));
            if let Err(error) = noted {
                self.note(error.to_string());
            }
            self.follow(job, change).map_err(|end| match end {
                End::NotDone(NotDone::Failed(failure))
                    if failure.job.error_code == STATUS_UNKNOWN && makes(&change.call) =>
                {
                    End::Unknown(failure.to_string())
                }
                end => end,
            })?;
        }
        let job = job.as_ref();
        made(&Returned { outputs, job }).map_err(End::Unknown)
    }

    fn follow(&self, job: &ObjectPath, change: &Change<'_>) -> Result<(), End> {
        let steady = Steady(self.pace());
        let pace: &dyn Pace = match change.cancellable {
            true => self.pace(),
            false => &steady,
        };
        let mut patience = self.patience;
        if matches!(change.call, Call::ExportMemory { .. }) {
            // It copies whole disks.
            patience.total = None;
        }
        let end = job::follow(self.session(), job, pace, &patience, &mut |_| {});
        match end.map_err(|error| End::Unknown(error.to_string()))? {
            JobEnd::Completed(_) => Ok(()),
            JobEnd::Failed(failure) => Err(End::NotDone(NotDone::Failed(failure))),
            JobEnd::Cancelled(failure) => Err(End::NotDone(NotDone::Cancelled(failure))),
            JobEnd::Vanished(_) => Err(End::Unknown(
                "its job is gone before its end was seen".to_owned(),
            )),
            JobEnd::StillRunning(_) => Err(End::Unknown("its job goes on".to_owned())),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(parent) = &self.parent {
            self.take_notes()
                .into_iter()
                .for_each(|note| parent.note(note));
        }
    }
}

/// Whether something would be there twice if it were done twice.
fn makes(call: &Call) -> bool {
    matches!(
        call,
        Call::CreateCheckpoint { .. }
            | Call::ConvertCheckpoint { .. }
            | Call::ExportMemory { .. }
            | Call::PutAside { .. }
            | Call::MakePlanned { .. }
    )
}

/// Whether it takes away what was made before, and is written down from then: should nobody know
/// that it was done, the next run looks and finds nothing.
fn removes(call: &Call) -> bool {
    matches!(
        call,
        Call::DestroyCheckpoint { .. }
            | Call::DestroyReferencePoint { .. }
            | Call::ResumeReplication { .. }
            | Call::RemoveExport { .. }
            | Call::DestroyPlanned { .. }
    )
}

enum End {
    NotDone(NotDone),
    Unknown(String),
}

impl End {
    fn of(error: CimError) -> Self {
        if error.may_have_happened() {
            Self::Unknown(error.to_string())
        } else {
            Self::NotDone(NotDone::NotCalled(Box::new(error)))
        }
    }
}

/// A pace that nobody stops.
struct Steady<'a>(&'a dyn Pace);

impl Pace for Steady<'_> {
    fn now(&self) -> std::time::Duration {
        self.0.now()
    }

    fn sleep(&self, span: std::time::Duration) {
        self.0.sleep(span);
    }
}
