//! Following a job.

use std::time::Duration;

use super::failure::JobFailure;
use super::pace::{Pace, Patience};
use super::state::{JobSnapshot, JobState};
use crate::session::{CimError, CimProblem, CimSession, Invoked};
use crate::wsman::Associations;
use crate::{Instance, ObjectPath};

/// `RequestStateChange` to this ends a job.
const TERMINATE: u16 = 4;

/// How a job ended, as far as was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEnd {
    /// It ended well; `job.state` tells whether with warnings.
    Completed(JobSnapshot),
    /// It failed, or completed with an error code.
    Failed(Box<JobFailure>),
    /// It was ended after we had asked for that.
    Cancelled(Box<JobFailure>),
    /// Its object is gone and its end was not seen: look for its effect. With the last look.
    Vanished(Option<JobSnapshot>),
    /// It goes on and was given up on, in all or after it had been asked to end.
    StillRunning(JobSnapshot),
}

/// Follows a job to its end.
///
/// When [`Pace::cancelled`] says so, a job that can be cancelled is asked to end, once; it is
/// followed all the same, since what it does to the host goes on until it ends. `seen` gets each
/// look. An error is one that another look would meet again, or silence for too long.
pub fn follow(
    session: &dyn CimSession,
    path: &ObjectPath,
    pace: &dyn Pace,
    patience: &Patience,
    seen: &mut dyn FnMut(&JobSnapshot),
) -> Result<JobEnd, CimError> {
    let begun = pace.now();
    let mut wait = patience.first;
    let mut last: Option<JobSnapshot> = None;
    let mut heard = begun;
    let mut cancel: Option<Cancel> = None;
    loop {
        match look(session, path) {
            Ok(job) => {
                seen(&job);
                heard = pace.now();
                if job.state.is_end() {
                    return Ok(end(session, path, job, cancel.is_some_and(|c| c.accepted)));
                }
                last = Some(job);
            }
            Err(error) if error.is_not_found() => return Ok(JobEnd::Vanished(last)),
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) if pace.now().saturating_sub(heard) >= patience.silence => {
                return Err(error);
            }
            Err(_) => {}
        }
        if let Some(job) = &last {
            if cancel.is_none() && pace.cancelled() {
                cancel = Some(Cancel {
                    asked: pace.now(),
                    accepted: job.cancellable && ask_to_end(session, path),
                });
            }
            let since = |then: Duration| pace.now().saturating_sub(then);
            let late = cancel.is_some_and(|c| since(c.asked) >= patience.cancel);
            if late || patience.total.is_some_and(|total| since(begun) >= total) {
                return Ok(JobEnd::StillRunning(job.clone()));
            }
        }
        pace.sleep(wait);
        wait = (wait + wait / 2).min(patience.most);
    }
}

#[derive(Clone, Copy)]
struct Cancel {
    asked: Duration,
    accepted: bool,
}

fn look(session: &dyn CimSession, path: &ObjectPath) -> Result<JobSnapshot, CimError> {
    let job = session.get(path)?;
    JobSnapshot::read(&job).map_err(|error| CimError {
        call: format!("look at the job {path}"),
        problem: Box::new(CimProblem::Property(error)),
        changes: false,
    })
}

fn end(session: &dyn CimSession, path: &ObjectPath, job: JobSnapshot, cancelled: bool) -> JobEnd {
    if job.succeeded() {
        return JobEnd::Completed(job);
    }
    let ended = matches!(job.state, JobState::Terminated | JobState::Killed);
    let failure = Box::new(JobFailure::ask(session, path, job));
    if cancelled && ended {
        JobEnd::Cancelled(failure)
    } else {
        JobEnd::Failed(failure)
    }
}

/// Asks a job to end; whether the host agreed. If not, it goes on and is followed on.
fn ask_to_end(session: &dyn CimSession, path: &ObjectPath) -> bool {
    // A time limit would be refused: hosts do not support one here.
    let inputs = Instance::default().with("RequestedState", TERMINATE);
    let answer = session.invoke(path, "RequestStateChange", &inputs);
    match answer.map(|result| result.outcome()) {
        Ok(Ok(Invoked::Refused(_))) => false,
        Ok(_) => true,
        // It may have got through.
        Err(error) => error.may_have_happened(),
    }
}

/// The objects of a class that a job has made or changed: the outputs of the method that started
/// it do not tell them.
pub fn results(
    session: &dyn CimSession,
    job: &ObjectPath,
    class: &str,
) -> Result<Vec<Instance>, CimError> {
    session.associators(
        &Associations::of(job)
            .by("Msvm_AffectedJobElement")
            .to(class),
    )
}
