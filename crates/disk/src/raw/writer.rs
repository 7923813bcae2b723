//! Writing a raw image with holes.

use crate::block::{Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::range::ByteRange;
use crate::write::DiskWrite;
use crate::write::touched::{MIB, Touched};

/// A new raw image. What is never written stays a hole where the file system has holes.
pub struct RawWriter<F> {
    file: F,
    geometry: Geometry,
    touched: Touched,
}

impl<F: WriteAt> RawWriter<F> {
    /// Starts a raw image of `len` bytes on an empty file.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the file already holds bytes.
    pub fn create(file: F, len: u64) -> Result<Self> {
        if file
            .len()
            .map_err(Error::io("asking for the new file's length"))?
            != 0
        {
            return Err(Error::Invalid("a new image needs an empty file".into()));
        }
        if len > crate::raw::MAX_LEN {
            return Err(Error::Invalid(format!("{len} bytes are more than 64 TiB")));
        }
        file.set_len(len)
            .map_err(Error::io("setting the image's length"))?;
        Ok(Self {
            file,
            geometry: Geometry {
                len,
                logical_sector: 512,
                physical_sector: 512,
            },
            touched: Touched::default(),
        })
    }
}

impl<F: WriteAt> DiskWrite for RawWriter<F> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        check_bounds(self.geometry.len, offset, data.len() as u64)?;
        if data.is_empty() {
            return Ok(());
        }
        for index in offset / MIB..=(offset + data.len() as u64 - 1) / MIB {
            self.touched.insert(index);
        }
        self.file
            .write_all_at(data, offset)
            .map_err(Error::io("writing the raw image"))
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        check_bounds(self.geometry.len, range.start, range.len())?;
        let zeros = vec![0; MIB.min(range.len()) as usize];
        let mut at = range.start;
        while at < range.end {
            let take = (range.end - at).min(MIB - at % MIB);
            if self.touched.contains(at / MIB) {
                self.file
                    .write_all_at(&zeros[..take as usize], at)
                    .map_err(Error::io("writing the raw image"))?;
            }
            at += take;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the raw image"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the raw image"))
    }
}
