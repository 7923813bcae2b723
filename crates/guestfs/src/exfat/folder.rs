//! Folders of exFAT: all sets of entries in them.

use std::ops::ControlFlow;

use disk::BlockRead as _;

use super::ExFat;
use super::set::{ENTRY, FILE, Set, following};
use crate::clusters::{FIRST, Walk};
use crate::error::{Error, Result};

/// Bytes of a folder at most, as the specification has it.
const MOST: u64 = 256 << 20;
/// Bytes that are read at once.
const PIECE: u64 = 16 << 10;
/// A type below this one is not in use.
const IN_USE: u8 = 0x80;
const SECONDARY: u8 = 0x40;
const BENIGN: u8 = 0x20;
/// The bitmap of clusters, the table of letters and the label: of the root folder.
pub(super) const BITMAP: u8 = 0x81;
pub(super) const UPCASE: u8 = 0x82;
pub(super) const LABEL: u8 = 0x83;

/// Where a folder lies.
#[derive(Clone, Copy)]
pub(super) struct Folder {
    pub(super) first: u32,
    pub(super) is_row: bool,
    /// Bytes; of the root nothing but its chain tells.
    pub(super) len: Option<u64>,
}

impl ExFat {
    /// Calls `each` with every entry and its place, to the end of the folder.
    pub(super) fn entries(
        &self,
        folder: Folder,
        each: &mut dyn FnMut(u64, &[u8; ENTRY]) -> ControlFlow<()>,
    ) -> Result<()> {
        let size = u64::from(self.clusters.shape.size);
        let all = u64::from(self.clusters.shape.count);
        let most = MOST.div_ceil(size).min(all);
        let needed = folder.len.map(|len| len.div_ceil(size));
        if needed == Some(0) {
            return Ok(());
        }
        let count = needed.unwrap_or(most);
        if count > most {
            let why = format!("it has {count} clusters, and {most} may be");
            return Err(Error::damaged(
                format!("folder at cluster {}", folder.first),
                why,
            ));
        }
        let mut walk = match folder.is_row {
            true => Walk::row(&self.clusters, folder.first, count)?,
            false => Walk::chain(&self.clusters, folder.first, count)?,
        };
        for index in 0..count {
            let cluster = match (walk.get(index)?, folder.len) {
                (Some(cluster), _) => cluster,
                (None, None) => return Ok(()),
                (None, Some(_)) => walk.run(index, 1)?.0,
            };
            let start = self.clusters.place(cluster)?;
            for start in (start..start + size).step_by(PIECE as usize) {
                let len = PIECE.min(size);
                let mut bytes = vec![0; len as usize];
                self.clusters.cached.read_at(start, &mut bytes)?;
                for (place, entry) in (start..).step_by(ENTRY).zip(bytes.as_chunks().0) {
                    if entry[0] == 0 || each(place, entry).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every file and folder and the place of its first entry, until it breaks. What is
    /// damaged is told when all others were given.
    pub(super) fn sets(
        &self,
        folder: Folder,
        each: &mut dyn FnMut(u64, Set) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut bad = None;
        let mut open: Option<(u64, usize, Vec<[u8; ENTRY]>)> = None;
        let cut = || Error::damaged("entry of a file", "others begin before it has ended");
        let read = self.entries(folder, &mut |place, entry| {
            let kind = entry[0];
            if kind == FILE {
                if open.is_some() {
                    bad.get_or_insert_with(cut);
                }
                let wanted = following(entry) + 1;
                open = Some((place, wanted, vec![*entry]));
            } else if let Some((_, _, entries)) = &mut open
                && kind & (IN_USE | SECONDARY) == IN_USE | SECONDARY
            {
                entries.push(*entry);
            } else if open.take().is_some() {
                bad.get_or_insert_with(cut);
            } else if kind & (IN_USE | SECONDARY | BENIGN) == IN_USE
                && !matches!(kind, BITMAP | UPCASE | LABEL)
            {
                let why =
                    format!("an entry of type {kind:#04x}, which is not known and is critical");
                bad.get_or_insert_with(|| Error::damaged("folder", why));
            }
            let Some((place, _, entries)) =
                open.take_if(|(_, wanted, entries)| entries.len() == *wanted)
            else {
                return ControlFlow::Continue(());
            };
            match Set::read(&entries) {
                Ok(set) => each(place, set),
                Err(error) => {
                    bad.get_or_insert(error);
                    ControlFlow::Continue(())
                }
            }
        });
        if open.is_some() && read.is_ok() {
            bad.get_or_insert_with(cut);
        }
        match bad {
            Some(error) => read.and(Err(error)),
            None => read,
        }
    }

    /// The set whose first entry is at a place, in a folder that is a row or a chain.
    pub(super) fn set(&self, place: u64, is_row: bool) -> Result<Option<Set>> {
        let Some(mut cluster) = self.clusters.around(place) else {
            return Ok(None);
        };
        let end_of = |cluster| -> Result<u64> {
            Ok(self.clusters.place(cluster)? + u64::from(self.clusters.shape.size))
        };
        let mut entries: Vec<[u8; ENTRY]> = Vec::new();
        let (mut at, mut end) = (place, end_of(cluster)?);
        loop {
            let mut entry = [0; ENTRY];
            self.clusters.cached.read_at(at, &mut entry)?;
            if entries.is_empty() && entry[0] != FILE {
                return Ok(None);
            }
            entries.push(entry);
            // At most 256 entries: the number is a byte.
            if entries
                .first()
                .is_none_or(|first| entries.len() > following(first))
            {
                return Set::read(&entries).map(Some);
            }
            at += ENTRY as u64;
            if at < end {
                continue;
            }
            let next = match is_row {
                true => cluster.checked_add(1),
                false => self.clusters.next(cluster)?,
            };
            let Some(next) = next.filter(|next| *next >= FIRST) else {
                return Err(Error::damaged(
                    "entry of a file",
                    "its folder ends within it",
                ));
            };
            cluster = next;
            at = self.clusters.place(cluster)?;
            end = end_of(cluster)?;
        }
    }
}
