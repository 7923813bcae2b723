//! Comparing the index with the packs that are in the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vault_format::index::{IndexEntry, PackRef};
use vault_format::pack::{DirectoryEntry, MAX_PACK_LEN};
use vault_format::{ChunkId, ObjectHash, ObjectName};

use super::{Index, RUN_ENTRIES, entry_of};
use crate::error::{Error, Result, Warning, pack_name};

impl Index {
    /// Compares with the packs in the store: packs that no run covers are read, packs that are
    /// gone are lost. This lists all packs.
    ///
    /// With `write`, what is taken over goes into index runs when it is much.
    pub(crate) fn adopt(&self, write: bool) -> Result<()> {
        // What is added while the store is being listed is not expected in the list.
        let expected = self.known_packs();
        let mut uncovered = self.packs_in_store()?;
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
            match self.contents(hash, size)? {
                Ok((pack, entries)) => {
                    self.add_pack(pack, &entries);
                    adopted += 1;
                    self.make_room(write)?;
                }
                Err(e) => {
                    self.uncovered.store(true, Ordering::Relaxed);
                    self.warn(Warning::PackUnreadable {
                        object: pack_name(hash),
                        why: e.to_string(),
                    });
                }
            }
        }
        if adopted > 0 {
            self.uncovered.store(true, Ordering::Relaxed);
            self.warn(Warning::Adopted { packs: adopted });
        }
        Ok(())
    }

    /// Looks for copies that no table tells of: two writers that did not see each other may both
    /// have stored a chunk, and a merge keeps one place of it. Reads the directories of all packs,
    /// once, and nothing while no pack is lost or damaged.
    pub(crate) fn search(&self) -> Result<()> {
        let _one = self.searching.lock().unwrap_or_else(|e| e.into_inner());
        if self.shunned().is_empty() {
            return Ok(());
        }
        // True from here on: a merge that comes meanwhile makes it false again, and that stays.
        if self.searched.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let found = self.look_through();
        if found.is_err() {
            self.searched.store(false, Ordering::Release);
        }
        found
    }

    fn look_through(&self) -> Result<()> {
        let lost = self.lost();
        let mut copies = Vec::new();
        for (hash, size) in self.packs_in_store()? {
            if lost.contains(&hash) {
                continue;
            }
            // What a pack cannot tell, it cannot help with; `check` reads it by the index.
            let Ok((pack, entries)) = self.contents(hash, size)? else {
                continue;
            };
            let known = |id: &ChunkId| self.places(id).iter().any(|place| place.pack.hash == hash);
            let new = entries.into_iter().filter(|entry| !known(&entry.id));
            copies.extend(new.map(|entry| (pack, entry)));
            if copies.len() >= RUN_ENTRIES {
                self.add_copies(std::mem::take(&mut copies))?;
            }
        }
        self.add_copies(copies)
    }

    /// Keeps the places in tables of their own, each of which has one place for a chunk.
    fn add_copies(&self, mut copies: Vec<(PackRef, DirectoryEntry)>) -> Result<()> {
        while !copies.is_empty() {
            copies.sort_unstable_by_key(|(pack, entry)| (entry.id, pack.hash));
            let mut packs = Vec::new();
            let mut numbers = HashMap::new();
            let mut entries: Vec<IndexEntry> = Vec::new();
            copies.retain(|(pack, entry)| {
                if entries.last().is_some_and(|last| last.id == entry.id) {
                    return true;
                }
                let number = *numbers.entry(pack.hash).or_insert_with(|| {
                    packs.push(*pack);
                    packs.len() as u32 - 1
                });
                entries.push(entry_of(entry, number));
                false
            });
            let table = self.build(&entries, Vec::new(), packs)?;
            self.write().tables.push(Arc::new(table));
        }
        Ok(())
    }

    fn make_room(&self, write: bool) -> Result<()> {
        match (self.is_full(), write) {
            (false, _) => Ok(()),
            (true, true) => self.write_run(),
            (true, false) => self.spill(),
        }
    }

    /// All packs that the index refers to, with their sizes.
    fn known_packs(&self) -> HashMap<ObjectHash, u64> {
        let state = self.read();
        let tables = state.tables.iter().flat_map(|t| t.packs());
        let writing = state.writing.iter().flat_map(|r| &r.packs);
        let all = tables.chain(writing).chain(&state.recent.packs);
        all.map(|pack| (pack.hash, u64::from(pack.len))).collect()
    }

    fn packs_in_store(&self) -> Result<HashMap<ObjectHash, u64>> {
        let listed = self.objects.list("packs/")?.into_iter();
        let packs = listed.filter_map(|(name, stat)| match name {
            ObjectName::Pack(hash) => Some((hash, stat.len)),
            _ => None,
        });
        Ok(packs.collect())
    }

    /// What a pack holds by its own directory. The outer error is the store's, the inner one
    /// the pack's.
    fn contents(
        &self,
        hash: ObjectHash,
        size: u64,
    ) -> Result<Result<(PackRef, Vec<DirectoryEntry>)>> {
        let Some(len) = u32::try_from(size).ok().filter(|_| size <= MAX_PACK_LEN) else {
            return Ok(Err(Error::WrongHash {
                object: pack_name(hash),
            }));
        };
        match self.packs.directory(hash, size) {
            Ok((kind, entries)) => Ok(Ok((PackRef { hash, len, kind }, entries))),
            Err(e) => self.objects.of_one(e).map(Err),
        }
    }
}
