//! An MFT record, and the attributes in it.

use super::attribute::Attribute;
use super::fixup;
use super::le::{le16, le32, le64};
use crate::error::{Error, Result};

/// The number of a record in a reference; the upper 16 bits count how often the record was used.
pub(super) const NUMBER: u64 = (1 << 48) - 1;

const IN_USE: u16 = 1;
const FOLDER: u16 = 2;

/// A record that is whole and in use.
pub(super) struct Record {
    number: u64,
    bytes: Vec<u8>,
}

impl Record {
    /// Takes the bytes of record `number` as they are on the disk; `None` if it is not in use.
    pub(super) fn new(number: u64, mut bytes: Vec<u8>) -> Result<Option<Self>> {
        let what = || format!("MFT record {number}");
        if bytes.get(..4) == Some(&[0; 4]) {
            return Ok(None);
        }
        fixup::mend(&mut bytes, b"FILE", &what)?;
        if le16(&bytes, 0x16) & IN_USE == 0 {
            return Ok(None);
        }
        let used = le32(&bytes, 0x18) as usize;
        let first = usize::from(le16(&bytes, 0x14));
        if used > bytes.len() || first < 0x2a || !first.is_multiple_of(8) || first > used {
            let why = format!("attributes from {first} to {used} of {}", bytes.len());
            return Err(Error::damaged(what(), why));
        }
        // Since NTFS 3.1 a record knows its number: its fix-ups begin behind that.
        if le16(&bytes, 4) >= 0x30 && u64::from(le32(&bytes, 0x2c)) != number & 0xffff_ffff {
            let why = format!("it says that it is record {}", le32(&bytes, 0x2c));
            return Err(Error::damaged(what(), why));
        }
        Ok(Some(Self { number, bytes }))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How often the record was used.
    pub(super) fn sequence(&self) -> u16 {
        le16(&self.bytes, 0x10)
    }

    pub(super) fn is_folder(&self) -> bool {
        le16(&self.bytes, 0x16) & FOLDER != 0
    }

    /// The record that this one goes on for; 0 if it is a file's own.
    pub(super) fn base(&self) -> u64 {
        le64(&self.bytes, 0x20)
    }

    /// Whether a reference means this use of the record. One without a count means any.
    pub(super) fn is(&self, reference: u64) -> bool {
        let sequence = (reference >> 48) as u16;
        reference & NUMBER == self.number && (sequence == 0 || sequence == self.sequence())
    }

    /// Its attributes, until the first that is damaged.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Result<Attribute<'_>>> {
        let used = le32(&self.bytes, 0x18) as usize;
        let mut rest = self
            .bytes
            .get(usize::from(le16(&self.bytes, 0x14))..used)
            .unwrap_or_default();
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended || rest.len() < 4 || le32(rest, 0) == u32::MAX {
                return None;
            }
            let parsed = Attribute::parse(rest);
            let parsed =
                parsed.map_err(|why| Error::damaged(format!("MFT record {}", self.number), why));
            match parsed {
                Ok((attribute, len)) => {
                    rest = rest.get(len..).unwrap_or_default();
                    Some(Ok(attribute))
                }
                Err(error) => {
                    ended = true;
                    Some(Err(error))
                }
            }
        })
    }
}
