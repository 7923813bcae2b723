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

use std::collections::BTreeMap;

use crate::layout::{AttachedDisk, Machine, OwnedFile, Role};
use crate::names::{NAME_MAX, Names, safe_name};
use crate::rewrite::Rewrite;

/// An export of one VM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every file: its path in the listing, and its path relative to the export's parent.
    pub files: Vec<PlannedFile>,
    /// Configurations whose paths must change, by their paths in the listing. Those that are not
    /// here are copied byte for byte.
    pub rewrites: BTreeMap<String, Rewrite>,
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
/// `folder` is the VM's folder, from [`Names::folder`]. `windows_root` is the Windows folder that
/// the export's parent will be, if that is known: configurations then name their disks by the
/// paths to be, so that an import on the host that the VM came from cannot take the original's
/// disks for the restored ones. Otherwise only the names of renamed disks change, since an import finds disks in
/// `Virtual Hard Disks` by name.
pub fn plan(machine: &Machine, folder: &str, windows_root: Option<&str>) -> Plan {
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
    for (place, config, files, attached) in std::iter::once(own).chain(checkpoints) {
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
        let rewrite = rewrite(attached, &disks, folder, windows_root);
        if rewrite != Rewrite::default() {
            plan.rewrites.insert(config.clone(), rewrite);
        }
    }
    for source in disks.order {
        let Some(name) = disks.names.get(&source) else {
            continue;
        };
        let target = format!("{folder}/Virtual Hard Disks/{name}");
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
}

impl DiskNames {
    fn add(&mut self, source: &str) {
        if !self.names.contains_key(source) {
            let name = self.used.file(file_name(source));
            self.names.insert(source.to_owned(), name);
            self.order.push(source.to_owned());
        }
    }
}

fn rewrite(
    attached: &[AttachedDisk],
    disks: &DiskNames,
    folder: &str,
    windows_root: Option<&str>,
) -> Rewrite {
    let root = windows_root.map(|root| format!(r"{}\{folder}", root.trim_end_matches(['\\', '/'])));
    let mut media = Vec::new();
    for disk in attached {
        let Some(name) = disk.file.path().and_then(|path| disks.names.get(path)) else {
            continue;
        };
        let new = match &root {
            Some(root) => format!(r"{root}\Virtual Hard Disks\{name}"),
            None => {
                let end = disk.configured.rfind(['\\', '/']).map_or(0, |at| at + 1);
                let (way, old) = disk.configured.split_at(end);
                // The file may be spelled differently from the configuration.
                if old.to_lowercase() == name.to_lowercase() {
                    continue;
                }
                format!("{way}{name}")
            }
        };
        if new != disk.configured && !media.iter().any(|(old, _)| *old == disk.configured) {
            media.push((disk.configured.clone(), new));
        }
    }
    Rewrite {
        media,
        data_root: root.clone(),
        checkpoint_root: root,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
