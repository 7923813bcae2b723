//! Hyper-V Replica: on which side a VM is, and how its replication goes.

use std::collections::HashMap;

use cim::Instance;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::Notes;
use super::row::Row;
use crate::ids;

/// The replication of a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// On which side the VM is.
    pub mode: ReplicationMode,
    /// Its relationships; there are two where a replica is replicated on.
    pub relationships: Vec<Relationship>,
}

/// On which side of a replication a VM is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", content = "number", rename_all = "kebab-case")]
pub enum ReplicationMode {
    /// It is not replicated.
    None,
    /// It runs here.
    Primary,
    /// It is the copy.
    Replica,
    /// It is a copy that was made to try it.
    TestReplica,
    /// It is the copy of a copy.
    ExtendedReplica,
    /// Something else.
    Other(u16),
    /// The host does not tell.
    #[default]
    Unknown,
}

impl ReplicationMode {
    /// The mode of a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Primary,
            2 => Self::Replica,
            3 => Self::TestReplica,
            4 => Self::ExtendedReplica,
            other => Self::Other(other),
        }
    }

    /// Whether the VM is a copy that changes only by what it receives.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Replica | Self::ExtendedReplica)
    }
}

/// One relationship of a replicated VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relationship {
    /// The host's name for it.
    pub instance_id: String,
    /// How far it is (`ReplicationState`): 3 replicating, 7 suspended, 8 critical.
    pub state: Option<u16>,
    /// How it is (`ReplicationHealth`): 1 well, 2 warning, 3 critical.
    pub health: Option<u16>,
}

impl Relationship {
    /// Whether a checkpoint would come in the way of what the replication does just now: copying
    /// for the first time, comparing anew, failing over or back, updating disks.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, Some(2 | 9..=16 | 18..=20))
    }
}

/// Relationships by VM, in the order of their names.
pub(super) fn relationships(
    rows: &[Instance],
    notes: &mut Notes,
) -> HashMap<Uuid, Vec<Relationship>> {
    let mut found: HashMap<Uuid, Vec<Relationship>> = HashMap::new();
    for row in rows {
        let row = Row(row);
        let instance_id = row.id();
        let Some(vm) = ids::configuration(&instance_id) else {
            row.note("its name does not tell a VM".to_owned(), notes);
            continue;
        };
        found.entry(vm).or_default().push(Relationship {
            instance_id,
            state: row.opt("ReplicationState", notes),
            health: row.opt("ReplicationHealth", notes),
        });
    }
    for all in found.values_mut() {
        all.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
    }
    found
}
