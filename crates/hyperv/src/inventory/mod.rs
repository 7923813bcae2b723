//! What there is on a host, as plain data: its VMs with their disks and checkpoints, and itself.
//!
//! An inventory is taken with one query for each class, whatever the number of VMs, disks and
//! adapters; the joins are made here. It is serde data whose names are stable, for `--json` and
//! for restore points.
//!
//! Invariants:
//!
//! - It touches nothing.
//! - What the host does not tell is `None` or unknown, never a default; what it tells in a way
//!   that is not documented is a [`Finding`] and left out. No answer of a host is a panic.
//! - A VM whose disks are not known never looks like one without disks: then there is
//!   [`Finding::NoSettings`] or [`Finding::NoDevices`].
//! - The same answers in another order give the same inventory, but for the order of findings and
//!   the numbers of several SCSI controllers of one VM: hosts tell none, and management tools count
//!   them as they are told. Their ids are what identifies them.

mod boot;
mod checkpoint;
mod cluster;
mod devices;
mod finding;
mod group;
mod guest;
mod host;
mod network;
mod one;
mod reference_point;
mod replication;
mod row;
mod settings;
mod state;
mod tables;
mod volume;

use std::collections::{HashMap, HashSet};

use cim::{CimError, CimSession, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::{Kind, VmConfig};

pub use checkpoint::{Checkpoint, CheckpointKind, Parent};
pub use cluster::ClusterRole;
pub(crate) use cluster::roles as cluster_roles;
pub use devices::Medium;
pub(crate) use devices::controller_kind;
pub use finding::Finding;
pub use guest::{Family, Guest};
pub use host::{DefaultPaths, Host, Os, OsKind, host_name};
pub use network::Switch;
pub use one::{Configuration, configuration};
pub use reference_point::{ReferencePoint, TrackedDisk};
pub use replication::{Relationship, Replication, ReplicationMode};
pub use settings::{ConfigFiles, Settings};
pub use state::{Contact, Health, Operation, PowerState, power_state};
pub use volume::{Volume, volumes};

use checkpoint::{SettingsKind, ToldParent};
pub(crate) use finding::Notes;
use group::Configurations;
use row::Row;
use tables::Tables;

pub(crate) use settings::{boot_device, offers};
pub(crate) use tables::service_class;

use crate::ids;

/// What there is on a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The host itself.
    pub host: Host,
    /// Its VMs, by name and id.
    pub machines: Vec<Machine>,
    /// VMs that an import has not finished, by name and id. They are nobody's to back up.
    pub planned: Vec<PlannedMachine>,
    /// What concerns more than one VM, or none.
    pub findings: Vec<Finding>,
}

/// A VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its id, which stays the same on every host.
    pub id: Uuid,
    /// What it does.
    pub state: PowerState,
    /// How it is.
    pub health: Health,
    /// What the host does with it.
    pub operation: Option<Operation>,
    /// Its configuration.
    pub settings: Settings,
    /// Its checkpoints, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that its present state was made after.
    pub parent: Parent,
    /// Its reference points, whoever made them.
    pub reference_points: Vec<ReferencePoint>,
    /// Its replication.
    pub replication: Replication,
    /// Its role in a cluster.
    pub cluster: Option<ClusterRole>,
    /// What the host knows of its guest.
    pub guest: Guest,
    /// When somebody's backup of it last ended, as far as the host knows.
    pub last_backup: Option<jiff::Timestamp>,
    /// What concerns this VM.
    pub findings: Vec<Finding>,
}

/// A VM that an import has not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMachine {
    /// The id that it will have.
    pub id: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// The host's name for its settings.
    pub instance_id: String,
    /// The folder of its configuration. Earlier versions did not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl Machine {
    /// The name that people gave. Not unique.
    pub fn name(&self) -> &str {
        &self.settings.config.name
    }

    /// What it is.
    pub fn config(&self) -> &VmConfig {
        &self.settings.config
    }
}

impl Inventory {
    /// A VM by its id.
    pub fn machine(&self, id: Uuid) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id)
    }
}

/// Takes the inventory of a host.
///
/// # Errors
/// When the host cannot be asked, or refuses to tell its VMs, their settings or their disks.
pub fn take(session: &dyn CimSession) -> Result<Inventory, CimError> {
    let mut notes = Notes::default();
    let tables = Tables::read(session, &mut notes)?;
    let configurations = Configurations::of(session, &tables, &mut notes)?;
    let mut join = Join {
        host: host::read(&tables, &mut notes),
        guests: guest::guests(&tables, &mut notes),
        relationships: replication::relationships(&tables.relationships, &mut notes),
        reference_points: match &tables.reference_points {
            tables::Told::Rows(rows) => reference_point::by_vm(rows, &mut notes),
            _ => HashMap::new(),
        },
        roles: cluster::roles(&tables.roles, &mut notes),
        settings: HashMap::new(),
        checkpoints: HashMap::new(),
        notes: HashMap::new(),
    };
    let planned = join.sort_settings(&tables, &configurations, &mut notes);
    let mut machines = Vec::new();
    let mut seen = HashSet::new();
    for row in tables.machines.iter().map(Row) {
        let Some(name) = row.text("Name", &mut notes) else {
            row.note("a computer system without a name".to_owned(), &mut notes);
            continue;
        };
        // The host itself is a computer system, too.
        let Some(id) = ids::guid(&name) else { continue };
        if !seen.insert(id) {
            notes.push(Finding::DuplicateMachine { id });
            continue;
        }
        machines.push(join.machine(id, row));
    }
    machines.sort_by(|a, b| (a.name(), a.id).cmp(&(b.name(), b.id)));
    if machines.is_empty() {
        notes.push(Finding::NoMachines);
    }
    join.leftovers(&mut notes);
    Ok(Inventory {
        host: join.host,
        machines,
        planned,
        findings: notes.into_findings(),
    })
}

/// What is known of each VM, until it is put together.
struct Join {
    host: Host,
    guests: HashMap<Uuid, Guest>,
    relationships: HashMap<Uuid, Vec<Relationship>>,
    reference_points: HashMap<Uuid, Vec<ReferencePoint>>,
    roles: HashMap<Uuid, ClusterRole>,
    settings: HashMap<Uuid, (Settings, ToldParent)>,
    checkpoints: HashMap<Uuid, Vec<(Checkpoint, ToldParent)>>,
    notes: HashMap<Uuid, Notes>,
}

impl Join {
    /// Reads all settings, and gives back those of planned VMs.
    fn sort_settings(
        &mut self,
        tables: &Tables,
        configurations: &Configurations<'_>,
        notes: &mut Notes,
    ) -> Vec<PlannedMachine> {
        let mut planned = Vec::new();
        let mut planned_ids = HashSet::new();
        let mut stray = Vec::new();
        for (row, kind) in configurations.settings(tables) {
            let vm = row.parsed("VirtualSystemIdentifier", ids::guid, notes);
            let id = ids::configuration(&row.id());
            match (kind, vm.or(id), id) {
                (SettingsKind::Other, ..) => {
                    // What is neither a VM nor a checkpoint does not matter here.
                    if row.text("VirtualSystemType", notes).is_none() {
                        row.note("it does not tell what it is".to_owned(), notes);
                    }
                }
                (SettingsKind::PlannedMachine, vm, _) => {
                    planned_ids.extend(vm);
                    planned.push(PlannedMachine {
                        id: vm,
                        name: row.text("ElementName", notes).unwrap_or_default(),
                        instance_id: row.id(),
                        folder: row.text("ConfigurationDataRoot", notes),
                    });
                }
                (SettingsKind::Machine, Some(vm), _) => {
                    let found = self.settings(row, Kind::Machine, vm, configurations);
                    if self.settings.insert(vm, found).is_some() {
                        row.note("the VM has two present configurations".to_owned(), notes);
                    }
                }
                (SettingsKind::Checkpoint(kind), Some(vm), Some(id)) => {
                    let own = self.notes.entry(vm).or_default();
                    let automatic = row.opt("IsAutomaticSnapshot", own);
                    let (settings, parent) =
                        self.settings(row, Kind::Checkpoint, vm, configurations);
                    let checkpoint = Checkpoint {
                        id,
                        kind,
                        parent: Parent::Unknown,
                        automatic,
                        settings,
                    };
                    self.checkpoints
                        .entry(vm)
                        .or_default()
                        .push((checkpoint, parent));
                }
                (SettingsKind::Machine | SettingsKind::Checkpoint(_), ..) => stray.push(row.id()),
            }
        }
        for instance_id in stray {
            notes.push(Finding::StrayCheckpoint {
                checkpoint: instance_id,
            });
        }
        // An import's checkpoints are its own affair.
        self.checkpoints.retain(|vm, _| !planned_ids.contains(vm));
        planned.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        planned
    }

    fn settings(
        &mut self,
        row: Row<'_>,
        kind: Kind,
        vm: Uuid,
        configurations: &Configurations<'_>,
    ) -> (Settings, ToldParent) {
        let notes = self.notes.entry(vm).or_default();
        let rows = configurations.rows(row, notes);
        let settings = settings::read(row, kind, &rows, &self.host.switches, notes);
        let parent = match row.text("Parent", notes) {
            None => ToldParent::None,
            Some(path) => {
                let id = ids::path_key(&path);
                let id = id.as_deref().and_then(ids::configuration);
                let odd = || ToldParent::Odd(path.chars().take(200).collect());
                id.map_or_else(odd, ToldParent::Id)
            }
        };
        (settings, parent)
    }

    fn machine(&mut self, id: Uuid, row: Row<'_>) -> Machine {
        let mut notes = self.notes.remove(&id).unwrap_or_default();
        let (settings, told) = self.settings.remove(&id).unwrap_or_else(|| {
            notes.push(Finding::NoSettings);
            let mut settings = Settings::default();
            settings.config.name = row.text("ElementName", &mut notes).unwrap_or_default();
            settings.config.id = Some(id);
            (settings, ToldParent::Untold)
        });
        let checkpoints = self.checkpoints.remove(&id).unwrap_or_default();
        let (checkpoints, parent) = checkpoint::settle(checkpoints, &told, &mut notes);
        let status: Vec<u16> = row.list("OperationalStatus", &mut notes);
        let mode: Option<u16> = row.opt("ReplicationMode", &mut notes);
        let last_backup: Option<Timestamp> = row.opt("LastSuccessfulBackupTime", &mut notes);
        let cluster = self.roles.remove(&id);
        let state: Option<u16> = row.opt("EnabledState", &mut notes);
        let health: Option<u16> = row.opt("HealthState", &mut notes);
        let mut machine = Machine {
            id,
            state: state.map(PowerState::from_number).unwrap_or_default(),
            health: health.map(Health::from_number).unwrap_or_default(),
            operation: status.get(1).copied().and_then(Operation::from_number),
            settings,
            checkpoints,
            parent,
            reference_points: self.reference_points.remove(&id).unwrap_or_default(),
            replication: Replication {
                mode: mode.map(ReplicationMode::from_number).unwrap_or_default(),
                relationships: self.relationships.remove(&id).unwrap_or_default(),
            },
            guest: self.guests.remove(&id).unwrap_or_default(),
            last_backup: last_backup
                .filter(|at| !at.is_never())
                .map(Timestamp::instant),
            cluster,
            findings: Vec::new(),
        };
        if machine.cluster.is_some() {
            machine.settings.config.highly_available = Some(true);
        }
        machine.findings = notes.into_findings();
        machine
    }

    /// What belongs to a VM that the host does not tell of otherwise.
    fn leftovers(&mut self, notes: &mut Notes) {
        let mut left: Vec<_> = self.settings.drain().collect();
        left.sort_by_key(|(id, _)| *id);
        for (id, (settings, _)) in left {
            let name = settings.config.name;
            notes.push(Finding::NoMachine { id, name });
        }
        let stray = self.checkpoints.drain().flat_map(|(_, all)| all);
        let mut stray: Vec<String> = stray.map(|(c, _)| c.settings.instance_id).collect();
        stray.sort();
        for checkpoint in stray {
            notes.push(Finding::StrayCheckpoint { checkpoint });
        }
    }
}
