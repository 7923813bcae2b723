//! What Windows tells of files and of where they are.

use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Component, Path, Prefix};
use std::ptr;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, GetDiskFreeSpaceExW, GetFileInformationByHandle, SetFileAttributesW,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// Bytes that this user may still write below `folder`, or below what is there of its path: what a quota
/// leaves, where there is one. Always told.
///
/// # Errors
/// What the system says.
pub fn free(folder: &Path) -> io::Result<Option<u64>> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|above| above.exists());
    // The root of a share must end so, and any other folder may.
    let mut path = verbatim(&there.unwrap_or(folder).join(""))?;
    let mut free = 0;
    // SAFETY: the path is a UTF-16 text that ends with a NUL, and `free` takes the 64 bits that are
    // written; both outlive the call. What is null is not written.
    let done = unsafe {
        GetDiskFreeSpaceExW(
            path.as_mut_ptr(),
            &raw mut free,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(Some(free)),
    }
}

/// The file's number in its file system, whatever its name is; `None` where there are no numbers. NTFS
/// gives none again.
///
/// # Errors
/// What the system says.
pub fn number(file: &File) -> io::Result<Option<u64>> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is, and `found` is what the call fills.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let number = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    Ok((number != 0).then_some(number))
}

/// Lets what is never written of a file take no room.
///
/// # Errors
/// What the system says, as where its file system has no such files.
pub fn make_sparse(file: &File) -> io::Result<()> {
    let mut returned = 0;
    // SAFETY: the handle is open as long as `file` is. Nothing goes in and nothing comes out; `returned`
    // takes the 32 bits that are written, and nobody waits for it later.
    let done = unsafe {
        DeviceIoControl(
            file.as_raw_handle(),
            FSCTL_SET_SPARSE,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &raw mut returned,
            ptr::null_mut(),
        )
    };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets the attributes of a file or folder (`FILE_ATTRIBUTE_…`).
///
/// # Errors
/// What the system says.
pub fn set_attributes(path: &Path, attributes: u32) -> io::Result<()> {
    let path = verbatim(path)?;
    // SAFETY: the path is a UTF-16 text that ends with a NUL, and outlives the call.
    match unsafe { SetFileAttributesW(path.as_ptr(), attributes) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The path for a function of Windows, ending with a NUL: absolute, and in the form `\\?\…` that
/// may be longer than 260 units, as the standard library passes it.
///
/// # Errors
/// `InvalidInput` for a path with a NUL in it.
pub fn verbatim(path: &Path) -> io::Result<Vec<u16>> {
    let path = std::path::absolute(path)?;
    let kind = match path.components().next() {
        Some(Component::Prefix(prefix)) => Some(prefix.kind()),
        _ => None,
    };
    // `C:\…` goes behind the prefix, and so does `\\server\…` without its slashes.
    let (prefix, skip) = match kind {
        Some(Prefix::Disk(_)) => (r"\\?\", 0),
        Some(Prefix::UNC(..)) => (r"\\?\UNC\", 2),
        _ => ("", 0),
    };
    let path = path.as_os_str().encode_wide().skip(skip);
    let mut units: Vec<u16> = prefix.encode_utf16().chain(path).collect();
    if units.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    units.push(0);
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a file is sparse is not told by Wine, so only that nothing else changes is looked at.
    #[test]
    fn attributes_are_set_and_a_sparse_file_reads_as_zeros() {
        const READ_ONLY: u32 = 1;
        const NORMAL: u32 = 0x80;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = File::create(&path).unwrap();
        // Some file systems have no such files, and then say so.
        let _ = make_sparse(&file);
        file.set_len(1 << 20).unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; 1 << 20]);
        let is_read_only = || std::fs::metadata(&path).unwrap().permissions().readonly();
        for (attributes, read_only) in [(READ_ONLY, true), (NORMAL, false)] {
            set_attributes(&path, attributes).unwrap();
            assert_eq!(is_read_only(), read_only);
        }
        assert!(set_attributes(&folder.path().join("b"), NORMAL).is_err());
    }

    #[test]
    fn paths_take_the_form_that_may_be_long() {
        let shown = |path: &str| {
            let units = verbatim(Path::new(path)).unwrap();
            String::from_utf16(units.split_last().unwrap().1).unwrap()
        };
        for (path, long) in [
            (r"C:\a/b\..\c", r"\\?\C:\a\c"),
            (r"\\server\share\a", r"\\?\UNC\server\share\a"),
            (r"\\?\C:\a", r"\\?\C:\a"),
            (r"\\?\UNC\server\share\a", r"\\?\UNC\server\share\a"),
        ] {
            assert_eq!(shown(path), long);
        }
        assert!(shown("a").ends_with(r"\a") && shown("a").starts_with(r"\\?\"));
        assert!(verbatim(Path::new("a\0b")).is_err());
    }
}
