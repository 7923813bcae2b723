//! Merging: files that no configuration refers to any more become one with their child, or go.
//!
//! As on a host it happens in the background after a checkpoint was destroyed, while the VM goes
//! on. A chain that cannot be merged stays as it is, and can be read as before.

use jiff::Timestamp;
use uuid::Uuid;

use super::effect::Work;
use super::host::{Host, same_path};
use super::refusal::Failure;
use super::vm::{Busy, Medium, Vm};

/// `JobType` of a merge.
pub(super) const JOB: u16 = 50;

/// `ERROR_SHARING_VIOLATION`: somebody has a file open.
const SHARING_VIOLATION: u32 = 0x8007_0020;

/// What can be done to a file that nothing refers to.
enum Step {
    /// It has no child.
    Remove(String),
    /// It has one: what that holds goes into it.
    Merge { parent: String, child: String },
}

impl Host {
    /// Begins a merge if a chain of the VM needs one and the VM is not busy.
    pub(super) fn merge_if_needed(&mut self, vm: Uuid, at: Timestamp) {
        let most = match self.rules.points_block_merges {
            true => 1,
            false => usize::MAX,
        };
        let ready = |vm: &Vm| {
            let free = vm.busy.is_none() && vm.reference_points.len() <= most;
            // What is only planned has files that may be others'.
            free && !vm.planned && !vm.merge_failed && !vm.merges_off
        };
        if !self.vm(vm).is_some_and(ready) || self.next_step(vm).is_none() {
            return;
        }
        let takes = self.rules.merge_takes;
        let text =
            "Die Hintergrundzusammenführung der Datenträger konnte nicht abgeschlossen werden.";
        let work = match self.failing_merge.take() {
            Some(failure) => Work::Fail(failure),
            None if self.rules.merges_fail => {
                Work::Fail(Failure::general(Some(SHARING_VIOLATION), text))
            }
            None => Work::Merge { vm },
        };
        // The VM is there and idle, so this is not refused.
        let _ = self.start(vm, Busy::Merging, (JOB, takes), work, at);
    }

    /// Merges and writes everything at once, as a scenario does before anybody looks.
    pub fn clear_up(&mut self, vm: Uuid) -> Result<(), Failure> {
        self.merge(vm)?;
        self.write_configurations(vm)?;
        Ok(())
    }

    pub(super) fn merge(&mut self, vm: Uuid) -> Result<(), Failure> {
        while let Some(step) = self.next_step(vm) {
            match step {
                Step::Remove(path) => {
                    self.files.remove(&path)?;
                    self.parents.retain(|(child, _)| !same_path(child, &path));
                }
                Step::Merge { parent, child } => {
                    self.room_to_merge(&parent, &child)?;
                    self.files.merge(&parent, &child, &mut self.ids)?;
                    self.parents.retain(|(known, _)| !same_path(known, &child));
                    let orphans: Vec<String> = self.children(&child);
                    for orphan in orphans {
                        self.files.set_parent(&orphan, &parent, &mut self.ids)?;
                        self.parents.retain(|(known, _)| !same_path(known, &orphan));
                        self.parents.push((orphan, parent.clone()));
                    }
                    if let Some(vm) = self.vm_mut(vm) {
                        redirect(vm, &child, &parent);
                    }
                }
            }
        }
        self.forget_free_ids();
        Ok(())
    }

    fn children(&self, path: &str) -> Vec<String> {
        let known = self
            .parents
            .iter()
            .filter(|(_, parent)| same_path(parent, path));
        known.map(|(child, _)| child.clone()).collect()
    }

    /// Every file of a VM's disks: a leaf of a configuration or below one; files that were left
    /// over by a failed merge are above one.
    pub(super) fn files_of(&self, vm: &Vm) -> Vec<String> {
        let mut of_vm: Vec<&str> = Vec::new();
        let mut next: Vec<&str> = vm
            .all_settings()
            .flat_map(|s| s.disks().map(|(_, p)| p))
            .collect();
        while let Some(path) = next.pop() {
            if of_vm.iter().any(|known| same_path(known, path)) {
                continue;
            }
            of_vm.push(path);
            next.extend(self.parent_of(path));
            let above = self
                .parents
                .iter()
                .filter(|(_, parent)| same_path(parent, path));
            next.extend(above.map(|(child, _)| child.as_str()));
        }
        of_vm.into_iter().map(str::to_owned).collect()
    }

    /// The first file of the VM that nothing refers to and that can be dealt with.
    fn next_step(&self, vm: Uuid) -> Option<Step> {
        let vm = self.vm(vm)?;
        let used = |path: &str| {
            vm.all_settings()
                .any(|s| s.disks().any(|(_, p)| same_path(p, path)))
        };
        let mut files = self.files_of(vm).into_iter();
        files.find_map(|path| {
            if used(&path) {
                return None;
            }
            let mut children = self.children(&path);
            match (children.pop(), children.is_empty()) {
                (None, _) => Some(Step::Remove(path)),
                (Some(child), true) => Some(Step::Merge {
                    parent: path,
                    child,
                }),
                (Some(_), false) => None,
            }
        })
    }
}

fn redirect(vm: &mut Vm, from: &str, to: &str) {
    let checkpoints = vm.checkpoints.iter_mut();
    let mut of_checkpoints: Vec<_> = Vec::new();
    for checkpoint in checkpoints {
        for tracked in &mut checkpoint.tracked {
            if same_path(&tracked.path, from) {
                to.clone_into(&mut tracked.path);
            }
        }
        of_checkpoints.push(&mut checkpoint.settings);
    }
    for settings in of_checkpoints.into_iter().chain([&mut vm.settings]) {
        for drive in &mut settings.drives {
            if let Medium::Disk { path, .. } = &mut drive.medium
                && same_path(path, from)
            {
                to.clone_into(path);
            }
        }
    }
}
