//! The last restore points of VMs, and what they tell of them that no host does.

use std::collections::HashMap;

use engine::{Finding, Outcome};
use hyperv::inventory::Inventory;
use uuid::Uuid;
use vault::Vault;

use crate::failure::Result;
use crate::{open, text};

/// Restore points by VM, as far as the vault's can be read.
#[derive(Default)]
pub(super) struct Last {
    points: HashMap<Uuid, LastPoint>,
    /// The dynamic disks of guests that their last points have seen.
    dynamic: HashMap<Uuid, Vec<String>>,
    /// Why some cannot: one of those may be the last.
    pub(super) findings: Vec<Finding>,
}

impl Last {
    /// The last one of a VM.
    pub(super) fn of(&self, vm: Uuid) -> Option<LastPoint> {
        self.points.get(&vm).copied()
    }

    /// Notes of each VM what its last point has seen and its host does not know.
    pub(super) fn note(&self, inventory: &mut Inventory) {
        for machine in &mut inventory.machines {
            let seen = self.dynamic.get(&machine.id).cloned();
            machine.guest.dynamic_disks = seen.unwrap_or_default();
        }
    }
}

/// The last restore point of a VM.
#[derive(Clone, Copy)]
pub(super) struct LastPoint {
    rank: u64,
    pub(super) taken: u64,
    pub(super) outcome: Outcome,
    /// When the last one was taken that all that was asked for is in.
    pub(super) whole: Option<u64>,
}

impl LastPoint {
    /// As text: a point that lacks something is no sign that the VM is safe.
    pub(super) fn text(self) -> String {
        let time = |time| text::rfc3339(time).unwrap_or_default();
        let taken = time(self.taken);
        if is_whole(self.outcome) {
            return taken;
        }
        let outcome = self.outcome;
        match self.whole {
            Some(whole) => format!("{taken} ({outcome}; whole: {})", time(whole)),
            None => format!("{taken} ({outcome})"),
        }
    }
}

/// Whether nothing that was asked for is missing.
fn is_whole(outcome: Outcome) -> bool {
    outcome <= Outcome::Warning
}

/// The last restore points of each VM of a vault.
pub(super) fn last_points(vault: &Vault, location: &str) -> Result<Last> {
    let mut last = Last::default();
    let listed =
        engine::list::points(vault).map_err(|error| open::vault_failure(error, location))?;
    for point in &listed.points {
        let whole = is_whole(point.outcome).then_some(point.taken);
        let this = LastPoint {
            rank: point.rank,
            taken: point.taken,
            outcome: point.outcome,
            whole,
        };
        let known = last.points.entry(point.vm_id).or_insert(this);
        let whole = known.whole.max(whole);
        if this.rank >= known.rank {
            *known = this;
            last.dynamic.insert(point.vm_id, point.dynamic_disks());
        }
        known.whole = whole;
    }
    last.findings = listed.findings;
    Ok(last)
}
