//! A file written without holes.
//!
//! Windows refuses virtual disks whose file is sparse, and on file systems that make holes by
//! themselves a later copy may bring the sparse mark back. `Dense` therefore sees to it that
//! every MiB of the file is written in full: the first write into a MiB goes to a buffer of one
//! MiB that starts out as zeros and reaches the file as a whole. Small ascending writes thus also
//! become few large ones. A MiB that nobody wrote to is filled with zeros at the end.

use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::write::touched::{MIB, Touched};

/// Collects writes to `file` in units of one MiB.
pub(crate) struct Dense<F> {
    file: F,
    touched: Touched,
    /// The MiB that is being filled, and its index. It counts as touched.
    open: Option<u64>,
    buffer: Vec<u8>,
}

impl<F: WriteAt> Dense<F> {
    /// Starts on an empty file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file already holds bytes: stale content would show through.
    pub(crate) fn new(file: F) -> Result<Self> {
        if file
            .len()
            .map_err(Error::io("asking for the new file's length"))?
            != 0
        {
            return Err(Error::Invalid("a new image needs an empty file".into()));
        }
        Ok(Self {
            file,
            touched: Touched::default(),
            open: None,
            buffer: Vec::new(),
        })
    }

    /// The file itself. What is written there directly must not lie in a MiB that is still
    /// buffered: call [`settle`](Self::settle) first.
    pub(crate) fn file(&self) -> &F {
        &self.file
    }

    /// Writes `data` at `offset` of the file.
    pub(crate) fn write(&mut self, mut offset: u64, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let within = offset % MIB;
            let take = data.len().min((MIB - within) as usize);
            let (now, later) = data.split_at(take);
            self.write_within(offset / MIB, within, now)?;
            offset += take as u64;
            data = later;
        }
        Ok(())
    }

    fn write_within(&mut self, index: u64, within: u64, data: &[u8]) -> Result<()> {
        if self.open != Some(index) {
            let whole = data.len() as u64 == MIB;
            if !whole && !self.touched.contains(index) {
                self.settle()?;
                self.buffer.clear();
                self.buffer.resize(MIB as usize, 0);
                self.open = Some(index);
            }
            self.touched.insert(index);
        }
        if self.open == Some(index) {
            let start = within as usize;
            self.buffer[start..start + data.len()].copy_from_slice(data);
            return Ok(());
        }
        self.file
            .write_all_at(data, index * MIB + within)
            .map_err(Error::io("writing the image"))
    }

    /// Reads back what was written; bytes that nobody wrote are zeros.
    pub(crate) fn read(&self, mut offset: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let (index, within) = (offset / MIB, (offset % MIB) as usize);
            let take = buf.len().min(MIB as usize - within);
            let (now, later) = buf.split_at_mut(take);
            if self.open == Some(index) {
                now.copy_from_slice(&self.buffer[within..within + take]);
            } else if self.touched.contains(index) {
                self.file
                    .read_exact_at(now, offset)
                    .map_err(Error::io("reading back the image"))?;
            } else {
                now.fill(0);
            }
            offset += take as u64;
            buf = later;
        }
        Ok(())
    }

    /// Makes `len` bytes from `offset` zeros, writing only where something was written before.
    pub(crate) fn zero(&mut self, mut offset: u64, mut len: u64) -> Result<()> {
        let zeros = vec![0; MIB.min(len) as usize];
        while len > 0 {
            let take = len.min(MIB - offset % MIB);
            if self.touched.contains(offset / MIB) {
                self.write(offset, &zeros[..take as usize])?;
            }
            offset += take;
            len -= take;
        }
        Ok(())
    }

    /// Writes the buffered MiB to the file.
    pub(crate) fn settle(&mut self) -> Result<()> {
        match self.open.take() {
            Some(index) => self
                .file
                .write_all_at(&self.buffer, index * MIB)
                .map_err(Error::io("writing the image")),
            None => Ok(()),
        }
    }

    /// Fills what was never written with zeros and gives the file exactly `len` bytes.
    pub(crate) fn fill(&mut self, len: u64) -> Result<()> {
        self.settle()?;
        let zeros = vec![0; MIB as usize];
        for index in 0..len.div_ceil(MIB) {
            if self.touched.insert(index) {
                let take = MIB.min(len - index * MIB);
                self.file
                    .write_all_at(&zeros[..take as usize], index * MIB)
                    .map_err(Error::io("writing the image"))?;
            }
        }
        self.file
            .set_len(len)
            .map_err(Error::io("setting the image's length"))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the image"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::io::{MemFile, ReadAt};

    proptest! {
        #![proptest_config(testkit::vary::config(32))]
        #[test]
        fn writes_in_any_order_give_what_a_flat_array_holds(
            ops in prop::collection::vec((0u64..5 << 20, 1usize..3 << 20, any::<bool>(), 1u8..), 0..12),
            tail in 0u64..2 << 20,
        ) {
            let len = 8 << 20;
            let mut model = vec![0u8; len];
            let mut dense = Dense::new(MemFile::default()).unwrap();
            for (at, n, data, byte) in ops {
                let target = &mut model[at as usize..at as usize + n];
                if data {
                    target.fill(byte);
                    dense.write(at, target).unwrap();
                } else {
                    target.fill(0);
                    dense.zero(at, n as u64).unwrap();
                }
            }
            let mut back = vec![1; len];
            dense.read(0, &mut back).unwrap();
            prop_assert!(back == model);
            dense.fill(len as u64 + tail).unwrap();
            model.resize(len + tail as usize, 0);
            prop_assert!(dense.file().bytes() == model);
        }
    }

    #[test]
    fn a_file_with_bytes_in_it_is_not_new() {
        assert!(Dense::new(MemFile::new(vec![0])).is_err());
        assert!(MemFile::default().is_empty().unwrap());
    }
}
