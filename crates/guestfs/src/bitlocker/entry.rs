//! Entries of the metadata, each of which may have others within.

use std::fmt;

use super::ccm::Sealed;

/// Kinds of values.
const KEY: u16 = 1;
const STRETCH: u16 = 3;
pub(super) const SEALED: u16 = 5;
pub(super) const MASTER: u16 = 8;
pub(super) const PLACE: u16 = 15;

/// Entries that are looked at, of those beside each other.
const MOST: usize = 256;

/// An entry.
pub(super) struct Entry<'a> {
    /// What it is for.
    pub(super) role: u16,
    /// What its data are.
    pub(super) value: u16,
    pub(super) data: &'a [u8],
}

/// All entries beside each other; what is behind the first odd one is not looked at.
pub(super) fn all(mut bytes: &[u8]) -> Vec<Entry<'_>> {
    let mut all = Vec::new();
    while all.len() < MOST {
        let [Some(len), Some(role), Some(value)] = [0, 2, 4].map(|at| le16(bytes, at)) else {
            break;
        };
        let Some(data) = bytes.get(8..usize::from(len)) else {
            break;
        };
        all.push(Entry { role, value, data });
        bytes = bytes.get(usize::from(len)..).unwrap_or_default();
    }
    all
}

pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    bytes.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// By what a master key is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By nothing: protection is suspended.
    Clear,
    Recovery,
    Passphrase,
    Tpm,
    StartupKey,
    Other(u16),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("clear key"),
            Self::Recovery => f.write_str("recovery password"),
            Self::Passphrase => f.write_str("passphrase"),
            Self::Tpm => f.write_str("TPM"),
            Self::StartupKey => f.write_str("startup key"),
            Self::Other(kind) => write!(f, "something unknown ({kind:#06x})"),
        }
    }
}

/// A master key as one secret protects it.
pub(super) struct Protector {
    pub(super) kind: Kind,
    pub(super) sealed: Sealed,
    pub(super) salt: [u8; 16],
    pub(super) clear: Vec<u8>,
}

impl Protector {
    /// Of the data of an entry.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let kind = match le16(data, 26)? {
            0 => Kind::Clear,
            0x100..=0x1ff => Kind::Tpm,
            0x200 => Kind::StartupKey,
            0x800 => Kind::Recovery,
            0x2000 => Kind::Passphrase,
            other => Kind::Other(other),
        };
        let (mut sealed, mut salt, mut clear) = (None, [0; 16], Vec::new());
        for entry in all(data.get(28..)?) {
            match entry.value {
                SEALED => sealed = sealed.or(Sealed::parse(entry.data)),
                STRETCH => salt = entry.data.get(4..20)?.try_into().ok()?,
                KEY => clear = entry.data.get(4..)?.to_vec(),
                _ => {}
            }
        }
        // One that cannot be opened here is named all the same.
        let empty = || Sealed {
            nonce: [0; 12],
            code: [0; 16],
            bytes: Vec::new(),
        };
        Some(Self {
            kind,
            sealed: sealed.unwrap_or_else(empty),
            salt,
            clear,
        })
    }
}
