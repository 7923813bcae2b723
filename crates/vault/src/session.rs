//! A writer's session: chunks and maps go in, a restore point comes out.
//!
//! The order that makes a point safe: packs, then the index run, then a look at every pack that
//! was leaned on, then the manifest. Whatever ends a session before the manifest leaves packs
//! behind that no point refers to; the next session takes them over and stores nothing again
//! that is in them.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use vault_format::pack::PackKind;
use vault_format::payload::{Encoder, Payload};
use vault_format::{ChunkId, NodeId, SessionId, VaultKeys};

use crate::claims::Claims;
use crate::cutter::Cutter;
use crate::disk_writer::{DiskWriter, Layout};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::objects::Objects;
use crate::packer::{Packer, Stored};
use crate::tree::Nodes;
use crate::vault::Vault;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Zstandard 3.
    #[default]
    Default,
    /// Zstandard 1: about 3 % larger for two thirds of the time.
    Fast,
    /// Any level from 1 to 19.
    Level(i32),
}

impl Compression {
    fn level(self) -> i32 {
        match self {
            Self::Default => 3,
            Self::Fast => 1,
            Self::Level(level) => level,
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
    pub(crate) objects: Objects,
    pub(crate) keys: Arc<VaultKeys>,
    pub(crate) index: Arc<Index>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) cutter: Cutter,
    pub(crate) claims: Arc<Claims>,
    pub(crate) packer: Packer,
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
        objects: Objects,
        keys: Arc<VaultKeys>,
        env: Env,
        index: Arc<Index>,
        nodes: Arc<Nodes>,
        cutter: Cutter,
        compression: Compression,
    ) -> Result<Self> {
        let claims = Arc::new(Claims::default());
        let packer = Packer::start(
            objects.clone(),
            keys.clone(),
            env,
            index.clone(),
            claims.clone(),
        )?;
        Ok(Self {
            objects,
            keys,
            index,
            nodes,
            cutter,
            claims,
            packer,
            level: compression.level(),
            encoders: Mutex::default(),
            data: AtomicU64::new(0),
            new_data: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            new_chunks: AtomicU64::new(0),
        })
    }

    /// Stores a chunk unless the vault has it, or another thread is about to store it.
    pub(crate) fn put_chunk(&self, plain: &[u8]) -> Result<ChunkId> {
        self.packer.check()?;
        let id = self.keys.chunk_id(plain);
        self.data.fetch_add(plain.len() as u64, Ordering::Relaxed);
        self.chunks.fetch_add(1, Ordering::Relaxed);
        if self.claims.claim(&id, &self.index) {
            self.new_data
                .fetch_add(plain.len() as u64, Ordering::Relaxed);
            self.new_chunks.fetch_add(1, Ordering::Relaxed);
            let payload = self.encode(plain);
            self.packer.add(PackKind::Data, id, payload)?;
        }
        Ok(id)
    }

    /// Stores an encoded node of a map unless the vault has it.
    pub(crate) fn put_node(&self, encoded: &[u8]) -> Result<NodeId> {
        let node = self.keys.node_id(encoded);
        let id = ChunkId::from(node);
        if self.claims.claim(&id, &self.index) {
            let payload = self.encode(encoded);
            self.packer.add(PackKind::Map, id, payload)?;
        }
        Ok(node)
    }

    fn encode(&self, plain: &[u8]) -> Payload {
        let taken = self.lock_encoders().pop();
        let mut encoders = taken.unwrap_or_else(|| Encoders {
            chosen: Encoder::new(self.level),
            fast: Encoder::new(1),
        });
        let payload = if looks_random(plain) {
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

/// Whether the bytes of a sample are about equally frequent, as in encrypted or compressed data.
/// Such chunks are tried with the fastest level, which gives up on them early; should they
/// compress after all, by repetition, it still finds that.
fn looks_random(plain: &[u8]) -> bool {
    const SAMPLE: usize = 4096;
    if plain.len() < 4 * SAMPLE {
        return false;
    }
    let mut counts = [0u32; 256];
    let step = plain.len() / 8;
    for part in plain.chunks(step).take(8) {
        for byte in part.iter().take(SAMPLE / 8) {
            counts[usize::from(*byte)] += 1;
        }
    }
    // The sum of squares is 4096 * 16 + 4096 on average for even chances, and spreads by 360.
    let squares: u32 = counts.iter().map(|n| n * n).sum();
    squares < 72_000
}

impl Shared {
    /// Makes durable all that was put, and makes sure that what was leaned on is there.
    pub(crate) fn settle(&self) -> Result<()> {
        self.packer.flush()?;
        self.index
            .write_run()
            .and_then(|()| self.index.merge_runs())
            .map_err(|e| self.packer.fail(e))?;
        for pack in self.claims.leaned_on() {
            let name = vault_format::ObjectName::Pack(pack.hash);
            let there = self.objects.stat(&name).map_err(|e| self.packer.fail(e))?;
            if there.map(|stat| stat.len) != Some(u64::from(pack.len)) {
                return Err(self.packer.fail(Error::PackVanished {
                    object: name.to_string(),
                }));
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
    pub fn session(&self, compression: Compression) -> Result<Session> {
        if self.keys().writer().is_none() {
            return Err(Error::invalid(
                "this key slot holds no writer key: open the vault with one that does",
            ));
        }
        self.index().refresh()?;
        self.index().adopt()?;
        let shared = Shared::start(
            self.objects().clone(),
            self.keys().clone(),
            self.env().clone(),
            self.index().clone(),
            self.nodes().clone(),
            self.cutter()?,
            compression,
        )?;
        Ok(Session {
            shared: Arc::new(shared),
            vault: self.clone(),
            id: SessionId::random(&mut self.env().entropy()),
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

    /// Number of packs that the vault's index names and the store has lost. While it is not 0,
    /// no earlier map is a safe base, since its chunks may be lost: read in full, which stores
    /// again what is missing.
    pub fn lost_packs(&self) -> usize {
        self.shared.index.lost().len()
    }

    /// Makes durable all that was put, without making it visible. Every so often, so that a
    /// session that dies has little to do again.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.settle()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_looks_random_and_text_does_not() {
        let mut x = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        })
        .take(64 << 10)
        .collect();
        assert!(looks_random(&noise));
        let mut half = noise.clone();
        half.iter_mut().for_each(|b| *b &= 0x7f);
        assert!(!looks_random(&half));
        assert!(!looks_random(&b"some text, again and again ".repeat(3000)));
        assert!(!looks_random(&noise[..1000]));
    }
}
