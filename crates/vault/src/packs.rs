//! Reading packs: a header once, then directories and chunks by ranged gets.

use std::sync::{Arc, Mutex, MutexGuard};

use vault_format::index::PackRef;
use vault_format::pack::{
    DirectoryEntry, MAX_CHUNK_LEN, MAX_PACK_LEN, PackHeader, PackKind, PackOpener, TRAILER_LEN,
    Trailer,
};
use vault_format::payload::Decoder;
use vault_format::{ChunkId, NodeId, ObjectHash, ObjectName, VaultKeys};

use crate::error::{Error, Result, pack_name};
use crate::lru::Lru;
use crate::objects::Objects;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The pack.
    pub(crate) pack: PackRef,
    /// Where the sealed chunk begins in the pack.
    pub(crate) offset: u32,
    /// Sealed bytes.
    pub(crate) stored_len: u32,
    /// Plain bytes.
    pub(crate) plain_len: u32,
}

impl Place {
    /// Room for the plain chunk at the beginning of `buffer`, which grows to it.
    pub(crate) fn room<'a>(&self, buffer: &'a mut Vec<u8>) -> Result<&'a mut [u8]> {
        let len = self.plain_len as usize;
        if len > MAX_CHUNK_LEN {
            return Err(Error::map(format!("a chunk of {len} bytes")));
        }
        Ok(room(buffer, len))
    }
}

/// The first `len` bytes of `buffer`, which grows to them; they hold whatever they held before.
fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Opens chunks of packs; shared by threads.
pub(crate) struct Packs {
    objects: Objects,
    keys: Arc<VaultKeys>,
    openers: Lru<ObjectHash, Arc<PackOpener>>,
    decoders: Mutex<Vec<Decoder>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Packs {
    pub(crate) fn new(objects: Objects, keys: Arc<VaultKeys>) -> Self {
        Self {
            objects,
            keys,
            openers: Lru::new(4096),
            decoders: Mutex::default(),
            buffers: Mutex::default(),
        }
    }

    /// Whether these are the bytes of this chunk.
    pub(crate) fn is_chunk(&self, id: &ChunkId, bytes: &[u8]) -> bool {
        self.keys.chunk_id(bytes) == *id
    }

    pub(crate) fn opener(&self, hash: ObjectHash, len: u64) -> Result<Arc<PackOpener>> {
        if let Some(opener) = self.openers.get(&hash) {
            return Ok(opener);
        }
        let name = ObjectName::Pack(hash);
        let mut start = [0; PackHeader::MAX_LEN];
        let start =
            &mut start[..PackHeader::MAX_LEN.min(usize::try_from(len).unwrap_or(usize::MAX))];
        self.objects.get_range(&name, 0, start)?;
        let opener = Arc::new(PackOpener::new(&self.keys, start).map_err(Error::object(name))?);
        self.openers.insert(hash, opener.clone(), 1);
        Ok(opener)
    }

    /// What a pack of `len` bytes holds, by its own directory.
    pub(crate) fn directory(
        &self,
        hash: ObjectHash,
        len: u64,
    ) -> Result<(PackKind, Vec<DirectoryEntry>)> {
        let name = ObjectName::Pack(hash);
        let opener = self.opener(hash, len)?;
        // Most directories fit: about 550 chunks in a pack, 40 bytes each.
        let guess = len.min(48 << 10);
        let mut end = vec![0; guess as usize];
        self.objects.get_range(&name, len - guess, &mut end)?;
        let trailer = Trailer::decode(&end, len).map_err(Error::object(name))?;
        let need = u64::from(trailer.directory_len) + TRAILER_LEN as u64;
        if need > guess {
            end = vec![0; need as usize];
            self.objects.get_range(&name, len - need, &mut end)?;
        }
        let start = end.len() - need as usize;
        let sealed = &end[start..start + trailer.directory_len as usize];
        let directory = opener
            .directory(&trailer, sealed)
            .map_err(Error::object(name))?;
        Ok((opener.header().kind(), directory.into_entries()))
    }

    /// Calls `f` with bytes of a pack, in memory that is used again.
    pub(crate) fn fetch<T>(
        &self,
        pack: &PackRef,
        offset: u32,
        len: usize,
        f: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T> {
        if u64::from(offset) + len as u64 > u64::from(pack.len).min(MAX_PACK_LEN) {
            return Err(Error::map(format!(
                "{len} bytes at {offset} lie beyond the end of {}",
                pack_name(pack.hash)
            )));
        }
        let mut buffer = lock(&self.buffers).pop().unwrap_or_default();
        let sealed = room(&mut buffer, len);
        let name = ObjectName::Pack(pack.hash);
        let fetched = self.objects.get_range(&name, offset.into(), sealed);
        let done = fetched.map(|()| f(sealed));
        lock(&self.buffers).push(buffer);
        done
    }

    /// Opens a chunk or node whose sealed bytes are at hand, and checks that it is the one.
    /// `plain` must be as long as `place` tells; `sealed` is used up.
    pub(crate) fn open(
        &self,
        id: &ChunkId,
        place: &Place,
        sealed: &mut [u8],
        plain: &mut [u8],
    ) -> Result<()> {
        let opener = self.opener(place.pack.hash, place.pack.len.into())?;
        let damaged = |why: String| Error::ChunkDamaged {
            object: pack_name(place.pack.hash),
            id: *id,
            why,
        };
        let mut decoder = lock(&self.decoders).pop().unwrap_or_default();
        let opened = opener.chunk_into(place.offset, sealed, plain, &mut decoder);
        lock(&self.decoders).push(decoder);
        match opened {
            Err(e @ vault_format::Error::NoKey { .. }) => {
                return Err(Error::object(pack_name(place.pack.hash))(e));
            }
            opened => opened.map_err(|e| damaged(e.to_string()))?,
        }
        let found = match opener.header().kind() {
            PackKind::Data => self.keys.chunk_id(plain),
            PackKind::Map => self.keys.node_id(plain).into(),
        };
        if found != *id {
            return Err(damaged("it holds other bytes than its id tells".to_owned()));
        }
        Ok(())
    }

    /// A node of a disk map. A chunk of a disk under a node's id is refused.
    pub(crate) fn node(&self, id: &NodeId, place: &Place) -> Result<Vec<u8>> {
        if place.pack.kind != PackKind::Map {
            return Err(Error::map(format!("node {id} lies in a data pack")));
        }
        let mut node = Vec::new();
        let plain = place.room(&mut node)?;
        let len = place.stored_len as usize;
        self.fetch(&place.pack, place.offset, len, |sealed| {
            self.open(&(*id).into(), place, sealed, plain)
        })??;
        Ok(node)
    }
}

fn lock<T>(pool: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    pool.lock().unwrap_or_else(|e| e.into_inner())
}
