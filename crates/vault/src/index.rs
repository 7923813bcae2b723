//! Which chunk lies where.
//!
//! The truth is in the packs' own directories. Index runs in the vault repeat it, sorted, and a
//! local cache holds the runs decrypted, so that a lookup is a filter in memory and mostly one
//! read of a file. Either may be lost at any time: what no run covers is read from the packs
//! again, which is also how the packs of a writer that died are taken over.
//!
//! A pack that is not in the store (or has another size) is *lost*: nothing is looked up in it,
//! so a new backup stores again what it held.

mod adopt;
mod cache;
mod filter;
mod merge;
mod table;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use vault_format::index::{IndexEntry, IndexOpener, MAX_TABLE, PackRef, build_index};
use vault_format::pack::DirectoryEntry;
use vault_format::{ChunkId, ObjectHash, ObjectName, VaultKeys};

use crate::env::Env;
use crate::error::{Error, Result, Warning};
use crate::objects::Objects;
use crate::packs::{Packs, Place};
use table::Table;

/// Entries in memory before a run is written.
const RUN_ENTRIES: usize = 256 << 10;
/// Tables before they are merged locally, and runs before they are merged in the vault.
const MANY_TABLES: usize = 8;
const MANY_RUNS: usize = 16;
const MAX_RUN_LEN: u64 = 512 << 20;

/// The index of one vault, shared by threads.
pub(crate) struct Index {
    objects: Objects,
    keys: Arc<VaultKeys>,
    env: Env,
    packs: Arc<Packs>,
    folder: Option<PathBuf>,
    state: RwLock<State>,
    /// Held while a run is written, so that there is one at a time.
    writing: Mutex<()>,
    /// Whether all packs have been compared with since something new was expected.
    complete: Mutex<bool>,
    warnings: Mutex<Vec<Warning>>,
    /// Lost packs of whose chunks other copies have been looked for.
    searched: Mutex<HashSet<ObjectHash>>,
    /// Whether merging runs has failed.
    unmergeable: AtomicBool,
}

#[derive(Default)]
struct State {
    tables: Vec<Arc<Table>>,
    /// What no run covers yet; the second half of it is being written.
    recent: Recent,
    writing: Option<Arc<Recent>>,
    lost: HashSet<ObjectHash>,
    /// Names of the runs that the tables cover.
    runs: HashSet<ObjectHash>,
    /// Files of damaged tables. They are removed, but where that fails (a cache that cannot be
    /// written, a file that is still open on Windows) they must not be believed again.
    damaged: HashSet<PathBuf>,
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

impl Index {
    /// Loads the runs that the cache does not have.
    pub(crate) fn open(
        objects: Objects,
        keys: Arc<VaultKeys>,
        env: Env,
        packs: Arc<Packs>,
    ) -> Result<Self> {
        let folder = match &env.cache {
            None => None,
            Some(cache) => {
                let folder = cache.join(keys.vault().to_string());
                std::fs::create_dir_all(&folder).map_err(|source| Error::Cache {
                    path: folder.display().to_string(),
                    source,
                })?;
                Some(folder)
            }
        };
        let index = Self {
            objects,
            keys,
            env,
            packs,
            folder,
            state: RwLock::default(),
            writing: Mutex::default(),
            complete: Mutex::default(),
            warnings: Mutex::default(),
            searched: Mutex::default(),
            unmergeable: AtomicBool::new(false),
        };
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

    /// Where the chunk lies, as far as is known, in a pack that is not lost.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Place> {
        self.look_up(id, false)
    }

    fn look_up(&self, id: &ChunkId, even_lost: bool) -> Option<Place> {
        // Each round takes away a table that cannot be read; what comes in its place is new.
        for _ in 0..3 {
            match self.try_look_up(id, even_lost) {
                Ok(found) => return found,
                Err((table, e)) => self.replace_table(&table, &e),
            }
        }
        None
    }

    fn try_look_up(
        &self,
        id: &ChunkId,
        even_lost: bool,
    ) -> Result<Option<Place>, (Arc<Table>, io::Error)> {
        let state = self.read();
        let usable = |p: &Place| even_lost || !state.lost.contains(&p.pack.hash);
        let mut newest = [Some(&state.recent), state.writing.as_deref()].into_iter();
        if let Some(found) = newest.find_map(|recent| recent?.get(id).filter(usable)) {
            return Ok(Some(found));
        }
        for table in state.tables.iter().rev() {
            let entry = table.get(id).map_err(|e| (table.clone(), e))?;
            let found = entry.and_then(|entry| place(&entry, table.packs()));
            if let Some(found) = found.filter(usable) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Where the chunk lies; looks through the store before it says that it is nowhere.
    ///
    /// # Errors
    /// [`Error::ChunkMissing`] when it is in no pack.
    pub(crate) fn find(&self, id: &ChunkId) -> Result<Place> {
        if let Some(place) = self.get(id) {
            return Ok(place);
        }
        {
            let mut complete = self.complete.lock().unwrap_or_else(|e| e.into_inner());
            if !*complete {
                self.refresh()?;
                self.adopt(false)?;
                *complete = true;
            }
        }
        if self.get(id).is_none() {
            self.search()?;
        }
        // A pack that was cut short may still hold it: reading will tell.
        let found = self.get(id).or_else(|| self.look_up(id, true));
        found.ok_or(Error::ChunkMissing { id: *id })
    }

    /// After reading a chunk at `place` has failed with `e`: where else the chunk lies, if the
    /// pack is missing or cut short and there is another copy.
    pub(crate) fn find_after(
        &self,
        e: &Error,
        id: &ChunkId,
        place: &Place,
    ) -> Result<Option<Place>> {
        use store::Error::{NotFound, TooShort};
        if !matches!(e, Error::Store(NotFound { .. } | TooShort { .. })) {
            return Ok(None);
        }
        if self.write().lost.insert(place.pack.hash) {
            self.expect_news();
        }
        let other = self.find(id)?;
        Ok(Some(other).filter(|other| other.pack != place.pack))
    }

    /// Something new may be in the store: the next chunk that is not found is looked for there.
    pub(crate) fn expect_news(&self) {
        *self.complete.lock().unwrap_or_else(|e| e.into_inner()) = false;
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
            state.recent.entries.insert(
                entry.id,
                IndexEntry {
                    id: entry.id,
                    pack: number,
                    offset: entry.offset,
                    stored_len: entry.stored_len,
                    plain_len: entry.plain_len,
                },
            );
        }
    }

    /// Whether so much is in memory that a run should be written.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.read();
        state.recent.entries.len() >= RUN_ENTRIES || state.recent.packs.len() >= MAX_TABLE / 2
    }

    /// Writes what no run covers yet to the vault.
    pub(crate) fn write_run(&self) -> Result<()> {
        let _one = self.writing.lock().unwrap_or_else(|e| e.into_inner());
        let recent = {
            let mut state = self.write();
            if state.recent.packs.is_empty() && state.writing.is_none() {
                return Ok(());
            }
            // What an earlier attempt failed to write goes first.
            if state.writing.is_none() {
                state.writing = Some(Arc::new(std::mem::take(&mut state.recent)));
            }
            state.writing.clone()
        };
        let Some(recent) = recent else { return Ok(()) };
        let mut entries: Vec<_> = recent.entries.values().copied().collect();
        entries.sort_unstable_by_key(|e| e.id);
        let run = build_index(&self.keys, &recent.packs, &entries, &mut self.env.entropy())
            .map_err(Error::object("new index run"))?;
        self.objects.put(&ObjectName::Index(run.hash), &run.bytes)?;
        let table = self.build(&entries, vec![run.hash], recent.packs.clone())?;
        let mut state = self.write();
        state.runs.insert(run.hash);
        state.tables.push(Arc::new(table));
        state.writing = None;
        let more = !state.recent.packs.is_empty();
        drop(state);
        drop(_one);
        if more && self.is_full() {
            self.write_run()
        } else {
            Ok(())
        }
    }

    /// Moves what no run covers out of memory, for readers, who write no runs.
    fn spill(&self) -> Result<()> {
        let _one = self.writing.lock().unwrap_or_else(|e| e.into_inner());
        let recent = {
            let mut state = self.write();
            // What a session failed to write stays in memory until it is written.
            if state.writing.is_some() {
                return Ok(());
            }
            let recent = Arc::new(std::mem::take(&mut state.recent));
            state.writing = Some(recent.clone());
            recent
        };
        let mut entries: Vec<_> = recent.entries.values().copied().collect();
        entries.sort_unstable_by_key(|e| e.id);
        let table = self.build(&entries, Vec::new(), recent.packs.clone())?;
        let mut state = self.write();
        state.tables.push(Arc::new(table));
        state.writing = None;
        Ok(())
    }

    /// Brings the tables up to date with the runs in the vault.
    pub(crate) fn refresh(&self) -> Result<()> {
        // A run that vanishes while it is being read was merged into another: look again.
        for _ in 0..3 {
            let listed: Vec<ObjectHash> = self
                .objects
                .list("index/")?
                .into_iter()
                .filter_map(|(name, _)| match name {
                    ObjectName::Index(hash) => Some(hash),
                    _ => None,
                })
                .collect();
            self.load_cache(&listed)?;
            let complete = self.load_runs(&listed)?;
            if complete && (self.read().tables.len() <= MANY_TABLES || self.merge_tables()?) {
                break;
            }
        }
        Ok(())
    }

    /// Fetches listed runs that no table covers. `false` when one had vanished.
    fn load_runs(&self, listed: &[ObjectHash]) -> Result<bool> {
        let mut complete = true;
        for run in listed {
            if self.read().runs.contains(run) {
                continue;
            }
            let name = ObjectName::Index(*run);
            let read = self
                .objects
                .get_verified(&name, MAX_RUN_LEN)
                .and_then(|bytes| {
                    IndexOpener::read_all(&self.keys, &bytes).map_err(Error::object(name))
                });
            let (root, entries) = match read {
                Ok(read) => read,
                Err(Error::Store(e)) if e.is_not_found() => {
                    complete = false;
                    continue;
                }
                Err(e @ (Error::WrongHash { .. } | Error::Object { .. })) => {
                    self.warn(Warning::IndexRun {
                        object: name.to_string(),
                        why: e.to_string(),
                    });
                    continue;
                }
                Err(e) => return Err(e),
            };
            let table = self.build(&entries, vec![*run], root.packs().to_vec())?;
            let mut state = self.write();
            state.runs.insert(*run);
            state.tables.push(Arc::new(table));
        }
        Ok(complete)
    }

    /// Everything that the index places in a pack. Reads all tables: for the rare case that the
    /// pack cannot tell by itself.
    pub(crate) fn entries_of(&self, pack: ObjectHash) -> Result<Vec<(ChunkId, Place)>> {
        let state = self.read();
        let mut out = Vec::new();
        let mut take = |entry: &IndexEntry, packs: &[PackRef]| {
            if let Some(place) = place(entry, packs).filter(|p| p.pack.hash == pack) {
                out.push((entry.id, place));
            }
        };
        for recent in state.writing.as_deref().into_iter().chain([&state.recent]) {
            recent
                .entries
                .values()
                .for_each(|entry| take(entry, &recent.packs));
        }
        for table in state
            .tables
            .iter()
            .filter(|t| t.packs().iter().any(|p| p.hash == pack))
        {
            for entry in table.iter() {
                let entry = entry.map_err(|source| Error::Cache {
                    path: "index table".to_owned(),
                    source,
                })?;
                take(&entry, table.packs());
            }
        }
        Ok(out)
    }

    /// Packs that are not in the store although the index names them.
    pub(crate) fn lost(&self) -> HashSet<ObjectHash> {
        self.read().lost.clone()
    }
}
