//! What Windows keeps of files, besides their bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use guestfs::{Content, Extras, Name, Node, Time};

use super::folder::Lost;
use crate::guest::walk::Found;
use crate::restore::target::TargetError;

/// Bytes that are in memory of a stream.
const PIECE: u64 = 1 << 20;

/// A stream as one of NTFS. Whether that could be.
pub(super) fn stream(
    at: &Path,
    name: &Name,
    mut content: Box<dyn Content + '_>,
) -> guestfs::Result<bool> {
    let Some(name) = name
        .to_str()
        .filter(|name| !name.contains([':', '\\', '/', '\0']))
    else {
        return Ok(false);
    };
    let mut path = at.as_os_str().to_owned();
    path.push(":");
    path.push(name);
    let Ok(mut file) = OpenOptions::new().write(true).create_new(true).open(path) else {
        return Ok(false);
    };
    let (mut offset, len) = (0, content.len());
    while offset < len {
        let mut piece = vec![0; (len - offset).min(PIECE) as usize];
        content.read_at(offset, &mut piece)?;
        if file.write_all(&piece).is_err() {
            return Ok(false);
        }
        offset += piece.len() as u64;
    }
    Ok(true)
}

/// Who may read a file is what its folder says.
pub(super) fn keep_private(_: &Path, _: &Node) {}

/// Times.
pub(super) fn describe(at: &Path, found: &Found, extras: &Extras, lost: &mut Lost) {
    if !extras.xattrs.is_empty() {
        lost.note("an extended attribute", &found.path);
    }
    if extras.security.is_some() {
        lost.note("a security descriptor", &found.path);
    }
    if found.node.owner.is_some() {
        lost.note("owner and mode of Unix", &found.path);
    }
    let times = &found.node.times;
    let mut set = std::fs::FileTimes::new();
    if let Some(time) = times.modified.and_then(system_time) {
        set = set.set_modified(time);
    }
    if let Some(time) = times.accessed.and_then(system_time) {
        set = set.set_accessed(time);
    }
    #[cfg(windows)]
    if let Some(time) = times.created.and_then(system_time) {
        use std::os::windows::fs::FileTimesExt as _;
        set = set.set_created(time);
    }
    if for_times(at).and_then(|file| file.set_times(set)).is_err() {
        lost.note("the time", &found.path);
    }
    // The last of all: a file may be read-only then.
    let kept = found.node.attributes.map_or(0, |all| all & KEPT);
    if kept != 0 && !set_attributes(at, kept) {
        lost.note("an attribute (hidden, system, read-only)", &found.path);
    }
}

/// Read-only, hidden, system, and to be archived.
const KEPT: u32 = 0x27;

#[cfg(windows)]
fn set_attributes(at: &Path, attributes: u32) -> bool {
    hostfile::set_attributes(at, attributes).is_ok()
}

/// There are none.
#[cfg(not(windows))]
fn set_attributes(_: &Path, _: u32) -> bool {
    false
}

/// Lets holes of a file take no room, where that can be.
pub(super) fn sparse(file: &File) {
    #[cfg(windows)]
    // Where it cannot be, they are zeros.
    let _ = hostfile::make_sparse(file);
    #[cfg(not(windows))]
    let _ = file;
}

/// A file or folder, of which times may be set.
#[cfg(windows)]
fn for_times(at: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
    // Without it a folder is not opened.
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    OpenOptions::new()
        .access_mode(FILE_WRITE_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(at)
}

/// A file, of which times may be set; a folder is not opened.
#[cfg(not(windows))]
fn for_times(at: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(at)
}

fn system_time(time: Time) -> Option<SystemTime> {
    let nanos = Duration::from_nanos(time.nanos.into());
    let whole = match u64::try_from(time.seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        Err(_) => {
            let before = Duration::from_secs(time.seconds.unsigned_abs());
            SystemTime::UNIX_EPOCH.checked_sub(before)
        }
    };
    whole?.checked_add(nanos)
}

/// Few may make links there, and what a guest's link leads to is another system's.
pub(super) fn link(_: &Path, _: &Name, _: &Node) -> Result<bool, TargetError> {
    Ok(false)
}

/// There are none.
pub(super) fn special(_: &Path, _: &Node) -> Result<bool, TargetError> {
    Ok(false)
}

/// Files are written through their own handles; there is nothing that does it for all.
pub(super) fn sync(root: &Path) -> Result<(), TargetError> {
    match root.is_dir() {
        true => Ok(()),
        false => {
            let gone = io::Error::from(io::ErrorKind::NotFound);
            Err(TargetError::io(root, "looking at the folder", gone))
        }
    }
}
