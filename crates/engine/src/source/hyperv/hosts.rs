//! Several hosts in one run: the nodes of a cluster, both sides of a replication, or just several.
//!
//! A VM that several of them have is backed up once ([`hyperv::replication::sides`]). Each host has its
//! own journal and is put right by itself; one that fails keeps nobody from the others, and is told.
//! A VM that its cluster has moved since the hosts were looked at is taken where it is now. Where only some
//! nodes of a cluster were named, what these have is listed: it is followed to all others, but not begun
//! there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperv::cluster::Cluster;
use hyperv::replication::{Choice, Prefer, Seen, Why, sides};
use uuid::Uuid;

use super::{HostSource, left, vm_ref};
use crate::finding::{Code, Finding, Severity};
use crate::select::Disks;
use crate::source::{
    Early, FrozenVm, HostLatency, Listing, Memory, Request, Source, SourceError, VmRef,
};

/// The VMs of several hosts.
pub struct Hosts {
    hosts: Vec<One>,
    prefer: Prefer,
    /// What was noticed before.
    findings: Vec<Finding>,
    /// Where each VM was when the hosts were looked at, and what is to be said of that.
    places: Mutex<HashMap<Uuid, (usize, Vec<Finding>)>>,
}

struct One {
    source: HostSource,
    /// Its run has begun, so it has to end.
    begun: bool,
}

impl Hosts {
    /// Of these hosts, each under a name of its own. `findings` tell of others that could not even be
    /// spoken to.
    pub fn new(hosts: Vec<HostSource>, prefer: Prefer, findings: Vec<Finding>) -> Self {
        let mut all: Vec<One> = Vec::new();
        for mut source in hosts {
            // Nodes of a cluster read of the same volumes.
            let same = |one: &&One| match (one.source.node(), source.node()) {
                (Some((one, _)), Some((other, _))) => Arc::ptr_eq(one, other),
                _ => false,
            };
            if let Some(one) = all.iter().find(same) {
                source.share(&one.source);
            }
            let begun = false;
            all.push(One { source, begun });
        }
        Self {
            hosts: all,
            prefer,
            findings,
            places: Mutex::default(),
        }
    }

    /// What there is to say of a VM that several hosts have.
    fn choose(
        &self,
        choice: &Choice,
        findings: &mut Vec<Finding>,
    ) -> Option<(String, Vec<Finding>)> {
        let taken = choice.taken.first()?;
        let note = |text: String| Finding::note(Code::HostNote, choice.name.clone(), text);
        let mut told = Vec::new();
        if !matches!(taken.why, Why::Only) {
            told.push(note(format!(
                "backed up on {}: {}",
                taken.side.host, taken.why
            )));
        }
        told.extend(choice.left_out.iter().map(|side| {
            note(format!(
                "{} has it as well, and it is not backed up there",
                side.host
            ))
        }));
        // A vault knows a VM by its id.
        findings.extend(choice.taken.iter().skip(1).map(|other| {
            Finding::new(
                Code::DuplicateId,
                Severity::Partial,
                choice.name.clone(),
                format!(
                    "the VM of this id on {} is not backed up: {}",
                    other.side.host,
                    "that on another host has the same id, and nothing says that they are the same"
                ),
            )
            .hint("back it up into another vault, or import it there with a new id")
        }));
        Some((taken.side.host.clone(), told))
    }

    /// VMs that a cluster keeps on nodes that are meant, and that no node has told of. What is given
    /// back are the nodes that may well have none, by their places.
    fn not_seen(&self, findings: &mut Vec<Finding>) -> Vec<usize> {
        let mut idle = Vec::new();
        let mut asked: Vec<(&Arc<Cluster>, bool)> = Vec::new();
        for source in self.hosts.iter().map(|one| &one.source) {
            let Some((cluster, _)) = source.node() else {
                continue;
            };
            let mut known = asked.iter_mut();
            match known.find(|(known, _)| Arc::ptr_eq(known, cluster)) {
                Some((_, all)) => *all |= source.is_of_all(),
                None => asked.push((cluster, source.is_of_all())),
            }
        }
        for (cluster, all) in asked {
            let roles = match cluster.roles() {
                Ok(roles) => roles,
                Err(error) => {
                    let text = format!("which VMs it keeps is not known: {error}");
                    let finding =
                        Finding::new(Code::HostNote, Severity::Warning, cluster.name(), text);
                    findings.push(finding.hint("see whether its service runs on the nodes"));
                    continue;
                }
            };
            let owns = |node: &str| {
                let mut owners = roles.values().filter_map(|role| role.owner.as_deref());
                owners.any(|owner| hyperv::same_host(owner, node))
            };
            let of_it = self.hosts.iter().enumerate().filter(|(_, one)| {
                let node = one.source.node();
                node.is_some_and(|(of, name)| Arc::ptr_eq(of, cluster) && !owns(name))
            });
            let may_be_empty: Vec<usize> = of_it.map(|(at, _)| at).collect();
            let told = findings.len();
            let is_meant = |owner: &Option<String>| {
                all || owner
                    .as_ref()
                    .is_some_and(|owner| self.node(owner).is_some())
            };
            let mut missing: Vec<_> = roles.into_iter().collect();
            missing.retain(|(vm, role)| {
                is_meant(&role.owner) && !self.hosts.iter().any(|one| one.source.has(*vm))
            });
            missing.sort_by_key(|(vm, _)| *vm);
            for (vm, role) in missing {
                // It may have gone to a node that had been asked.
                let owner = role.owner.as_deref();
                let at = owner.and_then(|owner| self.node(owner));
                let again = at.and_then(|at| self.hosts.get(at));
                if again.is_some_and(|one| one.source.inventory(true).is_ok() && one.source.has(vm))
                {
                    continue;
                }
                let on = owner.unwrap_or("no node");
                findings.push(
                    Finding::new(
                        Code::NotCovered,
                        Severity::Partial,
                        role.resource,
                        format!(
                            "the cluster {} keeps it on {on}, which does not tell of it",
                            cluster.name()
                        ),
                    )
                    .hint("see that the node is up and can be reached by its name"),
                );
            }
            if told == findings.len() {
                idle.extend(may_be_empty);
            }
        }
        idle
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Uuid, (usize, Vec<Finding>)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host that is the node of this name.
    fn node(&self, name: &str) -> Option<usize> {
        let is = |one: &One| {
            let node = one.source.node();
            one.begun && node.is_some_and(|(_, node)| hyperv::same_host(node, name))
        };
        self.hosts.iter().position(is)
    }

    /// Where a VM is now, by its cluster or as it was seen; `None` if nobody has seen it.
    ///
    /// # Errors
    /// When that is a node whose VMs are not backed up here.
    fn place(&self, vm: &VmRef) -> Result<Option<usize>, SourceError> {
        let seen = self.places().get(&vm.id).map(|(at, _)| *at);
        let source = seen.and_then(|at| Some(&self.hosts.get(at)?.source));
        let Some((source, (cluster, _))) = source.and_then(|source| Some((source, source.node()?)))
        else {
            return Ok(seen);
        };
        let role = cluster.role(vm.id, None).ok().flatten();
        let Some(owner) = role.and_then(|role| role.owner) else {
            return Ok(seen);
        };
        let (why, hint) = match (self.node(&owner), source.is_of_all()) {
            (Some(at), _) => return Ok(Some(at)),
            (None, true) => (
                "which could not be reached",
                "see that the node is up and can be reached by its name",
            ),
            (None, false) => (
                "which this does not back up",
                "name that node as well, or the cluster for all of its nodes",
            ),
        };
        let message = format!("its cluster has moved it to {owner}, {why}");
        Err(SourceError::new(vm.name.clone(), message, hint))
    }
}

impl Source for Hosts {
    fn describe(&self) -> String {
        let names = self.hosts.iter().map(|one| one.source.describe());
        names.collect::<Vec<_>>().join(", ")
    }

    fn origin(&self, vm: &VmRef) -> String {
        let place = self.places().get(&vm.id).map(|(at, _)| *at);
        let one = place.and_then(|at| self.hosts.get(at));
        one.map_or_else(|| self.describe(), |one| one.source.describe())
    }

    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        let mut findings = std::mem::take(&mut self.findings);
        let (mut first, mut any) = (None, false);
        for one in &mut self.hosts {
            match one.source.begin(memory) {
                Ok(told) => {
                    (one.begun, any) = (true, true);
                    findings.extend(told);
                }
                Err(error) => {
                    findings.push(failed(&error));
                    first = first.or(Some(error));
                }
            }
        }
        match first {
            Some(error) if !any => Err(error),
            _ => Ok(findings),
        }
    }

    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        // Hosts merge side by side: whoever was waited for longest has given the others time.
        let mut time = left::MERGES;
        let mut findings = Vec::new();
        for one in self.hosts.iter().filter(|one| one.begun) {
            findings.extend(one.source.await_merges(&mut time));
        }
        for one in self.hosts.iter_mut().filter(|one| one.begun) {
            findings.extend(one.source.settle(memory));
        }
        findings
    }

    fn latency(&self) -> Vec<HostLatency> {
        let hosts = self.hosts.iter();
        hosts.flat_map(|one| one.source.latency()).collect()
    }

    fn list(&mut self) -> Result<Listing, SourceError> {
        let mut findings = Vec::new();
        let (mut first, mut listed) = (None, 0_usize);
        for one in self.hosts.iter_mut().filter(|one| one.begun) {
            match one.source.list() {
                Ok(listing) => {
                    findings.extend(listing.findings);
                    listed += 1;
                }
                Err(error) => {
                    findings.push(failed(&error));
                    first = first.or(Some(error));
                }
            }
        }
        if let (Some(error), 0) = (first, listed) {
            return Err(error);
        }
        let idle = self.not_seen(&mut findings);
        let hosts = self.hosts.iter().enumerate();
        let unseen = hosts.filter(|(at, one)| one.begun && !idle.contains(at));
        findings.extend(unseen.flat_map(|(_, one)| one.source.no_machines()));
        let names: Vec<String> = self.hosts.iter().map(|one| one.source.describe()).collect();
        let seen = self
            .hosts
            .iter()
            .zip(&names)
            .filter_map(|(one, name)| Some((name.as_str(), one.source.seen()?)));
        let seen: Vec<_> = seen.collect();
        let seen: Vec<Seen<'_>> = seen
            .iter()
            .map(|(host, inventory)| Seen { host, inventory })
            .collect();
        let (mut vms, mut places) = (Vec::new(), HashMap::new());
        for choice in sides(&seen, self.prefer) {
            let Some((host, told)) = self.choose(&choice, &mut findings) else {
                continue;
            };
            for side in &choice.left_out {
                // What an earlier backup asked by, which was made there, nobody asks by any more.
                let mut hosts = self.hosts.iter().zip(&names);
                if let Some((one, _)) = hosts.find(|(_, name)| **name == side.host) {
                    one.source.sees_points(choice.vm, None);
                }
            }
            let Some(at) = names.iter().position(|name| *name == host) else {
                continue;
            };
            let inventory = self.hosts.get(at).and_then(|one| one.source.seen());
            let machine = inventory.and_then(|all| all.machine(choice.vm).map(vm_ref));
            let Some(vm) = machine else {
                continue;
            };
            vms.push(vm);
            places.insert(choice.vm, (at, told));
        }
        *self.places() = places;
        Ok(Listing { vms, findings })
    }

    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        // Where it is not to be told, making it hold still says why.
        let one = self
            .place(vm)
            .ok()
            .flatten()
            .and_then(|at| self.hosts.get(at));
        match one {
            Some(one) => one.source.early(vm, disks, stopped),
            None => (!stopped()).then(Early::default),
        }
    }

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let now = self.place(vm)?;
        let mut told = Vec::new();
        if let Some((seen, known)) = self.places().get_mut(&vm.id) {
            told.clone_from(known);
            // What is told of it, and where it is said to be from.
            *seen = now.unwrap_or(*seen);
        }
        let gone = || {
            SourceError::new(
                vm.name.clone(),
                "no host has it any more",
                "it was removed or has moved: run the backup again",
            )
        };
        let one = now.and_then(|at| self.hosts.get(at)).ok_or_else(gone)?;
        one.source.turn(vm, request, told)
    }
}

/// A host that cannot be backed up, where others can.
fn failed(error: &SourceError) -> Finding {
    let message = format!("nothing of it is backed up: {}", error.message);
    Finding::new(error.code, Severity::Error, error.object.clone(), message)
        .hint(error.hint.clone())
}
