//! The plan: everything put together.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{DriveKind, Location};

use super::adapters::{self, AdapterPlan};
use super::checks;
use super::defined;
use super::disks::{self, DiskPlan};
use super::finding::{Finding, Weight};
use super::request::{Identity, Place, Request, Tree, WantedWay};
use super::saved;
use super::steps::{Step, aside, steps, undone};
use super::{Point, Target, versions};
use crate::files::{BadHostPath, HostPath};
use crate::ids::fold;

/// Folders of one name that are looked at.
const MOST_FOLDERS: u32 = 1000;
/// The version of the form that is written.
const VERSION: u32 = 1;

/// What will be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this form.
    pub version: u32,
    /// The VM that was backed up.
    pub vm: Uuid,
    /// The id that it will have; `None` for one of the host's choice.
    pub id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: String,
    /// The folder of its checkpoints, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_folder: Option<String>,
    /// The VM that it replaces.
    pub replaces: Option<Uuid>,
    /// The folder of that one's configuration when this was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_folder: Option<String>,
    /// How it gets there.
    pub way: Way,
    /// Where its disks go.
    pub disks: Vec<DiskPlan>,
    /// How it is connected.
    pub adapters: Vec<AdapterPlan>,
    /// Whether its saved memory goes with it.
    pub saved_state: bool,
    /// Whether that of its checkpoints goes with them.
    #[serde(default)]
    pub checkpoint_memory: bool,
    /// How many checkpoints it will have.
    pub checkpoints: usize,
    /// What is done, in this order; nothing when something blocks.
    pub steps: Vec<Step>,
    /// Everything worth telling, the heaviest first.
    pub findings: Vec<Finding>,
}

/// How a VM gets to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By its configuration.
    Import,
    /// Made anew.
    Define,
}

/// What steps are made of.
pub(super) struct Parts {
    pub(super) way: Way,
    pub(super) name: String,
    pub(super) folder: String,
    pub(super) disks: Vec<DiskPlan>,
    pub(super) adapters: Vec<AdapterPlan>,
    pub(super) taken_out: Vec<Location>,
    pub(super) drops_state: bool,
    pub(super) drops_checkpoint_memory: bool,
    pub(super) checkpoints: bool,
}

impl Plan {
    /// Whether it can be carried out.
    pub fn is_possible(&self) -> bool {
        self.blocking().next().is_none()
    }

    /// Whether a file is one of those that are written as its disks.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.disks.iter().any(|disk| fold(&disk.to) == fold(path))
    }

    /// What keeps it from that.
    pub fn blocking(&self) -> impl Iterator<Item = &Finding> {
        let all = self.findings.iter();
        all.filter(|finding| finding.weight() == Weight::Blocks)
    }
}

/// Plans a restore to a host.
pub fn plan(point: &Point, request: &Request, target: &Target) -> Plan {
    let mut findings = Vec::new();
    let name = request
        .name
        .clone()
        .unwrap_or_else(|| point.config.name.clone());
    let replaced = checks::place(point, request, target, &name, &mut findings);
    let way = way(point, request, target, &mut findings);
    let whole = request.tree == Tree::Whole && way == Way::Import;
    let count = point.checkpoints.len();
    if !whole && count > 0 {
        findings.push(Finding::TreeFlattened { count });
    }
    let folder = folder(request, target, &name, &mut findings);
    let disks = match &folder {
        Some(folder) => disks::plan(point, request, target, folder, &mut findings),
        None => Vec::new(),
    };
    if let Some(path) = &request.checkpoint_folder
        && let Err(error) = HostPath::parse(path)
    {
        let (path, why) = (path.clone(), error.to_string());
        findings.push(Finding::BadPath { path, why });
    }
    let adapters = adapters::plan(point, request, target, &mut findings);
    let kept = saved::plan(point, request, target, (way, whole), &mut findings);
    checks::devices(point, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
    let parts = Parts {
        way,
        name,
        folder: folder.map(|folder| folder.to_string()).unwrap_or_default(),
        disks,
        adapters,
        taken_out: taken_out(point),
        drops_state: point.memory && !kept.vm && way == Way::Import,
        drops_checkpoint_memory: kept.drops_checkpoints,
        checkpoints: whole && count > 0,
    };
    let blocked = findings.iter().any(|f| f.weight() == Weight::Blocks);
    let steps = match blocked {
        true => Vec::new(),
        false => steps(point, request, replaced, &parts),
    };
    Plan {
        version: VERSION,
        vm: point.vm,
        id: (request.identity == Identity::Keep && way == Way::Import).then_some(point.vm),
        name: parts.name,
        folder: parts.folder,
        checkpoint_folder: request.checkpoint_folder.clone(),
        replaces: replaced.map(|machine| machine.id),
        replaced_folder: replaced.and_then(|old| old.config().data_roots.configuration.clone()),
        way,
        disks: parts.disks,
        adapters: parts.adapters,
        saved_state: kept.vm,
        checkpoint_memory: whole && !kept.drops_checkpoints,
        checkpoints: if whole { count } else { 0 },
        steps,
        findings,
    }
}

/// By its configuration, unless that cannot be and something else was not forbidden.
fn way(point: &Point, request: &Request, target: &Target, findings: &mut Vec<Finding>) -> Way {
    let mut against = Vec::new();
    if let Some(why) = &point.not_importable {
        let why = why.clone();
        against.push(Finding::NotImportable { why });
    }
    let os = target.inventory.host.os.as_ref();
    let host = os.and_then(|os| versions(os.version.as_deref()?));
    match (point.config.version, host) {
        (Some(version), Some(host)) if version < host.0 || version > host.1 => {
            against.push(Finding::Version { version, host });
        }
        (Some(_), Some(_)) => {}
        // The host itself refuses what it cannot have, before anything is lost.
        _ => findings.push(Finding::VersionUnknown),
    }
    // Nothing can be made anew with an id that it shall keep.
    let may_define = request.identity == Identity::New && request.place == Place::Beside;
    match request.way {
        WantedWay::Import => {
            findings.extend(against);
            Way::Import
        }
        WantedWay::Auto if against.is_empty() || !may_define => {
            findings.extend(against);
            Way::Import
        }
        WantedWay::Define if !may_define => {
            let why = "what is made anew has a new id, and stands beside what is there";
            findings.push(Finding::NotImportable {
                why: why.to_owned(),
            });
            Way::Define
        }
        WantedWay::Auto | WantedWay::Define => {
            let version = host.map(|(_, most)| most);
            let lost = defined::lost(&point.config, version);
            findings.push(Finding::Defined { lost });
            findings.extend(defined::unplaced(point));
            Way::Define
        }
    }
}

/// The VM's folder on the host.
fn folder(
    request: &Request,
    target: &Target,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Option<HostPath> {
    let parsed = match &request.folder {
        Some(folder) => {
            let own = HostPath::parse(folder).and_then(|own| {
                let taken = taken(&own, target)?;
                findings.extend(taken.map(|(path, name)| Finding::FolderInUse { path, name }));
                Ok(own)
            });
            own.map_err(|error| (folder.clone(), error))
        }
        None => {
            let Some(root) = target.inventory.host.default_paths.machines.clone() else {
                findings.push(Finding::NoFolder);
                return None;
            };
            let name = vmconfig::names::safe_name(name, vmconfig::names::NAME_MAX);
            let own = match request.place {
                Place::Beside => name,
                Place::InPlace => format!("{name} (restored)"),
            };
            let path = HostPath::parse(&root).and_then(|root| free(&root, &own, target));
            path.map_err(|error| (root, error))
        }
    };
    match parsed {
        Ok(path) => Some(path),
        Err((path, error)) => {
            let why = error.to_string();
            findings.push(Finding::BadPath { path, why });
            None
        }
    }
}

/// A folder below another one in which no VM has anything: its files would be among theirs.
fn free(root: &HostPath, name: &str, target: &Target) -> Result<HostPath, BadHostPath> {
    let mut path = root.join(name)?;
    for number in 2..MOST_FOLDERS {
        if taken(&path, target)?.is_none() {
            break;
        }
        path = root.join(&format!("{name} ({number})"))?;
    }
    Ok(path)
}

/// Who has something in a folder, or in those beside it in which VMs are put aside: one that was
/// replaced before and has come back lives there.
fn taken(folder: &HostPath, target: &Target) -> Result<Option<(String, String)>, BadHostPath> {
    let own = folder.to_string();
    for path in [aside(&own), undone(&own), own] {
        if let Some(name) = target.inhabitant(&HostPath::parse(&path)?) {
            let name = name.to_owned();
            return Ok(Some((path, name)));
        }
    }
    Ok(None)
}

/// Places whose media do not go with the VM.
fn taken_out(point: &Point) -> Vec<Location> {
    let kinds = [DriveKind::PassThrough, DriveKind::Iso, DriveKind::Floppy];
    let drives = point.config.drives();
    let out = drives.filter(|(_, drive)| kinds.contains(&drive.kind) && drive.path.is_some());
    out.map(|(location, _)| location).collect()
}
