//! Files of a guest as a tar archive.
//!
//! With records of POSIX for what the old header cannot hold: nanoseconds, and extended attributes as
//! `SCHILY.xattr.…`, which GNU tar and libarchive know. Holes become zeros. What there are no records for
//! (alternate streams, security descriptors) is told.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use guestfs::{Content, Extras, FileSystem, Kind, Name, Node};
use tar::{Builder, EntryType, Header};

use super::folder::Lost;
use super::host_name::here;
use super::{NotWritten, Target};
use crate::finding::Finding;
use crate::guest::path::GuestPath;
use crate::guest::walk::Found;
use crate::restore::target::TargetError;

/// An archive that is written to the end of something.
pub struct TarTarget<W: Write> {
    archive: Builder<W>,
    /// What it is called in errors.
    name: PathBuf,
    lost: Lost,
}

impl<W: Write> TarTarget<W> {
    /// Writes to `out`, which `name` is the name of.
    pub fn new(out: W, name: PathBuf) -> Self {
        Self {
            archive: Builder::new(out),
            name,
            lost: Lost::default(),
        }
    }

    /// Whoever it was written to.
    ///
    /// # Errors
    /// When its end cannot be written.
    pub fn into_inner(self) -> Result<W, TargetError> {
        let name = self.name;
        self.archive
            .into_inner()
            .map_err(|error| TargetError::io(&name, "writing the end of the archive", error))
    }

    fn place(&mut self, path: &GuestPath) -> PathBuf {
        let mut at = PathBuf::from(here(&Name::from(path.volume.as_str())).0);
        for name in &path.names {
            let (name, other) = here(name);
            if other {
                self.lost.note("a name that is none on this system", path);
            }
            at.push(name);
        }
        at
    }

    /// A header, after the records that go before it.
    fn header(
        &mut self,
        found: &Found,
        (kind, len): (EntryType, u64),
        extras: &Extras,
    ) -> io::Result<Header> {
        let node = &found.node;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(len);
        let mode = match node.owner {
            Some(owner) => {
                header.set_uid(owner.uid.into());
                header.set_gid(owner.gid.into());
                owner.mode
            }
            None if kind == EntryType::Directory => 0o755,
            None => 0o644,
        };
        header.set_mode(mode.into());
        let modified = node.times.modified;
        let seconds = modified.map_or(0, |time| time.seconds);
        header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(time) = modified.filter(|time| time.nanos > 0 || time.seconds < 0) {
            records.push((
                "mtime".to_owned(),
                decimal(time.seconds, time.nanos).into_bytes(),
            ));
        }
        for (name, value) in &extras.xattrs {
            match name
                .to_str()
                .filter(|name| !name.contains(['=', '\n', '\0']))
            {
                Some(name) => records.push((format!("SCHILY.xattr.{name}"), value.clone())),
                None => self.lost.note("an extended attribute", &found.path),
            }
        }
        if !extras.streams.is_empty() {
            self.lost.note("an alternate data stream", &found.path);
        }
        if extras.security.is_some() {
            self.lost
                .note("a security descriptor of Windows", &found.path);
        }
        if !records.is_empty() {
            let all = records
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()));
            self.archive.append_pax_extensions(all)?;
        }
        Ok(header)
    }

    fn failed(&self, error: io::Error) -> NotWritten {
        // What the guest's file said goes through tar's own reading of it.
        match error.downcast::<guestfs::Error>() {
            Ok(error) => NotWritten::Guest(error),
            Err(error) => TargetError::io(&self.name, "writing the archive", error).into(),
        }
    }

    fn add(
        &mut self,
        found: &Found,
        (kind, len): (EntryType, u64),
        extras: &Extras,
        contents: impl Read,
    ) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        let header = self.header(found, (kind, len), extras);
        let done = header.and_then(|mut header| {
            if let Kind::Device { major, minor, .. } = found.node.kind {
                header.set_device_major(major)?;
                header.set_device_minor(minor)?;
            }
            self.archive.append_data(&mut header, at, contents)
        });
        done.map_err(|error| self.failed(error))
    }
}

/// A time as POSIX wants it. Nanoseconds count forwards.
fn decimal(seconds: i64, nanos: u32) -> String {
    match (seconds < 0, nanos) {
        (true, 1..) => {
            let whole = seconds.unsigned_abs() - 1;
            format!("-{whole}.{:09}", 1_000_000_000 - nanos)
        }
        _ => format!("{seconds}.{nanos:09}"),
    }
}

/// Contents from their start, and zeros behind what could be read: an archive's entry is as long as its
/// header says, whatever happens.
struct Reading<'a> {
    content: &'a mut dyn Content,
    at: u64,
    failed: &'a mut Option<guestfs::Error>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len() - self.at;
        let len = left.min(buf.len() as u64) as usize;
        let piece = &mut buf[..len];
        let read = match self.failed {
            None => self.content.read_at(self.at, piece).err(),
            Some(_) => None,
        };
        if read.is_some() {
            *self.failed = read;
        }
        if self.failed.is_some() {
            piece.fill(0);
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl<W: Write> Target for TarTarget<W> {
    fn folder(&mut self, _: &Found) -> Result<(), NotWritten> {
        Ok(())
    }

    fn left(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten> {
        // Behind its files, so that its time is the last that is set.
        self.add(found, (EntryType::Directory, 0), extras, io::empty())
    }

    fn file(
        &mut self,
        _: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        let mut failed = None;
        let kind = (EntryType::Regular, content.len());
        let reading = Reading {
            content,
            at: 0,
            failed: &mut failed,
        };
        self.add(found, kind, extras, reading)?;
        failed.map_or(Ok(()), |error| Err(NotWritten::Guest(error)))
    }

    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<(), NotWritten> {
        let (at, first) = (self.place(&found.path), self.place(first));
        let none = Extras::default();
        let header = self.header(found, (EntryType::Link, 0), &none);
        let done = header.and_then(|mut header| self.archive.append_link(&mut header, at, first));
        done.map_err(|error| self.failed(error))
    }

    fn link(&mut self, found: &Found, target: &Name, extras: &Extras) -> Result<(), NotWritten> {
        let at = self.place(&found.path);
        let to = os(target);
        let header = self.header(found, (EntryType::Symlink, 0), extras);
        let done = header.and_then(|mut header| self.archive.append_link(&mut header, at, to));
        done.map_err(|error| self.failed(error))
    }

    fn special(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten> {
        let kind = match found.node {
            Node {
                kind: Kind::Fifo, ..
            } => EntryType::Fifo,
            Node {
                kind: Kind::Device { block: true, .. },
                ..
            } => EntryType::Block,
            Node {
                kind: Kind::Device { block: false, .. },
                ..
            } => EntryType::Char,
            _ => return Err(NotWritten::NoSuchThing("no archive holds sockets")),
        };
        self.add(found, (kind, 0), extras, io::empty())
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        let done = self.archive.finish();
        done.map_err(|error| self.failed(error))?;
        Ok(self.lost.findings())
    }
}

#[cfg(unix)]
fn os(name: &Name) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(name.as_bytes()).into()
}

#[cfg(not(unix))]
fn os(name: &Name) -> PathBuf {
    name.to_string().into()
}
