//! Extended attributes (`$EA`), and what the Windows Subsystem for Linux keeps in them: owner, mode, and
//! the numbers of devices.
//!
//! Sources: Microsoft, [MS-FSCC] `FILE_FULL_EA_INFORMATION`, and "File Permissions for WSL".

use super::attribute::EA;
use super::file::File;
use super::le::{byte, le16, le32};
use super::volume::Volume;
use crate::error::Result;
use crate::node::Owner;

/// Bytes that all of a file may have.
const MOST: u64 = 64 << 10;

/// All extended attributes of a file, as they are stored.
pub(super) struct Eas(pub(super) Vec<u8>);

impl Eas {
    /// Reads them; `None` if there are none.
    pub(super) fn read(volume: &Volume, file: &File) -> Result<Option<Self>> {
        let Some(stored) = file.stored(volume, EA, &[])? else {
            return Ok(None);
        };
        let what = format!("$EA of MFT record {}", file.record().number());
        let bytes = stored.whole(volume, MOST, &what)?;
        Ok((!bytes.is_empty()).then_some(Self(bytes)))
    }

    /// The value of one by its name, in which big and small letters are the same.
    fn value(&self, name: &str) -> Option<&[u8]> {
        let mut rest = self.0.as_slice();
        loop {
            let next = le32(rest, 0) as usize;
            let name_len = usize::from(byte(rest, 5));
            let value_len = usize::from(le16(rest, 6));
            let found = rest.get(8..8 + name_len)?;
            if found.eq_ignore_ascii_case(name.as_bytes()) {
                return rest.get(9 + name_len..9 + name_len + value_len);
            }
            if next < 8 {
                return None;
            }
            rest = rest.get(next..)?;
        }
    }

    fn number(&self, name: &str) -> Option<u32> {
        let value = self.value(name).filter(|value| value.len() == 4)?;
        Some(le32(value, 0))
    }

    /// Owner and mode, where all three are there.
    pub(super) fn owner(&self) -> Option<Owner> {
        Some(Owner {
            uid: self.number("$LXUID")?,
            gid: self.number("$LXGID")?,
            mode: (self.number("$LXMOD")? & 0o7777) as u16,
        })
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        let value = self.value("$LXDEV").filter(|value| value.len() == 8)?;
        Some((le32(value, 0), le32(value, 4)))
    }
}
