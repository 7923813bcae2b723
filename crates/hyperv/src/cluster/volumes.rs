//! The volumes that all nodes of a cluster share.

use cim::Instance;
use serde::{Deserialize, Serialize};

use super::text;
use crate::files::HostPath;
use crate::inventory::Machine;

/// Volumes of one cluster that are kept.
const MOST: usize = 4096;

/// The volumes that all nodes share (`MSCluster_ClusterSharedVolume`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedVolumes(Vec<Shared>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shared {
    /// `C:\ClusterStorage\Volume1`.
    folder: String,
    /// `\\?\Volume{…}\`.
    device: Option<String>,
}

impl SharedVolumes {
    pub(super) fn read(rows: &[Instance]) -> Self {
        let volume = |row: &Instance| {
            Some(Shared {
                folder: text(row, "Name")?,
                device: text(row, "VolumeName"),
            })
        };
        let mut all: Vec<Shared> = rows.iter().take(MOST).filter_map(volume).collect();
        all.sort_by(|a, b| a.folder.cmp(&b.folder));
        Self(all)
    }

    /// The folders in which they are found on every node, in their order.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|volume| volume.folder.as_str())
    }

    /// The path under which every node finds a file: a volume's own name becomes its folder.
    /// `None` for what is on no shared volume.
    pub fn common(&self, path: &HostPath) -> Option<HostPath> {
        self.0.iter().find_map(|volume| {
            let folder = HostPath::parse(&volume.folder).ok()?;
            if path.below(&folder).is_some() {
                return Some(path.clone());
            }
            let device = HostPath::parse(volume.device.as_deref()?).ok()?;
            let mut names = path.below(&device)?.iter();
            names.try_fold(folder, |path, name| path.join(name).ok())
        })
    }

    /// The files of a VM's disks that other nodes do not find: those on no shared volume and no
    /// share. Such a VM cannot move, whatever the cluster says.
    pub fn local<'m>(&self, machine: &'m Machine) -> Vec<&'m str> {
        let media = machine.settings.media.iter();
        let local = media.filter(|medium| {
            let share = medium.path.starts_with(r"\\") && !medium.path.starts_with(r"\\?\");
            let path = HostPath::parse(&medium.path).ok();
            !share && path.is_none_or(|path| self.common(&path).is_none())
        });
        local.map(|medium| medium.path.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Medium;
    use vmconfig::model::{ControllerKind, Location};

    fn volumes() -> SharedVolumes {
        let device = r"\\?\Volume{5d2a7c1e-0000-4000-8000-00000000000a}\";
        let row = |name: &str| Instance::new("MSCluster_ClusterSharedVolume").with("Name", name);
        SharedVolumes::read(&[
            row(r"C:\ClusterStorage\Volume2"),
            row(r"C:\ClusterStorage\Volume1").with("VolumeName", device),
            Instance::new("MSCluster_ClusterSharedVolume"),
        ])
    }

    #[test]
    fn every_node_finds_a_file_under_its_folder() {
        let volumes = volumes();
        let common = |path: &str| {
            let path = HostPath::parse(path).unwrap();
            volumes.common(&path).map(|path| path.to_string())
        };
        let folders: Vec<&str> = volumes.folders().collect();
        assert_eq!(
            folders,
            [r"C:\ClusterStorage\Volume1", r"C:\ClusterStorage\Volume2"]
        );
        let a = Some(r"C:\ClusterStorage\Volume1\web\a.vhdx".to_owned());
        assert_eq!(common(r"C:\ClusterStorage\Volume1\web\a.vhdx"), a);
        let device = r"\\?\Volume{5D2A7C1E-0000-4000-8000-00000000000A}\web\a.vhdx";
        assert_eq!(common(device), a);
        for other in [
            r"C:\ClusterStorage\Volume10\a.vhdx",
            r"D:\a.vhdx",
            r"\\?\Volume{5d2a7c1e-0000-4000-8000-00000000000b}\a.vhdx",
        ] {
            assert_eq!(common(other), None, "{other}");
        }
    }

    #[test]
    fn disks_that_other_nodes_do_not_find_are_told() {
        let mut machine = Machine::default();
        let paths = [
            r"c:\clusterstorage\volume2\a.vhdx",
            r"D:\local.vhdx",
            r"\\nas\vms\b.vhdx",
            r"\\?\Volume{5d2a7c1e-0000-4000-8000-00000000000a}\c.vhdx",
            "not a path",
        ];
        machine.settings.media = paths
            .iter()
            .map(|path| Medium {
                location: Location {
                    controller: ControllerKind::Scsi,
                    number: 0,
                    position: 0,
                },
                instance_id: String::new(),
                path: (*path).to_owned(),
            })
            .collect();
        assert_eq!(volumes().local(&machine), [r"D:\local.vhdx", "not a path"]);
    }
}
