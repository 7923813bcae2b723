//! The tree of checkpoints: going back to one, destroying a branch, dropping its memory.

use jiff::Timestamp;
use uuid::Uuid;

use super::effect::{Work, gone};
use super::host::Host;
use super::job::JobId;
use super::refusal::{Failure, Refusal};
use super::rules::AfterApply;
use super::vm::{Busy, CheckpointKind, Medium, Power, Vm};

/// `JobType` of the jobs that begin here.
const APPLY: u16 = 71;
const DESTROY_TREE: u16 = 72;
const CLEAR: u16 = 73;

impl Host {
    /// Begins to go back to a checkpoint: the VM must be off or saved, and is so afterwards.
    pub fn apply_checkpoint(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        if self.known_checkpoint(vm, checkpoint)? == CheckpointKind::Recovery {
            return Err(Refusal::INVALID_PARAMETER);
        }
        let power = self.vm(vm).map(|vm| vm.power);
        if !matches!(power, Some(Power::Off | Power::Saved)) {
            return Err(Refusal::INVALID_STATE);
        }
        let (now, takes) = (self.now(), self.rules.checkpoint_takes);
        let work = Work::Apply { vm, checkpoint };
        self.begin(vm, Busy::ApplyingCheckpoint, (APPLY, takes), work, now)
    }

    /// Begins to destroy a checkpoint with all that descend from it.
    pub fn destroy_tree(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        self.known_checkpoint(vm, checkpoint)?;
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::DestroyTree { vm, checkpoint };
        let job = (DESTROY_TREE, takes);
        self.begin(vm, Busy::DeletingCheckpoint, job, work, now)
    }

    /// Begins to drop the memory of a checkpoint.
    pub fn clear_state(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        self.known_checkpoint(vm, checkpoint)?;
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::ClearState { vm, checkpoint };
        self.begin(vm, Busy::Other, (CLEAR, takes), work, now)
    }

    /// The same as the job does, at once: so a scenario makes its trees.
    pub fn apply(&mut self, id: Uuid, checkpoint: Uuid, at: Timestamp) -> Result<(), Failure> {
        let vm = self.vm(id).ok_or_else(gone)?;
        let target = vm.checkpoint(checkpoint).ok_or_else(gone)?;
        let mut settings = target.settings.clone();
        let mut children: Vec<(String, String)> = Vec::new();
        for drive in &mut settings.drives {
            let Medium::Disk {
                path,
                shared: false,
            } = &mut drive.medium
            else {
                continue;
            };
            let forked = self.room_for_child(path);
            match forked.and_then(|()| Ok(self.fork(path)?)) {
                Ok(child) => {
                    let parent = std::mem::replace(path, child.clone());
                    children.push((child, parent));
                }
                Err(failure) => {
                    for (child, _) in &children {
                        self.files.remove(child)?;
                    }
                    return Err(failure);
                }
            }
        }
        for (child, _) in &children {
            self.revert_tracking(child)?;
        }
        self.parents.append(&mut children);
        let vm = self.vm_mut(id).ok_or_else(gone)?;
        // The VM keeps its own name and id; the rest is as it was then.
        settings.id = vm.settings.id;
        settings.name.clone_from(&vm.settings.name);
        vm.power = match settings.saved {
            Some(_) => Power::Saved,
            None => Power::Off,
        };
        vm.power_since = at;
        vm.settings = settings;
        vm.parent = Some(checkpoint);
        vm.last_applied = Some(checkpoint);
        Ok(())
    }

    /// What becomes of a disk's tracking when its VM goes back in time.
    fn revert_tracking(&mut self, path: &str) -> Result<(), Failure> {
        let len = self.files.info(path)?.geometry.len;
        let disk = self.disk_id(path)?;
        let Some(tracking) = disk.and_then(|disk| self.tracking.get_mut(&disk)) else {
            return Ok(());
        };
        match self.rules.after_apply {
            AfterApply::Blind => {}
            AfterApply::Whole => tracking.note(disk::ByteRange::new(0, len)),
            AfterApply::Lost => tracking.lose(),
        }
        Ok(())
    }

    pub(super) fn drop_tree(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<(), Failure> {
        let known = self.vm(vm).ok_or_else(gone)?;
        // Leaves first, so that each takes the place of none of them.
        for id in descendants(known, checkpoint).into_iter().rev() {
            self.drop_checkpoint(vm, id)?;
        }
        Ok(())
    }

    pub(super) fn drop_memory(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<(), Failure> {
        let known = self.vm_mut(vm).ok_or_else(gone)?;
        let mut checkpoints = known.checkpoints.iter_mut();
        let found = checkpoints.find(|c| c.settings.id == checkpoint);
        let settings = &mut found.ok_or_else(gone)?.settings;
        settings.saved = None;
        let stem = settings.stem(vmconfig::model::Kind::Checkpoint);
        // They are written anew.
        if let Some(files) = self.configurations.get_mut(&vm) {
            let (again, kept) = files.drain(..).partition(|path| path.starts_with(&stem));
            *files = kept;
            let again: Vec<String> = again;
            for path in again {
                self.files.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// A checkpoint and all below it, parents before children.
fn descendants(vm: &Vm, of: Uuid) -> Vec<Uuid> {
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = vm.checkpoints.iter().filter(|c| c.parent == Some(parent));
        let children = children.map(|c| c.settings.id);
        let new: Vec<Uuid> = children.filter(|id| !found.contains(id)).collect();
        found.extend(new);
        at += 1;
    }
    found
}
