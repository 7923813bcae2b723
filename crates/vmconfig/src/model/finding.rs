//! What needs someone's attention.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::storage::Location;

/// Something about a VM that limits what a backup of it can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// A disk of the host is passed through: its data is not in any file.
    PassThroughDisk {
        /// Where.
        location: Location,
        /// The disk's name.
        path: Option<String>,
    },
    /// A disk that other VMs may write at the same time.
    SharedDisk {
        /// Where.
        location: Location,
        /// The disk's path.
        path: Option<String>,
    },
    /// A drive holds something whose type is not known.
    UnknownDrive {
        /// Where.
        location: Location,
        /// The type as written.
        kind: String,
    },
    /// Disks behind a Fibre Channel port are invisible to the host.
    FibreChannel {
        /// Name of the port.
        name: String,
    },
    /// The VM holds a device of its host and can run on a host with such a device only.
    HostDevice {
        /// Name of the device.
        name: String,
    },
    /// A device of unknown type: whatever it stands for is kept in the configuration but not
    /// described.
    UnknownDevice {
        /// Type.
        device_type: Uuid,
        /// Name in the manifest.
        name: String,
    },
    /// Differencing disks wait to be merged.
    MergePending,
    /// A restored VM starts with its TPM only where the host has the guardian's keys.
    VirtualTpm,
    /// The configuration file was damaged or not closed cleanly, but could be read.
    ConfigurationDamaged {
        /// What the reader said.
        warning: String,
    },
    /// A part that every configuration should have is missing.
    Incomplete {
        /// What is missing.
        what: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |path: &Option<String>| path.clone().unwrap_or_else(|| "unnamed".into());
        match self {
            Finding::PassThroughDisk { location, path } => write!(
                f,
                "{location} is a pass-through disk ({}); its data cannot be backed up from the \
                 host: back it up inside the guest",
                named(path)
            ),
            Finding::SharedDisk { location, path } => {
                write!(f, "{location} is shared with other VMs ({})", named(path))
            }
            Finding::UnknownDrive { location, kind } => {
                write!(f, "{location} holds a medium of the unknown type {kind:?}")
            }
            Finding::FibreChannel { name } => write!(
                f,
                "{name} is a Fibre Channel port; disks behind it cannot be seen from the host"
            ),
            Finding::HostDevice { name } => write!(f, "{name} is a device of the host"),
            Finding::UnknownDevice { device_type, name } => {
                write!(f, "{name:?} is a device of the unknown type {device_type}")
            }
            Finding::MergePending => f.write_str("differencing disks are waiting to be merged"),
            Finding::VirtualTpm => f.write_str(
                "the VM has a virtual TPM: restoring needs the guardian's keys on the host",
            ),
            Finding::ConfigurationDamaged { warning } => {
                write!(f, "the configuration file is damaged: {warning}")
            }
            Finding::Incomplete { what } => write!(f, "the configuration has no {what}"),
        }
    }
}
