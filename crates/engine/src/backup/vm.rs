//! One VM into the vault.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use vault::point::Outline;
use vault::{PointId, PointRef, Session};

use crate::backup::bounds::bound;
use crate::backup::hooked;
use crate::backup::prior::{Prior, newest, newest_full};
use crate::backup::reading::Reader;
use crate::backup::report::VmReport;
use crate::backup::taken::{Failure, Taken};
use crate::backup::{NotNow, Run, cancelled};
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::hooks::Around;
use crate::outcome::Outcome;
use crate::pipeline::panic_message;
use crate::point::Level;
use crate::point::format::{consistency_to_format, to_format};
use crate::progress::Event;
use crate::source::{Early, End, FrozenVm, Held, Leavings, Request, SourceError, VmRef};

/// Backs up one VM, come what may. `first`: it was not tried before.
pub(super) fn back_up(run: &Run<'_>, vm: &VmRef, first: bool) -> Result<VmReport, NotNow> {
    let (job, source) = (run.hands.job, run.source);
    let disks = run.options.selection.disks(vm);
    // It may take hours, so nothing is done with the VM before: no hook has stopped anything, and
    // nothing holds still.
    let stopped = || job.cancel.is_cancelled();
    let early = AssertUnwindSafe(|| source.early(vm, &disks, &stopped));
    let early = match catch_unwind(early) {
        Ok(Some(early)) => early,
        Ok(None) => return Ok(VmReport::ended(vm, cancelled(vm))),
        Err(panic) => return Ok(VmReport::ended(vm, defect(vm, panic.as_ref()))),
    };
    let started = job.clock.monotonic();
    let tell = |finding: &Finding| {
        job.sink.event(&Event::Found {
            vm: vm.name.clone(),
            finding: finding.clone(),
        });
    };
    let leavings = Leavings::default();
    let mut around = hooked::begin(job, &source.origin(vm), run.options, vm);
    // Unwind safety: a panic gives up the session (see the caller) and the frozen VM, whose guard
    // ends it; the source itself must cope with that like with any abandoned VM. Hooks that are to
    // run yet know only what they were told.
    let work = AssertUnwindSafe(|| match hooked::refused(&around, vm) {
        Some(failure) => Err(failure),
        None => attempt(run, vm, (first, early), &leavings, &mut around),
    });
    let mut report = match catch_unwind(work) {
        Ok(Ok(report)) => report,
        Ok(Err(Failure::NotNow(finding))) => {
            let mut also = hooked::end(around, vm, None);
            also.extend(leavings.take());
            return Err(NotNow { finding, also });
        }
        Ok(Err(Failure::Cancelled)) => VmReport::ended(vm, cancelled(vm)),
        Ok(Err(Failure::Found(finding))) => VmReport::ended(
            vm,
            Finding {
                severity: Severity::Error,
                ..finding
            },
        ),
        Err(panic) => VmReport::ended(vm, defect(vm, panic.as_ref())),
    };
    report.findings.extend(leavings.take());
    report.outcome = Outcome::worst([report.outcome, outcome_of(&report.findings)]);
    for finding in hooked::end(around, vm, Some(&report)) {
        // Those before the restore point was made are in it.
        if !report.findings.contains(&finding) {
            report.findings.push(finding);
        }
    }
    report.outcome = Outcome::worst([report.outcome, outcome_of(&report.findings)]);
    report.findings.iter().for_each(tell);
    let spent = job.clock.monotonic().saturating_sub(started);
    report.milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// What is told of a VM whose backup panicked.
fn defect(vm: &VmRef, panic: &(dyn Any + Send)) -> Finding {
    Finding::new(
        Code::Failed,
        Severity::Error,
        vm.name.clone(),
        format!("internal error: {}", panic_message(panic)),
    )
    .hint("this is a defect of this program: please report it")
}

fn attempt(
    run: &Run<'_>,
    vm: &VmRef,
    (first, early): (bool, Early),
    leavings: &Leavings,
    around: &mut Around<'_>,
) -> Result<VmReport, Failure> {
    let (job, source, options) = (run.hands.job, run.source, run.options);
    let started = job.clock.monotonic();
    let mut findings = Vec::new();
    let prior = newest(job.vault, vm, &mut findings).map_err(|e| Failure::vault(&e))?;
    // Points keep their order even when a clock is set back; see `Session::commit`.
    let written = prior
        .as_ref()
        .map_or(0, |prior| prior.written.saturating_add(1));
    let request = Request {
        // Also for a full backup: a source has to see to what it holds for the token.
        token: prior.as_ref().and_then(|prior| prior.token.clone()),
        full: options.level == Level::Full,
        disks: options.selection.disks(vm),
        cancel: job.cancel.clone(),
        early,
    };
    let prior = prior.filter(|_| options.level != Level::Full);
    let frozen = source.freeze(vm, &request).map_err(|error| {
        if error.cancelled {
            return Failure::Cancelled;
        }
        match error.not_now {
            true => Failure::NotNow(error.into()),
            false => Failure::Found(error.into()),
        }
    })?;
    let taken = job.clock.unix_seconds();
    let mut held = Held::new(frozen, leavings);
    if !around.after_freeze(job.cancel)
        && let Some(failure) = hooked::refused(around, vm)
    {
        return Err(failure);
    }
    if held.vm().view().is_left_out() {
        return Err(Failure::Found(SourceError::all_left_out(vm).into()));
    }
    let session = run.sessions.get().map_err(|e| Failure::vault(&e))?;
    let begun = Begun {
        started,
        prior: prior.as_ref(),
        written,
        taken,
        findings,
    };
    let stored = store(run, vm, &session, held.vm(), begun, around);
    let failed = session.has_failed();
    // Others may wait for a new one, and letting go of a VM takes its time.
    drop(session);
    let (committed, mut report) = match stored {
        // Somebody else's defect may have ended the session that all VMs write in.
        Err(Failure::Found(finding)) if first && options.parallel > 1 && failed => {
            let code = Code::NotNow;
            return Err(Failure::NotNow(Finding { code, ..finding }));
        }
        stored => stored?,
    };
    // From here on the point is durable, whatever else goes wrong.
    let finished = held.finish(End::Durable);
    report.findings.extend(finished.findings);
    if let Some(token) = finished.token
        && let Err(error) = job.vault.put_token(&committed, &token)
    {
        report.findings.push(
            Finding::new(
                Code::TokenLost,
                Severity::Warning,
                vm.name.clone(),
                format!("the next backup will read in full: {error}"),
            )
            .hint("this restore point is whole; see whether the vault can still be written to"),
        );
    }
    report.outcome = outcome_of(&report.findings);
    Ok(report)
}

/// What is known of a VM when it holds still.
struct Begun<'p> {
    /// When its turn came.
    started: Duration,
    prior: Option<&'p Prior>,
    /// Its restore point is written later than this.
    written: u64,
    /// When it was made to hold still.
    taken: u64,
    findings: Vec<Finding>,
}

/// Stores a VM that holds still. When this returns its restore point, that is durable.
fn store(
    run: &Run<'_>,
    vm: &VmRef,
    session: &Session,
    held: &mut dyn FrozenVm,
    begun: Begun<'_>,
    around: &Around<'_>,
) -> Result<(PointRef, VmReport), Failure> {
    let (job, options) = (run.hands.job, run.options);
    let stored_before = session.progress().stored.bytes;
    let mut point = Taken::new(held.view(), begun.findings);
    let reader = Reader {
        hands: &run.hands,
        session,
        prior: begun.prior,
        audit: options.audit,
        vm: &vm.name,
    };
    point.layers(&reader, held)?;
    point.files(&reader, held)?;
    for moved in held.recheck() {
        point.moved(moved.layer, moved.finding);
    }
    if point.details.layers.is_empty() && point.details.files.is_empty() {
        return Err(Failure::Found(point.nothing(vm)));
    }
    if job.cancel.is_cancelled() {
        return Err(Failure::Cancelled);
    }
    point.let_go(held.let_go().map_err(Failure::Found)?);

    // It may have moved between its places before it held still.
    point.details.source = run.source.origin(vm);
    point.details.level = options.level;
    let level = point.level(options.level, begun.prior.is_some());
    let parent = match level {
        vault::point::Level::Full => None,
        vault::point::Level::Differential => newest_full(job.vault, vm),
        _ => begun.prior.map(|prior| prior.reference.point),
    };
    let hooks = around.ran().iter();
    let hooks = hooks.filter_map(|ran| hooked::told(ran, vm));
    point.details.findings.extend(hooks);
    bound(&mut point.details);
    let spent = job
        .clock
        .monotonic()
        .saturating_sub(begun.started)
        .as_millis();
    point.details.outcome = outcome_of(&point.details.findings);
    let outline = Outline {
        required: Vec::new(),
        point: PointId::random(&mut run.hands.rng()),
        vm: job.vault.vm_key(&vm.id.to_string()),
        taken: begun.taken.saturating_mul(1000),
        written: begun.written,
        level: level.clone(),
        mode: point.details.mode.clone(),
        consistency: consistency_to_format(point.details.consistency),
        parent,
        partial: point.details.outcome >= Outcome::Partial,
        layers: std::mem::take(&mut point.layer_refs),
        files: std::mem::take(&mut point.file_refs),
        statistics: [
            ("bytes_data", point.total.data),
            ("bytes_read", point.total.read),
            ("bytes_new", point.total.new),
            ("milliseconds", u64::try_from(spent).unwrap_or(u64::MAX)),
        ]
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect(),
        other: Default::default(),
    };
    let committed = session
        .commit(outline, &to_format(&point.details))
        .map_err(|e| Failure::vault(&e))?;

    let own = point.stored;
    let mut report = point.report(vm, committed.point, &level);
    let grown = session.progress().stored.bytes;
    report.stored = match options.parallel > 1 {
        // Others have stored something meanwhile, and packs are for all of them.
        true => own,
        false => grown.saturating_sub(stored_before),
    };
    Ok((committed, report))
}
