//! Methods of jobs.

use cim::Instance;
use uuid::Uuid;

use super::inputs::{needed, optional};
use super::{Called, Outcome, done, embed, views};
use crate::schema::{HYPER_V, Schema};
use crate::state::{End, Host, Refusal};

/// The state does not allow it; of jobs.
const INVALID_TRANSITION: Refusal = Refusal(4097);
/// A time limit cannot be given.
const NO_TIME_LIMIT: Refusal = Refusal(4098);

fn id(job: &Instance) -> Result<Uuid, Refusal> {
    let id: String = needed(job, "InstanceID")?;
    Uuid::try_parse(&id).map_err(|_| Refusal::INVALID_PARAMETER)
}

pub(super) fn request_state(host: &mut Host, job: &Instance, inputs: &Instance) -> Called {
    let limit: Option<cim::Interval> = optional(inputs, "TimeoutPeriod")?;
    if limit.is_some_and(|limit| limit.micros() > 0) {
        return Err(NO_TIME_LIMIT);
    }
    match needed(inputs, "RequestedState")? {
        // Terminate, kill.
        4_u16 | 5 if host.cancel(id(job)?) => done(),
        4 | 5 => Err(INVALID_TRANSITION),
        _ => Err(Refusal::INVALID_PARAMETER),
    }
}

/// The errors of a job, none of one that did not fail.
pub(super) fn error(host: &Host, job: &Instance, output: &str) -> Called {
    let known = host.job(id(job)?).ok_or(Refusal::INVALID_PARAMETER)?;
    let schema = Schema::of(HYPER_V).ok_or(Refusal::FAILED)?;
    let failures = match &known.end {
        Some((_, End::Failed(failure))) => {
            std::iter::once(failure).chain(&failure.others).collect()
        }
        _ => Vec::new(),
    };
    let texts = failures.into_iter().map(|failure| {
        let error = schema.complete(&host.name, &views::job_error(failure));
        embed(&error)
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let mut outputs = Instance::new("");
    match (output, texts.first()) {
        ("Errors", _) => outputs.set("Errors", texts),
        (_, Some(text)) => outputs.set(output, text.as_str()),
        (_, None) => {}
    }
    Ok(Outcome::Done(outputs))
}
