//! Files of a guest as files of this system, below a folder.
//!
//! The whole path of each is kept: `VOLUME/folder/file`. Nothing is overwritten, and nothing is written
//! through a link: folders are made one by one, and none that is there already may be a link. Devices are not
//! made, and nobody gets rights by a file's set-user-id or capabilities: a guest's word for these counts in the guest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use guestfs::{Content, Extras, FileSystem, Kind, Name};

use super::host_name::here;
use super::places::Places;
use super::{NotWritten, Target};
use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::guest::path::GuestPath;
use crate::guest::walk::Found;
use crate::restore::target::{NewFile, TEMP_PREFIX, TargetError};

#[cfg(not(unix))]
use super::elsewhere as system;
#[cfg(unix)]
use super::unix as system;

/// Bytes that are in memory of a file.
const PIECE: usize = 1 << 20;
/// No stream of more bytes becomes an extended attribute: no file system of Linux takes more.
pub(super) const LARGEST_STREAM: u64 = 64 << 10;
/// What to do about what is lost.
const HINT: &str = "restore with the rights and onto a file system that has such things; a tar archive keeps \
                    owners, modes, devices, extended attributes and small streams";

/// A folder of this system.
pub struct FolderTarget {
    root: PathBuf,
    places: Places,
    /// The folder that was made sure of last.
    sure: Option<PathBuf>,
    cancel: Cancel,
    /// What could be read of nobody, though its file is there.
    findings: Vec<Finding>,
    lost: Lost,
}

/// What this system does not keep of files, with the first of each kind.
#[derive(Default)]
pub(super) struct Lost {
    kinds: Vec<(&'static str, u64, String)>,
}

impl Lost {
    pub(super) fn note(&mut self, what: &'static str, path: &GuestPath) {
        match self.kinds.iter_mut().find(|(kind, ..)| *kind == what) {
            Some((_, count, _)) => *count += 1,
            None => self.kinds.push((what, 1, path.to_string())),
        }
    }

    /// All of it, with what to do about it.
    pub(super) fn findings(&mut self, hint: &str) -> Vec<Finding> {
        let kinds = std::mem::take(&mut self.kinds).into_iter();
        let tell = |(what, count, first): (&str, u64, String)| {
            let message = match count {
                1 => format!("{what} is not kept here"),
                more => format!("{what} is not kept here; {} others alike", more - 1),
            };
            Finding::new(Code::NotCovered, Severity::Warning, first, message).hint(hint)
        };
        kinds.map(tell).collect()
    }
}

impl FolderTarget {
    /// Below `root`, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(root: &Path, cancel: &Cancel) -> Result<Self, TargetError> {
        fs::create_dir_all(root)
            .map_err(|error| TargetError::io(root, "making the folder", error))?;
        Ok(Self {
            root: root.to_owned(),
            places: Places::new(here, folds_case(root)),
            sure: None,
            cancel: cancel.clone(),
            findings: Vec::new(),
            lost: Lost::default(),
        })
    }

    /// Where something goes.
    fn place(&mut self, path: &GuestPath) -> PathBuf {
        let placed = self.places.place(path);
        if placed.strange {
            self.lost.note("a name that is none on this system", path);
        }
        let mut at = self.root.clone();
        at.extend(placed.names);
        at
    }

    /// Makes the folders above something, none of which may be a link.
    fn above(&mut self, at: &Path) -> Result<(), TargetError> {
        let Some(parent) = at
            .parent()
            .filter(|parent| self.sure.as_deref() != Some(*parent))
        else {
            return Ok(());
        };
        let below = parent.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let mut folder = self.root.clone();
        for part in below {
            folder.push(part);
            make_folder(&folder)?;
        }
        self.sure = Some(parent.to_owned());
        Ok(())
    }

    fn streams(&mut self, fs: &dyn FileSystem, (found, at): (&Found, &Path), extras: &Extras) {
        for stream in &extras.streams {
            let content = fs.open(found.node.id, Some(&stream.name));
            match content.and_then(|content| system::stream(at, &stream.name, content)) {
                Ok(true) => {}
                Ok(false) => self.lost.note("an alternate data stream", &found.path),
                // The file itself is there.
                Err(error) => self
                    .findings
                    .push(unread(&found.path, &stream.name, &error)),
            }
        }
    }
}

/// Whether case does not count below a folder: on Windows, and on what others mount of it. Where that cannot be
/// told, nothing can be written either.
fn folds_case(root: &Path) -> bool {
    let seen = |probe: &NewFile| {
        let name = probe.temp().file_name()?.to_str()?.to_uppercase();
        Some(fs::symlink_metadata(root.join(name)).is_ok())
    };
    let probe = NewFile::create(&root.join(TEMP_PREFIX));
    cfg!(windows) || probe.ok().as_ref().and_then(seen).unwrap_or(true)
}

/// A stream that cannot be read.
pub(super) fn unread(path: &GuestPath, stream: &Name, error: &guestfs::Error) -> Finding {
    let (what, why) = (format!("{path}:{stream}"), error.to_string());
    Finding::new(Code::FileUnreadable, Severity::Partial, what, why).hint(super::DISK)
}

/// Whether a file cannot be made in the place of a hard link either.
fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let final_ones = [
        AlreadyExists,
        NotFound,
        QuotaExceeded,
        ReadOnlyFilesystem,
        StorageFull,
    ];
    final_ones.contains(&error.kind())
}

fn make_folder(folder: &Path) -> Result<(), TargetError> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_folder = fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
            match is_folder {
                true => Ok(()),
                false => Err(TargetError::Exists(folder.to_owned())),
            }
        }
        Err(error) => Err(TargetError::io(folder, "making a folder", error)),
    }
}

impl Target for FolderTarget {
    fn folder(&mut self, found: &Found) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        self.above(&at)?;
        make_folder(&at)?;
        // Until all is in it, and its own mode says who else may.
        system::keep_private(&at, &found.node);
        Ok(())
    }

    fn left(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        self.streams(fs, (found, &at), extras);
        system::describe(&at, found, extras, &mut self.lost);
        Ok(())
    }

    fn file(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        self.above(&at)?;
        let new = NewFile::create(&at)?;
        system::keep_private(new.temp(), &found.node);
        write(&new, content, &self.cancel)?;
        // Where there is nothing that makes all durable in the end, each file is.
        match cfg!(unix) {
            true => new.place_unsynced()?,
            false => new.place()?,
        }
        self.streams(fs, (found, &at), extras);
        system::describe(&at, found, extras, &mut self.lost);
        Ok(())
    }

    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<bool, NotWritten> {
        let (at, first) = (self.place(&found.path), self.place(first));
        self.above(&at)?;
        match fs::hard_link(first, &at) {
            Ok(()) => Ok(true),
            // FAT has none, ext4 no more than 65 000 of a file: whatever it is, a copy may do.
            Err(error) if !is_final(&error) => {
                self.lost.note(super::LINKED, &found.path);
                Ok(false)
            }
            Err(error) => {
                let error = TargetError::io(&at, "giving a file another name", error);
                Err(error.into())
            }
        }
    }

    fn link(&mut self, found: &Found, target: &Name, extras: &Extras) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        self.above(&at)?;
        if !system::link(&at, target, &found.node)? {
            self.lost.note("a link", &found.path);
        } else if !extras.xattrs.is_empty() || extras.security.is_some() {
            self.lost
                .note("an extended attribute of a link", &found.path);
        }
        Ok(())
    }

    fn special(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        self.above(&at)?;
        match system::special(&at, &found.node)? {
            true => system::describe(&at, found, extras, &mut self.lost),
            false => {
                let what = match found.node.kind {
                    Kind::Socket => "a socket",
                    Kind::Fifo => "a pipe",
                    _ => "a device",
                };
                self.lost.note(what, &found.path);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        system::sync(&self.root)?;
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(self.places.findings());
        findings.extend(self.lost.findings(HINT));
        Ok(findings)
    }
}

/// Writes what is stored of a file, and leaves the rest a hole.
fn write(new: &NewFile, content: &mut dyn Content, cancel: &Cancel) -> Result<(), NotWritten> {
    let file = new.file();
    let io = |error| TargetError::io(new.path(), "writing", error);
    let mut buffer = Vec::new();
    let mut from = 0;
    let mut whole = true;
    while let Some(range) = content.next_data(from)? {
        if range.start > from && whole {
            system::sparse(new.host_file());
            whole = false;
        }
        let mut at = range.start;
        while at < range.end {
            if cancel.is_cancelled() {
                return Err(NotWritten::Cancelled);
            }
            let len = (range.end - at).min(PIECE as u64) as usize;
            buffer.resize(len, 0);
            content.read_at(at, &mut buffer)?;
            file.write_all_at(&buffer, at).map_err(io)?;
            at += len as u64;
        }
        from = range.end;
    }
    if content.len() > from && whole {
        system::sparse(new.host_file());
    }
    Ok(file.set_len(content.len()).map_err(io)?)
}
