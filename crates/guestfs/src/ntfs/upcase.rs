//! Which names are the same: `$UpCase`, a table of a volume's own that says what each unit of UTF-16 is as
//! a capital letter. Units that pair with nothing are units like any others.

use std::cmp::Ordering;

use super::attribute::DATA;
use super::file::File;
use super::le::units;
use super::volume::Volume;
use crate::error::{Error, Result};

const RECORD: u64 = 10;
const BYTES: usize = 2 << 16;

/// The table.
pub(super) struct Upcase(Vec<u16>);

impl Upcase {
    /// Reads the table of a volume.
    pub(super) fn read(volume: &Volume) -> Result<Self> {
        let file = File::find(volume, RECORD)?;
        let stored = match file {
            Some(file) => file.stored(volume, DATA, &[])?,
            None => None,
        };
        let stored = stored.ok_or_else(|| Error::damaged("$UpCase", "it is not there"))?;
        let bytes = stored.whole(volume, BYTES as u64, "$UpCase")?;
        if bytes.len() != BYTES {
            let why = format!("{} bytes and not {BYTES}", bytes.len());
            return Err(Error::damaged("$UpCase", why));
        }
        Ok(Self(units(&bytes)))
    }

    fn of(&self, unit: u16) -> u16 {
        self.0.get(usize::from(unit)).copied().unwrap_or(unit)
    }

    /// The order of names in a folder, where big and small letters are the same.
    pub(super) fn compare(&self, one: &[u16], other: &[u16]) -> Ordering {
        let one = one.iter().map(|unit| self.of(*unit));
        one.cmp(other.iter().map(|unit| self.of(*unit)))
    }
}
