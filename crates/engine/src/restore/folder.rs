//! Restoring a whole VM as a folder that Hyper-V's import accepts.
//!
//! Made from the point alone, on any system: which file is what is found out from the point's own
//! files in the same way as from a folder, so that what was backed up from wherever comes out in
//! the one layout that an import expects.
//!
//! # Where disks are said to be
//!
//! A configuration names its disks by the full paths that they had. Nobody's public source tells
//! whether an import prefers a disk at that path or the one of that name in `Virtual Hard Disks`:
//! on the host that the VM came from, it may attach the original's. So where it is known in which
//! Windows folder the VM will lie, because it was said or because this is Windows, configurations
//! are written with the new paths. Where it is not known they come back byte for byte, unless a
//! disk had to be renamed, and a finding tells what that means.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use vault::DiskReader;
use vmconfig::WindowsFolder;
use vmconfig::export::{DISKS, Plan, PlannedFile, plan};
use vmconfig::layout::{Options, inventory};
use vmconfig::rewrite::{Rewrite, rewrite_file};

use crate::finding::{Code, Finding, Severity};
use crate::pipeline::Stop;
use crate::point::Details;
use crate::restore::as_folder::{PointFolder, graph};
use crate::restore::disks::{
    DiskError, RestoreReport, RestoredFile, begin, cancelled, disk_finding, settle, target_finding,
    write_disk, write_error,
};
use crate::restore::existing::{Became, Spot};
use crate::restore::journal::{Journal, Whole};
use crate::restore::plan::{DiskFile, DiskFormat, Holds, not_in_point, not_restored};
use crate::restore::spots::parent_paths;
use crate::restore::target::{NewFile, TargetError};
use crate::restore::write::file;
use crate::restore::{Opened, Task};

/// What to do after a restore of a folder was stopped.
const ELSEWHERE: &str = "restore again into another folder: one that is not empty is refused";

/// Largest configuration that is read into memory to be changed.
const MAX_CONFIG: u64 = 64 << 20;

/// Restores a VM into the folder `to`, which must be empty or not there.
///
/// `windows` is where that folder will lie when Hyper-V imports it. On Windows it need not be said
/// if that is where `to` is.
pub fn restore_folder(
    task: &Task<'_>,
    point: &Opened,
    to: &Path,
    windows: Option<&WindowsFolder>,
) -> RestoreReport {
    let here = windows.is_none().then(|| here(to)).flatten();
    let windows = windows.or(here.as_ref());
    let mut report = RestoreReport {
        outcome: Default::default(),
        files: Vec::new(),
        findings: Vec::new(),
        simulated: None,
        room: None,
    };
    if let Err(finding) = attempt(task, point, to, windows, &mut report) {
        report.findings.push(finding);
    }
    report.outcome = settle(&report);
    report
}

fn attempt(
    task: &Task<'_>,
    point: &Opened,
    to: &Path,
    windows: Option<&WindowsFolder>,
    report: &mut RestoreReport,
) -> Result<(), Finding> {
    let details = &point.details;
    let target = |what, error| target_finding(&TargetError::io(to, what, error));
    if to.exists() {
        let mut entries = fs::read_dir(to).map_err(|e| target("looking into it", e))?;
        if entries.next().is_some() {
            return Err(Finding::new(
                Code::TargetExists,
                Severity::Error,
                to.display().to_string(),
                "is not empty",
            )
            .hint("nothing is ever overwritten: give a folder that is empty or not there"));
        }
    }
    let folder = PointFolder::open(task, point)?;
    let found = inventory(&folder, &graph(point), &Options::default());
    let machine = match found.machines.as_slice() {
        [machine] => machine,
        other => {
            return Err(Finding::new(
                Code::ConfigUnreadable,
                Severity::Error,
                details.vm_name.clone(),
                format!("the point holds {} configurations of a VM that can be understood, and one is needed", other.len()),
            )
            .hint("`hyperkeep restore disks` restores its disks; `hyperkeep show` tells what else there is"));
        }
    };
    // The name of the VM's folder is that of `to`, whatever the plan calls it.
    let planned = plan(machine, "VM", windows);
    for missing in details.missing.iter() {
        report.findings.push(not_in_point(missing));
    }
    report.findings.extend(as_backed_up(details));
    report.findings.extend(elsewhere(&planned, details));
    let names: HashMap<&str, &str> = planned
        .files
        .iter()
        .map(|file| (file.source.as_str(), file_name(&file.target)))
        .collect();
    for file in &planned.files {
        if task.cancel.is_cancelled() {
            return Err(cancelled(details, ELSEWHERE));
        }
        // The plan begins with the VM's folder, which is `to` itself.
        let below = file.target.split('/').skip(1);
        let path = to.join(below.collect::<std::path::PathBuf>());
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.map_err(|e| target("making the folder", e))?;
        let done = match file.role {
            None => one_disk(task, point, file, &names, windows, &path),
            Some(_) => one_file(
                task,
                point,
                &folder,
                (file, planned.rewrites.get(&file.source)),
                &path,
                None,
                &mut report.findings,
            ),
        };
        match done {
            Ok(done) => report.files.push(done),
            Err(Stop::Cancelled) => return Err(cancelled(details, ELSEWHERE)),
            Err(stop) => report.findings.push(disk_finding(&path, stop)),
        }
    }
    let left: Vec<&str> = details
        .layers
        .iter()
        .map(|layer| layer.path.as_str())
        .filter(|path| !names.contains_key(path))
        .collect();
    let hint = "`hyperkeep restore disks` restores all of them";
    report.findings.extend(not_restored(details, &left, hint));
    Ok(())
}

/// What makes the point less than the VM was, and the restored folder with it: files that could
/// not be saved, and what moved while it was read.
fn as_backed_up(details: &Details) -> impl Iterator<Item = Finding> + '_ {
    details.findings.iter().filter_map(|finding| {
        let (severity, message) = match finding.code {
            Code::FileUnreadable => (
                Severity::Partial,
                format!("not in this restore point: {}", finding.message),
            ),
            Code::ChangedDuringBackup => (Severity::Warning, finding.message.clone()),
            _ => return None,
        };
        Some(
            Finding::new(finding.code, severity, finding.object.clone(), message)
                .hint("an earlier or later restore point may hold it whole"),
        )
    })
}

/// What it means that nobody said where the folder will lie.
fn elsewhere(planned: &Plan, details: &Details) -> Option<Finding> {
    let first = planned.elsewhere.first()?;
    let others = match planned.elsewhere.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Some(
        Finding::new(
            Code::OriginalPaths,
            Severity::Info,
            details.vm_name.clone(),
            format!(
                "the configurations name the disks where they were ({first}{others}); on the host \
                 they came from an import may take the originals: whether it prefers those to the \
                 restored ones is not known"
            ),
        )
        .hint(
            "on a host that still has the original, import only what was restored with \
             --windows-path, which says where the folder will lie",
        ),
    )
}

/// Where `to` lies for Hyper-V, if this is Windows.
fn here(to: &Path) -> Option<WindowsFolder> {
    let absolute = cfg!(windows).then(|| std::path::absolute(to).ok())??;
    absolute.to_str()?.parse().ok()
}

fn one_disk(
    task: &Task<'_>,
    point: &Opened,
    planned: &PlannedFile,
    names: &HashMap<&str, &str>,
    windows: Option<&WindowsFolder>,
    path: &Path,
) -> Result<RestoredFile, Stop<DiskError>> {
    let layers = &point.details.layers;
    let index = layers
        .iter()
        .position(|layer| layer.path.as_str() == planned.source)
        .ok_or_else(|| lost(&planned.source))?;
    let parent = layers[index]
        .parent
        .map(|parent| layers[parent].path.as_str());
    let file = DiskFile {
        name: file_name(&planned.target).to_owned(),
        holds: Holds::Layer {
            layer: index,
            parent: None,
        },
        format: DiskFormat::of(&layers[index].info.format),
    };
    let parent = parent.and_then(|parent| names.get(parent)).map(|name| {
        let full = windows.map(|windows| windows.join(&format!(r"{DISKS}\{name}")));
        parent_paths(name, full)
    });
    write_disk(task, point, &file, Spot::new(path), parent, None, None)
}

/// Writes one file, noted in a journal under its number there before it has its name.
pub(crate) fn one_file(
    task: &Task<'_>,
    point: &Opened,
    folder: &PointFolder,
    (planned, rewrite): (&PlannedFile, Option<&Rewrite>),
    path: &Path,
    under: Option<(&mut Journal, usize, &str)>,
    findings: &mut Vec<Finding>,
) -> Result<RestoredFile, Stop<DiskError>> {
    let target = |e| Stop::Failed(DiskError::Target(e));
    let reader = folder
        .readers
        .get(&planned.source)
        .ok_or_else(|| lost(&planned.source))?;
    let new = match &under {
        // An unfinished one of this name is of a run that was killed.
        Some((journal, number, _)) => {
            let temp = journal.temp(*number);
            let temp = path.with_file_name(temp.file_name().unwrap_or_default());
            NewFile::again(Spot::new(path), temp, false)
        }
        None => NewFile::create(path),
    };
    let new = new.map_err(target)?;
    let data = match rewrite {
        Some(rewrite) => {
            let (bytes, damaged) = rewritten(reader, &planned.source, rewrite)
                .map_err(|why| Stop::Failed(DiskError::Vault(why)))?;
            findings.extend(damaged);
            new.file()
                .write_all_at(&bytes, 0)
                .map_err(|e| target(TargetError::io(path, "writing", e)))?;
            bytes.len() as u64
        }
        None => {
            let meter = begin(
                task,
                &point.details,
                file_name(&planned.target),
                reader.len(),
            );
            file(task.run(&meter), reader, &new.file())
                .map_err(|stop| stop.map(|error| write_error(path, error)))?;
            reader.len()
        }
    };
    if let Some((journal, number, name)) = under {
        let noted = |e| target(TargetError::io(path, "writing the restore's journal", e));
        let whole = Whole::of(new.host_file(), name, data, Became::New).map_err(noted)?;
        journal.note_whole(number, whole).map_err(noted)?;
    }
    new.place().map_err(target)?;
    Ok(RestoredFile {
        path: path.display().to_string(),
        data,
        became: Became::New,
        earlier: 0,
        damage: None,
    })
}

/// A configuration with other paths in it; as it is, with what is in the way, when it is damaged:
/// written afresh, the damage would look whole.
fn rewritten(
    reader: &DiskReader,
    name: &str,
    rewrite: &Rewrite,
) -> Result<(Vec<u8>, Option<Finding>), String> {
    if reader.len() > MAX_CONFIG {
        return Err(format!(
            "{name}: {} bytes are no configuration",
            reader.len()
        ));
    }
    let mut bytes = vec![0; reader.len() as usize];
    reader.read_at(0, &mut bytes).map_err(|e| e.to_string())?;
    match rewrite_file(&bytes, rewrite) {
        Ok((bytes, done)) => Ok((bytes, unused(name, &done.unused))),
        Err(error) => {
            let finding = Finding::new(
                Code::ConfigUnreadable,
                Severity::Warning,
                name,
                format!(
                    "restored as it was backed up, so it may not name its disks where they are \
                     now: {error}"
                ),
            )
            .hint("point the VM's drives at Virtual Hard Disks when importing it");
            Ok((bytes, Some(finding)))
        }
    }
}

/// Drives that were to be pointed elsewhere and are not in the configuration.
fn unused(name: &str, drives: &[String]) -> Option<Finding> {
    let message = format!(
        "it does not name {}: what it names instead was left as it was",
        drives.join(", ")
    );
    let hint = "look at the VM's drives when importing it, and point them at the restored disks";
    let finding = Finding::new(Code::ConfigUnreadable, Severity::Warning, name, message);
    (!drives.is_empty()).then(|| finding.hint(hint))
}

fn lost(name: &str) -> Stop<DiskError> {
    Stop::Failed(DiskError::Vault(format!("{name} is not in the point")))
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_windows_knows_where_a_folder_lies_for_hyper_v() {
        let here = here(Path::new("restored"));
        match cfg!(windows) {
            true => assert!(here.is_some_and(|here| here.to_string().ends_with(r"\restored"))),
            false => assert_eq!(here, None),
        }
    }

    #[test]
    fn a_drive_that_the_configuration_does_not_name_is_told() {
        assert_eq!(unused("a.vmcx", &[]), None);
        let told = unused("a.vmcx", &["D:\\a.vhdx".to_owned()]).unwrap();
        assert_eq!(told.severity, Severity::Warning);
        assert!(told.message.contains("D:\\a.vhdx"), "{}", told.message);
    }
}
