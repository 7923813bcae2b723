//! Controllers and their drives, from a configuration's tree.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{NotAConfiguration, Parts};
use super::{Controller, ControllerKind, DeviceKind, Drive, DriveKind, Finding, Qos};
use crate::tree::Entry;

/// The most drives of one configuration that are believed. Hyper-V attaches four to IDE and 64 to
/// each of four SCSI controllers.
pub const MAX_DRIVES: usize = 4096;

/// The number at the end of a name such as `drive3`.
fn numbered(name: &str, prefix: &str) -> Option<u32> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix)).then(|| rest.parse().ok())?
}

/// The controllers with their drives, and what is to be told of these.
pub(super) fn controllers(
    parts: &Parts<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Controller>, NotAConfiguration> {
    // In the order of the manifest, which is what numbers SCSI controllers; then whatever else
    // holds drives, so that none is overlooked.
    let listed = parts.listed.iter().map(|device| device.instance);
    let stray = parts.nodes.iter().map(|(instance, _)| *instance);
    let mut seen = BTreeSet::new();
    let mut found = Vec::<Controller>::new();
    let mut numbers = BTreeMap::<ControllerKind, u32>::new();
    let mut drives = 0;
    for instance in listed
        .chain(stray)
        .filter(|instance| seen.insert(*instance))
    {
        let Some(node) = parts.settings.get(&instance) else {
            continue;
        };
        let kind = match parts.kind(instance) {
            Some(DeviceKind::IdeController) => ControllerKind::Ide,
            Some(DeviceKind::ScsiController) => ControllerKind::Scsi,
            Some(DeviceKind::FloppyController) => ControllerKind::Floppy,
            _ => ControllerKind::Other,
        };
        for child in node.children() {
            let Some(below) = numbered(&child.name, "controller") else {
                continue;
            };
            let next = numbers.entry(kind).or_default();
            let number = match kind {
                ControllerKind::Ide => below,
                _ => *next,
            };
            *next += 1;
            let mut controller = Controller {
                kind,
                number,
                instance,
                drives: Vec::new(),
            };
            for entry in child.children() {
                let Some(position) = numbered(&entry.name, "drive") else {
                    continue;
                };
                drives += 1;
                if drives > MAX_DRIVES {
                    return Err(NotAConfiguration::TooManyDrives);
                }
                let drive = drive(entry, position);
                let location = controller.location(&drive);
                let path = drive.path.clone();
                match drive.kind {
                    DriveKind::PassThrough => {
                        findings.push(Finding::PassThroughDisk { location, path });
                    }
                    DriveKind::Unknown => {
                        let kind = entry.text(&["type"]).unwrap_or_default().to_owned();
                        findings.push(Finding::UnknownDrive { location, kind });
                    }
                    _ if drive.shared => findings.push(Finding::SharedDisk { location, path }),
                    _ => {}
                }
                controller.drives.push(drive);
            }
            controller.drives.sort_by_key(|drive| drive.position);
            found.push(controller);
        }
    }
    Ok(found)
}

fn drive(entry: &Entry, position: u32) -> Drive {
    let path = entry
        .text(&["pathname"])
        .filter(|path| !path.is_empty())
        .map(str::to_owned);
    let lower = path.as_deref().unwrap_or_default().to_ascii_lowercase();
    let kind = entry
        .text(&["type"])
        .unwrap_or_default()
        .to_ascii_uppercase();
    // The value for a pass-through disk is not public, but its path is no file's.
    let physical = ["PHYSICAL", "PASS"].iter().any(|word| kind.contains(word))
        || lower.starts_with(r"\\.\physicaldrive")
        || lower.contains("msvm_diskdrive");
    let kind = match kind.as_str() {
        _ if physical => DriveKind::PassThrough,
        _ if path.is_none() => DriveKind::Empty,
        "VHD" => DriveKind::VirtualDisk,
        "ISO" => DriveKind::Iso,
        "VFD" => DriveKind::Floppy,
        "NONE" => DriveKind::Empty,
        _ => DriveKind::Unknown,
    };
    let limit = |name| entry.uint(&[name]).filter(|n| *n != 0);
    let reservations = entry.bool(&["persistent_reservations_supported"]) == Some(true);
    Drive {
        position,
        kind,
        shared: kind == DriveKind::VirtualDisk && (reservations || lower.ends_with(".vhds")),
        path,
        qos: Qos {
            iops_limit: limit("iops_limit"),
            iops_reservation: limit("iops_reservation"),
            weight: limit("weight"),
        },
    }
}
