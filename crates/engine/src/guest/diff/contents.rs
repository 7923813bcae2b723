//! Whether two files, or streams, have the same contents, by the cheapest evidence that proves it.
//!
//! In this order: their lengths; where they lie, if they lie in the same places and these are the same on both
//! disks; the bytes. Where a reader does not tell in what places contents lie, a file whose number, length and
//! times are all the same, that of any change to it included, is taken to be the same, and counted as such.

use disk::{ByteRange, ByteRanges};
use guestfs::{Content, Error, FileSystem, Lies, Name, Node};

use crate::cancel::Cancel;

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

/// By what it is known whether contents are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// They lie in the same places, and these are the same in both disk maps.
    Map,
    /// They, or the parts of them that may differ, were read.
    Read,
    /// They have another length.
    Length,
    /// Number, length and all times of the file.
    Metadata,
}

impl By {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Read => "read",
            Self::Length => "length",
            Self::Metadata => "metadata",
        }
    }
}

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) differ: bool,
    pub(super) by: By,
}

/// A file system at two moments.
pub(super) struct Pair<'a> {
    pub(super) before: &'a dyn FileSystem,
    pub(super) after: &'a dyn FileSystem,
    /// Where on the volume bytes may differ; nothing when all may.
    pub(super) differing: Option<&'a ByteRanges>,
    /// Whether all contents are to be read.
    pub(super) thorough: bool,
    pub(super) cancel: &'a Cancel,
}

impl Pair<'_> {
    /// Compares contents, or those of a stream. An answer that comes after somebody asked to stop is none.
    pub(super) fn contents(
        &self,
        before: &Node,
        after: &Node,
        stream: Option<&Name>,
    ) -> Result<Told, Error> {
        if stream.is_none() && (before.obstacle.is_some() || after.obstacle.is_some()) {
            let same = before.obstacle == after.obstacle && ruled_out(before, after);
            return Ok(told(!same, By::Metadata));
        }
        let mut one = self.before.open(before.id, stream)?;
        let mut other = self.after.open(after.id, stream)?;
        if one.len() != other.len() {
            return Ok(told(true, By::Length));
        }
        let all = ByteRange::new(0, one.len());
        if !self.thorough {
            match self.by_place(one.as_mut(), other.as_mut())? {
                Some(told) => return Ok(told),
                None if ruled_out(before, after) => return Ok(told(false, By::Metadata)),
                None => {}
            }
        }
        let differ = self.bytes(one.as_mut(), other.as_mut(), all)?;
        Ok(told(differ, By::Read))
    }

    /// By where they lie; `None` if that is not told.
    fn by_place(
        &self,
        one: &mut dyn Content,
        other: &mut dyn Content,
    ) -> Result<Option<Told>, Error> {
        let Some(differing) = self.differing else {
            return Ok(None);
        };
        let (len, mut at, mut by) = (one.len(), 0, By::Map);
        while at < len && !self.cancel.is_cancelled() {
            let (Some(was), Some(is)) = (one.place(at)?, other.place(at)?) else {
                return Ok(None);
            };
            let end = was.range.end.min(is.range.end).min(len);
            if end <= at {
                return Ok(None);
            }
            let mut parts = Vec::new();
            match (was.lies, is.lies) {
                (Lies::Nowhere, Lies::Nowhere) => {}
                (Lies::At(there), Lies::At(place)) if there == place => {
                    let on_volume = ByteRange::new(place, place.saturating_add(end - at));
                    parts.extend(differing.within(on_volume).map(|part| {
                        ByteRange::new(at + (part.start - place), at + (part.end - place))
                    }));
                }
                _ => parts.push(ByteRange::new(at, end)),
            }
            for part in parts {
                by = By::Read;
                if self.bytes(one, other, part)? {
                    return Ok(Some(told(true, by)));
                }
            }
            at = end;
        }
        Ok(Some(told(false, by)))
    }

    /// Whether bytes differ. What is a hole in both is not read.
    fn bytes(
        &self,
        one: &mut dyn Content,
        other: &mut dyn Content,
        range: ByteRange,
    ) -> Result<bool, Error> {
        let most = usize::try_from(range.len()).unwrap_or(PIECE).min(PIECE);
        let (mut was, mut is) = (vec![0; most], vec![0; most]);
        let mut at = range.start;
        while at < range.end && !self.cancel.is_cancelled() {
            let starts = [one.next_data(at)?, other.next_data(at)?];
            let starts = starts.into_iter().flatten().map(|data| data.start.max(at));
            let Some(start) = starts.min().filter(|start| *start < range.end) else {
                return Ok(false);
            };
            let len = (range.end - start).min(most as u64) as usize;
            let (was, is) = (&mut was[..len], &mut is[..len]);
            one.read_at(start, was)?;
            other.read_at(start, is)?;
            if was != is {
                return Ok(true);
            }
            at = start + len as u64;
        }
        Ok(false)
    }
}

fn told(differ: bool, by: By) -> Told {
    Told { differ, by }
}

/// Whether a file cannot have changed by what its file system notes with every change. One that does not note
/// when anything of a file changed rules nothing out.
fn ruled_out(before: &Node, after: &Node) -> bool {
    let same_times = before.times.changed.is_some()
        && before.times.changed == after.times.changed
        && before.times.modified == after.times.modified
        && before.times.created == after.times.created;
    same_times
        && before.id == after.id
        && before.len == after.len
        && before.attributes == after.attributes
}
