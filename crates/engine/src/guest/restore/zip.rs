//! Files of a guest as a zip archive, written from its start to its end: it may go into a pipe.
//!
//! Lengths follow the contents (data descriptors), and Zip64 comes where it is needed. Names are UTF-8. Modes,
//! links and owners are kept as Info-ZIP does, and times in the fields of [`about`]. What zip has no place for
//! (extended attributes, alternate streams, security descriptors, attributes of Windows, that two names are one
//! file) is told; devices, pipes and sockets are not written. Holes become zeros, which cost little.
//!
//! Sources: PKWARE's APPNOTE 6.3; `extrafld.txt` of Info-ZIP.

mod about;
mod deflating;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::PathBuf;

use guestfs::{Content, Extras, FileSystem, Kind, Name};
use rawzip::{CompressionMethod, ZipArchiveWriter};

use self::about::About;
use self::deflating::{Compressor, Deflating};
use super::folder::Lost;
use super::host_name::in_zip;
use super::places::Places;
use super::reading::Reading;
use super::{LINKED, NotWritten, Target};
use crate::cancel::Cancel;
use crate::finding::Finding;
use crate::guest::path::GuestPath;
use crate::guest::walk::Found;
use crate::restore::target::TargetError;

/// The longest path that there is room for, also beside what else is told of an entry.
const LONGEST: usize = 60_000;
/// Bytes that are in memory of a file.
const PIECE: usize = 256 << 10;
/// `FILE_ATTRIBUTE_READONLY`, `_HIDDEN` and `_SYSTEM`.
const WINDOWS_ATTRIBUTES: u32 = 7;

/// What to do about what is lost.
const HINT: &str = "restore into a folder on a file system that has such things; a tar archive keeps extended \
                    attributes, hard links and small streams";

/// An archive that is written to the end of something.
pub struct ZipTarget<W: Write> {
    /// Nothing once it is finished, or broken.
    archive: Option<ZipArchiveWriter<W>>,
    out: Option<W>,
    /// What it is called in errors.
    name: PathBuf,
    cancel: Cancel,
    compressor: Compressor,
    piece: Vec<u8>,
    places: Places,
    lost: Lost,
}

/// What an entry is, before its contents.
struct Header {
    path: String,
    mode: u32,
    about: About,
}

impl<W: Write> ZipTarget<W> {
    /// Writes to `out`, which `name` is the name of.
    pub fn new(out: W, name: PathBuf, cancel: &Cancel) -> Self {
        Self {
            archive: Some(ZipArchiveWriter::new(out)),
            out: None,
            name,
            cancel: cancel.clone(),
            compressor: Compressor::new(),
            piece: vec![0; PIECE],
            places: Places::new(in_zip, true),
            lost: Lost::default(),
        }
    }

    /// Whoever it was written to; nothing if the archive is worth nothing.
    pub fn into_inner(self) -> Option<W> {
        self.out
    }

    fn place(&mut self, path: &GuestPath) -> Result<String, NotWritten> {
        let placed = self.places.place(path);
        let parts: Vec<_> = placed
            .names
            .iter()
            .map(|name| name.to_string_lossy())
            .collect();
        let at = parts.join("/");
        if at.len() > LONGEST {
            return Err(NotWritten::NoSuchThing(
                "no zip archive holds a path of so many bytes",
            ));
        }
        if placed.strange {
            self.lost.note("a name that is none in a zip archive", path);
        }
        Ok(at)
    }

    /// Notes what there is no place for.
    fn extras(&mut self, found: &Found, extras: &Extras) {
        for (is, what) in [
            (!extras.xattrs.is_empty(), "an extended attribute"),
            (!extras.streams.is_empty(), "an alternate data stream"),
            (
                extras.security.is_some(),
                "a security descriptor of Windows",
            ),
        ] {
            if is {
                self.lost.note(what, &found.path);
            }
        }
    }

    fn header(&mut self, found: &Found, kind: u32, extras: &Extras) -> Result<Header, NotWritten> {
        let mut path = self.place(&found.path)?;
        if kind == about::FOLDER {
            path.push('/');
        }
        let node = &found.node;
        self.extras(found, extras);
        if node
            .attributes
            .is_some_and(|all| all & WINDOWS_ATTRIBUTES != 0)
        {
            let what = "an attribute of Windows (hidden, system, read-only)";
            self.lost.note(what, &found.path);
        }
        let about = About::of(node);
        if about.loses_time() {
            self.lost.note(
                "a time before 1901 or after 2038, for most programs,",
                &found.path,
            );
        }
        let mode = match node.owner {
            Some(owner) => u32::from(owner.mode),
            None if kind == about::LINK => 0o777,
            None if kind == about::FOLDER => 0o755,
            None => 0o644,
        };
        let mode = kind | mode;
        Ok(Header { path, mode, about })
    }

    /// An entry with contents; nothing is written of one for which there is no place.
    fn entry(
        &mut self,
        found: &Found,
        (kind, deflated): (u32, bool),
        extras: &Extras,
        contents: &mut dyn Read,
    ) -> Result<(), NotWritten> {
        if self.cancel.is_cancelled() {
            return Err(NotWritten::Cancelled);
        }
        let header = self.header(found, kind, extras)?;
        let Some(mut archive) = self.archive.take() else {
            return Err(NotWritten::Broken(TargetError::io(
                &self.name,
                "writing the archive",
                io::Error::other("it has ended already"),
            )));
        };
        let compressor = deflated.then_some(&mut self.compressor);
        match write(
            &mut archive,
            header,
            compressor,
            (contents, &mut self.piece),
        ) {
            Ok(()) => {
                self.archive = Some(archive);
                Ok(())
            }
            Err(_) if self.cancel.is_cancelled() => Err(NotWritten::Cancelled),
            Err(error) => {
                let error = TargetError::io(&self.name, "writing the archive", error);
                Err(NotWritten::Broken(error))
            }
        }
    }
}

/// Writes an entry. What has begun is worth nothing after an error, nor is the archive.
fn write<W: Write>(
    archive: &mut ZipArchiveWriter<W>,
    header: Header,
    compressor: Option<&mut Compressor>,
    (contents, piece): (&mut dyn Read, &mut [u8]),
) -> io::Result<()> {
    let Header { path, mode, about } = header;
    let is_folder = mode & about::KINDS == about::FOLDER;
    let fields = about.fields();
    if is_folder {
        let mut folder = archive.new_dir(path.as_str()).unix_permissions(mode);
        for (id, bytes, place) in &fields {
            folder = folder.extra_field(*id, bytes, *place).map_err(cause)?;
        }
        if let Some(time) = about.dos() {
            folder = folder.last_modified(time);
        }
        folder.create().map_err(cause)?;
        return Ok(());
    }
    let method = match compressor {
        Some(_) => CompressionMethod::DEFLATE,
        None => CompressionMethod::STORE,
    };
    let mut file = archive.new_file(path.as_str()).unix_permissions(mode);
    for (id, bytes, place) in &fields {
        file = file.extra_field(*id, bytes, *place).map_err(cause)?;
    }
    if let Some(time) = about.dos() {
        file = file.last_modified(time);
    }
    let (mut out, data) = file.compression_method(method).start().map_err(cause)?;
    let end = match compressor {
        Some(compressor) => {
            let mut data = data.wrap(Deflating::new(compressor, &mut out));
            pour(contents, piece, &mut data)?;
            let (deflating, end) = data.finish().map_err(cause)?;
            deflating.end()?;
            end
        }
        None => {
            let mut data = data.wrap(&mut out);
            pour(contents, piece, &mut data)?;
            data.finish().map_err(cause)?.1
        }
    };
    out.finish(end).map_err(cause)?;
    Ok(())
}

fn pour(from: &mut dyn Read, piece: &mut [u8], to: &mut impl Write) -> io::Result<()> {
    loop {
        let len = from.read(piece)?;
        match piece.get(..len) {
            None | Some([]) => return Ok(()),
            Some(bytes) => to.write_all(bytes)?,
        }
    }
}

/// What the system said, if it was the system.
fn cause(error: rawzip::Error) -> io::Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

impl<W: Write> Target for ZipTarget<W> {
    fn folder(&mut self, found: &Found) -> Result<(), NotWritten> {
        // Before its files: `unzip` leaves a folder as it is that is there already, and sets the time of one that
        // it has made when all is in it.
        let what = (about::FOLDER, false);
        self.entry(found, what, &Extras::default(), &mut io::empty())
    }

    fn left(
        &mut self,
        _: &dyn FileSystem,
        found: &Found,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        self.extras(found, extras);
        Ok(())
    }

    fn file(
        &mut self,
        _: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten> {
        let what = (about::FILE, !content.is_empty());
        let cancel = self.cancel.clone();
        let mut reading = Reading::new(content, &cancel);
        self.entry(found, what, extras, &mut reading)?;
        reading.end()
    }

    fn hard_link(&mut self, found: &Found, _: &GuestPath) -> Result<bool, NotWritten> {
        self.lost.note(LINKED, &found.path);
        Ok(false)
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
        let what = (about::LINK, false);
        self.entry(found, what, extras, &mut io::Cursor::new(target))
    }

    fn special(&mut self, found: &Found, _: &Extras) -> Result<(), NotWritten> {
        Err(NotWritten::NoSuchThing(match found.node.kind {
            Kind::Socket => "no zip archive holds sockets",
            Kind::Fifo => "no zip archive holds pipes",
            _ => "no zip archive holds devices",
        }))
    }

    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten> {
        // One that was stopped in the middle must not look whole.
        if let Some(archive) = self.archive.take().filter(|_| !self.cancel.is_cancelled()) {
            self.out = Some(archive.finish().map_err(|error| {
                let what = "writing the end of the archive";
                NotWritten::Broken(TargetError::io(&self.name, what, cause(error)))
            })?);
        }
        let mut findings = self.places.findings();
        findings.extend(self.lost.findings(HINT));
        Ok(findings)
    }
}
