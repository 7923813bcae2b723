//! Asking what changed on a disk since a point (`GetVirtualDiskChanges`).

use disk::ByteRange;

use super::effect::Work;
use super::files::FileError;
use super::host::{Host, same_path};
use super::job::JobId;
use super::refusal::Refusal;
use super::vm::Power;

/// `JobType` of a job of the storage service that gets information.
const GET_INFO: u16 = 8;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// The file that was frozen, or that of a VM that does not run.
    pub path: String,
    /// Changes since when.
    pub since: String,
    /// Where to begin.
    pub offset: u64,
    /// How far to look.
    pub len: u64,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// How far the host looked; less than asked for when there was too much to tell.
    pub processed: u64,
    /// What changed there, as the guest counts its bytes.
    pub ranges: Vec<ByteRange>,
}

impl Host {
    /// The changes of a frozen disk. What was written after it was frozen is not among them.
    pub fn changes(&mut self, query: &ChangesQuery) -> Result<Changes, Refusal> {
        self.advance();
        if !self.files.exists(&query.path) {
            return Err(Refusal::NO_FILE);
        }
        let info = self.files.info(&query.path).map_err(|_| Refusal::FAILED)?;
        let window = ByteRange::at(query.offset, query.len).ok_or(Refusal::INVALID_PARAMETER)?;
        let whole = window.len() == info.geometry.len && self.rules.whole_disk_refused;
        if window.is_empty() || window.end > info.geometry.len || whole {
            return Err(Refusal::INVALID_PARAMETER);
        }
        if self.is_written(&query.path) {
            return Err(Refusal(32774));
        }
        let disk = self.disk_id(&query.path).map_err(|_| Refusal::FAILED)?;
        let frozen = self
            .vms
            .iter()
            .flat_map(|vm| &vm.checkpoints)
            .find_map(|checkpoint| {
                let here = |path: &str| same_path(path, &query.path);
                let mut tracked = checkpoint.tracked.iter();
                tracked
                    .find(|t| here(&t.path))
                    .and_then(|t| t.id.as_deref())
            });
        let tracking = disk.and_then(|disk| self.tracking.get(&disk));
        let changed = tracking.and_then(|tracking| tracking.changes(&query.since, frozen));
        let changed = changed.ok_or(Refusal::FAILED)?;
        if self.rules.changes_stand_still {
            return Ok(Changes {
                processed: 0,
                ranges: Vec::new(),
            });
        }
        let from = match self.rules.changes_count_from_question {
            true => query.offset,
            false => 0,
        };
        let rounded = changed.align_out(self.rules.tracking_unit);
        let mut ranges: Vec<ByteRange> = Vec::new();
        for range in rounded.within(window) {
            if ranges.len() >= self.rules.most_changes {
                let processed = range.start.saturating_sub(query.offset);
                return Ok(Changes { processed, ranges });
            }
            ranges.push(ByteRange::new(
                range.start.saturating_sub(from),
                range.end.saturating_sub(from),
            ));
        }
        Ok(Changes {
            processed: query.len,
            ranges,
        })
    }

    /// A question about changes that is answered with a job, which tells nothing.
    pub fn changes_in_job(&mut self, query: &ChangesQuery) -> Result<JobId, Refusal> {
        self.changes(query)?;
        let path = query.path.as_str();
        let has = |vm: &&super::Vm| {
            let mut all = vm.all_settings().flat_map(|settings| settings.disks());
            all.any(|(_, known)| same_path(known, path))
        };
        let vm = self.vms.iter().find(has).map(|vm| vm.id);
        let (now, takes) = (self.now(), self.rules.state_takes);
        let id = self.start_aside(
            vm.unwrap_or_default(),
            (GET_INFO, takes),
            Work::Nothing,
            now,
        );
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.storage = true;
        }
        Ok(id)
    }

    /// A scenario's accident: the tracking of the disk in a file is lost, with all its ids.
    pub fn lose_tracking(&mut self, path: &str) -> Result<(), FileError> {
        if let Some(disk) = self.disk_id(path)?
            && let Some(tracking) = self.tracking.get_mut(&disk)
        {
            tracking.lose();
        }
        Ok(())
    }

    /// The tracking of all disks forgets what was written since the last id of each.
    pub(super) fn forget_running(&mut self) {
        self.tracking
            .values_mut()
            .for_each(super::tracking::Tracking::forget_running);
    }

    /// Whether a VM that runs writes to this file.
    fn is_written(&self, path: &str) -> bool {
        let active = |power| matches!(power, Power::Running | Power::Paused);
        let mut running = self.vms.iter().filter(|vm| active(vm.power));
        running.any(|vm| vm.settings.disks().any(|(_, leaf)| same_path(leaf, path)))
    }
}
