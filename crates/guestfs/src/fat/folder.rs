//! Folders of FAT: where they lie, and all that is in them.

use std::ops::ControlFlow;

use disk::{BlockRead as _, ByteRange};

use super::Fat;
use super::entry::{Found, Is, Raw};
use super::names::Long;
use crate::clusters::Walk;
use crate::error::{Error, Result};

/// Bytes of a folder at most: 65 536 entries, as the specification and all drivers have it.
const MOST: u64 = 2 << 20;
/// Bytes that are read at once.
const PIECE: u64 = 16 << 10;
const ENTRY: usize = 32;

/// Where a folder lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// The root of FAT12 and FAT16.
    Fixed(ByteRange),
    /// From this cluster on.
    Chain(u32),
}

impl Fat {
    /// Calls `each` with every entry and its place, to the end of the folder.
    pub(super) fn entries(
        &self,
        folder: Folder,
        each: &mut dyn FnMut(u64, Raw) -> ControlFlow<()>,
    ) -> Result<()> {
        let first = match folder {
            Folder::Fixed(range) => return self.entries_in(range, each).map(drop),
            Folder::Chain(first) => first,
        };
        let size = u64::from(self.clusters.shape.size);
        // All of the chain before the first name, so that none is told of a chain that is a circle.
        let mut walk = Walk::chain(&self.clusters, first, 1)?;
        let most = (MOST / size).max(1);
        let mut count = 0;
        let whole = loop {
            match walk.get(count) {
                Ok(Some(_)) if count >= most => {
                    let why = format!("it has more than {most} clusters");
                    return Err(Error::damaged(format!("folder at cluster {first}"), why));
                }
                Ok(Some(_)) => count += 1,
                Ok(None) => break Ok(()),
                Err(error) if walk.is_circle() => return Err(error),
                // What lies before the cut is given.
                Err(error) => break Err(error),
            }
        };
        for index in 0..count {
            let Some(cluster) = walk.get(index)? else {
                break;
            };
            let start = self.clusters.place(cluster)?;
            if self
                .entries_in(ByteRange::new(start, start + size), each)?
                .is_break()
            {
                return Ok(());
            }
        }
        whole
    }

    /// Breaks behind the last entry, or when `each` does.
    fn entries_in(
        &self,
        range: ByteRange,
        each: &mut dyn FnMut(u64, Raw) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let mut start = range.start;
        while start < range.end {
            let len = PIECE.min(range.end - start);
            let mut bytes = vec![0; len as usize];
            self.clusters.cached.read_at(start, &mut bytes)?;
            for (place, entry) in (start..).step_by(ENTRY).zip(bytes.as_chunks::<ENTRY>().0) {
                let raw = Raw(*entry);
                if raw.is() == Is::End || each(place, raw).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            start += len;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Calls `each` with every file and folder, until it breaks.
    pub(super) fn found(
        &self,
        folder: Folder,
        each: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut long = Long::default();
        self.entries(folder, &mut |place, raw| {
            match raw.is() {
                Is::Piece => long.push(&raw.0),
                Is::Node => {
                    let long = long.take(raw.short_bytes());
                    return each(Found { place, raw, long });
                }
                _ => long = Long::default(),
            }
            ControlFlow::Continue(())
        })
    }

    /// Checks that a folder which begins at a cluster is one, and that it belongs where its entry is. So
    /// nobody who goes down is led back up, or into a file.
    pub(super) fn check_folder(&self, first: u32, entry: u64) -> Result<()> {
        let damaged = |why| Error::damaged(format!("folder at cluster {first}"), why);
        let mut bytes = [0; 2 * ENTRY];
        self.clusters
            .cached
            .read_at(self.clusters.place(first)?, &mut bytes)?;
        let [own, above] = bytes.as_chunks::<ENTRY>().0 else {
            return Ok(());
        };
        let (own, above) = (Raw(*own), Raw(*above));
        let are_dots = own.is() == Is::Dots && above.is() == Is::Dots;
        if !are_dots || own.cluster(self.is_32()) != first {
            return Err(damaged(
                "it does not begin with an entry of itself".to_owned(),
            ));
        }
        let at = above.cluster(self.is_32());
        let is_there = match (at, self.root) {
            (0, Folder::Fixed(range)) => range.start <= entry && entry < range.end,
            (0, Folder::Chain(root)) => self.leads_to(root, entry)?,
            (above, _) => self.leads_to(above, entry)?,
        };
        match is_there {
            true => Ok(()),
            false => Err(damaged(format!(
                "it says that it lies in the folder at cluster {at}, which is not where it was found"
            ))),
        }
    }

    /// Whether the folder at a cluster has the entry at a place.
    fn leads_to(&self, first: u32, entry: u64) -> Result<bool> {
        let Some(wanted) = self.clusters.around(entry) else {
            return Ok(false);
        };
        let mut walk = Walk::chain(&self.clusters, first, 1)?;
        for index in 0..(MOST / u64::from(self.clusters.shape.size)).max(1) {
            match walk.get(index)? {
                Some(cluster) if cluster == wanted => return Ok(true),
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}
