//! How consistent the VM and each of its disks are, as a point is made.
//!
//! A source says what it knows of each disk, and what shows later only makes that less. Of what is
//! in the point the VM is never better than the worst of its present disks; a disk may be better than
//! its VM.

use super::Details;
use crate::source::{Consistency, Owner};

impl Details {
    /// Lowers the VM and its present disks; those of checkpoints are of other moments.
    pub(crate) fn at_most(&mut self, most: Consistency) {
        self.consistency = self.consistency.min(most);
        self.disks_at_most(&Owner::Vm, most);
    }

    /// Lowers the disks of who has saved memory: something ran, and without that memory a guest finds
    /// them as after a power cut.
    pub(crate) fn beside_memory(&mut self) {
        let owners = self.saved_memory.iter().filter(|memory| memory.saved);
        let owners: Vec<Owner> = owners.map(|memory| memory.owner.clone()).collect();
        for owner in owners {
            match owner {
                Owner::Vm => self.at_most(Consistency::Crash),
                Owner::Checkpoint(_) => self.disks_at_most(&owner, Consistency::Crash),
            }
        }
    }

    /// A layer did not hold still, and neither did the disks that it is part of.
    pub(crate) fn layer_moved(&mut self, layer: usize) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.moved = true;
        }
        let tops: Vec<usize> = self.uses.iter().map(|used| used.layer).collect();
        let torn: Vec<bool> = tops
            .iter()
            .map(|top| self.chain(*top).contains(&layer))
            .collect();
        for (used, torn) in self.uses.iter_mut().zip(torn) {
            if torn {
                used.consistency = Some(Consistency::Torn);
            }
        }
    }

    fn disks_at_most(&mut self, owner: &Owner, most: Consistency) {
        for used in self.uses.iter_mut().filter(|used| used.owner == *owner) {
            used.consistency = Some(used.consistency.map_or(most, |was| was.min(most)));
        }
    }
}
