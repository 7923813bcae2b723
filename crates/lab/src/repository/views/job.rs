//! Jobs, and what went wrong with them.

use cim::{Instance, Interval, ObjectPath, Timestamp};

use super::names::by_id;
use crate::state::{End, Failure, Host, Job, JobId, upper};

fn class(storage: bool) -> &'static str {
    match storage {
        true => "Msvm_StorageJob",
        false => "Msvm_ConcreteJob",
    }
}

pub(in super::super) fn path(host: &Host, id: JobId) -> ObjectPath {
    let storage = host.job(id).is_some_and(|job| job.storage);
    by_id(host, class(storage), &upper(id))
}

pub(super) fn concrete(host: &Host) -> Vec<Instance> {
    let jobs = host.jobs().iter().filter(|job| !job.storage);
    jobs.map(|job| of(host, job)).collect()
}

/// Those of the storage service tell Windows' code as a number too.
pub(super) fn storage(host: &Host) -> Vec<Instance> {
    let jobs = host.jobs().iter().filter(|job| job.storage);
    let with_code = |job: &Job| {
        let code = match &job.end {
            Some((_, End::Failed(failure))) => failure.hresult.unwrap_or(0x8000_4005),
            _ => 0,
        };
        of(host, job).with("JobCompletionStatusCode", code)
    };
    jobs.map(with_code).collect()
}

fn of(host: &Host, job: &Job) -> Instance {
    let now = host.now();
    let (health, status) = match &job.end {
        Some((_, End::Failed(_) | End::Terminated)) => (10_u16, "Fehler"),
        Some((_, End::Completed(_))) => (2, "Der Auftrag wurde abgeschlossen."),
        None => (11, "Der Auftrag wird ausgeführt."),
    };
    let mut instance = Instance::new(class(job.storage))
        .with("Cancellable", job.cancellable && job.end.is_none())
        .with("Caption", "Auftrag")
        .with("DeleteOnCompletion", false)
        .with("ElapsedTime", Interval::from(job.elapsed(now)))
        .with("ElementName", "Auftrag")
        .with("ErrorCode", 0_u16)
        .with("ErrorDescription", "")
        .with("ErrorSummaryDescription", "")
        .with("InstanceID", upper(job.id))
        .with("JobState", job.state(now))
        .with("JobStatus", status)
        .with("JobType", job.kind)
        .with("Name", class(job.storage))
        .with("OperationalStatus", vec![health])
        .with("PercentComplete", job.percent(now))
        .with("StartTime", Timestamp::utc(job.started))
        .with(
            "TimeBeforeRemoval",
            Interval::from(host.rules.removed_after),
        )
        .with("TimeSubmitted", Timestamp::utc(job.started));
    if let Some((at, _)) = &job.end {
        instance.set("TimeOfLastStateChange", Timestamp::utc(*at));
    }
    if let Some((_, End::Failed(failure))) = &job.end {
        instance.set("ErrorCode", failure.code);
        instance.set("ErrorDescription", failure.description());
        instance.set("ErrorSummaryDescription", failure.text.as_str());
    }
    instance
}

/// The error that `GetErrorEx` tells.
pub(in super::super) fn error(failure: &Failure) -> Instance {
    Instance::new("Msvm_Error")
        .with("CIMStatusCode", 1_u32)
        .with("ErrorSource", "Msvm_ConcreteJob")
        .with("ErrorType", 4_u16)
        .with("Message", failure.description())
        .with("MessageID", failure.code.to_string())
        .with("OwningEntity", "Microsoft Hyper-V")
        .with("PerceivedSeverity", 5_u16)
}
