//! The host itself: what it has.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use disk::Format;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::cluster::Node;
use super::effect::Work;
use super::files::{FileError, Files, range};
use super::job::{Job, JobId};
use super::log::LogEntry;
use super::refusal::{Failure, Refusal};
use super::replay::Replay;
use super::rules::Rules;
use super::tracking::Tracking;
use super::vm::{Busy, Medium, Power, Switch, Vm};
use super::volume::Volume;
use crate::clock::{Clock, Ids};

/// A simulated host.
pub struct Host {
    /// Its name.
    pub name: String,
    /// Major, minor and build of its Windows.
    pub os: String,
    /// When it was started.
    pub booted: Timestamp,
    /// Its virtual switches.
    pub switches: Vec<Switch>,
    /// Its volumes that have an end.
    pub volumes: Vec<Volume>,
    /// The cluster that it is a node of.
    pub node: Option<Node>,
    /// How it behaves.
    pub rules: Rules,
    pub(super) vms: Vec<Vm>,
    pub(super) jobs: Vec<Job>,
    pub(super) work: Vec<(JobId, Work)>,
    pub(super) tracking: HashMap<Uuid, Tracking>,
    /// Child to parent, in the case that the paths were made with.
    pub(super) parents: Vec<(String, String)>,
    /// The configuration files of each VM.
    pub(super) configurations: HashMap<Uuid, Vec<String>>,
    pub(super) files: Files,
    /// Where copies of what checkpoints for backups froze are kept, if they are.
    pub(super) kept: Option<PathBuf>,
    pub(super) ids: Ids,
    /// VMs that shall move, and to which node.
    pub(super) leaving: Vec<(Uuid, usize)>,
    /// How the next job fails, if it shall, and whether it does what it should all the same.
    pub(super) failing: Option<(Failure, bool)>,
    /// The same of the next merge.
    pub(super) failing_merge: Option<Failure>,
    pub(super) log: Vec<LogEntry>,
    /// Guests that write by themselves.
    pub(super) replays: Vec<Replay>,
    /// Writes of guests so far.
    writes: u64,
    clock: Arc<dyn Clock>,
}

/// What a host is made of.
pub struct NewHost {
    /// Its name.
    pub name: String,
    /// Where its files lie.
    pub files: Files,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// Where its ids come from.
    pub ids: Ids,
    /// How it behaves.
    pub rules: Rules,
}

impl Host {
    /// A host without VMs.
    pub fn new(new: NewHost) -> Self {
        Self {
            name: new.name,
            os: "10.0.20348".to_owned(),
            booted: new.clock.now(),
            switches: Vec::new(),
            volumes: Vec::new(),
            node: None,
            rules: new.rules,
            vms: Vec::new(),
            jobs: Vec::new(),
            work: Vec::new(),
            tracking: HashMap::new(),
            parents: Vec::new(),
            configurations: HashMap::new(),
            files: new.files,
            kept: None,
            ids: new.ids,
            leaving: Vec::new(),
            failing: None,
            failing_merge: None,
            log: Vec::new(),
            replays: Vec::new(),
            writes: 0,
            clock: new.clock,
        }
    }

    /// A new id.
    pub fn new_id(&mut self) -> Uuid {
        (self.ids)()
    }

    /// What time it is by its clock, which may be wrong.
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.rules.clock_ahead);
        let now = self.clock.now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Makes the file of a new disk of a VM.
    pub fn create_disk(&mut self, path: &str, geometry: disk::Geometry) -> Result<(), FileError> {
        self.files.create(path, geometry, &mut self.ids)
    }

    /// Adds a VM whose disks are there, and writes its configuration.
    pub fn add_vm(&mut self, vm: Vm) -> Result<(), FileError> {
        let id = vm.id;
        self.vms.push(vm);
        self.write_configurations(id)
    }

    /// All VMs.
    pub fn vms(&self) -> &[Vm] {
        &self.vms
    }

    /// A VM by its id.
    pub fn vm(&self, id: Uuid) -> Option<&Vm> {
        self.vms.iter().find(|vm| vm.id == id)
    }

    /// The same to change it, as a scenario does: whatever is done to it happens at once.
    pub fn vm_mut(&mut self, id: Uuid) -> Option<&mut Vm> {
        self.vms.iter_mut().find(|vm| vm.id == id)
    }

    /// All jobs that are still known.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// A job by its id.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// `RequestStateChange`: 2 start, 3 turn off, 6 save, 9 pause, 11 reset.
    pub fn change_state(&mut self, vm: Uuid, wanted: u16) -> Result<JobId, Refusal> {
        self.advance();
        let known = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        let power = known.power;
        // What is only planned loses its saved state at most.
        if known.planned && wanted != 3 {
            return Err(Refusal::INVALID_STATE);
        }
        let to = match (wanted, power) {
            (2, Power::Off | Power::Saved | Power::Paused) | (11, Power::Running) => Power::Running,
            (3, Power::Running | Power::Paused | Power::Saved) => Power::Off,
            (6, Power::Running | Power::Paused) => Power::Saved,
            (9, Power::Running) => Power::Paused,
            (2 | 3 | 6 | 9 | 11, _) => return Err(Refusal::INVALID_STATE),
            _ => return Err(Refusal::INVALID_PARAMETER),
        };
        let (now, takes) = (self.now(), self.rules.state_takes);
        let work = Work::ChangePower { vm, to };
        self.begin(vm, Busy::ChangingState, (10, takes), work, now)
    }

    /// Gives a VM or one of its checkpoints another name or other notes.
    pub fn modify(
        &mut self,
        settings: Uuid,
        name: Option<&str>,
        notes: Option<&str>,
    ) -> Result<(), Refusal> {
        self.advance();
        let of_vms = self.vms.iter_mut().flat_map(|vm| {
            let checkpoints = vm.checkpoints.iter_mut().map(|c| &mut c.settings);
            std::iter::once(&mut vm.settings).chain(checkpoints)
        });
        let mut found = of_vms.into_iter().filter(|known| known.id == settings);
        let found = found.next().ok_or(Refusal::INVALID_PARAMETER)?;
        if let Some(name) = name {
            if name.is_empty() || name.chars().count() > 100 {
                return Err(Refusal::INVALID_PARAMETER);
            }
            name.clone_into(&mut found.name);
        }
        if let Some(notes) = notes {
            notes.clone_into(&mut found.notes);
        }
        let mut vms = self.vms.iter();
        let owner = vms.find(|vm| vm.all_settings().any(|known| known.id == settings));
        let owner = owner.map(|vm| vm.id).unwrap_or_default();
        self.write_configurations(owner)
            .map_err(|_| Refusal::FAILED)
    }

    /// A running guest writes to one of its drives. The range must be of whole sectors.
    pub fn guest_writes(
        &mut self,
        vm: Uuid,
        drive: usize,
        offset: u64,
        data: &[u8],
    ) -> Result<(), FileError> {
        self.advance();
        let known = self.vm(vm).filter(|vm| vm.power == Power::Running);
        let drive = known.and_then(|vm| vm.settings.drives.get(drive));
        let Some(Medium::Disk { path, .. }) = drive.map(|drive| drive.medium.clone()) else {
            return Err(FileError::Missing(format!(
                "disk {drive:?} of a running VM"
            )));
        };
        self.room_to_write(vm, &path, data.len())?;
        self.write_disk(&path, offset, data)
    }

    /// Something writes to the disk in a file, and change tracking notes it unless it shall not.
    pub(super) fn write_disk(
        &mut self,
        path: &str,
        offset: u64,
        data: &[u8],
    ) -> Result<(), FileError> {
        self.files.write(path, offset, data, &mut self.ids)?;
        self.writes += 1;
        if scatter(self.writes) % 1000 < u64::from(self.rules.missed_writes) {
            return Ok(());
        }
        if let Some(written) = range(offset, data)
            && let Some(disk) = self.disk_id(path)?
            && let Some(tracking) = self.tracking.get_mut(&disk)
        {
            tracking.note(written);
        }
        Ok(())
    }

    /// The id that a guest sees of the disk in a file; `None` for a VHD, which has none.
    pub(super) fn disk_id(&self, path: &str) -> Result<Option<Uuid>, FileError> {
        Ok(match self.files.info(path)?.format {
            Format::Vhdx(vhdx) => Some(vhdx.disk_id),
            Format::Vhd(_) | Format::Raw => None,
        })
    }

    /// The file below one in its chain.
    pub fn parent_of(&self, path: &str) -> Option<&str> {
        let known = self
            .parents
            .iter()
            .find(|(child, _)| same_path(child, path));
        known.map(|(_, parent)| parent.as_str())
    }
}

/// A number that looks as if it were random, the same each time (SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether two paths of a Windows host name the same file.
pub(super) fn same_path(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}
