//! From a scenario to a host.

mod mishap;
mod rules;
mod tree;
mod vm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{AccountSpec, ReplaySpec, Scenario, VolumeSpec};
use crate::clock::{Clock, Ids, counted_ids};
use crate::repository::Repository;
use crate::server::Account;
use crate::state::{Cluster, FileError, Files, Host, NewHost, Node, Switch, Volume};
use crate::wsman::{FaultStyle, Limits, Rights, Service};

/// Why there is no host of a scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file is no scenario.
    #[error("the scenario cannot be read: {0}")]
    File(#[from] serde_json::Error),
    /// A file of a VM cannot be made or read.
    #[error("a file of {vm}: {error}")]
    Disk {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        error: FileError,
    },
    /// A checkpoint cannot be made.
    #[error("a checkpoint of {vm}: {why}")]
    Checkpoint {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        why: String,
    },
    /// A cluster is no single host, and not every node is one of it.
    #[error("{0} is not the only host, or no node of the cluster")]
    Node(String),
    /// A mishap cannot be understood.
    #[error("the mishap on {on:?}: {problem}")]
    Mishap {
        /// The request that it is for.
        on: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Something does not fit together.
    #[error("{vm}: {problem}")]
    Vm {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Scenario {
    /// Reads the text of a scenario.
    pub fn read(text: &str) -> Result<Self, BuildError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Takes the files that it names as lying in a folder, unless their paths are whole.
    pub fn beside(&mut self, folder: &Path) {
        let disks = self.vms.iter_mut().flat_map(|vm| &mut vm.disks);
        let replays = disks.filter_map(|disk| disk.guest.as_mut());
        for image in replays.flat_map(|replay| &mut replay.images) {
            *image = folder.join(&*image);
        }
        if let Some(tls) = &mut self.tls {
            tls.certificate = folder.join(&tls.certificate);
            tls.key = folder.join(&tls.key);
        }
    }

    /// Makes the only host, its disks in a folder. Ids follow from the scenario's seed.
    pub fn build(&self, folder: &Path, clock: Arc<dyn Clock>) -> Result<Host, BuildError> {
        self.build_with(folder, clock, counted_ids(self.host.seed))
    }

    /// Makes all hosts: the nodes of the cluster, each with a folder of its name and one that they
    /// share, or the only one.
    pub fn build_all(&self, folder: &Path, clock: Arc<dyn Clock>) -> Result<Vec<Host>, BuildError> {
        let Some(spec) = &self.cluster else {
            return Ok(vec![self.build(folder, clock)?]);
        };
        let cluster = Cluster::new(&spec.name, &spec.nodes);
        let vms = self.vms.iter().filter_map(|vm| vm.node.as_ref());
        for node in vms.chain(self.mishaps.iter().filter_map(|m| m.node.as_ref())) {
            if !spec.nodes.contains(node) {
                return Err(BuildError::Node(node.clone()));
            }
        }
        let mut hosts = Vec::new();
        for (place, name) in spec.nodes.iter().enumerate() {
            // The ids of no two nodes are the same.
            let step = u32::try_from(place).unwrap_or(0).wrapping_mul(0x0100_0000);
            let files = Files::new(folder.join(name)).with_shared(folder.join("shared"));
            let mut host = self.empty(NewHost {
                name: name.clone(),
                files,
                clock: clock.clone(),
                ids: counted_ids(self.host.seed.wrapping_add(step)),
                rules: self.rules(),
            });
            host.node = Some(Node {
                cluster: cluster.clone(),
                place,
            });
            self.fill(&mut host)?;
            hosts.push(host);
        }
        Ok(hosts)
    }

    /// The same with ids from elsewhere.
    pub fn build_with(
        &self,
        folder: &Path,
        clock: Arc<dyn Clock>,
        ids: Ids,
    ) -> Result<Host, BuildError> {
        if let Some(cluster) = &self.cluster {
            return Err(BuildError::Node(cluster.name.clone()));
        }
        let of_vms = self.vms.iter().filter_map(|vm| vm.node.as_ref());
        let of_mishaps = self.mishaps.iter().filter_map(|m| m.node.as_ref());
        if let Some(node) = of_vms.chain(of_mishaps).next() {
            return Err(BuildError::Node(node.clone()));
        }
        let mut host = self.empty(NewHost {
            name: self.host.name.clone(),
            files: Files::new(folder),
            clock,
            ids,
            rules: self.rules(),
        });
        self.fill(&mut host)?;
        Ok(host)
    }

    /// A host with switches and volumes.
    fn empty(&self, new: NewHost) -> Host {
        let mut host = Host::new(new);
        host.os.clone_from(&self.host.os);
        for name in &self.switches {
            let id = host.new_id();
            let name = name.clone();
            host.switches.push(Switch { id, name });
        }
        for VolumeSpec {
            name,
            capacity,
            others,
        } in &self.volumes
        {
            let id = host.new_id();
            host.volumes.push(Volume {
                id,
                name: format!("{}\\", name.trim_end_matches('\\')),
                capacity: *capacity,
                others: *others,
            });
        }
        host
    }

    /// Whether something that names a node, or none, is for this host.
    fn is_for(&self, host: &str, node: Option<&String>) -> bool {
        let first = self.cluster.as_ref().and_then(|c| c.nodes.first());
        node.or(first).is_none_or(|node| node == host)
    }

    /// Makes the VMs of a host.
    fn fill(&self, host: &mut Host) -> Result<(), BuildError> {
        for spec in &self.vms {
            if !self.is_for(&host.name, spec.node.as_ref()) {
                continue;
            }
            let vm = vm::build(host, spec)?;
            let id = vm.id;
            let role = vm::role(host, &vm);
            let added = host.add_vm(vm);
            added.map_err(|error| BuildError::Disk {
                vm: spec.name.clone(),
                error,
            })?;
            tree::build(host, id, spec)?;
            for (drive, disk) in spec.disks.iter().enumerate() {
                if let Some(ReplaySpec { images, every_ms }) = &disk.guest {
                    let every = Duration::from_millis(*every_ms);
                    let done = host.replay(id, drive, images.clone(), every);
                    done.map_err(|error| BuildError::Disk {
                        vm: spec.name.clone(),
                        error,
                    })?;
                }
            }
            if let (Some(node), Some(role)) = (&host.node, role) {
                node.cluster.add_role(role);
            }
        }
        Ok(())
    }

    /// The service over a host.
    pub fn service(&self, host: Host) -> Result<Service, BuildError> {
        let style = match self.host.wmi_errors {
            true => FaultStyle::Wmi,
            false => FaultStyle::Wsman,
        };
        let (own, spec) = (Limits::default(), &self.limits);
        let idle = spec.enumeration_idle_ms.map(Duration::from_millis);
        let limits = Limits {
            envelope_kib: spec.envelope_kib.unwrap_or(own.envelope_kib),
            timeout_ms: spec.timeout_ms.unwrap_or(own.timeout_ms),
            batch_items: spec.batch_items.unwrap_or(own.batch_items),
            enumeration_idle: idle.unwrap_or(own.enumeration_idle),
        };
        let here = self.mishaps.iter();
        let here = here.filter(|spec| self.is_for(&host.name, spec.node.as_ref()));
        let mishaps = here.map(|spec| spec.build(&host));
        let mishaps = mishaps.collect::<Result<_, _>>()?;
        let mut service = Service::new(Repository::new(host), limits, style);
        service.mishaps = mishaps;
        Ok(service)
    }

    /// Who may log on.
    pub fn accounts(&self) -> Vec<Account> {
        let account = |spec: &AccountSpec| Account {
            user: spec.user.clone(),
            password: spec.password.clone(),
            rights: match spec.filtered {
                true => Rights::Filtered,
                false => Rights::Administrator,
            },
        };
        self.accounts.iter().map(account).collect()
    }
}
