//! A failover cluster: which node owns which VM, and VMs that move from one to another.
//!
//! Each node is a host of its own. What they share is who owns what, and VMs that are between two
//! of them: the old node puts a VM there when its migration ends, the new one takes it as soon as
//! somebody asks it for anything. Only VMs on the cluster's volumes move, since their files are
//! then at the same paths everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::effect::{Work, gone};
use super::host::Host;
use super::refusal::{Failure, Refusal};
use super::replay::Replay;
use super::tracking::Tracking;
use super::vm::{Busy, CheckpointKind, Switch, Vm};

/// No public source tells `JobType` of a live migration as this class has it.
const MIGRATE: u16 = 0;

/// A cluster. Clones are the same one.
#[derive(Clone)]
pub struct Cluster(Arc<Mutex<Shared>>);

struct Shared {
    name: String,
    nodes: Vec<String>,
    roles: Vec<Role>,
    between: Vec<(usize, Moved)>,
}

/// A VM that the cluster keeps running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The VM.
    pub vm: Uuid,
    /// The name that the VM had when it became one.
    pub name: String,
    /// The folder of its files.
    pub folder: String,
    /// The node that owns it, by its place.
    pub owner: usize,
}

/// A host as a node of a cluster.
#[derive(Clone)]
pub struct Node {
    /// The cluster.
    pub cluster: Cluster,
    /// Which of its nodes it is.
    pub place: usize,
}

/// A VM with all that a host knows of it.
struct Moved {
    vm: Vm,
    tracking: Vec<(Uuid, Tracking)>,
    parents: Vec<(String, String)>,
    configurations: Vec<String>,
    switches: Vec<Switch>,
    replays: Vec<Replay>,
}

impl Cluster {
    /// A cluster of nodes that have these names.
    pub fn new(name: &str, nodes: &[String]) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            name: name.to_owned(),
            nodes: nodes.to_vec(),
            roles: Vec::new(),
            between: Vec::new(),
        })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.shared().name.clone()
    }

    /// The names of its nodes.
    pub fn nodes(&self) -> Vec<String> {
        self.shared().nodes.clone()
    }

    /// What it keeps running, in the order in which it was told to.
    pub fn roles(&self) -> Vec<Role> {
        self.shared().roles.clone()
    }

    /// Keeps a VM running from now on.
    pub fn add_role(&self, role: Role) {
        self.shared().roles.push(role);
    }

    /// Forgets a VM.
    pub fn remove_role(&self, vm: Uuid) {
        self.shared().roles.retain(|role| role.vm != vm);
    }

    fn place(&self, node: &str) -> Option<usize> {
        let shared = self.shared();
        let mut nodes = shared.nodes.iter();
        nodes.position(|known| known.eq_ignore_ascii_case(node))
    }
}

impl Host {
    /// A VM shall move to another node: as soon as it has time for it. Refused for VMs that the
    /// cluster does not keep, and nodes that it has not.
    pub fn migrate(&mut self, vm: Uuid, to: &str) -> Result<(), Refusal> {
        let node = self.node.as_ref().ok_or(Refusal::NOT_SUPPORTED)?;
        let known = node.cluster.roles().iter().any(|role| role.vm == vm);
        let place = node.cluster.place(to).filter(|place| *place != node.place);
        match (known && self.vm(vm).is_some(), place) {
            (true, Some(place)) => self.leaving.push((vm, place)),
            _ => return Err(Refusal::INVALID_PARAMETER),
        }
        Ok(())
    }

    /// VMs that shall move and have time for it begin to.
    pub(super) fn depart(&mut self, now: Timestamp) {
        for (vm, to) in std::mem::take(&mut self.leaving) {
            let Some(known) = self.vm(vm) else { continue };
            let is_recovery = |c: &super::Checkpoint| c.kind == CheckpointKind::Recovery;
            let held =
                !self.rules.migrates_with_checkpoint && known.checkpoints.iter().any(is_recovery);
            if known.busy.is_some() || held {
                self.leaving.push((vm, to));
                continue;
            }
            let job = (MIGRATE, self.rules.migration_takes);
            // The VM is there and idle, so this is not refused.
            let _ = self.start(vm, Busy::Migrating, job, Work::Leave { vm, to }, now);
        }
    }

    /// The end of a migration, for this host.
    pub(super) fn leave(&mut self, id: Uuid, to: usize) -> Result<(), Failure> {
        let node = self.node.clone().ok_or_else(gone)?;
        let place = self.vms.iter().position(|vm| vm.id == id);
        let place = place.ok_or_else(gone)?;
        let mut disks = Vec::new();
        for (_, path) in self.vm(id).ok_or_else(gone)?.settings.disks() {
            disks.extend(self.disk_id(path)?);
        }
        let mut vm = self.vms.remove(place);
        vm.busy = None;
        let files = self.files_of(&vm);
        let is_own = |path: &str| files.iter().any(|own| super::host::same_path(own, path));
        let mut parents = Vec::new();
        self.parents.retain(|link| {
            let own = is_own(&link.0);
            if own {
                parents.push(link.clone());
            }
            !own
        });
        let taken = |disk: &Uuid| Some((*disk, self.tracking.remove(disk)?));
        let tracking = disks.iter().filter_map(taken).collect();
        let moved = Moved {
            vm,
            tracking,
            parents,
            configurations: self.configurations.remove(&id).unwrap_or_default(),
            switches: self.switches.clone(),
            replays: self.replays.extract_if(.., |r| r.vm == id).collect(),
        };
        let mut shared = node.cluster.shared();
        shared.between.push((to, moved));
        for role in shared.roles.iter_mut().filter(|role| role.vm == id) {
            role.owner = to;
        }
        Ok(())
    }

    /// Takes the VMs that are on their way here.
    pub(super) fn arrive(&mut self, now: Timestamp) {
        let Some(node) = self.node.clone() else {
            return;
        };
        let here = |(to, _): &mut (usize, Moved)| *to == node.place;
        let moved: Vec<_> = node.cluster.shared().between.extract_if(.., here).collect();
        for (_, moved) in moved {
            let id = moved.vm.id;
            // Switches are the same if they have the same name.
            let ids: BTreeMap<Uuid, Uuid> = moved
                .switches
                .iter()
                .filter_map(|old| {
                    let mut own = self.switches.iter();
                    let same = own.find(|own| own.name == old.name)?;
                    Some((old.id, same.id))
                })
                .collect();
            let mut vm = moved.vm;
            let checkpoints = vm.checkpoints.iter_mut().map(|c| &mut c.settings);
            for settings in std::iter::once(&mut vm.settings).chain(checkpoints) {
                for adapter in &mut settings.adapters {
                    adapter.switch = adapter.switch.and_then(|id| ids.get(&id).copied());
                }
            }
            self.vms.push(vm);
            self.tracking.extend(moved.tracking);
            self.parents.extend(moved.parents);
            self.replays.extend(moved.replays);
            self.configurations.insert(id, moved.configurations);
            self.merge_if_needed(id, now);
        }
    }
}
