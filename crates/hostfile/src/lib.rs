//! Files of this host, read and written by position.
//!
//! What every crate that meets a file needs, and what differs from system to system: whole reads
//! and writes at an offset, which leave the file's cursor alone or to nobody, [`DirectFile`],
//! whose large ones pass the system's page cache by, a file's [`number`], and how much room is
//! [`free`].
//!
//! - A read gives all that was asked for or fails with `UnexpectedEof`; a write writes all or
//!   fails. A signal in between is no failure.
//! - Nothing here knows what a file holds, opens one by a name that it was not given, or takes
//!   memory by what a file claims.

mod direct;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use direct::DirectFile;
#[cfg(unix)]
pub use unix::{free, number};
#[cfg(windows)]
pub use windows::{free, make_sparse, number, set_attributes, verbatim};

use std::fs::File;
use std::io;

/// Fills `buf` with the bytes from `offset` on.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; what the system says.
#[cfg(unix)]
pub fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

/// Fills `buf` with the bytes from `offset` on. The file's cursor is anywhere afterwards.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; what the system says.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_read(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes `buf` from `offset` on; the file grows as needed.
///
/// # Errors
/// What the system says; part of it may have been written then.
#[cfg(unix)]
pub fn write_all_at(file: &File, buf: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, buf, offset)
}

/// Writes `buf` from `offset` on; the file grows as needed. The file's cursor is anywhere
/// afterwards.
///
/// # Errors
/// What the system says; part of it may have been written then.
#[cfg(windows)]
pub fn write_all_at(file: &File, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_write(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                buf = &buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_number_and_another_one_of_its_name_has_another() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let first = File::create(&a).unwrap();
        let told = number(&first).unwrap().unwrap();
        write_all_at(&first, b"written", 0).unwrap();
        std::fs::rename(&a, &b).unwrap();
        let again = File::open(&b).unwrap();
        assert_eq!(number(&again).unwrap(), Some(told));
        let second = File::create(&a).unwrap();
        assert_ne!(number(&second).unwrap(), Some(told));
    }

    #[test]
    fn room_is_told_of_a_folder_that_is_to_be_made() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [dir.path().to_owned(), dir.path().join("not/yet")] {
            assert!(free(&folder).unwrap().is_some_and(|free| free > 1 << 20));
        }
        // It keeps no account of its room.
        #[cfg(target_os = "linux")]
        assert_eq!(free(std::path::Path::new("/proc")).unwrap(), None);
    }
}
