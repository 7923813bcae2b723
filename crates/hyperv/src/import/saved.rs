//! Saved memory of a VM that is restored, and of its checkpoints: whether it goes with them.
//!
//! Memory fits processors with the features of those that it was saved on, and no host tells them. A VM
//! whose memory does not fit cannot be started before somebody drops it, so on another host it is
//! dropped unless somebody wants it kept. That of a checkpoint is in nobody's way until the VM goes
//! back to that checkpoint, and is kept unless it shall be dropped; what then may come is told.

use cim::Instance;

use super::error::ImportError;
use super::finding::Finding;
use super::plan::Way;
use super::planned::PlannedVm;
use super::request::{Request, SavedState};
use super::{Point, Target};
use crate::ids::{self, same_host};

/// What becomes of it.
pub(super) struct Kept {
    /// Whether the VM's goes with it.
    pub(super) vm: bool,
    /// Whether that of checkpoints is dropped.
    pub(super) drops_checkpoints: bool,
}

/// Decides it. `whole` if its checkpoints go with it.
pub(super) fn plan(
    point: &Point,
    request: &Request,
    target: &Target,
    (way, whole): (Way, bool),
    findings: &mut Vec<Finding>,
) -> Kept {
    // What nobody can tell may be there.
    let having = point.checkpoints.iter().filter(|c| c.memory != Some(false));
    let count = if whole { having.count() } else { 0 };
    let name = target.inventory.host.name.as_deref();
    let same = point.host.as_deref().zip(name);
    let same = same.is_some_and(|(one, other)| same_host(one, other));
    let discards = request.saved_state == SavedState::Discard;
    match (count, discards) {
        (0, _) => {}
        (count, true) => findings.push(Finding::CheckpointMemoryDropped { count }),
        (count, false) if !same => findings.push(Finding::CheckpointMemoryMayNotFit { count }),
        (_, false) => {}
    }
    let nothing = !point.memory && count == 0;
    if nothing && request.saved_state == SavedState::Keep {
        findings.push(Finding::NoSavedState);
    }
    Kept {
        vm: point.memory && own(request.saved_state, same, way, findings),
        drops_checkpoints: discards && count > 0,
    }
}

/// Whether that of the VM itself goes with it.
fn own(wanted: SavedState, same: bool, way: Way, findings: &mut Vec<Finding>) -> bool {
    let dropped = |why: &str| Finding::SavedStateDropped {
        why: why.to_owned(),
    };
    if way == Way::Define {
        findings.push(dropped("a VM that is made anew has none"));
        return false;
    }
    match wanted {
        SavedState::Discard => findings.push(dropped("so it was asked for")),
        SavedState::Auto if !same => findings.push(dropped(
            "it is of another host, and fits processors with the same features alone",
        )),
        SavedState::Auto => return true,
        SavedState::Keep => {
            if !same {
                findings.push(Finding::SavedStateMayNotFit);
            }
            return true;
        }
    }
    false
}

impl PlannedVm {
    /// Drops the saved memory of its checkpoints.
    ///
    /// # Errors
    /// When the host does not.
    pub(super) fn drop_checkpoint_memory(&self) -> Result<(), ImportError> {
        for settings in self.checkpoints()? {
            let saved: Option<bool> = settings.get_opt("IsSaved").ok().flatten();
            let id: Option<String> = settings.get_opt("InstanceID").ok().flatten();
            if saved == Some(false) {
                continue;
            }
            let lacks = || ImportError::Lacks("id of a checkpoint of what was made".to_owned());
            let path = ids::settings_path(&id.ok_or_else(lacks)?);
            let inputs = Instance::default().with("SnapshotSettingData", path);
            self.call_snapshots("ClearSnapshotState", &inputs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
