//! The first 32 bytes of every binary object: what it is, and of which vault.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 4 | magic `89 48 4B 56` (`\x89HKV`) |
//! | 4 | 4 | kind, four ASCII letters |
//! | 8 | 2 | format version, 1 |
//! | 10 | 2 | variant: a number whose meaning belongs to the kind |
//! | 12 | 4 | required features, a bit set; none is defined, so any set bit is refused |
//! | 16 | 16 | vault id |

use crate::bytes::Cursor;
use crate::error::{Error, Result};
use crate::id::VaultId;

/// First bytes of every binary object. The first is not ASCII, so that a transfer in "text mode"
/// is noticed at once.
pub const MAGIC: [u8; 4] = *b"\x89HKV";
/// The format version written here, and the newest one read.
pub const VERSION: u16 = 1;
/// Size of the prefix in bytes.
pub const PREFIX_LEN: usize = 32;

/// What a binary object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `packs/…`
    Pack,
    /// `index/…`
    Index,
    /// `points/…`
    Point,
    /// `tokens/…`
    Token,
    /// `sessions/…`
    Session,
    /// `retire/…`
    Retire,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Pack,
        Self::Index,
        Self::Point,
        Self::Token,
        Self::Session,
        Self::Retire,
    ];

    /// The four letters that stand in the prefix.
    pub fn code(self) -> &'static [u8; 4] {
        match self {
            Self::Pack => b"PACK",
            Self::Index => b"INDX",
            Self::Point => b"POIN",
            Self::Token => b"TOKN",
            Self::Session => b"SESS",
            Self::Retire => b"RETR",
        }
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Index => "index run",
            Self::Point => "restore point",
            Self::Token => "change-tracking token",
            Self::Session => "session record",
            Self::Retire => "retire marker",
        }
    }
}

/// What the first 32 bytes of an object say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What the object is.
    pub kind: Kind,
    /// A number whose meaning belongs to the kind: for a pack, data or map; otherwise 0.
    pub variant: u16,
    /// The vault it belongs to.
    pub vault: VaultId,
}

impl Prefix {
    /// The 32 bytes.
    pub fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut out = [0; PREFIX_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(self.kind.code());
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&self.variant.to_le_bytes());
        out[16..].copy_from_slice(&self.vault.0);
        out
    }

    /// Reads the prefix of an object that may be of any kind.
    ///
    /// # Errors
    /// Says of an object of a later format which kind and version it has, and of one that
    /// requires unknown features which bits those are.
    pub fn identify(bytes: &[u8]) -> Result<Self> {
        Self::read("object", bytes)
    }

    /// Reads the prefix of an object of vault `vault` that should be of `kind`.
    ///
    /// # Errors
    /// As [`identify`](Self::identify); and an object of another kind or vault is refused.
    pub fn expect(bytes: &[u8], kind: Kind, vault: &VaultId) -> Result<Self> {
        let found = Self::read(kind.name(), bytes)?;
        if found.kind != kind {
            return Err(Error::WrongKind {
                expected: kind.name(),
                found: found.kind.name().to_owned(),
            });
        }
        if found.vault != *vault {
            return Err(Error::OtherVault {
                object: kind.name(),
                expected: *vault,
                found: found.vault,
            });
        }
        Ok(found)
    }

    fn read(expected: &'static str, bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(expected, bytes);
        if cursor.array::<4>()? != MAGIC {
            return Err(Error::NotAnObject { expected });
        }
        let code: [u8; 4] = cursor.array()?;
        let version = cursor.u16()?;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.code() == &code) else {
            return Err(Error::WrongKind {
                expected,
                found: format!(
                    "\"{}\" object of format version {version}, a kind that this program does not know",
                    code.escape_ascii()
                ),
            });
        };
        if version == 0 || version > VERSION {
            return Err(Error::UnknownVersion {
                object: kind.name(),
                version: version.into(),
                known: VERSION,
            });
        }
        let variant = cursor.u16()?;
        let required = cursor.u32()?;
        if required != 0 {
            return Err(Error::UnknownFeature {
                object: kind.name(),
                names: (0..32)
                    .filter(|bit| required >> bit & 1 == 1)
                    .map(|bit| format!("feature bit {bit}"))
                    .collect(),
            });
        }
        Ok(Self {
            kind,
            variant,
            vault: VaultId(cursor.array()?),
        })
    }
}
