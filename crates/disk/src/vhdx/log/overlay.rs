//! A file as it will be once its log is applied.

use std::collections::BTreeMap;
use std::io;

use crate::io::ReadAt;
use crate::range::ByteRange;
use crate::vhdx::SECTOR;
use crate::vhdx::log::entry::{SECTOR_LEN, Sector, is_data_sector, restore};

/// What stands in the place of a range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patch {
    /// Zeros.
    Zero,
    /// One sector, whose contents are in the log.
    Sector {
        /// Where in the file its data sector is.
        at: u64,
        /// The number that the data sector carries.
        sequence: u64,
        /// The first bytes of the contents.
        leading: [u8; 8],
        /// The last bytes of the contents.
        trailing: [u8; 4],
    },
}

/// Patches by their first byte, with one past their last; disjoint, whole sectors.
#[derive(Debug, Default)]
pub(crate) struct Overlay(BTreeMap<u64, (u64, Patch)>);

impl Overlay {
    /// Lays a patch over everything before it.
    pub(crate) fn put(&mut self, range: ByteRange, patch: Patch) {
        if range.is_empty() {
            return;
        }
        // Only patches of zeros are longer than a sector, so only they are ever split.
        if let Some((_, (end, below))) = self.0.range_mut(..range.start).next_back()
            && *end > range.start
        {
            let (rest, below) = (*end, *below);
            *end = range.start;
            if rest > range.end {
                self.0.insert(range.end, (rest, below));
            }
        }
        while let Some((&start, &(end, below))) = self.0.range(range.start..range.end).next() {
            self.0.remove(&start);
            if end > range.end {
                self.0.insert(range.end, (end, below));
            }
        }
        self.0.insert(range.start, (range.end, patch));
    }

    /// The patches that touch `range`, in order.
    fn over(&self, range: ByteRange) -> impl Iterator<Item = (ByteRange, Patch)> + '_ {
        let before = self.0.range(..range.start).next_back();
        before
            .into_iter()
            .chain(self.0.range(range.start..range.end))
            .map(|(start, (end, patch))| (ByteRange::new(*start, *end), *patch))
            .filter(move |(patch, _)| patch.end > range.start)
    }
}

/// A file with the overlay of its log, read as if the log had been applied.
#[derive(Debug)]
pub struct View<F> {
    file: F,
    file_len: u64,
    len: u64,
    overlay: Overlay,
}

impl<F: ReadAt> View<F> {
    /// The file as it is, `file_len` bytes long.
    pub fn plain(file: F, file_len: u64) -> Self {
        Self {
            file,
            file_len,
            len: file_len,
            overlay: Overlay::default(),
        }
    }

    /// The file under `overlay`, extended with zeros to `len`.
    pub(crate) fn patched(file: F, file_len: u64, len: u64, overlay: Overlay) -> Self {
        Self {
            file,
            file_len,
            len: len.max(file_len),
            overlay,
        }
    }

    /// Length after the log is applied; the file itself may be shorter.
    pub fn virtual_len(&self) -> u64 {
        self.len
    }

    /// The ranges that the log changes, ascending and disjoint; only ranges of zeros are longer
    /// than a sector.
    pub(crate) fn patches(&self) -> impl Iterator<Item = ByteRange> + '_ {
        let patches = self.overlay.0.iter();
        patches.map(|(start, (end, _))| ByteRange::new(*start, *end))
    }

    fn read_base(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let stored = self.file_len.saturating_sub(offset).min(buf.len() as u64);
        let (stored, beyond) = buf.split_at_mut(stored as usize);
        beyond.fill(0);
        if stored.is_empty() {
            return Ok(());
        }
        self.file.read_exact_at(stored, offset)
    }

    fn read_patch(&self, patch: Patch, skip: usize, out: &mut [u8]) -> io::Result<()> {
        let (at, sequence, leading, trailing) = match patch {
            Patch::Zero => {
                out.fill(0);
                return Ok(());
            }
            Patch::Sector {
                at,
                sequence,
                leading,
                trailing,
            } => (at, sequence, leading, trailing),
        };
        let mut sector: Sector = [0; SECTOR_LEN];
        self.file.read_exact_at(&mut sector, at)?;
        if !is_data_sector(&sector, sequence) {
            return Err(io::Error::other("the file's log changed while it was read"));
        }
        restore(&mut sector, leading, trailing);
        out.copy_from_slice(&sector[skip..skip + out.len()]);
        Ok(())
    }
}

impl<F: ReadAt> ReadAt for View<F> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let wanted = ByteRange::at(offset, buf.len() as u64)
            .filter(|range| range.end <= self.len)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        // Most reads are payload, which no log covers.
        if self.overlay.over(wanted).next().is_none() {
            return self.read_base(buf, offset);
        }
        let mut at = offset;
        for (range, patch) in self.overlay.over(wanted) {
            let Some(part) = range.intersect(&wanted) else {
                continue;
            };
            let (from, to) = ((part.start - offset) as usize, (part.end - offset) as usize);
            self.read_base(&mut buf[(at - offset) as usize..from], at)?;
            let skip = ((part.start - range.start) % SECTOR) as usize;
            self.read_patch(patch, skip, &mut buf[from..to])?;
            at = part.end;
        }
        self.read_base(&mut buf[(at - offset) as usize..], at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECTORS: u64 = 12;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        /// Patches laid over each other read like writes done one after the other.
        #[test]
        fn an_overlay_reads_like_the_writes_done(
            patches in prop::collection::vec((0..SECTORS, 1..5u64, any::<bool>()), 0..12),
            file_sectors in 1..SECTORS,
            reads in prop::collection::vec((0..SECTORS * SECTOR, 0..3 * SECTOR), 8),
        ) {
            // The "log" is behind everything else: one data sector for each patch.
            let mut file = vec![7; (file_sectors * SECTOR) as usize];
            let len = (SECTORS + 5) * SECTOR;
            let mut model = file.clone();
            model.resize(len as usize, 0);
            let mut log = Vec::new();
            let mut overlay = Overlay::default();
            for (i, (sector, count, zero)) in patches.iter().enumerate() {
                let start = sector * SECTOR;
                let (range, patch) = if *zero {
                    (ByteRange::new(start, start + count * SECTOR), Patch::Zero)
                } else {
                    let mut data = vec![i as u8 + 100; SECTOR_LEN];
                    data[..8].copy_from_slice(b"data\0\0\0\0");
                    data[4092..].copy_from_slice(&(i as u32).to_le_bytes());
                    let at = LOG + log.len() as u64;
                    log.extend(data);
                    let patch = Patch::Sector {
                        at, sequence: i as u64, leading: [i as u8 + 100; 8],
                        trailing: [i as u8 + 100; 4],
                    };
                    (ByteRange::new(start, start + SECTOR), patch)
                };
                let fill = if *zero { 0 } else { i as u8 + 100 };
                model[range.start as usize..range.end as usize].fill(fill);
                overlay.put(range, patch);
            }
            const LOG: u64 = 64 * SECTOR;
            let file_len = file.len() as u64;
            file.resize(LOG as usize, 0);
            file.extend(log);
            let view = View::patched(file, file_len, len, overlay);
            for (start, count) in reads {
                let mut buf = vec![1; count as usize];
                view.read_exact_at(&mut buf, start).unwrap();
                prop_assert_eq!(&buf, &model[start as usize..(start + count) as usize]);
            }
            prop_assert!(view.read_exact_at(&mut [0; 2], len - 1).is_err());
        }
    }
}
