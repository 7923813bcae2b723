//! Parent locators: where a differencing image expects its parent.

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::vhd::field;

/// Longest locator that is read. Windows' paths have at most 32767 UTF-16 units.
const MAX_LOCATOR: u32 = 64 << 10;

/// One of the eight locator slots of the dynamic header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocatorEntry {
    /// Platform code: `W2ku` an absolute and `W2ru` a relative Windows path, `MacX` a URL.
    pub code: [u8; 4],
    /// Space reserved in the file. The specification counts sectors; Windows writes bytes. It
    /// is not needed for reading.
    pub data_space: u32,
    /// Bytes of the locator, without a terminator.
    pub data_length: u32,
    /// Where it is in the file.
    pub data_offset: u64,
}

/// A locator's meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    /// An absolute Windows path (`W2ku`).
    Absolute(String),
    /// A Windows path relative to the child's folder (`W2ru`).
    Relative(String),
    /// A file URL (`MacX`).
    Url(String),
    /// A code that this reader does not interpret: a Mac alias, or a path in an ANSI code page.
    Other([u8; 4]),
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

    /// Reads what the entry points to.
    pub fn read(&self, file: &impl ReadAt) -> Result<Locator> {
        let why = |why: &str| {
            let code = String::from_utf8_lossy(&self.code).into_owned();
            Error::damaged("VHD parent locator", format!("{code:?}: {why}"))
        };
        if !matches!(&self.code, b"W2ku" | b"W2ru" | b"MacX") {
            return Ok(Locator::Other(self.code));
        }
        if self.data_length > MAX_LOCATOR {
            return Err(why("longer than any path"));
        }
        let mut bytes = vec![0; self.data_length as usize];
        file.read_exact_at(&mut bytes, self.data_offset)
            .map_err(|_| why("it lies outside the file"))?;
        if &self.code == b"MacX" {
            let text = String::from_utf8(bytes).map_err(|_| why("not UTF-8"))?;
            return Ok(Locator::Url(text.trim_end_matches('\0').to_owned()));
        }
        if !bytes.len().is_multiple_of(2) {
            return Err(why("half a UTF-16 unit"));
        }
        let units = bytes
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]));
        let text: String = char::decode_utf16(units)
            .collect::<Result<_, _>>()
            .map_err(|_| why("not UTF-16"))?;
        let text = text.trim_end_matches('\0').to_owned();
        Ok(match &self.code {
            b"W2ku" => Locator::Absolute(text),
            _ => Locator::Relative(text),
        })
    }
}
