//! A writer's session: chunks and maps go in, a restore point comes out.
//!
//! The order that makes a point safe: packs, then the index run, then a look at every pack that
//! was leaned on, then the manifest. Whatever ends a session before the manifest leaves packs
//! behind that no point refers to; the next session takes them over and stores nothing again
//! that is in them.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use vault_format::index::PackRef;
use vault_format::pack::{PACK_TARGET, PackKind};
use vault_format::payload::{Encoder, Payload};
use vault_format::point::{Details, Outline, seal_point};
use vault_format::{ChunkId, NodeId, ObjectName, SessionId, VaultKeys};

use crate::claims::Claims;
use crate::cutter::Cutter;
use crate::disk_writer::{DiskWriter, Layout};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::heartbeat::Heartbeat;
use crate::index::Index;
use crate::noise;
use crate::objects::Objects;
use crate::packer::{Packer, Stored};
use crate::points::PointRef;
use crate::tree::Nodes;
use crate::vault::Vault;

/// More packs than this are looked for in one listing.
const MANY_PACKS: usize = 64;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Zstandard 2.
    #[default]
    Default,
    /// Zstandard 1: about 2 % larger for 7 % less time.
    Fast,
    /// Zstandard 3: about 1 % smaller for a quarter more time.
    Small,
    /// Any level from 1 to 19.
    Level(i32),
}

impl Compression {
    fn level(self) -> i32 {
        match self {
            Self::Default => 2,
            Self::Fast => 1,
            Self::Small => 3,
            Self::Level(level) => level,
        }
    }
}

/// Choices for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// How hard to compress.
    pub compression: Compression,
    /// Size at which a data pack is stored, in bytes. Three of them are in memory at a time.
    pub pack_size: u64,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Default,
            pack_size: PACK_TARGET,
        }
    }
}

impl From<Compression> for SessionOptions {
    fn from(compression: Compression) -> Self {
        Self {
            compression,
            ..Self::default()
        }
    }
}

/// What went through a session so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were cut into chunks.
    pub data: u64,
    /// Of them, bytes of chunks that the vault did not have.
    pub new_data: u64,
    /// Chunks that were cut.
    pub chunks: u64,
    /// Of them, chunks that the vault did not have.
    pub new_chunks: u64,
    /// Packs that are durable.
    pub stored: Stored,
}

/// What the threads of a session share.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) objects: Objects,
    pub(crate) keys: Arc<VaultKeys>,
    pub(crate) index: Arc<Index>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) cutter: Cutter,
    pub(crate) claims: Arc<Claims>,
    pub(crate) packer: Packer,
    /// Held for reading from claiming a chunk until it is in a pack; for writing by whoever must
    /// know that nothing is in between.
    putting: RwLock<()>,
    level: i32,
    encoders: Mutex<Vec<Encoders>>,
    data: AtomicU64,
    new_data: AtomicU64,
    chunks: AtomicU64,
    new_chunks: AtomicU64,
}

struct Encoders {
    chosen: Encoder,
    fast: Encoder,
}

impl Shared {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn start(
        id: SessionId,
        objects: Objects,
        keys: Arc<VaultKeys>,
        env: Env,
        index: Arc<Index>,
        nodes: Arc<Nodes>,
        cutter: Cutter,
        options: SessionOptions,
    ) -> Result<Self> {
        let claims = Arc::new(Claims::default());
        let packer = Packer::start(
            objects.clone(),
            keys.clone(),
            env.clone(),
            index.clone(),
            claims.clone(),
            options.pack_size,
        )?;
        Ok(Self {
            env,
            heartbeat: Heartbeat::new(id),
            objects,
            keys,
            index,
            nodes,
            cutter,
            claims,
            packer,
            putting: RwLock::default(),
            level: options.compression.level(),
            encoders: Mutex::default(),
            data: AtomicU64::new(0),
            new_data: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            new_chunks: AtomicU64::new(0),
        })
    }

    /// Shows that the session is alive, every so often.
    pub(crate) fn beat(&self) -> Result<()> {
        self.packer.check()?;
        self.heartbeat
            .beat(&self.objects, &self.keys, &self.env)
            .map_err(|e| self.packer.fail(e))
    }

    /// Stores a chunk unless the vault has it, or another thread is about to store it. Tells how many
    /// bytes were stored.
    pub(crate) fn put_chunk(&self, plain: &[u8]) -> Result<(ChunkId, Option<u64>)> {
        self.packer.check()?;
        let id = self.keys.chunk_id(plain);
        self.data.fetch_add(plain.len() as u64, Ordering::Relaxed);
        self.chunks.fetch_add(1, Ordering::Relaxed);
        let stored = self.put(PackKind::Data, id, plain)?;
        if stored.is_some() {
            self.new_data
                .fetch_add(plain.len() as u64, Ordering::Relaxed);
            self.new_chunks.fetch_add(1, Ordering::Relaxed);
        }
        Ok((id, stored))
    }

    /// Stores an encoded node of a map unless the vault has it. Tells how many bytes were stored.
    pub(crate) fn put_node(&self, encoded: &[u8]) -> Result<(NodeId, Option<u64>)> {
        let node = self.keys.node_id(encoded);
        let stored = self.put(PackKind::Map, node.into(), encoded)?;
        Ok((node, stored))
    }

    /// Puts a chunk into a pack if it is this thread's to store, and tells its bytes there if it was.
    fn put(&self, kind: PackKind, id: ChunkId, plain: &[u8]) -> Result<Option<u64>> {
        let _putting = self.putting.read().unwrap_or_else(PoisonError::into_inner);
        if !self.claims.claim(&id, &self.index) {
            return Ok(None);
        }
        let _claimed = Claimed(&self.packer);
        let payload = self.encode(plain);
        let stored = payload.stored_len() as u64;
        self.packer.add(kind, id, payload)?;
        Ok(Some(stored))
    }

    fn encode(&self, plain: &[u8]) -> Payload {
        let taken = self.lock_encoders().pop();
        let mut encoders = taken.unwrap_or_else(|| Encoders {
            chosen: Encoder::new(self.level),
            fast: Encoder::new(1),
        });
        let payload = if noise::looks_random(plain) {
            encoders.fast.encode(plain)
        } else {
            encoders.chosen.encode(plain)
        };
        self.lock_encoders().push(encoders);
        payload
    }

    fn lock_encoders(&self) -> MutexGuard<'_, Vec<Encoders>> {
        self.encoders.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn progress(&self) -> Progress {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            data: get(&self.data),
            new_data: get(&self.new_data),
            chunks: get(&self.chunks),
            new_chunks: get(&self.new_chunks),
            stored: self.packer.stored(),
        }
    }
}

/// A chunk that was claimed and is not in a pack yet. Should its thread panic, the session is over:
/// other threads rely on the chunk by then.
struct Claimed<'a>(&'a Packer);

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .fail(Error::invalid("a thread that stores chunks panicked"));
        }
    }
}

impl Shared {
    /// Makes durable all that was put, and makes sure that what was leaned on is there.
    pub(crate) fn settle(&self) -> Result<()> {
        self.beat()?;
        // What was put may be a chunk that another thread has claimed and not packed yet.
        drop(self.putting.write().unwrap_or_else(PoisonError::into_inner));
        self.packer.flush()?;
        self.index.write_run().map_err(|e| self.packer.fail(e))?;
        self.index.merge_runs();
        self.look_after(&self.claims.leaned_on())
            .map_err(|e| self.packer.fail(e))
    }

    /// Makes sure that the packs are there. Costs one request for each of them, or one listing if
    /// they are many.
    fn look_after(&self, packs: &[PackRef]) -> Result<()> {
        let mut listed = HashMap::new();
        if packs.len() > MANY_PACKS {
            let all = self.objects.list("packs/")?.into_iter();
            listed.extend(all.filter_map(|(name, stat)| Some((name.hash()?, stat.len))));
        }
        for pack in packs {
            let len = u64::from(pack.len);
            if listed.get(&pack.hash) == Some(&len) {
                continue;
            }
            // A list may lag behind the store.
            let name = ObjectName::Pack(pack.hash);
            if self.objects.stat(&name)?.map(|stat| stat.len) != Some(len) {
                return Err(Error::PackVanished {
                    object: name.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// A writer's session. Shared by threads; what it wrote becomes visible by
/// [`commit`](Session::commit) alone.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) vault: Vault,
    pub(crate) id: SessionId,
}

impl Vault {
    /// Begins to write. Takes over what sessions that died have left, which lists all packs.
    ///
    /// # Errors
    /// When the vault was opened with keys that cannot write.
    pub fn session(&self, options: impl Into<SessionOptions>) -> Result<Session> {
        if self.keys().writer().is_none() {
            return Err(Error::invalid(
                "this key slot holds no writer key: open the vault with one that does",
            ));
        }
        let id = SessionId::random(&mut self.env().entropy());
        let shared = Shared::start(
            id,
            self.objects().clone(),
            self.keys().clone(),
            self.env().clone(),
            self.index().clone(),
            self.nodes().clone(),
            self.cutter()?,
            options.into(),
        )?;
        // The sign of life comes before the look at what is there to lean on.
        shared.beat()?;
        self.index().refresh()?;
        self.index().adopt(true)?;
        Ok(Session {
            shared: Arc::new(shared),
            vault: self.clone(),
            id,
        })
    }
}

impl Session {
    /// Begins a disk or file. With `base`, the root of an earlier map of the same kind and
    /// length that is durable, segments and ranges that are not put are as in it.
    pub fn disk(&self, layout: Layout, base: Option<NodeId>) -> Result<DiskWriter> {
        DiskWriter::new(self.shared.clone(), layout, base)
    }

    /// Stores a file of unknown length and returns the root of its map and its length.
    ///
    /// # Errors
    /// [`Error::Source`] when reading fails.
    pub fn put_stream(&self, source: &mut dyn Read) -> Result<(NodeId, u64)> {
        DiskWriter::stream(self.shared.clone(), source)
    }

    /// The vault that is written to.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// What went through the session so far.
    pub fn progress(&self) -> Progress {
        self.shared.progress()
    }

    /// Number of packs that the vault's index names and that are lost or damaged, as far as is
    /// known here.
    pub fn lost_packs(&self) -> usize {
        self.shared.index.shunned().len()
    }

    /// Whether an earlier map may lead to chunks that are gone: packs are lost or damaged, or there
    /// are packs that no index run named, so that there may have been others.
    /// [`Base::survey`](crate::Base::survey) tells of one map. Where one does lead there, read in
    /// full, which stores again what is missing.
    pub fn doubts_maps(&self) -> bool {
        self.lost_packs() > 0 || self.shared.index.had_uncovered()
    }

    /// Whether something has ended the session: whatever is asked of it fails from then on.
    pub fn has_failed(&self) -> bool {
        self.shared.packer.check().is_err()
    }

    /// Makes durable all that was put, without making it visible. Every so often, so that a
    /// session that dies has little to do again.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.settle()
    }
}

impl Session {
    /// Publishes a restore point: makes everything that was put durable, looks whether what was
    /// leaned on is still there, and then stores the manifest. When this returns, the point is
    /// complete and durable. When it fails, there is none, unless the store lost its answer to
    /// the last put ([`store::Error::Ambiguous`]): then there may be one, and it is complete.
    ///
    /// `outline.written` is set to the present time unless it is later than that: who knows of an
    /// earlier point of the VM asks for more than that one's, so that points keep their order when
    /// a clock is set back. A session may publish several points.
    ///
    /// # Errors
    /// [`Error::PackVanished`] and [`Error::Retiring`] when the vault changed under the session;
    /// run the backup again then.
    pub fn commit(&self, outline: Outline, details: &Details) -> Result<PointRef> {
        self.shared.settle()?;
        for layer in &outline.layers {
            self.check_root(&layer.root, layer.len)?;
        }
        for file in &outline.files {
            self.check_root(&file.root, file.len)?;
        }
        let outline = Outline {
            written: outline.written.max(self.vault.env().now_ms()),
            ..outline
        };
        let (keys, env) = (self.vault.keys(), self.vault.env());
        let sealed = seal_point(keys, &outline, details, &mut env.entropy())
            .map_err(Error::object("new restore point"))?;
        let objects = self.vault.objects();
        if let Some((name, _)) = objects.list("retire/")?.first() {
            return Err(Error::Retiring {
                object: name.to_string(),
            });
        }
        objects.put(&sealed.name, &sealed.bytes)?;
        // The point is durable: that its time cannot be asked must not make it a failure.
        let stored = match objects.stat(&sealed.name) {
            Ok(stat) => stat.map(|stat| stat.modified),
            Err(_) => Some(self.vault.env().clock.now()),
        };
        match (sealed.name, stored) {
            (ObjectName::Point { vm, point, hash }, Some(stored)) => Ok(PointRef {
                vm,
                point,
                hash,
                stored,
            }),
            (name, _) => Err(Error::NoSuchPoint {
                id: name.to_string(),
            }),
        }
    }

    fn check_root(&self, root: &NodeId, len: u64) -> Result<()> {
        let found = self.shared.nodes.root(root)?;
        if found.len != len {
            return Err(Error::invalid(format!(
                "the point tells {len} bytes for map {root}, which has {}",
                found.len
            )));
        }
        Ok(())
    }

    /// Ends the session and removes its signs of life. A session that is merely dropped looks as
    /// if it had died, which is safe as well.
    pub fn finish(self) -> Result<()> {
        self.shared.heartbeat.end(&self.shared.objects)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.id)
    }
}
