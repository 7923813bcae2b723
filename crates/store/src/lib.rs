//! Object stores: durable local folder, memory, recording and faulty.
//!
//! A vault asks little of what keeps it: named objects that are written once as a whole, read
//! whole or in ranges, listed by prefix, and deleted. [`Store`] is that, synchronous and shared
//! by threads.
//!
//! Invariants of every implementation:
//!
//! - An object is visible either not at all or with all of its bytes, also after a crash.
//! - When [`Store::put`] returns `Ok`, the object survives a loss of power.
//! - Objects never change. Putting the same bytes again is fine, other bytes are refused.
//! - A failed put may still have stored the object ([`Error::Ambiguous`] says that nobody
//!   knows): look before believing, or put the same bytes again.

pub mod error;
pub mod faulty;
pub mod local;
pub mod memory;
pub mod name;
pub mod recording;
mod rename;

use std::sync::Arc;
use std::time::SystemTime;

pub use error::{Error, Result};
pub use faulty::{Fault, FaultyStore, Request};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use recording::{Op, RecordingStore};
pub use rename::rename_new;

/// What a store tells about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub len: u64,
    /// When it was written, by the store's own clock. Compare it only with times of the same
    /// store.
    pub modified: SystemTime,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The object's full name.
    pub name: String,
    /// Size and time.
    pub stat: Stat,
}

/// A place for immutable named objects. See the crate's documentation for what it promises.
///
/// Names follow [`name::check`]. All methods may be called from many threads and processes at
/// once.
pub trait Store: Send + Sync {
    /// Stores `bytes` under `name`, durably.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when other bytes are stored under that name.
    /// [`Error::Ambiguous`] when it is unknown whether the object was stored.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Stores `bytes` under `name` only if nothing is there, not even the same bytes. On stores
    /// that cannot decide a race, two callers may both win: use it for human-paced acts only.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when anything is stored under that name.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// The whole object, which must not be larger than `limit` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] instead of an allocation beyond `limit`.
    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>>;

    /// Fills `buf` with the object's bytes from `offset`.
    ///
    /// # Errors
    /// [`Error::TooShort`] when the object ends before that.
    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// Size and time of the object.
    fn stat(&self, name: &str) -> Result<Stat>;

    /// Calls `each` for every object whose name begins with `prefix`, in ascending order of
    /// names. Objects put or deleted meanwhile may be told or not. A prefix may end anywhere in
    /// a name; one that ends with `/` lists a folder and everything below it.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()>;

    /// Removes the object, durably. Removing what is not there is fine.
    fn delete(&self, name: &str) -> Result<()>;

    /// Whether the object exists.
    fn exists(&self, name: &str) -> Result<bool> {
        match self.stat(name) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// All entries of a listing at once; for prefixes that are known to hold few.
    fn list_all(&self, prefix: &str) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        self.list(prefix, &mut |entry| all.push(entry))?;
        Ok(all)
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Store + ?Sized> Store for $pointer {
            fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
                (**self).put(name, bytes)
            }
            fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
                (**self).put_new(name, bytes)
            }
            fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
                (**self).get(name, limit)
            }
            fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
                (**self).get_range(name, offset, buf)
            }
            fn stat(&self, name: &str) -> Result<Stat> {
                (**self).stat(name)
            }
            fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
                (**self).list(prefix, each)
            }
            fn delete(&self, name: &str) -> Result<()> {
                (**self).delete(name)
            }
        }
    )*};
}
forward!(&S, Box<S>, Arc<S>);
