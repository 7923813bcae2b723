//! Exporting a VM into a folder of the host, as it is now.
//!
//! What is there at the moment at which the job ends is copied: configuration, disks with all that
//! is below them, checkpoints if they are wanted, and memory of a VM that is saved or whose live
//! state is captured. Disks are copied file by file; that a host writes them anew, and to which
//! paths the exported configuration refers, is UNVERIFIED (here: to the exported files).
//!
//! One that is ended before its time leaves the first file that it would have copied (UNVERIFIED what
//! hosts leave).
//!
//! An export without disks keeps a host from merging that VM's disks, until the VM or the service
//! is started again or somebody allows it: real hosts are known for it.

use jiff::Timestamp;
use uuid::Uuid;
use vmconfig::model::Kind;

use super::config;
use super::effect::{Work, gone};
use super::files::FileError;
use super::host::Host;
use super::job::JobId;
use super::refusal::{Failure, Refusal};
use super::vm::{Busy, Medium, Power, Settings, Vm};

/// `JobType`.
const EXPORT: u16 = 62;
/// The guest did not settle.
const WRITERS_FAILED: u32 = 0x8004_23f2;

/// What is wanted of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportWish {
    /// The folder of the host.
    pub folder: String,
    /// Whether in a folder of the VM's name there.
    pub subfolder: bool,
    /// Whether checkpoints of users are wanted too.
    pub checkpoints: bool,
    /// Whether disks are.
    pub storage: bool,
    /// What of a VM that runs.
    pub live: LiveState,
}

/// What is captured of a VM that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// Nothing: its disks are as after a power cut.
    Crash,
    /// Its memory.
    Saved,
    /// Nothing, but its guest settles.
    Application,
}

impl Host {
    /// Begins to export a VM.
    pub fn export(&mut self, vm: Uuid, wish: ExportWish) -> Result<JobId, Refusal> {
        self.advance();
        self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        if self.files.local(&format!("{}\\x", wish.folder)).is_err() {
            return Err(Refusal::INVALID_PARAMETER);
        }
        let (now, takes) = (self.now(), self.rules.export_takes);
        let work = Work::Export { vm, wish };
        self.begin(vm, Busy::Exporting, (EXPORT, takes), work, now)
    }

    /// Lets disks of a VM be merged, or not.
    pub fn allow_merges(&mut self, vm: Uuid, allowed: bool) -> Result<(), Refusal> {
        self.advance();
        let now = self.now();
        let known = self.vm_mut(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        known.merges_off = !allowed;
        self.merge_if_needed(vm, now);
        Ok(())
    }

    pub(super) fn carry_away(
        &mut self,
        id: Uuid,
        wish: &ExportWish,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let vm = self.vm(id).ok_or_else(gone)?;
        let runs = vm.power == Power::Running;
        if runs && wish.live == LiveState::Application {
            if !vm.can_settle() {
                let text = "Der Gast wurde nicht in einen konsistenten Zustand versetzt.";
                return Err(Failure::general(Some(WRITERS_FAILED), text));
            }
            self.settle_guest(id)?;
        }
        let mut vm = self.vm(id).ok_or_else(gone)?.clone();
        if runs && wish.live == LiveState::Saved {
            vm.settings.saved = Some(at);
        }
        let root = root(wish, &vm);
        if !wish.checkpoints {
            vm.checkpoints.clear();
        }
        let leaves = vm.all_settings().flat_map(|settings| settings.disks());
        let disks = self.with_all_below(leaves.map(|(_, leaf)| leaf));
        if wish.storage {
            let mut bytes = 0_u64;
            for path in &disks {
                bytes = bytes.saturating_add(self.files.size(path)?);
            }
            self.room_for_copy(&format!("{root}\\x"), bytes)?;
            for path in &disks {
                self.files.copy(path, &exported(&root, path))?;
            }
        } else if let Some(known) = self.vm_mut(id) {
            known.merges_off = true;
        }
        let checkpoints = vm.checkpoints.iter_mut().map(|c| &mut c.settings);
        for settings in std::iter::once(&mut vm.settings).chain(checkpoints) {
            point_at(settings, &root, wish.storage);
        }
        self.write_export(&vm)?;
        Ok(())
    }

    /// What is there of work that somebody ended.
    pub(super) fn leave_part(&self, work: &Work) {
        if let Work::Export { vm, wish } = work
            && wish.storage
            && let Some(vm) = self.vm(*vm)
            && let Some((_, first)) = vm.all_settings().flat_map(|s| s.disks()).next()
        {
            // What cannot be written is not there.
            let _ = self.files.copy(first, &exported(&root(wish, vm), first));
        }
    }

    /// Files of disks, with all below them.
    pub(super) fn with_all_below<'a>(&self, leaves: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for leaf in leaves {
            let mut next = Some(leaf.to_owned());
            while let Some(path) = next {
                next = self.parent_of(&path).map(str::to_owned);
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        found
    }

    fn write_export(&self, vm: &Vm) -> Result<(), FileError> {
        let mut all = Vec::new();
        config::add(&mut all, vm, &vm.settings, (Kind::Machine, vm.created))?;
        for checkpoint in &vm.checkpoints {
            let of = (Kind::Checkpoint, checkpoint.created);
            config::add(&mut all, vm, &checkpoint.settings, of)?;
        }
        for (path, bytes, _) in all {
            self.files.put(&path, &bytes)?;
        }
        Ok(())
    }
}

fn root(wish: &ExportWish, vm: &Vm) -> String {
    match wish.subfolder {
        true => format!("{}\\{}", wish.folder, vm.settings.name),
        false => wish.folder.clone(),
    }
}

fn exported(root: &str, path: &str) -> String {
    let name = path.rsplit_once('\\').map_or(path, |(_, name)| name);
    format!("{root}\\Virtual Hard Disks\\{name}")
}

fn point_at(settings: &mut Settings, root: &str, storage: bool) {
    root.clone_into(&mut settings.folder);
    if !storage {
        return;
    }
    for drive in &mut settings.drives {
        if let Medium::Disk { path, .. } = &mut drive.medium {
            *path = exported(root, path);
        }
    }
}
