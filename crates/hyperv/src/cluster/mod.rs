//! VMs that a failover cluster keeps running: on one of its nodes, and soon perhaps on another.
//!
//! ```text
//! Cluster ─► survey: the inventories of all nodes, and what is on none of them
//!        └─► follow: a session that asks whichever node owns one VM, looked up before each call
//! ```
//!
//! What is begun over a [`Following`] session goes on over it when the VM has moved: its
//! checkpoint is removed or converted where the VM is now. Disks on the cluster's shared volumes
//! have the same paths on every node ([`SharedVolumes`]).
//!
//! Invariants:
//!
//! - The owner is what the cluster says just before a call, never what it was a while ago. When
//!   the cluster cannot be asked, the node that had the VM last is.
//! - A call that changes something is sent to another node only when the first surely has not done
//!   it. What is not known is told as not known; the journal keeps it.
//! - A node that cannot be asked, and a VM that is on no node that could, is told and never just
//!   missing.

mod following;
mod survey;
mod volumes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use following::{Following, Move};
pub use survey::{Missing, NotAsked, Survey, SurveyedNode};
pub use volumes::SharedVolumes;

use crate::ids::{fold, same_host};
use crate::inventory::{ClusterRole, Notes, cluster_roles};

/// Where clusters are told of.
const NAMESPACE: &str = "root/MSCluster";
/// The resources that are VMs; the text is the same in every language. Others are their
/// configurations.
const VIRTUAL_MACHINES: &str = "SELECT * FROM MSCluster_Resource WHERE Type='Virtual Machine'";

/// Opens a session to the node of a name, as the cluster spells it.
pub type Sessions = Arc<dyn Fn(&str) -> Result<Arc<dyn CimSession>, CimError> + Send + Sync>;

/// A failover cluster.
pub struct Cluster {
    name: String,
    sessions: Sessions,
    open: Mutex<HashMap<String, Arc<dyn CimSession>>>,
    /// Names of nodes; the one that answered last is asked first.
    nodes: Mutex<Vec<String>>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: NodeState,
}

/// What a node does (`MSCluster_Node.State`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "number", rename_all = "kebab-case")]
pub enum NodeState {
    /// It takes part.
    Up,
    /// It does not.
    Down,
    /// It takes part, and gets no more VMs.
    Paused,
    /// It is about to take part.
    Joining,
    /// Something else.
    Other(u32),
    /// The cluster does not tell.
    #[default]
    Unknown,
}

impl NodeState {
    fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Up,
            1 => Self::Down,
            2 => Self::Paused,
            3 => Self::Joining,
            other => Self::Other(other),
        }
    }
}

impl Cluster {
    /// The cluster that a host is a node of; `None` if it is of none. `host` is a name that
    /// `sessions` understands, and need not be one that the cluster uses.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn find(host: &str, sessions: Sessions) -> Result<Option<Self>, CimError> {
        let session = sessions(host)?;
        let rows = match session.query(NAMESPACE, "SELECT * FROM MSCluster_Cluster") {
            Ok(rows) => rows,
            Err(error) => match error.fault_kind() {
                // Windows calls a class of a namespace that it lacks a resource that is not there.
                Some(FaultKind::NoNamespace | FaultKind::NoClass | FaultKind::NotFound) => {
                    return Ok(None);
                }
                _ => return Err(error),
            },
        };
        let Some(name) = rows.first().and_then(|row| text(row, "Name")) else {
            return Ok(None);
        };
        let cluster = Self {
            name,
            open: Mutex::new(HashMap::from([(fold(host), session)])),
            nodes: Mutex::new(vec![host.to_owned()]),
            sessions,
        };
        let nodes = cluster.nodes()?;
        let known = nodes.into_iter().map(|node| node.name);
        let known: Vec<String> = known.filter(|name| fold(name) != fold(host)).collect();
        lock(&cluster.nodes).extend(known);
        Ok(Some(cluster))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its nodes, in the order of their names.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn nodes(&self) -> Result<Vec<Node>, CimError> {
        let rows = self.ask("SELECT * FROM MSCluster_Node")?;
        let node = |row: &Instance| {
            let state: Option<u32> = row.get_opt("State").ok().flatten();
            Some(Node {
                name: text(row, "Name")?,
                state: state.map(NodeState::from_number).unwrap_or_default(),
            })
        };
        let mut nodes: Vec<Node> = rows.iter().filter_map(node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes.dedup_by(|a, b| fold(&a.name) == fold(&b.name));
        Ok(nodes)
    }

    /// The VMs that it keeps running, by their ids.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn roles(&self) -> Result<HashMap<Uuid, ClusterRole>, CimError> {
        let rows = self.ask(VIRTUAL_MACHINES)?;
        Ok(cluster_roles(&rows, &mut Notes::default()))
    }

    /// What the cluster says of one VM just now; `None` if it does not keep it. `resource` is the
    /// name that its resource had last, if that is known: then only that one is asked for.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn role(&self, vm: Uuid, resource: Option<&str>) -> Result<Option<ClusterRole>, CimError> {
        if let Some(name) = resource.filter(|name| !name.is_empty()) {
            let name = name.replace('\\', "\\\\").replace('\'', "\\'");
            let rows = self.ask(&format!("{VIRTUAL_MACHINES} AND Name='{name}'"))?;
            let mut found = cluster_roles(&rows, &mut Notes::default());
            if let Some(role) = found.remove(&vm) {
                return Ok(Some(role));
            }
        }
        Ok(self.roles()?.remove(&vm))
    }

    /// The volumes that all nodes share.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn volumes(&self) -> Result<SharedVolumes, CimError> {
        let rows = self.ask("SELECT * FROM MSCluster_ClusterSharedVolume")?;
        Ok(SharedVolumes::read(&rows))
    }

    /// The name of a node as the cluster has it: hosts call themselves by it with or without a domain.
    pub(super) fn spelt(&self, host: &str) -> String {
        let nodes = lock(&self.nodes);
        let known = nodes.iter().find(|known| same_host(known, host));
        known.map_or(host, String::as_str).to_owned()
    }

    /// The session to a node, opened once.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn session(&self, node: &str) -> Result<Arc<dyn CimSession>, CimError> {
        if let Some(open) = lock(&self.open).get(&fold(node)) {
            return Ok(open.clone());
        }
        let session = (self.sessions)(node)?;
        lock(&self.open).insert(fold(node), session.clone());
        Ok(session)
    }

    /// The node of a name, as the cluster spells it.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn node(&self, name: &str) -> Result<Option<Node>, CimError> {
        let mut nodes = self.nodes()?.into_iter();
        Ok(nodes.find(|node| same_host(&node.name, name)))
    }

    /// A session to a node that is open already.
    pub fn add_session(&self, node: &str, session: Arc<dyn CimSession>) {
        lock(&self.open).insert(fold(node), session);
    }

    /// Asks whichever node answers about the cluster: the one that did last, first.
    fn ask(&self, wql: &str) -> Result<Vec<Instance>, CimError> {
        let nodes = lock(&self.nodes).clone();
        let mut failed = None;
        for (at, node) in nodes.iter().enumerate() {
            let asked = self
                .session(node)
                .and_then(|session| session.query(NAMESPACE, wql));
            match asked {
                Ok(rows) => {
                    if at > 0 {
                        lock(&self.nodes).sort_by_key(|known| known != node);
                    }
                    return Ok(rows);
                }
                // A node that has just been started does not know the cluster yet.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Vec::new()), Err)
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(row: &Instance, name: &str) -> Option<String> {
    let text: Option<String> = row.get_opt(name).ok().flatten();
    text.filter(|text| !text.is_empty())
}
