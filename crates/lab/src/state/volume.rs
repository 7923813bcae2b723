//! Volumes that have an end: what happens when one is full.
//!
//! A volume's files are the lab's real ones, by their length; the rest of what is in use is a
//! number that a scenario sets. Files on no volume have room without end.

use uuid::Uuid;

use super::files::FileError;
use super::host::Host;
use super::refusal::Failure;
use super::vm::Power;

/// `ERROR_DISK_FULL`.
const FULL: u32 = 0x8007_0070;
/// Bytes that a new differencing disk needs.
const NEW_CHILD: u64 = 8 << 20;
/// Bytes by which a disk may grow with one write of a guest, beside its data.
const GROWTH: u64 = 1 << 20;

/// A volume of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The id that Windows gave it.
    pub id: Uuid,
    /// Where it is mounted: `D:\\`, or a folder such as `C:\\ClusterStorage\\Volume1\\`.
    pub name: String,
    /// Bytes that it has.
    pub capacity: u64,
    /// Bytes in use that are not the lab's files.
    pub others: u64,
}

impl Host {
    /// Bytes that are free on a volume.
    pub fn free(&self, volume: &Volume) -> Result<u64, FileError> {
        let used = self.files.used(&volume.name)?;
        Ok(volume
            .capacity
            .saturating_sub(used.saturating_add(volume.others)))
    }

    /// Bytes that are free where a file lies; `None` when there is no end.
    fn room(&self, path: &str) -> Result<Option<u64>, FileError> {
        let path = path.to_lowercase();
        let here = |volume: &&Volume| path.starts_with(&volume.name.to_lowercase());
        let volume = self
            .volumes
            .iter()
            .filter(here)
            .max_by_key(|v| v.name.len());
        volume.map(|volume| self.free(volume)).transpose()
    }

    fn has_room(&self, path: &str, bytes: u64) -> Result<bool, FileError> {
        Ok(self.room(path)?.is_none_or(|room| room >= bytes))
    }

    /// Whether there is room for a child of a disk.
    pub(super) fn room_for_child(&self, path: &str) -> Result<(), Failure> {
        self.needs(path, NEW_CHILD)
    }

    /// Whether there is room for what a child holds, before it goes.
    pub(super) fn room_to_merge(&self, parent: &str, child: &str) -> Result<(), Failure> {
        self.needs(parent, self.files.size(child)?)
    }

    /// Whether there is room for so many bytes.
    pub(super) fn room_for_copy(&self, path: &str, bytes: u64) -> Result<(), Failure> {
        self.needs(path, bytes)
    }

    fn needs(&self, path: &str, bytes: u64) -> Result<(), Failure> {
        match self.has_room(path, bytes)? {
            true => Ok(()),
            false => {
                let text = format!("Für „{path}“ ist nicht genügend Speicherplatz vorhanden.");
                Err(Failure::general(Some(FULL), text))
            }
        }
    }

    /// Whether a guest's write finds room. If not, its VM stands still until there is some.
    pub(super) fn room_to_write(
        &mut self,
        vm: Uuid,
        path: &str,
        len: usize,
    ) -> Result<(), FileError> {
        let bytes = u64::try_from(len)
            .unwrap_or(u64::MAX)
            .saturating_add(GROWTH);
        if self.has_room(path, bytes)? {
            return Ok(());
        }
        let now = self.now();
        if let Some(vm) = self.vm_mut(vm) {
            vm.power = Power::Paused;
            vm.power_since = now;
            vm.critical = true;
        }
        Err(FileError::Full(path.to_owned()))
    }

    /// A scenario's accident: so much is free from now on. VMs that stood still go on if they can,
    /// and merges are tried again.
    pub(super) fn set_free(&mut self, name: &str, free: u64) -> Result<(), FileError> {
        let used = self.files.used(name)?;
        let mut volumes = self.volumes.iter_mut();
        let volume = volumes.find(|volume| volume.name.eq_ignore_ascii_case(name));
        let volume = volume.ok_or_else(|| FileError::Missing(name.to_owned()))?;
        volume.capacity = volume.capacity.max(used.saturating_add(free));
        volume.others = volume.capacity.saturating_sub(used.saturating_add(free));
        let now = self.now();
        let all: Vec<Uuid> = self.vms.iter().map(|vm| vm.id).collect();
        for id in all {
            let Some(vm) = self.vm(id) else { continue };
            let paths: Vec<String> = vm.settings.disks().map(|(_, p)| p.to_owned()).collect();
            let mut fits = vm.critical;
            for path in paths {
                fits = fits && self.has_room(&path, 2 * GROWTH)?;
            }
            if let Some(vm) = self.vm_mut(id) {
                vm.merge_failed = false;
                if fits {
                    vm.critical = false;
                    vm.power = Power::Running;
                    vm.power_since = now;
                }
            }
            self.merge_if_needed(id, now);
        }
        Ok(())
    }
}
