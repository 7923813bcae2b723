//! Parent locators: where a differencing image expects its parent.

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::layer::{ParentPath, PathKind};
use crate::vhd::field;

/// Longest locator that is read. Windows' paths have at most 32767 UTF-16 units.
pub(crate) const MAX_LOCATOR: u32 = 64 << 10;

/// One of the eight locator slots of the dynamic header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocatorEntry {
    /// Platform code: `W2ku` an absolute and `W2ru` a relative Windows path, `Wi2k` and `Wi2r` the same
    /// in an ANSI code page, `MacX` a URL.
    pub code: [u8; 4],
    /// Space reserved in the file. The specification counts sectors; Windows writes bytes. It
    /// is not needed for reading.
    pub data_space: u32,
    /// Bytes of the locator, without a terminator.
    pub data_length: u32,
    /// Where it is in the file.
    pub data_offset: u64,
}

impl LocatorEntry {
    /// Bytes of an entry in the dynamic header.
    pub(crate) const LEN: usize = 24;

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            code: field(bytes, 0),
            data_space: u32::from_be_bytes(field(bytes, 4)),
            data_length: u32::from_be_bytes(field(bytes, 8)),
            data_offset: u64::from_be_bytes(field(bytes, 16)),
        }
    }

    pub(crate) fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..4].copy_from_slice(&self.code);
        out[4..8].copy_from_slice(&self.data_space.to_be_bytes());
        out[8..12].copy_from_slice(&self.data_length.to_be_bytes());
        out[16..24].copy_from_slice(&self.data_offset.to_be_bytes());
        out
    }

    /// Whether the slot is in use.
    pub fn is_used(&self) -> bool {
        self.code != [0; 4]
    }

    /// Reads the path that the entry points to; `None` where there is no telling: a Mac alias
    /// (`Mac `), a path in an ANSI code page (`Wi2k`, `Wi2r`) with other letters than those that all
    /// code pages share, or an unknown code. An image with such an entry has others beside it, and
    /// the parent's name.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it points outside the file or to something that is no text.
    pub fn read(&self, file: &impl ReadAt) -> Result<Option<ParentPath>> {
        let why = |why: &str| {
            let code = String::from_utf8_lossy(&self.code).into_owned();
            Error::damaged("VHD parent locator", format!("{code:?}: {why}"))
        };
        let kind = match &self.code {
            b"W2ku" => PathKind::Absolute,
            b"W2ru" => PathKind::Relative,
            b"Wi2k" => PathKind::Absolute,
            b"Wi2r" => PathKind::Relative,
            b"MacX" => PathKind::Url,
            _ => return Ok(None),
        };
        if self.data_length > MAX_LOCATOR {
            return Err(why("longer than any path"));
        }
        let mut bytes = vec![0; self.data_length as usize];
        file.read_exact_at(&mut bytes, self.data_offset)
            .map_err(|_| why("it lies outside the file"))?;
        let text = match kind {
            _ if self.code.starts_with(b"Wi2") => match String::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => text,
                _ => return Ok(None),
            },
            PathKind::Url => String::from_utf8(bytes).map_err(|_| why("not UTF-8"))?,
            _ if !bytes.len().is_multiple_of(2) => return Err(why("half a UTF-16 unit")),
            _ => char::decode_utf16(
                bytes
                    .chunks_exact(2)
                    .map(|unit| u16::from_le_bytes([unit[0], unit[1]])),
            )
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        };
        Ok(Some(ParentPath {
            kind,
            path: text.trim_end_matches('\0').to_owned(),
        }))
    }

    /// The code and bytes that express a path; `None` for a kind that VHD has no locator for.
    pub(crate) fn express(path: &ParentPath) -> Option<([u8; 4], Vec<u8>)> {
        let utf16 = || {
            path.path
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect()
        };
        match path.kind {
            PathKind::Absolute => Some((*b"W2ku", utf16())),
            PathKind::Relative => Some((*b"W2ru", utf16())),
            PathKind::Url => Some((*b"MacX", path.path.clone().into_bytes())),
            PathKind::Volume | PathKind::Name => None,
        }
    }
}
