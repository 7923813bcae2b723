//! Failover clusters: which role of the cluster a VM is, and which node owns it.

use std::collections::{HashMap, HashSet};

use cim::Instance;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::{Finding, Notes};
use super::row::Row;
use crate::ids;

/// A VM's role in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRole {
    /// The resource's name, which need not tell the VM's.
    pub resource: String,
    /// The group that the resource is in.
    pub group: Option<String>,
    /// The node that owns the VM now. It may be another one in a moment.
    pub owner: Option<String>,
    /// The resource's state, as the cluster's number.
    pub state: Option<u32>,
}

/// Roles by VM. Names drift, so the VM's id is what joins; a role without one is a finding.
pub(crate) fn roles(rows: &[Instance], notes: &mut Notes) -> HashMap<Uuid, ClusterRole> {
    let mut found = HashMap::new();
    for row in rows {
        let row = Row(row);
        let role = ClusterRole {
            resource: row.text("Name", notes).unwrap_or_default(),
            group: row.text("OwnerGroup", notes),
            owner: row.text("OwnerNode", notes),
            state: row.opt("State", notes),
        };
        match machine(row, notes) {
            Some(vm) => _ = found.insert(vm, role),
            None => notes.push(Finding::UnknownRole {
                role: role.resource,
            }),
        }
    }
    found
}

/// The VM's id among the private properties. Its name there is common practice and documented
/// nowhere: where it is none of theirs, the only id that is among them is the VM's. Should it be
/// something else's, the VM is told as one that no node has, and not just forgotten.
fn machine(row: Row<'_>, notes: &mut Notes) -> Option<Uuid> {
    let private: Option<Instance> = row.opt("PrivateProperties", notes);
    let private = private?;
    if private.has("VmID") {
        return Row(&private).parsed("VmID", ids::guid, notes);
    }
    let properties = private.properties().iter();
    let texts = properties.filter_map(|p| private.get_opt::<String>(&p.name).ok().flatten());
    let found: HashSet<Uuid> = texts.filter_map(|text| ids::guid(&text)).collect();
    let mut found = found.into_iter();
    found.next().filter(|_| found.next().is_none())
}
