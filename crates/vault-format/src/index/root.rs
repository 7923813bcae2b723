//! The root of a run.
//!
//! Plain form, before it is sealed:
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 4 | number of packs p |
//! | 4 | 4 | number of blocks b |
//! | 8 | 40·p | packs: SHA-256 (32), length (4), kind (1: data 1, map 2), reserved 0 (3) |
//! | … | 48·b | blocks: first id (32), offset (8), sealed length (4), number of entries (4) |

use crate::bytes::Cursor;
use crate::crypto::TAG_LEN;
use crate::error::{Error, Result, limit};

use super::{
    ChunkId, ENTRY_LEN, INDEX_HEADER_LEN, MAX_BLOCK_ENTRIES, MAX_TABLE, ObjectHash, PackKind,
};

const WHAT: &str = "index root";
const PACK_LEN: usize = 40;
const BLOCK_LEN: usize = 48;
pub(super) const MAX_SEALED_ROOT: usize = 8 + (PACK_LEN + BLOCK_LEN) * MAX_TABLE + TAG_LEN;

/// A pack that a run refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRef {
    /// The pack's name.
    pub hash: ObjectHash,
    /// Its size in bytes.
    pub len: u32,
    /// Data or map.
    pub kind: PackKind,
}

/// A block of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBlock {
    /// The first id in it.
    pub first: ChunkId,
    /// Where the sealed block begins in the run.
    pub offset: u64,
    /// Its sealed length.
    pub sealed_len: u32,
    /// Number of entries in it.
    pub count: u32,
}

/// What a run refers to, and what is where in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexRoot {
    pub(super) packs: Vec<PackRef>,
    pub(super) blocks: Vec<IndexBlock>,
}

impl IndexRoot {
    /// The packs; an entry's `pack` is a position in this list, checked when its block is
    /// opened.
    pub fn packs(&self) -> &[PackRef] {
        &self.packs
    }

    /// The blocks, by ascending first id, back to back in the run.
    pub fn blocks(&self) -> &[IndexBlock] {
        &self.blocks
    }

    /// Number of entries in all blocks.
    pub fn count(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.count)).sum()
    }

    /// The only block that can hold `id`, as a position in [`blocks`](Self::blocks).
    pub fn find(&self, id: &ChunkId) -> Option<usize> {
        self.blocks
            .partition_point(|block| block.first <= *id)
            .checked_sub(1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(self.packs.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for pack in &self.packs {
            out.extend_from_slice(&pack.hash.0);
            out.extend_from_slice(&pack.len.to_le_bytes());
            out.extend_from_slice(&[pack.kind.code(), 0, 0, 0]);
        }
        for block in &self.blocks {
            out.extend_from_slice(&block.first.0);
            out.extend_from_slice(&block.offset.to_le_bytes());
            out.extend_from_slice(&block.sealed_len.to_le_bytes());
            out.extend_from_slice(&block.count.to_le_bytes());
        }
        out
    }

    /// Reads the plain form; `end` is where the last block ends in the run.
    pub(super) fn decode(plain: &[u8], end: u64) -> Result<Self> {
        let mut cursor = Cursor::new(WHAT, plain);
        let (packs, blocks) = (cursor.u32()?, cursor.u32()?);
        limit(WHAT, "number of packs", packs.into(), MAX_TABLE as u64)?;
        limit(WHAT, "number of blocks", blocks.into(), MAX_TABLE as u64)?;
        let packs = cursor.items(packs, PACK_LEN)?;
        let blocks = cursor.items(blocks, BLOCK_LEN)?;
        cursor.end()?;
        let root = Self {
            packs: packs.map(pack).collect::<Result<_>>()?,
            blocks: blocks.map(block).collect::<Result<_>>()?,
        };
        let mut offset = INDEX_HEADER_LEN as u64;
        let mut before = None;
        for block in &root.blocks {
            if block.offset != offset {
                return Err(Error::damaged(WHAT, "its blocks do not lie back to back"));
            }
            if before.is_some_and(|before| before >= block.first) {
                return Err(Error::damaged(WHAT, "its blocks are not in order"));
            }
            offset += u64::from(block.sealed_len);
            before = Some(block.first);
        }
        if offset != end {
            return Err(Error::damaged(
                WHAT,
                "its blocks do not end where it begins",
            ));
        }
        Ok(root)
    }
}

fn pack(bytes: &[u8]) -> Result<PackRef> {
    let mut cursor = Cursor::new(WHAT, bytes);
    let (hash, len, kind) = (ObjectHash(cursor.array()?), cursor.u32()?, cursor.u8()?);
    cursor.reserved(3)?;
    let kind = PackKind::from_code(kind.into())
        .ok_or_else(|| Error::damaged(WHAT, format!("unknown pack kind {kind}")))?;
    Ok(PackRef { hash, len, kind })
}

fn block(bytes: &[u8]) -> Result<IndexBlock> {
    let mut cursor = Cursor::new(WHAT, bytes);
    let block = IndexBlock {
        first: ChunkId(cursor.array()?),
        offset: cursor.u64()?,
        sealed_len: cursor.u32()?,
        count: cursor.u32()?,
    };
    limit(
        WHAT,
        "entries in a block",
        block.count.into(),
        MAX_BLOCK_ENTRIES as u64,
    )?;
    if block.count == 0 || block.sealed_len as usize != block.count as usize * ENTRY_LEN + TAG_LEN {
        return Err(Error::damaged(
            WHAT,
            format!(
                "a block of {} entries cannot take {} bytes",
                block.count, block.sealed_len
            ),
        ));
    }
    Ok(block)
}
