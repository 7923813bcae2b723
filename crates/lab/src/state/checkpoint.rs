//! Asking for checkpoints and reference points: what is refused at once, and what becomes a job.

use uuid::Uuid;

use super::effect::Work;
use super::host::Host;
use super::job::JobId;
use super::refusal::Refusal;
use super::vm::{Busy, CheckpointKind, Consistency};

/// `JobType` of the jobs that begin here.
const SNAPSHOT: u16 = 70;
const DESTROY: u16 = 72;
const BACKUP: u16 = 170;
const CONVERT: u16 = 200;
const DESTROY_POINT: u16 = 202;

/// A checkpoint that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointWish {
    /// Who it is for.
    pub kind: CheckpointKind,
    /// How consistent it must be. There is no falling back.
    pub consistency: Consistency,
    /// Whether it holds the memory of the VM too, if that has any.
    pub memory: bool,
    /// Whether disks that cannot be frozen are left out rather than being an error.
    pub ignore_unfreezable: bool,
}

impl Host {
    /// Begins to make a checkpoint, which the host names.
    pub fn create_checkpoint(&mut self, vm: Uuid, wish: CheckpointWish) -> Result<JobId, Refusal> {
        self.create_named(vm, wish, None)
    }

    /// The same with a name that the caller would like: taken or not, as the rules are.
    pub fn create_named(
        &mut self,
        vm: Uuid,
        wish: CheckpointWish,
        name: Option<String>,
    ) -> Result<JobId, Refusal> {
        self.advance();
        let known = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        let recovery = wish.kind == CheckpointKind::Recovery;
        let disabled = known.settings.checkpoint_type == 2;
        if disabled && (!recovery || self.rules.disabled_refuses_recovery) {
            return Err(Refusal::NOT_SUPPORTED);
        }
        let of_kind = known.checkpoints.iter().filter(|c| c.kind == wish.kind);
        if recovery && of_kind.count() >= self.rules.most_recovery {
            return Err(Refusal::INVALID_STATE);
        }
        let (now, takes) = (self.now(), self.rules.checkpoint_takes);
        let kind = if recovery { BACKUP } else { SNAPSHOT };
        if let Some(conflict) = self.conflict(vm, kind) {
            return conflict;
        }
        let name = name.filter(|name| self.rules.names_at_once && !name.is_empty());
        let work = Work::CreateCheckpoint { vm, wish, name };
        self.begin(vm, Busy::CreatingCheckpoint, (kind, takes), work, now)
    }

    /// Begins to destroy a checkpoint. What it froze is merged afterwards.
    pub fn destroy_checkpoint(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        self.known_checkpoint(vm, checkpoint)?;
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::DestroyCheckpoint { vm, checkpoint };
        self.begin(vm, Busy::DeletingCheckpoint, (DESTROY, takes), work, now)
    }

    /// Begins to make a reference point of a recovery checkpoint, which goes with that.
    pub fn convert_checkpoint(&mut self, vm: Uuid, checkpoint: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        if self.known_checkpoint(vm, checkpoint)? != CheckpointKind::Recovery {
            return Err(Refusal::INVALID_PARAMETER);
        }
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::Convert { vm, checkpoint };
        self.begin(vm, Busy::DeletingCheckpoint, (CONVERT, takes), work, now)
    }

    /// Begins to destroy a reference point.
    pub fn destroy_reference_point(&mut self, vm: Uuid, point: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        let known = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        if !known.reference_points.iter().any(|p| p.id == point) {
            return Err(Refusal::INVALID_PARAMETER);
        }
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::DestroyReferencePoint { vm, point };
        self.begin(vm, Busy::Other, (DESTROY_POINT, takes), work, now)
    }

    pub(super) fn known_checkpoint(
        &self,
        vm: Uuid,
        checkpoint: Uuid,
    ) -> Result<CheckpointKind, Refusal> {
        let vm = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        let found = vm
            .checkpoint(checkpoint)
            .ok_or(Refusal::INVALID_PARAMETER)?;
        Ok(found.kind)
    }
}
