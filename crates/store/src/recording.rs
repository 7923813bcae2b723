//! A store that remembers what was done to it, so that a crash can be staged at every step.

use std::sync::Mutex;

use crate::error::Result;
use crate::{Entry, MemoryStore, Stat, Store};

/// One operation on a store, in the order in which it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// An object was stored.
    Put {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An object was removed.
    Delete {
        /// Its name.
        name: String,
    },
    /// Bytes were read.
    Get {
        /// Of which object.
        name: String,
        /// How many.
        len: u64,
    },
    /// A size and time were asked for.
    Stat {
        /// Of which object.
        name: String,
    },
    /// A prefix was listed.
    List {
        /// Which.
        prefix: String,
    },
}

/// Passes everything to another store and remembers what succeeded.
#[derive(Debug, Default)]
pub struct RecordingStore<S> {
    inner: S,
    ops: Mutex<Vec<Op>>,
}

impl<S: Store> RecordingStore<S> {
    /// Records what is done to `inner` from now on.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            ops: Mutex::new(Vec::new()),
        }
    }

    /// The store below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Everything so far; the record is empty afterwards.
    pub fn take(&self) -> Vec<Op> {
        std::mem::take(&mut *self.ops.lock().unwrap_or_else(|e| e.into_inner()))
    }

    // Changes are applied under the lock, so the record's order is the order of their effects.
    fn change(&self, op: Op, apply: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut ops = self.ops.lock().unwrap_or_else(|e| e.into_inner());
        apply()?;
        ops.push(op);
        Ok(())
    }

    fn note(&self, op: Op) {
        self.ops.lock().unwrap_or_else(|e| e.into_inner()).push(op);
    }
}

/// Applies the changes among `ops` to `store`: what a crash right after the last one leaves.
pub fn replay(ops: &[Op], store: &MemoryStore) -> Result<()> {
    for op in ops {
        match op {
            Op::Put { name, bytes } => store.put(name, bytes)?,
            Op::Delete { name } => store.delete(name)?,
            Op::Get { .. } | Op::Stat { .. } | Op::List { .. } => {}
        }
    }
    Ok(())
}

impl<S: Store> Store for RecordingStore<S> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let op = Op::Put {
            name: name.into(),
            bytes: bytes.to_vec(),
        };
        self.change(op, || self.inner.put(name, bytes))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let op = Op::Put {
            name: name.into(),
            bytes: bytes.to_vec(),
        };
        self.change(op, || self.inner.put_new(name, bytes))
    }

    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.inner.get(name, limit)?;
        self.note(Op::Get {
            name: name.into(),
            len: bytes.len() as u64,
        });
        Ok(bytes)
    }

    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.get_range(name, offset, buf)?;
        self.note(Op::Get {
            name: name.into(),
            len: buf.len() as u64,
        });
        Ok(())
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        let stat = self.inner.stat(name)?;
        self.note(Op::Stat { name: name.into() });
        Ok(stat)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
        self.inner.list(prefix, each)?;
        self.note(Op::List {
            prefix: prefix.into(),
        });
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<()> {
        let op = Op::Delete { name: name.into() };
        self.change(op, || self.inner.delete(name))
    }
}
