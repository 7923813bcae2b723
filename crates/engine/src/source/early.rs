//! Leave to read of a VM that does not hold still yet.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a source gave before it was to make a VM hold still, for itself: leave to read the first of
/// the VM's layers. It is given back when the last of its clones is dropped, or when it was taken out,
/// by whoever did that.
#[derive(Clone, Default)]
pub struct Early(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl Early {
    /// With something in it.
    pub fn new(leave: impl Any + Send) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(leave)))))
    }

    /// Takes it out, if it is there and of this type.
    pub fn take<T: Any>(&self) -> Option<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|held| held.is::<T>())
            .and_then(|held| held.downcast().ok())
            .map(|held| *held)
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Early").finish_non_exhaustive()
    }
}
