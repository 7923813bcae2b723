//! What to read of a layer: its extents and what changed, cut into the vault's segments.

use disk::block::windows;
use disk::{BlockRead, ByteRange, ByteRanges, Content, Extent, Result};

/// How much of a disk is asked for its extents at once. The answer grows with fragmentation, at
/// worst to one extent for each sector: some 12 MiB.
const WINDOW: u64 = 256 << 20;

/// Calls `each` for every segment of which the layer stores anything, ascending, with the segment's
/// number, its bytes, and the extents that cover them (and perhaps more). Blank segments cost
/// next to nothing.
///
/// # Errors
/// What the layer says (as `Some`), or what `each` says.
pub(crate) fn stored_segments(
    disk: &dyn BlockRead,
    segment: u32,
    mut each: impl FnMut(u64, ByteRange, &[Extent]) -> Result<(), Option<disk::Error>>,
) -> Result<(), Option<disk::Error>> {
    let segment = u64::from(segment);
    for window in windows(disk.len(), WINDOW / segment * segment) {
        let extents = disk.extents(window).map_err(Some)?;
        if extents.iter().all(|e| e.content == Content::Hole) {
            continue;
        }
        let mut from = 0;
        for part in windows(window.len(), segment) {
            let range = ByteRange::new(window.start + part.start, window.start + part.end);
            // Extents ascend, so each is passed over once.
            while extents
                .get(from)
                .is_some_and(|e| e.range.end <= range.start)
            {
                from += 1;
            }
            let until = extents[from..].partition_point(|e| e.range.start < range.end);
            let here = &extents[from..from + until];
            if here.iter().any(|e| e.content != Content::Hole) {
                each(range.start / segment, range, here)?;
            }
        }
    }
    Ok(())
}

/// The numbers of the segments of a disk of `len` bytes that `changed` touches, ascending. Costs
/// as much as there are changes, whatever the disk's size. A segment that changed into nothing is
/// among them, since the map must forget it.
pub(crate) fn touched(
    len: u64,
    segment: u64,
    changed: &ByteRanges,
) -> impl Iterator<Item = u64> + '_ {
    let mut next = 0;
    changed
        .within(ByteRange::new(0, len))
        .flat_map(move |range| {
            let first = (range.start / segment).max(next);
            next = range.end.div_ceil(segment);
            first..next
        })
}

/// Bytes of data that reading the layer will take; a progress bar's full length. With changed
/// ranges this is what lies in them, which reading exceeds a little at the edges of chunks.
pub(crate) fn to_read(disk: &dyn BlockRead, changed: Option<&ByteRanges>) -> Result<u64> {
    let mut total = 0u64;
    let mut add = |range: ByteRange| -> Result<()> {
        for extent in disk.extents(range)? {
            if extent.content == Content::Data {
                total = total.saturating_add(extent.range.len());
            }
        }
        Ok(())
    };
    match changed {
        None => windows(disk.len(), WINDOW).try_for_each(&mut add)?,
        Some(changed) => {
            for range in changed.within(ByteRange::new(0, disk.len())) {
                for part in windows(range.len(), WINDOW) {
                    add(ByteRange::new(
                        range.start + part.start,
                        range.start + part.end,
                    ))?;
                }
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn touched_segments_are_those_with_a_changed_byte(
            len in 0u64..200,
            segment in 1u64..20,
            pairs in prop::collection::vec((0u64..250, 0u64..30), 0..10),
        ) {
            let changed: ByteRanges = pairs.iter().map(|(at, n)| ByteRange::new(*at, at + n)).collect();
            let expected: BTreeSet<u64> = changed
                .iter()
                .flat_map(|r| r.start..r.end)
                .filter(|byte| *byte < len)
                .map(|byte| byte / segment)
                .collect();
            let found: Vec<u64> = touched(len, segment, &changed).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
