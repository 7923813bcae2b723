//! Bytes that may be under way at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::conn::Hands;

/// A number of bytes that all files share.
pub(crate) struct Budget {
    all: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Bytes taken from a budget, until it is dropped.
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(all: u64) -> Arc<Self> {
        Arc::new(Self {
            all,
            free: Mutex::new(all),
            freed: Condvar::new(),
        })
    }

    /// Takes bytes, all there are when more are wanted. `None` when that had to wait and `hands`
    /// are full: who holds some and waits for more may wait for who does the same.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64, hands: Hands) -> Option<Lease> {
        let bytes = bytes.min(self.all);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            if hands == Hands::Full {
                return None;
            }
            let waited = self.freed.wait(free);
            free = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Some(Lease {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let free = self.budget.free.lock();
        *free.unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.budget.freed.notify_all();
    }
}
