//! From the id of a chunk to its places, and to another one when a place does not serve.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vault_format::{ChunkId, ObjectHash};

use super::table::Table;
use super::{Index, MANY_TABLES, State, place};
use crate::error::{Error, Result, Warning, pack_name};
use crate::packs::Place;

/// A table that cannot be read, and why.
type BadTable = (Arc<Table>, io::Error);

/// How good a place must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// In a pack of which nothing bad is known: what new maps may lean on.
    Whole,
    /// In a damaged pack, at a place that has not failed: reading will tell.
    Untried,
    /// Anywhere, so that reading says what is wrong.
    Any,
}

impl State {
    fn trusts(&self, id: &ChunkId, place: &Place, trust: Trust) -> bool {
        let pack = &place.pack.hash;
        let tried = || self.unreadable.contains(&(*id, *pack));
        match trust {
            Trust::Whole => !self.lost.contains(pack) && !self.damaged.contains(pack) && !tried(),
            Trust::Untried => !self.lost.contains(pack) && !tried(),
            Trust::Any => true,
        }
    }
}

impl Index {
    /// Where the chunk lies, as far as is known, in a pack that is neither lost nor damaged.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Place> {
        self.look_up(id, Trust::Whole)
    }

    /// Where readers look for the chunk first: also in a damaged pack if there is no other.
    pub(crate) fn known(&self, id: &ChunkId) -> Option<Place> {
        self.get(id).or_else(|| self.look_up(id, Trust::Untried))
    }

    /// All places of the chunk that are known, good or not.
    pub(crate) fn places(&self, id: &ChunkId) -> Vec<Place> {
        let mut all: Vec<Place> = Vec::new();
        self.each_place(id, |_, place| {
            if !all.contains(&place) {
                all.push(place);
            }
            ControlFlow::<()>::Continue(())
        });
        all
    }

    fn look_up(&self, id: &ChunkId, trust: Trust) -> Option<Place> {
        self.each_place(id, |state, place| match state.trusts(id, &place, trust) {
            true => ControlFlow::Break(place),
            false => ControlFlow::Continue(()),
        })
    }

    /// Tells places, the newest first, until `visit` breaks off. Some may be told twice.
    fn each_place<T>(
        &self,
        id: &ChunkId,
        mut visit: impl FnMut(&State, Place) -> ControlFlow<T>,
    ) -> Option<T> {
        // Each round takes away a table that cannot be read; what comes in its place is new.
        for _ in 0..2 * MANY_TABLES {
            match self.try_each_place(id, &mut visit) {
                Ok(found) => return found,
                Err((table, e)) => self.replace_table(&table, &e),
            }
        }
        None
    }

    fn try_each_place<T>(
        &self,
        id: &ChunkId,
        visit: &mut impl FnMut(&State, Place) -> ControlFlow<T>,
    ) -> Result<Option<T>, BadTable> {
        let state = self.read();
        for recent in [Some(&state.recent), state.writing.as_deref()] {
            if let Some(place) = recent.and_then(|recent| recent.get(id))
                && let ControlFlow::Break(found) = visit(&state, place)
            {
                return Ok(Some(found));
            }
        }
        for table in state.tables.iter().rev() {
            let entry = table.get(id).map_err(|e| (table.clone(), e))?;
            let place = entry.and_then(|entry| place(&entry, table.packs()));
            if let Some(place) = place
                && let ControlFlow::Break(found) = visit(&state, place)
            {
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
        if let Some(place) = self.known(id) {
            return Ok(place);
        }
        self.complete()?;
        if self.known(id).is_none() {
            self.search()?;
        }
        // A pack that was cut short may still hold it.
        let found = self.known(id).or_else(|| self.look_up(id, Trust::Any));
        found.ok_or(Error::ChunkMissing { id: *id })
    }

    /// Compares with all packs unless that was done since something new was expected.
    fn complete(&self) -> Result<()> {
        let _one = self.completing.lock().unwrap_or_else(|e| e.into_inner());
        // True from here on: news that come meanwhile make it false again, and that stays.
        if self.complete.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let compared = self.refresh().and_then(|()| self.adopt(false));
        if compared.is_err() {
            self.expect_news();
        }
        compared
    }

    /// After reading a chunk at `place` has failed with `e`: where else the chunk lies, if the
    /// failure is the pack's and there is another copy. The pack is told as damaged then, and
    /// nothing new leans on it.
    pub(crate) fn find_after(
        &self,
        e: &Error,
        id: &ChunkId,
        place: &Place,
    ) -> Result<Option<Place>> {
        use store::Error::{Io, NotFound, TooShort};
        match e {
            Error::Store(NotFound { .. } | TooShort { .. }) => {
                if self.write().lost.insert(place.pack.hash) {
                    self.expect_news();
                    self.warn(Warning::PackLost {
                        object: pack_name(place.pack.hash),
                    });
                }
            }
            // A bad sector, perhaps, or a disk that dies. This process leans on nothing in the pack; a
            // check of all data is what tells others.
            Error::Store(Io { .. }) if self.objects.answers() => {
                let new = {
                    let mut state = self.write();
                    state.unreadable.insert((*id, place.pack.hash));
                    state.damaged.insert(place.pack.hash)
                };
                if new {
                    self.warn(Warning::PackUnreadable {
                        object: pack_name(place.pack.hash),
                        why: e.to_string(),
                    });
                }
            }
            // Who may not read data learns nothing about the pack.
            Error::Object {
                source: vault_format::Error::NoKey { .. },
                ..
            } => return Ok(None),
            Error::Object { .. } | Error::ChunkDamaged { .. } => {
                self.write().unreadable.insert((*id, place.pack.hash));
                self.doubt(place.pack.hash, e);
            }
            _ => return Ok(None),
        }
        match self.find(id) {
            Ok(other) => Ok(Some(other).filter(|other| other.pack != place.pack)),
            Err(Error::ChunkMissing { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Everything that the index places in a pack. Reads all tables: for the rare case that the
    /// pack cannot tell by itself.
    pub(crate) fn entries_of(&self, pack: ObjectHash) -> Vec<(ChunkId, Place)> {
        for _ in 0..2 * MANY_TABLES {
            match self.try_entries_of(pack) {
                Ok(entries) => return entries,
                Err((table, e)) => self.replace_table(&table, &e),
            }
        }
        Vec::new()
    }

    fn try_entries_of(&self, pack: ObjectHash) -> Result<Vec<(ChunkId, Place)>, BadTable> {
        let state = self.read();
        let mut out = Vec::new();
        for recent in state.writing.as_deref().into_iter().chain([&state.recent]) {
            let places = recent
                .entries
                .values()
                .filter_map(|entry| Some((entry.id, place(entry, &recent.packs)?)));
            out.extend(places.filter(|(_, place)| place.pack.hash == pack));
        }
        for table in &state.tables {
            if table.packs().iter().all(|p| p.hash != pack) {
                continue;
            }
            for entry in table.iter() {
                let entry = entry.map_err(|e| (table.clone(), e))?;
                let place = place(&entry, table.packs());
                out.extend(
                    place
                        .filter(|place| place.pack.hash == pack)
                        .map(|place| (entry.id, place)),
                );
            }
        }
        Ok(out)
    }
}
