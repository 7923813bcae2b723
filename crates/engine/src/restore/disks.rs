//! Restoring disks into a folder.

use std::fs;
use std::path::Path;

use disk::layer::{ParentPath, PathKind};
use serde::Serialize;
use vmconfig::names::Names;

use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::point::Details;
use crate::progress::Meter;
use crate::restore::contents::Contents;
use crate::restore::existing::{Became, Existing, Spot};
use crate::restore::journal::{Begun, Journal, Whole};
use crate::restore::plan::{DiskFile, DisksPlan, DisksWanted, Holds, free_name, plan_disks};
use crate::restore::target::{NewFile, TargetError};
use crate::restore::write::{Course, WriteError, data_len};
use crate::restore::{Opened, Task};

/// What a restore did, as plain data.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// How it went.
    pub outcome: Outcome,
    /// What was made.
    pub files: Vec<RestoredFile>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// A file that is whole and durable.
#[derive(Debug, Clone, Serialize)]
pub struct RestoredFile {
    /// Where it is.
    pub path: String,
    /// Bytes of data in it.
    pub data: u64,
    /// What it means for what was there.
    pub became: Became,
    /// Bytes of its data that an earlier run of the same restore had written.
    pub earlier: u64,
}

/// Where disks are restored to, and how.
#[derive(Debug, Clone, Copy)]
pub struct DisksTo<'a> {
    /// The folder, which is made if needed.
    pub folder: &'a Path,
    /// What happens to files that are there.
    pub existing: Existing<'a>,
    /// Bytes of data after which what is written is made durable, so that a restore that is stopped
    /// need not write them again.
    pub every: u64,
}

/// As often as it costs little: a disk takes half a second for as much.
const EVERY: u64 = 64 << 20;

impl<'a> DisksTo<'a> {
    /// Into this folder, where nothing is overwritten.
    pub fn folder(folder: &'a Path) -> Self {
        Self {
            folder,
            existing: Existing::Keep,
            every: EVERY,
        }
    }
}

/// Restores disks into a folder.
pub fn restore_disks(
    task: &Task<'_>,
    point: &Opened,
    wanted: &DisksWanted,
    to: &DisksTo<'_>,
) -> RestoreReport {
    let plan = plan_disks(&point.details, wanted);
    let mut report = RestoreReport {
        outcome: Outcome::Ok,
        files: Vec::new(),
        findings: plan.findings.clone(),
    };
    if plan.files.is_empty() && report.findings.is_empty() {
        report.findings.push(
            Finding::new(
                Code::NothingSelected,
                Severity::Error,
                point.details.vm_name.clone(),
                "no disk of this restore point was asked for, or it has none",
            )
            .hint("`hyperkeep show` lists its disks and checkpoints"),
        );
    }
    match fs::create_dir_all(to.folder) {
        Ok(()) => all(task, point, &plan, to, &mut report),
        Err(error) => report.findings.push(target_finding(&TargetError::io(
            to.folder,
            "making the folder",
            error,
        ))),
    }
    report.outcome = settle(&report);
    report
}

/// The outcome of what was noticed: with nothing restored, nothing was partly restored.
pub(crate) fn settle(report: &RestoreReport) -> Outcome {
    match outcome_of(&report.findings) {
        Outcome::Partial if report.files.is_empty() => Outcome::Failed,
        outcome => outcome,
    }
}

fn all(
    task: &Task<'_>,
    point: &Opened,
    plan: &DisksPlan,
    to: &DisksTo<'_>,
    report: &mut RestoreReport,
) {
    let mut journal = match Journal::open(to.folder, &told(task, point, plan)) {
        Ok(journal) => journal,
        Err(error) => return report.findings.push(target_finding(&error)),
    };
    let spots = spots(point, plan, to, &journal);
    // A child whose parent could not be made is made all the same: the parent can be restored
    // later, and then fits.
    for (number, (file, spot)) in plan.files.iter().zip(&spots).enumerate() {
        if task.cancel.is_cancelled() {
            // Even what was only planned is found again by its number.
            journal.leave();
            report.findings.push(cancelled(&point.details, AGAIN));
            return;
        }
        let path = match spot {
            Ok(Planned::Whole(done)) => {
                report.add(&point.details, file.holds, done.clone());
                continue;
            }
            Ok(Planned::At(spot)) => &spot.path,
            Err(error) => {
                report.findings.push(target_finding(error));
                continue;
            }
        };
        match one(task, point, to, number, plan, &spots, &mut journal) {
            Ok(done) => report.add(&point.details, file.holds, done),
            Err(Stop::Cancelled) => {
                journal.leave();
                report.findings.push(cancelled(&point.details, AGAIN));
                return;
            }
            Err(stop) => report.findings.push(disk_finding(path, stop)),
        }
    }
}

/// All that decides what is written: the same again goes on with it.
fn told(task: &Task<'_>, point: &Opened, plan: &DisksPlan) -> String {
    format!("{}\n{}\n{:?}", task.vault.id(), point.id, plan.files)
}

/// Where a file of the plan goes, or that it is there.
enum Planned {
    At(Spot),
    Whole(RestoredFile),
}

/// Where each file of the plan goes.
fn spots(
    point: &Opened,
    plan: &DisksPlan,
    to: &DisksTo<'_>,
    journal: &Journal,
) -> Vec<Result<Planned, TargetError>> {
    let mut names = Names::default();
    for file in &plan.files {
        free_name(&mut names, &file.name);
    }
    let mut spot = |(number, file): (usize, &DiskFile)| {
        if let Some(whole) = journal.whole(number) {
            let path = whole.path(to.folder);
            let (data, became) = (whole.data(), whole.became());
            return Ok(Planned::Whole(restored(&path, data, became, data)));
        }
        let (folder, name) = (to.folder, &file.name);
        let spot = to.existing.spot(folder, name, &mut names, point.taken);
        spot.map(Planned::At)
    };
    plan.files.iter().enumerate().map(&mut spot).collect()
}

impl RestoreReport {
    fn add(&mut self, details: &Details, holds: Holds, done: RestoredFile) {
        self.findings.extend(torn(details, holds, &done.path));
        self.files.push(done);
    }
}

/// A restored disk is no better than its backup: what moved while it was read is said again.
fn torn(details: &Details, holds: Holds, path: &str) -> Option<Finding> {
    let layers = match holds {
        Holds::Layer { layer, .. } => vec![layer],
        Holds::Chain { top } => details.chain(top),
    };
    let moved = layers.iter().any(|layer| details.layers[*layer].moved);
    moved.then(|| {
        Finding::new(
            Code::ChangedDuringBackup,
            Severity::Warning,
            path,
            "is as the backup read it, but the disk changed meanwhile: parts of it are from \
             different moments",
        )
        .hint("an earlier or later restore point may hold it whole")
    })
}

/// What to do after a restore of disks was stopped.
const AGAIN: &str = "give the same command again: it goes on where it was stopped";

pub(crate) fn cancelled(details: &Details, hint: &str) -> Finding {
    Finding::new(
        Code::Cancelled,
        Severity::Error,
        details.vm_name.clone(),
        "stopped on request; what was restored by then is whole",
    )
    .hint(hint)
}

/// Why one disk was not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiskError {
    #[error(transparent)]
    Target(TargetError),
    #[error("{0}")]
    Vault(String),
    /// The format cannot express it.
    #[error("{0}")]
    Format(disk::Error),
}

pub(crate) fn disk_finding(path: &Path, stop: Stop<DiskError>) -> Finding {
    let hint = match &stop {
        Stop::Failed(DiskError::Target(error)) => return target_finding(error),
        Stop::Failed(DiskError::Format(_)) => {
            "restore it in another format (--format): raw holds every disk"
        }
        Stop::NoThread(_) => "close other programs, or restore with --threads 1",
        Stop::Panicked(_) => "this is a defect of this program: please report it",
        Stop::Failed(DiskError::Vault(_)) | Stop::Cancelled => {
            "`hyperkeep check --read-data` shows whether the vault is whole"
        }
    };
    Finding::new(
        Code::Failed,
        Severity::Partial,
        path.display().to_string(),
        format!("was not restored: {stop}"),
    )
    .hint(hint)
}

pub(crate) fn target_finding(error: &TargetError) -> Finding {
    let (object, message) = match error {
        TargetError::Exists(path) => (path, "already exists and was left alone".to_owned()),
        TargetError::Left { path, why } => (path, (*why).to_owned()),
        TargetError::Busy(path) => (path, error.to_string()),
        TargetError::Full(path) => (path, "was not restored: the target is full".to_owned()),
        TargetError::Io { path, what, source } => {
            (path, format!("was not restored: {what}: {source}"))
        }
    };
    Finding::new(
        error.code(),
        Severity::Partial,
        object.display().to_string(),
        message,
    )
    .hint(error.hint())
}

fn one(
    task: &Task<'_>,
    point: &Opened,
    to: &DisksTo<'_>,
    number: usize,
    plan: &DisksPlan,
    spots: &[Result<Planned, TargetError>],
    journal: &mut Journal,
) -> Result<RestoredFile, Stop<DiskError>> {
    let (Some(file), Some(Ok(Planned::At(spot)))) = (plan.files.get(number), spots.get(number))
    else {
        return Err(Stop::Panicked(format!("no place for file {number}")));
    };
    let parent = match file.holds {
        Holds::Layer { parent, .. } => parent.and_then(|parent| spots.get(parent)),
        Holds::Chain { .. } => None,
    };
    let parent = parent.map(|parent| match parent {
        Ok(Planned::At(spot)) => spot.path.as_path(),
        Ok(Planned::Whole(done)) => Path::new(&done.path),
        Err(error) => error.path(),
    });
    let name = parent.and_then(Path::file_name);
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let paths = name
        .as_deref()
        .zip(parent)
        .map(|(name, path)| parent_paths(name, here(path)));
    let under = Under {
        number,
        journal,
        parent: name,
        every: to.every,
    };
    write_disk(task, point, file, spot.clone(), paths, Some(under))
}

/// A file's full path, where this is Windows and it means something to Hyper-V.
fn here(path: &Path) -> Option<String> {
    let absolute = cfg!(windows).then(|| std::path::absolute(path).ok())?;
    absolute.map(|path| path.display().to_string())
}

/// Where a file is written until it is whole, and what is known of it.
pub(crate) struct Under<'a> {
    /// Its number in the plan.
    pub(crate) number: usize,
    pub(crate) journal: &'a mut Journal,
    /// What it says its parent's name is.
    pub(crate) parent: Option<String>,
    /// Bytes of data after which what is written is made durable.
    pub(crate) every: u64,
}

/// Makes one disk file at its spot. `parent` is where its parent is, by [`parent_paths`]. With a journal
/// it goes on with what an earlier run left, and leaves what it has when it is stopped.
pub(crate) fn write_disk(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    spot: Spot,
    parent: Option<Vec<ParentPath>>,
    under: Option<Under<'_>>,
) -> Result<RestoredFile, Stop<DiskError>> {
    let (path, became) = (&spot.path.clone(), spot.became);
    let target = |e| Stop::Failed(DiskError::Target(e));
    let noted = |e| target(TargetError::io(path, "writing the restore's journal", e));
    let on_stop = |stop: Stop<WriteError>| stop.map(|error| write_error(path, error));
    let contents = Contents::open(task, point, file, parent)?;
    let data =
        data_len(contents.disk()).map_err(|e| Stop::Failed(DiskError::Vault(e.to_string())))?;
    let Some(under) = under else {
        let new = NewFile::at(spot).map_err(target)?;
        let mut course = Course {
            done: 0,
            every: u64::MAX,
            durable: &mut |_| Ok(()),
        };
        let mut writer = contents
            .writer(new.file())
            .map_err(|e| Stop::Failed(into_disk_error(path, e)))?;
        let meter = begin(task, &point.details, &file.name, data);
        contents
            .write(task.run(&meter), &mut *writer, &mut course)
            .map_err(on_stop)?;
        writer
            .finish()
            .map_err(|e| Stop::Failed(into_disk_error(path, e)))?;
        new.place().map_err(target)?;
        return Ok(restored(path, data, became, 0));
    };

    let Under {
        number,
        journal,
        parent,
        every,
    } = under;
    let done = journal.begun(number, parent.as_deref());
    let new = NewFile::again(spot, journal.temp(number), done > 0).map_err(target)?;
    let (mut durable, mut earlier) = (done, 0);
    let written = (|| {
        let begun = contents.going_on(new.file(), done, task.cancel);
        let (mut writer, there) = begun.map_err(on_stop)?;
        earlier = there;
        let meter = begin(task, &point.details, &file.name, data);
        meter.add(earlier);
        let mut note = |units| {
            let len = new
                .host_file()
                .metadata()
                .map_err(WriteError::Journal)?
                .len();
            let parent = parent.clone();
            let begun = Begun { units, len, parent };
            let noted = journal.note_units(number, begun);
            noted.map_err(WriteError::Journal)?;
            durable = units;
            Ok(())
        };
        let mut course = Course {
            done,
            every,
            durable: &mut note,
        };
        contents
            .write(task.run(&meter), &mut *writer, &mut course)
            .map_err(on_stop)?;
        writer
            .finish()
            .map_err(|e| Stop::Failed(into_disk_error(path, e)))
    })();
    match written {
        // What can be gone on with is kept where the same command may do better next time.
        Err(stop @ (Stop::Cancelled | Stop::Failed(DiskError::Vault(_)))) if durable > 0 => {
            journal.leave();
            new.leave();
            Err(stop)
        }
        Err(stop) => Err(stop),
        Ok(()) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let whole = Whole::of(new.host_file(), &name, data, became);
            let whole = whole.map_err(noted)?;
            journal.note_whole(number, whole).map_err(noted)?;
            new.place().map_err(target)?;
            Ok(restored(path, data, became, earlier))
        }
    }
}

fn restored(path: &Path, data: u64, became: Became, earlier: u64) -> RestoredFile {
    RestoredFile {
        path: path.display().to_string(),
        data,
        became,
        earlier,
    }
}

pub(crate) fn begin<'a>(task: &Task<'a>, details: &Details, name: &str, bytes: u64) -> Meter<'a> {
    Meter::begin(task.sink, task.clock, &details.vm_name, name, bytes)
}

pub(crate) fn write_error(path: &Path, error: WriteError) -> DiskError {
    match error {
        WriteError::Vault(error) => DiskError::Vault(error.to_string()),
        WriteError::Read(error) => DiskError::Vault(error.to_string()),
        WriteError::Write(error) => into_disk_error(path, error),
        WriteError::Journal(error) => DiskError::Target(TargetError::io(
            path,
            "writing the restore's journal",
            error,
        )),
        WriteError::WriteFile(error) => DiskError::Target(TargetError::io(path, "writing", error)),
    }
}

fn into_disk_error(path: &Path, error: disk::Error) -> DiskError {
    match error {
        disk::Error::Io { what, source } => DiskError::Target(TargetError::io(path, what, source)),
        error => DiskError::Format(error),
    }
}

/// Where the parent is, as the child shall say it: beside the child, and on a Windows host where
/// that is known.
pub(crate) fn parent_paths(name: &str, on_windows: Option<String>) -> Vec<ParentPath> {
    let path = |kind, path| ParentPath { kind, path };
    let beside = path(PathKind::Relative, format!(".\\{name}"));
    let absolute = on_windows.map(|full| path(PathKind::Absolute, full));
    std::iter::once(beside).chain(absolute).collect()
}
