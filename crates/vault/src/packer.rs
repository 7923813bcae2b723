//! From compressed chunks to durable packs.
//!
//! Workers seal their chunks into the pack that is being filled, under its lock: sealing takes a
//! hundredth of the time that compressing does. A full pack goes to the putters, threads that
//! sign and hash it and make it durable while the next one is filled. There is no queue between
//! them: a worker whose pack is full waits until a putter is free, so at most one pack of each
//! kind and one for each putter are in memory.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;

use vault_format::index::PackRef;
use vault_format::pack::{PackBuilder, PackKind};
use vault_format::payload::Payload;
use vault_format::{ChunkId, ObjectName, VaultKeys};

use crate::claims::Claims;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::objects::Objects;

const PUTTERS: usize = 2;

/// What a session stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Packs.
    pub packs: u64,
    /// Bytes of the packs, everything included.
    pub bytes: u64,
    /// Chunks and nodes in them.
    pub chunks: u64,
}

/// A pack on its way to be stored, by its number.
type Numbered = (u64, PackBuilder);

/// Fills packs and makes them durable.
pub(crate) struct Packer {
    shared: Arc<Shared>,
    putters: Option<SyncSender<Numbered>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    objects: Objects,
    keys: Arc<VaultKeys>,
    env: Env,
    index: Arc<Index>,
    claims: Arc<Claims>,
    pack_size: u64,
    data: Mutex<Option<PackBuilder>>,
    map: Mutex<Option<PackBuilder>>,
    /// Memory of packs that are stored, for the next ones.
    spare: Mutex<Vec<Vec<u8>>>,
    progress: Mutex<Progress>,
    idle: Condvar,
    failed: OnceLock<Arc<Error>>,
}

#[derive(Default)]
struct Progress {
    /// Packs that are not durable yet, by their numbers.
    on_the_way: BTreeSet<u64>,
    /// The next pack's number.
    next: u64,
    stored: Stored,
}

impl Progress {
    fn begin(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.on_the_way.insert(number);
        number
    }
}

impl Packer {
    pub(crate) fn start(
        objects: Objects,
        keys: Arc<VaultKeys>,
        env: Env,
        index: Arc<Index>,
        claims: Arc<Claims>,
        pack_size: u64,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            objects,
            keys,
            env,
            index,
            claims,
            pack_size,
            data: Mutex::default(),
            map: Mutex::default(),
            spare: Mutex::default(),
            progress: Mutex::default(),
            idle: Condvar::new(),
            failed: OnceLock::new(),
        });
        let (putters, packs) = sync_channel(0);
        let packs = Arc::new(Mutex::new(packs));
        let mut threads = Vec::new();
        for n in 0..PUTTERS {
            let (shared, packs) = (shared.clone(), packs.clone());
            let thread = std::thread::Builder::new()
                .name(format!("vault-put-{n}"))
                .spawn(move || put_packs(&shared, &packs))
                .map_err(|e| Error::invalid(format!("cannot start a thread: {e}")))?;
            threads.push(thread);
        }
        Ok(Self {
            shared,
            putters: Some(putters),
            threads,
        })
    }

    /// The error that ended the session, if one did.
    pub(crate) fn check(&self) -> Result<()> {
        match self.shared.failed.get() {
            Some(e) => Err(Error::Session(e.clone())),
            None => Ok(()),
        }
    }

    /// Ends the session: every later call fails with this error.
    pub(crate) fn fail(&self, e: Error) -> Error {
        Error::Session(self.shared.fail(e))
    }

    /// Seals a claimed chunk or node into a pack. Blocks while both putters are busy.
    pub(crate) fn add(&self, kind: PackKind, id: ChunkId, payload: Payload) -> Result<()> {
        self.check()?;
        let mut slot = lock(self.shared.slot(kind));
        let full = self
            .seal(&mut slot, kind, id, payload)
            .map_err(|e| self.fail(e))?;
        // The lock is held while a putter is waited for: the next pack must not be begun before.
        match full {
            Some(pack) => self.send(pack),
            None => Ok(()),
        }
    }

    fn seal(
        &self,
        slot: &mut Option<PackBuilder>,
        kind: PackKind,
        id: ChunkId,
        payload: Payload,
    ) -> Result<Option<PackBuilder>> {
        let shared = &*self.shared;
        let mut pack = match slot.take() {
            Some(pack) => pack,
            None => shared.begin(kind)?,
        };
        pack.add(id, payload).map_err(Error::object("new pack"))?;
        let target = match kind {
            PackKind::Data => shared.pack_size,
            // Nodes are small and wait for the end of their pack, so theirs are smaller.
            PackKind::Map => shared.pack_size / 4,
        };
        if pack.len() >= target {
            return Ok(Some(pack));
        }
        *slot = Some(pack);
        Ok(None)
    }

    fn send(&self, pack: PackBuilder) -> Result<()> {
        let number = lock(&self.shared.progress).begin();
        let sent = self
            .putters
            .as_ref()
            .is_some_and(|p| p.send((number, pack)).is_ok());
        if !sent {
            lock(&self.shared.progress).on_the_way.remove(&number);
            return Err(self.fail(Error::invalid("the threads that store packs have ended")));
        }
        Ok(())
    }

    /// Finishes the packs that are being filled, and waits until they and all before them are
    /// durable; not for those that other threads begin meanwhile, or it might never end.
    pub(crate) fn flush(&self) -> Result<()> {
        for kind in [PackKind::Data, PackKind::Map] {
            // Held until the pack counts as on its way: another flush must not miss it.
            let mut slot = lock(self.shared.slot(kind));
            if let Some(pack) = slot.take() {
                self.send(pack)?;
            }
        }
        let mut progress = lock(&self.shared.progress);
        let end = progress.next;
        while progress.on_the_way.first().is_some_and(|n| *n < end) {
            progress = self
                .shared
                .idle
                .wait(progress)
                .unwrap_or_else(|e| e.into_inner());
        }
        drop(progress);
        self.check()
    }

    pub(crate) fn stored(&self) -> Stored {
        lock(&self.shared.progress).stored
    }
}

/// What is not flushed is discarded: it never becomes visible.
impl Drop for Packer {
    fn drop(&mut self) {
        self.putters = None;
        for thread in self.threads.drain(..) {
            // A putter that panicked has told so; there is nothing to add to it here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn slot(&self, kind: PackKind) -> &Mutex<Option<PackBuilder>> {
        match kind {
            PackKind::Data => &self.data,
            PackKind::Map => &self.map,
        }
    }

    fn begin(&self, kind: PackKind) -> Result<PackBuilder> {
        let spare = match kind {
            PackKind::Data => lock(&self.spare).pop().unwrap_or_default(),
            PackKind::Map => Vec::new(),
        };
        PackBuilder::with_buffer(&self.keys, kind, &mut self.env.entropy(), spare)
            .map_err(Error::object("new pack"))
    }

    fn fail(&self, e: Error) -> Arc<Error> {
        let e = match e {
            Error::Session(first) => first,
            other => Arc::new(other),
        };
        self.failed.get_or_init(|| e).clone()
    }

    fn put(&self, pack: PackBuilder) -> Result<Stored> {
        let pack = pack.finish();
        self.objects
            .put(&ObjectName::Pack(pack.hash), &pack.bytes)?;
        let len = u32::try_from(pack.bytes.len())
            .map_err(|_| Error::invalid("a pack has 4 GiB or more"))?;
        let known = PackRef {
            hash: pack.hash,
            len,
            kind: pack.kind,
        };
        self.index.add_pack(known, &pack.entries);
        self.claims.settle(pack.entries.iter().map(|e| &e.id));
        let stored = Stored {
            packs: 1,
            bytes: len.into(),
            chunks: pack.entries.len() as u64,
        };
        if pack.kind == PackKind::Data {
            lock(&self.spare).push(pack.bytes);
        }
        if self.index.is_full() {
            self.index.write_run()?;
        }
        Ok(stored)
    }
}

fn put_packs(shared: &Shared, packs: &Mutex<Receiver<Numbered>>) {
    /// Counts a pack as done on every path, also when storing it panics: nobody may wait for it
    /// for ever.
    struct Done<'a>(&'a Shared, u64, Option<Stored>);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            if self.2.is_none() {
                self.0
                    .fail(Error::invalid("a thread that stores packs panicked"));
            }
            let stored = self.2.unwrap_or_default();
            let mut progress = lock(&self.0.progress);
            progress.on_the_way.remove(&self.1);
            progress.stored.packs += stored.packs;
            progress.stored.bytes += stored.bytes;
            progress.stored.chunks += stored.chunks;
            self.0.idle.notify_all();
        }
    }
    loop {
        let received = lock(packs).recv();
        let Ok((number, pack)) = received else {
            return;
        };
        let mut done = Done(shared, number, None);
        // After a failure the rest is dropped: no point will refer to it.
        let stored = match shared.failed.get() {
            Some(_) => Ok(Stored::default()),
            None => shared.put(pack),
        };
        done.2 = Some(stored.unwrap_or_else(|e| {
            shared.fail(e);
            Stored::default()
        }));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
