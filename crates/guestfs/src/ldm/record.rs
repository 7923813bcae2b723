//! Records of the database. Numbers and texts in them are as long as the byte before them says.

use uuid::Uuid;

use super::head::be;
use crate::error::{Error, Result};

/// An object of the database.
pub(super) enum Object {
    Volume(u64, Volume),
    Component(u64, Component),
    Part(Part),
    Disk(u64, Disk),
}

pub(super) struct Volume {
    pub(super) name: String,
    /// Sectors.
    pub(super) len: u64,
}

/// One copy of a volume.
pub(super) struct Component {
    pub(super) layout: Layout,
    /// How many parts it has.
    pub(super) parts: u64,
    pub(super) volume: u64,
}

/// How parts make a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Striped,
    Concatenated,
    Raid,
}

/// A range of a disk.
pub(super) struct Part {
    pub(super) name: String,
    /// Where on the disk it is, in sectors behind the start of what belongs to volumes.
    pub(super) start: u64,
    /// Where in its component it is.
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) component: u64,
    pub(super) disk: u64,
}

pub(super) struct Disk {
    pub(super) name: String,
    /// By what it is known.
    pub(super) disk: String,
}

/// Set in an object that is being made, and that does not count yet.
const NOT_YET: u64 = 2;
/// Kinds of objects, with their revisions.
const VOLUME: u64 = 0x51;
const COMPONENT: u64 = 0x32;
const PART: u64 = 0x33;
const DISKS: [u64; 2] = [0x34, 0x44];
const GROUPS: [u64; 2] = [0x35, 0x45];

/// Fields of a record, one behind the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(|_| ())
    }

    /// A field behind its length.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?.first().copied()?;
        self.take(usize::from(len))
    }

    fn number(&mut self) -> Option<u64> {
        let field = self.sized()?;
        (field.len() <= 8).then(|| be(field, 0, 8.min(field.len())))
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.sized()?).into_owned())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn fixed(&mut self) -> Option<u64> {
        Some(be(self.take(8)?, 0, 8))
    }
}

impl Object {
    /// What a record tells; `None` of one that says nothing of volumes, or does not count yet.
    pub(super) fn parse(record: &[u8]) -> Result<Option<Self>> {
        let status = be(record, 0, 2);
        let kind = be(record, 3, 1);
        let len = usize::try_from(be(record, 4, 4)).unwrap_or(usize::MAX);
        if status & NOT_YET != 0 || GROUPS.contains(&kind) {
            return Ok(None);
        }
        let bad = || Error::damaged("dynamic disk's database", format!("a record {kind:#04x}"));
        let data = record.get(8..).and_then(|data| data.get(..len));
        let mut fields = Fields(data.ok_or_else(bad)?);
        let parsed = match kind {
            VOLUME => volume(&mut fields),
            COMPONENT => component(&mut fields),
            PART => part(&mut fields),
            kind if DISKS.contains(&kind) => disk(&mut fields, kind),
            kind => {
                let why =
                    format!("a dynamic disk's database with a record of the kind {kind:#04x}");
                return Err(Error::Unsupported(why));
            }
        };
        parsed.map(Some).ok_or_else(bad)
    }
}

fn volume(fields: &mut Fields<'_>) -> Option<Object> {
    let (id, name) = (fields.number()?, fields.text()?);
    // “gen” or “raid5”, which components tell as well; whether it has no drive letter; a state, a number,
    // flags.
    fields.sized()?;
    fields.sized()?;
    fields.skip(14 + 1 + 1 + 1 + 3 + 1)?;
    fields.number()?;
    fields.skip(8 + 8)?;
    let len = fields.number()?;
    Some(Object::Volume(id, Volume { name, len }))
}

fn component(fields: &mut Fields<'_>) -> Option<Object> {
    let id = fields.number()?;
    // Its name and state.
    fields.sized()?;
    fields.sized()?;
    let layout = match fields.byte()? {
        1 => Layout::Striped,
        2 => Layout::Concatenated,
        3 => Layout::Raid,
        _ => return None,
    };
    fields.skip(4)?;
    let parts = fields.number()?;
    fields.skip(8 + 8)?;
    let volume = fields.number()?;
    let component = Component {
        layout,
        parts,
        volume,
    };
    Some(Object::Component(id, component))
}

fn part(fields: &mut Fields<'_>) -> Option<Object> {
    fields.number()?;
    let name = fields.text()?;
    fields.skip(4 + 8)?;
    let (start, offset) = (fields.fixed()?, fields.fixed()?);
    let len = fields.number()?;
    let (component, disk) = (fields.number()?, fields.number()?);
    Some(Object::Part(Part {
        name,
        start,
        offset,
        len,
        component,
        disk,
    }))
}

fn disk(fields: &mut Fields<'_>, kind: u64) -> Option<Object> {
    let (id, name) = (fields.number()?, fields.text()?);
    let known = match kind {
        0x34 => Uuid::parse_str(&fields.text()?).ok()?,
        _ => Uuid::from_slice(fields.take(16)?).ok()?,
    };
    let disk = known.hyphenated().to_string();
    Some(Object::Disk(id, Disk { name, disk }))
}
