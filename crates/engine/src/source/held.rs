//! The guard that keeps the promise that every frozen VM is ended.

use std::sync::{Arc, Mutex, PoisonError};

use crate::finding::Finding;
use crate::source::{End, Finished, FrozenVm};

/// Holds a frozen VM and ends it on every path: dropped without [`Held::finish`], as by an early
/// return or a panic, it is [abandoned](End::Abandoned), and what is left after that is in
/// [`Leavings`].
pub struct Held {
    vm: Option<Box<dyn FrozenVm>>,
    leavings: Leavings,
}

/// What abandoned VMs left, for whoever tells how the backup ended.
#[derive(Debug, Clone, Default)]
pub struct Leavings(Arc<Mutex<Vec<Finding>>>);

impl Leavings {
    /// What there is. Taken out.
    pub fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn leave(&self, findings: Vec<Finding>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(findings);
    }
}

impl Held {
    /// Takes responsibility for `vm`.
    pub fn new(vm: Box<dyn FrozenVm>, leavings: &Leavings) -> Self {
        Self {
            vm: Some(vm),
            leavings: leavings.clone(),
        }
    }

    /// The frozen VM.
    pub fn vm(&mut self) -> &mut dyn FrozenVm {
        match &mut self.vm {
            Some(vm) => vm.as_mut(),
            // Only `finish` takes it out, and `finish` consumes the guard.
            None => unreachable!("the guard was consumed"),
        }
    }

    /// Ends it and hands over what is left.
    pub fn finish(mut self, end: End) -> Finished {
        self.vm.take().map(|vm| vm.finish(end)).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(vm) = self.vm.take() {
            self.leavings.leave(vm.finish(End::Abandoned).findings);
        }
    }
}
