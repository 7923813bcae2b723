//! What a caller hands in: the contents of one segment of a disk, or of a part of it.

use std::ops::Range;

/// What a run of a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Bytes. They may be zero, also all of them: zeros are found and not stored.
    Data,
    /// Zeros, explicitly: in a difference layer, whatever its parent holds.
    Zero,
    /// Nothing. A disk by itself reads as zeros there, a difference layer as its parent.
    Hole,
}

/// Consecutive runs of a segment, filled from its first byte (or from the first byte that was
/// asked for) to its last. Reuse one for many segments: it keeps its memory.
#[derive(Debug, Default, Clone)]
pub struct SegmentBuf {
    /// What lies beyond `len` are bytes of earlier contents: clearing costs nothing, and room
    /// that is about to be filled is not zeroed first.
    bytes: Vec<u8>,
    len: usize,
    runs: Vec<(usize, Content)>,
}

impl SegmentBuf {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the contents.
    pub fn clear(&mut self) {
        self.len = 0;
        self.runs.clear();
    }

    /// Number of bytes so far, of all kinds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    pub fn push_data(&mut self, data: &[u8]) {
        self.push_room(Content::Data, data.len())
            .copy_from_slice(data);
    }

    /// Appends `len` bytes for the caller to fill; what is in them before that is unspecified.
    pub fn push_data_mut(&mut self, len: usize) -> &mut [u8] {
        self.push_room(Content::Data, len)
    }

    /// Appends `len` bytes that were not read because they need not be.
    pub fn push(&mut self, content: Content, len: usize) {
        self.push_room(content, len).fill(0);
    }

    fn push_room(&mut self, content: Content, len: usize) -> &mut [u8] {
        let start = self.len;
        self.len += len;
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
        match self.runs.last_mut() {
            _ if len == 0 => {}
            Some(last) if last.1 == content => last.0 = self.len,
            _ => self.runs.push((self.len, content)),
        }
        &mut self.bytes[start..self.len]
    }

    /// The runs: ascending, contiguous, no two neighbours alike.
    pub fn runs(&self) -> impl Iterator<Item = (Range<usize>, Content)> + '_ {
        let mut start = 0;
        self.runs.iter().map(move |(end, content)| {
            let range = start..*end;
            start = *end;
            (range, *content)
        })
    }

    /// The bytes of all runs; zero where a run is not data.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Forgets everything from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        while self.runs.last().is_some_and(|(end, _)| *end > len) {
            let start = self.runs.iter().rev().nth(1).map_or(0, |run| run.0);
            if start >= len {
                self.runs.pop();
            } else if let Some(last) = self.runs.last_mut() {
                last.0 = len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_empty_ones_vanish() {
        let mut buf = SegmentBuf::new();
        buf.push_data(b"");
        buf.push_data(b"ab");
        buf.push_data(b"c");
        buf.push(Content::Hole, 2);
        buf.push(Content::Zero, 0);
        buf.push(Content::Hole, 1);
        buf.push_data_mut(1)[0] = b'z';
        let runs: Vec<_> = buf.runs().collect();
        assert_eq!(
            runs,
            [
                (0..3, Content::Data),
                (3..6, Content::Hole),
                (6..7, Content::Data)
            ]
        );
        assert_eq!(buf.bytes(), b"abc\0\0\0z");
        buf.truncate(4);
        let runs: Vec<_> = buf.runs().collect();
        assert_eq!(runs, [(0..3, Content::Data), (3..4, Content::Hole)]);
        buf.truncate(0);
        assert_eq!(buf.runs().count(), 0);
    }
}
