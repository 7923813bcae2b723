//! Controllers, drives, and where a drive is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A storage controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    /// Type of the controller.
    pub kind: ControllerKind,
    /// Number among the controllers of this kind, from 0, as management tools show it.
    pub number: u32,
    /// The device's instance id. Both IDE controllers share one.
    pub instance: Uuid,
    /// Drives, in the order of their positions.
    pub drives: Vec<Drive>,
}

/// Type of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerKind {
    /// Emulated IDE (generation 1).
    Ide,
    /// Synthetic SCSI.
    Scsi,
    /// Floppy.
    Floppy,
    /// A device that holds drives like a controller but whose type is not known.
    Other,
}

/// A place for a medium, and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// Position on the controller.
    pub position: u32,
    /// What is in the drive.
    pub kind: DriveKind,
    /// Path of the medium as the configuration has it: a Windows path, a share's path, or the
    /// name of a physical disk.
    pub path: Option<String>,
    /// Limits of the drive's speed.
    #[serde(default)]
    pub qos: Qos,
    /// Whether other VMs may use the disk at the same time.
    pub shared: bool,
}

/// What a drive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriveKind {
    /// A file with a virtual disk in it (VHD, VHDX, AVHDX, VHD set).
    VirtualDisk,
    /// A CD or DVD image.
    Iso,
    /// A floppy image.
    Floppy,
    /// A disk of the host, passed through. Its data cannot be backed up from the host.
    PassThrough,
    /// Nothing.
    Empty,
    /// Something whose type is not known.
    Unknown,
}

/// Speed limits of a drive; 0 in a configuration means none and is `None` here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qos {
    /// Most operations per second, in units of 8 KiB.
    pub iops_limit: Option<u64>,
    /// Operations per second to be reserved.
    pub iops_reservation: Option<u64>,
    /// Weight against other drives.
    pub weight: Option<u64>,
}

/// Where a drive is: the identity of a disk within one VM, whatever file is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// Type of the controller.
    pub controller: ControllerKind,
    /// Its number among those of the same type.
    pub number: u32,
    /// Position on it.
    pub position: u32,
}

impl Controller {
    /// The place of one of this controller's drives.
    pub fn location(&self, drive: &Drive) -> Location {
        Location {
            controller: self.kind,
            number: self.number,
            position: drive.position,
        }
    }
}

impl fmt::Display for ControllerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ControllerKind::Ide => "IDE",
            ControllerKind::Scsi => "SCSI",
            ControllerKind::Floppy => "Floppy",
            ControllerKind::Other => "Other",
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.controller, self.number, self.position)
    }
}

/// Text that names no place of a drive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the place of a drive, such as SCSI 0:1 or IDE 0:0")]
pub struct NotALocation(pub String);

/// As it is shown: `SCSI 0:1`.
impl FromStr for Location {
    type Err = NotALocation;

    fn from_str(text: &str) -> Result<Self, NotALocation> {
        let bad = || NotALocation(text.chars().take(100).collect());
        let (kind, place) = text.trim().split_once(' ').ok_or_else(bad)?;
        let (number, position) = place.trim().split_once(':').ok_or_else(bad)?;
        let controller = match kind.to_ascii_lowercase().as_str() {
            "ide" => ControllerKind::Ide,
            "scsi" => ControllerKind::Scsi,
            "floppy" => ControllerKind::Floppy,
            "other" => ControllerKind::Other,
            _ => return Err(bad()),
        };
        Ok(Location {
            controller,
            number: number.parse().map_err(|_| bad())?,
            position: position.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        for controller in [
            ControllerKind::Ide,
            ControllerKind::Scsi,
            ControllerKind::Floppy,
            ControllerKind::Other,
        ] {
            let place = Location {
                controller,
                number: 3,
                position: 63,
            };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for bad in [
            "",
            "SCSI",
            "SCSI 0",
            "SCSI 0:",
            "SCSI -1:0",
            "SATA 0:0",
            "SCSI 0:0:0",
        ] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
