//! Into a vault: every VM of a source, each as a restore point of its own.
//!
//! One VM that fails never stops the others. A point is published only when everything it names
//! is durable, and only then does the source hear [`End::Durable`]. A backup that was killed has
//! published some points and left packs behind; run again, it finds what it stored and stores
//! nothing twice.
//!
//! # What is read
//!
//! | a layer… | is |
//! |---|---|
//! | whose source knows the changed ranges since the VM's newest point | read there; the rest is that point's map |
//! | that is provably what it was in the newest point | not read: its map is taken over |
//! | of which neither is known | read in full, holes excepted; what the vault has is not stored again |
//!
//! # Why an interior layer may be taken over, and a leaf never
//!
//! A VHDX has a DataWriteGuid, which a writer must change *once after opening the file*, before its
//! first change of a byte that the guest can see. So a VM that keeps its disk open for a year
//! changes it at most once: two equal GUIDs of a *leaf*, a year apart, prove nothing.
//!
//! A layer on which another one stands (an *interior* layer) must not be written to at all, since
//! that would change what the child means; and the child holds the GUID that the parent had when
//! the child was made. Suppose that a layer was interior and at rest when the last point read it,
//! is interior and at rest now, and says exactly the same about itself, GUIDs included. Whoever
//! wrote to it in between had to open it for that, and so had to change the GUID; a child that
//! still names the old GUID would no longer fit. Merging a child into it is such a writer as well.
//! Hence nothing was written. "At rest" means: its log is empty, it held still while it was read,
//! and its children name one GUID only, for a second one tells of a merge under way, during which
//! the new GUID is already there while bytes still change.
//!
//! VHD has no such GUID (its unique id stays the same for life), and raw has none at all: those are
//! always read.

mod audit;
mod beside;
mod bounds;
mod hands;
mod hooked;
mod in_order;
mod layer;
mod plan;
pub(crate) mod prior;
mod reading;
mod report;
mod sessions;
mod taken;
mod turns;
mod vm;

use uuid::Uuid;
use vault::{Compression, Vault};
use vault_format::Entropy;

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::finding::{Code, Finding, Severity, outcome_of, vault_notes};
use crate::hooks::Hooks;
use crate::outcome::Outcome;
use crate::pipeline::Limits;
use crate::point::Level;
use crate::progress::{Event, Sink};
use crate::select::{Rule, Selection, Unmatched};
use crate::source::{Memory as _, Source, SourceError, VmRef};

pub use audit::Audit;
pub use report::{JobReport, LayerReport, VmReport};
pub use turns::Retry;

use beside::side_by_side;
use hands::Hands;
use prior::VaultMemory;
use sessions::Sessions;
use turns::{Turn, Turns};

#[cfg(doc)]
use crate::source::End;

/// What a backup works with.
pub struct Job<'a> {
    /// Where it goes.
    pub vault: &'a Vault,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Who wants to know.
    pub sink: &'a dyn Sink,
    /// Whether somebody asked to stop.
    pub cancel: &'a Cancel,
    /// How much memory and how many threads.
    pub limits: Limits,
}

/// What a backup shall do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which VMs.
    pub selection: Selection,
    /// How much to read.
    pub level: Level,
    /// How hard to compress.
    pub compression: Compression,
    /// How much of what is said to be unchanged is read again and compared.
    pub audit: Audit,
    /// How VMs that cannot be backed up just now are tried again.
    pub retry: Retry,
    /// How many VMs are backed up at a time, at least one.
    pub parallel: usize,
    /// Programs that run around the backup of each VM.
    pub hooks: Hooks,
}

/// Backs up the selected VMs of `source`. What went wrong with one of them is in its report.
///
/// # Errors
/// When there is no telling which VMs there are, so that nothing was done. If something was all the
/// same, since an earlier run was put right, a report tells of both.
pub fn backup(
    job: &Job<'_>,
    source: &mut dyn Source,
    options: &Options,
    rng: &mut (dyn Entropy + Send),
) -> Result<JobReport, SourceError> {
    let started = job.clock.unix_seconds();
    let memory = VaultMemory(job.vault);
    let begun = source.begin(&memory)?;
    let report = all_selected(job, source, options, rng, started);
    // Whatever came of it, the run ends.
    let ended = source.end(&memory);
    let mut report = match report {
        Err(error) if begun.is_empty() && ended.is_empty() => return Err(error),
        Err(error) => JobReport {
            source: source.describe(),
            outcome: Outcome::Failed,
            started,
            finished: started,
            vms: Vec::new(),
            latency: Vec::new(),
            findings: vec![error.into()],
        },
        Ok(report) => report,
    };
    report.findings.splice(0..0, begun);
    report.findings.extend(ended);
    report.findings.extend(vault_notes(job.vault));
    report.outcome = Outcome::worst([report.outcome, outcome_of(&report.findings)]);
    report.finished = job.clock.unix_seconds();
    Ok(report)
}

/// Puts right what earlier runs into `vault` have left at a source, as each backup does first, and
/// backs up nothing.
///
/// # Errors
/// When nothing could be looked at.
pub fn put_right(vault: &Vault, source: &mut dyn Source) -> Result<Vec<Finding>, SourceError> {
    Ok(in_run(vault, source, |_| ())?.1)
}

/// Does something within a run: what earlier runs have left is put right first, and the run's own
/// journal is settled in the end, whatever came of it.
///
/// # Errors
/// When no run can begin: then nothing was done.
pub fn in_run<S: Source + ?Sized, T>(
    vault: &Vault,
    source: &mut S,
    work: impl FnOnce(&mut S) -> T,
) -> Result<(T, Vec<Finding>), SourceError> {
    let memory = VaultMemory(vault);
    let mut findings = source.begin(&memory)?;
    let done = work(source);
    findings.extend(source.end(&memory));
    Ok((done, findings))
}

/// What the newest restore points of a VM keep for their source, newest first.
///
/// # Errors
/// When one of them cannot be read: it may be the newest.
pub fn tokens(vault: &Vault, vm: Uuid) -> Result<Vec<Option<Vec<u8>>>, String> {
    VaultMemory(vault).tokens(vm)
}

/// What the VMs of a job share while they are backed up.
struct Run<'a> {
    hands: Hands<'a>,
    source: &'a dyn Source,
    options: &'a Options,
    sessions: Sessions<'a>,
}

/// Backs up the selected VMs of a source whose run has begun.
fn all_selected(
    job: &Job<'_>,
    source: &mut dyn Source,
    options: &Options,
    rng: &mut (dyn Entropy + Send),
    started: u64,
) -> Result<JobReport, SourceError> {
    let listing = source.list()?;
    let known = listing.vms;
    let selected = known.iter().filter(|vm| options.selection.matches(vm));
    let selected: Vec<VmRef> = selected.cloned().collect();
    let mut findings = listing.findings;
    if selected.is_empty() {
        findings.push(
            Finding::new(
                Code::NothingSelected,
                Severity::Partial,
                source.describe(),
                "no VM was found that the job is about",
            )
            .hint("`hyperkeep ls` shows what there is; look at --vm and --exclude"),
        );
    }
    let mut reports: Vec<Option<VmReport>> = vec![None; selected.len()];
    let mut earlier: Vec<Vec<Finding>> = vec![Vec::new(); selected.len()];
    let run = Run {
        hands: Hands::new(job, rng),
        source: &*source,
        options,
        sessions: Sessions::new(job.vault, options.compression),
    };
    let mut turns = Turns::new(options.retry, selected.len());
    let work = |turn: Turn| {
        let vm = selected.get(turn.vm)?;
        job.sink.event(&Event::VmStarted {
            vm: vm.name.clone(),
            index: turn.vm,
            total: selected.len(),
        });
        Some(unless_stopped(&run, vm, turn.tried == 0))
    };
    side_by_side(
        options.parallel,
        job,
        &mut turns,
        work,
        |turns, turn, done| {
            let (Some(vm), Some(done)) = (selected.get(turn.vm), done) else {
                return;
            };
            let mut report = match done {
                Ok(report) => report,
                Err(NotNow { finding, also }) => match turns.again(turn, job.clock) {
                    Some(wait) => {
                        if let Some(earlier) = earlier.get_mut(turn.vm) {
                            earlier.extend(also);
                        }
                        let finding = Finding::note(
                            finding.code,
                            finding.object,
                            format!("{}; tried again in {} s", finding.message, wait.as_secs()),
                        );
                        let vm = vm.name.clone();
                        job.sink.event(&Event::Found { vm, finding });
                        return;
                    }
                    None => {
                        let mut report = VmReport::ended(vm, finding);
                        report.findings.extend(also);
                        report
                    }
                },
            };
            if let Some(earlier) = earlier.get_mut(turn.vm) {
                report.findings.append(earlier);
                report.outcome = Outcome::worst([report.outcome, outcome_of(&report.findings)]);
            }
            if turn.tried > 0 {
                report.findings.push(Finding::note(
                    Code::NotNow,
                    vm.name.clone(),
                    format!("it was tried {} times", turn.tried.saturating_add(1)),
                ));
            }
            if matches!(report.outcome, Outcome::Failed | Outcome::Cancelled) {
                run.sessions.renew();
            }
            job.sink.event(&Event::VmFinished {
                vm: vm.name.clone(),
                outcome: report.outcome,
            });
            if let Some(place) = reports.get_mut(turn.vm) {
                *place = Some(report);
            }
        },
    );
    let vms: Vec<VmReport> = reports.into_iter().flatten().collect();
    if let Err(error) = run.sessions.finish() {
        findings.push(
            Finding::new(
                Code::CleanupFailed,
                Severity::Warning,
                "vault",
                format!("the session's signs of life could not be removed: {error}"),
            )
            .hint("what was backed up is safe; see whether the vault can still be written to"),
        );
    }
    let of_disks = |vm: &VmRef| {
        let mut reports = vms.iter();
        reports.any(|report| report.id == vm.id && report.point.is_some())
    };
    let unmatched = options.selection.unmatched(&known, of_disks);
    let told = unmatched
        .into_iter()
        .filter(|one| one.disk || !selected.is_empty());
    findings.extend(told.map(|one| not_there(&one)));
    let outcome = Outcome::worst(
        vms.iter()
            .map(|vm| vm.outcome)
            .chain([outcome_of(&findings)]),
    );
    Ok(JobReport {
        source: source.describe(),
        outcome,
        started,
        finished: job.clock.unix_seconds(),
        vms,
        latency: source.latency(),
        findings,
    })
}

/// What was asked for by name and is not there is not covered. Of a pattern nobody knows whether it
/// should have matched. What was to be left out and is not there hurts nobody, but may be misspelt.
fn not_there(one: &Unmatched<'_>) -> Finding {
    let severity = match (one.rule, one.literal) {
        (Rule::Include, true) => Severity::Partial,
        (Rule::Include, false) | (Rule::Exclude, true) => Severity::Warning,
        (Rule::Exclude, false) => Severity::Info,
    };
    let what = match (one.rule, one.disk) {
        (Rule::Include, false) => "no VM of this name or id was found",
        (Rule::Exclude, false) => "no VM of this name or id was found that could be left out",
        (Rule::Include, true) => "no disk of this place, name or path was found",
        (Rule::Exclude, true) => {
            "no disk of this place, name or path was found that could be left out"
        }
    };
    let hint = match one.disk {
        false => {
            "`hyperkeep ls` and `hyperkeep vms` show what there is; look at --vm and --exclude"
        }
        true => "`hyperkeep show POINT` tells places and files of its disks: 'VM/SCSI 0:1'",
    };
    Finding::new(Code::NothingSelected, severity, one.pattern, what).hint(hint)
}

/// A VM that may be backed up later.
struct NotNow {
    /// What was in the way.
    finding: Finding,
    /// What has to be told of this try, whatever comes of the next one.
    also: Vec<Finding>,
}

/// One VM, unless somebody asked to stop.
fn unless_stopped(run: &Run<'_>, vm: &VmRef, first: bool) -> Result<VmReport, NotNow> {
    if run.hands.job.cancel.is_cancelled() {
        return Ok(VmReport::ended(vm, cancelled(vm)));
    }
    vm::back_up(run, vm, first)
}

fn cancelled(vm: &VmRef) -> Finding {
    Finding::new(
        Code::Cancelled,
        Severity::Error,
        vm.name.clone(),
        "stopped on request before there was a restore point",
    )
    .hint("run the backup again: what is stored is not stored again")
}

#[cfg(test)]
mod tests;
