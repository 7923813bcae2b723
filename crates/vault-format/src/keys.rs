//! The keys of an opened vault, by class, and what each class can do.
//!
//! | class | size | what it opens |
//! |---|---|---|
//! | id key | 32 B | chunk and node ids, the cutter's seed, the VMs' opaque names |
//! | map key | 32 B | disk maps, pack directories, index runs, points' outlines, tokens, sessions |
//! | data key pair | X25519 | chunks of data packs and points' details: the public half seals, the private half opens |
//! | authority key pair | Ed25519 | certifies writers; derived from the private data key |
//! | writer key | Ed25519 | signs what one writer stores |
//!
//! A host that only backs up holds [`Access::Write`]: everything but the private halves, so that
//! who breaks into it cannot read what is already stored.
//!
//! The vault id is a commitment to the keys: it is derived from the id key, the map key and the
//! two public keys. So whoever remembers a vault's id, or compares it with `vault.json`, notices
//! any exchanged key, whichever slot it came out of.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::crypto::{derive, hkdf, sha256, x25519_public};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::id::{ChunkId, NodeId, VaultId, VmKey, WriterId};
use crate::secret::Secret;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;

/// What the holder of an opened vault can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Back up: read maps, index, outlines and tokens, and write everything.
    Write,
    /// Also read disk contents and configurations, and certify writers.
    Full,
}

impl Access {
    /// The name used in stored text: `write` or `full`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Full => "full",
        }
    }
}

/// The key with which one writer signs.
pub struct WriterKey {
    seed: Secret,
    pair: Ed25519KeyPair,
}

impl WriterKey {
    /// A new writer.
    pub fn generate(rng: &mut dyn Entropy) -> Self {
        Self::from_seed(Secret::random(rng))
    }

    /// The writer of a stored seed.
    pub fn from_seed(seed: Secret) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("32 bytes are a seed");
        Self { seed, pair }
    }

    /// The secret seed, to be stored in a key slot or in the host's own protected storage.
    pub fn seed(&self) -> &Secret {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> WriterPublic {
        let mut out = [0; 32];
        out.copy_from_slice(self.pair.public_key().as_ref());
        WriterPublic(out)
    }

    /// The writer's id.
    pub fn id(&self) -> WriterId {
        self.public().id()
    }

    /// Signs `parts`, one after the other, for the purpose that `domain` names.
    pub(crate) fn sign(&self, domain: &str, parts: &[&[u8]]) -> [u8; SIGNATURE_LEN] {
        let mut out = [0; SIGNATURE_LEN];
        out.copy_from_slice(self.pair.sign(&message(domain, parts)).as_ref());
        out
    }
}

impl Clone for WriterKey {
    fn clone(&self) -> Self {
        Self::from_seed(self.seed.clone())
    }
}

impl fmt::Debug for WriterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriterKey({})", self.id())
    }
}

/// What is signed: the domain, a zero byte, and the SHA-256 of the parts.
fn message(domain: &str, parts: &[&[u8]]) -> Vec<u8> {
    [domain.as_bytes(), &[0], &sha256(parts)].concat()
}

/// The public half of a writer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriterPublic(pub [u8; 32]);

impl WriterPublic {
    /// The writer's id: the first 16 bytes of the SHA-256 of the key.
    pub fn id(&self) -> WriterId {
        let mut id = [0; WriterId::LEN];
        id.copy_from_slice(&sha256(&[&self.0])[..WriterId::LEN]);
        WriterId(id)
    }

    pub(crate) fn verify(
        &self,
        object: &'static str,
        domain: &str,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Result<()> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&message(domain, parts), signature)
            .map_err(|_| Error::BadSignature {
                object,
                writer: self.id(),
            })
    }
}

/// The keys of an opened vault.
#[derive(Clone)]
pub struct VaultKeys {
    vault: VaultId,
    pub(crate) id: Secret,
    pub(crate) map: Secret,
    pub(crate) data_public: [u8; 32],
    pub(crate) authority_public: [u8; 32],
    pub(crate) data_private: Option<Secret>,
    pub(crate) writer: Option<WriterKey>,
    chunk_ids: Secret,
    node_ids: Secret,
    vm_names: Secret,
}

impl VaultKeys {
    /// The keys of a new vault, with full access and a first writer.
    pub fn generate(rng: &mut dyn Entropy) -> Self {
        let id = Secret::random(rng);
        let map = Secret::random(rng);
        let data = Secret::random(rng);
        Self::full(id, map, data, Some(WriterKey::generate(rng)))
    }

    /// Keys with full access.
    pub fn full(id: Secret, map: Secret, data_private: Secret, writer: Option<WriterKey>) -> Self {
        let data_public = x25519_public(&data_private);
        let authority_public = authority(&data_private).public().0;
        Self::new(
            id,
            map,
            data_public,
            authority_public,
            Some(data_private),
            writer,
        )
    }

    /// Keys that can write, and read nothing but maps and outlines.
    pub fn write_only(
        id: Secret,
        map: Secret,
        data_public: [u8; 32],
        authority_public: [u8; 32],
        writer: Option<WriterKey>,
    ) -> Self {
        Self::new(id, map, data_public, authority_public, None, writer)
    }

    fn new(
        id: Secret,
        map: Secret,
        data_public: [u8; 32],
        authority_public: [u8; 32],
        data_private: Option<Secret>,
        writer: Option<WriterKey>,
    ) -> Self {
        let ikm = zeroize::Zeroizing::new([*id.expose(), *map.expose()].concat());
        let mut vault = [0; VaultId::LEN];
        let info: [&[u8]; 3] = [b"hyperkeep/v1 vault id", &data_public, &authority_public];
        hkdf(&ikm, b"", &info, &mut vault);
        let sub = |info: &str| derive(&id, &vault, &[info.as_bytes()]);
        Self {
            vault: VaultId(vault),
            chunk_ids: sub("hyperkeep/v1 chunk id"),
            node_ids: sub("hyperkeep/v1 node id"),
            vm_names: sub("hyperkeep/v1 vm key"),
            id,
            map,
            data_public,
            authority_public,
            data_private,
            writer,
        }
    }

    /// The same vault without the private halves, for another holder.
    pub fn without_private(&self, writer: Option<WriterKey>) -> Self {
        Self {
            data_private: None,
            writer,
            ..self.clone()
        }
    }

    /// The same access with another writer's key.
    pub fn with_writer(&self, writer: Option<WriterKey>) -> Self {
        Self {
            writer,
            ..self.clone()
        }
    }

    /// The vault that these keys belong to, by commitment.
    pub fn vault(&self) -> VaultId {
        self.vault
    }

    /// What these keys allow.
    pub fn access(&self) -> Access {
        if self.data_private.is_some() {
            Access::Full
        } else {
            Access::Write
        }
    }

    /// The writer's key, if this holder has one.
    pub fn writer(&self) -> Option<&WriterKey> {
        self.writer.as_ref()
    }

    pub(crate) fn need_writer(&self, what: &'static str) -> Result<&WriterKey> {
        self.writer.as_ref().ok_or(Error::NoKey {
            what,
            needs: "a writer key",
        })
    }

    pub(crate) fn need_data(&self, what: &'static str) -> Result<&Secret> {
        self.data_private.as_ref().ok_or(Error::NoKey {
            what,
            needs: "the private data key",
        })
    }

    /// The public half of the authority's key, which certifies writers.
    pub fn authority_public(&self) -> WriterPublic {
        WriterPublic(self.authority_public)
    }

    pub(crate) fn authority(&self, what: &'static str) -> Result<WriterKey> {
        Ok(authority(self.need_data(what)?))
    }

    /// The id of a chunk with these plain bytes.
    pub fn chunk_id(&self, plain: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(self.chunk_ids.expose(), plain).as_bytes())
    }

    /// The id of a map node with these encoded bytes.
    pub fn node_id(&self, encoded: &[u8]) -> NodeId {
        NodeId(*blake3::keyed_hash(self.node_ids.expose(), encoded).as_bytes())
    }

    /// The name under which the VM with this identity (its id as text, in the one spelling that
    /// the source always uses) appears in the vault.
    pub fn vm_key(&self, identity: &str) -> VmKey {
        let hash = blake3::keyed_hash(self.vm_names.expose(), identity.as_bytes());
        let mut out = [0; VmKey::LEN];
        out.copy_from_slice(&hash.as_bytes()[..VmKey::LEN]);
        VmKey(out)
    }

    /// Seed for the hash that places cuts, so that cut positions tell nothing about known data.
    pub fn cutter_seed(&self) -> Secret {
        derive(&self.id, &self.vault.0, &[b"hyperkeep/v1 cutter seed"])
    }

    /// The key under which an object with this salt seals something for `purpose`.
    pub(crate) fn map_subkey(&self, salt: &[u8; 32], purpose: &str) -> Secret {
        derive(&self.map, salt, &[b"hyperkeep/v1 ", purpose.as_bytes()])
    }

    /// The message authentication key for `purpose`.
    pub(crate) fn proof_key(&self, purpose: &str) -> Secret {
        derive(
            &self.map,
            &self.vault.0,
            &[b"hyperkeep/v1 proof ", purpose.as_bytes()],
        )
    }
}

fn authority(data_private: &Secret) -> WriterKey {
    WriterKey::from_seed(derive(data_private, b"", &[b"hyperkeep/v1 authority"]))
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKeys")
            .field("vault", &self.vault)
            .field("access", &self.access())
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> VaultKeys {
        let mut n = 0u8;
        VaultKeys::generate(&mut |out: &mut [u8]| {
            n += 1;
            out.fill(n);
        })
    }

    #[test]
    fn the_vault_id_commits_to_every_key() {
        let keys = keys();
        let full = |id: &Secret, map: &Secret, data: &Secret| {
            VaultKeys::full(id.clone(), map.clone(), data.clone(), None).vault()
        };
        let data = keys.data_private.clone().unwrap();
        let other = Secret::new([9; 32]);
        assert_eq!(full(&keys.id, &keys.map, &data), keys.vault());
        assert_ne!(full(&other, &keys.map, &data), keys.vault());
        assert_ne!(full(&keys.id, &other, &data), keys.vault());
        assert_ne!(full(&keys.id, &keys.map, &other), keys.vault());
        let exchanged = VaultKeys::write_only(
            keys.id.clone(),
            keys.map.clone(),
            keys.data_public,
            [7; 32],
            None,
        );
        assert_ne!(exchanged.vault(), keys.vault());
    }

    #[test]
    fn a_write_only_holder_computes_the_same_ids_and_holds_no_private_key() {
        let keys = keys();
        let host = keys.without_private(None);
        assert_eq!(
            (host.access(), keys.access()),
            (Access::Write, Access::Full)
        );
        assert_eq!(host.vault(), keys.vault());
        assert_eq!(host.chunk_id(b"x"), keys.chunk_id(b"x"));
        assert_eq!(host.vm_key("x"), keys.vm_key("x"));
        assert!(host.need_data("reading").is_err() && host.authority("certifying").is_err());
    }

    #[test]
    fn ids_of_different_purposes_differ() {
        let keys = keys();
        assert_ne!(keys.chunk_id(b"x").0, keys.node_id(b"x").0);
        assert_ne!(keys.chunk_id(b"x").0[..16], keys.vm_key("x").0);
    }

    #[test]
    fn debug_prints_no_secret() {
        let keys = keys();
        let text = format!("{keys:?} {:?} {:?}", keys.cutter_seed(), keys.id);
        for secret in ["0101", "0202", "[1, 1", "[2, 2", "[3, 3", "[4, 4"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn signatures_are_bound_to_writer_domain_and_parts() {
        let keys = keys();
        let writer = keys.writer().unwrap();
        let signature = writer.sign("a", &[b"one", b"two"]);
        let verify = |key: &WriterPublic, domain: &str, parts: &[&[u8]]| {
            key.verify("pack", domain, parts, &signature)
        };
        verify(&writer.public(), "a", &[b"one", b"two"]).unwrap();
        assert!(verify(&writer.public(), "b", &[b"one", b"two"]).is_err());
        assert!(verify(&writer.public(), "a", &[b"one", b"twp"]).is_err());
        assert!(verify(&keys.authority_public(), "a", &[b"one", b"two"]).is_err());
    }
}
