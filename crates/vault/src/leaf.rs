//! From the bytes of a segment to its leaf: all of it, or only what changed.
//!
//! A changed segment is read from the beginning of the old chunk that holds the first change and
//! cut from there. As soon as a new cut falls on an old one and nothing has changed behind it,
//! the old entries hold again, up to the next change. What is read is therefore the old chunks
//! that hold changes, and seldom one or two more.
//!
//! Where changes are small and lie far apart, even that is much more than has changed. They
//! become *patches* then: chunks of their own, beside entries that refer to the parts of the old
//! chunk before and behind them. A later change takes the place of the patches that it covers and
//! may add others, as long as the pieces are few; then all that lies between two *seams* is cut
//! anew, as if it had never been split ([`old`]).

mod cluster;
mod old;

use std::ops::Range;

use vault_format::ChunkId;
use vault_format::map::{Entry, Leaf, MapKind, Target};

use crate::cutter::{Cutter, PAGE, Piece};
use crate::error::{Error, Result};
use crate::segment::{Content, SegmentBuf};

use cluster::clusters;
use old::{ChunkLen, OldLeaf};

/// What turns bytes into stored chunks.
pub(crate) type PutChunk<'a> = &'a mut dyn FnMut(&[u8]) -> Result<ChunkId>;
/// What reads a range of the segment: it appends exactly the range to the buffer.
pub(crate) type ReadRange<'a> = &'a mut dyn FnMut(Range<u32>, &mut SegmentBuf) -> Result<()>;

/// Makes leaves of one disk.
pub(crate) struct LeafMaker<'a> {
    pub(crate) cutter: &'a Cutter,
    pub(crate) kind: MapKind,
    /// The vault's segment size.
    pub(crate) segment: u32,
}

/// What will be read for the changes: all between two seams, or, where the changes become
/// patches, just the changes.
pub(crate) fn plan(
    base: &Leaf,
    changed: &[Range<u32>],
    len: u32,
    chunk_len: ChunkLen<'_>,
) -> Vec<Range<u32>> {
    let old = &OldLeaf::new(base, len, chunk_len);
    let changed = pages(changed, len);
    let mut out: Vec<Range<u32>> = Vec::new();
    for cluster in clusters(old, &changed) {
        let whole = std::slice::from_ref(&cluster.window);
        let reads = match cluster.is_patch(old) {
            true => cluster.changed,
            false => whole,
        };
        for range in reads {
            match out.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => out.push(range.clone()),
            }
        }
    }
    out
}

/// Changed ranges, grown to pages, within the segment, ascending, no two touching.
fn pages(changed: &[Range<u32>], len: u32) -> Vec<Range<u32>> {
    let page = PAGE as u32;
    let mut out: Vec<Range<u32>> = Vec::new();
    let mut sorted: Vec<_> = changed
        .iter()
        .filter(|r| r.start < r.end && r.start < len)
        .collect();
    sorted.sort_unstable_by_key(|r| r.start);
    for range in sorted {
        let start = range.start / page * page;
        let end = range.end.div_ceil(page).saturating_mul(page).min(len);
        match out.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => out.push(start..end),
        }
    }
    out
}

impl LeafMaker<'_> {
    /// The leaf of a whole segment.
    pub(crate) fn whole(&self, buf: &SegmentBuf, put: PutChunk<'_>) -> Result<Leaf> {
        let mut entries = Vec::new();
        self.cut_runs(buf, 0, true, &mut entries, put)?;
        self.leaf(entries)
    }

    fn leaf(&self, entries: Vec<Entry>) -> Result<Leaf> {
        Leaf::new(entries, self.segment).map_err(Error::object("new leaf"))
    }

    /// Cuts the contents of `buf`, which begins at `start` of the segment, as far as the cuts are
    /// certain; with `last`, to the end. Returns how much of `buf` is done.
    fn cut_runs(
        &self,
        buf: &SegmentBuf,
        start: u32,
        last: bool,
        entries: &mut Vec<Entry>,
        put: PutChunk<'_>,
    ) -> Result<usize> {
        for (range, content) in buf.runs() {
            let mut at = range.start;
            let ends = last || range.end < buf.len();
            while at < range.end {
                let piece = match content {
                    Content::Data => {
                        let lead = (PAGE - (start as usize + at) % PAGE) % PAGE;
                        self.cutter.next(&buf.bytes()[at..range.end], lead, ends)
                    }
                    Content::Zero | Content::Hole => Some(Piece::Zero(range.end - at)),
                };
                let Some(piece) = piece else { return Ok(at) };
                let target = match (piece, content) {
                    (Piece::Chunk(len), _) => {
                        let id = put(&buf.bytes()[at..at + len])?;
                        Some(Target::Chunk { id, within: 0 })
                    }
                    (Piece::Zero(_), Content::Hole) => None,
                    // In a disk by itself, zeros are what is not stored; above a parent they
                    // must be told.
                    (Piece::Zero(_), _) => {
                        (self.kind == MapKind::Difference).then_some(Target::Zero)
                    }
                };
                if let Some(target) = target {
                    entries.push(Entry {
                        offset: start + at as u32,
                        len: piece.len() as u32,
                        target,
                    });
                }
                at += piece.len();
            }
        }
        Ok(buf.len())
    }

    #[allow(clippy::too_many_arguments)]
    /// The leaf of a segment of `len` bytes that differs from `base` only in the `changed`
    /// ranges. `read` is asked for what [`plan`] tells, and perhaps for more.
    pub(crate) fn changed(
        &self,
        base: &Leaf,
        changed: &[Range<u32>],
        len: u32,
        chunk_len: ChunkLen<'_>,
        buf: &mut SegmentBuf,
        read: ReadRange<'_>,
        put: PutChunk<'_>,
    ) -> Result<Leaf> {
        let old = &OldLeaf::new(base, len, chunk_len);
        let changed = pages(changed, len);
        let mut entries = Vec::new();
        let mut done = 0;
        for cluster in clusters(old, &changed) {
            let patch = cluster.is_patch(old);
            for range in cluster.changed {
                if range.end <= done {
                    continue;
                }
                let from = range.start.max(done);
                if patch {
                    keep(base, done, from, &mut entries);
                    buf.clear();
                    read_exact(from..range.end, buf, read)?;
                    self.cut_runs(buf, from, true, &mut entries, put)?;
                    done = range.end;
                    continue;
                }
                let start = old.seam_before(from).max(done);
                keep(base, done, start, &mut entries);
                let window = start..range.end;
                done = self.recut(old, &changed, window, &mut entries, buf, read, put)?;
            }
        }
        keep(base, done, len, &mut entries);
        self.leaf(entries)
    }

    /// Cuts anew from `window.start`, a seam, until at least `window.end` and a cut on a seam,
    /// where the base holds again; returns where that is.
    #[allow(clippy::too_many_arguments)]
    fn recut(
        &self,
        old: &OldLeaf<'_>,
        changed: &[Range<u32>],
        window: Range<u32>,
        entries: &mut Vec<Entry>,
        buf: &mut SegmentBuf,
        read: ReadRange<'_>,
        put: PutChunk<'_>,
    ) -> Result<u32> {
        let mut start = window.start;
        let mut must = window.end;
        buf.clear();
        loop {
            // Read on to the first seam behind the last byte that must be read.
            let at = start + buf.len() as u32;
            let mut end = must.max(at);
            if end == at {
                let piece = old.at(at);
                end = match (changed_at(changed, at), piece.target) {
                    (Some(range), _) => range.end,
                    (None, Some(Target::Chunk { .. })) => piece.offset + piece.len,
                    (None, target) => {
                        // Not stored and not changed: known without reading.
                        let next = changed
                            .iter()
                            .map(|r| r.start)
                            .find(|s| *s > at)
                            .unwrap_or(old.len);
                        let end = (piece.offset + piece.len).min(next);
                        let content = match target {
                            None => Content::Hole,
                            Some(_) => Content::Zero,
                        };
                        buf.push(content, (end - at) as usize);
                        end
                    }
                };
            }
            end = old.seam_behind(end);
            let at = start + buf.len() as u32;
            if at < end {
                read_exact(at..end, buf, read)?;
            }
            // Every change that the window touches must be in it whole.
            if let Some(range) = changed_at(changed, end - 1).filter(|r| r.end > end) {
                must = range.end;
                continue;
            }
            let mark = entries.len();
            let cut = self.cut_runs(buf, start, end == old.len, entries, put)?;
            let done = start + cut as u32;
            // The base holds from the first cut behind all changes so far on which it cuts too.
            let behind = changed
                .iter()
                .take_while(|r| r.start < end)
                .last()
                .map_or(0, |r| r.end);
            let fits = |at: u32| at >= behind && old.is_seam(at);
            let cuts = entries[mark..].iter().flat_map(|e| [e.offset, e.end()]);
            if let Some(at) = cuts.chain([done]).find(|at| fits(*at)) {
                entries.retain(|e| e.offset < at);
                return Ok(at);
            }
            if done == old.len {
                return Ok(done);
            }
            keep_tail(buf, cut);
            start = done;
            must = end;
        }
    }
}

/// Asks the source for a range and makes sure that it gave just that.
fn read_exact(range: Range<u32>, buf: &mut SegmentBuf, read: ReadRange<'_>) -> Result<()> {
    let (before, len) = (buf.len(), range.len());
    read(range, buf)?;
    let got = buf.len().saturating_sub(before);
    if got != len {
        return Err(Error::invalid(format!(
            "the source gave {got} bytes of a segment where {len} were asked for"
        )));
    }
    Ok(())
}

/// Drops what is done off the front.
fn keep_tail(buf: &mut SegmentBuf, done: usize) {
    if done == 0 {
        return;
    }
    let mut rest = SegmentBuf::new();
    for (range, content) in buf.runs() {
        let start = range.start.max(done);
        if start >= range.end {
            continue;
        }
        match content {
            Content::Data => rest.push_data(&buf.bytes()[start..range.end]),
            other => rest.push(other, range.end - start),
        }
    }
    *buf = rest;
}

fn changed_at(changed: &[Range<u32>], at: u32) -> Option<&Range<u32>> {
    let next = changed.partition_point(|r| r.end <= at);
    changed.get(next).filter(|r| r.start <= at)
}

/// Copies the entries of `start..end` of the base.
fn keep(base: &Leaf, start: u32, end: u32, entries: &mut Vec<Entry>) {
    if start < end {
        let pieces = base.pieces(start, end);
        entries.extend(pieces.iter().filter_map(|old| {
            Some(Entry {
                offset: old.offset,
                len: old.len,
                target: old.target?,
            })
        }));
    }
}

#[cfg(test)]
mod tests;
