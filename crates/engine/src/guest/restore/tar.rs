//! Files of a guest as a tar archive.
//!
//! With records of POSIX for what the old header cannot hold: nanoseconds, and extended attributes as
//! `SCHILY.xattr.…`, which GNU tar and libarchive know. Alternate streams become extended attributes `user.NAME`, as
//! they do in a folder of Linux, within bounds. Holes become zeros. What there are no records for (large streams,
//! security descriptors, attributes of Windows) is told.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use guestfs::{Content, Extras, FileSystem, Kind, Name};
use tar::{Builder, EntryType, Header};

use super::folder::{LARGEST_STREAM, Lost, unread};
use super::host_name::here;
use super::places::Places;
use super::reading::Reading;
use super::{NotWritten, Target};
use crate::cancel::Cancel;
use crate::finding::Finding;
use crate::guest::path::GuestPath;
use crate::guest::walk::Found;
use crate::restore::target::TargetError;

/// Bytes of all streams of a file and of its other attributes, with their names: its header is in memory, and
/// libarchive reads none that is longer than 1 MiB.
const STREAMS: u64 = 896 << 10;
/// `FILE_ATTRIBUTE_READONLY`, `_HIDDEN` and `_SYSTEM`.
const WINDOWS_ATTRIBUTES: u32 = 7;
/// What to do about what is lost.
const HINT: &str =
    "restore into a folder on a file system that has such things, with the rights that it takes";

/// An archive that is written to the end of something.
pub struct TarTarget<W: Write> {
    archive: Builder<W>,
    /// What it is called in errors.
    name: PathBuf,
    cancel: Cancel,
    /// An entry was not written to its end: what follows cannot be told from it, so nothing does.
    broken: bool,
    places: Places,
    /// What could not be read, though its file is there.
    findings: Vec<Finding>,
    lost: Lost,
}

impl<W: Write> TarTarget<W> {
    /// Writes to `out`, which `name` is the name of.
    pub fn new(out: W, name: PathBuf, cancel: &Cancel) -> Self {
        Self {
            archive: Builder::new(out),
            name,
            cancel: cancel.clone(),
            broken: false,
            places: Places::new(here, cfg!(windows)),
            findings: Vec::new(),
            lost: Lost::default(),
        }
    }

    /// Whoever it was written to; nothing if the archive is worth nothing.
    ///
    /// # Errors
    /// When its end cannot be written.
    pub fn into_inner(self) -> Result<Option<W>, TargetError> {
        let name = self.name;
        if self.broken {
            return Ok(None);
        }
        self.archive
            .into_inner()
            .map(Some)
            .map_err(|error| TargetError::io(&name, "writing the end of the archive", error))
    }

    fn place(&mut self, path: &GuestPath) -> PathBuf {
        let placed = self.places.place(path);
        if placed.strange {
            self.lost.note("a name that is none on this system", path);
        }
        placed.names.into_iter().collect()
    }

    /// Streams as extended attributes, as far as there is room; without a file system there are none to be read.
    fn streams(
        &mut self,
        fs: Option<&dyn FileSystem>,
        found: &Found,
        extras: &Extras,
    ) -> Vec<(String, Vec<u8>)> {
        let own = extras
            .xattrs
            .iter()
            .map(|(name, value)| (name.as_bytes().len() + value.len() + 64) as u64);
        let (mut records, mut left) = (Vec::new(), STREAMS.saturating_sub(own.sum()));
        for stream in &extras.streams {
            let name = stream.name.to_str().filter(|name| is_key(name));
            let content = fs.map(|fs| fs.open(found.node.id, Some(&stream.name)));
            let (Some(name), Some(content)) = (name, content) else {
                self.lost.note(STREAM, &found.path);
                continue;
            };
            let read = content.and_then(|mut content| {
                let len = content.len();
                if len > LARGEST_STREAM || len + name.len() as u64 + 64 > left {
                    return Ok(None);
                }
                let mut value = vec![0; len as usize];
                content.read_at(0, &mut value)?;
                Ok(Some(value))
            });
            match read {
                Ok(Some(value)) => {
                    left = left.saturating_sub(value.len() as u64 + name.len() as u64 + 64);
                    records.push((format!("SCHILY.xattr.user.{name}"), value));
                }
                Ok(None) => self.lost.note(STREAM, &found.path),
                // The file itself is there.
                Err(error) => {
                    let finding = unread(&found.path, &stream.name, &error);
                    self.findings.push(finding);
                }
            }
        }
        records
    }

    /// A header, after the records that go before it.
    fn header(
        &mut self,
        found: &Found,
        (kind, len): (EntryType, u64),
        link: Option<&[u8]>,
        (fs, extras): (Option<&dyn FileSystem>, &Extras),
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
            match name.to_str().filter(|name| is_key(name)) {
                Some(name) => records.push((format!("SCHILY.xattr.{name}"), value.clone())),
                None => self.lost.note("an extended attribute", &found.path),
            }
        }
        records.extend(self.streams(fs, found, extras));
        if node
            .attributes
            .is_some_and(|all| all & WINDOWS_ATTRIBUTES != 0)
        {
            let what = "an attribute of Windows (hidden, system, read-only)";
            self.lost.note(what, &found.path);
        }
        if extras.security.is_some() {
            self.lost
                .note("a security descriptor of Windows", &found.path);
        }
        if let Some(link) = link {
            // As it is, and not as a path of this system would be written.
            match link.len() <= SHORT {
                true => header.set_link_name_literal(link)?,
                false => records.push(("linkpath".to_owned(), link.to_vec())),
            }
        }
        if let Kind::Device { major, minor, .. } = node.kind {
            header.set_device_major(major)?;
            header.set_device_minor(minor)?;
        }
        if !records.is_empty() {
            let all = records
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice()));
            self.archive.append_pax_extensions(all)?;
        }
        Ok(header)
    }

    fn add(
        &mut self,
        found: &Found,
        what: (EntryType, u64),
        link: Option<&[u8]>,
        extras: (Option<&dyn FileSystem>, &Extras),
        contents: impl Read,
    ) -> Result<(), NotWritten> {
        if self.cancel.is_cancelled() {
            return Err(NotWritten::Cancelled);
        }
        let at = self.place(&found.path);
        let header = self.header(found, what, link, extras);
        let done =
            header.and_then(|mut header| self.archive.append_data(&mut header, at, contents));
        done.map_err(|error| {
            self.broken = true;
            match self.cancel.is_cancelled() {
                true => NotWritten::Cancelled,
                false => {
                    let error = TargetError::io(&self.name, "writing the archive", error);
                    NotWritten::Broken(error)
                }
            }
        })
    }
}

/// What is told of a stream for which there is no record.
const STREAM: &str = "an alternate data stream (of more than 64 KiB, or beside many)";

/// Whether a name can be that of a record.
fn is_key(name: &str) -> bool {
    !name.contains(['=', '\n', '\0'])
}

/// Bytes of a link's target that the old header has room for.
const SHORT: usize = 100;

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

impl<W: Write> Target for TarTarget<W> {
    fn folder(&mut self, _: &Found) -> Result<(), NotWritten> {
        Ok(())
    }

    fn left(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        // Behind its files, so that its time is the last that is set.
        let what = (EntryType::Directory, 0);
        self.add(found, what, None, (Some(fs), extras), io::empty())
    }

    fn file(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        let what = (EntryType::Regular, content.len());
        let cancel = self.cancel.clone();
        let mut reading = Reading::new(content, &cancel);
        self.add(found, what, None, (Some(fs), extras), &mut reading)?;
        reading.end()
    }

    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<bool, NotWritten> {
        let first = self.place(first);
        let first = bytes(&first);
        let none = Extras::default();
        let what = (EntryType::Link, 0);
        self.add(found, what, Some(&first), (None, &none), io::empty())?;
        Ok(true)
    }

    fn link(&mut self, found: &Found, target: &Name, extras: &Extras) -> Result<(), NotWritten> {
        let target = target.as_bytes();
        if target.is_empty() || target.contains(&0) {
            let error = guestfs::Error::Damaged {
                structure: "link".to_owned(),
                why: "it leads to nothing that has a name".to_owned(),
            };
            return Err(error.into());
        }
        let what = (EntryType::Symlink, 0);
        self.add(found, what, Some(target), (None, extras), io::empty())
    }

    fn special(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten> {
        let kind = match found.node.kind {
            Kind::Fifo => EntryType::Fifo,
            Kind::Device { block: true, .. } => EntryType::Block,
            Kind::Device { block: false, .. } => EntryType::Char,
            _ => return Err(NotWritten::NoSuchThing("no archive holds sockets")),
        };
        self.add(found, (kind, 0), None, (None, extras), io::empty())
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        if !self.broken
            && let Err(error) = self.archive.finish()
        {
            self.broken = true;
            let error = TargetError::io(&self.name, "writing the end of the archive", error);
            return Err(NotWritten::Broken(error));
        }
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(self.places.findings());
        findings.extend(self.lost.findings(HINT));
        Ok(findings)
    }
}

/// A path in the archive, which has slashes everywhere.
fn bytes(path: &Path) -> Vec<u8> {
    let parts = path.iter().map(|part| part.as_encoded_bytes().to_vec());
    parts.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use guestfs::{Node, NodeId, Times};

    use super::*;

    fn pipe(name: &[u8]) -> Found {
        let mut path = GuestPath::root("d0p1");
        path.names.push(Name::new(name));
        let node = Node {
            id: NodeId(7),
            kind: Kind::Fifo,
            len: 0,
            links: 2,
            owner: None,
            times: Times::default(),
            attributes: None,
            obstacle: None,
        };
        Found { path, node }
    }

    /// What unpacks an archive lets a later entry replace an earlier one, and says nothing.
    #[test]
    fn no_two_entries_have_one_name() {
        let mut target = TarTarget::new(Vec::new(), PathBuf::from("test.tar"), &Cancel::new());
        let none = Extras::default();
        // A slash cannot be in a name, and is written as the other one has it.
        let (first, second) = (pipe(b"a/b"), pipe(b"a%2Fb"));
        target.special(&first, &none).unwrap();
        target.special(&second, &none).unwrap();
        assert!(target.hard_link(&pipe(b"again"), &second.path).unwrap());
        let told: Vec<String> = target
            .finish()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        let renamed = told.iter().any(|one| {
            one.starts_with("d0p1/a%252Fb: ") && one.contains("it is there as 'a%2Fb (2)'")
        });
        assert!(renamed, "{told:?}");
        let bytes = target.into_inner().unwrap().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let link = entry.link_name_bytes().map(|link| text(&link));
            (text(&entry.path_bytes()), link)
        });
        let expected = [
            ("d0p1/a%2Fb", None),
            ("d0p1/a%2Fb (2)", None),
            ("d0p1/again", Some("d0p1/a%2Fb (2)")),
        ];
        let expected = expected.map(|(name, link)| (name.to_owned(), link.map(str::to_owned)));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}
