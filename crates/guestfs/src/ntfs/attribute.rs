//! One attribute in an MFT record.

use super::le::{byte, le16, le32, le64};

/// `$STANDARD_INFORMATION`
pub(super) const STANDARD_INFORMATION: u32 = 0x10;
/// `$ATTRIBUTE_LIST`
pub(super) const ATTRIBUTE_LIST: u32 = 0x20;
/// `$FILE_NAME`
pub(super) const FILE_NAME: u32 = 0x30;
/// `$SECURITY_DESCRIPTOR`
pub(super) const SECURITY_DESCRIPTOR: u32 = 0x50;
/// `$VOLUME_NAME`
pub(super) const VOLUME_NAME: u32 = 0x60;
/// `$VOLUME_INFORMATION`
pub(super) const VOLUME_INFORMATION: u32 = 0x70;
/// `$DATA`
pub(super) const DATA: u32 = 0x80;
/// `$INDEX_ROOT`
pub(super) const INDEX_ROOT: u32 = 0x90;
/// `$INDEX_ALLOCATION`
pub(super) const INDEX_ALLOCATION: u32 = 0xa0;
/// `$REPARSE_POINT`
pub(super) const REPARSE_POINT: u32 = 0xc0;
/// `$EA`
pub(super) const EA: u32 = 0xe0;

/// Of an attribute's flags: how it is compressed.
pub(super) const COMPRESSED: u16 = 0x00ff;
/// Of an attribute's flags: it is encrypted by EFS.
pub(super) const ENCRYPTED: u16 = 0x4000;

/// An attribute, or a part of one whose parts lie in several records.
pub(super) struct Attribute<'a> {
    pub(super) kind: u32,
    pub(super) id: u16,
    pub(super) flags: u16,
    /// Its name, as units of UTF-16.
    pub(super) name: &'a [u8],
    pub(super) form: Form<'a>,
}

/// Where the contents of an attribute are.
pub(super) enum Form<'a> {
    /// In the record.
    Resident(&'a [u8]),
    /// In clusters.
    Spread(Spread<'a>),
}

/// The header of an attribute in clusters. Sizes are told by its first part alone.
pub(super) struct Spread<'a> {
    /// First cluster of this part, counted in the attribute.
    pub(super) first: u64,
    /// The one behind its last.
    pub(super) next: u64,
    /// Clusters of a unit of compression, as a power of two.
    pub(super) unit: u8,
    /// Bytes of its clusters.
    pub(super) allocated: u64,
    pub(super) len: u64,
    pub(super) initialised: u64,
    /// Bytes of the clusters that are not holes, where there may be holes.
    pub(super) stored: Option<u64>,
    /// The run list.
    pub(super) runs: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Parses the attribute at the start of `bytes`, and tells how many it takes; or says what is wrong.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<(Self, usize), String> {
        let kind = le32(bytes, 0);
        let len = le32(bytes, 4) as usize;
        let odd = |what: &str| format!("attribute {kind:#x}: {what}");
        if len < 0x18 || !len.is_multiple_of(8) || len > bytes.len() {
            return Err(odd(&format!("{len} bytes, where {} are left", bytes.len())));
        }
        let all = bytes.get(..len).unwrap_or_default();
        let from = usize::from(le16(all, 0xa));
        let name_len = usize::from(byte(all, 9)) * 2;
        let name = match name_len {
            0 => &[],
            len => all
                .get(from..from + len)
                .ok_or_else(|| odd("a name behind its end"))?,
        };
        let form = match byte(all, 8) {
            0 => {
                let from = usize::from(le16(all, 0x14));
                let len = le32(all, 0x10) as usize;
                let value = from.checked_add(len).and_then(|end| all.get(from..end));
                Form::Resident(value.ok_or_else(|| odd(&format!("{len} bytes at {from}")))?)
            }
            1 => Form::Spread(Spread::parse(all).map_err(|why| odd(&why))?),
            other => return Err(odd(&format!("its form is {other}"))),
        };
        let attribute = Self {
            kind,
            id: le16(all, 0xe),
            flags: le16(all, 0xc),
            name,
            form,
        };
        Ok((attribute, len))
    }
}

impl<'a> Spread<'a> {
    fn parse(all: &'a [u8]) -> Result<Self, String> {
        if all.len() < 0x40 {
            return Err(format!("{} bytes", all.len()));
        }
        let first = le64(all, 0x10);
        // Of an attribute without clusters the last is -1.
        let next = le64(all, 0x18).wrapping_add(1);
        if next < first {
            return Err(format!("clusters {first} to {next}"));
        }
        let from = usize::from(le16(all, 0x20));
        let holes = le16(all, 0xc) & 0x80ff != 0 && first == 0;
        Ok(Self {
            first,
            next,
            unit: byte(all, 0x22),
            allocated: le64(all, 0x28),
            len: le64(all, 0x30),
            initialised: le64(all, 0x38),
            stored: (holes && from >= 0x48).then(|| le64(all, 0x40)),
            runs: all.get(from..).ok_or("a run list behind its end")?,
        })
    }
}
