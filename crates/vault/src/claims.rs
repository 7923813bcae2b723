//! Who stores a chunk that several threads meet at once: exactly one of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use vault_format::index::PackRef;
use vault_format::{ChunkId, ObjectHash};

use crate::index::Index;

const SHARDS: usize = 64;

/// The chunks on their way into packs, and the packs that known chunks were found in.
pub(crate) struct Claims(Vec<Mutex<Shard>>);

#[derive(Default)]
struct Shard {
    on_the_way: HashSet<ChunkId>,
    leaned_on: HashMap<ObjectHash, PackRef>,
}

impl Default for Claims {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Claims {
    // The index is asked under the shard's lock: otherwise a chunk could become durable between
    // the question and the claim, and be stored twice.
    /// `true` when the caller must store the chunk; `false` when it is stored, or on its way.
    pub(crate) fn claim(&self, id: &ChunkId, index: &Index) -> bool {
        let mut shard = self.shard(id);
        if shard.on_the_way.contains(id) {
            return false;
        }
        match index.get(id) {
            Some(place) => {
                shard.leaned_on.insert(place.pack.hash, place.pack);
                false
            }
            None => shard.on_the_way.insert(*id),
        }
    }

    /// The chunks are in the index now.
    pub(crate) fn settle<'a>(&self, ids: impl Iterator<Item = &'a ChunkId>) {
        for id in ids {
            self.shard(id).on_the_way.remove(id);
        }
    }

    /// The packs that known chunks were found in so far.
    pub(crate) fn leaned_on(&self) -> Vec<PackRef> {
        let mut all = HashMap::new();
        for shard in &self.0 {
            all.extend(lock(shard).leaned_on.iter().map(|(h, p)| (*h, *p)));
        }
        all.into_values().collect()
    }

    fn shard(&self, id: &ChunkId) -> MutexGuard<'_, Shard> {
        lock(&self.0[usize::from(id.0[31]) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(|e| e.into_inner())
}
