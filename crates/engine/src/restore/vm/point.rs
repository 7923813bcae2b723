//! A restore point in the words of a restore to a host.

use std::collections::HashSet;

use hyperv::import::{Point, PointCheckpoint, PointDisk};
use hyperv::inventory::Host;
use uuid::Uuid;
use vmconfig::layout::{Options, inventory};
use vmconfig::model::{Location, VmConfig};
use vmconfig::names::Names;

use super::VmError;
use crate::finding::{Code, Finding};
use crate::pipeline::Stop;
use crate::point::Details;
use crate::restore::as_folder::{PointFolder, graph};
use crate::restore::contents::Contents;
use crate::restore::plan::{DiskFile, DisksWanted, Holds, not_restored, plan_disks};
use crate::restore::room::Size;
use crate::restore::spots::parent_paths;
use crate::restore::{Opened, Task};
use crate::source::hyperv::HOST;
use crate::source::{Checkpoint, CheckpointParent, FileRole, Owner};

/// No host tells more of itself.
const MOST_HOST: u64 = 32 << 20;

/// What there is to restore, and what each file of its disks holds.
pub struct VmPoint {
    /// What is planned with.
    pub point: Point,
    /// What of the point no plan has.
    pub findings: Vec<Finding>,
    /// What the file of each disk holds, in the order of the disks.
    pub(super) files: Vec<DiskFile>,
}

impl VmPoint {
    /// Of a restore point; `flat` for one file a disk and no checkpoints.
    ///
    /// # Errors
    /// When it does not say what its VM was, and when its vault fails.
    pub(super) fn of(task: &Task<'_>, opened: &Opened, flat: bool) -> Result<Self, VmError> {
        let details = &opened.details;
        let config = configuration(details)?;
        let (files, places, mut findings) = files(details, flat);
        let mut disks = Vec::with_capacity(files.len());
        for (file, (location, leaf)) in files.iter().zip(places) {
            disks.push(PointDisk {
                location,
                path: path(details, file),
                bytes: bytes(task, opened, file, &files)?,
                leaf,
            });
        }
        findings.extend(details.findings.iter().filter_map(|finding| {
            let moved = finding.code == Code::ChangedDuringBackup;
            moved.then(|| finding.clone())
        }));
        let memory = has_memory(details);
        let key_protector = details
            .files
            .iter()
            .any(|f| f.owner == Owner::Vm && f.path.as_str().ends_with(".keyprotector"));
        let host = opened.file(task.vault, HOST, MOST_HOST)?;
        let host = host.and_then(|bytes| serde_json::from_slice::<Host>(&bytes).ok());
        let point = Point {
            vm: details.vm_id,
            config,
            checkpoints: in_order(&details.checkpoints, &|id| {
                details.has_memory(&Owner::Checkpoint(id))
            }),
            parent: details.current,
            disks,
            not_importable: not_importable(task, opened, flat)?,
            memory,
            key_protector,
            host: host.and_then(|host| host.name),
        };
        Ok(Self {
            point,
            findings,
            files,
        })
    }
}

fn configuration(details: &Details) -> Result<VmConfig, VmError> {
    let config = details
        .config
        .as_ref()
        .ok_or_else(|| VmError::NoConfiguration(String::new()))?;
    let mut config: VmConfig = serde_json::from_value(config.clone())
        .map_err(|error| VmError::NoConfiguration(format!(": {error}")))?;
    config.name.clone_from(&details.vm_name);
    Ok(config)
}

/// Where a disk is attached, and whether the VM writes to it.
type PlaceOf = (Location, bool);

/// Every file of disks that the VM or a checkpoint has attached, with names that a Windows host can
/// hold; what nobody has is told and left.
fn files(details: &Details, flat: bool) -> (Vec<DiskFile>, Vec<PlaceOf>, Vec<Finding>) {
    let wanted = DisksWanted {
        flatten: flat,
        ..DisksWanted::default()
    };
    let plan = plan_disks(details, &wanted);
    let mut names = Names::default();
    // From the place in the plan to that among the files that are taken.
    let mut taken: Vec<Option<usize>> = Vec::with_capacity(plan.files.len());
    let (mut files, mut places, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for file in &plan.files {
        let (layer, holds) = match file.holds {
            Holds::Chain { top } => (top, Holds::Chain { top }),
            Holds::Layer { layer, parent } => {
                let parent = parent.and_then(|parent| taken.get(parent).copied().flatten());
                (layer, Holds::Layer { layer, parent })
            }
        };
        match place(details, layer) {
            Some(place) => {
                taken.push(Some(files.len()));
                places.push(place);
                files.push(DiskFile {
                    name: names.file(&file.name),
                    holds,
                    format: file.format,
                });
            }
            None => {
                taken.push(None);
                left.extend(details.layers.get(layer).map(|layer| layer.path.as_str()));
            }
        }
    }
    let hint = "`hyperkeep restore disks` restores all of them";
    let mut findings = plan.findings;
    findings.extend(not_restored(details, &left, hint));
    (files, places, findings)
}

/// Where a layer is attached, or else a layer that stands on the same base: all files of a disk go to
/// one folder.
fn place(details: &Details, layer: usize) -> Option<PlaceOf> {
    let location = |slot: &str| slot.parse::<Location>().ok();
    let own = details.uses.iter();
    let mut own = own.filter(|u| u.owner == Owner::Vm && u.layer == layer);
    if let Some(location) = own.find_map(|u| location(&u.slot)) {
        return Some((location, true));
    }
    let base = |layer| details.chain(layer).last().copied();
    let mine = base(layer)?;
    let alike = |vm: bool| {
        let uses = details.uses.iter();
        let mut uses = uses.filter(|u| (u.owner == Owner::Vm) == vm && base(u.layer) == Some(mine));
        uses.find_map(|u| location(&u.slot))
    };
    let found = alike(true).or_else(|| alike(false))?;
    Some((found, false))
}

/// How long a file will be. A host may not keep holes.
fn bytes(
    task: &Task<'_>,
    opened: &Opened,
    file: &DiskFile,
    files: &[DiskFile],
) -> Result<u64, VmError> {
    let parent = match file.holds {
        Holds::Layer { parent, .. } => parent.and_then(|parent| files.get(parent)),
        Holds::Chain { .. } => None,
    };
    let parent = parent.map(|parent| parent_paths(&parent.name, None));
    let failed = |why: String| VmError::Disk {
        path: file.name.clone(),
        why,
    };
    let contents = Contents::open(task, opened, file, parent, None);
    let contents = contents.map_err(|stop| failed(stop.to_string()))?;
    match Size::of(&contents, task.cancel) {
        Ok(size) => Ok(size.len),
        Err(Stop::Cancelled) => Err(VmError::Cancelled),
        Err(stop) => Err(failed(stop.to_string())),
    }
}

/// The path that a file had, by the name that it will have: no other has that.
fn path(details: &Details, file: &DiskFile) -> String {
    let layer = match file.holds {
        Holds::Layer { layer, .. } => layer,
        Holds::Chain { top } => top,
    };
    let origin = details.layers.get(layer).map_or("", |layer| &layer.origin);
    let end = origin.rfind(['\\', '/']).map_or(0, |at| at + 1);
    let folder = origin.get(..end).unwrap_or_default();
    format!("{folder}{}", file.name)
}

/// Parents before children. What descends from itself descends from nothing that is known.
fn in_order(
    checkpoints: &[Checkpoint],
    memory: &dyn Fn(Uuid) -> Option<bool>,
) -> Vec<PointCheckpoint> {
    let all: HashSet<Uuid> = checkpoints.iter().map(|c| c.id).collect();
    let parent = |checkpoint: &Checkpoint| match checkpoint.parent {
        CheckpointParent::After(id) => Some(id).filter(|id| all.contains(id)),
        CheckpointParent::Root | CheckpointParent::Unknown => None,
    };
    let point = |checkpoint: &Checkpoint, parent| PointCheckpoint {
        id: checkpoint.id,
        name: checkpoint.name.clone(),
        parent,
        first: checkpoint.parent == CheckpointParent::Root,
        memory: memory(checkpoint.id),
    };
    let mut told = HashSet::new();
    let mut out = Vec::with_capacity(checkpoints.len());
    let mut waiting: Vec<&Checkpoint> = checkpoints.iter().collect();
    while !waiting.is_empty() {
        let known = told.clone();
        let is_ready = |c: &&Checkpoint| parent(c).is_none_or(|id| known.contains(&id));
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
        if ready.is_empty() {
            out.extend(rest.into_iter().map(|checkpoint| point(checkpoint, None)));
            break;
        }
        for checkpoint in ready {
            told.insert(checkpoint.id);
            out.push(point(checkpoint, parent(checkpoint)));
        }
        waiting = rest;
    }
    out
}

/// Why no host can import its configuration, as far as the point tells.
fn not_importable(task: &Task<'_>, opened: &Opened, flat: bool) -> Result<Option<String>, VmError> {
    let folder = PointFolder::open(task, opened).map_err(|finding| VmError::Disk {
        path: finding.object,
        why: finding.message,
    })?;
    let found = inventory(&folder, &graph(opened), &Options::default());
    let there = match found.machines.as_slice() {
        [machine] => machine.checkpoints.len(),
        [] => {
            let why = "the restore point has no configuration file of it that can be understood";
            return Ok(Some(why.to_owned()));
        }
        many => {
            return Ok(Some(format!(
                "the restore point has {} configuration files, and one is needed",
                many.len()
            )));
        }
    };
    let wanted = opened.details.checkpoints.len();
    let lacks = !flat && there < wanted;
    Ok(lacks.then(|| format!("the configuration files of {} of its {wanted} checkpoints are not in the restore point; flat it needs none", wanted - there)))
}

/// Whether a point has what its VM had in memory.
pub(super) fn has_memory(details: &Details) -> bool {
    details.has_memory(&Owner::Vm).unwrap_or_else(|| {
        let mut files = details.files.iter();
        files.any(|f| f.owner == Owner::Vm && f.role == FileRole::SavedMemory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(id: u128, parent: CheckpointParent) -> Checkpoint {
        Checkpoint {
            id: Uuid::from_u128(id),
            name: id.to_string(),
            time: None,
            parent,
            config: None,
        }
    }

    fn order(checkpoints: &[Checkpoint]) -> Vec<(u128, Option<u128>)> {
        let told = in_order(checkpoints, &|_| None);
        let told = told.iter();
        told.map(|c| (c.id.as_u128(), c.parent.map(|id| id.as_u128())))
            .collect()
    }

    #[test]
    fn checkpoints_are_told_parents_first_whatever_the_order() {
        let after = |id| CheckpointParent::After(Uuid::from_u128(id));
        let tree = [
            checkpoint(3, after(2)),
            checkpoint(2, after(1)),
            checkpoint(1, CheckpointParent::Root),
            checkpoint(5, after(9)),
            checkpoint(4, CheckpointParent::Unknown),
        ];
        assert_eq!(
            order(&tree),
            [(1, None), (5, None), (4, None), (2, Some(1)), (3, Some(2))]
        );
        let ring = [checkpoint(1, after(2)), checkpoint(2, after(1))];
        assert_eq!(order(&ring), [(1, None), (2, None)]);
    }
}
