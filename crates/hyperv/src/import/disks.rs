//! Where each file of the disks will be, and whether there is room.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vmconfig::model::Location;

use super::finding::Finding;
use super::request::Request;
use super::{Point, Target};
use crate::files::HostPath;
use crate::ids::fold;

/// The folder below a VM's in which its disks are.
pub(super) const DISKS: &str = "Virtual Hard Disks";

/// A file of a disk as it will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlan {
    /// Where its disk is attached.
    pub location: Location,
    /// The path that it had.
    pub from: String,
    /// The path that it will have.
    pub to: String,
    /// Bytes that it takes at most.
    pub bytes: u64,
    /// Whether it is what the VM writes to.
    pub leaf: bool,
}

pub(super) fn plan(
    point: &Point,
    request: &Request,
    target: &Target,
    folder: &HostPath,
    findings: &mut Vec<Finding>,
) -> Vec<DiskPlan> {
    let mut all = Vec::new();
    let mut used = BTreeSet::new();
    for disk in &point.disks {
        let mut given = request.disk_folders.iter();
        let given = given.find(|(location, _)| *location == disk.location);
        let place = match given {
            Some((_, folder)) => HostPath::parse(folder),
            None => folder.join(DISKS),
        };
        let name = disk.path.rsplit(['\\', '/']).next().unwrap_or_default();
        let to = match place.and_then(|place| place.join(name)) {
            Ok(to) => to.to_string(),
            Err(error) => {
                findings.push(Finding::BadPath {
                    path: given.map_or(name, |(_, folder)| folder).to_owned(),
                    why: error.to_string(),
                });
                continue;
            }
        };
        if !used.insert(fold(&to)) {
            findings.push(Finding::SamePath { path: to.clone() });
        }
        // Also those of the VM that is replaced: it must be whole until the new one is.
        if let Some(user) = target.user_of(&to) {
            findings.push(Finding::InUse {
                path: to.clone(),
                name: user.name().to_owned(),
            });
        }
        all.push(DiskPlan {
            location: disk.location,
            from: disk.path.clone(),
            to,
            bytes: disk.bytes,
            leaf: disk.leaf,
        });
    }
    for (location, path) in point.config.virtual_disks() {
        if !point.disks.iter().any(|disk| disk.location == location) {
            let path = path.to_owned();
            findings.push(Finding::DiskMissing { location, path });
        }
    }
    room(&all, request, target, findings);
    all
}

fn room(disks: &[DiskPlan], request: &Request, target: &Target, findings: &mut Vec<Finding>) {
    let mut needs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for disk in disks {
        let path = HostPath::parse(&disk.to).ok();
        let volume = path.as_ref().and_then(|path| target.volume(path));
        let told = volume.and_then(|volume| {
            let name = volume.name.as_ref().or(volume.device.as_ref())?;
            Some((name.clone(), volume.free?))
        });
        match told {
            Some((name, free)) => {
                let (needed, _) = needs.entry(name).or_insert((0, free));
                let written = request.written.get(&disk.to).copied().unwrap_or(0);
                *needed = needed.saturating_add(disk.bytes.saturating_sub(written));
            }
            None => findings.push(Finding::RoomUnknown {
                path: disk.to.clone(),
            }),
        }
    }
    for (volume, (needed, free)) in needs {
        if needed > free {
            findings.push(Finding::NoRoom {
                volume,
                needed,
                free,
            });
        }
    }
}
