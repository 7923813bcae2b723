//! Asking what changed on a disk since a point (`GetVirtualDiskChanges`).

use disk::ByteRange;

use super::files::FileError;
use super::host::{Host, same_path};
use super::refusal::Refusal;
use super::vm::Power;

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
        let rounded = changed.align_out(self.rules.tracking_unit);
        let mut ranges: Vec<ByteRange> = Vec::new();
        for range in rounded.within(window) {
            if ranges.len() >= self.rules.most_changes {
                let processed = range.start.saturating_sub(query.offset);
                return Ok(Changes { processed, ranges });
            }
            ranges.push(range);
        }
        Ok(Changes {
            processed: query.len,
            ranges,
        })
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

    /// Whether a VM that runs writes to this file.
    fn is_written(&self, path: &str) -> bool {
        let active = |power| matches!(power, Power::Running | Power::Paused);
        let mut running = self.vms.iter().filter(|vm| active(vm.power));
        running.any(|vm| vm.settings.disks().any(|(_, leaf)| same_path(leaf, path)))
    }
}
