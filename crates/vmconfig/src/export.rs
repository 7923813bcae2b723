//! Where the files of a VM go in an export that Hyper-V's import accepts.
//!
//! ```text
//! <VM name>/Virtual Machines/<GUID>.vmcx .vmrs .vmgs   (or .xml, and <GUID>/<GUID>.bin .vsv)
//! <VM name>/Snapshots/<GUID>.vmcx …                    one set for each checkpoint
//! <VM name>/Virtual Hard Disks/*                       all disks and their parents, side by side
//! ```
//!
//! Only names are computed here; nothing is written. State files keep their names, which are
//! ids; folders and disks get names that Windows can hold, and a name only once.

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::{AttachedDisk, Machine, OwnedFile, Role};
use crate::names::{NAME_MAX, Names, safe_name};
use crate::rewrite::Rewrite;
use crate::windows_folder::WindowsFolder;

/// The folder of an export in which all disks lie.
pub const DISKS: &str = "Virtual Hard Disks";

/// An export of one VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every file: its path in the listing, and its path relative to the export's parent.
    pub files: Vec<PlannedFile>,
    /// Configurations whose paths must change, by their paths in the listing. Those that are not
    /// here are copied byte for byte.
    pub rewrites: BTreeMap<String, Rewrite>,
    /// Paths by which configurations go on naming disks in other places than the export's. On the
    /// host that the VM came from the original's disks lie there, and nobody's public source tells
    /// whether an import takes those. Empty when it was said where the export will be.
    pub elsewhere: BTreeSet<String>,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Path in the listing.
    pub source: String,
    /// Path in the export, with `/`.
    pub target: String,
    /// What it is; `None` for a disk.
    pub role: Option<Role>,
    /// Whether the file's name changed: a differencing disk that refers to it must be told.
    pub renamed: bool,
}

/// Plans an export.
///
/// `folder` is the VM's folder, from [`Names::folder`], and `windows` the place on a Windows host
/// where that folder will be, if it is known. Configurations then name all their disks there, so
/// that an import cannot take the original's disks for the restored ones; a disk that the export
/// lacks gets a name there that no file has. Otherwise only the names of renamed disks change, and
/// [`Plan::elsewhere`] tells what that leaves.
pub fn plan(machine: &Machine, folder: &str, windows: Option<&WindowsFolder>) -> Plan {
    let mut plan = Plan::default();
    let mut disks = DiskNames::default();
    let mut states = BTreeMap::<String, Names>::new();
    let own = (
        "Virtual Machines",
        &machine.path,
        &machine.files,
        &machine.disks,
    );
    let checkpoints = machine.checkpoints.iter();
    let checkpoints = checkpoints.map(|c| ("Snapshots", &c.path, &c.files, &c.disks));
    let configs: Vec<_> = std::iter::once(own).chain(checkpoints).collect();
    for &(place, config, files, attached) in &configs {
        let state = files
            .iter()
            .filter(|file| file.role != Role::ChangeTracking);
        plan.files.extend(state.map(|file| {
            let folder = format!("{folder}/{place}{}", below(config, file));
            let old = file_name(&file.path);
            // The same state file may lie in several places; none may overwrite another.
            let used = states.entry(folder.to_lowercase()).or_default();
            let name = used.file(old);
            PlannedFile {
                source: file.path.clone(),
                target: format!("{folder}/{name}"),
                role: Some(file.role),
                renamed: name != old,
            }
        }));
        for chain in attached.iter().filter_map(|disk| disk.chain.as_ref()) {
            chain.layers.iter().for_each(|layer| disks.add(layer));
        }
    }
    // Only now, when every disk that is there has its name.
    for (_, config, _, attached) in configs {
        let rewrite = match windows {
            Some(windows) => moved(attached, &mut disks, windows),
            None => renamed(attached, &disks, &mut plan.elsewhere),
        };
        if rewrite != Rewrite::default() {
            plan.rewrites.insert(config.clone(), rewrite);
        }
    }
    for source in disks.order {
        let Some(name) = disks.names.get(&source) else {
            continue;
        };
        let target = format!("{folder}/{DISKS}/{name}");
        let renamed = name != file_name(&source);
        plan.files.push(PlannedFile {
            source,
            target,
            role: None,
            renamed,
        });
    }
    plan
}

/// The folder of a state file below that of its configuration: the same, or one of its id.
fn below(config: &str, file: &OwnedFile) -> String {
    match file.role {
        Role::Memory | Role::DeviceState => {
            let stem = file_name(config)
                .rsplit_once('.')
                .map_or("", |(stem, _)| stem);
            format!("/{}", safe_name(stem, NAME_MAX))
        }
        _ => String::new(),
    }
}

#[derive(Default)]
struct DiskNames {
    used: Names,
    names: BTreeMap<String, String>,
    order: Vec<String>,
    /// Names of disks that are not there, by their configured paths.
    absent: BTreeMap<String, String>,
}

impl DiskNames {
    fn add(&mut self, source: &str) {
        if !self.names.contains_key(source) {
            let name = self.used.file(file_name(source));
            self.names.insert(source.to_owned(), name);
            self.order.push(source.to_owned());
        }
    }

    fn of(&self, disk: &AttachedDisk) -> Option<&String> {
        self.names.get(disk.file.path()?)
    }

    fn absent(&mut self, configured: &str) -> String {
        let (_, name) = split(configured);
        let new = || self.used.file(name);
        let known = self.absent.entry(configured.to_lowercase());
        known.or_insert_with(new).clone()
    }
}

/// Every disk in the new place, and the folders with it.
fn moved(attached: &[AttachedDisk], disks: &mut DiskNames, windows: &WindowsFolder) -> Rewrite {
    let mut rewrite = Rewrite {
        media: Vec::new(),
        data_root: Some(windows.to_string()),
        checkpoint_root: Some(windows.to_string()),
    };
    for disk in attached {
        let name = match disks.of(disk) {
            Some(name) => name.clone(),
            None => disks.absent(&disk.configured),
        };
        let new = windows.join(&format!(r"{DISKS}\{name}"));
        change(&mut rewrite, &disk.configured, new);
    }
    rewrite
}

/// Disks with another name under it, where they were; `elsewhere` gets the places of all.
fn renamed(
    attached: &[AttachedDisk],
    disks: &DiskNames,
    elsewhere: &mut BTreeSet<String>,
) -> Rewrite {
    let mut rewrite = Rewrite::default();
    for disk in attached {
        let (way, old) = split(&disk.configured);
        let mut now = disk.configured.clone();
        // The file may be spelled differently from the configuration.
        if let Some(name) = disks.of(disk)
            && old.to_lowercase() != name.to_lowercase()
        {
            now = format!("{way}{name}");
            change(&mut rewrite, &disk.configured, now.clone());
        }
        if !way.is_empty() {
            elsewhere.insert(now);
        }
    }
    rewrite
}

fn change(rewrite: &mut Rewrite, old: &str, new: String) {
    if new != old && !rewrite.media.iter().any(|(known, _)| known == old) {
        rewrite.media.push((old.to_owned(), new));
    }
}

/// The folder of a Windows path, with its separator, and the name.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind(['\\', '/']).map_or(0, |at| at + 1))
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
