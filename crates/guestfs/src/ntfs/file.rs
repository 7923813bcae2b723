//! All attributes of a file, in however many records they are.

use super::attribute::{ATTRIBUTE_LIST, Attribute, Form};
use super::le::{byte, le16, le32, le64};
use super::record::{NUMBER, Record};
use super::stored::{Stored, Way};
use super::volume::Volume;
use crate::error::{Error, Result};

/// Bytes of an attribute list: Windows makes none that is longer.
const MOST_LIST: u64 = 256 << 10;

/// A file or folder.
pub(super) struct File {
    record: Record,
    /// Where its attributes are, if not all are in its first record.
    list: Option<Vec<Listed>>,
}

/// One line of an attribute list.
struct Listed {
    kind: u32,
    first: u64,
    reference: u64,
    id: u16,
    name: Vec<u8>,
}

impl File {
    /// The file that a reference means; `None` if its record has another use by now, or none.
    pub(super) fn find(volume: &Volume, reference: u64) -> Result<Option<Self>> {
        let record = volume.record(reference & NUMBER)?;
        let record = record.filter(|record| record.is(reference) && record.base() == 0);
        record.map(|record| Self::of(volume, record)).transpose()
    }

    /// The file of its first record.
    pub(super) fn of(volume: &Volume, record: Record) -> Result<Self> {
        let mut list = None;
        for attribute in record.attributes() {
            let attribute = attribute?;
            if attribute.kind == ATTRIBUTE_LIST {
                let what = format!("attribute list of MFT record {}", record.number());
                let stored = Stored::new(volume, record.number(), &attribute)?;
                let bytes = stored.whole(volume, MOST_LIST, &what)?;
                list = Some(listed(&bytes).map_err(|why| Error::damaged(what, why))?);
                break;
            }
        }
        Ok(Self { record, list })
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// What to say of it when it is damaged.
    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(format!("MFT record {}", self.record.number()), why)
    }

    /// The contents of the attribute of this kind and exactly this name, as units of UTF-16.
    pub(super) fn stored(&self, volume: &Volume, kind: u32, name: &[u8]) -> Result<Option<Stored>> {
        let number = self.record.number();
        let mut found = None;
        self.each(volume, kind, &mut |attribute| {
            if found.is_none() && attribute.name == name {
                found = Some(Stored::new(volume, number, attribute)?);
            }
            Ok(())
        })?;
        let Some(mut stored) = found else {
            return Ok(None);
        };
        let lines = self.list.iter().flatten();
        for line in lines.filter(|line| line.kind == kind && line.name == name && line.first > 0) {
            stored.add(line.first, line.reference, line.id)?;
        }
        Ok(Some(stored))
    }

    /// Calls `each` with every attribute of a kind; with the first part of those that have several.
    pub(super) fn each(
        &self,
        volume: &Volume,
        kind: u32,
        each: &mut dyn FnMut(&Attribute<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(list) = &self.list else {
            for attribute in self.record.attributes() {
                let attribute = attribute?;
                if attribute.kind == kind {
                    each(&attribute)?;
                }
            }
            return Ok(());
        };
        let mut other: Option<Record> = None;
        for line in list
            .iter()
            .filter(|line| line.kind == kind && line.first == 0)
        {
            let record = if self.record.is(line.reference) {
                &self.record
            } else {
                if !other
                    .as_ref()
                    .is_some_and(|record| record.is(line.reference))
                {
                    other = Some(Way::along(|way| {
                        volume.extension(self.record.number(), line.reference, way)
                    })?);
                }
                other.as_ref().unwrap_or(&self.record)
            };
            let mut met = false;
            for attribute in record.attributes() {
                let attribute = attribute?;
                let first = match &attribute.form {
                    Form::Resident(_) => 0,
                    Form::Spread(spread) => spread.first,
                };
                let mine = attribute.kind == kind
                    && attribute.id == line.id
                    && attribute.name == line.name;
                if mine && first == 0 {
                    met = true;
                    each(&attribute)?;
                    break;
                }
            }
            if !met {
                let (id, number) = (line.id, record.number());
                let why = format!("its attribute {kind:#x}, {id}, is not in record {number}");
                return Err(self.damaged(why));
            }
        }
        Ok(())
    }

    /// The value of the only attribute of a kind that is always in a record.
    pub(super) fn value(&self, volume: &Volume, kind: u32) -> Result<Option<Vec<u8>>> {
        let mut found = None;
        self.each(volume, kind, &mut |attribute| {
            match attribute.form {
                Form::Resident(value) => found = Some(value.to_vec()),
                Form::Spread(_) => {
                    return Err(self.damaged(format!("its attribute {kind:#x} is not in a record")));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn listed(bytes: &[u8]) -> Result<Vec<Listed>, String> {
    let mut list = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 0x1a {
        let len = usize::from(le16(rest, 4));
        let (name_len, from) = (usize::from(byte(rest, 6)) * 2, usize::from(byte(rest, 7)));
        let name = match name_len {
            0 => Some(&[][..]),
            _ => rest.get(from..from + name_len),
        };
        let Some((name, behind)) = name.zip(rest.get(len..)).filter(|_| len >= 0x1a) else {
            return Err(format!(
                "a line of {len} bytes, where {} are left",
                rest.len()
            ));
        };
        list.push(Listed {
            kind: le32(rest, 0),
            first: le64(rest, 8),
            reference: le64(rest, 0x10),
            id: le16(rest, 0x18),
            name: name.to_vec(),
        });
        rest = behind;
    }
    Ok(list)
}
