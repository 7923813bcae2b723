//! Which MiB of the file are free.

use crate::error::{Error, Result};
use crate::range::ByteRange;
use crate::vhdx::MIB;

/// The largest file that is written: four times the largest disk.
pub(super) const MAX_FILE_LEN: u64 = 256 << 40;

/// One bit for each MiB of the file: 8 MiB of memory for 64 TiB.
pub(super) struct Space {
    taken: Vec<u64>,
    /// MiB of the file; what lies behind is free.
    end: u64,
    /// No MiB before this one is free.
    first: u64,
}

impl Space {
    /// A file of which nothing is taken yet.
    pub(super) fn new(file_len: u64) -> Result<Self> {
        if file_len > MAX_FILE_LEN {
            let why = format!("a VHDX file of {file_len} bytes");
            return Err(Error::Unsupported(why));
        }
        let end = file_len.div_ceil(MIB);
        Ok(Self {
            taken: vec![0; end.div_ceil(64) as usize],
            end,
            first: 0,
        })
    }

    /// Bytes up to the end of the last MiB that is in the file or taken.
    pub(super) fn end(&self) -> u64 {
        self.end * MIB
    }

    fn is_taken(&self, mib: u64) -> bool {
        let word = self.taken.get((mib / 64) as usize).copied();
        word.unwrap_or(0) >> (mib % 64) & 1 == 1
    }

    fn mark(&mut self, mibs: std::ops::Range<u64>) {
        let words = mibs.end.div_ceil(64) as usize;
        if self.taken.len() < words {
            self.taken.resize(words, 0);
        }
        for mib in mibs.clone() {
            self.taken[(mib / 64) as usize] |= 1 << (mib % 64);
        }
        self.end = self.end.max(mibs.end);
    }

    /// Takes a range of whole MiB.
    ///
    /// # Errors
    /// [`Error::Damaged`] when something else has a part of it, or no file reaches so far.
    pub(super) fn take(&mut self, range: ByteRange) -> Result<()> {
        let mibs = range.start / MIB..range.end.div_ceil(MIB);
        if range.end > MAX_FILE_LEN || mibs.clone().any(|mib| self.is_taken(mib)) {
            let why = format!("{range:?} overlaps something else or lies beyond any file");
            return Err(Error::damaged("file layout", why));
        }
        self.mark(mibs);
        Ok(())
    }

    /// Keeps a range of whole MiB from being allocated, whoever has parts of it. What no file
    /// reaches is not kept.
    pub(super) fn reserve(&mut self, range: ByteRange) {
        if range.end <= MAX_FILE_LEN {
            self.mark(range.start / MIB..range.end.div_ceil(MIB));
        }
    }

    /// Takes `len` bytes, whole MiB, where they are free: in a gap, or at the end.
    pub(super) fn allocate(&mut self, len: u64) -> Result<u64> {
        let wanted = len / MIB;
        while self.first < self.end && self.is_taken(self.first) {
            self.first += 1;
        }
        let mut start = self.first;
        let mut mib = self.first;
        while mib < self.end && mib - start < wanted {
            if self.is_taken(mib) {
                start = mib + 1;
            }
            mib += 1;
        }
        if (start + wanted) * MIB > MAX_FILE_LEN {
            return Err(Error::Unsupported("a VHDX file of over 256 TiB".into()));
        }
        self.mark(start..start + wanted);
        Ok(start * MIB)
    }

    /// Gives a range back.
    pub(super) fn release(&mut self, range: ByteRange) {
        for mib in range.start / MIB..range.end / MIB {
            if let Some(word) = self.taken.get_mut((mib / 64) as usize) {
                *word &= !(1 << (mib % 64));
            }
        }
        self.first = self.first.min(range.start / MIB);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(range: std::ops::Range<u64>) -> ByteRange {
        ByteRange::new(range.start * MIB, range.end * MIB)
    }

    #[test]
    fn gaps_are_filled_before_the_file_grows() {
        let mut space = Space::new(10 * MIB).unwrap();
        space.take(mib(0..3)).unwrap();
        space.take(mib(5..8)).unwrap();
        assert_eq!(space.allocate(2 * MIB).unwrap(), 3 * MIB);
        assert_eq!(space.allocate(3 * MIB).unwrap(), 8 * MIB, "over the end");
        assert_eq!(space.allocate(MIB).unwrap(), 11 * MIB);
        space.release(mib(1..2));
        assert_eq!(space.allocate(2 * MIB).unwrap(), 12 * MIB);
        assert_eq!(space.allocate(MIB).unwrap(), MIB);
    }

    #[test]
    fn nothing_is_taken_twice_or_beyond_any_file() {
        let mut space = Space::new(3 * MIB).unwrap();
        space.take(mib(1..3)).unwrap();
        assert!(space.take(mib(2..4)).is_err());
        assert!(
            space
                .take(ByteRange::new(u64::MAX - MIB, u64::MAX))
                .is_err()
        );
        assert!(Space::new(u64::MAX).is_err());
    }
}
