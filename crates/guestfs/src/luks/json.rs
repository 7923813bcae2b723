//! The text of a LUKS2 header.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::Deserialize;

use super::header::MOST_KEY;
use super::slot::{Slot, Splitter};
use super::{Data, Digest, Header};
use crate::cipher::{Hash, Kdf};
use crate::error::{Error, Result};

/// Key slots, digests and segments that one may have.
const MOST: usize = 32;

#[derive(Deserialize)]
struct Text {
    keyslots: BTreeMap<String, serde_json::Value>,
    segments: BTreeMap<String, Segment>,
    digests: BTreeMap<String, TextDigest>,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    requirements: Requirements,
}

#[derive(Deserialize, Default)]
struct Requirements {
    #[serde(default)]
    mandatory: Vec<String>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(rename = "type")]
    kind: String,
    offset: String,
    size: String,
    #[serde(default)]
    iv_tweak: Option<String>,
    #[serde(default)]
    encryption: Option<String>,
    #[serde(default)]
    sector_size: Option<u32>,
    #[serde(default)]
    integrity: Option<serde_json::Value>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Deserialize)]
struct TextDigest {
    #[serde(rename = "type")]
    kind: String,
    keyslots: Vec<String>,
    segments: Vec<String>,
    salt: String,
    digest: String,
    hash: String,
    iterations: u32,
}

#[derive(Deserialize)]
struct TextSlot {
    #[serde(rename = "type")]
    kind: String,
    key_size: usize,
    #[serde(default)]
    priority: Option<u32>,
    #[serde(default)]
    af: Option<Af>,
    area: Area,
    #[serde(default)]
    kdf: Option<TextKdf>,
}

#[derive(Deserialize)]
struct Af {
    #[serde(rename = "type")]
    kind: String,
    stripes: u32,
    hash: String,
}

#[derive(Deserialize)]
struct Area {
    #[serde(rename = "type")]
    kind: String,
    offset: String,
    #[serde(default)]
    encryption: String,
    #[serde(default)]
    key_size: usize,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum TextKdf {
    #[serde(rename = "pbkdf2")]
    Pbkdf2 {
        hash: String,
        iterations: u32,
        salt: String,
    },
    #[serde(rename = "argon2i")]
    Argon2i {
        time: u32,
        memory: u32,
        cpus: u32,
        salt: String,
    },
    #[serde(rename = "argon2id")]
    Argon2id {
        time: u32,
        memory: u32,
        cpus: u32,
        salt: String,
    },
}

fn bad(why: impl Into<String>) -> Error {
    Error::damaged("LUKS2 JSON", why)
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .map_err(|_| bad(format!("{text:?} is no number")))
}

fn base64(text: &str) -> Result<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes());
    bytes.map_err(|_| bad(format!("{text:?} is no Base64")))
}

fn hash(name: &str) -> Result<Hash, String> {
    Hash::named(name).ok_or_else(|| format!("the hash {name}"))
}

/// What the text tells; its copy tells the rest.
pub(super) fn read(text: &[u8]) -> Result<Header> {
    let text: Text = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
    let mandatory = &text.config.requirements.mandatory;
    if !mandatory.is_empty() {
        let why = format!("LUKS2 that requires {}", mandatory.join(", "));
        return Err(Error::Unsupported(why));
    }
    if text
        .keyslots
        .len()
        .max(text.digests.len())
        .max(text.segments.len())
        > MOST
    {
        return Err(bad("more key slots, digests or segments than there may be"));
    }
    let (name, data) = data(&text.segments)?;
    let mut slots = Vec::new();
    let mut unread = Vec::new();
    for (name, value) in text.keyslots {
        let slot = TextSlot::deserialize(value).map_err(|error| error.to_string());
        match slot.and_then(|slot| read_slot(&name, slot)) {
            Ok(slot) => slots.push(slot),
            Err(why) => unread.push(format!("key slot {name}: {why}")),
        }
    }
    // Those to be preferred first; those to be ignored last.
    slots.sort_by_key(|(priority, slot)| (std::cmp::Reverse(*priority), slot.number));
    let mut digests = Vec::new();
    for digest in text.digests.into_values() {
        if !digest.segments.contains(&name) {
            continue;
        }
        match (digest.kind.as_str(), hash(&digest.hash)) {
            ("pbkdf2", Ok(hash)) => digests.push(Digest {
                slots: digest
                    .keyslots
                    .iter()
                    .filter_map(|name| name.parse().ok())
                    .collect(),
                kdf: Kdf::Pbkdf2 {
                    hash,
                    rounds: digest.iterations,
                },
                salt: base64(&digest.salt)?,
                digest: base64(&digest.digest)?,
            }),
            (kind, _) => {
                let why = format!("LUKS2 digest {kind} of {}", digest.hash);
                return Err(Error::Unsupported(why));
            }
        }
    }
    // An empty digest would fit any key.
    if digests
        .iter()
        .any(|digest| !(16..=MOST_KEY).contains(&digest.digest.len()))
    {
        return Err(bad("a digest of an odd length"));
    }
    Ok(Header {
        version: 2,
        uuid: String::new(),
        label: String::new(),
        slots: slots.into_iter().map(|(_, slot)| slot).collect(),
        unread,
        digests,
        data,
        oddities: Vec::new(),
    })
}

/// The one segment that is in use.
fn data(segments: &BTreeMap<String, Segment>) -> Result<(String, Data)> {
    let backup = |segment: &Segment| segment.flags.iter().any(|flag| flag.starts_with("backup-"));
    let mut used = segments.iter().filter(|(_, segment)| !backup(segment));
    let (Some((name, segment)), None) = (used.next(), used.next()) else {
        let count = segments.len();
        return Err(Error::Unsupported(format!("LUKS2 with {count} segments")));
    };
    let kind = &segment.kind;
    if kind != "crypt" {
        return Err(Error::Unsupported(format!(
            "a LUKS2 segment of the kind {kind}"
        )));
    }
    if segment.integrity.is_some() {
        let why = "LUKS2 with checksums for sectors (dm-integrity)";
        return Err(Error::Unsupported(why.into()));
    }
    let sector = segment.sector_size.unwrap_or(512);
    if !matches!(sector, 512 | 1024 | 2048 | 4096) {
        return Err(bad(format!("sectors of {sector} bytes")));
    }
    let len = match segment.size.as_str() {
        "dynamic" => None,
        size => Some(number(size)?),
    };
    let data = Data {
        cipher: segment.encryption.clone().unwrap_or_default(),
        start: number(&segment.offset)?,
        len,
        sector,
        tweak: segment.iv_tweak.as_deref().map_or(Ok(0), number)?,
    };
    Ok((name.clone(), data))
}

/// A slot with its priority; an error names what is not known.
fn read_slot(name: &str, slot: TextSlot) -> Result<(u32, Slot), String> {
    let af = slot.af.ok_or("no splitter")?;
    for (what, kind, known) in [
        ("kind", &slot.kind, "luks2"),
        ("area", &slot.area.kind, "raw"),
        ("splitter", &af.kind, "luks1"),
    ] {
        if kind != known {
            return Err(format!("{what} {kind}"));
        }
    }
    let (kdf, salt) = match slot.kdf.ok_or("no key derivation")? {
        TextKdf::Pbkdf2 {
            hash: name,
            iterations,
            salt,
        } => {
            let hash = hash(&name)?;
            let rounds = iterations;
            (Kdf::Pbkdf2 { hash, rounds }, salt)
        }
        TextKdf::Argon2i {
            time,
            memory,
            cpus,
            salt,
        } => (argon2(false, time, memory, cpus), salt),
        TextKdf::Argon2id {
            time,
            memory,
            cpus,
            salt,
        } => (argon2(true, time, memory, cpus), salt),
    };
    for len in [slot.key_size, slot.area.key_size] {
        if !(1..=MOST_KEY).contains(&len) {
            return Err(format!("a key of {len} bytes"));
        }
    }
    let text = |error: Error| error.to_string();
    let one = Slot {
        number: name.parse().map_err(|_| "its name is no number")?,
        kdf,
        salt: base64(&salt).map_err(text)?,
        slot_key_len: slot.area.key_size,
        key_len: slot.key_size,
        cipher: slot.area.encryption,
        start: number(&slot.area.offset).map_err(text)?,
        splitter: Splitter {
            stripes: af.stripes,
            hash: hash(&af.hash)?,
        },
    };
    Ok((slot.priority.unwrap_or(1), one))
}

fn argon2(id: bool, passes: u32, memory_kib: u32, lanes: u32) -> Kdf {
    Kdf::Argon2 {
        id,
        passes,
        memory_kib,
        lanes,
    }
}
