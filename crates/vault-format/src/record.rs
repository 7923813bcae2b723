//! Records: small sealed, signed objects that are bound to their name.
//!
//! Change-tracking tokens (what a source needs to read only changes next time), session records
//! (a writer is alive) and retire markers (packs about to be deleted) have one layout:
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 32 | prefix, kind `TOKN`, `SESS` or `RETR`, variant 0 |
//! | 32 | 32 | salt, random |
//! | 64 | 16 | writer id |
//! | 80 | 4 | length a of the sealed body |
//! | 84 | 4 | reserved, 0 |
//! | 88 | a | sealed body; associated data: the 88 bytes before it, then the object's name |
//! | 88 + a | 64 | Ed25519 signature of the SHA-256 of the name, then all before it |
//!
//! The body is JSON, compressed where that helps. As the name is authenticated, a record that
//! was moved or copied to another name does not open.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bytes::Cursor;
use crate::crypto::{Sealer, TAG_LEN, sha256};
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result, limit};
use crate::id::{ObjectHash, WriterId};
use crate::keys::{SIGNATURE_LEN, VaultKeys, WriterPublic};
use crate::name::ObjectName;
use crate::payload::{Decoder, Encoder};
use crate::prefix::{Kind, PREFIX_LEN, Prefix};

/// Largest body of a record, in bytes of JSON.
pub const MAX_BODY_LEN: usize = 16 << 20;
const HEADER_LEN: usize = PREFIX_LEN + 32 + WriterId::LEN + 8;
const DOMAIN: &str = "hyperkeep/v1 record";

/// The body of a session record: a writer says that it is alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Whether the session is over and this record the last one.
    pub ended: bool,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The body of a retire marker: objects that will be deleted unless they are used again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Retire {
    /// Packs, by name.
    pub packs: Vec<ObjectHash>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn kind(name: &ObjectName) -> Result<(Kind, &'static str)> {
    let (kind, purpose) = match name {
        ObjectName::Token { .. } => (Kind::Token, "token"),
        ObjectName::Session { .. } => (Kind::Session, "session"),
        ObjectName::Retire(_) => (Kind::Retire, "retire"),
        other => {
            return Err(Error::invalid(
                "record",
                format!("{other} is no record's name"),
            ));
        }
    };
    Ok((kind, purpose))
}

/// Seals and signs the record `name`. The body can be anything that serialises to JSON.
///
/// # Errors
/// [`Error::NoKey`] without a writer key; and when `name` is no record's, or the body too large.
pub fn seal_record(
    keys: &VaultKeys,
    name: &ObjectName,
    body: &impl Serialize,
    rng: &mut dyn Entropy,
) -> Result<Vec<u8>> {
    let (kind, purpose) = kind(name)?;
    let writer = keys.need_writer("writing a record")?;
    let json = serde_json::to_vec(body).map_err(|e| Error::invalid(kind.name(), e.to_string()))?;
    limit(
        kind.name(),
        "length",
        json.len() as u64,
        MAX_BODY_LEN as u64,
    )?;
    let mut sealed = Encoder::new(3).encode(&json).bytes;
    let salt: [u8; 32] = random(rng);
    let prefix = Prefix {
        kind,
        variant: 0,
        vault: keys.vault(),
    };
    let mut bytes = [&prefix.encode()[..], &salt, &writer.id().0].concat();
    bytes.extend_from_slice(&((sealed.len() + TAG_LEN) as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    sealer(keys, &salt, purpose, &bytes, name).seal(HEADER_LEN as u64, &mut sealed);
    bytes.extend_from_slice(&sealed);
    let signature = writer.sign(DOMAIN, &[&name_hash(name), &bytes]);
    bytes.extend_from_slice(&signature);
    Ok(bytes)
}

/// Opens the record `name`, and says who wrote it. Its signature is checked if the writer's
/// public key is given.
pub fn open_record<T: DeserializeOwned>(
    keys: &VaultKeys,
    name: &ObjectName,
    bytes: &[u8],
    writer: Option<&WriterPublic>,
) -> Result<(WriterId, T)> {
    let (kind, purpose) = kind(name)?;
    let what = kind.name();
    Prefix::expect(bytes, kind, &keys.vault())?;
    let mut cursor = Cursor::new(what, bytes);
    cursor.take(PREFIX_LEN)?;
    let salt: [u8; 32] = cursor.array()?;
    let author = WriterId(cursor.array()?);
    let sealed_len = cursor.u32()?;
    cursor.reserved(4)?;
    limit(
        what,
        "length",
        sealed_len.into(),
        (MAX_BODY_LEN + 1 + TAG_LEN) as u64,
    )?;
    let sealed = cursor.take(sealed_len as usize)?;
    let signature = cursor.take(SIGNATURE_LEN)?;
    cursor.end()?;
    if let Some(writer) = writer {
        if writer.id() != author {
            return Err(Error::BadSignature {
                object: what,
                writer: author,
            });
        }
        let signed = &bytes[..HEADER_LEN + sealed.len()];
        writer.verify(what, DOMAIN, &[&name_hash(name), signed], signature)?;
    }
    let sealer = sealer(keys, &salt, purpose, &bytes[..HEADER_LEN], name);
    let payload = sealer.open(what, HEADER_LEN as u64, sealed)?;
    let json = Decoder::new().decode(what, &payload, MAX_BODY_LEN)?;
    let body = serde_json::from_slice(&json).map_err(|e| Error::damaged(what, e.to_string()))?;
    Ok((author, body))
}

fn sealer(
    keys: &VaultKeys,
    salt: &[u8; 32],
    purpose: &str,
    header: &[u8],
    name: &ObjectName,
) -> Sealer {
    let aad = [header, name.to_string().as_bytes()].concat();
    Sealer::new(&keys.map_subkey(salt, purpose), &aad)
}

fn name_hash(name: &ObjectName) -> [u8; 32] {
    sha256(&[name.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::{PointId, RetireId, SessionId, VmKey};
    use crate::testing::{counter, flips, keys};

    fn names() -> [ObjectName; 3] {
        [
            ObjectName::Token {
                vm: VmKey([1; 16]),
                point: PointId([2; 16]),
            },
            ObjectName::Session {
                session: SessionId([3; 16]),
                number: 9,
            },
            ObjectName::Retire(RetireId([4; 16])),
        ]
    }

    #[test]
    fn records_come_back_only_under_their_own_name() {
        let keys = keys();
        let writer = keys.writer().unwrap().public();
        for name in names() {
            let body = json!({"rct": "…", "n": 1.5});
            let bytes = seal_record(&keys, &name, &body, &mut counter(1)).unwrap();
            let open = |name: &ObjectName| open_record::<Value>(&keys, name, &bytes, Some(&writer));
            assert_eq!(open(&name).unwrap(), (writer.id(), body));
            for other in names().iter().filter(|other| **other != name) {
                assert!(open(other).is_err());
            }
            let moved = ObjectName::Token {
                vm: VmKey([1; 16]),
                point: PointId([3; 16]),
            };
            assert!(open(&moved).is_err());
        }
        let body = Retire {
            packs: vec![ObjectHash([5; 32])],
            ..Retire::default()
        };
        let bytes = seal_record(&keys, &names()[2], &body, &mut counter(1)).unwrap();
        assert_eq!(
            open_record::<Retire>(&keys, &names()[2], &bytes, None)
                .unwrap()
                .1,
            body
        );
        let body = Session {
            ended: true,
            ..Session::default()
        };
        let bytes = seal_record(&keys, &names()[1], &body, &mut counter(1)).unwrap();
        assert_eq!(
            open_record::<Session>(&keys, &names()[1], &bytes, None)
                .unwrap()
                .1,
            body
        );
        assert!(seal_record(&keys, &ObjectName::Description, &body, &mut counter(1)).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let keys = keys();
        let writer = keys.writer().unwrap().public();
        for name in names() {
            let bytes = seal_record(&keys, &name, &json!([1]), &mut counter(1)).unwrap();
            for bad in flips(&bytes) {
                assert!(open_record::<Value>(&keys, &name, &bad, Some(&writer)).is_err());
            }
        }
    }
}
