//! How a run begins on a host, and how a VM's turn does: by what earlier runs have left.
//!
//! ```text
//! begin  journals of this host and vault ─► inventory ─► journals of neighbours ─► sweep
//! turn   what could not be told of the VM then ─► its reference points ─► it holds still
//! ```

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use hyperv::Inventory;
use hyperv::checkpoint::Mark;
use hyperv::inventory::{Checkpoint, CheckpointKind};
use hyperv::tracking::Token;
use uuid::Uuid;

use super::taken::Taken;
use super::{HostSource, elsewhere, left};
use crate::finding::{Code, Finding};
use crate::source::{FrozenVm, Memory, Request, SourceError, VmRef};

impl HostSource {
    /// Puts right what earlier runs have left on the host, as far as that can be told at once.
    pub(super) fn begin_run(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        let (mut findings, taken) = left::put_right(&self.setup, memory)?;
        self.takes(taken);
        let inventory = match self.inventory(false) {
            Ok(inventory) => inventory,
            Err(error) => return self.not_swept(findings, error),
        };
        let (control, mark) = (Arc::clone(self.controls.own()), self.setup.mark);
        let found = elsewhere::put_right(&self.setup, &inventory, Some(memory));
        findings.extend(found.findings);
        self.takes(found.taken);
        let inventory = match found.changed {
            true => self.inventory(true),
            false => Ok(inventory),
        };
        let inventory = match inventory {
            Ok(inventory) => inventory,
            Err(error) => return self.not_swept(findings, error),
        };
        let neighbours = self.setup.neighbours.iter().map(|one| &one.folder);
        let folders: Vec<PathBuf> = std::iter::once(&self.setup.journals)
            .chain(neighbours)
            .cloned()
            .collect();
        let swept = left::sweep(&control, &inventory, &mark, &folders);
        if swept.changed {
            self.forget_inventory();
        }
        findings.extend(swept.findings);
        Ok(findings)
    }

    /// Nobody can tell which VMs there are either, and what was put right is told with that.
    fn not_swept(
        &self,
        mut findings: Vec<Finding>,
        error: SourceError,
    ) -> Result<Vec<Finding>, SourceError> {
        if findings.is_empty() {
            return Err(error);
        }
        let message = format!("checkpoints of lost journals were not looked for: {error}");
        let note = Finding::note(Code::HostNote, self.setup.name.clone(), message);
        findings.push(note.hint("the next run looks again"));
        Ok(findings)
    }

    /// Makes a VM hold still when its turn has come. `alone` tells that no other VM waits for that.
    pub(super) fn turn(
        &self,
        vm: &VmRef,
        request: &Request,
        findings: Vec<Finding>,
        alone: bool,
    ) -> Result<Box<dyn FrozenVm>, SourceError> {
        self.settled(vm, alone)?;
        let held = self.freeze_telling(vm, request, findings);
        // The inventory is the one that was asked for it.
        let token = request.token.as_deref();
        let token = token.and_then(|bytes| serde_json::from_slice::<Token>(bytes).ok());
        let newest = token.and_then(|token| token.reference_point);
        self.sees_points(vm.id, newest.as_deref());
        held
    }

    /// Looks again at what could not be told of a VM when the run began, and at runs elsewhere that
    /// were alive then.
    pub(super) fn settled(&self, vm: &VmRef, alone: bool) -> Result<(), SourceError> {
        self.looks_elsewhere(vm.id);
        let all = self.taken.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner).clone();
        for taken in all {
            let Some(settled) = taken.settle(vm.id, alone) else {
                continue;
            };
            self.forget_inventory();
            settled.map_err(|why| SourceError {
                not_now: true,
                code: Code::NotNow,
                ..SourceError::new(
                    vm.name.clone(),
                    format!("what a killed run has left of it cannot be told yet: {why}"),
                    "the journal keeps it: it is looked at again before the VM is backed up",
                )
            })?;
        }
        Ok(())
    }

    /// Where a VM is seen to have a checkpoint of another run of this installation, that run may be
    /// gone by now.
    fn looks_elsewhere(&self, vm: Uuid) {
        let Some(inventory) = self.seen() else {
            return;
        };
        let own = self.setup.mark;
        let is_ours = |checkpoint: &Checkpoint| {
            let mark = Mark::parse(&checkpoint.settings.config.name);
            checkpoint.kind == CheckpointKind::Recovery
                && mark.is_some_and(|of| of.installation == own.installation && of.run != own.run)
        };
        let machine = inventory.machine(vm);
        if !machine.is_some_and(|machine| machine.checkpoints.iter().any(is_ours)) {
            return;
        }
        let found = elsewhere::put_right(&self.setup, &inventory, None);
        self.takes(found.taken);
        let told = self.told.lock();
        told.unwrap_or_else(PoisonError::into_inner)
            .extend(found.findings);
        if found.changed {
            self.forget_inventory();
        }
    }

    fn takes(&self, taken: Vec<Taken>) {
        let mut all = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(taken.into_iter().map(Arc::new));
    }

    /// Remembers a VM of which the host keeps other reference points than the one that a backup
    /// asks by: some may be those of earlier restore points, which nobody asks by any more.
    pub(super) fn sees_points(&self, vm: Uuid, newest: Option<&str>) {
        let seen = self.seen();
        let machine = seen.as_ref().and_then(|seen| seen.machine(vm));
        let points = machine.map_or(&[][..], |machine| &machine.reference_points);
        let mut ids = points.iter().map(|point| point.instance_id.as_str());
        if ids.any(|id| newest.is_none_or(|newest| !id.eq_ignore_ascii_case(newest))) {
            let mut pointed = self.pointed.lock().unwrap_or_else(PoisonError::into_inner);
            pointed.insert(vm);
        }
    }

    /// Removes what is left of reference points that earlier restore points name, and ends what was
    /// taken over.
    pub(super) fn end_left(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let told = self.told.get_mut();
        let mut findings = std::mem::take(told.unwrap_or_else(PoisonError::into_inner));
        let taken = self.taken.get_mut();
        for taken in std::mem::take(taken.unwrap_or_else(PoisonError::into_inner)) {
            findings.extend(taken.end(memory));
        }
        let pointed = self.pointed.get_mut();
        for vm in std::mem::take(pointed.unwrap_or_else(PoisonError::into_inner)) {
            findings.extend(left::forgotten(&self.controls, vm, self.setup.mark, memory));
        }
        findings
    }

    /// Whether the host has this VM and no other.
    pub(super) fn is_only(&self, vm: Uuid) -> bool {
        let only = |seen: Arc<Inventory>| seen.machines.iter().all(|machine| machine.id == vm);
        self.seen().is_some_and(only)
    }

    fn forget_inventory(&self) {
        *self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}
