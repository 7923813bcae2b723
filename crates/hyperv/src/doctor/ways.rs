//! Each way of backing up, for how many VMs it is possible, and why not for the others.

use std::cmp::Reverse;
use std::fmt;
use std::mem::{Discriminant, discriminant};

use serde::{Deserialize, Serialize};

use crate::inventory::{Inventory, Machine};
use crate::plan::{NoPlan, Policy, Wanted, WantedMode, plan};
use crate::preflight::{self, Finding, Level};

/// A way of backing up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The latest state, reading only what changed.
    Cbt,
    /// The latest state, read in full.
    Standard,
    /// The whole tree of checkpoints.
    AllCheckpoints,
    /// With the guest's applications taking part.
    ApplicationConsistent,
}

/// What there is to say of a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayReport {
    /// The way.
    pub way: Way,
    /// For how many VMs it is possible, as far as can be told beforehand.
    pub possible: usize,
    /// Of how many.
    pub of: usize,
    /// Why not for the others: the most frequent first.
    pub obstacles: Vec<Obstacle>,
}

/// Why a way is not possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// What is in the way, told of one of the VMs.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The name of that VM.
    pub example: String,
    /// For how many VMs the same kind of thing is in the way.
    pub vms: usize,
}

impl Way {
    /// All of them, the most wanted first.
    pub const ALL: [Self; 4] = [
        Self::Cbt,
        Self::Standard,
        Self::AllCheckpoints,
        Self::ApplicationConsistent,
    ];

    fn policy(self) -> Policy {
        let (mode, consistency) = match self {
            Self::Cbt => (WantedMode::Cbt, Wanted::PreferApplication),
            Self::Standard => (WantedMode::Standard, Wanted::PreferApplication),
            Self::AllCheckpoints => (WantedMode::AllCheckpoints, Wanted::PreferApplication),
            Self::ApplicationConsistent => (WantedMode::Auto, Wanted::RequireApplication),
        };
        Policy {
            mode,
            consistency,
            ..Policy::default()
        }
    }

    /// Why a VM cannot be backed up in this way, if it cannot.
    fn refusal(self, machine: &Machine, inventory: &Inventory) -> Option<NoPlan> {
        match plan(machine, &inventory.host, &self.policy()) {
            // It would be tried, and the prediction is that it fails.
            Ok(plan)
                if self == Self::ApplicationConsistent && plan.expected < Level::FileSystem =>
            {
                let predicted = preflight::check(machine, &inventory.host).consistency;
                Some(NoPlan::NotConsistent(predicted.because))
            }
            Ok(_) => None,
            Err(refusal) => Some(refusal),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cbt => "latest state, changes only",
            Self::Standard => "latest state, read in full",
            Self::AllCheckpoints => "all checkpoints",
            Self::ApplicationConsistent => "application-consistent",
        })
    }
}

/// What there is to say of each way.
pub fn ways(inventory: &Inventory) -> Vec<WayReport> {
    let of = |way: Way| {
        let mut tally = Tally::default();
        let machines = inventory.machines.iter();
        let refused = machines
            .filter_map(|machine| Some((machine, way.refusal(machine, inventory)?)))
            .map(|(machine, refusal)| tally.count(machine.name(), &refusal))
            .count();
        WayReport {
            way,
            possible: inventory.machines.len() - refused,
            of: inventory.machines.len(),
            obstacles: tally.into_obstacles(),
        }
    };
    Way::ALL.into_iter().map(of).collect()
}

/// Counts obstacles by their kind.
#[derive(Default)]
struct Tally(Vec<(Option<Discriminant<Finding>>, Obstacle)>);

impl Tally {
    fn count(&mut self, vm: &str, refusal: &NoPlan) {
        // One VM counts once, however many of its disks have the same in their way.
        let mut counted = Vec::new();
        let mut once = |kind, why: String, hint: Option<&str>| {
            if counted.contains(&kind) {
                return;
            }
            counted.push(kind);
            match self.0.iter_mut().find(|(of, _)| *of == kind) {
                Some((_, obstacle)) => obstacle.vms += 1,
                None => {
                    let (hint, example) = (hint.map(str::to_owned), vm.to_owned());
                    let vms = 1;
                    let obstacle = Obstacle {
                        why,
                        hint,
                        example,
                        vms,
                    };
                    self.0.push((kind, obstacle));
                }
            }
        };
        for finding in refusal.findings() {
            once(
                Some(discriminant(finding)),
                finding.to_string(),
                finding.hint(),
            );
        }
        if refusal.findings().is_empty() {
            once(None, refusal.to_string(), Some(refusal.hint()));
        }
    }

    /// The most frequent first.
    fn into_obstacles(self) -> Vec<Obstacle> {
        let mut obstacles: Vec<Obstacle> = self.0.into_iter().map(|(_, found)| found).collect();
        obstacles.sort_by_key(|obstacle| Reverse(obstacle.vms));
        obstacles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Contact;
    use crate::preflight::tests::{host, well};

    #[test]
    fn each_way_says_for_how_many_and_why_not_for_the_others() {
        let mut old = well();
        old.settings.config.version = "5.0".parse().ok();
        old.settings.config.name = "old".to_owned();
        let mut older = old.clone();
        older.settings.config.name = "older".to_owned();
        let mut silent = well();
        silent.guest.backup_service = Some(Contact::Never);
        let inventory = Inventory {
            host: host(),
            machines: vec![well(), old, older, silent],
            ..Inventory::default()
        };
        let ways = ways(&inventory);
        let possible: Vec<(Way, usize)> = ways.iter().map(|way| (way.way, way.possible)).collect();
        let expected = [
            (Way::Cbt, 2),
            (Way::Standard, 4),
            (Way::AllCheckpoints, 4),
            (Way::ApplicationConsistent, 3),
        ];
        assert_eq!(possible, expected);
        let cbt = &ways[0].obstacles;
        assert_eq!(
            (cbt.len(), cbt[0].vms, cbt[0].example.as_str()),
            (1, 2, "old")
        );
        assert!(
            cbt[0].why.contains("5.0") && cbt[0].hint.is_some(),
            "{cbt:?}"
        );
        assert!(ways[1].obstacles.is_empty());
        assert_eq!(ways[3].obstacles[0].vms, 1);
    }

    #[test]
    fn a_host_without_vms_is_no_obstacle_and_nothing_is_possible() {
        for way in ways(&Inventory::default()) {
            assert_eq!((way.possible, way.of), (0, 0));
            assert!(way.obstacles.is_empty());
        }
    }
}
