//! What a file system of Unix keeps of files, besides their bytes.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

use guestfs::{Content, Extras, Kind, Name, Node, Time};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::folder::{LARGEST_STREAM, Lost};
use crate::guest::walk::Found;
use crate::restore::target::TargetError;

/// As what ntfs-3g has a security descriptor.
const SECURITY: &[u8] = b"system.ntfs_acl";

/// As what Linux has rights of a program that not everybody has.
const CAPABILITIES: &[u8] = b"security.capability";

/// Set-user-id and set-group-id.
const SET_ID: u16 = 0o6000;
/// `FILE_ATTRIBUTE_READONLY`, `_HIDDEN` and `_SYSTEM`.
const WINDOWS_ATTRIBUTES: u32 = 7;

/// A stream as an extended attribute, named as ntfs-3g does. Whether that could be.
pub(super) fn stream(
    at: &Path,
    name: &Name,
    mut content: Box<dyn Content + '_>,
) -> guestfs::Result<bool> {
    if content.len() > LARGEST_STREAM {
        return Ok(false);
    }
    let mut value = vec![0; content.len() as usize];
    content.read_at(0, &mut value)?;
    Ok(set(at, &[b"user.", name.as_bytes()].concat(), &value))
}

fn set(at: &Path, name: &[u8], value: &[u8]) -> bool {
    !name.contains(&0) && rustix::fs::lsetxattr(at, name, value, XattrFlags::empty()).is_ok()
}

/// What is not written of a file takes no room.
pub(super) fn sparse(_: &std::fs::File) {}

/// Lets nobody else read what has a mode of its own, which comes last.
pub(super) fn keep_private(at: &Path, node: &Node) {
    let mode = match node.kind {
        Kind::Folder => 0o700,
        _ => 0o600,
    };
    if node.owner.is_some() && !is_link(at) {
        let _ = fs::set_permissions(at, Permissions::from_mode(mode));
    }
}

fn is_link(at: &Path) -> bool {
    fs::symlink_metadata(at).is_ok_and(|about| about.is_symlink())
}

/// Owner, extended attributes, mode and times, as far as this process may: in this order, since a change
/// of owner takes modes away again.
pub(super) fn describe(at: &Path, found: &Found, extras: &Extras, lost: &mut Lost) {
    let node = &found.node;
    if is_link(at) {
        // Somebody has put it there meanwhile, and it leads elsewhere.
        return lost.note("all but the contents", &found.path);
    }
    let own = node
        .owner
        .map(|owner| lchown(at, Some(owner.uid), Some(owner.gid)).is_ok());
    for (name, value) in &extras.xattrs {
        if name.as_bytes() == CAPABILITIES {
            // As with a file's set-user-id.
            lost.note("the right to run with capabilities", &found.path);
        } else if !set(at, name.as_bytes(), value) {
            lost.note("an extended attribute", &found.path);
        }
    }
    // NTFS in Linux takes it; whatever else refuses such a name.
    let security = extras.security.as_deref();
    if security.is_some_and(|security| !set(at, SECURITY, security)) {
        lost.note("a security descriptor of Windows", &found.path);
    }
    if node
        .attributes
        .is_some_and(|all| all & WINDOWS_ATTRIBUTES != 0)
    {
        lost.note(
            "an attribute of Windows (hidden, system, read-only)",
            &found.path,
        );
    }
    if let Some(owner) = node.owner {
        if own != Some(true) {
            lost.note("the owner", &found.path);
        }
        if owner.mode & SET_ID != 0 && node.kind != Kind::Folder {
            lost.note("the right to run as its owner or group", &found.path);
        }
        // Rights of somebody in the guest are given to nobody here. Of a folder they give none.
        let mode = match node.kind {
            Kind::Folder if own == Some(true) => owner.mode,
            _ => owner.mode & !SET_ID,
        };
        if fs::set_permissions(at, Permissions::from_mode(mode.into())).is_err() {
            lost.note("the mode", &found.path);
        }
    }
    if !times(at, node) {
        lost.note("the time", &found.path);
    }
}

/// Times that no file system here has are left as they are.
fn times(at: &Path, node: &Node) -> bool {
    let spec = |time: Option<Time>| match time {
        Some(time) => Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanos.into(),
        },
        None => Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
    };
    let times = Timestamps {
        last_access: spec(node.times.accessed),
        last_modification: spec(node.times.modified),
    };
    rustix::fs::utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// A symbolic link. Always possible.
pub(super) fn link(at: &Path, to: &Name, node: &Node) -> Result<bool, TargetError> {
    let made = std::os::unix::fs::symlink(OsStr::from_bytes(to.as_bytes()), at);
    made.map_err(|error| TargetError::io(at, "making a link", error))?;
    if let Some(owner) = node.owner {
        // Nobody's rights hang on the owner of a link.
        let _ = lchown(at, Some(owner.uid), Some(owner.gid));
    }
    // Nor on its time.
    times(at, node);
    Ok(true)
}

/// A pipe or socket, whether it could be made. No device is: it would be one of this machine.
pub(super) fn special(at: &Path, node: &Node) -> Result<bool, TargetError> {
    let kind = match node.kind {
        Kind::Fifo => FileType::Fifo,
        Kind::Socket => FileType::Socket,
        _ => return Ok(false),
    };
    match rustix::fs::mknodat(CWD, at, kind, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::PERM | rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => {
            let error = io::Error::from(error);
            Err(TargetError::io(at, "making a special file", error))
        }
    }
}

/// Makes all that was written below durable.
pub(super) fn sync(root: &Path) -> Result<(), TargetError> {
    let synced = File::open(root).and_then(|root| Ok(rustix::fs::syncfs(root)?));
    synced.map_err(|error| TargetError::io(root, "making it durable", error))
}
