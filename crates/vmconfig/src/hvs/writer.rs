//! Writing a container: a fresh, clean file of format 4.0 for a tree.
//!
//! ```text
//! headers A (sequence 1) and B (0) · object table · key tables · blobs · more object tables · log
//! ```
//!
//! Rules that other readers lean on, and so do we: a parent is written before its children;
//! insertion sequences begin at 1 and a node's next one is one above its last child's; keys fill
//! their table exactly (a gap of 22 bytes and more becomes a free key, a smaller one belongs to
//! the key before it); a value of 2048 bytes and more is a blob.

use super::error::{Error, Result};
use super::format::*;
use super::header::Header;
use super::object_table::encode_entry;
use super::replay;
use crate::tree::{Entry, MAX_DEPTH, Tree, Value};

/// Writes a tree as the bytes of a `.vmcx` file. `data_version` goes to the header; carry it over
/// from the file that the tree was read from.
///
/// # Errors
/// [`Error::BadName`], [`Error::BlobNotLoaded`], [`Error::TooDeep`] and [`Error::TooLarge`] for
/// trees that the format, or the reader here, cannot hold.
pub fn write_tree(tree: &Tree, data_version: u32) -> Result<Vec<u8>> {
    let mut keys = KeyTables::default();
    keys.add_all(&tree.entries, (0, 0), 1)?;
    let Finished {
        mut tables,
        mut blobs,
    } = keys.finish();

    // The number of objects decides the number of object tables, and these the offsets.
    let objects = tables.len() + blobs.len();
    let object_tables = objects.div_ceil(OBJECT_SLOTS - 1).max(1);
    let mut end = FIRST_OBJECT_TABLE + PAGE as u64;
    let mut place = |len: usize| {
        let at = end;
        end += len as u64;
        at
    };
    let mut slots = Vec::with_capacity(objects);
    for _ in &tables {
        slots.push(encode_entry(OBJECT_KEY_TABLE, place(PAGE), PAGE as u32));
    }
    for blob in &mut blobs {
        let room = blob.data.len().next_multiple_of(PAGE);
        let len = u32::try_from(room).map_err(|_| Error::TooLarge {
            what: "large values",
            limit: u32::MAX.into(),
        })?;
        blob.offset = place(room);
        slots.push(encode_entry(OBJECT_BLOB, blob.offset, len));
    }
    let mut object_table_at = vec![FIRST_OBJECT_TABLE];
    object_table_at.extend((1..object_tables).map(|_| place(PAGE)));
    let log_at = place(PAGE);

    for blob in &blobs {
        blob.patch(&mut tables);
    }
    let len = usize::try_from(end).map_err(|_| Error::TooLarge {
        what: "contents",
        limit: usize::MAX as u64,
    })?;
    let mut file = vec![0; len];
    let mut put = |at: u64, bytes: &[u8]| {
        let at = at as usize;
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    for (sequence, at) in [(1, 0), (0, HEADER_B)] {
        let header = Header {
            sequence,
            version: VERSION,
            data_version,
            flags: 0,
            alignment: PAGE as u32,
            log_offset: log_at,
            log_size: PAGE as u64,
            log_header_size: PAGE as u32,
        };
        put(at, &header.encode());
    }
    for (n, &at) in object_table_at.iter().enumerate() {
        let slots = slots.chunks(OBJECT_SLOTS - 1).nth(n).unwrap_or_default();
        put(
            at,
            &object_table(slots, object_table_at.get(n + 1).copied()),
        );
    }
    let first = FIRST_OBJECT_TABLE + PAGE as u64;
    for (n, table) in tables.iter().enumerate() {
        put(first + (n * PAGE) as u64, table);
    }
    for blob in &blobs {
        put(blob.offset, &blob.data);
    }
    put(log_at, &replay::empty_log());
    Ok(file)
}

fn object_table(slots: &[[u8; OBJECT_ENTRY_LEN]], next: Option<u64>) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE);
    page.extend(OBJECT_TABLE_SIGNATURE.to_le_bytes());
    page.extend((OBJECT_SLOTS as u32).to_le_bytes());
    page.extend(slots.iter().flatten());
    for _ in slots.len()..OBJECT_SLOTS - 1 {
        page.extend(encode_entry(OBJECT_EMPTY, 0, 0));
    }
    page.extend(match next {
        Some(at) => encode_entry(OBJECT_TABLE, at, PAGE as u32),
        None => encode_entry(OBJECT_EMPTY, 0, 0),
    });
    page.resize(PAGE, 0);
    page
}

/// A large value on its way to its place, and the key that must be told of it.
struct BlobOut {
    data: Vec<u8>,
    offset: u64,
    /// Table (counted from 0), and offset of the key in it.
    key: (usize, usize),
}

impl BlobOut {
    fn patch(&self, tables: &mut [Vec<u8>]) {
        let (table, at) = self.key;
        let key = &mut tables[table][at..];
        let data = KEY_HEADER_LEN + usize::from(key[20]);
        key[data..data + 4].copy_from_slice(&(self.data.len() as u32).to_le_bytes());
        key[data + 4..data + 12].copy_from_slice(&self.offset.to_le_bytes());
        let crc = crc_without(&key[..data + 12], 12);
        key[12..16].copy_from_slice(&crc.to_le_bytes());
    }
}

#[derive(Default)]
struct KeyTables {
    tables: Vec<Vec<u8>>,
    blobs: Vec<BlobOut>,
    /// Offset of the last key in the last table.
    last: usize,
}

/// What [`KeyTables::finish`] gives.
struct Finished {
    tables: Vec<Vec<u8>>,
    blobs: Vec<BlobOut>,
}

impl KeyTables {
    fn add_all(&mut self, entries: &[Entry], parent: (u16, u32), depth: usize) -> Result<()> {
        if depth > MAX_DEPTH && !entries.is_empty() {
            return Err(Error::TooDeep(MAX_DEPTH));
        }
        for (sequence, entry) in (1u32..).zip(entries) {
            let id = self.add(entry, parent, sequence)?;
            self.add_all(entry.children(), id, depth + 1)?;
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry, parent: (u16, u32), sequence: u32) -> Result<(u16, u32)> {
        let name = entry.name.as_bytes();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(&0) {
            return Err(Error::BadName(entry.name.clone()));
        }
        let (kind, data) = encode_value(entry)?;
        let (flag, data, blob) = match data {
            Data::Inline(data) => (0, data, None),
            Data::Blob(blob) => (FLAG_BLOB, vec![0; 12], Some(blob)),
        };
        let mut key = Vec::with_capacity(KEY_HEADER_LEN + name.len() + 1 + data.len());
        key.extend([
            kind,
            flag | if entry.subcomponent {
                FLAG_SUBCOMPONENT
            } else {
                0
            },
        ]);
        key.extend(((KEY_HEADER_LEN + name.len() + 1 + data.len()) as u32).to_le_bytes());
        key.extend(parent.0.to_le_bytes());
        key.extend(parent.1.to_le_bytes());
        key.extend([0; 4]);
        key.extend(sequence.to_le_bytes());
        key.push(name.len() as u8 + 1);
        key.extend(name);
        key.push(0);
        key.extend(data);
        let crc = crc_without(&key, 12);
        key[12..16].copy_from_slice(&crc.to_le_bytes());

        let (table, at) = self.place(&key)?;
        if let Some(data) = blob {
            self.blobs.push(BlobOut {
                data,
                offset: 0,
                key: (table, at),
            });
        }
        // Table indexes count from 1; `place` has made sure that they fit.
        Ok((table as u16 + 1, at as u32))
    }

    /// Appends a key to the last table or a new one.
    fn place(&mut self, key: &[u8]) -> Result<(usize, usize)> {
        if self
            .tables
            .last()
            .is_none_or(|table| table.len() + key.len() > PAGE)
        {
            self.close();
            let index = u16::try_from(self.tables.len() + 1).map_err(|_| Error::TooLarge {
                what: "key tables",
                limit: u64::from(u16::MAX) * PAGE as u64,
            })?;
            let mut table = Vec::with_capacity(PAGE);
            table.extend(KEY_TABLE_SIGNATURE.to_le_bytes());
            table.extend(index.to_le_bytes());
            table.extend([1, 0, 0, 0, 0, 0]);
            let crc = crc_without(&table, 6);
            table[6..10].copy_from_slice(&crc.to_le_bytes());
            self.tables.push(table);
        }
        let number = self.tables.len() - 1;
        let table = &mut self.tables[number];
        self.last = table.len();
        table.extend(key);
        Ok((number, self.last))
    }

    /// Fills the last table up to its end.
    fn close(&mut self) {
        let Some(table) = self.tables.last_mut() else {
            return;
        };
        let gap = PAGE - table.len();
        if gap > KEY_HEADER_LEN {
            let at = table.len();
            table.extend([KEY_FREE, 0]);
            table.extend((gap as u32).to_le_bytes());
            table.resize(at + KEY_HEADER_LEN, 0);
            let crc = crc_without(&table[at..], 12);
            table[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
        } else if gap > 0 {
            let key = &mut table[self.last..];
            let size = (key.len() + gap) as u32;
            // The checksum covers the size too, but not the gap.
            let covered = key.len();
            key[2..6].copy_from_slice(&size.to_le_bytes());
            let crc = crc_without(&key[..covered], 12);
            key[12..16].copy_from_slice(&crc.to_le_bytes());
        }
        table.resize(PAGE, 0);
    }

    fn finish(mut self) -> Finished {
        if self.tables.is_empty() {
            // An empty tree: one table with nothing but a free key.
            let _ = self.place(&[]);
        }
        self.close();
        Finished {
            tables: self.tables,
            blobs: self.blobs,
        }
    }
}

enum Data {
    Inline(Vec<u8>),
    Blob(Vec<u8>),
}

fn encode_value(entry: &Entry) -> Result<(u8, Data)> {
    Ok(match &entry.value {
        Value::Node(children) => {
            let next = u32::try_from(children.len())
                .ok()
                .and_then(|count| count.checked_add(1))
                .ok_or(Error::TooLarge {
                    what: "nodes",
                    limit: u32::MAX.into(),
                })?;
            let mut data = vec![0; 8];
            data.extend(next.to_le_bytes());
            (KEY_NODE, Data::Inline(data))
        }
        Value::Int(n) => (KEY_INT, Data::Inline(n.to_le_bytes().to_vec())),
        Value::UInt(n) => (KEY_UINT, Data::Inline(n.to_le_bytes().to_vec())),
        Value::Double(n) => (KEY_DOUBLE, Data::Inline(n.to_le_bytes().to_vec())),
        Value::Bool(b) => (KEY_BOOL, Data::Inline(u32::from(*b).to_le_bytes().to_vec())),
        Value::Bytes(bytes) => (KEY_ARRAY, sized(bytes.clone())?),
        Value::String(text) => (
            KEY_STRING,
            sized(text.encode_utf16().flat_map(u16::to_le_bytes).collect())?,
        ),
        Value::WideString(units) => (
            KEY_STRING,
            sized(units.iter().flat_map(|u| u.to_le_bytes()).collect())?,
        ),
        Value::Blob(_) => return Err(Error::BlobNotLoaded(entry.name.clone())),
    })
}

fn sized(bytes: Vec<u8>) -> Result<Data> {
    if bytes.len() >= BLOB_THRESHOLD {
        return Ok(Data::Blob(bytes));
    }
    let mut data = (bytes.len() as u32).to_le_bytes().to_vec();
    data.extend(bytes);
    Ok(Data::Inline(data))
}
