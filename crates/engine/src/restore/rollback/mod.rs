//! Disk files that are there, brought back in place to what a restore point holds.
//!
//! ```text
//! roll_back ─► judge all ─► of each: compare ─► keep what will be overwritten ─► write ─► read back
//!                                                  └─► FILE.hyperkeep-undo, until
//! confirm ─► it goes        undo ─► its contents go back, then it goes
//! ```
//!
//! A disk is compared as its guest sees it, and only what differs is written, into the topmost file: one
//! that others stand on is refused. What is changed is the file's bytes, headers included, and all of them
//! are kept first; so what is undone is the same file to the byte, whatever its format.
//!
//! - No disk is changed before all were judged. One that may not be changed keeps all from it.
//! - A kill leaves a file that the same rollback finishes and [`undo()`] puts back.
//! - What somebody wrote to a file since it was rolled back is never mixed with what it was before:
//!   then [`undo()`] is refused. Of a rollback that was killed that cannot be told: such a file is not to be
//!   used before it is finished or undone.

mod compare;
mod error;
mod image;
mod kept;
mod room;
#[cfg(test)]
mod tests;
mod undo;
mod write;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_format::Entropy;

pub use self::error::RollbackError;
use self::image::Image;
use self::undo::{State, Undo, UndoError};
use crate::finding::{Code, Finding, Severity, outcome_of};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::restore::disks::{cancelled, torn};
use crate::restore::plan::{DisksWanted, Holds, plan_disks};
use crate::restore::target::sync_folder;
use crate::restore::{Opened, Task};

/// How the name of an undo file ends, which begins with that of its disk file.
pub const UNDO_SUFFIX: &str = ".hyperkeep-undo";

/// A disk file that is there, and which disk of the point it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackDisk {
    /// The file that its VM has attached.
    pub file: PathBuf,
    /// Index of the disk's topmost layer in the point.
    pub top: usize,
}

/// What a rollback means for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It was as the point has it, and was not touched.
    Same,
    /// An earlier run has brought it back.
    Before,
    /// It was brought back now.
    Now,
    /// It would be: nothing was written.
    Would,
}

/// A disk that is as the restore point has it, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct RolledBack {
    /// The file.
    pub path: String,
    /// What it means for it.
    pub became: Became,
    /// Bytes of the disk that differed. Those that an earlier run has written do not count.
    pub changed: u64,
    /// What it was before, until that is confirmed or undone.
    pub undo: Option<String>,
}

/// What a rollback did, as plain data.
#[derive(Debug, Clone, Serialize)]
pub struct RollbackReport {
    /// How it went.
    pub outcome: Outcome,
    /// The disks that are as the point has them, or would be.
    pub disks: Vec<RolledBack>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// The file that keeps what a disk file was.
pub fn undo_path(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(UNDO_SUFFIX);
    PathBuf::from(name)
}

/// The disk files in a folder of which something is kept, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn kept_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if let Some(name) = name.to_str().and_then(|n| n.strip_suffix(UNDO_SUFFIX)) {
            found.push(path.with_file_name(name));
        }
    }
    found.sort();
    Ok(found)
}

/// The files in a folder that the wanted disks of a point are, by the names of their layers: the topmost
/// that is there. What is wanted and not there is a finding.
pub fn disks_in(
    folder: &Path,
    point: &Opened,
    wanted: &DisksWanted,
) -> (Vec<RollbackDisk>, Vec<Finding>) {
    let details = &point.details;
    let plan = plan_disks(
        details,
        &DisksWanted {
            flatten: true,
            ..wanted.clone()
        },
    );
    let mut findings = plan.findings;
    let mut disks = Vec::new();
    for file in plan.files {
        let top = match file.holds {
            Holds::Chain { top } => top,
            Holds::Layer { layer, .. } => layer,
        };
        let layers = details.chain(top).into_iter();
        let names = layers.filter_map(|layer| Some(details.layers.get(layer)?.path.file_name()));
        let mut there = names
            .map(|name| folder.join(name))
            .filter(|path| path.symlink_metadata().is_ok());
        match there.next() {
            Some(file) => disks.push(RollbackDisk { file, top }),
            None => findings.push(
                Finding::new(
                    Code::NotInPlace,
                    Severity::Partial,
                    folder.join(&file.name).display().to_string(),
                    "is not there, so it cannot be rolled back in place",
                )
                .hint("name the folder that has the VM's disks, or restore the disk as a new file"),
            ),
        }
    }
    if disks.is_empty() && findings.is_empty() {
        findings.push(
            Finding::new(
                Code::NothingSelected,
                Severity::Error,
                details.vm_name.clone(),
                "no disk of this restore point was asked for, or it has none",
            )
            .hint("`hyperkeep show` lists its disks and checkpoints"),
        );
    }
    (disks, findings)
}

/// Looks whether disk files may be brought back in place. Nothing is changed; nobody may use them meanwhile.
pub fn may_roll_back(task: &Task<'_>, point: &Opened, disks: &[RollbackDisk]) -> Vec<Finding> {
    all_ready(task, point, disks).err().unwrap_or_default()
}

fn all_ready(
    task: &Task<'_>,
    point: &Opened,
    disks: &[RollbackDisk],
) -> Result<Vec<write::Ready>, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut ready = Vec::new();
    for disk in disks {
        match write::Ready::open(task, point, disk) {
            Ok(one) => ready.push(one),
            Err(error) => findings.push(error.finding(&disk.file)),
        }
    }
    if !findings.is_empty() && !ready.is_empty() {
        findings.push(Finding::note(
            Code::NotInPlace,
            point.details.vm_name.clone(),
            "the other disks were left as they are: disks of different moments make no VM",
        ));
    }
    match findings.is_empty() {
        true => Ok(ready),
        false => Err(findings),
    }
}

/// What is done before something of a disk is written, each time; an error keeps it from being written.
pub type Before<'b> = dyn FnMut() -> Result<(), String> + 'b;

/// Brings disk files back in place to what the point holds; see the [module](self). Nobody may use them
/// until it has ended. Without `before` nothing is written.
pub fn roll_back(
    task: &Task<'_>,
    point: &Opened,
    disks: &[RollbackDisk],
    mut before: Option<&mut Before<'_>>,
    rng: &mut dyn Entropy,
) -> RollbackReport {
    let mut report = RollbackReport {
        outcome: Outcome::Ok,
        disks: Vec::new(),
        findings: Vec::new(),
    };
    let ready = all_ready(task, point, disks).unwrap_or_else(|findings| {
        report.findings = findings;
        Vec::new()
    });
    let ready = match room::looked(task, point, ready, before.is_some()) {
        Ok((ready, short)) => {
            report.findings.extend(short);
            ready
        }
        Err(stopped) => {
            report.findings.push(stopped);
            Vec::new()
        }
    };
    for one in ready {
        let file = one.file().to_owned();
        let top = one.top();
        match one.roll_back(task, point, before.as_deref_mut(), rng) {
            Ok(done) => {
                let moved = torn(&point.details, Holds::Chain { top }, &done.path);
                report.findings.extend(moved);
                report.disks.push(done);
            }
            Err(Stop::Cancelled) => {
                report.findings.push(cancelled(&point.details, AGAIN));
                break;
            }
            Err(Stop::Failed(error)) => report.findings.push(error.finding(&file)),
            Err(stop) => report.findings.push(
                Finding::new(
                    Code::Failed,
                    Severity::Partial,
                    file.display().to_string(),
                    format!("was not rolled back: {stop}"),
                )
                .hint(AGAIN),
            ),
        }
    }
    let changes = |disk: &RolledBack| matches!(disk.became, Became::Now | Became::Would);
    if report.disks.iter().any(changes) {
        report.findings.push(Finding::note(
            Code::Other,
            point.details.vm_name.clone(),
            "disks that stand on these were looked for beside them only: one that is elsewhere, as of a \
             linked clone, would be damaged",
        ));
    }
    report.outcome = match outcome_of(&report.findings) {
        Outcome::Partial if report.disks.is_empty() => Outcome::Failed,
        outcome => outcome,
    };
    report
}

const AGAIN: &str =
    "give the same command again to finish it, or put back what was with `restore undo`";

/// Puts a disk file back to what it was before its rollback, to the byte. Bytes that were written.
///
/// # Errors
/// When nothing is kept of it, it is in use, or somebody wrote to it since it was rolled back.
pub fn undo(file: &Path) -> Result<u64, RollbackError> {
    let path = undo_path(file);
    let (image, mut undo) = undoable(file)?;
    let wrong = |why: UndoError| undo_error(&path, &why);
    if undo.state() != State::Undoing {
        undo.note_undoing().map_err(|e| wrong(e.into()))?;
    }
    let written = undo.put_back(&image.file).map_err(wrong)?;
    drop(undo);
    remove(&path)?;
    Ok(written)
}

/// Looks whether [`undo()`] would put a disk file back. Nothing is changed.
///
/// # Errors
/// As of [`undo()`].
pub fn may_undo(file: &Path) -> Result<(), RollbackError> {
    undoable(file).map(drop)
}

fn undoable(file: &Path) -> Result<(Image, Undo<File>), RollbackError> {
    let image = Image::open(file)?;
    let undo = open_undo(&undo_path(file))?.ok_or(RollbackError::Nothing)?;
    match undo.state() {
        State::Done(stamp) if image.stamp().map_err(RollbackError::Image)? != stamp => {
            Err(RollbackError::Changed)
        }
        // How it was left is not known, and whether it is the same file is.
        State::Under | State::Undoing if !undo.begun.file.same(&image.id()?) => {
            Err(RollbackError::Replaced)
        }
        State::Done(_) | State::Under | State::Undoing => Ok((image, undo)),
    }
}

/// Gives up what a disk file was before its rollback.
///
/// # Errors
/// When nothing is kept of it, or its rollback did not come to its end.
pub fn confirm(file: &Path) -> Result<(), RollbackError> {
    may_confirm(file)?;
    remove(&undo_path(file))
}

/// Gives up what a disk file was before its rollback, however far that has come: who does that means it to
/// stay what it is.
///
/// # Errors
/// When what is kept is there still.
pub fn give_up(file: &Path) -> Result<(), RollbackError> {
    remove(&undo_path(file))
}

/// Looks whether [`confirm`] would give it up. Nothing is changed.
///
/// # Errors
/// As of [`confirm`].
pub fn may_confirm(file: &Path) -> Result<(), RollbackError> {
    let path = undo_path(file);
    let undo = match File::open(&path) {
        Ok(found) => Undo::look(found).map_err(|why| unread(&path, &why))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RollbackError::Nothing);
        }
        Err(error) => return Err(undo_error(&path, &error.into())),
    };
    match undo.state() {
        State::Done(_) => Ok(()),
        State::Under => Err(RollbackError::Unfinished),
        State::Undoing => Err(RollbackError::Undoing),
    }
}

/// Whether something is kept of what a disk file was.
///
/// # Errors
/// When that cannot be looked at.
pub fn is_kept(file: &Path) -> io::Result<bool> {
    match undo_path(file).symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_undo(path: &Path) -> Result<Option<Undo<File>>, RollbackError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => {
            let undo = Undo::open(file).map_err(|why| unread(path, &why))?;
            Ok(Some(undo))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(undo_error(path, &error.into())),
    }
}

fn unread(path: &Path, why: &UndoError) -> RollbackError {
    match why {
        UndoError::Empty => RollbackError::Ended,
        why => undo_error(path, why),
    }
}

fn undo_error(path: &Path, why: &UndoError) -> RollbackError {
    RollbackError::Undo {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// Ends an undo file. Where a folder cannot be made durable it may be back after a loss of power, when the
/// VM has long been started: nothing is left in it then to put back.
fn remove(path: &Path) -> Result<(), RollbackError> {
    let emptied = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(0)?;
        file.sync_all()
    });
    let removed = emptied.and_then(|()| fs::remove_file(path));
    let durable = removed.and_then(|()| sync_folder(folder_of(path)));
    durable.map_err(|error| undo_error(path, &error.into()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
