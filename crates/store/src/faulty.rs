//! A store that fails the way real ones do, on purpose and repeatably.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::{Entry, Stat, Store};

/// How one request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens and the caller is told so.
    Before,
    /// It happens, and then the answer is lost.
    After,
    /// Half of the bytes are stored, and the answer is lost: a store that breaks its promise.
    Torn,
    /// There is no space left.
    Full,
}

/// A request that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Store an object.
    Put(&'a str),
    /// Read an object or a part of it.
    Get(&'a str),
    /// Ask for size and time.
    Stat(&'a str),
    /// List a prefix.
    List(&'a str),
    /// Remove an object.
    Delete(&'a str),
}

type Plan = Box<dyn FnMut(Request<'_>) -> Option<Fault> + Send>;

/// Passes requests to another store, or fails them by a plan.
pub struct FaultyStore<S> {
    inner: S,
    state: Mutex<State>,
    stale: usize,
}

struct State {
    plan: Plan,
    recent: VecDeque<String>,
}

impl<S: Store> FaultyStore<S> {
    /// Asks `plan` before every request.
    pub fn new(inner: S, plan: impl FnMut(Request<'_>) -> Option<Fault> + Send + 'static) -> Self {
        Self {
            inner,
            state: Mutex::new(State {
                plan: Box::new(plan),
                recent: VecDeque::new(),
            }),
            stale: 0,
        }
    }

    /// Fails about one in `one_in` requests with one of `faults`, the same ones for a `seed`.
    pub fn seeded(inner: S, seed: u64, one_in: u64, faults: &'static [Fault]) -> Self {
        let mut state = seed;
        Self::new(inner, move |_| {
            let draw = splitmix(&mut state);
            let which = splitmix(&mut state) as usize % faults.len().max(1);
            draw.is_multiple_of(one_in.max(1))
                .then(|| faults.get(which).copied())
                .flatten()
        })
    }

    /// Lists do not show the last `puts` objects stored through this store.
    pub fn with_stale_lists(mut self, puts: usize) -> Self {
        self.stale = puts;
        self
    }

    /// The store below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn plan(&self, request: Request<'_>) -> Option<Fault> {
        (self.state().plan)(request)
    }

    fn read<T>(
        &self,
        request: Request<'_>,
        name: &str,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        match self.plan(request) {
            None => f(),
            Some(_) => Err(Error::io(name, "read", lost())),
        }
    }

    fn write(&self, name: &str, bytes: &[u8], f: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        let name_ = name.to_owned();
        let ambiguous = Error::Ambiguous {
            name: name_,
            doing: "storing",
            source: lost(),
        };
        let fault = self.plan(Request::Put(name));
        let done = match fault {
            Some(Fault::Before) => return Err(Error::io(name, "store", lost())),
            Some(Fault::Full) => {
                let full = io::ErrorKind::StorageFull.into();
                return Err(Error::io(name, "store", full));
            }
            Some(Fault::Torn) => f(&bytes[..bytes.len() / 2]),
            Some(Fault::After) | None => f(bytes),
        };
        done?;
        let mut state = self.state();
        state.recent.push_back(name.to_owned());
        while state.recent.len() > self.stale {
            state.recent.pop_front();
        }
        if fault.is_some() {
            Err(ambiguous)
        } else {
            Ok(())
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection lost (injected)")
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl<S: Store> Store for FaultyStore<S> {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes, |bytes| self.inner.put(name, bytes))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.write(name, bytes, |bytes| self.inner.put_new(name, bytes))
    }

    fn get(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        self.read(Request::Get(name), name, || self.inner.get(name, limit))
    }

    fn get_range(&self, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.read(Request::Get(name), name, || {
            self.inner.get_range(name, offset, buf)
        })
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        self.read(Request::Stat(name), name, || self.inner.stat(name))
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Entry)) -> Result<()> {
        self.read(Request::List(prefix), prefix, || {
            let hidden = self.state().recent.clone();
            self.inner.list(prefix, &mut |entry| {
                if !hidden.contains(&entry.name) {
                    each(entry);
                }
            })
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        match self.plan(Request::Delete(name)) {
            None => self.inner.delete(name),
            Some(Fault::After) => {
                self.inner.delete(name)?;
                Err(Error::Ambiguous {
                    name: name.into(),
                    doing: "removing",
                    source: lost(),
                })
            }
            Some(_) => Err(Error::io(name, "remove", lost())),
        }
    }
}
