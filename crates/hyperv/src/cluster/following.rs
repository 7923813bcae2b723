//! A session to whichever node owns a VM.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::job::Pace;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Class, Instance, Invoked, MethodResult, ObjectPath};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cluster, lock};
use crate::ids::{fold, guid, same_host};

/// Looks for a VM that its owner does not have (yet), and the wait between two.
const LOOKS: u32 = 5;
const WAIT: Duration = Duration::from_secs(2);

/// A session that follows a VM. Calls about jobs go to the node that began them, and those about an
/// object whose path names its host go to that one; all others to the one that owns the VM.
pub struct Following {
    cluster: Arc<Cluster>,
    vm: Uuid,
    pace: Arc<dyn Pace + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    resource: Option<String>,
    node: String,
    moves: Vec<Move>,
    /// The node of each job that was begun here, by its path.
    jobs: HashMap<String, String>,
    doubts: Vec<String>,
}

/// A VM was seen on another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Where it was.
    pub from: String,
    /// Where it was seen next.
    pub to: String,
}

type Session = Arc<dyn CimSession>;

impl Cluster {
    /// A session that follows a VM; `None` if the cluster does not keep it or does not say where
    /// it is.
    ///
    /// # Errors
    /// When no node can be asked.
    pub fn follow(
        self: &Arc<Self>,
        vm: Uuid,
        pace: Arc<dyn Pace + Send + Sync>,
    ) -> Result<Option<Following>, CimError> {
        let Some(role) = self.role(vm, None)? else {
            return Ok(None);
        };
        let Some(node) = role.owner else {
            return Ok(None);
        };
        let state = State {
            resource: Some(role.resource),
            node,
            moves: Vec::new(),
            jobs: HashMap::new(),
            doubts: Vec::new(),
        };
        Ok(Some(Following {
            cluster: self.clone(),
            vm,
            pace,
            state: Mutex::new(state),
        }))
    }
}

impl Following {
    /// The node that had the VM last.
    pub fn node(&self) -> String {
        lock(&self.state).node.clone()
    }

    /// The moves that were seen so far.
    pub fn moves(&self) -> Vec<Move> {
        lock(&self.state).moves.clone()
    }

    /// What the cluster did not tell when it was asked for the owner. Taken out.
    pub fn take_doubts(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).doubts)
    }

    /// The owner just now, with its session.
    fn owner(&self) -> Result<(String, Session), CimError> {
        let resource = lock(&self.state).resource.clone();
        let told = self.cluster.role(self.vm, resource.as_deref());
        let node = {
            let mut state = lock(&self.state);
            let last = state.node.clone();
            match told {
                Ok(Some(role)) => {
                    state.resource = Some(role.resource);
                    let node = role.owner.unwrap_or_else(|| last.clone());
                    if !same_host(&node, &last) {
                        state.node.clone_from(&node);
                        let (from, to) = (last, node.clone());
                        state.moves.push(Move { from, to });
                    }
                    node
                }
                Ok(None) => {
                    state.doubt("the cluster does not keep the VM any more".to_owned());
                    last
                }
                Err(error) => {
                    state.doubt(format!(
                        "the cluster does not tell where the VM is: {error}"
                    ));
                    last
                }
            }
        };
        Ok((node.clone(), self.cluster.session(&node)?))
    }

    /// Asks the owner. What is not found there is asked for again if it is the VM itself, which
    /// may be between two nodes, or has another owner by now. The same goes for an answer that has
    /// nothing in it: a node that has just let go of a VM knows the object and nothing around it.
    fn ask<T>(
        &self,
        of: Option<&ObjectPath>,
        ask: impl Fn(&dyn CimSession) -> Result<T, CimError>,
        is_empty: impl Fn(&T) -> bool,
    ) -> Result<T, CimError> {
        if let Some(node) = of.and_then(|path| self.node_of(path)) {
            return ask(self.cluster.session(&node)?.as_ref());
        }
        let is_vm = of.is_some_and(|path| self.is_vm(path));
        let mut looks = 1;
        loop {
            let (node, session) = self.owner()?;
            let answer = ask(session.as_ref());
            let missing = match &answer {
                Err(error) if error.is_not_found() => true,
                Ok(answer) if is_empty(answer) => false,
                _ => return answer,
            };
            let (now, _) = self.owner()?;
            let moved = !same_host(&now, &node);
            if looks >= LOOKS || !(moved || is_vm && missing) || self.pace.cancelled() {
                return answer;
            }
            looks += 1;
            if !moved {
                self.pace.sleep(WAIT);
            }
        }
    }

    fn is_vm(&self, path: &ObjectPath) -> bool {
        let named = || path.key("Name").and_then(|name| guid(&name));
        path.class.eq_ignore_ascii_case("Msvm_ComputerSystem") && named() == Some(self.vm)
    }

    /// The node that alone can be asked about an object.
    fn node_of(&self, path: &ObjectPath) -> Option<String> {
        self.node_of_job(path).or_else(|| self.named(path))
    }

    /// The node that a path names, as the cluster spells it.
    fn named(&self, path: &ObjectPath) -> Option<String> {
        let host = path.host.as_ref()?;
        Some(self.cluster.spelt(host))
    }

    fn node_of_job(&self, path: &ObjectPath) -> Option<String> {
        let id = path.key("InstanceID")?;
        lock(&self.state).jobs.get(&fold(&id)).cloned()
    }

    /// A service of one node is not known to another: the same one of this node.
    fn target(
        &self,
        target: &ObjectPath,
        (node, session): (&str, &dyn CimSession),
    ) -> Result<ObjectPath, CimError> {
        match target.key("SystemName") {
            Some(system) if !same_host(&system, node) => {}
            _ => return Ok(target.clone()),
        }
        let wql = format!("SELECT * FROM {}", target.class);
        let mut found = session.query_paths(cim::path::HYPER_V, &wql)?;
        Ok(match (found.pop(), found.is_empty()) {
            (Some(own), true) => own,
            _ => target.clone(),
        })
    }
}

impl State {
    fn doubt(&mut self, doubt: String) {
        if self.doubts.last() != Some(&doubt) && self.doubts.len() < 100 {
            self.doubts.push(doubt);
        }
    }
}

impl CimSession for Following {
    fn get(&self, path: &ObjectPath) -> Result<Instance, CimError> {
        self.ask(Some(path), |session| session.get(path), |_| false)
    }

    fn query(&self, namespace: &str, wql: &str) -> Result<Vec<Instance>, CimError> {
        let ask = |session: &dyn CimSession| session.query(namespace, wql);
        self.ask(None, ask, Vec::is_empty)
    }

    fn query_paths(&self, namespace: &str, wql: &str) -> Result<Vec<ObjectPath>, CimError> {
        // Of which node it is asked once more is decided then.
        let anywhere = |path| ObjectPath { host: None, ..path };
        let ask = |session: &dyn CimSession| session.query_paths(namespace, wql);
        let found = self.ask(None, ask, Vec::is_empty)?;
        Ok(found.into_iter().map(anywhere).collect())
    }

    fn associators(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        let ask = |session: &dyn CimSession| session.associators(which);
        self.ask(Some(&which.of), ask, Vec::is_empty)
    }

    fn references(&self, which: &Associations) -> Result<Vec<Instance>, CimError> {
        let ask = |session: &dyn CimSession| session.references(which);
        self.ask(Some(&which.of), ask, Vec::is_empty)
    }

    /// A node that surely has not done it, since the VM is another's by now, is not the last word.
    fn invoke(
        &self,
        path: &ObjectPath,
        method: &str,
        inputs: &Instance,
    ) -> Result<MethodResult, CimError> {
        if let Some(node) = self.node_of_job(path) {
            return self.cluster.session(&node)?.invoke(path, method, inputs);
        }
        let mut looks = 1;
        loop {
            let (node, session) = match self.named(path) {
                Some(node) => (node.clone(), self.cluster.session(&node)?),
                None => self.owner()?,
            };
            let target = self.target(path, (&node, session.as_ref()))?;
            let answer = session.invoke(&target, method, inputs);
            let not_done = match &answer {
                Ok(result) => match result.outcome() {
                    Ok(Invoked::Job(job)) => {
                        if let Some(id) = job.key("InstanceID") {
                            lock(&self.state).jobs.insert(fold(&id), node);
                        }
                        return answer;
                    }
                    Ok(Invoked::Refused(_)) => true,
                    Ok(Invoked::Done) | Err(_) => return answer,
                },
                Err(error) => error.is_not_found() && !error.may_have_happened(),
            };
            if !not_done || looks >= LOOKS || path.host.is_some() {
                return answer;
            }
            let (now, _) = self.owner()?;
            if same_host(&now, &node) {
                return answer;
            }
            looks += 1;
        }
    }

    fn class(&self, namespace: &str, name: &str) -> Result<Arc<Class>, CimError> {
        self.ask(None, |session| session.class(namespace, name), |_| false)
    }
}
