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
use crate::rewrite::Rewrite;

/// Longest folder name that is made of a VM's name, in UTF-16 units: paths below it should stay
/// within the 260 that older tools can open.
const FOLDER_UNITS: usize = 100;
/// Longest name that Windows' file systems hold, in UTF-16 units.
const NAME_UNITS: usize = 255;

/// Names that were given, so that none is given twice. Case does not make names different.
#[derive(Clone, Debug, Default)]
pub struct Names(std::collections::BTreeSet<String>);

impl Names {
    /// A folder name for a VM: its name made safe, with a number if another VM has it.
    pub fn folder(&mut self, vm_name: &str) -> String {
        self.unique(&safe_name(vm_name, FOLDER_UNITS))
    }

    fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut number = 2u64;
        while !self.0.insert(unique.to_lowercase()) {
            let (stem, ending) = split(name);
            let tail = format!(" ({number}){ending}");
            unique = format!(
                "{}{tail}",
                cut(stem, NAME_UNITS.saturating_sub(units(&tail)))
            );
            number += 1;
        }
        unique
    }
}

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
/// paths to be. Otherwise only the names of renamed disks change, since an import finds disks in
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
            let name = used.unique(&safe_name(old, NAME_UNITS));
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
            format!("/{}", safe_name(stem, NAME_UNITS))
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
            let name = self.used.unique(&safe_name(file_name(source), NAME_UNITS));
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

/// A name that Windows can hold: no reserved characters or device names, no dot or space at the
/// end, and at most `max` UTF-16 units, the ending kept.
pub fn safe_name(name: &str, max: usize) -> String {
    let bad = |c: char| c.is_control() || r#"<>:"/\|?*"#.contains(c);
    let name: String = name.chars().map(|c| if bad(c) { '_' } else { c }).collect();
    let (stem, ending) = split(&name);
    let ending = cut(ending, max / 2);
    let stem = cut(stem, max.saturating_sub(units(ending)));
    let mut safe = format!("{stem}{ending}");
    safe.truncate(safe.trim_end_matches(['.', ' ']).len());
    if safe.is_empty() || is_device(&safe) {
        let rest = cut(&safe, max.saturating_sub(1)).to_owned();
        safe = format!("_{rest}");
    }
    safe
}

/// Names that mean devices, whatever follows their first dot.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let digit = stem.strip_prefix(prefix).and_then(|rest| {
            let mut chars = rest.chars();
            chars.next().filter(|_| chars.next().is_none())
        });
        digit.is_some_and(|c| c.is_ascii_digit() || "¹²³".contains(c))
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || numbered("COM")
        || numbered("LPT")
}

/// A name and its ending, dot included; names of VMs have none that counts.
fn split(name: &str) -> (&str, &str) {
    let known = ["vhdx", "avhdx", "vhd", "avhd", "vhds", "vhdpmem"];
    match name.rfind('.') {
        Some(at) if known.contains(&name[at + 1..].to_ascii_lowercase().as_str()) => {
            name.split_at(at)
        }
        _ => (name, ""),
    }
}

/// The longest start of a text that takes at most `max` UTF-16 units.
fn cut(text: &str, max: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.len_utf16();
        if taken > max {
            return &text[..at];
        }
    }
    text
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
