//! Opening one disk image that lies in a folder, without doing it or its user any harm.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use disk::raw::RawDisk;
use disk::vhd::VhdImage;
use disk::vhdx::VhdxImage;
use disk::{BlockRead, DirectFile, Format, Layer, LayerInfo, ReadAt};

use crate::finding::{Code, Finding, Severity};
use crate::source::folder::fingerprint::Fingerprint;

/// Extensions by which disk images are known. A raw image has no other mark.
const IMAGES: [&str; 8] = [
    "vhdx", "avhdx", "vhdpmem", "vhd", "avhd", "raw", "img", "dd",
];

/// Whether a file's name says that it is a disk image.
pub(crate) fn is_image(path: &Path) -> bool {
    extension(path).is_some_and(|e| IMAGES.contains(&e.as_str()))
}

/// What follows the last dot of a file's name, in lower case.
pub(crate) fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// An open image.
pub(crate) struct Opened {
    /// What the image says about itself.
    pub(crate) info: LayerInfo,
    /// The image, alone.
    pub(crate) data: Arc<dyn BlockRead>,
    /// Its file.
    pub(crate) file: Arc<File>,
    /// What the file looked like before anything else was read.
    pub(crate) before: Fingerprint,
    /// What the image's reader noticed.
    pub(crate) notes: Vec<String>,
}

/// Opens an image. What it is, its first and last bytes tell; a file that is named like a VHDX or
/// VHD and is none is damaged, never raw.
///
/// # Errors
/// A finding of severity [`Severity::Partial`] that says what is wrong.
pub(crate) fn open(path: &Path) -> Result<Opened, Finding> {
    let file = Arc::new(open_file(path)?);
    let before = Fingerprint::of(&file).map_err(|e| unreadable(path, &e))?;
    let bad = |error: disk::Error| damaged(path, &error);
    // A backup reads a disk once: the host's memory is for others.
    let contents = || DirectFile::reading(Arc::clone(&file));
    let named = extension(path);
    let named = |names: &[&str]| named.as_deref().is_some_and(|e| names.contains(&e));

    if begins_with(&file, b"vhdxfile") || named(&["vhdx", "avhdx", "vhdpmem"]) {
        let image = VhdxImage::open(contents()).map_err(bad)?;
        return Ok(Opened {
            info: image.info().clone(),
            notes: image.findings().to_vec(),
            data: Arc::new(image),
            file,
            before,
        });
    }
    if named(&["vhd", "avhd"]) || ends_like_vhd(&file) {
        let image = VhdImage::open(contents()).map_err(bad)?;
        return Ok(Opened {
            info: image.info().clone(),
            notes: image.findings().to_vec(),
            data: Arc::new(image),
            file,
            before,
        });
    }
    let image = RawDisk::open(contents()).map_err(bad)?;
    Ok(Opened {
        info: LayerInfo {
            geometry: image.geometry(),
            format: Format::Raw,
            parent: None,
        },
        notes: Vec::new(),
        data: Arc::new(image.with_probe(Arc::clone(&file))),
        file,
        before,
    })
}

/// Opens a regular file for reading.
///
/// # Errors
/// A finding of severity [`Severity::Partial`].
pub(crate) fn open_file(path: &Path) -> Result<File, Finding> {
    let fail = |error: io::Error| unreadable(path, &error);
    // Asked first, because opening a pipe would wait for somebody to write to it.
    if !fs::metadata(path).map_err(fail)?.is_file() {
        return Err(unreadable(path, &io::Error::other("it is not a file")));
    }
    let file = File::open(path).map_err(fail)?;
    refuse_if_locked(path, &file)?;
    Ok(file)
}

/// A program that takes an exclusive lock on an image says that it is writing to it. The lock is
/// only looked at and given back at once, so that nobody else is kept from taking it.
#[cfg(unix)]
fn refuse_if_locked(path: &Path, file: &File) -> Result<(), Finding> {
    match file.try_lock_shared() {
        Ok(()) => {
            // Closing the file would give it back too.
            let _ = file.unlock();
            Ok(())
        }
        Err(fs::TryLockError::WouldBlock) => Err(locked(path)),
        // A file system without locks.
        Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// Windows refuses by itself, on opening or on reading: [`in_use`] tells why.
#[cfg(not(unix))]
fn refuse_if_locked(_: &Path, _: &File) -> Result<(), Finding> {
    Ok(())
}

fn begins_with(file: &File, magic: &[u8]) -> bool {
    let mut buf = vec![0; magic.len()];
    file.read_exact_at(&mut buf, 0).is_ok() && buf == magic
}

fn ends_like_vhd(file: &File) -> bool {
    let mut buf = [0; 8];
    ReadAt::len(file)
        .ok()
        .and_then(|len| len.checked_sub(512))
        .is_some_and(|at| file.read_exact_at(&mut buf, at).is_ok() && buf == *b"conectix")
}

/// Whether another program keeps this one out. On Unix locks are asked for, not met.
#[cfg(not(windows))]
fn in_use(_: &io::Error) -> bool {
    false
}

/// Whether another program keeps this one out: by not sharing the file (`ERROR_SHARING_VIOLATION`)
/// or by a lock on a part of it (`ERROR_LOCK_VIOLATION`).
#[cfg(windows)]
fn in_use(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(32 | 33))
}

fn locked(path: &Path) -> Finding {
    Finding::new(
        Code::DiskUnreadable,
        Severity::Partial,
        path.display().to_string(),
        "another program has locked it",
    )
    .hint("stop the program that uses it, or back the VM up from its running host")
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    if in_use(error) {
        return locked(path);
    }
    let missing = fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let code = if missing {
        Code::DiskMissing
    } else {
        Code::DiskUnreadable
    };
    Finding::new(
        code,
        Severity::Partial,
        path.display().to_string(),
        format!("cannot be opened: {error}"),
    )
    .hint("check that the file is there, that you may read it, and that no other program has locked it")
}

/// A finding about an image that contradicts its format.
pub(crate) fn damaged(path: &Path, error: &disk::Error) -> Finding {
    let code = match error {
        disk::Error::Io { source, .. } if in_use(source) => return locked(path),
        disk::Error::Io { .. } => Code::DiskUnreadable,
        _ => Code::DiskDamaged,
    };
    Finding::new(
        code,
        Severity::Partial,
        path.display().to_string(),
        error.to_string(),
    )
    .hint("copy the file again from where it came from; an earlier restore point may hold it whole")
}
