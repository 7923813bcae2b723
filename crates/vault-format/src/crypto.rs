//! The primitives, each in the one way this format uses it.
//!
//! - `derive`: HKDF-SHA256 with the salt and one of the fixed `info` strings, so that every key
//!   has one purpose.
//! - `Sealer`: AES-256-GCM whose nonce is the sealed piece's offset in its object. A key is
//!   derived from the object's own random salt and so serves one object; offsets within an
//!   object differ; hence no nonce ever repeats under a key.
//! - `wrap`/`unwrap`: HPKE (RFC 9180) base mode, one message for each encapsulation.

use hpke::{Deserializable, Kem as _, OpModeR, OpModeS, Serializable};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hkdf};
use zeroize::Zeroizing;

use crate::entropy::{Entropy, RandCore};
use crate::error::{Error, Result};
use crate::secret::Secret;

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::AesGcm256;

/// Bytes that AES-256-GCM adds to a plaintext.
pub(crate) const TAG_LEN: usize = 16;
/// Bytes of an HPKE encapsulated key.
pub(crate) const ENC_LEN: usize = 32;
/// Bytes of a wrapped 32-byte key: encapsulated key, ciphertext, tag.
pub(crate) const WRAPPED_LEN: usize = ENC_LEN + 32 + TAG_LEN;

/// Least number of bytes by which an object under construction grows: a step may copy it.
const GROWTH: usize = 8 << 20;
/// Room left for what follows the last piece unsealed, so that it does not move the object.
const TAIL: usize = 128;

/// SHA-256 of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256; `info` is the parts, one after the other.
///
/// # Panics
/// If `out` is longer than HKDF can fill (8160 bytes).
pub(crate) fn hkdf(ikm: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(ikm)
        .expand(info, Len(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("the length is fixed and short");
}

/// A derived 32-byte key.
pub(crate) fn derive(ikm: &Secret, salt: &[u8], info: &[&[u8]]) -> Secret {
    let mut out = Secret::new([0; 32]);
    hkdf(ikm.expose(), salt, info, out.expose_mut());
    out
}

/// Seals the pieces of one object under one key.
pub(crate) struct Sealer {
    key: LessSafeKey,
    aad: Vec<u8>,
}

impl Sealer {
    /// `aad` is authenticated with every piece: the object's header, usually.
    pub(crate) fn new(key: &Secret, aad: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            aad: aad.to_vec(),
        }
    }

    fn nonce(offset: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&offset.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts `piece` in place and appends the tag. `offset` is where the piece will lie in
    /// the object.
    pub(crate) fn seal(&self, offset: u64, piece: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(Self::nonce(offset), Aad::from(&self.aad), piece)
            .expect("a piece is far shorter than AES-GCM's limit");
    }

    /// Appends `plain`, sealed, to the object `out`.
    pub(crate) fn append(&self, out: &mut Vec<u8>, plain: &[u8]) {
        let offset = out.len();
        // Grows in steps: doubling would take twice the memory of a large object.
        let more = plain.len() + TAG_LEN + TAIL;
        if out.capacity() - offset < more {
            out.reserve_exact(more.max(GROWTH));
        }
        out.extend_from_slice(plain);
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Self::nonce(offset as u64),
                Aad::from(&self.aad),
                &mut out[offset..],
            )
            .expect("a piece is far shorter than AES-GCM's limit");
        out.extend_from_slice(tag.as_ref());
    }

    /// Decrypts a copy of `sealed`.
    pub(crate) fn open(&self, what: &'static str, offset: u64, sealed: &[u8]) -> Result<Vec<u8>> {
        let mut piece = sealed.to_vec();
        let len = self.open_in_place(what, offset, &mut piece)?.len();
        piece.truncate(len);
        Ok(piece)
    }

    /// Decrypts `sealed` where it is.
    pub(crate) fn open_in_place<'a>(
        &self,
        what: &'static str,
        offset: u64,
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8]> {
        let plain = self
            .key
            .open_in_place(Self::nonce(offset), Aad::from(&self.aad), sealed);
        match plain {
            Ok(plain) => Ok(plain),
            Err(_) => Err(Error::NotAuthentic { object: what }),
        }
    }
}

/// The X25519 public key that belongs to a private one.
pub(crate) fn x25519_public(private: &Secret) -> [u8; 32] {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private.expose())
        .expect("any 32 bytes are an X25519 private key");
    Kem::sk_to_pk(&private).to_bytes().into()
}

/// HPKE-seals `plain` for `recipient`: encapsulated key, ciphertext and tag in one.
/// `aad` may depend on nothing that comes out of this call.
pub(crate) fn wrap(
    recipient: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    rng: &mut dyn Entropy,
) -> Result<Vec<u8>> {
    let bad = |_| Error::invalid("public key", "it is not a usable X25519 key");
    let recipient = <Kem as hpke::Kem>::PublicKey::from_bytes(recipient).map_err(bad)?;
    let (enc, sealed) = hpke::single_shot_seal::<Aead, Kdf, Kem, _>(
        &OpModeS::Base,
        &recipient,
        info,
        plain,
        aad,
        &mut RandCore(rng),
    )
    .map_err(bad)?;
    let mut out = enc.to_bytes().to_vec();
    out.extend_from_slice(&sealed);
    Ok(out)
}

/// Opens what [`wrap`] made.
pub(crate) fn unwrap(
    private: &Secret,
    what: &'static str,
    info: &[u8],
    aad: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let fail = |_| Error::NotAuthentic { object: what };
    let (enc, sealed) = wrapped
        .split_at_checked(ENC_LEN)
        .ok_or_else(|| Error::truncated(what, "the encapsulated key is cut short"))?;
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(fail)?;
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private.expose()).map_err(fail)?;
    hpke::single_shot_open::<Aead, Kdf, Kem>(&OpModeR::Base, &private, &enc, info, sealed, aad)
        .map(Zeroizing::new)
        .map_err(fail)
}

#[cfg(test)]
mod tests;
