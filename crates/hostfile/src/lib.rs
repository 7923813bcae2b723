//! Files of this host, read and written by position.
//!
//! What every crate that meets a file needs, and what differs from system to system: whole reads
//! and writes at an offset, which leave the file's cursor alone or to nobody, and [`DirectFile`],
//! whose large ones pass the system's page cache by.
//!
//! - A read gives all that was asked for or fails with `UnexpectedEof`; a write writes all or
//!   fails. A signal in between is no failure.
//! - Nothing here knows what a file holds, opens one by a name that it was not given, or takes
//!   memory by what a file claims.

mod direct;

pub use direct::DirectFile;

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
