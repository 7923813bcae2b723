//! The bytes of a point.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 32 | prefix, kind `POIN`, variant 0 |
//! | 32 | 32 | salt, random |
//! | 64 | 16 | writer id |
//! | 80 | 80 | wrapped data key |
//! | 160 | 4 | length a of the sealed outline |
//! | 164 | 4 | length b of the sealed details |
//! | 168 | a | sealed outline |
//! | 168 + a | b | sealed details |
//! | 168 + a + b | 64 | Ed25519 signature of all before it |

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes::Cursor;
use crate::crypto::{Sealer, TAG_LEN, WRAPPED_LEN, derive, unwrap, wrap};
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result, limit};
use crate::id::{ObjectHash, PointId, VmKey, WriterId};
use crate::keys::{SIGNATURE_LEN, VaultKeys, WriterPublic};
use crate::name::ObjectName;
use crate::payload::{Decoder, Encoder};
use crate::prefix::{Kind, PREFIX_LEN, Prefix};
use crate::secret::Secret;

use super::{Details, MAX_SECTION_LEN, Outline};

const WHAT: &str = "restore point";
const OUTLINE: &str = "restore point's outline";
const DETAILS: &str = "restore point's details";
const DOMAIN: &str = "hyperkeep/v1 point";
const WRAP_INFO: &[u8] = b"hyperkeep/v1 data key";
const CONTEXT_LEN: usize = PREFIX_LEN + 32 + WriterId::LEN;
const HEADER_LEN: usize = CONTEXT_LEN + WRAPPED_LEN + 8;
const MAX_SEALED: u64 = (MAX_SECTION_LEN + 1 + TAG_LEN) as u64;

/// A finished point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPoint {
    /// Its name: VM, point, and the SHA-256 of `bytes`.
    pub name: ObjectName,
    /// What to store.
    pub bytes: Vec<u8>,
}

/// Seals and signs a point.
///
/// # Errors
/// [`Error::NoKey`] without a writer key; [`Error::Invalid`] when outline and details break a
/// rule or do not fit each other.
pub fn seal_point(
    keys: &VaultKeys,
    outline: &Outline,
    details: &Details,
    rng: &mut dyn Entropy,
) -> Result<SealedPoint> {
    let writer = keys.need_writer("writing a restore point")?;
    outline
        .check()
        .and_then(|()| details.check(outline))
        .map_err(Error::into_invalid)?;
    if keys.vm_key(&details.vm.id) != outline.vm {
        return Err(Error::invalid(
            WHAT,
            "its VM key is not that of its VM's id",
        ));
    }
    let prefix = Prefix {
        kind: Kind::Point,
        variant: 0,
        vault: keys.vault(),
    };
    let salt: [u8; 32] = random(rng);
    let data_key = Secret::random(rng);
    let mut bytes = [&prefix.encode()[..], &salt, &writer.id().0].concat();
    let wrapped = wrap(&keys.data_public, WRAP_INFO, &bytes, data_key.expose(), rng)?;
    bytes.extend_from_slice(&wrapped);

    let mut outline_bytes = section(OUTLINE, outline)?;
    let mut details_bytes = section(DETAILS, details)?;
    for len in [outline_bytes.len(), details_bytes.len()] {
        bytes.extend_from_slice(&((len + TAG_LEN) as u32).to_le_bytes());
    }
    let (outline_sealer, details_sealer) = (
        Sealer::new(&keys.map_subkey(&salt, "point outline"), &bytes),
        Sealer::new(&details_key(&data_key, &salt), &bytes),
    );
    outline_sealer.seal(bytes.len() as u64, &mut outline_bytes);
    bytes.extend_from_slice(&outline_bytes);
    details_sealer.seal(bytes.len() as u64, &mut details_bytes);
    bytes.extend_from_slice(&details_bytes);
    let signature = writer.sign(DOMAIN, &[&bytes]);
    bytes.extend_from_slice(&signature);
    let name = ObjectName::Point {
        vm: outline.vm,
        point: outline.point,
        hash: ObjectHash::of(&bytes),
    };
    Ok(SealedPoint { name, bytes })
}

fn details_key(data_key: &Secret, salt: &[u8; 32]) -> Secret {
    derive(data_key, salt, &[b"hyperkeep/v1 point details"])
}

fn section(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(value).map_err(|e| Error::invalid(what, e.to_string()))?;
    limit(what, "length", json.len() as u64, MAX_SECTION_LEN as u64)?;
    Ok(Encoder::new(3).encode(&json).bytes)
}

/// Opens the parts of one point.
pub struct PointOpener<'a> {
    keys: &'a VaultKeys,
    vm: VmKey,
    point: PointId,
    header: Vec<u8>,
    salt: [u8; 32],
    writer: WriterId,
    outline_len: usize,
    details_len: usize,
}

impl<'a> PointOpener<'a> {
    /// Bytes of a point that reading its header takes.
    pub const HEADER_LEN: usize = HEADER_LEN;

    /// Reads the header of the point that lies at `points/<vm>/<point>-…` from its first bytes.
    pub fn new(keys: &'a VaultKeys, vm: VmKey, point: PointId, start: &[u8]) -> Result<Self> {
        Prefix::expect(start, Kind::Point, &keys.vault())?;
        let mut cursor = Cursor::new(WHAT, start);
        cursor.take(PREFIX_LEN)?;
        let salt = cursor.array()?;
        let writer = WriterId(cursor.array()?);
        cursor.take(WRAPPED_LEN)?;
        let (outline_len, details_len) = (cursor.u32()?, cursor.u32()?);
        for len in [outline_len, details_len] {
            limit(WHAT, "section length", len.into(), MAX_SEALED)?;
        }
        Ok(Self {
            keys,
            vm,
            point,
            header: start[..HEADER_LEN].to_vec(),
            salt,
            writer,
            outline_len: outline_len as usize,
            details_len: details_len as usize,
        })
    }

    /// Who wrote the point.
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// Bytes from the start of the point that reading its outline takes.
    pub fn outline_end(&self) -> usize {
        HEADER_LEN + self.outline_len
    }

    /// Size of the whole point.
    pub fn len(&self) -> usize {
        self.outline_end() + self.details_len + SIGNATURE_LEN
    }

    /// Never: a point has bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn open<T: DeserializeOwned>(
        &self,
        what: &'static str,
        key: &Secret,
        range: std::ops::Range<usize>,
        bytes: &[u8],
    ) -> Result<T> {
        let sealed = bytes.get(range.clone()).ok_or_else(|| {
            Error::truncated(
                WHAT,
                format!("it has {} of {} bytes", bytes.len(), self.len()),
            )
        })?;
        let payload = Sealer::new(key, &self.header).open(what, range.start as u64, sealed)?;
        let json = Decoder::new().decode(what, &payload, MAX_SECTION_LEN)?;
        // What is unknown and required must be refused by name, even if it changed the form of
        // everything else.
        #[derive(serde::Deserialize)]
        struct Required {
            required: Vec<String>,
        }
        let damaged = |e: serde_json::Error| Error::damaged(what, e.to_string());
        let Required { required } = serde_json::from_slice(&json).map_err(damaged)?;
        super::check_features(what, &required)?;
        serde_json::from_slice(&json).map_err(damaged)
    }

    /// Opens the outline; `bytes` is the point from its start up to
    /// [`outline_end`](Self::outline_end) or further.
    ///
    /// # Errors
    /// Also when it is the outline of another point than the name says.
    pub fn outline(&self, bytes: &[u8]) -> Result<Outline> {
        let key = self.keys.map_subkey(&self.salt, "point outline");
        let outline: Outline = self.open(OUTLINE, &key, HEADER_LEN..self.outline_end(), bytes)?;
        outline.check()?;
        if outline.vm != self.vm || outline.point != self.point {
            return Err(Error::damaged(
                WHAT,
                format!(
                    "it is point {} of VM {} under another's name",
                    outline.point, outline.vm
                ),
            ));
        }
        Ok(outline)
    }

    /// Opens the details; `bytes` is the whole point.
    ///
    /// # Errors
    /// [`Error::NoKey`] without the private data key; also when they do not fit the outline.
    pub fn details(&self, bytes: &[u8], outline: &Outline) -> Result<Details> {
        let private = self.keys.need_data("reading a restore point's details")?;
        let (context, wrapped) = self.header[..HEADER_LEN - 8].split_at(CONTEXT_LEN);
        let data_key = unwrap(
            private,
            "restore point's data key",
            WRAP_INFO,
            context,
            wrapped,
        )?;
        let data_key: [u8; 32] = data_key
            .as_slice()
            .try_into()
            .map_err(|_| Error::damaged(WHAT, "its data key has another length than 32"))?;
        let key = details_key(&Secret::new(data_key), &self.salt);
        let start = self.outline_end();
        let details: Details = self.open(DETAILS, &key, start..start + self.details_len, bytes)?;
        details.check(outline)?;
        if self.keys.vm_key(&details.vm.id) != outline.vm {
            return Err(Error::damaged(
                DETAILS,
                "they are of another VM than the outline",
            ));
        }
        Ok(details)
    }

    /// Checks that `bytes`, the whole point, were signed by `writer`.
    ///
    /// # Errors
    /// [`Error::BadSignature`] when they were not, or it is not the writer that the header
    /// names.
    pub fn verify(&self, bytes: &[u8], writer: &WriterPublic) -> Result<()> {
        if bytes.len() != self.len() {
            return Err(Error::truncated(
                WHAT,
                format!("it has {} bytes where {} belong", bytes.len(), self.len()),
            ));
        }
        if writer.id() != self.writer {
            return Err(Error::BadSignature {
                object: WHAT,
                writer: self.writer,
            });
        }
        let (signed, signature) = bytes.split_at(self.len() - SIGNATURE_LEN);
        writer.verify(WHAT, DOMAIN, &[signed], signature)
    }
}

impl std::fmt::Debug for PointOpener<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PointOpener({} of VM {})", self.point, self.vm)
    }
}

/// Reads the JSON of an outline. For tools and fuzz tests; readers use [`PointOpener`].
pub(crate) fn parse_outline(json: &[u8]) -> Result<Outline> {
    let outline: Outline =
        serde_json::from_slice(json).map_err(|e| Error::damaged(OUTLINE, e.to_string()))?;
    outline.check()?;
    Ok(outline)
}

/// Reads the JSON of details. For tools and fuzz tests; readers use [`PointOpener`].
pub(crate) fn parse_details(json: &[u8], outline: &Outline) -> Result<Details> {
    let details: Details =
        serde_json::from_slice(json).map_err(|e| Error::damaged(DETAILS, e.to_string()))?;
    details.check(outline)?;
    Ok(details)
}
