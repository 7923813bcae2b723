//! Changing an image in place whose disk is its first bytes: a raw one, or a fixed VHD.

use crate::block::{Geometry, check_bounds};
use crate::error::{Error, Result};
use crate::io::WriteAt;
use crate::range::ByteRange;
use crate::write::DiskWrite;

/// What is written at once.
const PIECE: u64 = 1 << 20;

/// An image whose disk is its first bytes, open for writing. What lies behind the disk stays.
pub struct RawEditor<F> {
    file: F,
    geometry: Geometry,
}

impl<F: WriteAt> RawEditor<F> {
    /// Opens a file that was found to begin with a disk of this geometry.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file is shorter than the disk.
    pub fn open(file: F, geometry: Geometry) -> Result<Self> {
        let len = file.len().map_err(Error::io("asking for its length"))?;
        if len < geometry.len {
            let why = format!("{len} bytes are less than the disk's {}", geometry.len);
            return Err(Error::damaged("raw image", why));
        }
        Ok(Self { file, geometry })
    }
}

impl<F: WriteAt> DiskWrite for RawEditor<F> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        check_bounds(self.geometry.len, offset, data.len() as u64)?;
        self.file
            .write_all_at(data, offset)
            .map_err(Error::io("writing the image"))
    }

    fn write_zeros(&mut self, range: ByteRange) -> Result<()> {
        check_bounds(self.geometry.len, range.start, range.len())?;
        let zeros = vec![0; PIECE.min(range.len()) as usize];
        let mut at = range.start;
        while at < range.end {
            let take = (range.end - at).min(PIECE);
            self.file
                .write_all_at(&zeros[..take as usize], at)
                .map_err(Error::io("writing the image"))?;
            at += take;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the image"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.file.sync().map_err(Error::io("syncing the image"))
    }
}
