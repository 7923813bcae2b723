//! Objects in the store, by name: put until it is certain, get with a bound, verify the hash.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use vault_format::{MAX_DOCUMENT_LEN, ObjectHash, ObjectName};

use crate::env::Clock;
use crate::error::{Error, Result};

const ATTEMPTS: u32 = 4;

/// The store, spoken to with patience.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Stores an object; when this returns, it is durable.
    ///
    /// Putting the same bytes again is harmless, so a lost or ambiguous answer is met by asking
    /// again. Where other bytes stand under a name that carries the hash of ours, they are
    /// damaged by definition, and are replaced.
    pub(crate) fn put(&self, name: &ObjectName, bytes: &[u8]) -> Result<()> {
        let text = name.to_string();
        self.retry(|| match self.store.put(&text, bytes) {
            Err(store::Error::AlreadyExists { .. }) if name.hash().is_some() => {
                self.store.delete(&text)?;
                self.store.put(&text, bytes)
            }
            other => other,
        })
    }

    pub(crate) fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>> {
        let text = name.to_string();
        self.retry(|| self.store.get(&text, limit))
    }

    /// Gets an object and checks it against the hash in its name.
    pub(crate) fn get_verified(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.get(name, limit)?;
        match name.hash() {
            Some(hash) if hash != ObjectHash::of(&bytes) => Err(Error::WrongHash {
                object: name.to_string(),
            }),
            _ => Ok(bytes),
        }
    }

    pub(crate) fn get_range(&self, name: &ObjectName, offset: u64, buf: &mut [u8]) -> Result<()> {
        let text = name.to_string();
        self.retry(|| self.store.get_range(&text, offset, buf))
    }

    pub(crate) fn stat(&self, name: &ObjectName) -> Result<Option<store::Stat>> {
        let text = name.to_string();
        match self.retry(|| self.store.stat(&text)) {
            Ok(stat) => Ok(Some(stat)),
            Err(Error::Store(e)) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the store answers at all. What failed with one object is that object's fault then: a
    /// bad sector, say, and not a share that went away.
    pub(crate) fn answers(&self) -> bool {
        let description = ObjectName::Description;
        self.get(&description, MAX_DOCUMENT_LEN as u64).is_ok()
    }

    /// What is wrong with one object.
    ///
    /// # Errors
    /// The same error, when it says nothing of that object: the store does not answer, or refuses.
    pub(crate) fn of_one(&self, e: Error) -> Result<Error> {
        use store::Error::{Io, NotFound, TooLarge, TooShort};
        match &e {
            Error::Store(NotFound { .. } | TooShort { .. } | TooLarge { .. } | Io { .. }) => {
                if self.answers() { Ok(e) } else { Err(e) }
            }
            Error::Store(_) => Err(e),
            _ => Ok(e),
        }
    }

    pub(crate) fn delete(&self, name: &ObjectName) -> Result<()> {
        let text = name.to_string();
        self.retry(|| self.store.delete(&text))
    }

    /// All objects below `folder` whose names are names of a vault; others are not ours.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<(ObjectName, store::Stat)>> {
        let mut all = Vec::new();
        self.retry(|| {
            all.clear();
            self.store.list(folder, &mut |entry| {
                if let Ok(name) = entry.name.parse() {
                    all.push((name, entry.stat));
                }
            })
        })?;
        Ok(all)
    }

    fn retry<T>(&self, mut act: impl FnMut() -> store::Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            match act() {
                Err(e) if attempt < ATTEMPTS && is_transient(&e) => {
                    self.clock
                        .sleep(Duration::from_millis(100 << (2 * attempt)));
                    attempt += 1;
                }
                other => return Ok(other?),
            }
        }
    }
}

fn is_transient(e: &store::Error) -> bool {
    matches!(e, store::Error::Io { .. } | store::Error::Ambiguous { .. })
}
