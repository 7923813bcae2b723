//! How a run begins on a host, and how a VM's turn does: by what earlier runs have left.
//!
//! ```text
//! begin  journals of this host and vault ─► inventory ─► journals of neighbours ─► sweep
//! turn   runs that were killed since ─► its reference points ─► it holds still
//! ```

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use hyperv::checkpoint::Mark;
use hyperv::inventory::{Checkpoint, CheckpointKind};
use hyperv::tracking::Token;
use uuid::Uuid;

use super::elsewhere::Neighbour;
use super::{HostSource, elsewhere, left};
use crate::finding::{Code, Finding};
use crate::source::{FrozenVm, Memory, Request, SourceError, VmRef};

impl HostSource {
    /// Puts right what earlier runs have left on the host, before any VM has its turn: what a host may
    /// still begin is waited for here, where nobody holds still and no program has run.
    pub(super) fn begin_run(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        let mut findings = left::put_right(&self.setup, memory)?;
        let inventory = match self.inventory(false) {
            Ok(inventory) => inventory,
            Err(error) => return self.not_swept(findings, error),
        };
        let (control, mark) = (Arc::clone(self.controls.own()), self.setup.mark);
        let neighbours = &self.setup.neighbours;
        let found = elsewhere::put_right(&self.setup, neighbours, &inventory, Some(memory));
        findings.extend(found.findings);
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

    /// Makes a VM hold still when its turn has come.
    pub(super) fn turn(
        &self,
        vm: &VmRef,
        request: &Request,
        findings: Vec<Finding>,
    ) -> Result<Box<dyn FrozenVm>, SourceError> {
        self.looks_elsewhere(vm.id);
        let held = self.freeze_telling(vm, request, findings);
        // The inventory is the one that was asked for it.
        let token = request.token.as_deref();
        let token = token.and_then(|bytes| serde_json::from_slice::<Token>(bytes).ok());
        let newest = token.and_then(|token| token.reference_point);
        self.sees_points(vm.id, newest.as_deref());
        held
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
        // In its own folder there may be one that another run was looking at when this one began.
        let own = Neighbour {
            folder: self.setup.journals.clone(),
            same_vault: true,
        };
        let neighbours = self.setup.neighbours.iter().cloned();
        let folders: Vec<Neighbour> = neighbours.chain([own]).collect();
        let found = elsewhere::put_right(&self.setup, &folders, &inventory, None);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for finding in found.findings {
            // Each turn may find the same.
            if !told.contains(&finding) {
                told.push(finding);
            }
        }
        drop(told);
        if found.changed {
            self.forget_inventory();
        }
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

    /// Removes what is left of reference points that earlier restore points name, and tells what was
    /// put right in between.
    pub(super) fn end_left(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let told = self.told.get_mut();
        let mut findings = std::mem::take(told.unwrap_or_else(PoisonError::into_inner));
        let pointed = self.pointed.get_mut();
        for vm in std::mem::take(pointed.unwrap_or_else(PoisonError::into_inner)) {
            findings.extend(left::forgotten(&self.controls, vm, self.setup.mark, memory));
        }
        findings
    }

    fn forget_inventory(&self) {
        *self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}
