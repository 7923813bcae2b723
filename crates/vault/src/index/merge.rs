//! Merging tables of the cache, and runs in the vault, when they have become many.
//!
//! A chunk may have several places. A merge keeps one, and never one in a lost or damaged pack if
//! there is another: with the run that told it, the only way to the bytes would be gone.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vault_format::index::{IndexEntry, IndexOpener, MAX_TABLE, PackRef, build_index};
use vault_format::{ChunkId, ObjectHash, ObjectName};

use super::table::Builder;
use super::{Index, MANY_RUNS, MAX_RUN_LEN, RUN_ENTRIES, Table};
use crate::error::{Error, Result, Warning};

impl Index {
    /// Merges all tables but the largest, or all of them when the rest has grown.
    /// `false` when one of them turned out to be damaged, and was forgotten instead.
    pub(super) fn merge_tables(&self) -> Result<bool> {
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
        let shunned = self.shunned();
        let make = |file: Option<File>| -> io::Result<Table> {
            let mut builder = Builder::new(file, count, covered.clone(), packs.clone())?;
            let mut sources: Vec<_> = tables.iter().map(|t| t.iter().peekable()).collect();
            loop {
                let mut least: Option<ChunkId> = None;
                for (source, table) in sources.iter_mut().zip(&tables) {
                    match source.peek() {
                        Some(Ok(entry)) => {
                            least = Some(least.map_or(entry.id, |id| id.min(entry.id)));
                        }
                        Some(Err(e)) => {
                            let e = io::Error::new(e.kind(), e.to_string());
                            self.drop_table(table, &e);
                            return Err(e);
                        }
                        None => {}
                    }
                }
                let Some(least) = least else { break };
                let mut kept: Option<IndexEntry> = None;
                for (source, table) in sources.iter_mut().zip(&tables) {
                    let same = |e: &io::Result<IndexEntry>| e.as_ref().is_ok_and(|e| e.id == least);
                    let Some(mut entry) = source.next_if(same).transpose()? else {
                        continue;
                    };
                    let pack = table.packs().get(entry.pack as usize);
                    let Some(number) = pack.and_then(|p| numbers.get(&p.hash)) else {
                        continue;
                    };
                    entry.pack = *number;
                    if kept.is_none_or(|kept| is_shunned(&kept, &packs, &shunned)) {
                        kept = Some(entry);
                    }
                }
                if let Some(entry) = kept {
                    builder.push(&entry)?;
                }
            }
            builder.finish()
        };
        let mut name = ObjectHash([0; 32]);
        for run in &covered {
            name.0.iter_mut().zip(run.0).for_each(|(a, b)| *a ^= b);
        }
        let merged = self.make_table(&format!("merged-{name}"), make);
        let mut state = self.write();
        let whole = |table| state.tables.iter().any(|t| Arc::ptr_eq(t, table));
        if !tables.iter().all(whole) {
            return Ok(false);
        }
        let Ok(merged) = merged else {
            return Ok(false);
        };
        state
            .tables
            .retain(|t| !tables.iter().any(|merged| Arc::ptr_eq(t, merged)));
        state.tables.push(Arc::new(merged));
        drop(state);
        // Of several places of a chunk one is left: those of copies are looked for again.
        self.searched.store(false, Ordering::Release);
        if let Some(folder) = &self.folder {
            for run in &covered {
                let _ = std::fs::remove_file(folder.table(&run.to_string()));
            }
        }
        Ok(true)
    }

    /// Merges small runs in the vault into one, when there are many. When that fails, nothing is
    /// lost: it is told, and not tried again by this process.
    pub(crate) fn merge_runs(&self) {
        if self.unmergeable.load(Ordering::Relaxed) {
            return;
        }
        if let Err(e) = self.try_merge_runs() {
            self.unmergeable.store(true, Ordering::Relaxed);
            self.warn(Warning::IndexMerge { why: e.to_string() });
        }
    }

    fn try_merge_runs(&self) -> Result<()> {
        let small: Vec<_> = self
            .objects
            .list("index/")?
            .into_iter()
            .filter(|(_, stat)| stat.len < (RUN_ENTRIES * 48 / 4) as u64)
            .collect();
        if small.len() < MANY_RUNS {
            return Ok(());
        }
        let shunned = self.shunned();
        let mut packs: Vec<PackRef> = Vec::new();
        let mut numbers: HashMap<ObjectHash, u32> = HashMap::new();
        let mut merged: HashMap<ChunkId, IndexEntry> = HashMap::new();
        let mut names = Vec::new();
        for (name, _) in small {
            if merged.len() >= RUN_ENTRIES {
                break;
            }
            let read = self.objects.get_verified(&name, MAX_RUN_LEN);
            // What cannot be read is not merged, and not removed either: `refresh` tells it.
            let Ok(Ok((root, entries))) =
                read.map(|bytes| IndexOpener::read_all(&self.keys, &bytes))
            else {
                continue;
            };
            if packs.len() + root.packs().len() > MAX_TABLE {
                continue;
            }
            for pack in root.packs() {
                numbers.entry(pack.hash).or_insert_with(|| {
                    packs.push(*pack);
                    packs.len() as u32 - 1
                });
            }
            for mut entry in entries {
                let pack = root.packs().get(entry.pack as usize);
                let Some(number) = pack.and_then(|p| numbers.get(&p.hash)) else {
                    continue;
                };
                entry.pack = *number;
                match merged.entry(entry.id) {
                    Entry::Vacant(place) => {
                        place.insert(entry);
                    }
                    Entry::Occupied(mut place) => {
                        if is_shunned(place.get(), &packs, &shunned) {
                            place.insert(entry);
                        }
                    }
                }
            }
            names.push(name);
        }
        if names.len() < 2 {
            return Ok(());
        }
        let mut entries: Vec<_> = merged.into_values().collect();
        entries.sort_unstable_by_key(|e| e.id);
        let run = build_index(&self.keys, &packs, &entries, &mut self.env.entropy())
            .map_err(Error::object("merged index run"))?;
        self.objects.put(&ObjectName::Index(run.hash), &run.bytes)?;
        for name in &names {
            self.objects.delete(name)?;
        }
        Ok(())
    }
}

fn is_shunned(entry: &IndexEntry, packs: &[PackRef], shunned: &HashSet<ObjectHash>) -> bool {
    let pack = packs.get(entry.pack as usize);
    pack.is_none_or(|pack| shunned.contains(&pack.hash))
}
