//! Reading a run, by pieces: header and trailer, then the root, then any block.

use crate::bytes::Cursor;
use crate::crypto::{Sealer, TAG_LEN};
use crate::error::{Error, Result, limit};
use crate::id::ChunkId;
use crate::keys::VaultKeys;
use crate::pack::MAX_CHUNK_LEN;
use crate::prefix::{Kind, PREFIX_LEN, Prefix};

use super::root::{IndexBlock, IndexRoot, MAX_SEALED_ROOT, PackRef};
use super::{END, ENTRY_LEN, INDEX_HEADER_LEN, INDEX_TRAILER_LEN, IndexEntry, MAX_BLOCK_ENTRIES};

const WHAT: &str = "index run";

/// Opens pieces of one run.
pub struct IndexOpener {
    sealer: Sealer,
}

impl IndexOpener {
    /// Reads a run's header from its first [`INDEX_HEADER_LEN`] bytes or more.
    pub fn new(keys: &VaultKeys, start: &[u8]) -> Result<Self> {
        Prefix::expect(start, Kind::Index, &keys.vault())?;
        let mut cursor = Cursor::new(WHAT, start);
        cursor.take(PREFIX_LEN)?;
        let salt: [u8; 32] = cursor.array()?;
        let key = keys.map_subkey(&salt, "index run");
        Ok(Self {
            sealer: Sealer::new(&key, &start[..INDEX_HEADER_LEN]),
        })
    }

    /// Where the sealed root lies in a run of `len` bytes, read off its last
    /// [`INDEX_TRAILER_LEN`] bytes or more.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the end mark is missing.
    pub fn root_range(end: &[u8], len: u64) -> Result<std::ops::Range<u64>> {
        let trailer = end
            .len()
            .checked_sub(INDEX_TRAILER_LEN)
            .and_then(|at| end.get(at..))
            .filter(|trailer| trailer.ends_with(END))
            .ok_or_else(|| Error::truncated(WHAT, "it does not end with the end mark"))?;
        let mut cursor = Cursor::new(WHAT, trailer);
        let (offset, sealed_len) = (cursor.u64()?, cursor.u32()?);
        cursor.reserved(4)?;
        limit(
            WHAT,
            "root length",
            sealed_len.into(),
            MAX_SEALED_ROOT as u64,
        )?;
        let root_end = offset.checked_add(sealed_len.into());
        if offset < INDEX_HEADER_LEN as u64
            || root_end.and_then(|end| end.checked_add(INDEX_TRAILER_LEN as u64)) != Some(len)
        {
            return Err(Error::damaged(
                WHAT,
                format!(
                    "its root ({sealed_len} bytes at {offset}) does not lie before the trailer"
                ),
            ));
        }
        Ok(offset..offset + u64::from(sealed_len))
    }

    /// Opens the root, whose sealed bytes begin at `offset`.
    pub fn root(&self, offset: u64, sealed: &[u8]) -> Result<IndexRoot> {
        limit(
            WHAT,
            "root length",
            sealed.len() as u64,
            MAX_SEALED_ROOT as u64,
        )?;
        decode_root(&self.sealer.open("index root", offset, sealed)?, offset)
    }

    /// Opens a block of `root`: entries in strictly ascending order, each with a pack that the
    /// root lists.
    pub fn block(
        &self,
        root: &IndexRoot,
        block: &IndexBlock,
        sealed: &[u8],
    ) -> Result<Vec<IndexEntry>> {
        let longest = MAX_BLOCK_ENTRIES * ENTRY_LEN + TAG_LEN;
        limit(WHAT, "block length", sealed.len() as u64, longest as u64)?;
        let plain = self.sealer.open("index block", block.offset, sealed)?;
        let entries = decode_block(&plain, root.packs())?;
        if entries.len() != block.count as usize
            || entries.first().map(|e| e.id) != Some(block.first)
        {
            return Err(Error::damaged(
                "index block",
                "it is not the one that the root lists",
            ));
        }
        Ok(entries)
    }

    /// Opens a whole run that is at hand.
    pub fn read_all(keys: &VaultKeys, bytes: &[u8]) -> Result<(IndexRoot, Vec<IndexEntry>)> {
        let opener = Self::new(keys, bytes)?;
        let piece = |offset: u64, len: u64| {
            let start = usize::try_from(offset).ok();
            let end = offset
                .checked_add(len)
                .and_then(|end| usize::try_from(end).ok());
            start
                .zip(end)
                .and_then(|(start, end)| bytes.get(start..end))
                .ok_or_else(|| Error::truncated(WHAT, "a block lies beyond its end"))
        };
        let range = Self::root_range(bytes, bytes.len() as u64)?;
        let root = opener.root(range.start, piece(range.start, range.end - range.start)?)?;
        let mut entries = Vec::new();
        for block in root.blocks() {
            let sealed = piece(block.offset, block.sealed_len.into())?;
            let more = opener.block(&root, block, sealed)?;
            if let (Some(last), Some(first)) = (entries.last(), more.first())
                && ids_out_of_order(last, first)
            {
                return Err(Error::damaged(WHAT, "two of its blocks overlap"));
            }
            entries.extend(more);
        }
        Ok((root, entries))
    }
}

impl std::fmt::Debug for IndexOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IndexOpener")
    }
}

/// Reads a root's plain form; `offset` is where the root begins in the run. For tools and fuzz
/// tests; readers use [`IndexOpener::root`].
pub fn decode_root(plain: &[u8], offset: u64) -> Result<IndexRoot> {
    IndexRoot::decode(plain, offset)
}

/// Reads a block's plain form. For tools and fuzz tests; readers use [`IndexOpener::block`].
pub fn decode_block(plain: &[u8], packs: &[PackRef]) -> Result<Vec<IndexEntry>> {
    const WHAT: &str = "index block";
    limit(
        WHAT,
        "length",
        plain.len() as u64,
        (MAX_BLOCK_ENTRIES * ENTRY_LEN) as u64,
    )?;
    let items = plain.chunks_exact(ENTRY_LEN);
    if !items.remainder().is_empty() {
        return Err(Error::damaged(WHAT, "it ends within an entry"));
    }
    let mut entries: Vec<IndexEntry> = Vec::with_capacity(items.len());
    for item in items {
        let mut item = Cursor::new(WHAT, item);
        let entry = IndexEntry {
            id: ChunkId(item.array()?),
            pack: item.u32()?,
            offset: item.u32()?,
            stored_len: item.u32()?,
            plain_len: item.u32()?,
        };
        check_entry(&entry, packs)?;
        if entries
            .last()
            .is_some_and(|last| ids_out_of_order(last, &entry))
        {
            return Err(Error::damaged(
                WHAT,
                "its entries are not in ascending order",
            ));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn ids_out_of_order(before: &IndexEntry, after: &IndexEntry) -> bool {
    before.id >= after.id
}

/// The rules for one entry: its pack exists, and the chunk lies within it.
pub(super) fn check_entry(entry: &IndexEntry, packs: &[PackRef]) -> Result<()> {
    let bad = |why: String| {
        Err(Error::damaged(
            "index block",
            format!("chunk {}: {why}", entry.id),
        ))
    };
    let Some(pack) = usize::try_from(entry.pack)
        .ok()
        .and_then(|pack| packs.get(pack))
    else {
        return bad(format!("pack {} of {}", entry.pack, packs.len()));
    };
    if u64::from(entry.offset) + u64::from(entry.stored_len) > u64::from(pack.len) {
        return bad("it lies beyond the end of its pack".to_owned());
    }
    if entry.plain_len as usize > MAX_CHUNK_LEN || (entry.stored_len as usize) <= TAG_LEN {
        return bad(format!(
            "{} plain bytes in {} stored",
            entry.plain_len, entry.stored_len
        ));
    }
    if u64::from(entry.stored_len) > u64::from(entry.plain_len) + 1 + TAG_LEN as u64 {
        return bad(format!(
            "{} plain bytes in {} stored",
            entry.plain_len, entry.stored_len
        ));
    }
    Ok(())
}
