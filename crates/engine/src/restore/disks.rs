//! Restoring disks into a folder.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use disk::layer::ParentPath;
use serde::Serialize;
use vault::Losses;

use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::guest::Keys;
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::point::Details;
use crate::progress::Meter;
use crate::restore::contents::Contents;
use crate::restore::damage::{self, Damage};
use crate::restore::existing::{Became, Spot};
use crate::restore::journal::{Begun, Journal, Whole};
use crate::restore::plan::{DiskFile, DisksPlan, DisksWanted, Holds, plan_disks};
use crate::restore::room::Room;
use crate::restore::simulate::{SimulatedFile, simulate};
use crate::restore::spots::{Planned, Stopped, parent_of, room, sizes, spots, told};
use crate::restore::target::{NewFile, TargetError};
use crate::restore::to::DisksTo;
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
    /// What would be made, of a restore that was simulated.
    pub simulated: Option<Vec<SimulatedFile>>,
    /// What disks need of the target.
    pub room: Option<Room>,
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
    /// What of it is lost in the vault and is zeros.
    pub damage: Option<Damage>,
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
        simulated: to.simulate.then(Vec::new),
        room: None,
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
    let made = match to.simulate {
        true => Ok(()),
        false => fs::create_dir_all(to.folder),
    };
    match made {
        Ok(()) => drop(write_all(task, point, &plan, to, &mut report)),
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
    let nothing = report.simulated.as_ref().is_none_or(Vec::is_empty);
    match outcome_of(&report.findings) {
        Outcome::Partial if report.files.is_empty() && nothing => Outcome::Failed,
        outcome => outcome,
    }
}

/// Writes all files of a plan into a folder that is there. The journal is given back, for who wants it to
/// stay until more than these files is whole.
pub(crate) fn write_all(
    task: &Task<'_>,
    point: &Opened,
    plan: &DisksPlan,
    to: &DisksTo<'_>,
    report: &mut RestoreReport,
) -> Option<Journal> {
    let opened = match to.simulate {
        // Whoever goes on would not know what was lost of what is there.
        _ if to.damaged.is_some() => Ok(None),
        true => Journal::look(to.folder, &told(task, point, plan)),
        false => Journal::open(to.folder, &told(task, point, plan)),
    };
    match opened {
        Ok(mut journal) => {
            write_under(task, point, plan, to, (&mut journal, report));
            journal
        }
        Err(error) => {
            report.findings.push(target_finding(&error));
            None
        }
    }
}

fn write_under(
    task: &Task<'_>,
    point: &Opened,
    plan: &DisksPlan,
    to: &DisksTo<'_>,
    (journal, report): (&mut Option<Journal>, &mut RestoreReport),
) {
    let spots = spots(point, plan, to, journal.as_ref());
    let sizes = match sizes(task, point, plan, &spots, to) {
        Ok(sizes) => sizes,
        Err(Stopped) => {
            journal.iter_mut().for_each(Journal::leave);
            return report.findings.push(cancelled(&point.details, AGAIN));
        }
    };
    match room(to, journal.as_ref(), &sizes) {
        Ok(room) => {
            let finding = room.judged(to.folder);
            let full = finding.as_ref().is_some_and(|f| f.code == Code::TargetFull);
            report.findings.extend(finding);
            report.room = Some(room);
            if full && !to.simulate {
                journal.iter_mut().for_each(Journal::leave);
                return;
            }
        }
        Err(error) => {
            journal.iter_mut().for_each(Journal::leave);
            return report.findings.push(target_finding(&error));
        }
    }
    // A child whose parent could not be made is made all the same: the parent can be restored
    // later, and then fits.
    for (number, (file, spot)) in plan.files.iter().zip(&spots).enumerate() {
        if task.cancel.is_cancelled() {
            // Even what was only planned is found again by its number.
            journal.iter_mut().for_each(Journal::leave);
            report.findings.push(cancelled(&point.details, AGAIN));
            return;
        }
        let spot = match spot {
            Ok(Planned::Whole(done)) => {
                report.add(&point.details, file.holds, done.clone());
                continue;
            }
            Ok(Planned::At(spot)) => spot,
            Err(error) => {
                report.findings.push(target_finding(error));
                continue;
            }
        };
        let data = sizes.get(number).copied().flatten().map(|size| size.data);
        let (name, paths) = parent_of(file, &spots, to.windows);
        let losses = to.damaged.map(|_| Arc::<Losses>::default());
        let done = if to.simulate {
            Contents::open(task, point, file, paths, losses.as_ref())
                .and_then(|contents| {
                    simulate(task, point, file, spot, &contents, data.unwrap_or(0))
                })
                .map(|done| {
                    let torn = torn(&point.details, file.holds, &done.path);
                    report.findings.extend(torn);
                    let damage = losses.as_deref().and_then(damage::met).into_iter();
                    let damage = damage.map(|one| one.finding(&done.path));
                    report.findings.extend(damage);
                    report.simulated.get_or_insert_default().push(done);
                })
        } else {
            let under = journal.as_mut().map(|journal| Under {
                number,
                journal,
                parent: name,
                every: to.every,
                data,
            });
            let losses = losses.zip(to.damaged);
            write_disk(task, point, file, spot.clone(), paths, under, losses)
                .map(|done| report.add(&point.details, file.holds, done))
        };
        match done {
            Ok(()) => {}
            Err(Stop::Cancelled) => {
                journal.iter_mut().for_each(Journal::leave);
                report.findings.push(cancelled(&point.details, AGAIN));
                return;
            }
            Err(stop) => {
                // What else became whole is known again when this one is tried again.
                journal.iter_mut().for_each(Journal::leave);
                report.findings.push(disk_finding(&spot.path, stop));
            }
        }
    }
}

impl RestoreReport {
    fn add(&mut self, details: &Details, holds: Holds, done: RestoredFile) {
        self.findings.extend(torn(details, holds, &done.path));
        let damage = done.damage.iter();
        let damage = damage.map(|one| one.finding(&done.path));
        self.findings.extend(damage);
        self.files.push(done);
    }
}

/// A restored disk is no better than its backup: what moved while it was read is said again.
pub(crate) fn torn(details: &Details, holds: Holds, path: &str) -> Option<Finding> {
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
pub(crate) const AGAIN: &str = "give the same command again: it goes on where it was stopped";

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

/// Where a file is written until it is whole, and what is known of it.
pub(crate) struct Under<'a> {
    /// Its number in the plan.
    pub(crate) number: usize,
    pub(crate) journal: &'a mut Journal,
    /// What it says its parent's name is.
    pub(crate) parent: Option<String>,
    /// Bytes of data after which what is written is made durable.
    pub(crate) every: u64,
    /// Bytes of data in it, if they were counted.
    pub(crate) data: Option<u64>,
}

/// Makes one disk file at its spot. `parent` is where its parent is, by [`parent_of`]. With a journal
/// it goes on with what an earlier run left, and leaves what it has when it is stopped. With `losses`,
/// and then without a journal, what is lost becomes zeros.
pub(crate) fn write_disk(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    spot: Spot,
    parent: Option<Vec<ParentPath>>,
    under: Option<Under<'_>>,
    losses: Option<(Arc<Losses>, &Keys)>,
) -> Result<RestoredFile, Stop<DiskError>> {
    let (path, became) = (&spot.path.clone(), spot.became);
    let target = |e| Stop::Failed(DiskError::Target(e));
    let noted = |e| target(TargetError::io(path, "writing the restore's journal", e));
    let on_stop = |stop: Stop<WriteError>| stop.map(|error| write_error(path, error));
    let noted_in = losses.as_ref().map(|(losses, _)| losses);
    let contents = Contents::open(task, point, file, parent, noted_in)?;
    let counted = under.as_ref().and_then(|under| under.data);
    let data = match counted {
        Some(data) => data,
        None => {
            data_len(contents.disk()).map_err(|e| Stop::Failed(DiskError::Vault(e.to_string())))?
        }
    };
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
        let damage = match &losses {
            Some((losses, keys)) => {
                let disk = (path.as_path(), contents.disk());
                damage::tell(task, point, file, disk, losses, keys)
            }
            None => Ok(None),
        };
        let damage = damage.map_err(target)?;
        new.place().map_err(|error| {
            damage.iter().for_each(damage::take_back);
            target(error)
        })?;
        return Ok(RestoredFile {
            damage,
            ..restored(path, data, became, 0)
        });
    };

    let Under {
        number,
        journal,
        parent,
        every,
        data: _,
    } = under;
    let done = journal.go_on(number, parent.as_deref()).map_err(noted)?;
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

pub(crate) fn restored(path: &Path, data: u64, became: Became, earlier: u64) -> RestoredFile {
    RestoredFile {
        path: path.display().to_string(),
        data,
        became,
        earlier,
        damage: None,
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

pub(crate) fn into_disk_error(path: &Path, error: disk::Error) -> DiskError {
    match error {
        disk::Error::Io { what, source } => DiskError::Target(TargetError::io(path, what, source)),
        error => DiskError::Format(error),
    }
}
