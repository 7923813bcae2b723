//! Volumes, folders and files of a guest as plain data.

use std::ops::ControlFlow;

use guestfs::probe::What;
use guestfs::{Entry, Error, FileSystem, How, Kind, Name, Node};
use serde::Serialize;

use super::Guest;
pub use super::keys::hint;
use super::path::{GuestPath, text};
use super::restore::state;
use super::walk::{Found, Met, Next, Pattern, node, walk};
use crate::finding::{Code, Finding, Severity};

/// A volume.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeLine {
    /// Its name, with which paths in it begin.
    pub volume: String,
    /// The disk that it begins on: where it is attached.
    pub slot: String,
    /// The path of that disk in the point.
    pub disk: String,
    /// Bytes of it.
    pub bytes: u64,
    /// What is on it, in few words: `NTFS`, `BitLocker`.
    pub what: String,
    /// By what it is encrypted, if it is: `BitLocker`, `LUKS2`. It is open if its file system is told.
    pub encrypted: Option<&'static str>,
    /// The file system's label; empty without one.
    pub label: String,
    /// The name of its partition; empty without one.
    pub partition: String,
    /// In what state the file system was; nothing if it is not read.
    pub state: Option<&'static str>,
    /// Why it is not read, if so.
    pub not_read: Option<String>,
    /// What is odd about it.
    pub notes: Vec<String>,
}

/// A file or folder.
#[derive(Clone, Debug, Serialize)]
pub struct FileLine {
    /// Where it is.
    pub path: String,
    /// `file`, `folder`, `link`, `junction`, `device`, `pipe`, `socket` or `other`.
    pub kind: &'static str,
    /// Bytes of a file.
    pub bytes: u64,
    /// When it was last written: seconds since 1970, and nanoseconds.
    pub modified: Option<(i64, u32)>,
    /// The twelve lower bits of its mode, of a file system that has modes.
    pub mode: Option<u16>,
    /// Numbers of its owner and group.
    pub owner: Option<(u32, u32)>,
    /// Attributes of Windows, of a file system that has them.
    pub attributes: Option<u32>,
    /// Names that it has.
    pub names: u32,
    /// Where a link leads.
    pub target: Option<String>,
    /// Why its contents are not to be had, if so.
    pub not_read: Option<String>,
}

/// The word for a state.
pub fn word(how: How) -> &'static str {
    match how {
        How::Clean => "clean",
        How::Replayed => "replayed",
        How::NotReplayed => "not-replayed",
        How::Hibernated => "hibernated",
        How::InUse => "in-use",
        How::Dirty => "dirty",
        How::Damaged => "damaged",
    }
}

/// All volumes, with what their file systems say of themselves.
pub fn volumes(guest: &Guest) -> (Vec<VolumeLine>, Vec<Finding>) {
    let mut findings = Vec::new();
    let all = guest.volumes().iter();
    let lines = all.map(|volume| {
        let disk = guest.disk_of(volume);
        let partition = volume.partition.as_ref();
        let mut line = VolumeLine {
            volume: volume.name.clone(),
            slot: disk.map(|disk| disk.slot.clone()).unwrap_or_default(),
            disk: disk.map(|disk| disk.path.clone()).unwrap_or_default(),
            bytes: volume.len,
            what: volume.what.name().to_owned(),
            encrypted: volume.encrypted.map(What::name),
            label: String::new(),
            partition: partition.map(|p| p.name.clone()).unwrap_or_default(),
            state: None,
            not_read: None,
            notes: Vec::new(),
        };
        match volume.open() {
            Ok(fs) => {
                let about = fs.about();
                line.what = about.format.to_owned();
                line.label.clone_from(&about.label);
                line.state = Some(word(about.state.how));
                line.notes.clone_from(&about.state.notes);
            }
            Err(error) => {
                // What is named and not read is no surprise; what should be readable is.
                if volume.obstacle().is_none() {
                    findings.push(unreadable(&volume.name, &error));
                }
                line.not_read = Some(error.to_string());
            }
        }
        line
    });
    (lines.collect(), findings)
}

/// What is in a folder, by name; of anything else, that alone.
///
/// # Errors
/// When there is no such thing, or it cannot be read.
pub fn folder(guest: &Guest, path: &GuestPath) -> Result<(Vec<FileLine>, Vec<Finding>), Error> {
    let fs = guest.file_system(&path.volume)?;
    let mut findings = state(&path.volume, fs.as_ref());
    let id = node(fs.as_ref(), path)?;
    let here = fs.node(id)?;
    if here.kind != Kind::Folder {
        return Ok((vec![path_line(fs.as_ref(), path, &here)], findings));
    }
    let mut entries = Vec::new();
    fs.list(id, &mut |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    })?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let lines = entries.iter();
    let lines = lines.map(|entry| entry_line(fs.as_ref(), path, entry, &mut findings));
    let lines = lines.collect();
    Ok((lines, findings))
}

/// What is told of a name in a folder. What cannot be read is in the findings, too.
pub(super) fn entry_line(
    fs: &dyn FileSystem,
    folder: &GuestPath,
    entry: &Entry,
    findings: &mut Vec<Finding>,
) -> FileLine {
    let path = folder.join(entry.name.clone());
    match fs.node(entry.node) {
        Ok(node) => path_line(fs, &path, &node),
        Err(error) => {
            findings.push(unreadable(&path.to_string(), &error));
            unknown(&path, &error)
        }
    }
}

/// That something could not be read.
pub(super) fn unreadable(path: &str, error: &Error) -> Finding {
    let hint = hint(path, error);
    Finding::new(
        Code::FileUnreadable,
        Severity::Partial,
        path,
        error.to_string(),
    )
    .hint(hint.unwrap_or_else(|| {
        "restore the disk, and have the guest's own tools look at it".to_owned()
    }))
}

/// Calls `each` for all that patterns name, without what is in folders that they name. Gives in what state the
/// volumes are that were looked at, and what could not be read.
pub fn find(
    guest: &Guest,
    patterns: &[Pattern],
    each: &mut dyn FnMut(FileLine) -> Next,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for volume in guest.volumes() {
        let of_it: Vec<&Pattern> = patterns.iter().filter(|p| p.is_of(&volume.name)).collect();
        if of_it.is_empty() {
            continue;
        }
        let fs = match volume.open() {
            Ok(fs) => fs,
            // Nobody has files there.
            Err(error) if matches!(volume.what, What::Swap | What::Blank | What::Lvm) => {
                let name = volume.name.clone();
                findings.push(Finding::note(Code::GuestVolumes, name, error.to_string()));
                continue;
            }
            Err(error) => {
                findings.push(unreadable(&volume.name, &error));
                continue;
            }
        };
        findings.extend(state(&volume.name, fs.as_ref()));
        for pattern in of_it {
            let walked = walk(fs.as_ref(), &volume.name, pattern, &mut |met| match met {
                Met::Here(found) => {
                    let next = match pattern.names(&found.path) {
                        true => each(path_line(fs.as_ref(), &found.path, &found.node)),
                        false => Next::On,
                    };
                    match next {
                        Next::On if !pattern.leads_into(&found.path) => Next::Skip,
                        next => next,
                    }
                }
                Met::Left(_) => Next::On,
                Met::Failed(path, error) => {
                    findings.push(unreadable(&path.to_string(), &error));
                    Next::On
                }
            });
            if let Err(error) = walked {
                findings.push(unreadable(&volume.name, &error));
            }
        }
    }
    findings
}

/// What is told of something that was found.
pub fn of(fs: &dyn FileSystem, found: &Found) -> FileLine {
    path_line(fs, &found.path, &found.node)
}

/// What is told of a node.
pub(super) fn path_line(fs: &dyn FileSystem, path: &GuestPath, node: &Node) -> FileLine {
    let is_link = matches!(node.kind, Kind::Link | Kind::Junction);
    let target = is_link.then(|| fs.target(node.id).ok()).flatten();
    FileLine {
        path: path.to_string(),
        kind: kind(node.kind),
        bytes: node.len,
        modified: node.times.modified.map(|time| (time.seconds, time.nanos)),
        mode: node.owner.map(|owner| owner.mode),
        owner: node.owner.map(|owner| (owner.uid, owner.gid)),
        attributes: node.attributes,
        names: node.links,
        target: target.map(|target| target_text(&target)),
        not_read: node.obstacle.as_ref().map(ToString::to_string),
    }
}

/// Where a link leads, as text: a slash in it is one.
fn target_text(target: &Name) -> String {
    let parts = target.as_bytes().split(|byte| *byte == b'/');
    let parts: Vec<String> = parts.map(|part| text(&Name::new(part))).collect();
    parts.join("/")
}

/// A name that leads to something that cannot be read.
fn unknown(path: &GuestPath, error: &Error) -> FileLine {
    FileLine {
        path: path.to_string(),
        kind: kind(Kind::Other),
        bytes: 0,
        modified: None,
        mode: None,
        owner: None,
        attributes: None,
        names: 0,
        target: None,
        not_read: Some(error.to_string()),
    }
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Link => "link",
        Kind::Junction => "junction",
        Kind::Device { .. } => "device",
        Kind::Fifo => "pipe",
        Kind::Socket => "socket",
        Kind::Other => "other",
    }
}
