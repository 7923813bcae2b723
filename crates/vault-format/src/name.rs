//! Where each object lies in the store.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::id::{ObjectHash, PointId, RetireId, SessionId, SlotId, VmKey, WriterId};

/// The name of an object: `Display` gives the path in the store, `FromStr` reads it back.
///
/// Every name has one spelling, uses only `a–z 0–9 - . /` and no component longer than 97 bytes,
/// so it is a valid path on every file system and key in every object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The fields are the parts of the name.
pub enum ObjectName {
    /// `vault.json`
    Description,
    /// `keys/<slot>`
    Slot(SlotId),
    /// `keys/writer-<writer>`
    Writer(WriterId),
    /// `packs/<first two digits>/<sha256>`
    Pack(ObjectHash),
    /// `index/<sha256>`
    Index(ObjectHash),
    /// `points/<vm>/<point>-<sha256>`
    Point {
        vm: VmKey,
        point: PointId,
        hash: ObjectHash,
    },
    /// `tokens/<vm>/<point>`
    Token { vm: VmKey, point: PointId },
    /// `sessions/<session>/<number>`; numbers count up from 1
    Session { session: SessionId, number: u64 },
    /// `retire/<id>`
    Retire(RetireId),
}

impl ObjectName {
    /// The hash of the object's bytes, if the name carries it.
    pub fn hash(&self) -> Option<ObjectHash> {
        match self {
            Self::Pack(hash) | Self::Index(hash) | Self::Point { hash, .. } => Some(*hash),
            _ => None,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Description => f.write_str("vault.json"),
            Self::Slot(slot) => write!(f, "keys/{slot}"),
            Self::Writer(writer) => write!(f, "keys/writer-{writer}"),
            Self::Pack(hash) => write!(f, "packs/{:02x}/{hash}", hash.0[0]),
            Self::Index(hash) => write!(f, "index/{hash}"),
            Self::Point { vm, point, hash } => write!(f, "points/{vm}/{point}-{hash}"),
            Self::Token { vm, point } => write!(f, "tokens/{vm}/{point}"),
            Self::Session { session, number } => write!(f, "sessions/{session}/{number}"),
            Self::Retire(id) => write!(f, "retire/{id}"),
        }
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text)
            .filter(|name| name.to_string() == text)
            .ok_or_else(|| Error::Typed {
                what: "object name",
                why: "no object of a vault is named like that".to_owned(),
            })
    }
}

fn parse(text: &str) -> Option<ObjectName> {
    if text == "vault.json" {
        return Some(ObjectName::Description);
    }
    let (folder, rest) = text.split_once('/')?;
    Some(match folder {
        "keys" => match rest.strip_prefix("writer-") {
            Some(writer) => ObjectName::Writer(writer.parse().ok()?),
            None => ObjectName::Slot(rest.parse().ok()?),
        },
        "packs" => ObjectName::Pack(rest.split_once('/')?.1.parse().ok()?),
        "index" => ObjectName::Index(rest.parse().ok()?),
        "points" => {
            let (vm, rest) = rest.split_once('/')?;
            let (point, hash) = rest.split_once('-')?;
            ObjectName::Point {
                vm: vm.parse().ok()?,
                point: point.parse().ok()?,
                hash: hash.parse().ok()?,
            }
        }
        "tokens" => {
            let (vm, point) = rest.split_once('/')?;
            ObjectName::Token {
                vm: vm.parse().ok()?,
                point: point.parse().ok()?,
            }
        }
        "sessions" => {
            let (session, number) = rest.split_once('/')?;
            ObjectName::Session {
                session: session.parse().ok()?,
                number: number.parse().ok()?,
            }
        }
        "retire" => ObjectName::Retire(rest.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_has_one_spelling() {
        let (vm, point, hash) = (VmKey([1; 16]), PointId([2; 16]), ObjectHash([0xfe; 32]));
        let names = [
            ObjectName::Description,
            ObjectName::Slot(SlotId([3; 8])),
            ObjectName::Writer(WriterId([4; 16])),
            ObjectName::Pack(hash),
            ObjectName::Index(hash),
            ObjectName::Point { vm, point, hash },
            ObjectName::Token { vm, point },
            ObjectName::Session {
                session: SessionId([5; 16]),
                number: 10,
            },
            ObjectName::Retire(RetireId([6; 16])),
        ];
        for name in names {
            let text = name.to_string();
            assert_eq!(text.parse::<ObjectName>().unwrap(), name, "{text}");
            for bad in [
                format!("{text}0"),
                format!("/{text}"),
                text.to_uppercase(),
                format!("{text}/"),
            ] {
                assert_ne!(bad.parse::<ObjectName>().ok(), Some(name), "{bad}");
            }
        }
        let pack = ObjectName::Pack(hash).to_string();
        assert!(pack.starts_with("packs/fe/fefe"));
        for bad in [
            pack.replacen("fe/", "ff/", 1),
            "sessions/x/1".into(),
            "sessions/05/01".into(),
            String::new(),
            "keys".into(),
        ] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
        }
        let session = format!("sessions/{}/", SessionId([5; 16]));
        assert!(format!("{session}+7").parse::<ObjectName>().is_err());
        assert!(format!("{session}07").parse::<ObjectName>().is_err());
    }
}
