//! How a host's time passes: jobs that begin, take effect and go, and what happens by itself.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::effect::Work;
use super::host::Host;
use super::job::{End, Job, JobId};
use super::refusal::Refusal;
use super::vm::Busy;

impl Host {
    /// Lets the host's time pass up to now.
    pub fn advance(&mut self) {
        let now = self.now();
        self.arrive(now);
        loop {
            let pending = self.jobs.iter().filter(|job| job.end.is_none());
            let due = pending.filter(|job| job.due() <= now);
            let next = due.min_by_key(|job| job.due());
            let delta = self.due_delta(now);
            if let Some((at, which)) = self.due_piece(now)
                && next.is_none_or(|job| job.due() > at)
                && delta.is_none_or(|(delta, _)| delta > at)
            {
                self.write_piece(which);
                continue;
            }
            if let Some((at, vm)) = delta
                && next.is_none_or(|job| job.due() > at)
            {
                self.receive_delta(vm, at);
                continue;
            }
            let Some(next) = next else {
                break;
            };
            let (id, vm, at) = (next.id, next.vm, next.due());
            let end = match self.work.iter().position(|(job, _)| *job == id) {
                Some(place) => {
                    let (_, work) = self.work.swap_remove(place);
                    self.carry_out(vm, work, at)
                }
                // A job without work cannot be begun.
                None => End::Terminated,
            };
            self.end_job(id, at, end);
        }
        self.depart(now);
        let keep = self.rules.removed_after;
        self.jobs.retain(|job| match &job.end {
            Some((at, _)) => at.checked_add(keep).is_ok_and(|gone| gone > now),
            None => true,
        });
    }

    /// Begins a job on a VM that is not busy.
    pub(super) fn begin(
        &mut self,
        vm: Uuid,
        busy: Busy,
        (kind, takes): (u16, Duration),
        work: Work,
        at: Timestamp,
    ) -> Result<JobId, Refusal> {
        let work = work.failing(self.failing.clone());
        let id = self.start(vm, busy, (kind, takes), work, at)?;
        self.failing = None;
        Ok(id)
    }

    /// The same for jobs that nobody asked for.
    pub(super) fn start(
        &mut self,
        vm: Uuid,
        busy: Busy,
        job: (u16, Duration),
        work: Work,
        at: Timestamp,
    ) -> Result<JobId, Refusal> {
        let known = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?;
        if known.busy.is_some() {
            return Err(Refusal::INVALID_STATE);
        }
        let id = self.start_aside(vm, job, work, at);
        if let Some(known) = self.vm_mut(vm) {
            known.busy = Some((busy, Some(id)));
        }
        Ok(id)
    }

    /// A job that the VM is not busy with.
    pub(super) fn start_aside(
        &mut self,
        vm: Uuid,
        (kind, takes): (u16, Duration),
        work: Work,
        at: Timestamp,
    ) -> JobId {
        let id = self.new_id();
        self.jobs.push(Job {
            id,
            kind,
            storage: false,
            vm,
            started: at,
            takes,
            cancellable: kind != super::merge::JOB,
            end: None,
        });
        self.work.push((id, work));
        id
    }

    fn end_job(&mut self, id: JobId, at: Timestamp, end: End) {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else {
            return;
        };
        let merge = job.kind == super::merge::JOB;
        let failed_merge = merge && matches!(end, End::Failed(_));
        job.end = Some((at, end.clone()));
        let vm = job.vm;
        if merge {
            self.log_merge(vm, at, &end);
        }
        if let Some(vm) = self.vm_mut(vm) {
            // It is not tried again until something changes.
            vm.merge_failed |= failed_merge;
        }
        if let Some(vm) = self.vm_mut(vm)
            && vm.busy.is_some_and(|(_, by)| by == Some(id))
        {
            vm.busy = None;
        }
        self.merge_if_needed(vm, at);
    }

    /// Cancels a job that has not taken effect. `false` when it has, or cannot be cancelled.
    pub fn cancel(&mut self, id: JobId) -> bool {
        self.advance();
        let now = self.now();
        let running = self
            .job(id)
            .is_some_and(|job| job.end.is_none() && job.cancellable);
        if running {
            let place = self.work.iter().position(|(job, _)| *job == id);
            if let Some((_, work)) = place.map(|place| self.work.swap_remove(place)) {
                self.leave_part(&work);
            }
            self.end_job(id, now, End::Terminated);
        }
        running
    }

    /// Jobs that are under way take effect at this moment.
    pub(super) fn finish_jobs(&mut self) {
        let now = self.now();
        for (id, work) in std::mem::take(&mut self.work) {
            let Some(vm) = self.job(id).map(|job| job.vm) else {
                continue;
            };
            let end = self.carry_out(vm, work, now);
            self.end_job(id, now, end);
        }
    }

    /// The service behind everything restarts: all jobs are gone, done or not, and merges begin
    /// anew.
    pub fn restart_service(&mut self) {
        self.advance();
        let now = self.now();
        self.jobs.clear();
        self.work.clear();
        let ids: Vec<Uuid> = self.vms.iter().map(|vm| vm.id).collect();
        for vm in &mut self.vms {
            vm.merge_failed = false;
            vm.merges_off = false;
            if vm.busy.is_some_and(|(_, by)| by.is_some()) {
                vm.busy = None;
            }
        }
        for vm in ids {
            self.merge_if_needed(vm, now);
        }
    }
}
