//! Which chunk lies where.
//!
//! The truth is in the packs' own directories. Index runs in the vault repeat it, sorted, and a
//! local cache holds the runs decrypted, so that a lookup is a filter in memory and mostly one
//! read of a file. Either may be lost at any time: what no run covers is read from the packs
//! again, which is also how the packs of a writer that died are taken over.
//!
//! A pack that is not in the store (or has another size) is *lost*, one whose bytes are not what
//! they were is *damaged*: nothing new leans on either, so a new backup stores again what it held.

mod adopt;
mod cache;
mod damage;
mod filter;
mod folder;
mod lookup;
mod merge;
mod runs;
mod table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use vault_format::index::{IndexEntry, MAX_TABLE, PackRef};
use vault_format::pack::DirectoryEntry;
use vault_format::{ChunkId, ObjectHash, VaultKeys};

use crate::env::Env;
use crate::error::{Result, Warning};
use crate::objects::Objects;
use crate::packs::{Packs, Place};
use folder::Folder;
use table::Table;
pub(crate) use table::fuzz::cache_table as fuzz_cache_table;

/// Entries in memory before a run is written.
const RUN_ENTRIES: usize = 256 << 10;
/// Tables before they are merged locally, and runs before they are merged in the vault.
const MANY_TABLES: usize = 8;
const MANY_RUNS: usize = 16;
/// Longest index run that is read.
pub(crate) const MAX_RUN_LEN: u64 = 512 << 20;

/// The index of one vault, shared by threads.
pub(crate) struct Index {
    objects: Objects,
    keys: Arc<VaultKeys>,
    env: Env,
    packs: Arc<Packs>,
    folder: Option<Folder>,
    state: RwLock<State>,
    /// Held while a run is written, so that there is one at a time.
    writing: Mutex<()>,
    /// Whether all packs have been compared with since something new was expected, or are being.
    complete: AtomicBool,
    /// Held while they are, so that others wait for it and do not do it again. What it runs into
    /// may ask for news, as may others, so this is not the lock of `complete`.
    completing: Mutex<()>,
    warnings: Mutex<Vec<Warning>>,
    /// Whether all packs have been looked through for copies that the runs do not tell of, or are
    /// being.
    searched: AtomicBool,
    /// Held while they are; see `completing`.
    searching: Mutex<()>,
    /// Whether merging runs has failed.
    unmergeable: AtomicBool,
    /// Whether there were packs that no run named.
    uncovered: AtomicBool,
}

#[derive(Default)]
struct State {
    tables: Vec<Arc<Table>>,
    /// What no run covers yet; the second half of it is being written.
    recent: Recent,
    writing: Option<Arc<Recent>>,
    lost: HashSet<ObjectHash>,
    damaged: BTreeSet<ObjectHash>,
    /// Chunks that could not be opened, and the packs that they could not be opened from.
    unreadable: HashSet<(ChunkId, ObjectHash)>,
    /// Names of the runs that the tables cover.
    runs: HashSet<ObjectHash>,
    /// Files of damaged tables. They are removed, but where that fails (a cache that cannot be
    /// written, a file that is still open on Windows) they must not be believed again.
    bad_files: HashSet<PathBuf>,
}

impl State {
    /// Packs that nothing new may lean on.
    fn shunned(&self) -> HashSet<ObjectHash> {
        self.lost.iter().chain(&self.damaged).copied().collect()
    }
}

#[derive(Default)]
struct Recent {
    packs: Vec<PackRef>,
    entries: HashMap<ChunkId, IndexEntry>,
}

impl Recent {
    fn get(&self, id: &ChunkId) -> Option<Place> {
        let entry = self.entries.get(id)?;
        place(entry, &self.packs)
    }
}

fn place(entry: &IndexEntry, packs: &[PackRef]) -> Option<Place> {
    Some(Place {
        pack: *packs.get(entry.pack as usize)?,
        offset: entry.offset,
        stored_len: entry.stored_len,
        plain_len: entry.plain_len,
    })
}

/// A chunk of a pack, which has this number in a table of packs.
fn entry_of(entry: &DirectoryEntry, pack: u32) -> IndexEntry {
    IndexEntry {
        id: entry.id,
        pack,
        offset: entry.offset,
        stored_len: entry.stored_len,
        plain_len: entry.plain_len,
    }
}

impl Index {
    /// Loads the runs that the cache does not have.
    pub(crate) fn open(
        objects: Objects,
        keys: Arc<VaultKeys>,
        env: Env,
        packs: Arc<Packs>,
    ) -> Result<Self> {
        let mut index = Self {
            objects,
            keys,
            env,
            packs,
            folder: None,
            state: RwLock::default(),
            writing: Mutex::default(),
            complete: AtomicBool::new(false),
            completing: Mutex::default(),
            warnings: Mutex::default(),
            searched: AtomicBool::new(false),
            searching: Mutex::default(),
            unmergeable: AtomicBool::new(false),
            uncovered: AtomicBool::new(false),
        };
        index.open_folder();
        index.refresh()?;
        Ok(index)
    }

    /// What went wrong without harm since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(|e| e.into_inner()))
    }

    fn warn(&self, warning: Warning) {
        self.warnings
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .push(warning);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Something new may be in the store: the next chunk that is not found is looked for there.
    pub(crate) fn expect_news(&self) {
        self.complete.store(false, Ordering::Release);
    }

    /// Number of entries in all tables.
    pub(crate) fn count(&self) -> u64 {
        let state = self.read();
        let tables: u64 = state.tables.iter().map(|t| t.count()).sum();
        tables + state.recent.entries.len() as u64
    }

    /// Adds a pack that is durable now.
    pub(crate) fn add_pack(&self, pack: PackRef, entries: &[DirectoryEntry]) {
        let mut state = self.write();
        state.lost.remove(&pack.hash);
        let number = state.recent.packs.len() as u32;
        state.recent.packs.push(pack);
        for entry in entries {
            let entry = entry_of(entry, number);
            state.recent.entries.insert(entry.id, entry);
        }
    }

    /// Whether so much is in memory that a run should be written.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.read();
        state.recent.entries.len() >= RUN_ENTRIES || state.recent.packs.len() >= MAX_TABLE / 2
    }

    /// Whether there were packs that no run named.
    pub(crate) fn had_uncovered(&self) -> bool {
        self.uncovered.load(Ordering::Relaxed)
    }

    /// Packs that are not in the store although the index names them.
    pub(crate) fn lost(&self) -> HashSet<ObjectHash> {
        self.read().lost.clone()
    }

    /// Packs that nothing new may lean on: lost or damaged.
    pub(crate) fn shunned(&self) -> HashSet<ObjectHash> {
        self.read().shunned()
    }
}
