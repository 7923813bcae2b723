//! Writing a pack, in memory: it is stored in one piece or not at all.

use crate::crypto::{Sealer, derive, wrap};
use crate::entropy::{Entropy, random};
use crate::error::{Result, limit};
use crate::id::{ChunkId, ObjectHash};
use crate::keys::{VaultKeys, WriterKey};
use crate::payload::Payload;
use crate::secret::Secret;

use super::directory::{Directory, DirectoryEntry, ENTRY_LEN};
use super::trailer::{TRAILER_LEN, Trailer};
use super::{MAX_CHUNK_LEN, MAX_CHUNKS, MAX_PACK_LEN, PackHeader, PackKind, SIGNATURE_DOMAIN};

/// A pack under construction.
pub struct PackBuilder {
    header: PackHeader,
    chunks: Sealer,
    directory_key: Sealer,
    writer: WriterKey,
    directory: Directory,
    bytes: Vec<u8>,
}

/// A finished pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPack {
    /// Its name: the SHA-256 of `bytes`.
    pub hash: ObjectHash,
    /// Data or map.
    pub kind: PackKind,
    /// What to store.
    pub bytes: Vec<u8>,
    /// What is where in it, for the index.
    pub entries: Vec<DirectoryEntry>,
}

impl PackBuilder {
    /// Starts a pack. Needs a writer key, and for data nothing but the public data key.
    ///
    /// # Errors
    /// [`Error::NoKey`](crate::Error::NoKey) when the keys hold no writer key.
    pub fn new(keys: &VaultKeys, kind: PackKind, rng: &mut dyn Entropy) -> Result<Self> {
        Self::with_buffer(keys, kind, rng, Vec::new())
    }

    /// The same in memory that an earlier pack had, [`SealedPack::bytes`]: the system gives out tens
    /// of megabytes page by page, and that costs more than to fill them. What is in it is dropped.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_buffer(
        keys: &VaultKeys,
        kind: PackKind,
        rng: &mut dyn Entropy,
        mut buffer: Vec<u8>,
    ) -> Result<Self> {
        let writer = keys.need_writer("writing a pack")?.clone();
        let salt: [u8; 32] = random(rng);
        let mut header = PackHeader::new(keys.vault(), kind, salt, writer.id(), &[]);
        let chunk_key = match kind {
            PackKind::Data => {
                let data_key = Secret::random(rng);
                let context = header.wrap_context();
                let wrapped = wrap(
                    &keys.data_public,
                    b"hyperkeep/v1 data key",
                    context,
                    data_key.expose(),
                    rng,
                )?;
                header = PackHeader::new(keys.vault(), kind, salt, writer.id(), &wrapped);
                derive(&data_key, &salt, &[b"hyperkeep/v1 data chunks"])
            }
            PackKind::Map => keys.map_subkey(&salt, "map chunks"),
        };
        buffer.clear();
        buffer.extend_from_slice(&header.bytes);
        Ok(Self {
            chunks: Sealer::new(&chunk_key, &header.bytes),
            directory_key: Sealer::new(&keys.map_subkey(&salt, "pack directory"), &header.bytes),
            writer,
            directory: Directory::default(),
            bytes: buffer,
            header,
        })
    }

    /// Seals a chunk into the pack and tells where it lies.
    ///
    /// # Errors
    /// When the chunk, or the pack with it, is larger than the format allows.
    pub fn add(&mut self, id: ChunkId, payload: Payload) -> Result<DirectoryEntry> {
        limit(
            "chunk",
            "length",
            payload.plain_len() as u64,
            MAX_CHUNK_LEN as u64,
        )?;
        limit(
            "pack",
            "number of chunks",
            self.count() as u64 + 1,
            MAX_CHUNKS as u64,
        )?;
        let len = self.len() + (payload.stored_len() + ENTRY_LEN) as u64;
        limit("pack", "length", len, MAX_PACK_LEN)?;
        let offset = self.bytes.len();
        let plain_len = payload.plain_len();
        self.chunks.append(&mut self.bytes, &payload.bytes);
        let entry = DirectoryEntry {
            id,
            offset: offset as u32,
            stored_len: (self.bytes.len() - offset) as u32,
            plain_len: plain_len as u32,
        };
        self.directory.entries.push(entry);
        Ok(entry)
    }

    /// Number of chunks so far.
    pub fn count(&self) -> usize {
        self.directory.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Size that the pack would have if it were finished now, to a few bytes.
    pub fn len(&self) -> u64 {
        (self.bytes.len() + ENTRY_LEN * self.count() + TRAILER_LEN + 20) as u64
    }

    /// Seals the directory, signs and names the pack.
    pub fn finish(self) -> SealedPack {
        let Self {
            header,
            directory_key,
            writer,
            directory,
            mut bytes,
            ..
        } = self;
        let offset = bytes.len() as u64;
        directory_key.append(&mut bytes, &directory.encode());
        let sealed = &bytes[offset as usize..];
        let mut trailer = Trailer {
            directory_offset: offset,
            directory_len: sealed.len() as u32,
            signature: [0; _],
        };
        trailer.signature = writer.sign(
            SIGNATURE_DOMAIN,
            &[&header.bytes, sealed, &trailer.position()],
        );
        bytes.extend_from_slice(&trailer.encode());
        SealedPack {
            hash: ObjectHash::of(&bytes),
            kind: header.kind(),
            bytes,
            entries: directory.entries,
        }
    }
}

impl std::fmt::Debug for PackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PackBuilder({:?}, {} chunks, {} bytes)",
            self.header.kind(),
            self.count(),
            self.len()
        )
    }
}
