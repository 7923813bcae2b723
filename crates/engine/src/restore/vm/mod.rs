//! A VM out of a vault and onto a host.
//!
//! ```text
//! restore point ─► VmPoint ──┐
//! what is wanted ────────────┼─► hyperv::import::plan ─► VmPlan
//! what the host has ─────────┘
//! ```
//!
//! [`write`](write_vm) puts its files where the host finds them, and `HostSource::restore` has the host
//! make a VM of them; [`roll_back_vm`] changes disks where they are. What a plan says is decided
//! in [`hyperv::import`]; here a restore point is told in its words, and what it plans to write is tied to
//! what the vault holds.
//!
//! Invariants:
//!
//! - Nothing is written, and nothing asked of a host, by a plan.
//! - Each disk of a plan is one file of the point, in the same order.
//! - What was written goes again when there will be no VM, and nothing else does.
//! - What the point does not hold is never taken for there.

mod earlier;
mod in_place;
mod in_place_folder;
mod in_place_run;
mod in_place_undo;
mod point;
mod write;

use std::collections::HashMap;

use hyperv::Hint as _;
use hyperv::files::{FileError, FileProblem, HostPath};
use hyperv::import;

use crate::finding::Finding;
use crate::restore::plan::{DiskFile, Holds};
use crate::restore::{Opened, Task};

pub use earlier::written_earlier;
pub use hyperv::import::{
    Applied, Finding as PlanFinding, Found, Identity, Mac, Network, Place, Plan, Replaced, Request,
    SavedState, Step, SwitchMap, Target, Tree, Undo, Undone, Unspeakable, WantedWay, Way, Weight,
    script,
};
pub use in_place::{InPlaceDisk, InPlacePlan, plan_in_place};
pub use in_place_folder::{HereFile, here};
pub use in_place_run::{AllWritten, InPlaceReport, Reached, roll_back_vm};
pub use in_place_undo::{Confirmed, Noted, confirm_in_place, undo_in_place};
pub use point::VmPoint;
pub use write::{NotWritten, VmPlaces, WrittenVm, write_vm};

/// A restore to a host that was planned.
#[derive(Debug, Clone)]
pub struct VmPlan {
    /// What will be done.
    pub plan: Plan,
    /// What it is done with.
    pub point: import::Point,
    /// What of the point is not restored, and the like.
    pub findings: Vec<Finding>,
    /// What the file of each disk of the plan holds.
    pub(crate) files: Vec<DiskFile>,
}

/// Why a restore to a host cannot even be planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The point does not say what its VM was.
    #[error("the restore point has no configuration of a VM that can be understood{0}")]
    NoConfiguration(String),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// How large a disk will be cannot be told.
    #[error("{path}: {why}")]
    Disk {
        /// The disk in the point.
        path: String,
        /// Why.
        why: String,
    },
    /// A disk would not find the one that it stands on.
    #[error("{child} stands on {parent}, and both must be in one folder")]
    Apart {
        /// The disk.
        child: String,
        /// What it stands on.
        parent: String,
    },
    /// A folder of the host is not found here.
    #[error("{0}")]
    Place(#[from] FileError),
    /// The host has no such folder.
    #[error("{0}")]
    Path(String),
    /// Somebody asked to stop.
    #[error("stopped on request; nothing was written")]
    Cancelled,
}

impl VmError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoConfiguration(_) => {
                "`hyperkeep restore disks` restores its disks, for a VM that you make yourself"
            }
            Self::Vault(_) | Self::Disk { .. } => {
                "`hyperkeep check` shows what is wrong with the vault"
            }
            Self::Apart { .. } => "name the same folder for both, or restore with --flatten",
            Self::Place(error) => match error.problem {
                FileProblem::Unmapped => {
                    "shares are only read: mount the folder here and map it: --map 'D:\\VMs=/mnt/vms'"
                }
                _ => error.hint(),
            },
            Self::Path(_) => "name another folder: --folder",
            Self::Cancelled => "give the same command again",
        }
    }
}

/// Plans a restore to a host.
///
/// # Errors
/// When the point cannot be told as a VM. What keeps a VM from a host is in the plan.
pub fn plan_vm(
    task: &Task<'_>,
    opened: &Opened,
    request: &Request,
    target: &Target,
) -> Result<VmPlan, VmError> {
    let flat = request.tree == Tree::Flat;
    let planned = one(task, opened, request, target, flat)?;
    // Only the plan tells whether it has to be made anew, and then it has no checkpoints.
    if planned.plan.way == Way::Define && !flat {
        return one(task, opened, request, target, true);
    }
    Ok(planned)
}

fn one(
    task: &Task<'_>,
    opened: &Opened,
    request: &Request,
    target: &Target,
    flat: bool,
) -> Result<VmPlan, VmError> {
    let point = VmPoint::of(task, opened, flat)?;
    let plan = import::plan(&point.point, request, target);
    beside_parents(&plan, &point)?;
    Ok(VmPlan {
        plan,
        point: point.point,
        findings: point.findings,
        files: point.files,
    })
}

/// A disk that lies elsewhere than the one that it stands on finds it by its full path alone, which
/// is lost when both are moved.
fn beside_parents(plan: &Plan, point: &VmPoint) -> Result<(), VmError> {
    // By the path that it had, since a plan leaves out disks that it finds no place for.
    let to: HashMap<&str, &str> = plan
        .disks
        .iter()
        .map(|disk| (disk.from.as_str(), disk.to.as_str()))
        .collect();
    let folder = |path: &str| HostPath::parse(path).ok()?.parent();
    for (file, disk) in point.files.iter().zip(&point.point.disks) {
        let Holds::Layer {
            parent: Some(parent),
            ..
        } = file.holds
        else {
            continue;
        };
        let parent = point.point.disks.get(parent);
        let parent = parent.and_then(|parent| to.get(parent.path.as_str()));
        let child = to.get(disk.path.as_str());
        if let (Some(child), Some(parent)) = (child, parent)
            && folder(child) != folder(parent)
        {
            return Err(VmError::Apart {
                child: (*child).to_owned(),
                parent: (*parent).to_owned(),
            });
        }
    }
    Ok(())
}
