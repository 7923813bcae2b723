//! A file that is believed to be frozen.

use std::io;
use std::sync::Arc;

use disk::ReadAt;

use super::error::{FileError, FileProblem};
use super::path::HostPath;

/// A file that was opened, with the length that it had then.
///
/// Its length is fixed: reads beyond it fail, and so do reads within it that the file no longer
/// covers. Whether it has the same length still is told by [`FrozenFile::verify`], which is asked
/// when all was read.
pub struct FrozenFile {
    path: HostPath,
    inner: Arc<dyn ReadAt>,
    len: u64,
}

impl FrozenFile {
    /// Takes a file as it is now.
    ///
    /// # Errors
    /// When its length cannot be had.
    pub fn new(path: HostPath, inner: Arc<dyn ReadAt>) -> Result<Self, FileError> {
        let len = inner.len().map_err(|error| FileError::io(&path, &error))?;
        Ok(Self { path, inner, len })
    }

    /// The file, as the host spells it.
    pub fn path(&self) -> &HostPath {
        &self.path
    }

    /// Looks whether it is as long as it was.
    ///
    /// # Errors
    /// [`FileProblem::Changed`] when it is not.
    pub fn verify(&self) -> Result<(), FileError> {
        let is = self
            .inner
            .len()
            .map_err(|error| FileError::io(&self.path, &error))?;
        if is == self.len {
            return Ok(());
        }
        let problem = FileProblem::Changed { was: self.len, is };
        Err(FileError::new(&self.path, problem))
    }
}

impl ReadAt for FrozenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.inner.read_exact_at(buf, offset).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let problem = "is shorter than when it was opened: it is not frozen";
                return io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} {problem}", self.path),
                );
            }
            match FileError::within(&error) {
                // It says which file.
                Some(_) => error,
                None => io::Error::new(error.kind(), format!("{}: {error}", self.path)),
            }
        })
    }
}

impl std::fmt::Debug for FrozenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrozenFile({}, {} bytes)", self.path, self.len)
    }
}
