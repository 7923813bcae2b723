//! The header of a pack.
//!
//! | offset | size | field |
//! |---:|---:|---|
//! | 0 | 32 | prefix, kind `PACK`, variant 1 (data) or 2 (map) |
//! | 32 | 32 | salt, random |
//! | 64 | 16 | writer id |
//! | 80 | 80 | wrapped data key (data packs only) |

use crate::bytes::Cursor;
use crate::crypto::WRAPPED_LEN;
use crate::error::{Error, Result};
use crate::id::{VaultId, WriterId};
use crate::prefix::{Kind, PREFIX_LEN, Prefix};

/// What a pack's chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackKind {
    /// Bytes of disks and files; sealed for the holders of the private data key.
    Data,
    /// Nodes of disk maps; sealed under the map key.
    Map,
}

impl PackKind {
    /// The number stored for it.
    pub fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Map => 2,
        }
    }

    /// The kind of a stored number.
    pub fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Data),
            2 => Some(Self::Map),
            _ => None,
        }
    }
}

/// The header, with its own bytes, which are associated data of everything in the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackHeader {
    pub(super) bytes: Vec<u8>,
    kind: PackKind,
    salt: [u8; 32],
    writer: WriterId,
}

const FIXED_LEN: usize = PREFIX_LEN + 32 + WriterId::LEN;

impl PackHeader {
    pub(super) const MIN_LEN: usize = FIXED_LEN;
    /// Most bytes that a header has: read this many from the start of a pack.
    pub const MAX_LEN: usize = FIXED_LEN + WRAPPED_LEN;

    pub(super) fn new(
        vault: VaultId,
        kind: PackKind,
        salt: [u8; 32],
        writer: WriterId,
        wrapped: &[u8],
    ) -> Self {
        let prefix = Prefix {
            kind: Kind::Pack,
            variant: kind.code().into(),
            vault,
        };
        let bytes = [&prefix.encode()[..], &salt, &writer.0, wrapped].concat();
        Self {
            bytes,
            kind,
            salt,
            writer,
        }
    }

    /// What is wrapped and bound into the wrapping: all of the header before it.
    pub(super) fn wrap_context(&self) -> &[u8] {
        &self.bytes[..FIXED_LEN]
    }

    /// The wrapped data key; empty for a map pack.
    pub(super) fn wrapped(&self) -> &[u8] {
        &self.bytes[FIXED_LEN..]
    }

    /// Reads the header off the start of a pack; `start` may be longer.
    pub fn decode(start: &[u8], vault: &VaultId) -> Result<Self> {
        let prefix = Prefix::expect(start, Kind::Pack, vault)?;
        let Some(kind) = PackKind::from_code(prefix.variant) else {
            return Err(Error::damaged(
                "pack",
                format!("unknown pack kind {}", prefix.variant),
            ));
        };
        let mut cursor = Cursor::new("pack", start);
        cursor.take(PREFIX_LEN)?;
        let salt = cursor.array()?;
        let writer = WriterId(cursor.array()?);
        let wrapped = match kind {
            PackKind::Data => cursor.take(WRAPPED_LEN)?,
            PackKind::Map => &[],
        };
        Ok(Self {
            bytes: start[..FIXED_LEN + wrapped.len()].to_vec(),
            kind,
            salt,
            writer,
        })
    }

    /// Data or map.
    pub fn kind(&self) -> PackKind {
        self.kind
    }

    /// Who wrote the pack.
    pub fn writer(&self) -> WriterId {
        self.writer
    }

    /// Where the first chunk begins.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a header has bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    pub(super) fn salt(&self) -> &[u8; 32] {
        &self.salt
    }
}
