//! Restoring a whole VM as a folder that Hyper-V's import accepts.
//!
//! Made from the point alone, on any system: which file is what is found out from the point's own
//! files in the same way as from a folder, so that what was backed up from wherever comes out in
//! the one layout that an import expects.
//!
//! Configurations are copied byte for byte unless a disk's path in them must change. On Windows it
//! must: the configuration still names the places that the disks had, and on the host that the VM
//! came from an import would find the original's disks there. Elsewhere the restored folder has no
//! Windows path yet; an import finds the disks by their names.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use disk::WriteAt;
use vault::DiskReader;
use vmconfig::export::{PlannedFile, plan};
use vmconfig::layout::{DiskGraph, FileItem, Folder, Layer, Options, inventory};
use vmconfig::rewrite::{Rewrite, rewrite_file};

use crate::finding::{Code, Finding, Severity};
use crate::pipeline::Stop;
use crate::point::Details;
use crate::restore::disks::{
    DiskError, RestoreReport, RestoredFile, begin, cancelled, disk_finding, settle, target_finding,
    write_disk, write_error,
};
use crate::restore::plan::{DiskFile, DiskFormat, Holds};
use crate::restore::target::{NewFile, TargetError};
use crate::restore::write::file;
use crate::restore::{Opened, Task};

/// Largest configuration that is read into memory to be changed.
const MAX_CONFIG: u64 = 64 << 20;

/// Restores a VM into the folder `to`, which must be empty or not there.
pub fn restore_folder(task: &Task<'_>, point: &Opened, to: &Path) -> RestoreReport {
    let mut report = RestoreReport {
        outcome: Default::default(),
        files: Vec::new(),
        findings: Vec::new(),
    };
    if let Err(finding) = attempt(task, point, to, &mut report) {
        report.findings.push(finding);
    }
    report.outcome = settle(&report);
    report
}

fn attempt(
    task: &Task<'_>,
    point: &Opened,
    to: &Path,
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
    let (name, windows_root) = windows_place(to);
    let planned = plan(machine, &name, windows_root.as_deref());
    for missing in details.missing.iter() {
        report.findings.push(Finding::new(
            Code::DiskMissing,
            Severity::Partial,
            missing.name.clone(),
            format!("not in this restore point: {}", missing.why),
        ));
    }
    report.findings.extend(as_backed_up(details));
    let names: HashMap<&str, &str> = planned
        .files
        .iter()
        .map(|file| (file.source.as_str(), file_name(&file.target)))
        .collect();
    for file in &planned.files {
        if task.cancel.is_cancelled() {
            return Err(cancelled(details));
        }
        // The plan begins with the VM's folder, which is `to` itself.
        let below = file.target.split('/').skip(1);
        let path = to.join(below.collect::<std::path::PathBuf>());
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.map_err(|e| target("making the folder", e))?;
        let done = match file.role {
            None => one_disk(task, point, file, &names, &path),
            Some(_) => one_file(
                task,
                point,
                &folder,
                file,
                planned.rewrites.get(&file.source),
                &path,
                &mut report.findings,
            ),
        };
        match done {
            Ok(done) => report.files.push(done),
            Err(Stop::Cancelled) => return Err(cancelled(details)),
            Err(stop) => report.findings.push(disk_finding(&path, stop)),
        }
    }
    let left: Vec<&str> = details
        .layers
        .iter()
        .map(|layer| layer.path.as_str())
        .filter(|path| !names.contains_key(path))
        .collect();
    if !left.is_empty() {
        report.findings.push(
            Finding::new(
                Code::UnreferencedDisk,
                Severity::Warning,
                details.vm_name.clone(),
                format!(
                    "no configuration names these disks, which were not restored: {}",
                    left.join(", ")
                ),
            )
            .hint("`hyperkeep restore disks` restores all of them"),
        );
    }
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

/// The name of the VM's folder, and on Windows the folder above it, by which configurations can
/// name their disks.
fn windows_place(to: &Path) -> (String, Option<String>) {
    if cfg!(windows)
        && let Ok(absolute) = std::path::absolute(to)
        && let (Some(name), Some(parent)) = (absolute.file_name(), absolute.parent())
        && let (Some(name), Some(parent)) = (name.to_str(), parent.to_str())
    {
        return (
            name.to_owned(),
            Some(plain(parent).trim_end_matches('\\').to_owned()),
        );
    }
    ("VM".to_owned(), None)
}

/// A Windows path as people and configurations write it, without the prefix for long paths.
fn plain(path: &str) -> String {
    match path.strip_prefix(r"\\?\UNC\") {
        Some(share) => format!(r"\\{share}"),
        None => path.strip_prefix(r"\\?\").unwrap_or(path).to_owned(),
    }
}

fn graph(point: &Opened) -> DiskGraph {
    let layers = &point.details.layers;
    let mut graph = DiskGraph::default();
    for layer in layers {
        let told = match (layer.parent, &layer.info.parent) {
            (Some(parent), _) => Layer::ChildOf(layers[parent].path.to_string()),
            (None, Some(link)) => Layer::ParentMissing {
                expected: link
                    .paths
                    .first()
                    .map_or_else(String::new, |p| p.path.clone()),
            },
            (None, None) => Layer::Base,
        };
        graph.layers.insert(layer.path.to_string(), told);
    }
    graph
}

/// A point as a folder.
struct PointFolder {
    items: Vec<FileItem>,
    readers: HashMap<String, DiskReader>,
}

impl PointFolder {
    fn open(task: &Task<'_>, point: &Opened) -> Result<Self, Finding> {
        let mut items = Vec::new();
        let mut readers = HashMap::new();
        for (file, root) in point.details.files.iter().zip(&point.file_roots) {
            let reader = task.vault.disk(root).map_err(|error| {
                Finding::new(
                    Code::Failed,
                    Severity::Error,
                    file.path.as_str(),
                    format!("cannot be read from the vault: {error}"),
                )
                .hint("`hyperkeep check` shows what is wrong with the vault")
            })?;
            items.push(FileItem {
                path: file.path.to_string(),
                len: reader.len(),
            });
            readers.insert(file.path.to_string(), reader);
        }
        for layer in &point.details.layers {
            items.push(FileItem {
                path: layer.path.to_string(),
                len: layer.info.geometry.len,
            });
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { items, readers })
    }
}

impl Folder for PointFolder {
    fn files(&self) -> &[FileItem] {
        &self.items
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn vmconfig::ReadAt + '_>> {
        let reader = self.readers.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(VaultFile(reader)))
    }
}

struct VaultFile<'a>(&'a DiskReader);

impl vmconfig::ReadAt for VaultFile<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.0.len() => {
                self.0.read_at(offset, buf).map_err(io::Error::other)
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn one_disk(
    task: &Task<'_>,
    point: &Opened,
    planned: &PlannedFile,
    names: &HashMap<&str, &str>,
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
    let parent_name = parent.and_then(|parent| names.get(parent).copied());
    write_disk(task, point, &file, path, parent_name)
}

fn one_file(
    task: &Task<'_>,
    point: &Opened,
    folder: &PointFolder,
    planned: &PlannedFile,
    rewrite: Option<&Rewrite>,
    path: &Path,
    findings: &mut Vec<Finding>,
) -> Result<RestoredFile, Stop<DiskError>> {
    let target = |e| Stop::Failed(DiskError::Target(e));
    let reader = folder
        .readers
        .get(&planned.source)
        .ok_or_else(|| lost(&planned.source))?;
    let new = NewFile::create(path).map_err(target)?;
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
    new.place().map_err(target)?;
    Ok(RestoredFile {
        path: path.display().to_string(),
        data,
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
        Ok((bytes, _)) => Ok((bytes, None)),
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
    fn configurations_name_places_as_people_do() {
        for (path, shown) in [
            (r"\\?\D:\VMs", r"D:\VMs"),
            (r"\\?\UNC\server\share", r"\\server\share"),
            (r"\\server\share", r"\\server\share"),
            (r"D:\", r"D:\"),
        ] {
            assert_eq!(plain(path), shown);
        }
        let (name, root) = windows_place(Path::new("restored"));
        match cfg!(windows) {
            true => assert!(name == "restored" && root.is_some_and(|root| root.contains(":\\"))),
            false => assert_eq!((name.as_str(), root), ("VM", None)),
        }
    }
}
