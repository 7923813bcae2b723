//! What there is on all nodes of a cluster.

use cim::CimError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cluster, Node, NodeState, SharedVolumes};
use crate::ids::same_host;
use crate::inventory::{self, ClusterRole, Inventory};
use crate::replication::Seen;

/// What there is on all nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// The cluster's name.
    pub cluster: String,
    /// Its nodes, in the order of their names.
    pub nodes: Vec<SurveyedNode>,
    /// VMs that the cluster keeps and that no node has told of.
    pub missing: Vec<Missing>,
    /// The volumes that all nodes share.
    pub volumes: SharedVolumes,
}

/// A node with what is on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurveyedNode {
    /// The node.
    pub node: Node,
    /// What is on it, or why that is not known.
    pub inventory: Result<Inventory, NotAsked>,
}

/// Why a node's inventory is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotAsked {
    /// What was in the way.
    pub why: String,
}

/// A VM that the cluster keeps and that no node has told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The VM.
    pub vm: Uuid,
    /// What the cluster tells of it.
    pub role: ClusterRole,
}

impl Cluster {
    /// Takes the inventories of all nodes. A VM that moved from a node that was still to be asked
    /// to one that had been is looked for once more at its owner.
    ///
    /// # Errors
    /// When no node tells of the cluster. A node that cannot be asked is told in its place.
    pub fn survey(&self) -> Result<Survey, CimError> {
        let nodes = self.nodes()?.into_iter().map(|node| SurveyedNode {
            inventory: self.inventory(&node),
            node,
        });
        let mut nodes: Vec<SurveyedNode> = nodes.collect();
        let mut missing = self.missing(&nodes)?;
        for node in &mut nodes {
            let name = &node.node.name;
            let owns = |missing: &Missing| {
                let owner = missing.role.owner.as_deref();
                owner.is_some_and(|owner| same_host(owner, name))
            };
            if missing.iter().any(owns)
                && let Ok(again) = self.inventory(&node.node)
            {
                node.inventory = Ok(again);
            }
        }
        if !missing.is_empty() {
            missing = self.missing(&nodes)?;
        }
        Ok(Survey {
            cluster: self.name().to_owned(),
            nodes,
            missing,
            volumes: self.volumes()?,
        })
    }

    fn inventory(&self, node: &Node) -> Result<Inventory, NotAsked> {
        if node.state == NodeState::Down {
            let why = "the node is down".to_owned();
            return Err(NotAsked { why });
        }
        let session = self.session(&node.name);
        let taken = session.and_then(|session| inventory::take(session.as_ref()));
        taken.map_err(|error| NotAsked {
            why: error.to_string(),
        })
    }

    /// The VMs of the cluster that are in no inventory, in the order of their ids.
    fn missing(&self, nodes: &[SurveyedNode]) -> Result<Vec<Missing>, CimError> {
        let told = |vm: Uuid| {
            let mut all = nodes.iter().filter_map(|node| node.inventory.as_ref().ok());
            all.any(|inventory| inventory.machine(vm).is_some())
        };
        let roles = self.roles()?.into_iter();
        let missing = roles.filter(|(vm, _)| !told(*vm));
        let mut missing: Vec<Missing> = missing.map(|(vm, role)| Missing { vm, role }).collect();
        missing.sort_by_key(|missing| missing.vm);
        Ok(missing)
    }
}

impl Survey {
    /// The nodes that told what is on them, for [`crate::replication::sides`].
    pub fn seen(&self) -> Vec<Seen<'_>> {
        let nodes = self.nodes.iter();
        let seen = nodes.filter_map(|node| {
            Some(Seen {
                host: &node.node.name,
                inventory: node.inventory.as_ref().ok()?,
            })
        });
        seen.collect()
    }
}
