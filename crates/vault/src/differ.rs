//! Where two disks of one vault differ, by their maps alone.
//!
//! Equal nodes lead to equal bytes, so what two maps share is passed over at its top: the cost is the nodes in
//! which they differ, and no chunk. What is called equal is equal; what is called different may be equal all
//! the same, as the same bytes may have been cut in two ways.

use std::ops::Range;

use vault_format::NodeId;
use vault_format::map::{Piece, Target};

use crate::error::Result;
use crate::reader::DiskReader;

/// Ascending ranges that do not touch, at most so many: when there are more, those that lie near each other
/// become one.
struct Ranges {
    all: Vec<Range<u64>>,
    most: usize,
    /// Ranges that are no farther apart are one.
    gap: u64,
}

impl Ranges {
    /// Forgets what lies at and behind `end`.
    fn cut(&mut self, end: u64) {
        self.all.retain(|range| range.start < end);
        if let Some(last) = self.all.last_mut() {
            last.end = last.end.min(end);
        }
    }

    fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.all.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(self.gap) => {
                last.end = last.end.max(range.end);
            }
            _ => self.all.push(range),
        }
        while self.all.len() > self.most {
            self.gap = (self.gap * 2).max(4096);
            let gap = self.gap;
            self.all.dedup_by(|next, last| {
                let near = next.start <= last.end.saturating_add(gap);
                if near {
                    last.end = last.end.max(next.end);
                }
                near
            });
        }
    }
}

/// A node of a map, at its own height.
type At = Option<(NodeId, u8)>;

/// A child and its place.
type Child = (u8, (NodeId, u8));

/// Two maps.
struct Both<'a> {
    one: &'a DiskReader,
    other: &'a DiskReader,
    ranges: Ranges,
}

impl DiskReader {
    /// Ranges, of the longer of both disks, in which this map does not say the same as another one of the same
    /// vault. Ascending, and at most `most` (at least one): where there would be more, what lies between some
    /// is in them too.
    ///
    /// # Errors
    /// When nodes are missing or damaged.
    pub fn differences(&self, other: &Self, most: usize) -> Result<Vec<Range<u64>>> {
        let height = self.root().height().max(other.root().height());
        let mut both = Both::new(self, other, most);
        both.nodes(top(self), top(other), height, 0)?;
        // Where only one has bytes they differ, whatever these are.
        let (short, long) = (self.len().min(other.len()), self.len().max(other.len()));
        both.ranges.cut(short);
        both.ranges.push(short..long);
        Ok(both.ranges.all)
    }

    /// Ranges of which something is stored, be it zeros. Ascending, and at most `most` (at least one): where
    /// there would be more, what lies between some is in them too.
    ///
    /// # Errors
    /// When nodes are missing or damaged.
    pub fn stored(&self, most: usize) -> Result<Vec<Range<u64>>> {
        let mut both = Both::new(self, self, most);
        both.nodes(top(self), None, self.root().height(), 0)?;
        both.ranges.cut(self.len());
        Ok(both.ranges.all)
    }
}

fn top(disk: &DiskReader) -> At {
    disk.root().top.map(|id| (id, disk.root().height()))
}

impl<'a> Both<'a> {
    fn new(one: &'a DiskReader, other: &'a DiskReader, most: usize) -> Self {
        let ranges = Ranges {
            all: Vec::new(),
            most: most.max(1),
            gap: 0,
        };
        Self { one, other, ranges }
    }

    /// Compares what lies below two nodes of `height`; its first segment is `first`. No deeper than a map is
    /// high.
    fn nodes(&mut self, one: At, other: At, height: u8, first: u64) -> Result<()> {
        if one == other {
            return Ok(());
        }
        if height == 0 {
            return self.leaves(one, other, first);
        }
        let (ones, others) = (
            children(self.one, one, height)?,
            children(self.other, other, height)?,
        );
        let (mut a, mut b) = (ones.as_slice(), others.as_slice());
        loop {
            let place = match (a.first(), b.first()) {
                (None, None) => return Ok(()),
                (Some((place, _)), None) | (None, Some((place, _))) => *place,
                (Some((x, _)), Some((y, _))) => *x.min(y),
            };
            let (x, y) = (take(&mut a, place), take(&mut b, place));
            let span = 1_u64 << (8 * u32::from(height - 1)).min(63);
            let at = first.saturating_add(u64::from(place).saturating_mul(span));
            self.nodes(x, y, height - 1, at)?;
        }
    }

    fn leaves(&mut self, one: At, other: At, segment: u64) -> Result<()> {
        let pieces = |disk: &DiskReader, leaf: At, len: u32| -> Result<Vec<Piece>> {
            Ok(match leaf {
                Some((id, _)) => disk.nodes.leaf(&id)?.pieces(0, len),
                None => Vec::new(),
            })
        };
        let size = self.one.segment_size();
        let (ones, others) = (
            pieces(self.one, one, size)?,
            pieces(self.other, other, size)?,
        );
        let start = segment.saturating_mul(size.into());
        let (mut a, mut b) = (ones.iter().peekable(), others.iter().peekable());
        let mut at = 0;
        while at < size {
            while a.next_if(|piece| piece.offset + piece.len <= at).is_some() {}
            while b.next_if(|piece| piece.offset + piece.len <= at).is_some() {}
            let (x, y) = (a.peek(), b.peek());
            let ends = [x, y].map(|piece| piece.map_or(size, |piece| piece.offset + piece.len));
            let end = ends.into_iter().min().unwrap_or(size).min(size);
            if target(x, at) != target(y, at) {
                self.ranges
                    .push(start + u64::from(at)..start + u64::from(end));
            }
            at = end;
        }
        Ok(())
    }
}

/// Where the bytes from `at` on come from.
fn target(piece: Option<&&Piece>, at: u32) -> Option<Target> {
    let piece = piece?;
    Some(match piece.target? {
        Target::Zero => Target::Zero,
        Target::Chunk { id, within } => Target::Chunk {
            id,
            within: within.wrapping_add(at - piece.offset),
        },
    })
}

/// The first of children in ascending places, if it is in this one.
fn take(list: &mut &[Child], place: u8) -> At {
    let (head, rest) = list.split_first()?;
    if head.0 != place {
        return None;
    }
    *list = rest;
    Some(head.1)
}

/// The children that a node has at a height; of one that is not as high, itself in the first place.
fn children(disk: &DiskReader, node: At, height: u8) -> Result<Vec<Child>> {
    let Some((id, own)) = node else {
        return Ok(Vec::new());
    };
    if own < height {
        return Ok(vec![(0, (id, own))]);
    }
    let inner = disk.nodes.inner(&id, height)?;
    let children = inner.children().iter();
    Ok(children
        .map(|(place, id)| (*place, (*id, height - 1)))
        .collect())
}
