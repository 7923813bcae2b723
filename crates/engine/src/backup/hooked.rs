//! Programs of people around the backup of one VM.

use crate::backup::report::VmReport;
use crate::backup::taken::Failure;
use crate::backup::{Job, Options};
use crate::finding::{Code, Finding, Severity};
use crate::hooks::{Around, Ended, Ran, Verdict};
use crate::source::VmRef;

/// Runs the hook before a VM's backup. The VM's turn may come more than once; each has its hooks.
pub(super) fn begin<'o>(
    job: &Job<'_>,
    source: &str,
    options: &'o Options,
    vm: &VmRef,
) -> Around<'o> {
    let id = vm.id.to_string();
    let about = [("VM", vm.name.as_str()), ("VM_ID", &id), ("SOURCE", source)];
    options.hooks.begin(&about, job.cancel)
}

/// Why there is no backup, if a hook that has run is in its way.
pub(super) fn refused(around: &Around<'_>, vm: &VmRef) -> Option<Failure> {
    let failed = |ran: &&Ran| ran.verdict == Verdict::Failed;
    let ran = around.ran().iter().find(failed)?;
    match ran.ended {
        Ended::Cancelled => Some(Failure::Cancelled),
        _ => told(ran, vm).map(Failure::Found),
    }
}

/// Runs the hook after it, which learns how it ended; without a report, that the VM will be tried
/// again. What was noticed about all of its hooks.
pub(super) fn end(mut around: Around<'_>, vm: &VmRef, report: Option<&VmReport>) -> Vec<Finding> {
    if let Some(point) = report.and_then(|report| report.point.as_deref()) {
        around.tell("POINT", point);
    }
    let ran = around.end(report.map_or("not-now", |report| report.outcome.as_str()));
    ran.iter().filter_map(|ran| told(ran, vm)).collect()
}

/// What is to be told of a hook.
pub(super) fn told(ran: &Ran, vm: &VmRef) -> Option<Finding> {
    let severity = match ran.verdict {
        Verdict::Good => return None,
        Verdict::Ignored => Severity::Info,
        Verdict::Warning => Severity::Warning,
        Verdict::Failed => Severity::Error,
    };
    let hint = "see why the program ended so; what that means to the backup is in the file that \
                names it";
    Some(Finding::new(Code::Hook, severity, vm.name.clone(), ran.to_string()).hint(hint))
}
