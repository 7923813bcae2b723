//! What will be done, in its order.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::Location;

use super::Point;
use super::boot;
use super::plan::{Parts, Way};
use super::request::{Identity, Request};
use crate::inventory::{Machine, PowerState, ReplicationMode};

/// One step. Each can be undone until the VM that is replaced is destroyed, and from then on by what
/// was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// The file of a disk is written.
    WriteDisk {
        /// Where it will be.
        to: String,
        /// Bytes that it takes at most.
        bytes: u64,
    },
    /// The configuration is written, with the new paths in it.
    WriteConfiguration {
        /// Its folder.
        folder: String,
    },
    /// The replication of the VM that is replaced is removed, for good.
    RemoveReplication {
        /// Its id.
        vm: Uuid,
    },
    /// The VM that is replaced is turned off.
    TurnOff {
        /// Its id.
        vm: Uuid,
    },
    /// Its configuration is exported without its disks: from there it comes back if need be.
    PutAside {
        /// Its id.
        vm: Uuid,
        /// The folder of the export.
        folder: String,
    },
    /// It is taken off the host. Its disks stay.
    Destroy {
        /// Its id.
        vm: Uuid,
    },
    /// The configuration is imported as a planned VM.
    Import {
        /// Whether with a new id.
        new_id: bool,
        /// Whether with its checkpoints.
        checkpoints: bool,
    },
    /// A planned VM is made anew.
    Define {
        /// Its generation.
        generation: u8,
    },
    /// It gets its name and folders.
    Name {
        /// The name.
        name: String,
    },
    /// A disk is attached.
    Attach {
        /// Where.
        location: Location,
        /// Its file.
        path: String,
    },
    /// A medium is taken out.
    TakeOut {
        /// Where.
        location: Location,
    },
    /// An adapter is connected, or is not.
    Connect {
        /// The adapter.
        adapter: String,
        /// The switch.
        switch: Option<String>,
        /// The VLAN.
        vlan: Option<u16>,
    },
    /// An adapter gets a new address.
    NewAddress {
        /// The adapter.
        adapter: String,
    },
    /// A VM of generation 2 that is made anew boots from these first.
    BootFrom {
        /// Places of drives, and adapters.
        order: Vec<String>,
    },
    /// Saved memory is dropped.
    DropSavedState,
    /// That of its checkpoints is.
    DropCheckpointMemory,
    /// The host looks whether it can be a VM.
    Validate,
    /// It becomes a VM.
    Realize,
    /// It is compared with what was planned.
    Verify,
    /// It is started.
    Start,
}

/// The folder in which the VM is put aside that another one in `folder` replaces.
pub(super) fn aside(folder: &str) -> String {
    format!("{folder} (replaced)")
}

/// The folder in which the VM in `folder` is put aside that a restore made and somebody takes back.
pub(super) fn undone(folder: &str) -> String {
    format!("{folder} (undone)")
}

pub(super) fn steps(
    point: &Point,
    request: &Request,
    replaced: Option<&Machine>,
    parts: &Parts,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for disk in &parts.disks {
        let (to, bytes) = (disk.to.clone(), disk.bytes);
        steps.push(Step::WriteDisk { to, bytes });
    }
    if parts.way == Way::Import {
        let folder = parts.folder.clone();
        steps.push(Step::WriteConfiguration { folder });
    }
    if let Some(machine) = replaced {
        let vm = machine.id;
        let mode = machine.replication.mode;
        if mode != ReplicationMode::None || !machine.replication.relationships.is_empty() {
            steps.push(Step::RemoveReplication { vm });
        }
        // One that is saved keeps what it has in memory.
        if !matches!(machine.state, PowerState::Off | PowerState::Saved) {
            steps.push(Step::TurnOff { vm });
        }
        // Beside the new one's folder: should it come back, it lives there.
        let folder = aside(&parts.folder);
        steps.push(Step::PutAside { vm, folder });
        steps.push(Step::Destroy { vm });
    }
    steps.push(match parts.way {
        Way::Import => Step::Import {
            new_id: request.identity == Identity::New,
            checkpoints: parts.checkpoints,
        },
        Way::Define => Step::Define {
            generation: match point.config.generation {
                vmconfig::model::Generation::One => 1,
                vmconfig::model::Generation::Two => 2,
            },
        },
    });
    let name = parts.name.clone();
    steps.push(Step::Name { name });
    for disk in parts.disks.iter().filter(|disk| disk.leaf) {
        let (location, path) = (disk.location, disk.to.clone());
        steps.push(Step::Attach { location, path });
    }
    if parts.way == Way::Import {
        let out = parts.taken_out.iter();
        steps.extend(out.map(|location| Step::TakeOut {
            location: *location,
        }));
    }
    for adapter in &parts.adapters {
        steps.push(Step::Connect {
            adapter: adapter.name.clone(),
            switch: adapter.switch.as_ref().map(|(_, name)| name.clone()),
            vlan: adapter.vlan,
        });
        if adapter.mac.is_none() {
            let adapter = adapter.name.clone();
            steps.push(Step::NewAddress { adapter });
        }
    }
    let order = boot::told(&point.config);
    if parts.way == Way::Define && !order.is_empty() {
        steps.push(Step::BootFrom { order });
    }
    if parts.drops_state {
        steps.push(Step::DropSavedState);
    }
    if parts.drops_checkpoint_memory {
        steps.push(Step::DropCheckpointMemory);
    }
    steps.extend([Step::Validate, Step::Realize, Step::Verify]);
    if request.start {
        steps.push(Step::Start);
    }
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteDisk { to, .. } => write!(f, "write {to}"),
            Self::WriteConfiguration { folder } => write!(f, "write its configuration to {folder}"),
            Self::TurnOff { vm } => write!(f, "turn off the VM {vm}"),
            Self::RemoveReplication { vm } => write!(f, "remove the replication of the VM {vm}"),
            Self::PutAside { vm, folder } => write!(f, "put the VM {vm} aside in {folder}"),
            Self::Destroy { vm } => write!(f, "take the VM {vm} off the host"),
            Self::Import { .. } => f.write_str("import its configuration"),
            Self::Define { generation } => write!(f, "make a VM of generation {generation}"),
            Self::Name { name } => write!(f, "call it {name:?}"),
            Self::Attach { location, path } => write!(f, "attach {path} at {location}"),
            Self::TakeOut { location } => write!(f, "take out what is at {location}"),
            Self::Connect {
                adapter, switch, ..
            } => match switch {
                Some(switch) => write!(f, "connect the adapter {adapter:?} to {switch:?}"),
                None => write!(f, "connect the adapter {adapter:?} to nothing"),
            },
            Self::NewAddress { adapter } => write!(f, "give the adapter {adapter:?} a new address"),
            Self::BootFrom { order } => write!(f, "boot from {}", order.join(", ")),
            Self::DropSavedState => f.write_str("drop its saved memory"),
            Self::DropCheckpointMemory => f.write_str("drop the saved memory of its checkpoints"),
            Self::Validate => f.write_str("let the host look whether it can be a VM"),
            Self::Realize => f.write_str("make a VM of it"),
            Self::Verify => f.write_str("compare it with what was planned"),
            Self::Start => f.write_str("start it"),
        }
    }
}
