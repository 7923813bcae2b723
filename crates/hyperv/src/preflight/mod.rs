//! What a backup of a VM can be, before anything is touched, and why it cannot be more.
//!
//! Pure functions over an [inventory](crate::inventory). They predict: only a checkpoint that was
//! taken tells how consistent it is, and only a reference point that was made tells which disks
//! are tracked. So a prediction is never better than what the inventory supports: what the host
//! does not tell counts as not being so, and is named.

mod conditions;
mod consistency;
mod disks;
mod finding;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod tracking;

use serde::{Deserialize, Serialize};

pub use conditions::{Condition, Met, conditions};
pub use consistency::{Level, Predicted};
pub use finding::{Finding, Weight};
pub use tracking::{DiskTracking, Tracking, Verdict};

use crate::inventory::{CheckpointKind, Health, Host, Machine, Parent, PowerState};

/// What a backup of a VM can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// How consistent it will be.
    pub consistency: Predicted,
    /// Whether only changes need to be read.
    pub tracking: Tracking,
    /// Everything that matters, those of consistency and tracking among them.
    pub findings: Vec<Finding>,
}

/// How a VM is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only what changed, once there is something to compare with.
    Cbt,
    /// Everything, each time.
    Standard,
}

impl Preflight {
    /// The most that any finding matters.
    pub fn weight(&self) -> Option<Weight> {
        self.findings.iter().map(Finding::weight).max()
    }

    /// The findings that keep a backup from being started now.
    pub fn obstacles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.weight() >= Weight::Wait)
    }

    /// The best mode that is possible, if any is: waiting may be needed first.
    pub fn best_mode(&self) -> Option<Mode> {
        if self.weight() == Some(Weight::Blocks) {
            return None;
        }
        Some(match self.tracking.verdict {
            Verdict::Possible | Verdict::Uncertain => Mode::Cbt,
            Verdict::Impossible => Mode::Standard,
        })
    }
}

/// Checkpoints from which on Microsoft calls a chain excessive.
const MANY_CHECKPOINTS: usize = 50;

/// Predicts what a backup of a VM can be.
pub fn check(machine: &Machine, host: &Host) -> Preflight {
    let consistency = consistency::predict(machine);
    let tracking = tracking::predict(machine, host);
    let mut findings = Vec::new();
    add(&mut findings, disks::findings(machine));
    add(&mut findings, state(machine));
    add(&mut findings, checkpoints(machine));
    add(&mut findings, consistency.because.iter().cloned());
    add(&mut findings, tracking.gates());
    // The heaviest first, since it decides.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
    Preflight {
        consistency,
        tracking,
        findings,
    }
}

fn add(findings: &mut Vec<Finding>, more: impl IntoIterator<Item = Finding>) {
    for finding in more {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

/// What stands in the way for a time, or needs care.
fn state(machine: &Machine) -> Vec<Finding> {
    let mut found = Vec::new();
    let state = machine.state;
    if !matches!(
        state,
        PowerState::Running | PowerState::Off | PowerState::Saved
    ) {
        found.push(Finding::State { state });
    }
    let health = machine.health;
    if matches!(
        health,
        Health::MajorFailure | Health::CriticalFailure | Health::Other(_)
    ) {
        found.push(Finding::Unwell { health });
    }
    if let Some(operation) = machine.operation {
        found.push(Finding::Busy { operation });
    }
    for relationship in &machine.replication.relationships {
        if let Some(state) = relationship.state.filter(|_| relationship.is_busy()) {
            found.push(Finding::ReplicationBusy { state });
        }
    }
    if let Some(role) = &machine.cluster {
        let owner = role.owner.clone();
        found.push(Finding::Clustered { owner });
    }
    found
}

fn checkpoints(machine: &Machine) -> Vec<Finding> {
    let mut found = Vec::new();
    if machine.config().checkpoints.user_type == Some(2) {
        found.push(Finding::CheckpointsDisabled);
    }
    for checkpoint in &machine.checkpoints {
        let name = checkpoint.settings.config.name.clone();
        match checkpoint.kind {
            CheckpointKind::Recovery => found.push(Finding::RecoveryCheckpoint {
                name,
                instance_id: checkpoint.settings.instance_id.clone(),
                created: checkpoint.settings.config.created,
            }),
            CheckpointKind::Missing => found.push(Finding::MissingCheckpoint { name }),
            _ => {}
        }
    }
    let mut parents = machine.checkpoints.iter().map(|c| c.parent);
    if machine.parent == Parent::Unknown || parents.any(|p| p == Parent::Unknown) {
        found.push(Finding::CheckpointOrderUnknown);
    }
    let users = machine.checkpoints.iter();
    let count = users.filter(|c| c.kind == CheckpointKind::User).count();
    if count >= MANY_CHECKPOINTS {
        found.push(Finding::ManyCheckpoints { count });
    }
    found
}
