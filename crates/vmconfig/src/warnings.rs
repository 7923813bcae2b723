//! What is odd in a file that could be read nevertheless, bounded: a hostile file must buy neither
//! memory nor a report without end with it.

/// The first [`MAX`](Self::MAX) warnings about one file, and how many more there were.
#[derive(Debug)]
pub(crate) struct Warnings<W> {
    list: Vec<W>,
    more: usize,
}

/// A warning that can stand for others.
pub(crate) trait AndMore {
    /// Says that there were so many more.
    fn and_more(count: usize) -> Self;
}

impl<W> Default for Warnings<W> {
    fn default() -> Self {
        Warnings {
            list: Vec::new(),
            more: 0,
        }
    }
}

impl<W: AndMore> Warnings<W> {
    /// That many are kept.
    pub(crate) const MAX: usize = 64;

    pub(crate) fn push(&mut self, warning: W) {
        if self.list.len() < Self::MAX {
            self.list.push(warning);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<W> {
        if self.more > 0 {
            self.list.push(W::and_more(self.more));
        }
        self.list
    }
}
