//! Index runs: what no run covers is written to the vault, what the vault has is loaded.

use std::sync::Arc;

use vault_format::index::{IndexOpener, build_index};
use vault_format::{ObjectHash, ObjectName};

use super::{Index, MANY_TABLES, MAX_RUN_LEN};
use crate::error::{Error, Result, Warning};

impl Index {
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
    pub(super) fn spill(&self) -> Result<()> {
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
            self.load_cache(&listed);
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
                Err(e) => {
                    self.warn(Warning::IndexRun {
                        object: name.to_string(),
                        why: self.objects.of_one(e)?.to_string(),
                    });
                    continue;
                }
            };
            let table = self.build(&entries, vec![*run], root.packs().to_vec())?;
            let mut state = self.write();
            state.runs.insert(*run);
            state.tables.push(Arc::new(table));
        }
        Ok(complete)
    }
}
