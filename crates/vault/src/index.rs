//! Which chunk lies where.
//!
//! The truth is in the packs' own directories. Index runs in the vault repeat it, sorted, and a
//! local cache holds the runs decrypted, so that a lookup is a filter in memory and mostly one
//! read of a file. Either may be lost at any time: what no run covers is read from the packs
//! again, which is also how the packs of a writer that died are taken over.
//!
//! A pack that is not in the store (or has another size) is *lost*: nothing is looked up in it,
//! so a new backup stores again what it held.

mod filter;
mod table;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use vault_format::index::{IndexEntry, IndexOpener, MAX_TABLE, PackRef, build_index};
use vault_format::pack::{DirectoryEntry, MAX_PACK_LEN};
use vault_format::{ChunkId, ObjectHash, ObjectName, VaultKeys};

use crate::env::Env;
use crate::error::{Error, Result, Warning, pack_name};
use crate::objects::Objects;
use crate::packs::{Packs, Place};
use table::{Builder, Table};

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
        let state = self.read();
        let recent = state.recent.get(id);
        let recent = recent.or_else(|| state.writing.as_ref()?.get(id));
        if recent.is_some() {
            return recent;
        }
        state.tables.iter().rev().find_map(|table| {
            // A cache that cannot be read knows nothing; the chunk is at worst stored twice.
            let entry = table.get(id).unwrap_or_else(|e| {
                self.warn(Warning::Cache {
                    path: "index table".to_owned(),
                    why: e.to_string(),
                });
                None
            })?;
            place(&entry, table.packs()).filter(|p| even_lost || !state.lost.contains(&p.pack.hash))
        })
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
        // A pack that was cut short may still hold it: reading will tell.
        let found = self.get(id).or_else(|| self.look_up(id, true));
        found.ok_or(Error::ChunkMissing { id: *id })
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

    /// Makes a table, in the cache folder if there is one.
    fn build(
        &self,
        entries: &[IndexEntry],
        covered: Vec<ObjectHash>,
        packs: Vec<PackRef>,
    ) -> Result<Table> {
        // A table that covers no run is of use to this process alone; the next one removes it.
        let spilled = || Some(format!("spilled-{}", packs.first()?.hash));
        let name = covered.first().map(ToString::to_string).or_else(spilled);
        let make = |path: Option<&std::path::Path>| -> io::Result<Table> {
            let mut builder =
                Builder::new(path, entries.len() as u64, covered.clone(), packs.clone())?;
            for entry in entries {
                builder.push(entry)?;
            }
            builder.finish()
        };
        self.make_table(name.as_deref(), make)
    }

    /// Runs `make` with a temporary path in the cache and gives the file its name when done.
    /// Without a cache, or when it fails, the table is made in memory.
    fn make_table(
        &self,
        name: Option<&str>,
        make: impl Fn(Option<&std::path::Path>) -> io::Result<Table>,
    ) -> Result<Table> {
        let in_memory = || {
            make(None).map_err(|source| Error::Cache {
                path: "memory".to_owned(),
                source,
            })
        };
        let (Some(folder), Some(name)) = (&self.folder, name) else {
            return in_memory();
        };
        let mut random = [0; 8];
        vault_format::Entropy::fill(&mut self.env.entropy(), &mut random);
        let temp = folder.join(format!("tmp-{:016x}", u64::from_le_bytes(random)));
        let path = folder.join(format!("{name}.table"));
        let made = make(Some(&temp)).and_then(|table| {
            std::fs::rename(&temp, &path)?;
            Ok(table)
        });
        made.or_else(|e| {
            let _ = std::fs::remove_file(&temp);
            self.warn(Warning::Cache {
                path: path.display().to_string(),
                why: e.to_string(),
            });
            in_memory()
        })
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
            if self.load_runs(&listed)? {
                break;
            }
        }
        if self.read().tables.len() > MANY_TABLES {
            self.merge_tables()?;
        }
        Ok(())
    }

    /// Opens tables in the cache folder that cover a listed run which is not covered yet.
    fn load_cache(&self, listed: &[ObjectHash]) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let known = self.read().runs.clone();
        if listed.iter().all(|run| known.contains(run)) {
            return Ok(());
        }
        let cache_error = |source| Error::Cache {
            path: folder.display().to_string(),
            source,
        };
        let mut found = Vec::new();
        for item in std::fs::read_dir(folder).map_err(cache_error)? {
            let path = item.map_err(cache_error)?.path();
            if path.extension().is_none_or(|e| e != "table") {
                continue;
            }
            match Table::open(&path) {
                Ok(table) => found.push((path, table)),
                Err(e) => {
                    self.warn(Warning::Cache {
                        path: path.display().to_string(),
                        why: e.to_string(),
                    });
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        // The widest first; what it covers need not be loaded twice.
        found.sort_by_key(|(_, table)| std::cmp::Reverse(table.covered().len()));
        let mut state = self.write();
        for (path, table) in found {
            let current = table.covered().iter().any(|run| listed.contains(run));
            let new = table.covered().iter().any(|run| !state.runs.contains(run));
            if current && new {
                state.runs.extend(table.covered());
                state.tables.push(Arc::new(table));
            } else if !current {
                let _ = std::fs::remove_file(&path);
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

    /// Compares with the packs in the store: packs that no run covers are read, packs that are
    /// gone are lost. This lists all packs.
    ///
    /// With `write`, what is taken over goes into index runs when it is much.
    pub(crate) fn adopt(&self, write: bool) -> Result<()> {
        // What is added while the store is being listed is not expected in the list.
        let expected = self.known_packs();
        let mut uncovered: HashMap<ObjectHash, u64> = HashMap::new();
        for (name, stat) in self.objects.list("packs/")? {
            if let ObjectName::Pack(hash) = name {
                uncovered.insert(hash, stat.len);
            }
        }
        let mut lost = HashSet::new();
        for (hash, len) in expected {
            if uncovered.get(&hash) == Some(&len) {
                continue;
            }
            // A list may lag behind the store.
            let there = self.objects.stat(&ObjectName::Pack(hash))?;
            if there.map(|stat| stat.len) != Some(len) {
                lost.insert(hash);
            }
        }
        let known = self.known_packs();
        uncovered.retain(|hash, _| !known.contains_key(hash));
        for hash in &lost {
            self.warn(Warning::PackLost {
                object: pack_name(*hash),
            });
        }
        self.write().lost = lost;
        let mut adopted = 0;
        let mut uncovered: Vec<_> = uncovered.into_iter().collect();
        uncovered.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, size) in uncovered {
            let len = u32::try_from(size).ok().filter(|_| size <= MAX_PACK_LEN);
            let read = match len {
                None => Err(Error::WrongHash {
                    object: pack_name(hash),
                }),
                Some(_) => self.packs.directory(hash, size),
            };
            match (read, len) {
                (Ok((kind, entries)), Some(len)) => {
                    self.add_pack(PackRef { hash, len, kind }, &entries);
                    adopted += 1;
                    if self.is_full() {
                        if write {
                            self.write_run()?
                        } else {
                            self.spill()?
                        }
                    }
                }
                (Err(Error::Store(e)), _)
                    if !matches!(
                        e,
                        store::Error::TooShort { .. } | store::Error::NotFound { .. }
                    ) =>
                {
                    return Err(e.into());
                }
                (Err(e), _) => self.warn(Warning::PackUnreadable {
                    object: pack_name(hash),
                    why: e.to_string(),
                }),
                (Ok(_), None) => {}
            }
        }
        if adopted > 0 {
            self.warn(Warning::Adopted { packs: adopted });
        }
        Ok(())
    }

    /// All packs that the index refers to, with their sizes.
    fn known_packs(&self) -> HashMap<ObjectHash, u64> {
        let state = self.read();
        let tables = state.tables.iter().flat_map(|t| t.packs());
        let writing = state.writing.iter().flat_map(|r| &r.packs);
        let all = tables.chain(writing).chain(&state.recent.packs);
        all.map(|pack| (pack.hash, u64::from(pack.len))).collect()
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

    /// Merges all tables but the largest, or all of them when the rest has grown.
    fn merge_tables(&self) -> Result<()> {
        let mut tables = self.read().tables.clone();
        tables.sort_by_key(|t| std::cmp::Reverse(t.count()));
        let rest: u64 = tables.iter().skip(1).map(|t| t.count()).sum();
        if tables.first().is_some_and(|first| rest * 2 < first.count()) {
            tables.remove(0);
        }
        let covered: Vec<_> = tables.iter().flat_map(|t| t.covered()).copied().collect();
        let mut packs = Vec::new();
        let mut numbers = HashMap::new();
        for pack in tables.iter().flat_map(|t| t.packs()) {
            numbers.entry(pack.hash).or_insert_with(|| {
                packs.push(*pack);
                packs.len() as u32 - 1
            });
        }
        let count = tables.iter().map(|t| t.count()).sum();
        let make = |path: Option<&std::path::Path>| -> io::Result<Table> {
            let mut builder = Builder::new(path, count, covered.clone(), packs.clone())?;
            let mut sources: Vec<_> = tables.iter().map(|t| t.iter().peekable()).collect();
            loop {
                let mut least: Option<(ChunkId, usize)> = None;
                for (i, source) in sources.iter_mut().enumerate() {
                    if let Some(Ok(entry)) = source.peek()
                        && least.is_none_or(|(id, _)| entry.id < id)
                    {
                        least = Some((entry.id, i));
                    } else if let Some(Err(_)) = source.peek() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                let Some((_, i)) = least else { break };
                let (Some(Some(entry)), Some(table)) =
                    (sources.get_mut(i).map(Iterator::next), tables.get(i))
                else {
                    break;
                };
                let mut entry = entry?;
                let number = table
                    .packs()
                    .get(entry.pack as usize)
                    .and_then(|p| numbers.get(&p.hash));
                if let Some(number) = number {
                    entry.pack = *number;
                    builder.push(&entry)?;
                }
            }
            builder.finish()
        };
        let mut name = ObjectHash([0; 32]);
        for run in &covered {
            name.0.iter_mut().zip(run.0).for_each(|(a, b)| *a ^= b);
        }
        let merged = self.make_table(Some(&format!("merged-{name}")), make)?;
        let mut state = self.write();
        state
            .tables
            .retain(|t| !tables.iter().any(|merged| Arc::ptr_eq(t, merged)));
        state.tables.push(Arc::new(merged));
        drop(state);
        if let Some(folder) = &self.folder {
            for run in &covered {
                let _ = std::fs::remove_file(folder.join(format!("{run}.table")));
            }
        }
        Ok(())
    }

    /// Merges small runs in the vault into one, when there are many.
    pub(crate) fn merge_runs(&self) -> Result<()> {
        let small: Vec<_> = self
            .objects
            .list("index/")?
            .into_iter()
            .filter(|(_, stat)| stat.len < (RUN_ENTRIES * 48 / 4) as u64)
            .collect();
        if small.len() < MANY_RUNS {
            return Ok(());
        }
        let mut merged = Recent::default();
        let mut names = Vec::new();
        for (name, _) in small {
            if merged.entries.len() >= RUN_ENTRIES {
                break;
            }
            let read = self.objects.get_verified(&name, MAX_RUN_LEN);
            // What cannot be read is not merged, and not removed either: `refresh` tells it.
            let Ok(Ok((root, entries))) =
                read.map(|bytes| IndexOpener::read_all(&self.keys, &bytes))
            else {
                continue;
            };
            let first = merged.packs.len() as u32;
            merged.packs.extend(root.packs());
            for mut entry in entries {
                entry.pack += first;
                merged.entries.insert(entry.id, entry);
            }
            names.push(name);
        }
        let mut entries: Vec<_> = merged.entries.into_values().collect();
        entries.sort_unstable_by_key(|e| e.id);
        let run = build_index(&self.keys, &merged.packs, &entries, &mut self.env.entropy())
            .map_err(Error::object("merged index run"))?;
        self.objects.put(&ObjectName::Index(run.hash), &run.bytes)?;
        for name in &names {
            self.objects.delete(name)?;
        }
        Ok(())
    }
}
