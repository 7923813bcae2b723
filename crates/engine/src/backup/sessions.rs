//! The one session that all VMs of a job write in.
//!
//! A session is for many threads: they find each other's chunks, fill each other's packs, and its
//! memory is there once. One that has failed stays failed; it is replaced when nobody uses it any
//! more, so that there are never two. What it stored is found by the next one.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vault::{Compression, Session, Vault};

/// See the [module](self).
pub(super) struct Sessions<'v> {
    vault: &'v Vault,
    compression: Compression,
    now: Mutex<Option<Arc<Session>>>,
    /// Signalled when somebody has done with one.
    freed: Condvar,
}

/// A session while it is used.
pub(super) struct Using<'s> {
    // Taken out when it is dropped.
    session: Option<Arc<Session>>,
    sessions: &'s Sessions<'s>,
}

impl<'v> Sessions<'v> {
    pub(super) fn new(vault: &'v Vault, compression: Compression) -> Self {
        Self {
            vault,
            compression,
            now: Mutex::new(None),
            freed: Condvar::new(),
        }
    }

    /// The session, begun if there is none that works.
    pub(super) fn get(&self) -> vault::Result<Using<'_>> {
        let mut now = self.lock();
        loop {
            match now.as_ref() {
                // Those that use it are about to see that it has failed.
                Some(session) if session.has_failed() && Arc::strong_count(session) > 1 => {
                    now = self.freed.wait(now).unwrap_or_else(PoisonError::into_inner);
                }
                Some(session) if !session.has_failed() => {
                    let session = Some(Arc::clone(session));
                    return Ok(Using {
                        session,
                        sessions: self,
                    });
                }
                _ => {
                    *now = None;
                    *now = Some(Arc::new(self.vault.session(self.compression)?));
                }
            }
        }
    }

    /// Gives it up after a VM that has failed, unless others use it.
    pub(super) fn renew(&self) {
        let mut now = self.lock();
        if now.as_ref().is_some_and(|now| Arc::strong_count(now) == 1) {
            *now = None;
        }
    }

    /// Ends it when all have done with it.
    pub(super) fn finish(self) -> vault::Result<()> {
        let now = self
            .now
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match now.map(Arc::try_unwrap) {
            Some(Ok(session)) => session.finish(),
            // A session that is merely dropped is safe as well.
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Using<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.session {
            Some(session) => session,
            // Only dropping takes it out.
            None => unreachable!("it is in use"),
        }
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        // Under the lock: whoever waits must not look before it counts as done with.
        let now = self.sessions.lock();
        self.session = None;
        drop(now);
        self.sessions.freed.notify_all();
    }
}
