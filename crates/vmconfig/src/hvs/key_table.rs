//! Key tables and the keys in them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::error::{Error, Result, Warning, Warnings};
use super::format::*;
use super::object_table::Place;
use crate::io::{ReadAt, read_vec};
use crate::tree::{Blob, Entry, Value};

/// Where a key lies: table index and offset in the table. Keys name their parent so.
pub(super) type KeyId = (u16, u32);

/// A key as read, before it is linked to its parent. Nodes have no children yet.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) parent: KeyId,
    pub(super) sequence: u32,
    pub(super) entry: Entry,
}

/// A longer table is refused. Real ones take a page of 4 KiB, and the largest alignment is 64 KiB.
const MAX_LEN: u32 = 1 << 20;

/// What [`Tables::walk`] gives each key to; it may stop there.
pub(super) type Visit<'a> = dyn FnMut(Key) -> Result<ControlFlow<()>> + 'a;

/// The key tables that count.
pub(super) struct Tables {
    /// Index and place, by index.
    newest: BTreeMap<u16, (u16, Place)>,
}

impl Tables {
    /// Of each index the newest table.
    pub(super) fn find(
        file: &dyn ReadAt,
        places: &[Place],
        warnings: &mut Warnings,
    ) -> Result<Self> {
        let newest = newest(file, places, warnings)?;
        Ok(Tables { newest })
    }

    /// Reads one table after the other and gives all live keys. `budget` bounds the bytes of all
    /// tables together.
    pub(super) fn walk(
        &self,
        file: &dyn ReadAt,
        budget: u64,
        warnings: &mut Warnings,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let mut left = budget;
        for (index, (_, place)) in &self.newest {
            let too_large = |what, limit| Error::TooLarge { what, limit };
            if place.len > MAX_LEN {
                return Err(too_large("keys of one table", MAX_LEN.into()));
            }
            left = left
                .checked_sub(place.len.into())
                .ok_or_else(|| too_large("key tables", budget))?;
            let bytes = read_vec(file, place.offset, place.len.into())?;
            if read_table(&bytes, place.offset, *index, warnings, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The newest table of every index.
fn newest(
    file: &dyn ReadAt,
    places: &[Place],
    warnings: &mut Warnings,
) -> Result<BTreeMap<u16, (u16, Place)>> {
    let file_len = file.len()?;
    let mut newest = BTreeMap::<u16, (u16, Place)>::new();
    for &place in places {
        let (offset, len) = (place.offset, u64::from(place.len));
        let damaged = |why| Error::Damaged {
            what: "key table",
            offset,
            why,
        };
        if offset.checked_add(len).is_none_or(|end| end > file_len) {
            return Err(Error::OutOfBounds {
                what: "key table",
                offset,
                len,
                file_len,
            });
        }
        if len < KEY_TABLE_HEADER_LEN as u64 {
            return Err(damaged("it is shorter than its header"));
        }
        let head = read_vec(file, offset, KEY_TABLE_HEADER_LEN as u64)?;
        if u16_at(&head, 0) != Some(KEY_TABLE_SIGNATURE) {
            return Err(damaged("it lacks the signature"));
        }
        let index = u16_at(&head, 2).unwrap_or_default();
        let sequence = u16_at(&head, 4).unwrap_or_default();
        if index == 0 {
            return Err(damaged("its index is 0, which stands for the root"));
        }
        if u32_at(&head, 6) != Some(crc_without(&head, 6)) {
            warnings.push(Warning::KeyTableChecksum(index));
        }
        match newest.get(&index) {
            Some((known, _)) if *known == sequence => {
                warnings.push(Warning::EqualKeyTables(index));
            }
            Some((known, _)) if *known >= sequence => {}
            _ => {
                newest.insert(index, (sequence, place));
            }
        }
    }
    Ok(newest)
}

fn read_table(
    table: &[u8],
    offset: u64,
    index: u16,
    warnings: &mut Warnings,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>> {
    let mut at = KEY_TABLE_HEADER_LEN;
    while let Some(rest) = table
        .get(at..)
        .filter(|rest| rest.get(KEY_HEADER_LEN).is_some())
    {
        let damaged = |why| Error::Damaged {
            what: "key",
            offset: offset + at as u64,
            why,
        };
        let size = u32_at(rest, 2).unwrap_or_default() as usize;
        if size == 0 && rest.iter().all(|&b| b == 0) {
            break;
        }
        if size < KEY_HEADER_LEN {
            return Err(damaged("it is shorter than its header"));
        }
        let bytes = rest
            .get(..size)
            .ok_or_else(|| damaged("it is longer than its table"))?;
        if bytes.first() != Some(&KEY_FREE)
            && let Some(key) = read_key(bytes, index, warnings).map_err(damaged)?
        {
            let at = u32::try_from(at).map_err(|_| damaged("its table is too large"))?;
            let id = (index, at);
            if visit(Key { id, ..key })?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        at += size;
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads one live key; `None`, with a warning, if its type is not known.
fn read_key(
    bytes: &[u8],
    table: u16,
    warnings: &mut Warnings,
) -> std::result::Result<Option<Key>, &'static str> {
    let short = "it is shorter than its contents";
    let kind = *bytes.first().ok_or(short)?;
    let flags = *bytes.get(1).ok_or(short)?;
    let parent = (
        u16_at(bytes, 6).ok_or(short)?,
        u32_at(bytes, 8).ok_or(short)?,
    );
    let crc = u32_at(bytes, 12).ok_or(short)?;
    let sequence = u32_at(bytes, 16).ok_or(short)?;
    let data_at = KEY_HEADER_LEN + usize::from(*bytes.get(20).ok_or(short)?);
    let name = bytes.get(KEY_HEADER_LEN..data_at).ok_or(short)?;
    let name = match name.split_last() {
        Some((0, name)) => std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?,
        _ => return Err("its name does not end with NUL"),
    };
    let data = bytes.get(data_at..).ok_or(short)?;
    let Some((value, len)) = read_value(kind, flags, data).ok_or(short)? else {
        warnings.push(Warning::UnknownType {
            name: name.to_owned(),
            kind,
        });
        return Ok(None);
    };
    let covered = |len: usize| {
        bytes
            .get(..data_at + len)
            .is_some_and(|c| crc_without(c, 12) == crc)
    };
    // Windows' own count of a value's bytes seems to leave four out: a node's sequence, a text's
    // length (dissect.hypervisor on `GetValueSizeInBytes`). Whether its checksum does is
    // UNVERIFIED; either is as good a proof.
    let proven = covered(len) || len >= 4 && covered(len - 4);
    if !proven {
        warnings.push(Warning::KeyChecksum {
            name: name.to_owned(),
            table,
        });
    }
    let subcomponent = flags & FLAG_SUBCOMPONENT != 0;
    let entry = Entry {
        name: name.to_owned(),
        subcomponent,
        value,
    };
    Ok(Some(Key {
        id: (table, 0),
        parent,
        sequence,
        entry,
    }))
}

/// The value and the length of its data; `Some(None)` for an unknown type, `None` if the data is
/// too short.
fn read_value(kind: u8, flags: u8, data: &[u8]) -> Option<Option<(Value, usize)>> {
    let known = matches!(
        kind,
        KEY_INT | KEY_UINT | KEY_DOUBLE | KEY_STRING | KEY_ARRAY | KEY_BOOL | KEY_NODE
    );
    if !known {
        return Some(None);
    }
    if flags & FLAG_BLOB != 0 && matches!(kind, KEY_STRING | KEY_ARRAY) {
        let blob = Blob {
            offset: u64_at(data, 4)?,
            len: u32_at(data, 0)?,
            text: kind == KEY_STRING,
        };
        return Some(Some((Value::Blob(blob), 12)));
    }
    let read = match kind {
        KEY_INT => (Value::Int(i64::from_le_bytes(field(data, 0)?)), 8),
        KEY_UINT => (Value::UInt(u64_at(data, 0)?), 8),
        KEY_DOUBLE => (Value::Double(f64::from_le_bytes(field(data, 0)?)), 8),
        KEY_BOOL => (Value::Bool(u32_at(data, 0)? != 0), 4),
        KEY_NODE => {
            data.get(..12)?;
            (Value::Node(Vec::new()), 12)
        }
        _ => {
            let len = u32_at(data, 0)? as usize;
            let end = len.checked_add(4)?;
            let bytes = data.get(4..end)?;
            let value = if kind == KEY_STRING {
                text(bytes)
            } else {
                Value::Bytes(bytes.into())
            };
            (value, end)
        }
    };
    Some(Some(read))
}

/// UTF-16 text without the NULs that some writers append.
pub(super) fn text(bytes: &[u8]) -> Value {
    let mut units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    while units.last() == Some(&0) {
        units.pop();
    }
    match String::from_utf16(&units) {
        Ok(text) => Value::String(text),
        Err(_) => Value::WideString(units),
    }
}
