//! A store in memory, with a clock that only moves when told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::{Entry, Stat, Store, name};

/// Objects in memory. Its clock starts at the Unix epoch and moves by [`MemoryStore::advance`].
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default, Clone)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, Duration)>,
    now: Duration,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the store's clock forward.
    pub fn advance(&self, by: Duration) {
        self.state().now += by;
    }

    /// Replaces an object's bytes, which no [`Store`] allows: damage for tests.
    pub fn overwrite(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let now = state.now;
        state.objects.insert(name.to_owned(), (bytes, now));
    }

    /// Names of all objects, ascending.
    pub fn names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Bytes of all objects together.
    pub fn total(&self) -> u64 {
        let state = self.state();
        state.objects.values().map(|(b, _)| b.len() as u64).sum()
    }

    // A poisoned lock means that a panic happened between two whole changes: the map is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn insert(&self, name: &str, bytes: &[u8], same_is_fine: bool) -> Result<()> {
        name::check(name)?;
        let mut state = self.state();
        if let Some((old, _)) = state.objects.get(name) {
            if same_is_fine && old == bytes {
                return Ok(());
            }
            return Err(Error::AlreadyExists { name: name.into() });
        }
        let now = state.now;
        state.objects.insert(name.into(), (bytes.to_vec(), now));
        Ok(())
    }

    fn with<T>(&self, name: &str, f: impl FnOnce(&[u8], Duration) -> Result<T>) -> Result<T> {
        name::check(name)?;
        match self.state().objects.get(name) {
            Some((bytes, time)) => f(bytes, *time),
            None => Err(Error::NotFound { name: name.into() }),
        }
    }
}

/// A copy of the objects and the clock.
impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }
}

impl Store for MemoryStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.insert(name, bytes, true)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.insert(name, bytes, false)
    }

    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        self.with(name, |bytes, _| {
            if bytes.len() as u64 > limit {
                return Err(Error::TooLarge {
                    name: name.into(),
                    len: bytes.len() as u64,
                    limit,
                });
            }
            Ok(bytes.to_vec())
        })
    }

    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.with(name, |bytes, _| {
            let end = offset.saturating_add(buf.len() as u64);
            let from = usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..)?.get(..buf.len()))
                .ok_or(Error::TooShort {
                    name: name.into(),
                    end,
                })?;
            buf.copy_from_slice(from);
            Ok(())
        })
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        self.with(name, |bytes, time| Ok(stat(bytes, time)))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
        name::check_prefix(prefix)?;
        let found: Vec<_> = self
            .state()
            .objects
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, (bytes, time))| Entry {
                name: name.clone(),
                stat: stat(bytes, *time),
            })
            .collect();
        found.into_iter().for_each(each);
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<()> {
        name::check(name)?;
        self.state().objects.remove(name);
        Ok(())
    }
}

fn stat(bytes: &[u8], time: Duration) -> Stat {
    Stat {
        len: bytes.len() as u64,
        modified: SystemTime::UNIX_EPOCH + time,
    }
}
