//! The host that a VM is restored to, as it was told: now, or recorded earlier.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::HostPath;
use crate::ids::fold;
use crate::inventory::{Inventory, Machine, Volume};
use crate::space;

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What there is on it.
    pub inventory: Inventory,
}

impl Target {
    /// The VM of an id.
    pub(super) fn machine(&self, id: Uuid) -> Option<&Machine> {
        self.inventory.machine(id)
    }

    /// Whether a planned VM has that id.
    pub(super) fn is_planned(&self, id: Uuid) -> bool {
        self.inventory.planned.iter().any(|vm| vm.id == Some(id))
    }

    /// The volume of a path, if the host tells of it.
    pub(super) fn volume(&self, path: &HostPath) -> Option<&Volume> {
        let volumes = self.inventory.host.volumes.as_deref().unwrap_or_default();
        space::volume(volumes, path)
    }

    /// The name of who has its configuration or a disk in a folder, or below it: a VM, or one that
    /// is only planned.
    pub fn inhabitant(&self, folder: &HostPath) -> Option<&str> {
        let within = |path: &str| {
            let path = HostPath::parse(path);
            path.is_ok_and(|path| path.below(folder).is_some())
        };
        let lives = |machine: &&Machine| {
            let checkpoints = machine.checkpoints.iter().map(|c| &c.settings);
            let mut all = std::iter::once(&machine.settings).chain(checkpoints);
            all.any(|settings| {
                let root = settings.config.data_roots.configuration.as_deref();
                root.is_some_and(within) || settings.media.iter().any(|m| within(&m.path))
            })
        };
        let mut planned = self.inventory.planned.iter();
        let planned = planned.find(|vm| vm.folder.as_deref().is_some_and(within));
        let machine = self.inventory.machines.iter().find(lives);
        let name = machine.map(Machine::name);
        name.or(planned.map(|vm| vm.name.as_str()))
    }

    /// Whether anybody has.
    pub fn is_inhabited(&self, folder: &HostPath) -> bool {
        self.inhabitant(folder).is_some()
    }

    /// The VM that has a file among its disks, checkpoints' among them.
    pub fn user_of(&self, path: &str) -> Option<&Machine> {
        let path = fold(path);
        let has = |machine: &&Machine| {
            let checkpoints = machine.checkpoints.iter().map(|c| &c.settings);
            let mut all = std::iter::once(&machine.settings).chain(checkpoints);
            all.any(|settings| settings.media.iter().any(|m| fold(&m.path) == path))
        };
        self.inventory.machines.iter().find(has)
    }
}
