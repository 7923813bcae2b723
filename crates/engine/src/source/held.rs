//! The guard that keeps the promise that every frozen VM is ended.

use crate::source::{End, Finished, FrozenVm};

/// Holds a frozen VM and ends it on every path: dropped without [`Held::finish`], as by an early
/// return or a panic, it is [abandoned](End::Abandoned).
pub struct Held(Option<Box<dyn FrozenVm>>);

impl Held {
    /// Takes responsibility for `vm`.
    pub fn new(vm: Box<dyn FrozenVm>) -> Self {
        Self(Some(vm))
    }

    /// The frozen VM.
    pub fn vm(&mut self) -> &mut dyn FrozenVm {
        match &mut self.0 {
            Some(vm) => vm.as_mut(),
            // Only `finish` takes it out, and `finish` consumes the guard.
            None => unreachable!("the guard was consumed"),
        }
    }

    /// Ends it and hands over what is left.
    pub fn finish(mut self, end: End) -> Finished {
        self.0.take().map(|vm| vm.finish(end)).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(vm) = self.0.take() {
            vm.finish(End::Abandoned);
        }
    }
}
