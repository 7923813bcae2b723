//! Hyper-V Replica, as far as it gets in a backup's way: a replica applies a delta now and then,
//! and is busy meanwhile.
//!
//! What arrives is made here and not at a primary: bytes that follow from how many deltas there
//! were. UNVERIFIED, and so settings: how a checkpoint is refused meanwhile, and whether one that is
//! held keeps deltas away.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::effect::{Work, gone};
use super::host::Host;
use super::job::JobId;
use super::refusal::{Failure, Refusal};
use super::rules::ReplicaConflict;
use super::vm::{Busy, CheckpointKind, Medium, Vm};

/// `JobType` of applying a change log.
const APPLY: u16 = 108;
/// No public source tells that of a change of replication's state.
const CHANGE: u16 = 0;
/// How soon a delta is tried again that the VM had no time for.
const AGAIN: Duration = Duration::from_secs(1);

/// `ReplicationState`.
const REPLICATING: u16 = 3;
const SUSPENDED: u16 = 7;
/// `ReplicationHealth`.
const GOOD: u16 = 1;
const WARNING: u16 = 2;

impl Vm {
    /// When the next delta arrives, if any does.
    fn next_delta(&self) -> Option<Timestamp> {
        let replication = self.replication?;
        let receives = matches!(replication.mode, 2 | 4) && replication.state == REPLICATING;
        replication.next.filter(|_| receives)
    }
}

impl Host {
    /// The next delta that is due.
    pub(super) fn due_delta(&self, now: Timestamp) -> Option<(Timestamp, Uuid)> {
        let all = self.vms.iter();
        let due = all.filter_map(|vm| Some((vm.next_delta()?, vm.id)));
        due.filter(|(at, _)| *at <= now).min()
    }

    /// A delta arrives, and begins to be applied if the VM has time for it.
    pub(super) fn receive_delta(&mut self, id: Uuid, at: Timestamp) {
        let keeps_away = self.rules.held_checkpoint_blocks_deltas;
        let Some(vm) = self.vm_mut(id) else { return };
        let is_recovery = |c: &super::Checkpoint| c.kind == CheckpointKind::Recovery;
        let held = keeps_away && vm.checkpoints.iter().any(is_recovery);
        let later = vm.busy.is_some() || held;
        let Some(replication) = &mut vm.replication else {
            return;
        };
        let wait = match later {
            true => AGAIN,
            false => Duration::from_secs(replication.interval.into()).max(AGAIN),
        };
        // Without an interval there is none but those that somebody sends.
        let ends = !later && replication.interval == 0;
        replication.next = at.checked_add(wait).ok().filter(|_| !ends);
        let takes = replication.delta_takes;
        if held {
            replication.health = WARNING;
        }
        if !later {
            // The VM is there and idle, so this is not refused.
            let work = Work::ApplyDelta { vm: id };
            let _ = self.start(id, Busy::Delta, (APPLY, takes), work, at);
        }
    }

    pub(super) fn apply_delta(&mut self, id: Uuid) -> Result<(), Failure> {
        let vm = self.vm_mut(id).ok_or_else(gone)?;
        let mut drives = vm.settings.drives.iter();
        let disk = drives.find_map(|drive| match &drive.medium {
            Medium::Disk { path, .. } => Some(path.clone()),
            Medium::PassThrough(_) | Medium::Dvd(_) | Medium::Empty => None,
        });
        let replication = vm.replication.as_mut().ok_or_else(gone)?;
        replication.health = GOOD;
        replication.deltas = replication.deltas.wrapping_add(1);
        let (number, len) = (replication.deltas, replication.delta_bytes);
        let Some(path) = disk.filter(|_| len > 0) else {
            return Ok(());
        };
        let size = self.files.info(&path)?.geometry.len;
        let room = size.saturating_sub(len.into()) / 4096 + 1;
        let offset = u64::from(number) * 7919 % room * 4096;
        let data = vec![number.to_le_bytes()[0] | 1; usize::try_from(len).unwrap_or(0)];
        self.write_disk(&path, offset, &data)?;
        Ok(())
    }

    /// `RequestReplicationStateChangeEx`: 1, 2 and 3 go on, 7 suspends.
    pub fn change_replication(&mut self, id: Uuid, wanted: u16) -> Result<JobId, Refusal> {
        self.advance();
        let vm = self.vm(id).ok_or(Refusal::INVALID_PARAMETER)?;
        let replication = vm.replication.ok_or(Refusal::INVALID_STATE)?;
        let to = match (wanted, replication.state) {
            (7, REPLICATING) => SUSPENDED,
            (1..=3, SUSPENDED) => REPLICATING,
            (1..=3 | 7, _) => return Err(Refusal::INVALID_STATE),
            (4 | 9, _) => return Err(Refusal::NOT_SUPPORTED),
            _ => return Err(Refusal::INVALID_PARAMETER),
        };
        let (now, takes) = (self.now(), self.rules.state_takes);
        let work = Work::ChangeReplication { vm: id, to };
        self.begin(id, Busy::Other, (CHANGE, takes), work, now)
    }

    /// Begins to end a replication: that of a copy on to a third host, if `second` says so. A copy that is
    /// replicated on keeps the first.
    pub fn remove_replication(&mut self, id: Uuid, second: bool) -> Result<JobId, Refusal> {
        self.advance();
        let vm = self.vm(id).ok_or(Refusal::INVALID_PARAMETER)?;
        let replication = vm.replication.ok_or(Refusal::INVALID_STATE)?;
        if replication.extended != second {
            return Err(Refusal::INVALID_STATE);
        }
        let (now, takes) = (self.now(), self.rules.state_takes);
        let work = Work::RemoveReplication { vm: id, second };
        self.begin(id, Busy::Other, (CHANGE, takes), work, now)
    }

    /// Its recovery points go with it.
    pub(super) fn drop_replication(&mut self, id: Uuid, second: bool) -> Result<(), Failure> {
        let vm = self.vm_mut(id).ok_or_else(gone)?;
        if let (true, Some(replication)) = (second, &mut vm.replication) {
            replication.extended = false;
            return Ok(());
        }
        vm.replication = None;
        let is_its = |c: &&super::Checkpoint| c.kind == CheckpointKind::Replica;
        let points = vm.checkpoints.iter().filter(is_its);
        let points: Vec<Uuid> = points.map(|c| c.settings.id).collect();
        for point in points {
            self.drop_checkpoint(id, point)?;
        }
        Ok(())
    }

    pub(super) fn set_replication(&mut self, id: Uuid, to: u16, at: Timestamp) {
        if let Some(replication) = self.vm_mut(id).and_then(|vm| vm.replication.as_mut()) {
            replication.state = to;
            let interval = Duration::from_secs(replication.interval.into());
            replication.next = replication.next.and(at.checked_add(interval).ok());
        }
    }

    /// A checkpoint for a backup is asked for while a delta is applied: how the host says no.
    pub(super) fn conflict(&mut self, id: Uuid, kind: u16) -> Option<Result<JobId, Refusal>> {
        let vm = self.vm(id)?;
        if !matches!(vm.busy, Some((Busy::Delta, _))) {
            return None;
        }
        let text = format!(
            "Der Sicherungsvorgang für „{}“ kann nicht gestartet werden, da gerade ein Vorgang ausgeführt wird, der damit in Konflikt steht. Versuchen Sie es erneut.",
            vm.settings.name
        );
        Some(match self.rules.replica_conflict {
            ReplicaConflict::Refused => Err(Refusal::INVALID_STATE),
            ReplicaConflict::Job(code) => {
                let failure = Failure {
                    code,
                    hresult: None,
                    text,
                    others: Vec::new(),
                };
                let (now, takes) = (self.now(), Duration::ZERO);
                Ok(self.start_aside(id, (kind, takes), Work::Fail(failure), now))
            }
        })
    }
}
