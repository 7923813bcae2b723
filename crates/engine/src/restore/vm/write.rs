//! The files of a VM, written where its host finds them.
//!
//! Disks first, then what says that they are a VM's. A file appears whole or not at all, and nothing
//! that is there is ever replaced. What was written is known by name until the host has the VM, so that
//! it goes again when there will be none: [`WrittenVm::remove`] removes that, and folders that it leaves
//! empty and that were not there before, and nothing else. So long journals in its folders say what of it
//! is whole: a run that is killed leaves them, and the same restore goes on with that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hyperv::files::{HostPath, MappedFiles};
use hyperv::import::{Way, Written};
use vmconfig::WindowsFolder;
use vmconfig::export;
use vmconfig::layout::{AttachedDisk, Machine, Options, Role, inventory};
use vmconfig::rewrite::Rewrite;

use super::{VmError, VmPlan};
use crate::finding::{Code, Finding, Severity};
use crate::outcome::Outcome;
use crate::pipeline::Stop;
use crate::restore::as_folder::{PointFolder, graph};
use crate::restore::disks::{
    AGAIN, RestoreReport, RestoredFile, cancelled, disk_finding, target_finding, write_all,
};
use crate::restore::folder::one_file;
use crate::restore::journal::Journal;
use crate::restore::plan::{DiskFile, DisksPlan, Holds};
use crate::restore::target::TargetError;
use crate::restore::to::DisksTo;
use crate::restore::{Opened, Task};

/// The folder below a VM's in which its configuration is.
const MACHINES: &str = "Virtual Machines";
/// The same of its checkpoints.
const SNAPSHOTS: &str = "Snapshots";

/// Where everything of a plan will be found here.
#[derive(Debug, Clone)]
pub struct VmPlaces {
    /// Of each disk of the plan.
    disks: Vec<PathBuf>,
    machine: PathBuf,
    checkpoints: PathBuf,
}

impl VmPlaces {
    /// The folders that are written into.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let disks = self.disks.iter().filter_map(|disk| disk.parent());
        disks.chain([self.machine.as_path(), self.checkpoints.as_path()])
    }

    /// Finds them. Nothing is made.
    ///
    /// # Errors
    /// When a folder of the plan is not found here, so that nothing could be written.
    pub fn find(planned: &VmPlan, files: &MappedFiles) -> Result<Self, VmError> {
        let plan = &planned.plan;
        let here = |path: &str| -> Result<PathBuf, VmError> {
            let path = HostPath::parse(path).map_err(|error| VmError::Path(error.to_string()))?;
            Ok(files.place(&path)?)
        };
        let checkpoints = plan.checkpoint_folder.as_ref().unwrap_or(&plan.folder);
        let disks = plan.disks.iter().map(|disk| here(&disk.to));
        Ok(Self {
            disks: disks.collect::<Result<_, _>>()?,
            machine: here(&plan.folder)?,
            checkpoints: here(checkpoints)?,
        })
    }
}

/// What was written of a VM that is not its host's yet.
#[derive(Debug, Default)]
pub struct WrittenVm {
    /// Where the host finds its configuration.
    pub written: Written,
    /// Every file.
    pub files: Vec<RestoredFile>,
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// Folders that were not there, those above before those in them.
    folders: Vec<PathBuf>,
    /// By these the same restore goes on after a kill, until there is a VM or all of it was removed.
    journals: Vec<Journal>,
}

/// A VM that was not written.
#[derive(Debug)]
pub struct NotWritten {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub findings: Vec<Finding>,
}

/// Writes the files of a VM.
///
/// # Errors
/// When one of them could not be written. Then all are gone again; but a run that somebody stops leaves
/// what it has, and the same one goes on with it.
pub fn write_vm(
    task: &Task<'_>,
    opened: &Opened,
    planned: &VmPlan,
    places: &VmPlaces,
) -> Result<WrittenVm, NotWritten> {
    let mut vm = WrittenVm::default();
    let done = vm
        .disks(task, opened, planned, places)
        .and_then(|()| match planned.plan.way {
            Way::Import => vm.configuration(task, opened, planned, places),
            Way::Define => Ok(()),
        });
    let Err(failed) = done else {
        return Ok(vm);
    };
    let mut findings = failed;
    let outcome = match is_cancelled(&findings) {
        true => {
            vm.leave();
            Outcome::Cancelled
        }
        false => {
            findings.extend(vm.remove());
            Outcome::Failed
        }
    };
    Err(NotWritten { outcome, findings })
}

type Failed = Vec<Finding>;

fn is_cancelled(findings: &[Finding]) -> bool {
    findings.iter().any(|one| one.code == Code::Cancelled)
}

impl WrittenVm {
    fn disks(
        &mut self,
        task: &Task<'_>,
        opened: &Opened,
        planned: &VmPlan,
        places: &VmPlaces,
    ) -> Result<(), Failed> {
        for (folder, which) in folders(places) {
            let windows = which.first().and_then(|first| {
                let to = HostPath::parse(&planned.plan.disks.get(*first)?.to).ok()?;
                to.parent()?.to_string().parse::<WindowsFolder>().ok()
            });
            let plan = DisksPlan {
                files: in_folder(&planned.files, &which, places),
                findings: Vec::new(),
            };
            self.make(folder)?;
            let to = DisksTo {
                windows: windows.as_ref(),
                ..DisksTo::folder(folder)
            };
            let mut report = RestoreReport {
                outcome: Outcome::Ok,
                files: Vec::new(),
                findings: Vec::new(),
                simulated: None,
                room: None,
            };
            // What a killed run has here its journal knows, and the next one goes on with it.
            let journal = write_all(task, opened, &plan, &to, &mut report);
            self.journals.extend(journal);
            self.files.append(&mut report.files);
            let bad = |f: &Finding| f.severity >= Severity::Partial;
            if report.findings.iter().any(bad) {
                return Err(report.findings);
            }
            self.findings.append(&mut report.findings);
        }
        Ok(())
    }

    fn configuration(
        &mut self,
        task: &Task<'_>,
        opened: &Opened,
        planned: &VmPlan,
        places: &VmPlaces,
    ) -> Result<(), Failed> {
        let plan = &planned.plan;
        let odd = |why: &str| {
            let hint = "make the VM anew: --define";
            let object = planned.point.config.name.clone();
            vec![Finding::new(Code::ConfigUnreadable, Severity::Error, object, why).hint(hint)]
        };
        let folder = PointFolder::open(task, opened).map_err(|finding| vec![finding])?;
        let mut found = inventory(&folder, &graph(opened), &Options::default());
        let Some(machine) = found.machines.pop().filter(|_| found.machines.is_empty()) else {
            return Err(odd("the point does not hold one configuration"));
        };
        let root: WindowsFolder = plan
            .folder
            .parse()
            .map_err(|error| odd(&format!("{error}")))?;
        let mut export = export::plan(&machine, "VM", Some(&root));
        let checkpoints = plan.checkpoint_folder.as_ref().unwrap_or(&plan.folder);
        rewire(&mut export.rewrites, &machine, opened, planned, checkpoints);
        self.make(&places.machine)?;
        let what = what(task, opened, planned);
        let journal = Journal::open(&places.machine, &what);
        let journal = journal.map_err(|error| vec![target_finding(&error)])?;
        let own = journal.is_some().then_some(self.journals.len());
        self.journals.extend(journal);
        let all = export.files.iter().filter(|file| file.role.is_some());
        for (number, file) in all.enumerate() {
            let mut parts = file.target.split('/').skip(1);
            let place = parts.next().unwrap_or_default();
            let (here, host) = match place {
                MACHINES => (&places.machine, &plan.folder),
                SNAPSHOTS if plan.checkpoints > 0 => (&places.checkpoints, checkpoints),
                _ => continue,
            };
            if task.cancel.is_cancelled() {
                return Err(vec![cancelled(&opened.details, AGAIN)]);
            }
            let names: Vec<&str> = parts.collect();
            let path = names
                .iter()
                .fold(here.join(place), |path, name| path.join(name));
            if let Some(folder) = path.parent() {
                self.make(folder)?;
            }
            let under = own.and_then(|at| self.journals.get_mut(at));
            // A run that was killed has made it, for the same plan: its host may have changed it since.
            if under.as_ref().is_some_and(|under| under.was_whole(number)) {
                remove_own(&path)?;
            }
            let name = path.strip_prefix(&places.machine).unwrap_or(&path);
            let name = name.to_string_lossy();
            let under = under.map(|journal| (journal, number, &*name));
            let what = (file, export.rewrites.get(&file.source));
            let mut noticed = Vec::new();
            let done = one_file(task, opened, &folder, what, &path, under, &mut noticed);
            match done {
                Ok(done) => self.files.push(done),
                Err(Stop::Cancelled) => return Err(vec![cancelled(&opened.details, AGAIN)]),
                Err(stop) => return Err(vec![disk_finding(&path, stop)]),
            }
            // A configuration that names the disks of another VM is none to import.
            if !noticed.is_empty() {
                return Err(noticed);
            }
            if file.role == Some(Role::Configuration) {
                let at = |names: &[&str]| format!(r"{host}\{place}\{}", names.join(r"\"));
                match place {
                    MACHINES => self.written.configuration = Some(at(&names)),
                    _ => self.written.snapshots = Some(format!(r"{host}\{place}")),
                }
            }
        }
        match (&self.written.configuration, &self.written.snapshots) {
            (None, _) => Err(odd("its configuration file is not in the point")),
            (_, None) if plan.checkpoints > 0 => Err(odd(
                "the configurations of its checkpoints are not in the point",
            )),
            _ => Ok(()),
        }
    }

    /// Makes a folder, and remembers what of its path was not there.
    fn make(&mut self, folder: &Path) -> Result<(), Failed> {
        let failed = |at: &Path, error| {
            let error = TargetError::io(at, "making the folder", error);
            vec![target_finding(&error)]
        };
        // A link may lead to what is another VM's.
        let is_link = fs::symlink_metadata(folder).is_ok_and(|about| about.is_symlink());
        if is_link {
            return Err(failed(folder, io::Error::other("a link is in its place")));
        }
        let missing = folder.ancestors().take_while(|above| !above.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        missing.reverse();
        for one in missing {
            fs::create_dir(&one).map_err(|error| failed(&one, error))?;
            self.folders.push(one);
        }
        Ok(())
    }

    /// Leaves all of it for the same restore to go on with.
    pub fn leave(&mut self) {
        self.journals.iter_mut().for_each(Journal::leave);
    }

    /// There is a VM of it: what was noted so that another run could go on with it goes.
    pub fn is_made(&mut self) {
        self.journals.clear();
    }

    /// Removes all of it, since there will be no VM; what is still there is told.
    #[must_use]
    pub fn remove(mut self) -> Vec<Finding> {
        // They lie in these folders.
        self.journals.clear();
        let mut left = Vec::new();
        for file in self.files.iter().rev() {
            match fs::remove_file(&file.path) {
                Ok(()) => {}
                // A path that was no text may be there all the same.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && !file.path.contains(char::REPLACEMENT_CHARACTER) => {}
                Err(error) => left.push(format!("{}: {error}", file.path)),
            }
        }
        for folder in self.folders.iter().rev() {
            // What somebody else has put there stays, and the folder with it.
            let _ = fs::remove_dir(folder);
        }
        match left.is_empty() {
            true => Vec::new(),
            false => vec![
                Finding::new(
                    Code::CleanupFailed,
                    Severity::Warning,
                    "restored files",
                    format!("are still there: {}", left.join("; ")),
                )
                .hint("remove them by hand"),
            ],
        }
    }
}

/// All that decides what configurations say.
fn what(task: &Task<'_>, opened: &Opened, planned: &VmPlan) -> String {
    let plan = &planned.plan;
    let disks = plan.disks.iter().map(|disk| (&disk.from, &disk.to));
    let disks: Vec<_> = disks.collect();
    let folders = (&plan.folder, &plan.checkpoint_folder, plan.checkpoints);
    format!("{}\n{}\n{disks:?}\n{folders:?}", task.vault.id(), opened.id)
}

/// Removes a file that a run has made which was killed.
fn remove_own(path: &Path) -> Result<(), Failed> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let error = TargetError::io(path, "removing what a killed run has made", error);
            Err(vec![target_finding(&error)])
        }
        _ => Ok(()),
    }
}

/// The disks of each folder.
pub(super) fn folders(places: &VmPlaces) -> BTreeMap<&Path, Vec<usize>> {
    let mut folders: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (number, path) in places.disks.iter().enumerate() {
        if let Some(folder) = path.parent() {
            folders.entry(folder).or_default().push(number);
        }
    }
    folders
}

/// The files of one folder, by the names that they will have, with their parents among them: these are
/// beside them.
pub(super) fn in_folder(files: &[DiskFile], which: &[usize], places: &VmPlaces) -> Vec<DiskFile> {
    let among = |file: usize| which.iter().position(|other| *other == file);
    let one = |number: &usize| {
        let file = files.get(*number)?;
        let name = places.disks.get(*number)?.file_name()?;
        Some(DiskFile {
            name: name.to_string_lossy().into_owned(),
            holds: match file.holds {
                Holds::Layer { layer, parent } => Holds::Layer {
                    layer,
                    parent: parent.and_then(among),
                },
                chain @ Holds::Chain { .. } => chain,
            },
            format: file.format,
        })
    };
    which.iter().filter_map(one).collect()
}

/// Has configurations name each disk where the plan has it, and checkpoints where they will be.
fn rewire(
    rewrites: &mut BTreeMap<String, Rewrite>,
    machine: &Machine,
    opened: &Opened,
    planned: &VmPlan,
    checkpoints: &str,
) {
    let checkpoint_disks = machine.checkpoints.iter().map(|c| (&c.path, &c.disks));
    let all = std::iter::once((&machine.path, &machine.disks)).chain(checkpoint_disks);
    for (config, attached) in all {
        let rewrite = rewrites.entry(config.clone()).or_default();
        rewrite.data_root = Some(planned.plan.folder.clone());
        rewrite.checkpoint_root = Some(checkpoints.to_owned());
        for disk in attached {
            let Some(to) = goes_to(disk, opened, planned) else {
                continue;
            };
            let known = rewrite.media.iter_mut();
            match known.into_iter().find(|(old, _)| *old == disk.configured) {
                Some((_, new)) => *new = to,
                None => rewrite.media.push((disk.configured.clone(), to)),
            }
        }
    }
}

/// Where the file that a disk stands for goes. One that goes nowhere has a name that no file has.
fn goes_to(disk: &AttachedDisk, opened: &Opened, planned: &VmPlan) -> Option<String> {
    let path = disk.file.path()?;
    let layers = &opened.details.layers;
    let layer = layers
        .iter()
        .position(|layer| layer.path.as_str() == path)?;
    let file = planned.files.iter().position(|file| match file.holds {
        Holds::Layer { layer: held, .. } => held == layer,
        Holds::Chain { top } => top == layer,
    })?;
    planned.plan.disks.get(file).map(|disk| disk.to.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_what_was_written_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        fs::create_dir(&there).unwrap();
        let new = there.join("a").join("b");
        let mut vm = WrittenVm::default();
        vm.make(&new).unwrap();
        vm.make(&new).unwrap();
        assert_eq!(vm.folders, [there.join("a"), new.clone()]);
        let file = |path: PathBuf| {
            fs::write(&path, "x").unwrap();
            RestoredFile {
                path: path.display().to_string(),
                data: 1,
                became: crate::restore::Became::New,
                earlier: 0,
                damage: None,
            }
        };
        vm.files.push(file(new.join("ours")));
        vm.files.push(file(there.join("ours too")));
        let _ = file(there.join("a").join("theirs"));
        assert_eq!(vm.remove(), []);
        assert!(!new.exists() && !there.join("ours too").exists());
        assert!(there.join("a").join("theirs").exists());
    }
}
