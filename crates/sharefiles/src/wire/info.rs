//! What answers tell of files (MS-FSCC 2.4.10, 2.4.29).

use super::fields::{Malformed, part, u32_at, u64_at};

/// `FILE_ATTRIBUTE_DIRECTORY`.
const DIRECTORY: u32 = 0x10;

/// What tells a file from another in its place, as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// When it was created and last written, in the server's ticks.
    pub(crate) created: u64,
    pub(crate) written: u64,
    /// Bytes.
    pub(crate) len: u64,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: String,
    /// Bytes; none for a folder.
    pub(crate) len: Option<u64>,
}

/// Reads `FileNetworkOpenInformation`.
pub(crate) fn read_about(bytes: &[u8]) -> Result<About, Malformed> {
    Ok(About {
        created: u64_at(bytes, 0)?,
        written: u64_at(bytes, 16)?,
        len: u64_at(bytes, 40)?,
    })
}

/// Adds the entries of one `FileDirectoryInformation`; false when there are more than `most`.
///
/// Names that are no text are left out: they cannot be a host's.
pub(crate) fn read_found(
    mut bytes: &[u8],
    found: &mut Vec<Found>,
    most: usize,
) -> Result<bool, Malformed> {
    while !bytes.is_empty() {
        let next = u32_at(bytes, 0)?;
        let name = part(bytes, 64, u32_at(bytes, 60)?)?;
        let units: Vec<u16> = name
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        if let Ok(name) = String::from_utf16(&units)
            && name != "."
            && name != ".."
        {
            if name.is_empty() || name.contains(['/', '\\', '\0']) {
                return Err(Malformed("a folder has a name that is none"));
            }
            if found.len() >= most {
                return Ok(false);
            }
            let folder = u32_at(bytes, 56)? & DIRECTORY != 0;
            let len = u64_at(bytes, 40)?;
            let len = (!folder).then_some(len);
            found.push(Found { name, len });
        }
        if next == 0 {
            break;
        }
        let next = usize::try_from(next).ok().filter(|next| *next >= 64);
        bytes = next
            .and_then(|next| bytes.get(next..))
            .ok_or(Malformed("an entry is too far"))?;
    }
    Ok(true)
}
