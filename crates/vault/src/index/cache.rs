//! The tables of the index as files of a local folder, which may be damaged or vanish at any time.
//!
//! Without a folder that can be used, the tables are in memory, and that is told once.

use std::fs::File;
use std::io;
use std::sync::Arc;

use vault_format::ObjectHash;
use vault_format::index::{IndexEntry, PackRef};

use super::Index;
use super::folder::Folder;
use super::table::{Builder, Table};
use crate::error::{Error, Result, Warning};

impl Index {
    /// Opens the cache folder if one is wanted.
    pub(super) fn open_folder(&mut self) {
        let Some(cache) = &self.env.cache else { return };
        let path = cache.join(self.keys.vault().to_string());
        match Folder::open(path.clone()) {
            Ok(folder) => {
                self.folder = Some(folder);
                self.remember_damage();
            }
            Err(e) => self.warn(Warning::NoCache {
                path: path.display().to_string(),
                why: e.to_string(),
            }),
        }
    }

    /// Nothing more is written to the cache folder.
    pub(super) fn without_cache(&self, e: &io::Error) {
        if let Some(folder) = &self.folder
            && folder.give_up()
        {
            self.warn(Warning::NoCache {
                path: folder.path().display().to_string(),
                why: e.to_string(),
            });
        }
    }

    /// Makes a table, in the cache folder if there is one.
    pub(super) fn build(
        &self,
        entries: &[IndexEntry],
        covered: Vec<ObjectHash>,
        packs: Vec<PackRef>,
    ) -> Result<Table> {
        let name = covered.first().map_or_else(
            // A table that covers no run is of use to this process alone; the next one removes it.
            || {
                format!(
                    "spilled-{}",
                    ObjectHash(vault_format::random(&mut self.env.entropy()))
                )
            },
            ToString::to_string,
        );
        let make = |file: Option<File>| -> io::Result<Table> {
            let mut builder =
                Builder::new(file, entries.len() as u64, covered.clone(), packs.clone())?;
            for entry in entries {
                builder.push(entry)?;
            }
            builder.finish()
        };
        self.make_table(&name, make)
            .map_err(|e| Error::invalid(format!("the index cannot be kept in memory: {e}")))
    }

    /// Runs `make` with a file in the cache that gets this name when it is done. Without a cache,
    /// or when it fails, the table is made in memory.
    pub(super) fn make_table(
        &self,
        name: &str,
        make: impl Fn(Option<File>) -> io::Result<Table>,
    ) -> io::Result<Table> {
        let folder = self.folder.as_ref().filter(|folder| !folder.has_given_up());
        let Some(folder) = folder else {
            return make(None);
        };
        let path = folder.table(name);
        let made = folder.temp(&mut self.env.entropy()).and_then(|temp| {
            let mut table = make(Some(temp.file()?))?;
            temp.rename(&path)?;
            table.path = Some(path);
            Ok(table)
        });
        made.or_else(|e| {
            // Damaged records that were to be merged are not the folder's fault.
            if e.kind() != io::ErrorKind::InvalidData {
                self.without_cache(&e);
            }
            make(None)
        })
    }

    /// Opens tables in the cache folder that cover a listed run which is not covered yet.
    pub(super) fn load_cache(&self, listed: &[ObjectHash]) {
        let Some(folder) = &self.folder else { return };
        let (known, bad_files) = {
            let state = self.read();
            (state.runs.clone(), state.bad_files.clone())
        };
        if listed.iter().all(|run| known.contains(run)) {
            return;
        }
        let paths = match folder.tables() {
            Ok(paths) => paths,
            Err(e) => return self.without_cache(&e),
        };
        let mut found = Vec::new();
        for path in paths {
            if bad_files.contains(&path) {
                continue;
            }
            match Table::open(&path) {
                Ok(table) => found.push((path, table)),
                // Another process has merged it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    self.warn(Warning::Cache {
                        path: path.display().to_string(),
                        why: e.to_string(),
                    });
                    // Too many open files, say, is not the table's fault.
                    use io::ErrorKind::{InvalidData, UnexpectedEof};
                    if matches!(e.kind(), InvalidData | UnexpectedEof) {
                        let _ = std::fs::remove_file(&path);
                    }
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
            state.bad_files.insert(path.clone());
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
