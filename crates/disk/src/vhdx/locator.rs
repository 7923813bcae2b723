//! The parent locator (MS-VHDX 2.6.2.6): which file holds what a differencing file does not.

use uuid::{Uuid, uuid};

use crate::error::{Error, Result};
use crate::layer::{ParentLink, ParentPath, PathKind};
use crate::vhdx::bytes::{guid_at, put, to_utf16, u16_at, u32_at, utf16};

/// The only type of locator there is: a parent that is a VHDX.
pub const LOCATOR_TYPE: Uuid = uuid!("B04AEFB7-D19E-4A81-B789-25B8E9445913");

/// The most entries that are accepted, as in Microsoft's implementation.
pub const MAX_ENTRIES: usize = 256;

const LINKAGE: &str = "parent_linkage";
const LINKAGE2: &str = "parent_linkage2";
/// In the order in which the specification has them tried.
const PATHS: [(&str, PathKind); 3] = [
    ("relative_path", PathKind::Relative),
    ("volume_path", PathKind::Volume),
    ("absolute_win32_path", PathKind::Absolute),
];

/// The entries of a parent locator, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLocator {
    /// Keys with their values.
    pub entries: Vec<(String, String)>,
}

impl ParentLocator {
    /// Reads the metadata item. Offsets in it count from its own start, lengths are bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another type of locator, [`Error::Damaged`] for entries that
    /// lie outside the item or appear twice.
    pub fn decode(item: &[u8]) -> Result<Self> {
        let damaged = |why: String| Error::damaged("parent locator", why);
        if item.len() < 20 {
            return Err(damaged(format!("{} bytes where 20 are needed", item.len())));
        }
        let kind = guid_at(item, 0);
        if kind != LOCATOR_TYPE {
            return Err(Error::Unsupported(format!("parent locator of type {kind}")));
        }
        let count = usize::from(u16_at(item, 18));
        if count > MAX_ENTRIES {
            return Err(damaged(format!("{count} entries")));
        }
        let table = item
            .get(20..20 + 12 * count)
            .ok_or_else(|| damaged(format!("{count} entries do not fit")))?;
        let text = |offset: u32, len: u16| {
            let start = offset as usize;
            let bytes = start
                .checked_add(usize::from(len))
                .and_then(|end| item.get(start..end))
                .filter(|bytes| bytes.len().is_multiple_of(2))
                .ok_or_else(|| damaged(format!("text of {len} bytes at {offset}")))?;
            // The specification has no terminators; some writers add one.
            Ok(utf16(bytes).trim_end_matches('\0').to_owned())
        };
        let mut entries: Vec<(String, String)> = Vec::with_capacity(count);
        for entry in table.chunks_exact(12) {
            let key = text(u32_at(entry, 0), u16_at(entry, 8))?;
            let value = text(u32_at(entry, 4), u16_at(entry, 10))?;
            if entries
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(&key))
            {
                return Err(damaged(format!("the key {key:?} appears twice")));
            }
            entries.push((key, value));
        }
        Ok(Self { entries })
    }

    /// Writes the metadata item.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no entries, too many, empty texts, ones of more than 64 KiB, or
    /// a key that appears twice.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let count = self.entries.len();
        if count == 0 || count > MAX_ENTRIES {
            return Err(Error::Invalid(format!(
                "a parent locator of {count} entries"
            )));
        }
        let mut out = vec![0; 20 + 12 * count];
        put(&mut out, 0, &LOCATOR_TYPE.to_bytes_le());
        put(&mut out, 18, &(count as u16).to_le_bytes());
        for (i, (key, value)) in self.entries.iter().enumerate() {
            let before = &self.entries[..i];
            if before
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(key))
            {
                let why = format!("a parent locator cannot hold {key:?} twice");
                return Err(Error::Invalid(why));
            }
            for (text, offset_at, len_at) in [(key, 0, 8), (value, 4, 10)] {
                let bytes = to_utf16(text);
                let len = u16::try_from(bytes.len()).ok().filter(|len| *len > 0);
                let len = len.filter(|_| !text.contains('\0')).ok_or_else(|| {
                    Error::Invalid(format!("a parent locator cannot hold {key:?} = {value:?}"))
                })?;
                let entry = 20 + 12 * i;
                // At most 256 entries of twice 64 KiB: far from the end of 32 bits.
                let offset = out.len() as u32;
                put(&mut out, entry + offset_at, &offset.to_le_bytes());
                put(&mut out, entry + len_at, &len.to_le_bytes());
                out.extend(bytes);
            }
        }
        Ok(out)
    }

    /// The value of a key, whose case does not matter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    /// What the entries mean.
    ///
    /// # Errors
    /// [`Error::Damaged`] when no entry says which parent is meant.
    pub fn link(&self) -> Result<ParentLink> {
        let mut identities = Vec::new();
        for key in [LINKAGE, LINKAGE2] {
            let Some(text) = self.get(key) else { continue };
            let id = Uuid::try_parse(text.trim()).map_err(|_| {
                Error::damaged("parent locator", format!("{key} {text:?} is no GUID"))
            })?;
            // An unused second linkage is present as zeros.
            if !id.is_nil() && !identities.contains(&id) {
                identities.push(id);
            }
        }
        if identities.is_empty() {
            return Err(Error::damaged("parent locator", format!("no {LINKAGE}")));
        }
        let paths = PATHS.iter().filter_map(|(key, kind)| {
            let path = self.get(key).filter(|path| !path.is_empty())?;
            Some(ParentPath {
                kind: *kind,
                path: path.to_owned(),
            })
        });
        let known = |key: &str| {
            [LINKAGE, LINKAGE2]
                .into_iter()
                .chain(PATHS.map(|(key, _)| key))
                .any(|known| known.eq_ignore_ascii_case(key))
        };
        Ok(ParentLink {
            identities,
            paths: paths.collect(),
            other: self
                .entries
                .iter()
                .filter(|(key, _)| !known(key))
                .cloned()
                .collect(),
            timestamp: None,
        })
    }

    /// The entries that say what `link` says, in the usual order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what this format cannot express: no or more than two identities, or
    /// kinds of paths that only a VHD has.
    pub fn from_link(link: &ParentLink) -> Result<Self> {
        if link.identities.is_empty() || link.identities.len() > 2 {
            let count = link.identities.len();
            return Err(Error::Invalid(format!(
                "a VHDX child of {count} identities"
            )));
        }
        let mut entries: Vec<_> = [LINKAGE, LINKAGE2]
            .into_iter()
            .zip(&link.identities)
            .map(|(key, id)| (key.to_owned(), id.braced().to_string()))
            .collect();
        for path in &link.paths {
            let key = PATHS.iter().find(|(_, kind)| *kind == path.kind);
            let (key, _) = key.ok_or_else(|| {
                Error::Invalid(format!("a VHDX child with a path of kind {:?}", path.kind))
            })?;
            entries.push(((*key).to_owned(), path.path.clone()));
        }
        entries.extend(link.other.iter().cloned());
        Ok(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(entries: &[(&str, &str)]) -> ParentLocator {
        ParentLocator {
            entries: entries
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        }
    }

    const ID: &str = "{83ed0ec1-24c8-49a6-a959-5e4bd1288015}";

    #[test]
    fn entries_and_their_meaning_survive() {
        let written = locator(&[
            ("parent_linkage", ID),
            ("relative_path", r"..\親 disk\base.vhdx"),
            ("absolute_win32_path", r"\\?\C:\親 disk\base.vhdx"),
            ("x_other", "kept"),
        ]);
        let read = ParentLocator::decode(&written.encode().unwrap()).unwrap();
        assert_eq!(read, written);
        let link = read.link().unwrap();
        assert_eq!(link.identities, [Uuid::try_parse(ID).unwrap()]);
        let kinds: Vec<_> = link.paths.iter().map(|path| path.kind).collect();
        assert_eq!(kinds, [PathKind::Relative, PathKind::Absolute]);
        assert_eq!(ParentLocator::from_link(&link).unwrap(), written);
    }

    #[test]
    fn linkages_are_read_in_any_spelling_and_zeros_mean_none() {
        let nil = Uuid::nil().braced().to_string();
        for (entries, count) in [
            (
                vec![("Parent_Linkage", "83ED0EC1-24C8-49A6-A959-5E4BD1288015")],
                1,
            ),
            (
                vec![("parent_linkage", ID), ("parent_linkage2", nil.as_str())],
                1,
            ),
            (vec![("parent_linkage", ID), ("parent_linkage2", ID)], 1),
            (
                vec![
                    ("parent_linkage2", ID),
                    ("parent_linkage", "{83ed0ec1-24c8-49a6-a959-5e4bd1288016}"),
                ],
                2,
            ),
        ] {
            let link = locator(&entries).link().unwrap();
            assert_eq!(link.identities.len(), count, "{entries:?}");
            assert!(link.accepts(link.identities.first().copied()));
            assert!(!link.accepts(None) && !link.accepts(Some(Uuid::from_u128(1))));
        }
        locator(&[("relative_path", "x")]).link().unwrap_err();
        locator(&[("parent_linkage", "x")]).link().unwrap_err();
        locator(&[("parent_linkage", &nil)]).link().unwrap_err();
    }

    #[test]
    fn every_cut_and_every_lying_length_is_damage() {
        let item = locator(&[("parent_linkage", ID), ("k", "v")])
            .encode()
            .unwrap();
        for len in 0..item.len() {
            assert!(ParentLocator::decode(&item[..len]).is_err(), "{len}");
        }
        for at in 20..44 {
            let mut bad = item.clone();
            bad[at] = 0xFF;
            assert!(ParentLocator::decode(&bad).is_err(), "{at}");
        }
        locator(&[("k", "a"), ("K", "b")]).encode().unwrap_err();
        let mut twice = locator(&[("k", "a"), ("j", "b")]).encode().unwrap();
        let at = twice.iter().rposition(|byte| *byte == b'j').unwrap();
        twice[at] = b'K';
        ParentLocator::decode(&twice).unwrap_err();
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        locator(&[]).encode().unwrap_err();
        locator(&[("k", "")]).encode().unwrap_err();
        locator(&[("k", "a\0b")]).encode().unwrap_err();
        locator(&[("k", &"x".repeat(32768))]).encode().unwrap_err();
    }
}
