//! `$FILE_NAME`: one name of a file in one folder; also the key of a folder's index.

use super::le::{byte, le32, le64, units};
use super::record::NUMBER;
use crate::name::Name;
use crate::node::Kind;

/// Records below this one are NTFS's own.
pub(super) const FIRST_USER: u64 = 16;
/// The folder above all.
pub(super) const ROOT: u64 = 5;

const DOS: u8 = 2;
const FOLDER: u32 = 0x1000_0000;
const REPARSE: u32 = 0x400;

/// A name.
pub(super) struct FileName {
    /// A reference to the folder that it is in.
    pub(super) folder: u64,
    /// Whether it is the name of 8.3 characters beside a long one.
    pub(super) short: bool,
    pub(super) units: Vec<u16>,
    flags: u32,
}

impl FileName {
    /// Parses it; `None` if it is cut short.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let len = usize::from(byte(bytes, 0x40)) * 2;
        let name = bytes.get(0x42..0x42 + len)?;
        Some(Self {
            folder: le64(bytes, 0),
            short: byte(bytes, 0x41) == DOS,
            units: units(name),
            flags: le32(bytes, 0x38),
        })
    }

    pub(super) fn name(&self) -> Name {
        Name::from_utf16(&self.units)
    }

    /// What it leads to, where that is sure. Of files it is not: what an index says of reparse points is
    /// brought up to date for that name alone by which they were made.
    pub(super) fn kind(&self) -> Option<Kind> {
        (self.flags & (FOLDER | REPARSE) == FOLDER).then_some(Kind::Folder)
    }
}

/// Whether a reference leads to what NTFS keeps for itself.
pub(super) fn is_own(reference: u64) -> bool {
    reference & NUMBER < FIRST_USER
}
