//! What Unix tells of files and of where they are.

use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes that this user may still write below `folder`, or below what is there of its path; `None` where
/// the file system keeps no account of it.
///
/// # Errors
/// What the system says.
pub fn free(folder: &Path) -> io::Result<Option<u64>> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|above| above.exists());
    let found = rustix::fs::statvfs(there.unwrap_or(folder))?;
    // A file system without blocks, as some of network and memory are, keeps no account of its room.
    let told = found.f_blocks > 0;
    Ok(told.then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// The file's number in its file system, whatever its name is; `None` where there are no numbers. It may
/// be given again when the file is gone.
///
/// # Errors
/// What the system says.
pub fn number(file: &File) -> io::Result<Option<u64>> {
    Ok(Some(std::os::unix::fs::MetadataExt::ino(&file.metadata()?)))
}
