//! The tables of the index as files of a local folder, which may be damaged or vanish at any time.

use std::io;
use std::sync::Arc;

use vault_format::ObjectHash;
use vault_format::index::{IndexEntry, PackRef};

use super::Index;
use super::table::{Builder, Table};
use crate::error::{Error, Result, Warning};

impl Index {
    /// Makes a table, in the cache folder if there is one.
    pub(super) fn build(
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
    pub(super) fn make_table(
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
        let made = make(Some(&temp)).and_then(|mut table| {
            std::fs::rename(&temp, &path)?;
            table.path = Some(path.clone());
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

    /// Opens tables in the cache folder that cover a listed run which is not covered yet.
    pub(super) fn load_cache(&self, listed: &[ObjectHash]) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let (known, damaged) = {
            let state = self.read();
            (state.runs.clone(), state.damaged.clone())
        };
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
            if path.extension().is_none_or(|e| e != "table") || damaged.contains(&path) {
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

    /// Reads again from the vault what a damaged table told: it is only a cache.
    pub(super) fn replace_table(&self, table: &Arc<Table>, e: &io::Error) {
        if !self.drop_table(table, e) {
            // Another thread is at it.
            return;
        }
        // What no run covers is found by `find` in the packs.
        self.expect_news();
        if let Err(e) = self.refresh() {
            self.warn(Warning::Cache {
                path: "index".to_owned(),
                why: e.to_string(),
            });
        }
    }

    /// Forgets a damaged table and its file. `false` when it was forgotten before.
    pub(super) fn drop_table(&self, table: &Arc<Table>, e: &io::Error) -> bool {
        let path = table.path.clone().unwrap_or_default();
        {
            let mut state = self.write();
            let before = state.tables.len();
            state.tables.retain(|t| !Arc::ptr_eq(t, table));
            if state.tables.len() == before {
                return false;
            }
            for run in table.covered() {
                state.runs.remove(run);
            }
            state.damaged.insert(path.clone());
        }
        let _ = std::fs::remove_file(&path);
        self.warn(Warning::Cache {
            path: path.display().to_string(),
            why: e.to_string(),
        });
        true
    }

    /// Reads all tables, and again from the vault what is damaged in them.
    pub(crate) fn verify(&self) {
        let tables = self.read().tables.clone();
        for table in tables {
            let damaged = table.iter().find_map(Result::err);
            if let Some(e) = damaged {
                self.replace_table(&table, &e);
            }
        }
    }
}
