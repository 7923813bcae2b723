//! The map of one segment.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 1 | node type, 1 |
//! | 1 | 1 | node version, 1 |
//! | 2 | 2 | reserved, 0 |
//! | 4 | 4 | number of chunks n |
//! | 8 | 4 | number of entries m |
//! | 12 | 32·n | ids of the chunks, in the order in which the entries first use them |
//! | 12 + 32·n | 16·m | entries: offset in the segment (4), length (4), number of the chunk (4), offset within the chunk (4) |
//!
//! The chunk number `FFFFFFFF` means zeros; the offset within the chunk is then 0.

use std::collections::HashMap;

use crate::bytes::Cursor;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::pack::MAX_CHUNK_LEN;

use super::{LEAF, NODE_VERSION};

const WHAT: &str = "leaf";
pub(super) const NO_CHUNK: u32 = u32::MAX;

/// Where a range's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Explicit zeros, whatever a parent layer holds.
    Zero,
    /// Bytes of a chunk, from `within` on.
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// First byte of the chunk that is used.
        within: u32,
    },
}

impl Target {
    /// What the bytes `by` further on come from.
    fn advance(self, by: u32) -> Self {
        match self {
            Self::Zero => Self::Zero,
            Self::Chunk { id, within } => Self::Chunk {
                id,
                within: within + by,
            },
        }
    }
}

/// One range of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// First byte, counted from the start of the segment.
    pub offset: u32,
    /// Number of bytes; not 0.
    pub len: u32,
    /// Where they come from.
    pub target: Target,
}

impl Entry {
    /// One past the last byte.
    pub fn end(&self) -> u32 {
        self.offset + self.len
    }

    /// The part of the entry from `start` up to `end`, if any.
    pub(super) fn part(&self, start: u32, end: u32) -> Option<Self> {
        let (from, to) = (self.offset.max(start), self.end().min(end));
        (from < to).then(|| Self {
            offset: from,
            len: to - from,
            target: self.target.advance(from - self.offset),
        })
    }

    /// Whether `next` continues this entry so that both are one.
    fn joins(&self, next: &Self) -> bool {
        self.end() == next.offset && self.target.advance(self.len) == next.target
    }
}

/// What a range of a segment is, gaps included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First byte, counted from the start of the segment.
    pub offset: u32,
    /// Number of bytes.
    pub len: u32,
    /// Where they come from; `None` where nothing was stored.
    pub target: Option<Target>,
}

/// The map of one segment: ascending entries that do not overlap, joined where they continue
/// each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaf {
    entries: Vec<Entry>,
}

impl Leaf {
    /// A leaf of entries in ascending order; entries that continue each other are joined.
    ///
    /// # Errors
    /// When they overlap, are empty, or leave the segment or a chunk's largest size.
    pub fn new(entries: Vec<Entry>, segment: u32) -> Result<Self> {
        let mut leaf = Self {
            entries: Vec::with_capacity(entries.len()),
        };
        let mut end = 0;
        for entry in entries {
            check(&entry, end, segment).map_err(Error::into_invalid)?;
            end = entry.end();
            leaf.push(entry);
        }
        Ok(leaf)
    }

    /// Appends an entry that is known to lie behind the last one.
    pub(super) fn push(&mut self, entry: Entry) {
        match self.entries.last_mut() {
            Some(last) if last.joins(&entry) => last.len += entry.len,
            _ => self.entries.push(entry),
        }
    }

    /// The entries, ascending.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether nothing of the segment was stored. Such a leaf is left out of the tree.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The chunks that the leaf uses, each once, in the order of first use.
    pub fn chunks(&self) -> Vec<ChunkId> {
        let mut seen = std::collections::HashSet::new();
        self.entries
            .iter()
            .filter_map(|entry| match entry.target {
                Target::Chunk { id, .. } => seen.insert(id).then_some(id),
                Target::Zero => None,
            })
            .collect()
    }

    /// What `start..end` of the segment is, in ascending pieces without gaps.
    pub fn pieces(&self, start: u32, end: u32) -> Vec<Piece> {
        let first = self.entries.partition_point(|entry| entry.end() <= start);
        let mut out = Vec::new();
        let mut at = start;
        let parts = self.entries[first..]
            .iter()
            .map_while(|entry| entry.part(start, end));
        for part in parts {
            if at < part.offset {
                out.push(Piece {
                    offset: at,
                    len: part.offset - at,
                    target: None,
                });
            }
            at = part.end();
            out.push(Piece {
                offset: part.offset,
                len: part.len,
                target: Some(part.target),
            });
        }
        if at < end {
            out.push(Piece {
                offset: at,
                len: end - at,
                target: None,
            });
        }
        out
    }

    /// Checks that every entry lies within its chunk, whose plain length `plain_len` tells;
    /// chunks of unknown length (`None`) are passed over.
    pub fn check_chunks(&self, plain_len: impl Fn(&ChunkId) -> Option<u32>) -> Result<()> {
        for entry in &self.entries {
            if let Target::Chunk { id, within } = entry.target
                && let Some(plain_len) = plain_len(&id)
                && u64::from(within) + u64::from(entry.len) > u64::from(plain_len)
            {
                return Err(Error::damaged(
                    WHAT,
                    format!(
                        "{} bytes at {within} of chunk {id}, which has {plain_len}",
                        entry.len
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The bytes of the node.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![LEAF, NODE_VERSION, 0, 0];
        let plain: Vec<_> = self
            .entries
            .iter()
            .map(|entry| (entry.offset, entry.len, Some(entry.target)))
            .collect();
        encode_entries(&plain, &mut out);
        out
    }

    pub(super) fn decode(mut cursor: Cursor<'_>, segment: u32) -> Result<Self> {
        cursor.reserved(2)?;
        let mut leaf = Self::default();
        for (offset, len, target) in decode_entries(WHAT, cursor, false)? {
            let target = target.ok_or_else(|| Error::damaged(WHAT, "an entry without target"))?;
            let entry = Entry {
                offset,
                len,
                target,
            };
            let end = leaf.entries.last().map_or(0, Entry::end);
            check(&entry, end, segment)?;
            if leaf.entries.last().is_some_and(|last| last.joins(&entry)) {
                return Err(Error::damaged(WHAT, "two of its entries should be one"));
            }
            leaf.entries.push(entry);
        }
        if leaf.is_empty() {
            return Err(Error::damaged(
                WHAT,
                "it has no entries and should be absent",
            ));
        }
        Ok(leaf)
    }
}

/// The rules for an entry that comes after `end`.
pub(super) fn check(entry: &Entry, end: u32, segment: u32) -> Result<()> {
    let entry_end = u64::from(entry.offset) + u64::from(entry.len);
    if entry.len == 0 || entry.offset < end || entry_end > u64::from(segment) {
        return Err(Error::damaged(
            WHAT,
            format!(
                "an entry of {} bytes at {} after {end} in a segment of {segment}",
                entry.len, entry.offset
            ),
        ));
    }
    if let Target::Chunk { within, .. } = entry.target
        && u64::from(within) + u64::from(entry.len) > MAX_CHUNK_LEN as u64
    {
        return Err(Error::damaged(
            WHAT,
            format!(
                "{} bytes at {within} of a chunk: no chunk is that large",
                entry.len
            ),
        ));
    }
    Ok(())
}

pub(super) type RawEntry = (u32, u32, Option<Target>);
/// The chunk number of an entry of a delta that removes what the base has there.
const HOLE: u32 = u32::MAX - 1;

/// The part that leaf and delta have in common: counts, ids, entries.
pub(super) fn encode_entries(entries: &[RawEntry], out: &mut Vec<u8>) {
    let mut numbers = HashMap::new();
    let mut ids = Vec::new();
    let mut fields = Vec::with_capacity(entries.len() * 16);
    for (offset, len, target) in entries {
        let (number, within) = match target {
            None => (HOLE, 0),
            Some(Target::Zero) => (NO_CHUNK, 0),
            Some(Target::Chunk { id, within }) => {
                let number = *numbers.entry(*id).or_insert_with(|| {
                    ids.push(*id);
                    ids.len() as u32 - 1
                });
                (number, *within)
            }
        };
        for field in [*offset, *len, number, within] {
            fields.extend_from_slice(&field.to_le_bytes());
        }
    }
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    ids.iter().for_each(|id| out.extend_from_slice(&id.0));
    out.extend_from_slice(&fields);
}

/// Reads what [`encode_entries`] wrote, to the end of the node. The order and place of the
/// entries are the caller's to check; that the list of chunks is canonical is checked here.
pub(super) fn decode_entries(
    what: &'static str,
    mut cursor: Cursor<'_>,
    holes: bool,
) -> Result<Vec<RawEntry>> {
    let (chunks, count) = (cursor.u32()?, cursor.u32()?);
    let ids: Vec<ChunkId> = cursor
        .items(chunks, ChunkId::LEN)?
        .map(|id| Ok(ChunkId(Cursor::new(what, id).array()?)))
        .collect::<Result<_>>()?;
    let items = cursor.items(count, 16)?;
    cursor.end()?;
    let mut used = 0usize;
    let entries = items
        .map(|item| {
            let mut item = Cursor::new(what, item);
            let (offset, len, number, within) =
                (item.u32()?, item.u32()?, item.u32()?, item.u32()?);
            let target = match number {
                NO_CHUNK if within == 0 => Some(Target::Zero),
                HOLE if within == 0 && holes => None,
                _ => {
                    let number = number as usize;
                    let id = *ids.get(number).filter(|_| number <= used).ok_or_else(|| {
                        Error::damaged(
                            what,
                            format!("entry at {offset} uses chunk {number} out of order"),
                        )
                    })?;
                    used = used.max(number + 1);
                    Some(Target::Chunk { id, within })
                }
            };
            Ok((offset, len, target))
        })
        .collect::<Result<Vec<_>>>()?;
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    if used != ids.len() || distinct.len() != ids.len() {
        return Err(Error::damaged(
            what,
            "its list of chunks is not in the canonical form",
        ));
    }
    Ok(entries)
}
