//! How consistent a backup will be, as far as the host can tell beforehand.

use serde::{Deserialize, Serialize};
use vmconfig::model::{ControllerKind, DeviceKind};

use super::finding::Finding;
use crate::inventory::{Contact, Family, Machine, PowerState, offers};

/// How consistent a backup is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As after a power cut.
    Crash,
    /// The guest's file systems are frozen.
    FileSystem,
    /// The guest's applications take part.
    Application,
    /// Nothing runs.
    Offline,
}

/// A prediction with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicted {
    /// The level.
    pub level: Level,
    /// Why it is no better, or what may still come in its way.
    pub because: Vec<Finding>,
}

impl Predicted {
    /// Whether a guest that runs may settle all the same: nothing that the host tells rules it out.
    /// One that it lost contact with, or of which it does not tell, is worth a try.
    pub fn may_settle(&self) -> bool {
        let hopeless = |finding: &Finding| match finding {
            Finding::BackupServiceOff => true,
            Finding::BackupServiceSilent { contact } => {
                matches!(contact, Some(Contact::Incompatible | Contact::Never))
            }
            _ => false,
        };
        !self.because.iter().any(hopeless)
    }
}

/// Predicts the level: the conditions of an online backup, each by its name.
pub(super) fn predict(machine: &Machine) -> Predicted {
    let state = machine.state;
    let mode = machine.replication.mode;
    if mode.is_copy() {
        return Predicted {
            level: Level::Crash,
            because: vec![Finding::Replica { mode }],
        };
    }
    if state == PowerState::Saved {
        return Predicted {
            level: Level::Crash,
            because: vec![Finding::SavedMemory],
        };
    }
    if state == PowerState::Off {
        return Predicted {
            level: Level::Offline,
            because: vec![Finding::AtRest { state }],
        };
    }
    if state != PowerState::Running {
        return Predicted {
            level: Level::Crash,
            because: vec![Finding::State { state }],
        };
    }
    let missing = missing(machine);
    if !missing.is_empty() {
        return Predicted {
            level: Level::Crash,
            because: missing,
        };
    }
    let mut because = Vec::new();
    let level = match machine.guest.family {
        Family::Windows => {
            because.push(Finding::GuestVolumesUnknown);
            Level::Application
        }
        Family::Other => {
            because.push(Finding::NoGuestApplications);
            Level::FileSystem
        }
        Family::Unknown => {
            because.push(Finding::GuestUnknown);
            Level::FileSystem
        }
    };
    because.extend(elsewhere(machine));
    Predicted { level, because }
}

/// The conditions that are not met, or of which the host does not tell that they are.
fn missing(machine: &Machine) -> Vec<Finding> {
    let mut found = Vec::new();
    match offers(machine.config(), DeviceKind::Vss) {
        Some(true) => {
            let contact = machine.guest.backup_service;
            if !contact.is_some_and(|contact| contact.is_usable()) {
                found.push(Finding::BackupServiceSilent { contact });
            }
        }
        Some(false) => found.push(Finding::BackupServiceOff),
        None => found.push(Finding::BackupServiceUnknown),
    }
    if !machine.guest.dynamic_disks.is_empty() {
        let disks = machine.guest.dynamic_disks.clone();
        found.push(Finding::GuestDynamicDisks { disks });
    }
    let mut controllers = machine.config().controllers.iter();
    if !controllers.any(|c| c.kind == ControllerKind::Scsi) {
        found.push(Finding::NoScsiController);
    }
    found
}

/// The first disk that is on another volume than the VM's checkpoints.
pub(super) fn elsewhere(machine: &Machine) -> Option<Finding> {
    let folder = machine.config().data_roots.checkpoints.as_deref()?;
    let volume = volume(folder)?;
    let mut media = machine.settings.media.iter();
    let disk = media.find(|m| self::volume(&m.path).is_some_and(|v| v != volume))?;
    Some(Finding::CheckpointsElsewhere {
        path: disk.path.clone(),
        folder: folder.to_owned(),
    })
}

/// What of a path names the volume: a drive, a share, or a volume of the cluster.
fn volume(path: &str) -> Option<String> {
    let path = path.replace('/', "\\").to_lowercase();
    let path = path.strip_prefix(r"\\?\").unwrap_or(&path);
    let parts: Vec<&str> = path.split('\\').filter(|part| !part.is_empty()).collect();
    let names = match parts.as_slice() {
        [drive, "clusterstorage", ..] if drive.ends_with(':') => 3,
        [drive, ..] if drive.ends_with(':') || drive.starts_with("volume{") => 1,
        _ if path.starts_with(r"\\") => 2,
        _ => return None,
    };
    Some(parts.get(..names)?.join("\\"))
}

#[cfg(test)]
mod tests {
    use super::volume;

    #[test]
    fn volumes_are_told_by_the_beginning_of_a_path() {
        let of = |path| volume(path).unwrap_or_default();
        assert_eq!(of(r"C:\VMs\a"), of(r"c:/b"));
        assert_ne!(of(r"C:\VMs"), of(r"D:\VMs"));
        assert_ne!(
            of(r"C:\ClusterStorage\Volume1\a"),
            of(r"C:\ClusterStorage\Volume2\a")
        );
        assert_ne!(of(r"C:\ClusterStorage\Volume1\a"), of(r"C:\a"));
        assert_eq!(of(r"\\nas\vms\a"), of(r"\\NAS\vms\b"));
        assert_ne!(of(r"\\nas\vms\a"), of(r"\\nas\other\a"));
        for none in ["", "a\\b", "\\\\nas", r"C:\ClusterStorage"] {
            assert_eq!(volume(none), None, "{none}");
        }
    }
}
