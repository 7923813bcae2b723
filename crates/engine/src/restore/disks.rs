//! Restoring disks into a folder.

use std::fs;
use std::path::Path;

use disk::chain::Chain;
use disk::layer::{ParentPath, PathKind};
use disk::qcow2::Qcow2Writer;
use disk::{BlockRead, DiskWrite, rebuild};
use serde::Serialize;
use vault::NodeId;
use vmconfig::names::Names;

use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::point::Details;
use crate::progress::Meter;
use crate::restore::alone::alone;
use crate::restore::existing::{Became, Existing, Spot};
use crate::restore::layer::{VaultLayer, open_chain};
use crate::restore::plan::{
    DiskFile, DiskFormat, DisksPlan, DisksWanted, Holds, free_name, plan_disks,
};
use crate::restore::target::{NewFile, TargetError};
use crate::restore::write::{WriteError, data_len, flat, layer};
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
}

/// Where disks are restored to, and how.
#[derive(Debug, Clone, Copy)]
pub struct DisksTo<'a> {
    /// The folder, which is made if needed.
    pub folder: &'a Path,
    /// What happens to files that are there.
    pub existing: Existing<'a>,
}

impl<'a> DisksTo<'a> {
    /// Into this folder, where nothing is overwritten.
    pub fn folder(folder: &'a Path) -> Self {
        Self {
            folder,
            existing: Existing::Keep,
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
    let spots = spots(point, plan, to);
    // A child whose parent could not be made is made all the same: the parent can be restored
    // later, and then fits.
    for (file, spot) in plan.files.iter().zip(&spots) {
        if task.cancel.is_cancelled() {
            report.findings.push(cancelled(&point.details));
            return;
        }
        let done = match spot {
            Ok(spot) => one(task, point, file, spot, &spots),
            Err(error) => {
                report.findings.push(target_finding(error));
                continue;
            }
        };
        match done {
            Ok(done) => {
                report
                    .findings
                    .extend(torn(&point.details, file.holds, &done.path));
                report.files.push(done);
            }
            Err(Stop::Cancelled) => {
                report.findings.push(cancelled(&point.details));
                return;
            }
            Err(stop) => report
                .findings
                .push(disk_finding(&to.folder.join(&file.name), stop)),
        }
    }
}

/// Where each file of the plan goes.
fn spots(point: &Opened, plan: &DisksPlan, to: &DisksTo<'_>) -> Vec<Result<Spot, TargetError>> {
    let mut names = Names::default();
    for file in &plan.files {
        free_name(&mut names, &file.name);
    }
    let mut spot = |file: &DiskFile| {
        let (folder, name) = (to.folder, &file.name);
        to.existing.spot(folder, name, &mut names, point.taken)
    };
    plan.files.iter().map(&mut spot).collect()
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

pub(crate) fn cancelled(details: &Details) -> Finding {
    Finding::new(
        Code::Cancelled,
        Severity::Error,
        details.vm_name.clone(),
        "stopped on request; what was restored by then is whole",
    )
    .hint("restore again: what is whole is left alone, unless --overwrite says otherwise")
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
    file: &DiskFile,
    spot: &Spot,
    spots: &[Result<Spot, TargetError>],
) -> Result<RestoredFile, Stop<DiskError>> {
    let parent = match file.holds {
        Holds::Layer { parent, .. } => parent.and_then(|parent| spots.get(parent)),
        Holds::Chain { .. } => None,
    };
    let paths = parent.and_then(|parent| {
        let path = match parent {
            Ok(spot) => &spot.path,
            Err(error) => error.path(),
        };
        let name = path.file_name()?.to_string_lossy();
        Some(parent_paths(&name, here(path)))
    });
    write_disk(task, point, file, spot.clone(), paths)
}

/// A file's full path, where this is Windows and it means something to Hyper-V.
fn here(path: &Path) -> Option<String> {
    let absolute = cfg!(windows).then(|| std::path::absolute(path).ok())?;
    absolute.map(|path| path.display().to_string())
}

/// Makes one disk file at its spot. `parent` is where its parent is, by [`parent_paths`].
pub(crate) fn write_disk(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    spot: Spot,
    parent: Option<Vec<ParentPath>>,
) -> Result<RestoredFile, Stop<DiskError>> {
    let (path, became) = (&spot.path.clone(), spot.became);
    let target = |e| Stop::Failed(DiskError::Target(e));
    let read = |e: disk::Error| Stop::Failed(DiskError::Vault(e.to_string()));
    let new = NewFile::at(spot).map_err(target)?;
    let on_stop = |stop: Stop<WriteError>| stop.map(|error| write_error(path, error));
    let (contents, info, paths) = match file.holds {
        Holds::Layer { layer, .. } => {
            let contents = Contents::Layer(Box::new(open_layer(task, point, layer)?));
            (contents, point.details.layers[layer].info.clone(), parent)
        }
        Holds::Chain { top } => {
            let recorded = &point.details.layers[top].info;
            let contents = match *point.details.chain(top) {
                [only] if recorded.parent.is_none() => {
                    Contents::Layer(Box::new(open_layer(task, point, only)?))
                }
                _ => Contents::Chain(
                    open_chain(task.vault, &point.details, &point.layer_roots, top)
                        .map_err(read)?,
                ),
            };
            let info = alone(recorded, contents.disk(), file.format, &point.id, top);
            (contents, info, None)
        }
    };
    let data = data_len(contents.disk()).map_err(read)?;
    let mut writer = match file.format {
        DiskFormat::Qcow2 => Qcow2Writer::create(new.file(), info.geometry.len)
            .map(|writer| Box::new(writer) as Box<dyn DiskWrite>),
        _ => rebuild(new.file(), &info, paths.as_deref()),
    }
    .map_err(|e| Stop::Failed(into_disk_error(path, e)))?;
    let meter = begin(task, &point.details, &file.name, data);
    let run = task.run(&meter);
    match &contents {
        Contents::Layer(whole) => {
            let differencing = info.parent.is_some();
            layer(run, whole.reader(), differencing, &mut *writer)
        }
        Contents::Chain(chain) => flat(run, chain, &mut *writer),
    }
    .map_err(on_stop)?;
    writer
        .finish()
        .map_err(|e| Stop::Failed(into_disk_error(path, e)))?;
    new.place().map_err(target)?;
    Ok(RestoredFile {
        path: path.display().to_string(),
        data,
        became,
    })
}

/// What a disk file is made of. A layer by itself is read segment by segment, which is cheaper.
enum Contents {
    Layer(Box<VaultLayer>),
    Chain(Chain),
}

impl Contents {
    fn disk(&self) -> &dyn BlockRead {
        match self {
            Self::Layer(layer) => &**layer,
            Self::Chain(chain) => chain,
        }
    }
}

pub(crate) fn begin<'a>(task: &Task<'a>, details: &Details, name: &str, bytes: u64) -> Meter<'a> {
    Meter::begin(task.sink, task.clock, &details.vm_name, name, bytes)
}

fn open_layer(
    task: &Task<'_>,
    point: &Opened,
    index: usize,
) -> Result<VaultLayer, Stop<DiskError>> {
    let root: &NodeId = point.layer_roots.get(index).ok_or_else(|| {
        Stop::Failed(DiskError::Vault(format!(
            "the point has no map for layer {index}"
        )))
    })?;
    VaultLayer::open(task.vault, root, &point.details.layers[index].info)
        .map_err(|e| Stop::Failed(DiskError::Vault(e.to_string())))
}

pub(crate) fn write_error(path: &Path, error: WriteError) -> DiskError {
    match error {
        WriteError::Vault(error) => DiskError::Vault(error.to_string()),
        WriteError::Read(error) => DiskError::Vault(error.to_string()),
        WriteError::Write(error) => into_disk_error(path, error),
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
