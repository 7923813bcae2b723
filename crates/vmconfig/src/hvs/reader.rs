//! Reading a container: headers, replay, tables, tree.

use std::ops::ControlFlow;

use super::error::{Error, Result, Warning, Warnings};
use super::header::{self, Header};
use super::key_table::{self, Tables};
use super::replay::{self, Overlay};
use super::{link, object_table};
use crate::io::{ReadAt, read_vec};
use crate::tree::{Blob, Entry, Tree, Value};

/// How much a file may make the reader hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of object tables and, apart from these, of key tables.
    pub tables: u64,
    /// Keys, each of which takes some ten times the bytes in memory that it may take in a table.
    pub keys: usize,
    /// Bytes of blobs to load into the tree; `None` leaves them all in the file as
    /// [`Value::Blob`].
    pub blobs: Option<u64>,
}

impl Limits {
    /// For `.vmcx`: everything is loaded. Real ones take about 100 KiB.
    pub const CONFIGURATION: Limits = Limits {
        tables: 16 << 20,
        keys: 1 << 17,
        blobs: Some(16 << 20),
    };
    /// For `.vmrs` and `.vsv`: memory stays where it is. Of a VM that was saved with 128 GiB and
    /// more there are too many keys; [`vmrs`](crate::vmrs) holds none.
    pub const RUNTIME: Limits = Limits {
        tables: 16 << 20,
        keys: 1 << 17,
        blobs: None,
    };
}

/// An opened container.
pub struct HvsFile<'a> {
    file: Overlay<'a>,
    tree: Tree,
    warnings: Vec<Warning>,
    data_version: u32,
}

impl<'a> HvsFile<'a> {
    /// Reads the headers and all tables of a file.
    pub fn open(file: &'a dyn ReadAt, limits: Limits) -> Result<Self> {
        let mut warnings = Warnings::default();
        let (header, file, tables) = open(file, limits.tables, &mut warnings)?;
        let mut keys = Vec::new();
        tables.walk(&file, limits.tables, &mut warnings, &mut |key| {
            if keys.len() == limits.keys {
                return Err(Error::TooMany {
                    what: "keys",
                    limit: limits.keys,
                });
            }
            keys.push(key);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut tree = link::link(keys, &mut warnings)?;
        check_blobs(&mut tree.entries, file.len()?, &mut warnings);
        if let Some(limit) = limits.blobs {
            let mut left = limit;
            load_blobs(&mut tree.entries, &file, limit, &mut left)?;
        }
        Ok(HvsFile {
            file,
            tree,
            warnings: warnings.finish(),
            data_version: header.data_version,
        })
    }

    /// The keys.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What is wrong with the file.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The application's version of the data, from the header.
    pub fn data_version(&self) -> u32 {
        self.data_version
    }

    /// The keys and the warnings, without the file.
    pub fn into_parts(self) -> (Tree, Vec<Warning>) {
        (self.tree, self.warnings)
    }

    /// Fills `buf` from a blob of this file, beginning `skip` bytes into the blob.
    pub fn read_blob(&self, blob: &Blob, skip: u32, buf: &mut [u8]) -> Result<()> {
        let (offset, len) = (u64::from(skip), buf.len() as u64);
        if offset + len > u64::from(blob.len) {
            let file_len = self.file.len()?;
            return Err(Error::OutOfBounds {
                what: "part of a value",
                offset,
                len,
                file_len,
            });
        }
        // The end of every blob was checked when the file was opened.
        Ok(self
            .file
            .read_exact_at(buf, blob.offset.saturating_add(offset))?)
    }
}

/// What comes before the keys: the header, the file with outstanding changes, its key tables.
pub(super) fn open<'a>(
    file: &'a dyn ReadAt,
    budget: u64,
    warnings: &mut Warnings,
) -> Result<(Header, Overlay<'a>, Tables)> {
    let header = header::read(file, warnings)?;
    let file = replay::overlay(file, &header, warnings)?;
    let places = object_table::key_tables(&file, header.alignment, budget, warnings)?;
    let tables = Tables::find(&file, &places, warnings)?;
    Ok((header, file, tables))
}

/// Reads a whole configuration that lies in memory.
pub fn read_tree(bytes: &[u8]) -> Result<(Tree, Vec<Warning>)> {
    let file: &dyn ReadAt = &bytes;
    HvsFile::open(file, Limits::CONFIGURATION).map(HvsFile::into_parts)
}

/// Leaves out keys whose blob the file does not have: one lost value is no reason to lose all.
fn check_blobs(entries: &mut Vec<Entry>, file_len: u64, warnings: &mut Warnings) {
    entries.retain(|entry| match &entry.value {
        Value::Blob(blob) => {
            let end = blob.offset.checked_add(u64::from(blob.len));
            let fits = end.is_some_and(|end| end <= file_len);
            if !fits {
                warnings.push(Warning::BlobOutOfBounds(entry.name.clone()));
            }
            fits
        }
        _ => true,
    });
    for entry in entries {
        if let Some(children) = entry.children_mut() {
            check_blobs(children, file_len, warnings);
        }
    }
}

fn load_blobs(entries: &mut [Entry], file: &dyn ReadAt, limit: u64, left: &mut u64) -> Result<()> {
    for entry in entries {
        match &mut entry.value {
            Value::Node(children) => load_blobs(children, file, limit, left)?,
            Value::Blob(blob) => {
                *left = left
                    .checked_sub(u64::from(blob.len))
                    .ok_or(Error::TooLarge {
                        what: "large values",
                        limit,
                    })?;
                let bytes = read_vec(file, blob.offset, u64::from(blob.len))?;
                entry.value = if blob.text {
                    key_table::text(&bytes)
                } else {
                    Value::Bytes(bytes)
                };
            }
            _ => {}
        }
    }
    Ok(())
}
