//! The VMs of a Hyper-V host: recovery checkpoints, change tracking, and what is put right.
//!
//! ```text
//! begin: journals of dead runs ─► recovery, sweep ─► inventory (begin.rs)
//! list: inventory ─► VMs
//! freeze: plan ─► checkpoint ─► FrozenView     every call to the host is in this run's journal
//! finish: durable ─► reference point, token    abandoned ─► checkpoint removed
//! end: merges awaited ─► journal settled
//! ```
//!
//! What a disk is from one backup to the next is its place on a controller, as the host names it:
//! change tracking is asked by it, and so its map in the last restore point is found by it.
//! [`Mode::Cbt`](hyperv::Mode) and [`Mode::Standard`](hyperv::Mode) yield one layer for each disk,
//! all of its files as one; with the whole tree, each file is a layer.
//!
//! The host's inventory is taken once for all VMs. It is taken again for a VM that was tried
//! before or has another state by now, and when it is old, since a VM's state decides how it can be
//! backed up.

mod begin;
mod calm;
mod controls;
mod elsewhere;
mod errors;
mod findings;
mod freeze;
mod hosts;
mod left;
mod memory;
mod paths;
mod peace;
mod reach;
mod restoring;
mod returned;
mod start;
mod taken;
mod view;
mod vm;
mod volumes;
mod watch;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;
use hyperv::Inventory;
use hyperv::checkpoint::Mark;
use hyperv::cluster::Cluster;
use hyperv::control::{Backoff, Clock, Control};
use hyperv::files::HostFiles;
use hyperv::frozen::{Asked, FreezeError, Resting};
use hyperv::host_settings::{self, HostSettings};
use hyperv::inventory::{self, Host, Machine, PowerState, ReplicationMode};
use hyperv::journal::Journal;
use hyperv::plan::{Plan, Policy, plan};
use hyperv::replication::{self, Conflict};
use hyperv::space::Floor;
use uuid::Uuid;

use self::controls::Controls;
use crate::finding::{Code, Finding};
use crate::select::Disks;
use crate::source::{
    Early, FrozenVm, HostLatency, Listing, Memory, Request, Source, SourceError, VmKind, VmRef,
};
pub use elsewhere::Neighbour;
pub use findings::inventory as inventory_findings;
pub use peace::Pacing;
use peace::Peace;
pub use restoring::{NotRestored, NotTakenBack};
pub use returned::OnReturn;
pub use watch::Hurry;

/// After this time the inventory is taken again.
const FRESH: Duration = Duration::from_secs(600);
/// How long a VM is waited for that the host is at work on, before others have their turn.
const BEGIN: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_secs(10),
    total: Duration::from_secs(20),
};

/// How long what cleans up waits for a host that is at work on the VM: merging, above all.
const CLEAN_UP: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(60),
    total: Duration::from_secs(900),
};

/// What a host is reached with, and how its VMs shall be backed up.
pub struct Setup {
    /// The host as a person would write it; not the way to log on.
    pub name: String,
    /// How it is spoken to.
    pub session: Arc<dyn CimSession>,
    /// How its files are reached.
    pub files: Arc<dyn HostFiles>,
    /// Tells the way to the files when it is not to be waited for.
    pub hurry: Hurry,
    /// The clock, the sleep, and whether somebody wants to stop.
    pub pace: Arc<dyn Pace + Send + Sync>,
    /// The time of day.
    pub clock: Clock,
    /// What is wanted of every VM.
    pub policy: Policy,
    /// How much is done at once.
    pub pacing: Pacing,
    /// Whose checkpoints they are.
    pub mark: Mark,
    /// The folder of the journals for this host and vault. No other run may be using it.
    pub journals: PathBuf,
    /// The journals for other hosts and vaults: their runs may be alive.
    pub neighbours: Vec<Neighbour>,
    /// The node of a cluster that it is: its VMs are followed when they move.
    pub node: Option<Node>,
    /// Who is told of VMs that come back to the host when what earlier runs have left is put right.
    pub on_return: OnReturn,
}

/// A node of a cluster.
pub struct Node {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The node's name, as the cluster spells it.
    pub name: String,
    /// Whether all nodes of the cluster are meant. Otherwise only what this one has is listed; it is
    /// followed all the same.
    pub all: bool,
}

pub use hosts::Hosts;

/// Where a restore point keeps its host, as plain data.
pub const HOST: &str = "Host/host.json";

/// Where a restore point keeps what its host is set to, as plain data.
pub const HOST_SETTINGS: &str = "Host/settings.json";

/// The VMs of a host.
pub struct HostSource {
    setup: Setup,
    controls: Controls,
    inventory: Mutex<Option<(Duration, Arc<Inventory>)>>,
    /// Its journal says which host it is of.
    named: OnceLock<()>,
    tried: Mutex<HashSet<Uuid>>,
    /// What was found out of dead runs since this one began.
    told: Mutex<Vec<Finding>>,
    /// VMs that have reference points by which the next backup does not ask.
    pointed: Mutex<HashSet<Uuid>>,
    /// What the host is set to, once it was asked.
    settings: Mutex<Option<HostSettings>>,
    resting: RestingDisks,
    look_every: Duration,
    /// A folder of the host for exports with memory.
    staging: Option<String>,
    /// Exports are made one at a time: each looks for room before it takes it.
    exporting: Mutex<()>,
    peace: Arc<Peace>,
}

/// The disks that the host merges after their VMs' backups.
type RestingDisks = Arc<Mutex<Vec<(Uuid, Vec<Resting>)>>>;

impl HostSource {
    /// Begins the journal of a run. Nothing is asked of the host yet.
    ///
    /// # Errors
    /// When there can be no journal: nothing is done to a host without one.
    pub fn open(setup: Setup) -> Result<Self, SourceError> {
        let journal = Journal::create(&setup.journals, setup.mark.run)
            .map_err(|error| errors::hinted(&setup.name, &error))?;
        let controls = Controls::new(&setup, Arc::new(journal));
        let (session, pace) = (Arc::clone(&setup.session), Arc::clone(&setup.pace));
        let peace = Peace::new(session, pace, setup.pacing);
        Ok(Self {
            peace: Arc::new(peace),
            setup,
            controls,
            inventory: Mutex::new(None),
            named: OnceLock::new(),
            tried: Mutex::new(HashSet::new()),
            told: Mutex::default(),
            pointed: Mutex::default(),
            settings: Mutex::new(None),
            resting: RestingDisks::default(),
            look_every: watch::EVERY,
            staging: None,
            exporting: Mutex::new(()),
        })
    }

    /// VMs that run are saved with their memory: exported into a folder of the host that is there,
    /// read from it in full, and removed. It takes room for a whole copy of the VM.
    #[must_use]
    pub fn with_memory(mut self, staging: String) -> Self {
        self.staging = Some(staging);
        self
    }

    /// How often the host is asked for room while a VM of it holds still.
    #[must_use]
    pub fn looking_every(mut self, span: Duration) -> Self {
        self.look_every = span;
        self
    }

    /// Gives this host, of which nothing was asked yet, places beside those of another one, with
    /// which it has volumes in common.
    fn share(&mut self, other: &Self) {
        self.peace = Arc::new(self.peace.beside(&other.peace));
    }

    /// The inventory, taken if there is none or it is old. Who comes meanwhile waits for it.
    fn inventory(&self, anew: bool) -> Result<Arc<Inventory>, SourceError> {
        let now = self.setup.pace.now();
        let usable = |taken: Duration| !anew && now.saturating_sub(taken) < FRESH;
        let mut kept = self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((taken, inventory)) = kept.as_ref()
            && usable(*taken)
        {
            return Ok(Arc::clone(inventory));
        }
        *kept = None;
        let taken = inventory::take(self.controls.own().session());
        let taken = taken.map_err(|error| errors::not_answered(&self.setup.name, &error))?;
        let inventory = Arc::new(taken);
        if let Some(name) = &inventory.host.name
            && self.named.get().is_none()
        {
            let noted = self.controls.own().journal().host(name);
            noted.map_err(|error| errors::hinted(&self.setup.name, &error))?;
            self.named.get_or_init(|| ());
        }
        *kept = Some((now, Arc::clone(&inventory)));
        Ok(inventory)
    }

    /// What the host is set to, asked once. A host that does not say keeps nobody from a backup.
    fn host_settings(&self, host: &Host, findings: &mut Vec<Finding>) -> Option<HostSettings> {
        let mut kept = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            let name = host.name.as_deref();
            match host_settings::take(self.setup.session.as_ref(), name) {
                Ok(settings) => *kept = Some(settings),
                Err(error) => findings.push(Finding::note(
                    Code::HostNote,
                    name.unwrap_or(&self.setup.name),
                    format!("the host's settings are not in the restore point: {error}"),
                )),
            }
        }
        kept.clone()
    }

    /// Whether a VM does not hold still since its replication was at work. A host that cannot be
    /// asked for it tells nothing.
    fn conflict(control: &Control, machine: &Machine, error: &FreezeError) -> Option<Conflict> {
        let FreezeError::Checkpoint(error) = error else {
            return None;
        };
        let mode = machine.replication.mode;
        if matches!(mode, ReplicationMode::None | ReplicationMode::Unknown) {
            return None;
        }
        let session = control.session();
        let found = replication::conflict(session, (machine.id, mode), error);
        found.ok().flatten()
    }

    /// The host merges what the VM wrote: that is awaited in the end.
    fn rests(&self, vm: Uuid, disks: Vec<Resting>) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.push((vm, disks));
    }

    /// What is to be done with a VM of which there is something to be had.
    fn reachable(&self, vm: &VmRef) -> Result<(Machine, Plan, inventory::Host), SourceError> {
        let planned = self.plan(vm)?;
        let files = Arc::clone(&self.setup.files);
        match reach::none(vm, &planned.0, files.as_ref()) {
            None => Ok(planned),
            Some(no) if !no.may_be_elsewhere => Err(no.error),
            // Its disks may have gone to other files since the inventory was taken.
            Some(_) => {
                let planned = self.plan(vm)?;
                match reach::none(vm, &planned.0, files.as_ref()) {
                    None => Ok(planned),
                    Some(no) => Err(no.error),
                }
            }
        }
    }

    /// What a VM does now, on which hangs what is to be done: it may have been started or turned off
    /// since the inventory was taken. `None` when the host does not have it any more.
    fn state(&self, vm: &VmRef) -> Result<Option<PowerState>, SourceError> {
        let control = self.controls.of(vm.id);
        let state = control.and_then(|control| inventory::power_state(control.session(), vm.id));
        match state {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(errors::not_answered(&vm.name, &error)),
        }
    }

    /// Whether a VM has its first turn.
    fn is_first(&self, vm: Uuid) -> bool {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        !tried.contains(&vm)
    }

    /// What is to be done with a VM.
    fn plan(&self, vm: &VmRef) -> Result<(Machine, Plan, Host), SourceError> {
        let again = {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            !tried.insert(vm.id)
        };
        let policy = self.setup.policy;
        let moves = self.setup.node.is_some();
        let anew = again || (moves && !self.has(vm.id));
        let mut inventory = self.inventory(anew)?;
        if let Some(known) = inventory.machine(vm.id)
            && self.state(vm)? != Some(known.state)
        {
            inventory = self.inventory(true)?;
        }
        let Some(machine) = inventory.machine(vm.id).cloned() else {
            let error = SourceError::new(
                vm.name.clone(),
                "the host does not have the VM any more",
                "it was removed or has moved to another host: run the backup again there",
            );
            return Err(match moves {
                // Its cluster may be moving it.
                true => SourceError {
                    not_now: true,
                    code: Code::NotNow,
                    ..error
                },
                false => error,
            });
        };
        let mut host = inventory.host.clone();
        if policy.floor != Floor::NONE {
            // Another VM's backup, or anything else, may have filled them since.
            let now = inventory::volumes(self.controls.own().session());
            host.volumes = now.map_err(|error| errors::not_answered(&vm.name, &error))?;
        }
        let plan = plan(&machine, &host, &policy).map_err(|no| errors::no_plan(vm, &no))?;
        Ok((machine, plan, host))
    }
}

/// A VM of an inventory, as [`HostSource`] lists it.
pub fn vm_ref(machine: &Machine) -> VmRef {
    VmRef {
        key: machine.id.to_string(),
        id: machine.id,
        name: machine.name().to_owned(),
        kind: match machine.replication.mode.is_copy() {
            true => VmKind::Replica,
            false => VmKind::Vm,
        },
    }
}

/// Whether a disk is wanted, by all that is known of it.
fn choose(disks: &Disks, asked: &Asked<'_>) -> Option<bool> {
    let slot = asked.medium.location.to_string();
    let files = asked.files.unwrap_or_default().iter().map(String::as_str);
    let words = [slot.as_str(), &asked.medium.path].into_iter().chain(files);
    disks.takes(words, asked.files.is_none())
}

impl Source for HostSource {
    fn describe(&self) -> String {
        self.setup.name.clone()
    }

    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        self.begin_run(memory)
    }

    fn list(&mut self) -> Result<Listing, SourceError> {
        // Whether a node should have any its cluster tells.
        let may_be_empty = self.is_of_all();
        let inventory = self.inventory(false)?;
        self.peace.before(&inventory);
        let vms = inventory.machines.iter().map(vm_ref).collect();
        let mut odd = inventory.findings.clone();
        odd.retain(|one| !(may_be_empty && *one == inventory::Finding::NoMachines));
        let mut findings = findings::inventory(&odd, inventory.host.name.as_deref());
        findings.extend(inventory.planned.iter().map(|planned| {
            Finding::note(
                Code::HostNote,
                planned.name.clone(),
                "an import of it has not been finished; it is not backed up",
            )
        }));
        Ok(Listing { vms, findings })
    }

    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        match self.first_place(vm, disks, stopped) {
            Some(place) => Some(Early::new(place)),
            None => (!stopped()).then(Early::default),
        }
    }

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        self.turn(vm, request, Vec::new())
    }

    fn latency(&self) -> Vec<HostLatency> {
        let host = || self.setup.name.clone();
        let report = self.peace.report();
        let told = report.map(|report| HostLatency {
            host: host(),
            report,
        });
        told.into_iter().collect()
    }

    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let mut most = left::MERGES;
        let mut findings = self.await_merges(&mut most);
        findings.extend(self.settle(memory));
        findings
    }
}

impl HostSource {
    /// Waits for the host's merges, and takes what that took from the time that is left for them.
    fn await_merges(&self, left: &mut Duration) -> Vec<Finding> {
        let resting =
            std::mem::take(&mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        let begun = self.setup.pace.now();
        let findings = left::await_merges(&self.controls, &resting, *left);
        let spent = self.setup.pace.now().saturating_sub(begun);
        *left = left.saturating_sub(spent);
        findings
    }

    /// Ends what the run has in its journal, and tells what is to be told of the host last.
    fn settle(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let slowed = self.peace.report();
        let slowed = slowed.and_then(|report| peace::slowed(&report, &self.setup.name));
        let mut findings: Vec<Finding> = slowed.into_iter().collect();
        findings.extend(self.end_left(memory));
        findings.extend(left::settle(&self.controls, memory));
        findings.extend(self.controls.told());
        findings
    }

    /// The cluster that the host is a node of, with its name there.
    fn node(&self) -> Option<(&Arc<Cluster>, &str)> {
        let node = self.setup.node.as_ref()?;
        Some((&node.cluster, &node.name))
    }

    /// Whether it is one of all nodes of a cluster.
    fn is_of_all(&self) -> bool {
        self.setup.node.as_ref().is_some_and(|node| node.all)
    }

    /// That one of all nodes of a cluster shows no VM, which its list keeps to itself.
    fn no_machines(&self) -> Vec<Finding> {
        const NONE: inventory::Finding = inventory::Finding::NoMachines;
        let seen = self.seen().filter(|_| self.is_of_all());
        let seen = seen.filter(|seen| seen.findings.contains(&NONE));
        seen.map_or_else(Vec::new, |seen| {
            findings::inventory(&[NONE], seen.host.name.as_deref())
        })
    }

    /// What was seen of the host, if it was looked at.
    fn seen(&self) -> Option<Arc<Inventory>> {
        let kept = self.inventory.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|(_, inventory)| Arc::clone(inventory))
    }

    fn has(&self, vm: Uuid) -> bool {
        self.seen().is_some_and(|seen| seen.machine(vm).is_some())
    }
}
