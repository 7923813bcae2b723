//! Which bytes of a guest's disks differ between two moments, by the maps of their layers alone.
//!
//! A byte of a chain is what the topmost layer says that says anything. So where two chains agree in all
//! layers that they pair, from the base up, and where those that only one of them has say nothing, the disk
//! is the same. Anything else is taken for different.

use std::sync::Arc;

use disk::{BlockRead, ByteRange, ByteRanges, Content, Extent, Geometry};
use guestfs::Device;
use vault::{DiskReader, Vault};

use crate::guest::tops;
use crate::restore::Opened;
use crate::source::Owner;

/// Ranges that are kept of one layer at most (4 MiB): those that are near each other become one.
const MOST: usize = 1 << 18;

/// What places the disks of an owner have: where they are attached, or their numbers.
pub(super) fn places(point: &Opened, owner: &Owner) -> Vec<(String, usize)> {
    let all = tops(point, owner).into_iter().enumerate();
    all.map(|(at, (slot, top))| match slot.is_empty() {
        true => (format!("disk {at}"), top),
        false => (slot, top),
    })
    .collect()
}

/// Of each disk of the later moment the bytes that may differ from the one that was in its place before; nothing
/// where that cannot be told, and all may.
pub(super) fn compared(
    vault: &Vault,
    before: (&Opened, &Owner),
    after: (&Opened, &Owner),
) -> Vec<Option<Arc<ByteRanges>>> {
    let old = places(before.0, before.1);
    let new = places(after.0, after.1).into_iter();
    let compare = |(place, top): (String, usize)| {
        let (_, was) = old.iter().find(|(other, _)| *other == place)?;
        let found = differences(vault, (before.0, *was), (after.0, top));
        // A map that cannot be read shows again where the disk is read, which tells it.
        found.ok().map(Arc::new)
    };
    new.map(compare).collect()
}

fn differences(
    vault: &Vault,
    (before, was): (&Opened, usize),
    (after, is): (&Opened, usize),
) -> Result<ByteRanges, vault::Error> {
    let readers = |point: &Opened, top: usize| -> Result<Vec<DiskReader>, vault::Error> {
        let chain = point.details.chain(top).into_iter().rev();
        let roots = chain.filter_map(|layer| point.layer_roots.get(layer));
        roots.map(|root| vault.disk(root)).collect()
    };
    // From the base up.
    let (old, new) = (readers(before, was)?, readers(after, is)?);
    let mut all: Vec<ByteRange> = Vec::new();
    let mut take = |ranges: Vec<std::ops::Range<u64>>| {
        all.extend(ranges.into_iter().map(|r| ByteRange::new(r.start, r.end)));
    };
    for (one, other) in old.iter().zip(&new) {
        take(one.differences(other, MOST)?);
    }
    let shared = old.len().min(new.len());
    let alone = old.iter().skip(shared).chain(new.iter().skip(shared));
    for layer in alone {
        take(layer.stored(MOST)?);
    }
    // Where only one of both disks has bytes.
    let ends = [&old, &new].map(|chain| chain.last().map_or(0, DiskReader::len));
    let (short, long) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    take(std::iter::once(short..long).collect());
    Ok(all.into_iter().collect())
}

/// A disk whose extents are the bytes that may differ, and whose holes are those that do not. So whatever lies
/// between a disk and a file system, such as a volume group, tells where on the volume these are.
pub(super) struct Marked {
    pub(super) disk: Device,
    pub(super) differing: Option<Arc<ByteRanges>>,
}

impl BlockRead for Marked {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        self.disk.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        disk::block::check_bounds(self.disk.len(), range.start, range.len())?;
        let mut all = Vec::new();
        let mut push = |start: u64, end: u64, content| {
            if start < end {
                let range = ByteRange::new(start, end);
                all.push(Extent { range, content });
            }
        };
        let Some(differing) = &self.differing else {
            push(range.start, range.end, Content::Data);
            return Ok(all);
        };
        let mut at = range.start;
        for part in differing.within(range) {
            push(at, part.start, Content::Hole);
            push(part.start, part.end, Content::Data);
            at = part.end;
        }
        push(at, range.end, Content::Hole);
        Ok(all)
    }
}

/// The bytes of a volume on [`Marked`] disks that may differ.
pub(super) fn differing(volume: &dyn BlockRead, range: ByteRange) -> disk::Result<ByteRanges> {
    let extents = volume.extents(range)?.into_iter();
    let data = extents.filter(|extent| extent.content != Content::Hole);
    Ok(data.map(|extent| extent.range).collect())
}
