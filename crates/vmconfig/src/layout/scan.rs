//! Putting it together: from a folder to an inventory.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use super::classify::{self, Role, is_disk};
use super::configs::{self, Config};
use super::disks;
use super::files::Files;
use super::graph::{ChainEnd, DiskGraph};
use super::index::Index;
use super::listing::{FileItem, Folder};
use super::order;
use super::owner::Owners;
use super::settle::{self, Claim};
use super::*;
use crate::SavedMemory;
use crate::model::Kind;

/// What the caller knows that the folder does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Windows folders or volumes (`D:`, `C:\ClusterStorage\Volume1`, `\\server\share`) and the
    /// folders of the listing that hold what is below them (empty for the top).
    pub mounts: Vec<(String, String)>,
}

/// Looks through a folder.
///
/// `graph` tells the parents of the disks in it; make it with [`is_disk`] over the listing.
pub fn inventory(folder: &dyn Folder, graph: &DiskGraph, options: &Options) -> Inventory {
    let files = folder.files();
    let index = Index::new(files);
    let mut scan = Scan {
        folder,
        files: Files::new(files),
        inventory: Inventory::default(),
    };
    let mut checkpoints = Vec::new();
    for file in files {
        match configs::read(folder, file) {
            Config::Not => {}
            Config::Unreadable(error) => scan.unreadable(file, error),
            Config::Read(config) => {
                let disks = disks::attached(&file.path, &config, &index, options);
                match config.kind {
                    Kind::Machine => scan.machine(file, *config, disks),
                    Kind::Checkpoint => checkpoints.push(scan.checkpoint(file, *config, disks)),
                }
            }
        }
    }
    scan.stand_in(&mut checkpoints);
    let owners = Owners::of(&scan.inventory.machines, graph);
    let owners: Vec<Option<usize>> = checkpoints.iter().map(|c| owners.of_one(c)).collect();
    scan.settle(&mut checkpoints, &owners, graph);
    for (checkpoint, owner) in checkpoints.into_iter().zip(owners) {
        match owner.and_then(|at| scan.inventory.machines.get_mut(at)) {
            Some(machine) => machine.checkpoints.push(checkpoint),
            None => scan.orphan(checkpoint, graph),
        }
    }
    scan.finish(graph)
}

struct Scan<'a> {
    folder: &'a dyn Folder,
    files: Files<'a>,
    inventory: Inventory,
}

impl Scan<'_> {
    fn unreadable(&mut self, file: &FileItem, error: String) {
        let path = file.path.clone();
        let finding = Finding::UnreadableConfig {
            path: path.clone(),
            error: error.clone(),
        };
        self.inventory.findings.push(finding);
        let files = self.files.claim_state(file);
        let id = configs::file_id(&path);
        self.inventory.unreadable.push(Unreadable {
            path,
            id,
            error,
            files,
        });
    }

    fn machine(&mut self, file: &FileItem, config: VmConfig, disks: Vec<AttachedDisk>) {
        let files = self.files.claim_state(file);
        self.inventory.machines.push(Machine {
            path: file.path.clone(),
            saved: self.saved(&files, &config),
            config,
            files,
            disks,
            checkpoints: Vec::new(),
            parent: ParentCheckpoint::None,
            findings: Vec::new(),
        });
    }

    fn checkpoint(
        &mut self,
        file: &FileItem,
        config: VmConfig,
        disks: Vec<AttachedDisk>,
    ) -> Checkpoint {
        let files = self.files.claim_state(file);
        Checkpoint {
            path: file.path.clone(),
            saved: self.saved(&files, &config),
            config,
            files,
            disks,
            parent: ParentCheckpoint::None,
        }
    }

    /// Takes the configuration of a checkpoint for that of its VM where a VM's belongs, and the VM
    /// has none: so it is what a backup of a running VM leaves, which holds the checkpoint that was
    /// taken for it.
    fn stand_in(&mut self, checkpoints: &mut Vec<Checkpoint>) {
        let mut known = BTreeSet::new();
        for machine in &self.inventory.machines {
            let ids = [machine.config.id, machine.config.logical_id];
            known.extend(ids.into_iter().flatten());
        }
        let mut of = BTreeMap::<Uuid, Vec<usize>>::new();
        for (at, checkpoint) in checkpoints.iter().enumerate() {
            let home = classify::name(classify::parent(&checkpoint.path));
            let vm = checkpoint.config.logical_id;
            let vm = vm.filter(|_| home.eq_ignore_ascii_case("Virtual Machines"));
            if let Some(vm) = vm.filter(|vm| !known.contains(vm)) {
                of.entry(vm).or_default().push(at);
            }
        }
        // Of several nobody knows which one it is.
        let alone = of.into_iter().filter(|(_, all)| all.len() == 1);
        let alone: BTreeMap<usize, Uuid> = alone
            .filter_map(|(vm, all)| Some((*all.first()?, vm)))
            .collect();
        if alone.is_empty() {
            return;
        }
        for (at, mut checkpoint) in std::mem::take(checkpoints).into_iter().enumerate() {
            let Some(vm) = alone.get(&at) else {
                checkpoints.push(checkpoint);
                continue;
            };
            checkpoint.config.kind = Kind::Machine;
            checkpoint.config.id = Some(*vm);
            self.inventory.machines.push(Machine {
                path: checkpoint.path,
                config: checkpoint.config,
                files: checkpoint.files,
                disks: checkpoint.disks,
                saved: checkpoint.saved,
                checkpoints: Vec::new(),
                parent: ParentCheckpoint::None,
                findings: Vec::new(),
            });
        }
    }

    fn saved(&self, files: &[OwnedFile], config: &VmConfig) -> Option<bool> {
        let mut memory = SavedMemory::default();
        for file in files {
            match file.role {
                Role::Memory | Role::DeviceState => memory.file(file.len),
                Role::RuntimeState => memory.runtime(configs::has_memory(self.folder, &file.path)),
                Role::Configuration | Role::GuestState | Role::ChangeTracking => {}
            }
        }
        memory.verdict(config.saved_state.as_ref())
    }

    /// Lets VMs settle who has which disk.
    fn settle(
        &mut self,
        checkpoints: &mut [Checkpoint],
        owners: &[Option<usize>],
        graph: &DiskGraph,
    ) {
        let machines = self.inventory.machines.iter_mut();
        let mut claims: Vec<Claim<'_>> = machines
            .enumerate()
            .map(|(owner, machine)| Claim {
                owner,
                disks: &mut machine.disks,
            })
            .collect();
        let nobody = claims.len();
        for (at, (checkpoint, owner)) in checkpoints.iter_mut().zip(owners).enumerate() {
            let owner = owner.unwrap_or(nobody + at);
            claims.push(Claim {
                owner,
                disks: &mut checkpoint.disks,
            });
        }
        settle::settle(&mut claims, graph);
    }

    fn orphan(&mut self, mut checkpoint: Checkpoint, graph: &DiskGraph) {
        let path = checkpoint.path.clone();
        self.inventory
            .findings
            .push(Finding::OrphanCheckpoint { path });
        disks::add_chains(&mut checkpoint.disks, graph);
        let mut config = Some(Box::new(checkpoint.config));
        for file in checkpoint.files {
            let config = (file.path == checkpoint.path)
                .then(|| config.take())
                .flatten();
            let OwnedFile { path, len, role } = file;
            self.inventory.orphans.push(Orphan {
                path,
                len,
                role,
                config,
            });
        }
    }

    fn finish(mut self, graph: &DiskGraph) -> Inventory {
        self.claim_strays();
        let mut disks_of = BTreeMap::<String, usize>::new();
        for (at, machine) in self.inventory.machines.iter_mut().enumerate() {
            disks::add_chains(&mut machine.disks, graph);
            for checkpoint in &mut machine.checkpoints {
                disks::add_chains(&mut checkpoint.disks, graph);
            }
            machine
                .checkpoints
                .sort_by(|a, b| (a.config.created, &a.path).cmp(&(b.config.created, &b.path)));
            let hints = &machine.config.parent_hints;
            machine.parent = match machine.checkpoints.is_empty() {
                true => ParentCheckpoint::None,
                false => order::set_parents(&mut machine.checkpoints, &machine.disks, hints),
            };
            disk_findings(machine);
            let mut layers = BTreeSet::new();
            let below = machine
                .checkpoints
                .iter()
                .flat_map(|checkpoint| &checkpoint.disks);
            for chain in machine
                .disks
                .iter()
                .chain(below)
                .filter_map(|d| d.chain.as_ref())
            {
                layers.extend(chain.layers.iter().cloned());
            }
            for layer in layers {
                self.files.claim_disk(&layer, &mut machine.files);
                disks_of.entry(layer).or_insert(at);
            }
        }
        self.loose_disks(graph, &disks_of);
        self.duplicates();
        let Scan {
            files,
            mut inventory,
            ..
        } = self;
        for file in files.unclaimed() {
            let FileItem { path, len } = file.clone();
            match classify::role(&path) {
                // Of configuration endings, only what is none is left here.
                None | Some(Role::Configuration) => inventory.other.push(path),
                // These endings are common: only files named like a VM's are missed.
                Some(Role::Memory | Role::DeviceState) if configs::file_id(&path).is_none() => {
                    inventory.other.push(path);
                }
                Some(role) => inventory.orphans.push(Orphan {
                    path,
                    len,
                    role,
                    config: None,
                }),
            }
        }
        inventory
    }

    /// Gives state files that lie elsewhere to the one configuration whose id they are named by.
    fn claim_strays(&mut self) {
        let mut owners = BTreeMap::<Uuid, Vec<&mut Vec<OwnedFile>>>::new();
        for machine in &mut self.inventory.machines {
            for checkpoint in &mut machine.checkpoints {
                if let Some(id) = checkpoint.config.id {
                    owners.entry(id).or_default().push(&mut checkpoint.files);
                }
            }
            if let Some(id) = machine.config.id {
                owners.entry(id).or_default().push(&mut machine.files);
            }
        }
        let strays: Vec<FileItem> = self.files.unclaimed().cloned().collect();
        for file in strays {
            let role = classify::role(&file.path).filter(|role| *role != Role::Configuration);
            let (Some(role), Some(id)) = (role, configs::file_id(&file.path)) else {
                continue;
            };
            if let Some([owner]) = owners.get_mut(&id).map(Vec::as_mut_slice) {
                self.files.claim(&file.path);
                owner.push(OwnedFile {
                    path: file.path,
                    len: file.len,
                    role,
                });
            }
        }
    }

    fn loose_disks(&mut self, graph: &DiskGraph, disks_of: &BTreeMap<String, usize>) {
        let loose: Vec<FileItem> = self
            .files
            .unclaimed()
            .filter(|file| is_disk(&file.path))
            .cloned()
            .collect();
        let chains: Vec<Chain> = loose.iter().map(|file| graph.chain(&file.path)).collect();
        let parents: BTreeSet<&String> = chains
            .iter()
            .filter(|chain| chain.end != ChainEnd::Cycle)
            .flat_map(|chain| chain.layers.iter().skip(1))
            .collect();
        let mut companions = Vec::new();
        for (file, chain) in loose.iter().zip(&chains) {
            self.files.claim_disk(&file.path, &mut companions);
            let machine = chain.layers.iter().find_map(|layer| disks_of.get(layer));
            if let Some(machine) = machine.and_then(|at| self.inventory.machines.get_mut(*at)) {
                let (disk, path) = (file.path.clone(), machine.path.clone());
                let finding = Finding::UnreferencedDifference {
                    disk,
                    machine: path,
                };
                machine.findings.push(finding);
            }
            if !parents.contains(&file.path) {
                let FileItem { path, len } = file.clone();
                self.inventory.findings.extend(chain_finding(chain));
                self.inventory.loose.push(LooseDisk {
                    path,
                    len,
                    chain: chain.clone(),
                });
            }
        }
        // Change tracking of a loose disk is of no use to anyone.
        self.inventory
            .other
            .extend(companions.into_iter().map(|file| file.path));
    }

    fn duplicates(&mut self) {
        let mut configs = BTreeMap::<Uuid, Vec<String>>::new();
        for machine in &self.inventory.machines {
            if let Some(id) = machine.config.id {
                configs.entry(id).or_default().push(machine.path.clone());
            }
        }
        for (id, configs) in configs.into_iter().filter(|(_, configs)| configs.len() > 1) {
            self.inventory
                .findings
                .push(Finding::DuplicateId { id, configs });
        }
    }
}

fn disk_findings(machine: &mut Machine) {
    let mut findings = Vec::new();
    let own = (&machine.path, &machine.disks);
    let all = std::iter::once(own).chain(machine.checkpoints.iter().map(|c| (&c.path, &c.disks)));
    for (config, disks) in all {
        for disk in disks {
            let (config, location) = (config.clone(), disk.location);
            let configured = disk.configured.clone();
            match &disk.file {
                Resolution::Found { .. } => {
                    findings.extend(disk.chain.as_ref().and_then(chain_finding));
                }
                Resolution::Missing => {
                    findings.push(Finding::MissingDisk {
                        config,
                        location,
                        configured,
                    });
                }
                Resolution::Ambiguous { candidates } => {
                    let candidates = candidates.clone();
                    let finding = Finding::AmbiguousDisk {
                        config,
                        location,
                        configured,
                        candidates,
                    };
                    findings.push(finding);
                }
            }
        }
    }
    let mut told: HashSet<Finding> = machine.findings.iter().cloned().collect();
    for finding in findings {
        if told.insert(finding.clone()) {
            machine.findings.push(finding);
        }
    }
}

fn chain_finding(chain: &Chain) -> Option<Finding> {
    let disk = chain.layers.last()?.clone();
    match &chain.end {
        ChainEnd::Base => None,
        ChainEnd::ParentMissing { expected } => Some(Finding::BrokenChain {
            disk,
            expected: expected.clone(),
        }),
        ChainEnd::NotExamined => Some(Finding::BrokenChain {
            disk,
            expected: String::new(),
        }),
        ChainEnd::Cycle => Some(Finding::CyclicChain { disk }),
    }
}
