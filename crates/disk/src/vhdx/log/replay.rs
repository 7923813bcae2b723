//! Finding the active sequence (MS-VHDX 2.3.2) and applying it to an overlay.

use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::range::ByteRange;
use crate::vhdx::SECTOR;
use crate::vhdx::header::Header;
use crate::vhdx::log::entry::{Descriptor, EntryHeader};
use crate::vhdx::log::overlay::{Overlay, Patch, View};
use crate::vhdx::log::ring::Ring;
use crate::vhdx::region::REGION_TABLE_OFFSETS;

/// The most changes of one log that are accepted. A log of 1 GiB holds 2^18 sectors; only ones
/// made to exhaust memory have more descriptors than this.
const MAX_CHANGES: u32 = 1 << 20;

/// Entries that follow each other, as places in the log.
struct Run {
    starts: Vec<u64>,
    len: u64,
    last: EntryHeader,
}

/// The file as it is once the log that `header` names has been applied. The file itself is only
/// read. A log that is not in use leaves the file as it is.
///
/// # Errors
/// [`Error::Damaged`] when the log is in use but holds no valid sequence, writes where nothing
/// may be logged, or shows that the file was cut short since.
pub fn replay<F: ReadAt>(file: F, header: &Header) -> Result<View<F>> {
    let damaged = |why: String| Err(Error::damaged("log", why));
    let file_len = file
        .len()
        .map_err(Error::io("asking for the file's length"))?;
    if header.log_guid.is_nil() {
        return Ok(View::plain(file, file_len));
    }
    let log = ByteRange::at(header.log_offset, u64::from(header.log_len));
    let Some(log) = log.filter(|log| log.end <= file_len) else {
        return damaged(format!(
            "it should lie at {} but the file ends at {file_len}",
            header.log_offset
        ));
    };
    let mut ring = Ring::new(&file, log.start, log.len(), header.log_guid);
    let Some(run) = active(&mut ring)? else {
        return damaged("it is in use but holds no valid sequence of entries".into());
    };
    if run.last.flushed_file_offset > file_len {
        return damaged(format!(
            "the file had {} bytes when it was written and has {file_len} now: it was cut short",
            run.last.flushed_file_offset
        ));
    }

    let mut overlay = Overlay::default();
    let mut len = run.last.last_file_offset;
    let mut changes = 0;
    let needed = run
        .starts
        .iter()
        .skip_while(|start| **start != u64::from(run.last.tail));
    for start in needed {
        let mut patches = Vec::new();
        let entry = ring.entry(*start, |descriptor, data_at| {
            changes += 1;
            if changes > MAX_CHANGES {
                let why = format!("a log of more than {MAX_CHANGES} changes");
                return Err(Error::Unsupported(why));
            }
            patches.push((descriptor, data_at));
            Ok(())
        })?;
        if entry.is_none() {
            return damaged("it changed while it was read".into());
        }
        for (descriptor, data_at) in patches {
            let offset = descriptor.file_offset();
            let range = ByteRange::new(offset, offset.saturating_add(descriptor.len()));
            if offset < REGION_TABLE_OFFSETS[0] || range.intersect(&log).is_some() {
                return damaged(format!(
                    "an entry writes to {range:?}, the place of the headers or of the log"
                ));
            }
            len = len.max(range.end);
            let patch = match descriptor {
                Descriptor::Zero { .. } => Patch::Zero,
                Descriptor::Data {
                    sequence,
                    leading,
                    trailing,
                    ..
                } => {
                    let at = ring.file_offset(data_at);
                    Patch::Sector {
                        at,
                        sequence,
                        leading,
                        trailing,
                    }
                }
            };
            overlay.put(range, patch);
        }
    }
    Ok(View::patched(file, file_len, len, overlay))
}

/// The valid sequence with the highest number: one whose last entry's tail is in it.
fn active<F: ReadAt>(ring: &mut Ring<'_, F>) -> Result<Option<Run>> {
    let mut best: Option<Run> = None;
    let mut tail = 0;
    loop {
        let next = match run(ring, tail)? {
            None => tail + SECTOR,
            Some(run) => {
                // Also behind a run that does not count: its own tails end at the same entry, so
                // they count even less, and between an entry's ends no other can begin.
                let next = (tail + run.len) % ring.len();
                let newer = best
                    .as_ref()
                    .is_none_or(|b| run.last.sequence > b.last.sequence);
                if newer && run.starts.contains(&u64::from(run.last.tail)) {
                    best = Some(run);
                }
                next
            }
        };
        if next <= tail || next >= ring.len() {
            return Ok(best);
        }
        tail = next;
    }
}

/// The entries from `start` on, as long as each follows the one before and all fit in the log.
fn run<F: ReadAt>(ring: &mut Ring<'_, F>, start: u64) -> Result<Option<Run>> {
    let mut run: Option<Run> = None;
    loop {
        let len = run.as_ref().map_or(0, |run| run.len);
        if len >= ring.len() {
            return Ok(run);
        }
        let at = (start + len) % ring.len();
        let Some(entry) = ring.entry(at, |_, _| Ok(()))? else {
            return Ok(run);
        };
        let entry_len = u64::from(entry.entry_len);
        if len + entry_len > ring.len() {
            return Ok(run);
        }
        match &mut run {
            None => {
                run = Some(Run {
                    starts: vec![at],
                    len: entry_len,
                    last: entry,
                });
            }
            Some(run) if run.last.sequence.checked_add(1) == Some(entry.sequence) => {
                run.starts.push(at);
                run.len += entry_len;
                run.last = entry;
            }
            Some(_) => return Ok(run),
        }
    }
}

#[cfg(test)]
mod tests;
