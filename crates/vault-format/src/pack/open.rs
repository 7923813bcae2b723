//! Reading a pack, by pieces: the header once, then any chunk or the directory.

use crate::crypto::{Sealer, derive, unwrap};
use crate::error::{Error, Result, limit};
use crate::keys::{VaultKeys, WriterPublic};
use crate::payload::Decoder;
use crate::secret::Secret;

use super::directory::Directory;
use super::{MAX_CHUNK_LEN, PackHeader, PackKind, SIGNATURE_DOMAIN, Trailer};

const CHUNK: &str = "chunk";

/// Opens pieces of one pack. Making one for a data pack unwraps its data key, which takes about
/// as long as opening a hundred chunks: keep it while chunks of the pack are wanted. It can be
/// shared between threads.
pub struct PackOpener {
    header: PackHeader,
    chunks: Option<Sealer>,
    directory: Sealer,
}

impl PackOpener {
    /// Reads a pack's header from its first bytes ([`PackHeader::MAX_LEN`] of them suffice).
    ///
    /// With keys that lack the private data key, a data pack's directory can be read, and its
    /// chunks not.
    pub fn new(keys: &VaultKeys, start: &[u8]) -> Result<Self> {
        let header = PackHeader::decode(start, &keys.vault())?;
        let salt = header.salt();
        let chunk_key = match (header.kind(), &keys.data_private) {
            (PackKind::Map, _) => Some(keys.map_subkey(salt, "map chunks")),
            (PackKind::Data, None) => None,
            (PackKind::Data, Some(private)) => {
                let context = header.wrap_context();
                let data_key = unwrap(
                    private,
                    "pack's data key",
                    b"hyperkeep/v1 data key",
                    context,
                    header.wrapped(),
                )?;
                let data_key: [u8; 32] = data_key.as_slice().try_into().map_err(|_| {
                    Error::damaged("pack", "its data key has another length than 32")
                })?;
                Some(derive(
                    &Secret::new(data_key),
                    salt,
                    &[b"hyperkeep/v1 data chunks"],
                ))
            }
        };
        Ok(Self {
            chunks: chunk_key.map(|key| Sealer::new(&key, &header.bytes)),
            directory: Sealer::new(&keys.map_subkey(salt, "pack directory"), &header.bytes),
            header,
        })
    }

    /// The pack's header.
    pub fn header(&self) -> &PackHeader {
        &self.header
    }

    /// Opens the chunk whose sealed bytes, at `offset` of the pack, are `sealed`, and that has
    /// `plain_len` plain bytes according to the index or the directory.
    ///
    /// That the bytes are what the writer sealed *at this place* is certain then; that they are
    /// the chunk of a certain id is not, as an index or a hostile writer may lie: compare
    /// [`VaultKeys::chunk_id`] or [`VaultKeys::node_id`].
    ///
    /// # Errors
    /// [`Error::NoKey`] without the private data key; [`Error::NotAuthentic`] when the bytes or
    /// the place are wrong.
    pub fn chunk(
        &self,
        offset: u32,
        sealed: &[u8],
        plain_len: u32,
        decoder: &mut Decoder,
    ) -> Result<Vec<u8>> {
        limit(CHUNK, "length", plain_len.into(), MAX_CHUNK_LEN as u64)?;
        let mut plain = vec![0; plain_len as usize];
        self.chunk_into(offset, &mut sealed.to_vec(), &mut plain, decoder)?;
        Ok(plain)
    }

    /// Like [`chunk`](Self::chunk), without memory of its own: fills `plain`, which is as long as
    /// the chunk, and decrypts `sealed` where it is, which holds nothing of use afterwards.
    ///
    /// # Errors
    /// The same; the contents of `plain` are unspecified then.
    pub fn chunk_into(
        &self,
        offset: u32,
        sealed: &mut [u8],
        plain: &mut [u8],
        decoder: &mut Decoder,
    ) -> Result<()> {
        let sealer = self.chunks.as_ref().ok_or(Error::NoKey {
            what: "reading data",
            needs: "the private data key",
        })?;
        let payload = sealer.open_in_place(CHUNK, offset.into(), sealed)?;
        decoder.decode_into(CHUNK, payload, plain)
    }

    /// Opens the directory, whose sealed bytes the trailer told where to find.
    pub fn directory(&self, trailer: &Trailer, sealed: &[u8]) -> Result<Directory> {
        let plain = self
            .directory
            .open("pack directory", trailer.directory_offset, sealed)?;
        Directory::decode(&plain, self.header.len(), trailer.directory_offset)
    }

    /// Checks that `writer` signed this header and this directory.
    ///
    /// # Errors
    /// [`Error::BadSignature`] when it did not, or is not the writer that the header names.
    pub fn verify(&self, trailer: &Trailer, sealed: &[u8], writer: &WriterPublic) -> Result<()> {
        if writer.id() != self.header.writer() {
            return Err(Error::BadSignature {
                object: "pack",
                writer: self.header.writer(),
            });
        }
        let parts = [&self.header.bytes[..], sealed, &trailer.position()];
        writer.verify("pack", SIGNATURE_DOMAIN, &parts, &trailer.signature)
    }
}

impl std::fmt::Debug for PackOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PackOpener({:?} pack of writer {})",
            self.header.kind(),
            self.header.writer()
        )
    }
}
