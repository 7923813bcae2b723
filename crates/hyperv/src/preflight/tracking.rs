//! Whether a host can tell what changed, or which gate is closed.
//!
//! Microsoft documents no least version for change tracking and other sources contradict each
//! other (5.0 has none; 6.2, 7 and 8.0 are each said to be the first). So below 6.2 it is taken to
//! be impossible, from 8.0 on to be possible, and between them the first reference point tells.

use serde::{Deserialize, Serialize};
use vmconfig::model::{ConfigVersion, Location};

use super::disks::NamedFormat;
use super::finding::Finding;
use crate::inventory::{Host, Machine};

/// Below this no source claims change tracking.
const FIRST_CLAIMED: ConfigVersion = ConfigVersion { major: 6, minor: 2 };
/// From here on every source does.
const FIRST_CERTAIN: ConfigVersion = ConfigVersion { major: 8, minor: 0 };

/// Whether changes of a VM's disks can be tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// In all: possible if it is for at least one disk.
    pub verdict: Verdict,
    /// The gates that are closed, or may be, for the whole VM.
    pub machine: Vec<Finding>,
    /// Each virtual disk.
    pub disks: Vec<DiskTracking>,
}

/// Whether something can be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No.
    Impossible,
    /// The first reference point will tell.
    Uncertain,
    /// Yes, as far as is known.
    Possible,
}

/// Whether changes of a disk can be tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTracking {
    /// Where it is.
    pub location: Location,
    /// Its file.
    pub path: String,
    /// Whether its changes can be tracked.
    pub verdict: Verdict,
    /// The gate that is closed for this disk.
    pub gate: Option<Finding>,
}

impl Tracking {
    /// Every gate that is closed, or may be.
    pub(super) fn gates(&self) -> Vec<Finding> {
        let disks = self.disks.iter().filter_map(|disk| disk.gate.clone());
        self.machine.iter().cloned().chain(disks).collect()
    }
}

pub(super) fn predict(machine: &Machine, host: &Host) -> Tracking {
    let mut gates = Vec::new();
    let mut limit = match host.reference_points {
        Some(true) => Verdict::Possible,
        Some(false) => {
            gates.push(Finding::OldHost);
            Verdict::Impossible
        }
        None => {
            gates.push(Finding::HostUnknown);
            Verdict::Uncertain
        }
    };
    limit = limit.min(match machine.config().version {
        Some(version) if version < FIRST_CLAIMED => {
            gates.push(Finding::OldVersion { version });
            Verdict::Impossible
        }
        Some(version) if version < FIRST_CERTAIN => {
            gates.push(Finding::TrackingUncertain { version });
            Verdict::Uncertain
        }
        Some(_) => Verdict::Possible,
        None => {
            gates.push(Finding::VersionUnknown);
            Verdict::Uncertain
        }
    });
    let media = machine.settings.media.iter();
    let mut disks: Vec<DiskTracking> = media
        .map(|medium| {
            let shared = machine
                .config()
                .drives()
                .any(|(location, drive)| location == medium.location && drive.shared);
            let (location, path) = (medium.location, medium.path.clone());
            let gate = match NamedFormat::of(&path) {
                NamedFormat::VhdSet => Some(Finding::VhdSet { location, path }),
                _ if shared => Some(Finding::SharedDisk { location, path }),
                NamedFormat::Vhd => Some(Finding::VhdWithoutTracking { location, path }),
                NamedFormat::Unknown => Some(Finding::UnknownFormat { location, path }),
                NamedFormat::Vhdx => None,
            };
            DiskTracking {
                location,
                path: medium.path.clone(),
                verdict: match gate {
                    None => limit,
                    Some(Finding::UnknownFormat { .. }) => limit.min(Verdict::Uncertain),
                    Some(_) => Verdict::Impossible,
                },
                gate,
            }
        })
        .collect();
    // Hosts are known to give reference points of VMs with VHDs among their disks lists that do
    // not fit together.
    if disks.iter().any(|disk| disk.verdict == Verdict::Impossible) {
        for disk in &mut disks {
            disk.verdict = disk.verdict.min(Verdict::Uncertain);
        }
    }
    let verdict = disks.iter().map(|disk| disk.verdict).max();
    Tracking {
        verdict: verdict.unwrap_or(Verdict::Impossible),
        machine: gates,
        disks,
    }
}
