//! What is stored where: a disk's contents by ranges, without reading them.

use crate::range::ByteRange;

/// What an image says about a range of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// The image stores bytes for it. They may still all be zero.
    Data,
    /// The image says that it reads as zeros, whatever a parent holds.
    Zero,
    /// The image stores nothing for it. A base image reads as zeros there; a differencing image
    /// leaves the answer to its parent. Of a whole chain: no layer stores anything for it.
    Hole,
}

/// A range of the disk with one kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Where on the disk.
    pub range: ByteRange,
    /// What the image says about it.
    pub content: Content,
}

/// Collects extents in ascending order and joins neighbours of one kind.
#[derive(Debug, Default)]
pub struct ExtentList(Vec<Extent>);

impl ExtentList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `range`, which must begin where the last one ended. Empty ranges vanish.
    pub fn push(&mut self, range: ByteRange, content: Content) {
        if range.is_empty() {
            return;
        }
        if let Some(last) = self.0.last_mut() {
            debug_assert_eq!(last.range.end, range.start, "extents are contiguous");
            if last.content == content {
                last.range.end = range.end;
                return;
            }
        }
        self.0.push(Extent { range, content });
    }

    /// The extents, ascending, contiguous, no two neighbours alike.
    pub fn into_vec(self) -> Vec<Extent> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_kind_become_one_extent() {
        let mut list = ExtentList::new();
        for (start, end, content) in [
            (0, 10, Content::Data),
            (10, 10, Content::Zero),
            (10, 20, Content::Data),
            (20, 30, Content::Hole),
        ] {
            list.push(ByteRange::new(start, end), content);
        }
        assert_eq!(
            list.into_vec(),
            [
                Extent {
                    range: ByteRange::new(0, 20),
                    content: Content::Data
                },
                Extent {
                    range: ByteRange::new(20, 30),
                    content: Content::Hole
                },
            ]
        );
    }
}
