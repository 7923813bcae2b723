//! What of a VM's storage a backup cannot hold, or cannot hold well.

use vmconfig::model::{DriveKind, Finding as ConfigFinding};

use super::finding::Finding;
use crate::inventory::{self, Machine};

/// The format that a file's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedFormat {
    Vhdx,
    Vhd,
    VhdSet,
    Unknown,
}

impl NamedFormat {
    pub(super) fn of(path: &str) -> Self {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "vhdx" | "avhdx" => Self::Vhdx,
            "vhd" | "avhd" => Self::Vhd,
            "vhds" => Self::VhdSet,
            _ => Self::Unknown,
        }
    }
}

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    let mut found = Vec::new();
    let own = &machine.settings.instance_id;
    let unknown = machine.findings.iter().any(|finding| match finding {
        inventory::Finding::NoSettings | inventory::Finding::TooManyDrives => true,
        inventory::Finding::NoDevices { settings } => settings == own,
        _ => false,
    });
    if unknown {
        found.push(Finding::DisksUnknown);
    }
    for finding in &machine.config().findings {
        found.extend(match finding.clone() {
            ConfigFinding::PassThroughDisk { location, path } => {
                Some(Finding::PassThroughDisk { location, path })
            }
            ConfigFinding::FibreChannel { name } => Some(Finding::FibreChannel { name }),
            ConfigFinding::UnknownDrive { location, kind } => {
                Some(Finding::UnknownDrive { location, kind })
            }
            ConfigFinding::HostDevice { name } => Some(Finding::HostDevice { name }),
            ConfigFinding::VirtualTpm => Some(Finding::VirtualTpm),
            _ => None,
        });
    }
    for (location, drive) in machine.config().drives() {
        let (DriveKind::VirtualDisk, Some(path)) = (drive.kind, drive.path.clone()) else {
            continue;
        };
        match NamedFormat::of(&path) {
            NamedFormat::VhdSet => found.push(Finding::VhdSet { location, path }),
            _ if drive.shared => found.push(Finding::SharedDisk { location, path }),
            NamedFormat::Vhd => found.push(Finding::VhdWithoutTracking { location, path }),
            NamedFormat::Unknown => found.push(Finding::UnknownFormat { location, path }),
            NamedFormat::Vhdx => {}
        }
    }
    found
}
