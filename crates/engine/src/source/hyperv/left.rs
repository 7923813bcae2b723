//! What runs leave on a host: put right when the next one begins, and settled when one ends.
//!
//! A reference point outlives its run, since the next backup asks by it; the journal lets go of it
//! when the vault is seen to remember it. What the vault does not remember nobody will ask by, so
//! it goes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use hyperv::Hint;
use hyperv::Inventory;
use hyperv::checkpoint::{Mark, destroy_reference_point, reference_points};
use hyperv::control::Control;
use hyperv::frozen::{Merge, Resting};
use hyperv::journal::{self, JournalError, RunState};
use hyperv::recovery::{self, Left, Remembered, Removed, Report, Seen, Wait};
use hyperv::tracking::Token;
use uuid::Uuid;

use super::controls::Controls;
use super::taken::Taken;
use super::{HostSource, Setup, errors};
use crate::finding::{Code, Finding, Severity};
use crate::source::{Memory, SourceError};

/// How long all merges of a run together are waited for.
pub(super) const MERGES: Duration = Duration::from_secs(900);
/// Age of a checkpoint in seconds after which no backup is at work with it.
const DAY: u64 = 24 * 60 * 60;

/// Puts right what the journals of dead runs tell that had this host and vault.
///
/// # Errors
/// When the folder of journals cannot be read. What fails on the host is a finding, and so is a
/// journal that cannot be read: what was done by then is told too.
pub(super) fn put_right(setup: &Setup, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
    let failed = |error| errors::hinted(&setup.name, &error);
    let mut findings = Vec::new();
    for journal in journal::dead(&setup.journals).map_err(failed)? {
        let vms = match journal.reading() {
            Ok(reading) => recovery::machines(&reading),
            Err(error) => {
                findings.push(journal_failed(&error));
                continue;
            }
        };
        let taken = Taken::new(setup, journal, true);
        let found = vms.into_iter().map(|vm| taken.put_right(vm, Some(memory)));
        findings.extend(found.flat_map(|(findings, _)| findings));
        findings.extend(taken.close());
    }
    Ok(findings)
}

pub(super) fn journal_failed(error: &JournalError) -> Finding {
    let (path, message) = (error.path.clone(), error.to_string());
    Finding::new(Code::CleanupFailed, Severity::Warning, path, message).hint(error.hint())
}

/// Settles the journal of this run.
pub(super) fn settle(controls: &Controls, memory: &dyn Memory) -> Vec<Finding> {
    let settled = controls.own().journal().reading();
    if settled.is_ok_and(|reading| reading.is_settled()) {
        return Vec::new();
    }
    recover(controls, memory)
}

/// A journal in which nothing is open goes with its run, however that ends.
impl Drop for HostSource {
    fn drop(&mut self) {
        // What cannot be told is found by the next run.
        let _ = self.controls.own().journal().close();
    }
}

fn recover(controls: &Controls, memory: &dyn Memory) -> Vec<Finding> {
    let vms = match controls.own().journal().reading() {
        Ok(reading) => recovery::machines(&reading),
        Err(error) => return vec![journal_failed(&error)],
    };
    let needed = |vm: Uuid, point: &str| remembered(memory, vm, point);
    let one = |vm| match controls.of(vm) {
        Ok(control) => {
            let report = recovery::recover_one(&control, vm, Wait::Long, &needed);
            let mut findings = controls.returned(&report);
            findings.extend(told(report));
            findings
        }
        Err(error) => told_left(&[Left {
            vm: Some(vm),
            what: error.to_string(),
        }]),
    };
    vms.into_iter().flat_map(one).collect()
}

/// Whether a backup to come asks by a reference point.
pub(super) fn remembered(memory: &dyn Memory, vm: Uuid, point: &str) -> Remembered {
    match memory.tokens(vm) {
        Err(_) => Remembered::NotYet,
        Ok(tokens) => match tokens.first().and_then(|newest| token(newest.as_deref()?)) {
            Some(token) if token.reference_point.as_deref() == Some(point) => Remembered::Yes,
            _ => Remembered::No,
        },
    }
}

fn token(bytes: &[u8]) -> Option<Token> {
    serde_json::from_slice(bytes).ok()
}

/// Removes reference points by which an earlier backup would have asked: a run that was killed
/// between a restore point and its end leaves the one of the restore point before, and so does one
/// that backed up the other side of a replication.
pub(super) fn forgotten(
    controls: &Controls,
    vm: Uuid,
    mark: Mark,
    memory: &dyn Memory,
) -> Vec<Finding> {
    let Ok(tokens) = memory.tokens(vm) else {
        return Vec::new();
    };
    let point = |bytes: &Option<Vec<u8>>| {
        let token = token(bytes.as_deref()?)?;
        let ours = token.installation == mark.installation && token.vm == vm;
        token.reference_point.filter(|_| ours)
    };
    let newest = tokens.first().and_then(point);
    let old: BTreeSet<String> = tokens.iter().skip(1).filter_map(point).collect();
    if old.is_empty() {
        return Vec::new();
    }
    // One that cannot be asked is asked by the next run.
    let Ok(control) = controls.of(vm) else {
        return Vec::new();
    };
    let Ok(there) = reference_points(control.session(), vm) else {
        return Vec::new();
    };
    let is_old = |id: &String| old.contains(id) && newest.as_ref() != Some(id);
    let there = there.into_iter().map(|point| point.instance_id);
    there
        .filter(is_old)
        .map(|id| match destroy_reference_point(&control, vm, &id) {
            Ok(()) => removed(vm, &id),
            Err(error) => Finding::new(
                Code::CleanupFailed,
                Severity::Warning,
                format!("VM {vm}"),
                format!("{id}: {error}"),
            )
            .hint(error.hint()),
        })
        .collect()
}

fn removed(vm: Uuid, id: &str) -> Finding {
    Finding::note(
        Code::PutRight,
        format!("VM {vm}"),
        format!("{id}, which an earlier run had left on the host, was removed"),
    )
}

pub(super) fn told(report: Report) -> Vec<Finding> {
    let mut findings = told_removed(&report.removed);
    findings.extend(report.resumed.iter().map(|resumed| {
        Finding::note(
            Code::PutRight,
            format!("VM {}", resumed.vm),
            "its replication, which an earlier run had suspended, goes on again",
        )
    }));
    findings.extend(report.returned.iter().map(|returned| {
        Finding::note(
            Code::PutRight,
            format!("VM {}", returned.vm),
            format!(
                "a restore that was to replace it had not ended: it is back, off, with its \
                 configuration in {}",
                returned.folder
            ),
        )
    }));
    findings.extend(report.suspects.iter().map(|suspect| {
        Finding::new(
            Code::LeftOnHost,
            Severity::Warning,
            format!("VM {}", suspect.vm),
            suspect.to_string(),
        )
        .hint(suspect.hint())
    }));
    findings.extend(told_left(&report.left));
    findings
}

fn told_removed(all: &[Removed]) -> Vec<Finding> {
    all.iter().map(|one| removed(one.vm, &one.id)).collect()
}

fn told_left(all: &[Left]) -> Vec<Finding> {
    let tell = |left: &Left| {
        let object = left
            .vm
            .map_or("the host".to_owned(), |vm| format!("VM {vm}"));
        Finding::new(
            Code::CleanupFailed,
            Severity::Warning,
            object,
            left.what.clone(),
        )
        .hint(left.hint())
    };
    all.iter().map(tell).collect()
}

/// What a sweep found.
pub(super) struct Swept {
    pub(super) findings: Vec<Finding>,
    /// Whether the host has changed by it.
    pub(super) changed: bool,
}

/// Removes checkpoints of ours that no journal tells of, and tells those of others. `folders` are
/// those of all journals of this installation.
pub(super) fn sweep(
    control: &Control,
    inventory: &Inventory,
    mark: &Mark,
    folders: &[PathBuf],
) -> Swept {
    let state = |run| {
        let mut states = folders.iter().map(|folder| journal::run_state(folder, run));
        // Where one cannot be looked at, the run may be alive.
        let known = states.find(|state| !matches!(state, Ok(RunState::Unknown)));
        known.map_or(RunState::Unknown, |state| state.unwrap_or(RunState::Alive))
    };
    let swept = recovery::sweep(control, inventory, mark, &state);
    let mut findings = told_removed(&swept.removed);
    findings.extend(swept.seen.iter().map(|one| seen(one, folders)));
    findings.extend(told_left(&swept.left));
    Swept {
        findings,
        changed: !swept.removed.is_empty(),
    }
}

fn seen(seen: &Seen, folders: &[PathBuf]) -> Finding {
    let old = seen.age_s.is_some_and(|age| age >= DAY);
    let mut hint = seen.hint().to_owned();
    if let Some((run, RunState::Dead)) = seen.run {
        let is_there = |folder: &&PathBuf| {
            journal::run_state(folder, run).is_ok_and(|state| state == RunState::Dead)
        };
        let folder = folders.iter().find(is_there);
        hint.extend(folder.map(|folder| format!(": its journal is in {}", folder.display())));
    }
    Finding::new(
        Code::LeftOnHost,
        if old {
            Severity::Warning
        } else {
            Severity::Info
        },
        format!("VM {}", seen.vm),
        format!(
            "there is a recovery checkpoint, “{}”, which is left alone",
            seen.name
        ),
    )
    .hint(hint)
}

/// Waits until the host has merged what its VMs wrote meanwhile, so long and no longer.
pub(super) fn await_merges(
    controls: &Controls,
    resting: &[(Uuid, Vec<Resting>)],
    most: Duration,
) -> Vec<Finding> {
    let pace = controls.own().pace();
    let begun = pace.now();
    let tell = |(vm, disks): &(Uuid, Vec<Resting>)| {
        let spent = pace.now().saturating_sub(begun);
        let most = most.saturating_sub(spent);
        let waited = controls.of(*vm).map_err(|error| error.to_string());
        let waited = waited.and_then(|control| {
            let merge = Merge::wait(&control, *vm, disks, most);
            merge.map_err(|error| error.to_string())
        });
        let message = match waited {
            Ok(Merge::Done) => return None,
            Ok(Merge::Pending {
                files,
                at_work: true,
                ..
            }) => format!("the host is still merging {}", files.join(", ")),
            Ok(Merge::Pending { files, log, .. }) => format!(
                "the host has not merged {} and is not at it{}",
                files.join(", "),
                log.map_or(String::new(), |log| format!("; its event log says: {log}"))
            ),
            Err(error) => format!("whether the host has merged its disks is not known: {error}"),
        };
        let finding = Finding::new(
            Code::CleanupFailed,
            Severity::Warning,
            format!("VM {vm}"),
            message,
        );
        Some(finding.hint(
            "the restore point is whole; look at the VM's disks and at the host's event log if it \
             stays so",
        ))
    };
    resting.iter().filter_map(tell).collect()
}
