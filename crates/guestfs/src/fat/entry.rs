//! An entry of a folder of FAT: 32 bytes.

use super::names;
use crate::clusters::dos_time;
use crate::name::Name;
use crate::node::{Kind, Times};
use crate::partitions::le;

const READ_ONLY_TO_ARCHIVE: u8 = 0x37;
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
const LONG: u8 = 0x0f;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// Nothing, and there is nothing behind it.
    End,
    /// One that was deleted.
    Free,
    /// A piece of a long name.
    Piece,
    /// The label of the volume.
    Label,
    /// The folder itself, or the one above it.
    Dots,
    /// A file or folder.
    Node,
}

/// An entry as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Raw(pub(super) [u8; 32]);

impl Raw {
    pub(super) fn is(&self) -> Is {
        let attributes = self.0[11];
        match self.0[0] {
            0 => Is::End,
            0xe5 => Is::Free,
            _ if attributes & 0x3f == LONG => Is::Piece,
            _ if attributes & LABEL != 0 => Is::Label,
            _ if matches!(self.short_bytes(), b".          " | b"..         ") => Is::Dots,
            _ => Is::Node,
        }
    }

    pub(super) fn short_bytes(&self) -> &[u8; 11] {
        self.0.first_chunk().unwrap_or(&[0; 11])
    }

    /// Its name of 8.3 characters.
    pub(super) fn short(&self) -> String {
        names::short(self.short_bytes(), self.0[12])
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0[11] & FOLDER {
            0 => Kind::File,
            _ => Kind::Folder,
        }
    }

    pub(super) fn attributes(&self) -> u32 {
        u32::from(self.0[11] & READ_ONLY_TO_ARCHIVE)
    }

    /// Where it begins. Only FAT32 has the upper half.
    pub(super) fn cluster(&self, is_32: bool) -> u32 {
        let upper = if is_32 { le(&self.0, 20, 2) << 16 } else { 0 };
        (upper | le(&self.0, 26, 2)) as u32
    }

    pub(super) fn len(&self) -> u64 {
        match self.kind() {
            Kind::Folder => 0,
            _ => le(&self.0, 28, 4),
        }
    }

    /// Local times of whoever wrote them, and of no known zone: taken as UTC.
    pub(super) fn times(&self) -> Times {
        let field = |at| le(&self.0, at, 2) as u16;
        Times {
            modified: dos_time(field(24), field(22), 0),
            accessed: dos_time(field(18), 0, 0),
            created: dos_time(field(16), field(14), self.0[13]),
            changed: None,
        }
    }
}

/// A file or folder as its folder tells it.
pub(super) struct Found {
    /// Where its entry is.
    pub(super) place: u64,
    pub(super) raw: Raw,
    /// Its long name, if it has one that is whole.
    pub(super) long: Option<Vec<u16>>,
}

impl Found {
    pub(super) fn name(&self) -> Name {
        match &self.long {
            Some(units) => Name::from_utf16(units),
            None => Name::from(self.raw.short().as_str()),
        }
    }
}
