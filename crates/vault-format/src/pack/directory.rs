//! The list of a pack's chunks.
//!
//! Plain form, before it is sealed:
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 4 | number of chunks |
//! | 4 + 40·i | 32 | id of chunk i |
//! | 36 + 40·i | 4 | stored length: sealed bytes, tag included |
//! | 40 + 40·i | 4 | plain length |
//!
//! Chunks lie back to back in this order, the first right after the header, the last right
//! before the directory; so offsets need not be stored and cannot be wrong.

use crate::bytes::Cursor;
use crate::crypto::TAG_LEN;
use crate::error::{Error, Result, limit};
use crate::id::ChunkId;

use super::{MAX_CHUNK_LEN, MAX_CHUNKS};

pub(super) const ENTRY_LEN: usize = 40;
pub(super) const MAX_SEALED_LEN: usize = 4 + ENTRY_LEN * MAX_CHUNKS + TAG_LEN;
/// Most that sealing adds: the flag byte and the tag. (Compressed payloads are shorter.)
const MAX_GROWTH: usize = 1 + TAG_LEN;

/// One chunk of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Id of the chunk; for a map pack, the bytes of a [`NodeId`](crate::NodeId).
    pub id: ChunkId,
    /// Where the sealed chunk begins in the pack.
    pub offset: u32,
    /// Sealed bytes, tag included.
    pub stored_len: u32,
    /// Plain bytes.
    pub plain_len: u32,
}

/// All chunks of a pack, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    pub(super) entries: Vec<DirectoryEntry>,
}

impl Directory {
    /// The chunks, in their order.
    pub fn entries(&self) -> &[DirectoryEntry] {
        &self.entries
    }

    /// The chunks, taken.
    pub fn into_entries(self) -> Vec<DirectoryEntry> {
        self.entries
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + ENTRY_LEN * self.entries.len() + TAG_LEN);
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.id.0);
            out.extend_from_slice(&entry.stored_len.to_le_bytes());
            out.extend_from_slice(&entry.plain_len.to_le_bytes());
        }
        out
    }

    /// Reads the plain form of a directory that begins at `directory_offset` of a pack whose
    /// header has `header_len` bytes. Most callers want
    /// [`PackOpener::directory`](super::PackOpener::directory).
    pub fn decode(plain: &[u8], header_len: usize, directory_offset: u64) -> Result<Self> {
        const WHAT: &str = "pack directory";
        let mut cursor = Cursor::new(WHAT, plain);
        let count = cursor.u32()?;
        limit(WHAT, "number of chunks", count.into(), MAX_CHUNKS as u64)?;
        let items = cursor.items(count, ENTRY_LEN)?;
        cursor.end()?;
        let mut entries = Vec::with_capacity(items.len());
        let mut offset = header_len as u64;
        for item in items {
            let mut item = Cursor::new(WHAT, item);
            let id = ChunkId(item.array()?);
            let (stored_len, plain_len) = (item.u32()?, item.u32()?);
            limit(WHAT, "plain length", plain_len.into(), MAX_CHUNK_LEN as u64)?;
            let longest = u64::from(plain_len) + MAX_GROWTH as u64;
            if (stored_len as usize) <= TAG_LEN || u64::from(stored_len) > longest {
                return Err(Error::damaged(
                    WHAT,
                    format!("chunk {id} of {plain_len} bytes cannot take {stored_len} stored"),
                ));
            }
            entries.push(DirectoryEntry {
                id,
                offset: u32::try_from(offset)
                    .map_err(|_| Error::damaged(WHAT, "the chunks are longer than a pack"))?,
                stored_len,
                plain_len,
            });
            offset += u64::from(stored_len);
        }
        if offset != directory_offset {
            return Err(Error::damaged(
                WHAT,
                format!("the chunks end at {offset}, the directory begins at {directory_offset}"),
            ));
        }
        Ok(Self { entries })
    }
}
