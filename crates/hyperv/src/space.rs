//! Room on a host's volumes.
//!
//! While a VM holds still, what it writes goes to new files, and a volume that fills stops every
//! VM on it. So no checkpoint is taken where less is free than a floor, and a backup that finds
//! less on the way is given up: ending the checkpoint gives the room back.

use std::fmt;

use cim::{CimError, CimSession};
use serde::{Deserialize, Serialize};

use crate::files::HostPath;
use crate::inventory::{self, Volume};

/// How much has to be free: the more of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Floor {
    /// Hundredths of the volume.
    pub percent: u8,
    /// Bytes.
    pub bytes: u64,
}

impl Default for Floor {
    /// A tenth, and 4 GiB.
    fn default() -> Self {
        Self {
            percent: 10,
            bytes: 4 << 30,
        }
    }
}

impl Floor {
    /// Whatever is free will do.
    pub const NONE: Self = Self {
        percent: 0,
        bytes: 0,
    };

    pub(crate) fn of(self, capacity: Option<u64>) -> u64 {
        let part = u128::from(capacity.unwrap_or(0)) * u128::from(self.percent.min(100)) / 100;
        u64::try_from(part).unwrap_or(u64::MAX).max(self.bytes)
    }
}

/// A volume on which less is free than has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Where it is mounted.
    pub volume: String,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that have to be.
    pub floor: u64,
}

impl Shortage {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "make room on the host's volume, or lower the floor"
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            volume,
            free,
            floor,
        } = self;
        let mib = |bytes: &u64| bytes >> 20;
        write!(
            f,
            "{} MiB are free on {volume}, and {} MiB have to be",
            mib(free),
            mib(floor)
        )
    }
}

/// What is known of the room where files lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The volumes on which it is short, each once.
    pub short: Vec<Shortage>,
    /// Files of whose volume the host does not tell: shares, above all.
    pub untold: Vec<String>,
}

/// Looks for room where files lie.
pub fn room<'p>(
    volumes: &[Volume],
    files: impl IntoIterator<Item = &'p str>,
    floor: Floor,
) -> Room {
    let mut found = Room::default();
    for file in files {
        let volume = HostPath::parse(file)
            .ok()
            .and_then(|path| self::volume(volumes, &path));
        let Some((volume, free)) = volume.and_then(|volume| Some((volume, volume.free?))) else {
            found.untold.push(file.to_owned());
            continue;
        };
        let needed = floor.of(volume.capacity);
        let name = volume.name.clone().or_else(|| volume.device.clone());
        let short = Shortage {
            volume: name.unwrap_or_default(),
            free,
            floor: needed,
        };
        if free < needed && !found.short.contains(&short) {
            found.short.push(short);
        }
    }
    found
}

/// Asks the host now.
///
/// # Errors
/// When the host cannot be asked. One that refuses to tell is no error, and everything is untold.
pub fn ask<'p>(
    session: &dyn CimSession,
    files: impl IntoIterator<Item = &'p str>,
    floor: Floor,
) -> Result<Room, CimError> {
    let volumes = inventory::volumes(session)?.unwrap_or_default();
    Ok(room(&volumes, files, floor))
}

/// Where a file lies, in one spelling for all files that lie there: the volume, or for files of whose
/// volume the host does not tell the drive, the share or the like. What all nodes of a cluster have
/// is spelt the same on all of them ([`is_common`]), whatever each of them tells of it.
pub fn lies_on(volumes: &[Volume], file: &str) -> String {
    let Ok(path) = HostPath::parse(file) else {
        return file.to_owned();
    };
    let above = std::iter::successors(Some(path.clone()), HostPath::parent);
    let common = above.map(|path| path.to_string().to_lowercase());
    if let Some(shared) = common.filter(|path| is_shared_volume(path)).last() {
        return shared;
    }
    let told = volume(volumes, &path);
    let name = told.and_then(|volume| volume.device.clone().or_else(|| volume.name.clone()));
    let root = || std::iter::successors(Some(path.clone()), HostPath::parent).last();
    let name = name.or_else(|| root().map(|root| root.to_string()));
    name.unwrap_or_default().to_lowercase()
}

/// Whether all nodes of a cluster mean the same by what [`lies_on`] told of one of them: a volume that
/// the cluster shares, or an SMB share.
pub fn is_common(place: &str) -> bool {
    let is_device = place.starts_with(r"\\?\") || place.starts_with(r"\\.\");
    is_shared_volume(place) || (place.starts_with(r"\\") && !is_device)
}

/// Whether a path in small letters is below the folder in which nodes have the volumes that their
/// cluster shares, which is on the drive of the system.
fn is_shared_volume(path: &str) -> bool {
    let drive = path.chars().next().filter(char::is_ascii_alphabetic);
    let below = drive.and_then(|_| path.get(1..)?.strip_prefix(r":\clusterstorage\"));
    below.is_some_and(|name| !name.is_empty())
}

/// The volume that a file lies on: volumes are mounted in folders of others, so the longest counts.
pub(crate) fn volume<'v>(volumes: &'v [Volume], path: &HostPath) -> Option<&'v Volume> {
    let fits = |mount: &Option<String>| {
        let mount = HostPath::parse(mount.as_deref()?).ok()?;
        path.below(&mount).map(|_| mount.names().len())
    };
    let depth = |volume: &Volume| fits(&volume.name).max(fits(&volume.device));
    let fitting = volumes.iter().filter_map(|v| Some((depth(v)?, v)));
    let deepest = fitting.max_by_key(|(depth, _)| *depth);
    deepest.map(|(_, volume)| volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, capacity: u64, free: Option<u64>) -> Volume {
        Volume {
            name: Some(name.to_owned()),
            device: None,
            capacity: Some(capacity),
            free,
        }
    }

    #[test]
    fn each_file_is_looked_for_on_the_volume_that_it_is_on() {
        const GIB: u64 = 1 << 30;
        let mut data = volume("E:\\", 100 * GIB, Some(9 * GIB));
        data.device = Some(r"\\?\Volume{5d2a7c1e-0000-4000-8000-00000000000a}\".to_owned());
        let volumes = [
            volume("C:\\", 1000 * GIB, Some(900 * GIB)),
            volume("C:\\ClusterStorage\\Volume1\\", 10 * GIB, Some(3 * GIB)),
            volume("D:\\", 100 * GIB, None),
            data,
        ];
        let short = |file: &str| {
            let found = room(&volumes, [file, file], Floor::default());
            assert!(found.short.len() + found.untold.len() <= 2);
            found.short.first().map(|s| (s.volume.clone(), s.floor))
        };
        assert_eq!(short(r"C:\VMs\a.vhdx"), None);
        let csv = r"C:\ClusterStorage\Volume1\".to_owned();
        assert_eq!(
            short(r"c:\clusterstorage\VOLUME1\a.vhdx"),
            Some((csv, 4 * GIB))
        );
        assert_eq!(short(r"C:\ClusterStorage\Volume10\a.vhdx"), None);
        let by_id = r"\\?\Volume{5D2A7C1E-0000-4000-8000-00000000000A}\a.vhdx";
        assert_eq!(short(by_id), Some(("E:\\".to_owned(), 10 * GIB)));
        for untold in [r"D:\a.vhdx", r"\\nas\vms\a.vhdx", r"F:\a.vhdx", "a.vhdx"] {
            let found = room(&volumes, [untold], Floor::default());
            assert_eq!((found.short.len(), found.untold.len()), (0, 1), "{untold}");
        }
        let same = |one: &str, other: &str| lies_on(&volumes, one) == lies_on(&volumes, other);
        assert!(same(by_id, r"e:\VMs\b.vhdx") && same(r"F:\a", r"f:\x\b"));
        assert!(same(r"\\NAS\vms\a.vhdx", r"\\nas\VMs\x\b.vhdx"));
        assert!(!same(r"C:\a", r"C:\ClusterStorage\Volume1\a") && !same(r"D:\a", r"F:\a"));
        // Each node may tell a cluster's volume in its way, or not at all.
        let csv = lies_on(&volumes, r"C:\ClusterStorage\Volume1\web\a.vhdx");
        assert_eq!(csv, lies_on(&[], r"c:\clusterstorage\VOLUME1\b.vhdx"));
        assert!(is_common(&csv) && is_common(&lies_on(&[], r"\\nas\vms\a.vhdx")));
        for own in [by_id, r"D:\a.vhdx", r"C:\ClusterStorage\", r"C:\Cluster\a"] {
            assert!(!is_common(&lies_on(&volumes, own)), "{own}");
        }
        let found = room(&volumes, [r"E:\a.vhdx"], Floor::NONE);
        assert_eq!(found, Room::default());
        let all = Floor {
            percent: 255,
            bytes: u64::MAX,
        };
        assert_eq!(room(&volumes, [r"C:\a"], all).short[0].floor, u64::MAX);
    }
}
