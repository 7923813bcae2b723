//! Taking a VM off the host.

use uuid::Uuid;

use super::effect::{Work, gone};
use super::host::Host;
use super::job::JobId;
use super::refusal::{Failure, Refusal};
use super::vm::{Busy, Power};

/// No public source tells the number of this one.
const DESTROY: u16 = 0;

impl Host {
    /// Begins to take a VM off the host: off, saved, or only planned. Its disks stay.
    pub fn destroy_system(&mut self, vm: Uuid) -> Result<JobId, Refusal> {
        self.advance();
        let power = self.vm(vm).ok_or(Refusal::INVALID_PARAMETER)?.power;
        if !matches!(power, Power::Off | Power::Saved) {
            return Err(Refusal::INVALID_STATE);
        }
        let (now, takes) = (self.now(), self.rules.destroy_takes);
        let work = Work::DestroySystem { vm };
        self.begin(vm, Busy::Other, (DESTROY, takes), work, now)
    }

    pub(super) fn drop_system(&mut self, id: Uuid) -> Result<(), Failure> {
        let place = self.vms.iter().position(|vm| vm.id == id);
        self.vms.remove(place.ok_or_else(gone)?);
        if let Some(node) = &self.node {
            node.cluster.remove_role(id);
        }
        self.replays.retain(|replay| replay.vm != id);
        self.forget_free_ids();
        Ok(())
    }
}
