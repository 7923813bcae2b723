//! A file that is believed to be frozen.

use std::io;
use std::sync::{Arc, OnceLock};

use disk::ReadAt;
use disk::vhdx::header::{HEADER_LEN, HEADER_OFFSETS, Header, current};
use disk::vhdx::identifier::SIGNATURE;

use super::error::{FileError, FileProblem};
use super::path::HostPath;

/// A file that was opened, with the length that it had then.
///
/// Its length is fixed: reads beyond it fail, and so do reads within it that the file no longer
/// covers. Whether it is what it was still is told by [`FrozenFile::verify`], which is asked when
/// all was read.
///
/// The length alone does not tell: a host that merges a checkpoint writes into blocks that are
/// there. A VHDX says so in its header, whose `FileWriteGuid` changes before anybody who opened the
/// file anew writes to it. [MS-VHDX 2.2.2]
pub struct FrozenFile {
    path: HostPath,
    inner: Arc<dyn ReadAt>,
    len: u64,
    head: OnceLock<Head>,
}

/// What an image says of its own changes.
enum Head {
    Vhdx(Box<Header>),
    /// Nothing: a VHD, a raw disk.
    Silent,
}

impl FrozenFile {
    /// Takes a file as it is now.
    ///
    /// # Errors
    /// When its length cannot be had.
    pub fn new(path: HostPath, inner: Arc<dyn ReadAt>) -> Result<Self, FileError> {
        let len = inner.len().map_err(|error| FileError::io(&path, &error))?;
        Ok(Self {
            path,
            inner,
            len,
            head: OnceLock::new(),
        })
    }

    /// Takes note of what it says of its own changes, if it is an image.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn note_head(&self) -> io::Result<()> {
        let head = match self.header()? {
            Some(header) => Head::Vhdx(Box::new(header)),
            None => Head::Silent,
        };
        // The first note counts: what is read is at least as old.
        let _ = self.head.set(head);
        Ok(())
    }

    /// Whether it is an image that does not say whether it was written to.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.head.get(), Some(Head::Silent))
    }

    /// The header of a VHDX; `None` for anything else.
    fn header(&self) -> io::Result<Option<Header>> {
        let mut magic = [0; 8];
        if self.len < HEADER_OFFSETS[1] + HEADER_LEN as u64 {
            return Ok(None);
        }
        self.read_exact_at(&mut magic, 0)?;
        if magic != *SIGNATURE {
            return Ok(None);
        }
        let mut slots = [[0; HEADER_LEN]; 2];
        for (slot, offset) in slots.iter_mut().zip(HEADER_OFFSETS) {
            self.read_exact_at(slot, offset)?;
        }
        let [first, second] = &slots;
        // One that makes no sense is told by whoever reads the image.
        let found = current([Some(first), Some(second)]);
        Ok(found.ok().map(|current| current.header))
    }

    /// The file, as the host spells it.
    pub fn path(&self) -> &HostPath {
        &self.path
    }

    /// Looks whether it is as long as it was and, if it is a VHDX, says that it is what it was.
    ///
    /// # Errors
    /// [`FileProblem::Changed`] and [`FileProblem::Rewritten`] when it is not.
    pub fn verify(&self) -> Result<(), FileError> {
        let is = self
            .inner
            .len()
            .map_err(|error| FileError::io(&self.path, &error))?;
        if is != self.len {
            let problem = FileProblem::Changed { was: self.len, is };
            return Err(FileError::new(&self.path, problem));
        }
        let Some(Head::Vhdx(was)) = self.head.get() else {
            return Ok(());
        };
        let now = self.header();
        let now = now.map_err(|error| FileError::io(&self.path, &error))?;
        match now.is_some_and(|now| same_content(was, &now)) {
            true => Ok(()),
            false => Err(FileError::new(&self.path, FileProblem::Rewritten)),
        }
    }
}

/// Whether nothing but the log was dealt with: whoever had it open may close it after it was frozen,
/// and puts in place what the log has. That is how the log was read.
fn same_content(was: &Header, now: &Header) -> bool {
    let closed = !was.log_guid.is_nil() && now.log_guid.is_nil();
    was.file_write_guid == now.file_write_guid
        && was.data_write_guid == now.data_write_guid
        && (was.sequence == now.sequence || closed)
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
