//! What a file is, by its name.

use serde::{Deserialize, Serialize};

/// What a file is to a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Configuration (`.vmcx`, `.xml`).
    Configuration,
    /// Runtime or saved state (`.vmrs`).
    RuntimeState,
    /// UEFI variables and TPM (`.vmgs`).
    GuestState,
    /// Saved memory of older versions (`.bin`).
    Memory,
    /// Saved device state of older versions (`.vsv`).
    DeviceState,
    /// Change tracking beside a disk (`.rct`, `.mrt`): of use to the host only.
    ChangeTracking,
}

/// Whether a file is a virtual disk by its ending.
pub fn is_disk(path: &str) -> bool {
    let disks = ["vhdx", "avhdx", "vhd", "avhd", "vhds", "vhdpmem"];
    disks
        .iter()
        .any(|disk| ending(path).eq_ignore_ascii_case(disk))
}

/// What a file is, apart from disks and change tracking, which go by the disk.
pub(super) fn role(path: &str) -> Option<Role> {
    Some(match ending(path).to_ascii_lowercase().as_str() {
        "vmcx" | "xml" => Role::Configuration,
        "vmrs" => Role::RuntimeState,
        "vmgs" => Role::GuestState,
        "bin" => Role::Memory,
        "vsv" => Role::DeviceState,
        _ => return None,
    })
}

/// What follows the last dot of the file's name.
pub(super) fn ending(path: &str) -> &str {
    name(path).rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The file's name without its ending.
pub(super) fn stem(path: &str) -> &str {
    name(path)
        .rsplit_once('.')
        .map_or(name(path), |(stem, _)| stem)
}

/// The last part of a path in the listing.
pub(super) fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The folder of a path in the listing; empty at the top.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A path below a folder.
pub(super) fn join(folder: &str, rest: &str) -> String {
    if folder.is_empty() {
        rest.to_owned()
    } else {
        format!("{folder}/{rest}")
    }
}
