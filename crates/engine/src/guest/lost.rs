//! Which files of a guest lie on a part of a disk that is lost.
//!
//! Every file of the volumes on that disk is read, as a restore of files would; one that cannot be read
//! is affected. So it does not matter how a file system stores what it stores. Large reads that do not
//! touch what is lost are only seemingly done: of contents nothing but whether they can be read is wanted.
//! Structures of file systems are read in small pieces, and really.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::{BlockRead, ByteRange, ByteRanges, Chain, Extent, Geometry};
use guestfs::volumes::Volume;
use guestfs::{Content, FileSystem, Kind, Name};
use serde::Serialize;

use super::{Guest, Met, Next, Pattern, walk};
use crate::cancel::Cancel;

/// Reads of more bytes are of contents: no reader reads more of a structure at once.
const LARGE: usize = 128 << 10;
/// What is read of contents at once, and again of what could not be.
const PIECE: u64 = 1 << 20;
const PART: u64 = 64 << 10;
/// Ranges of a file that are told.
const RANGES: usize = 1000;
/// Files that are told, and notes.
const FILES: usize = 100_000;
const NOTES: usize = 1000;

/// A file of which something is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LostFile {
    /// Where it is: `d0p1/folder/file`; of a stream with its name behind a colon.
    pub(crate) path: String,
    /// Bytes of it.
    pub(crate) bytes: u64,
    /// Where in it something is lost, no finer than 64 KiB.
    pub(crate) lost: Vec<LostRange>,
}

/// A range that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct LostRange {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl From<ByteRange> for LostRange {
    fn from(range: ByteRange) -> Self {
        Self {
            offset: range.start,
            bytes: range.len(),
        }
    }
}

/// What could be told.
#[derive(Debug, Default)]
pub(crate) struct LostFiles {
    pub(crate) files: Vec<LostFile>,
    /// Where files could not be named, and why.
    pub(crate) not_named: Vec<String>,
}

impl LostFiles {
    fn note(&mut self, note: String) {
        match self.not_named.len() {
            NOTES => self.not_named.push("and more".to_owned()),
            0..NOTES => self.not_named.push(note),
            _ => {}
        }
    }
}

/// A disk of which something is lost.
pub(crate) struct LostDisk {
    chain: Chain,
    lost: Arc<ByteRanges>,
    contents: Arc<AtomicBool>,
}

impl LostDisk {
    /// A disk whose bytes in `lost` are lost. Large reads are done while `contents` does not say that
    /// they are of contents.
    pub(crate) fn new(chain: Chain, lost: Arc<ByteRanges>, contents: Arc<AtomicBool>) -> Self {
        Self {
            chain,
            lost,
            contents,
        }
    }
}

impl BlockRead for LostDisk {
    fn geometry(&self) -> Geometry {
        self.chain.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        disk::block::check_bounds(self.chain.len(), offset, buf.len() as u64)?;
        let range = ByteRange::new(offset, offset + buf.len() as u64);
        if self.lost.within(range).next().is_some() {
            return Err(disk::Error::Io {
                what: "reading the vault",
                source: io::Error::other("a part of it is lost"),
            });
        }
        if buf.len() > LARGE && self.contents.load(Ordering::Relaxed) {
            buf.fill(0);
            return Ok(());
        }
        self.chain.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.chain.extents(range)
    }
}

/// Names the files that are affected on the volumes of this disk of a guest.
pub(crate) fn lost_files(
    guest: &Guest,
    disk: usize,
    contents: &AtomicBool,
    cancel: &Cancel,
) -> LostFiles {
    let mut found = LostFiles::default();
    for finding in &guest.findings {
        found.note(finding.to_string());
    }
    for volume in guest.volumes() {
        // A volume over several disks is on each of them.
        if volume.disk != disk && !volume.is_over_disks() {
            continue;
        }
        if let Some(why) = volume.obstacle() {
            found.note(format!("{}: {why}", volume.name));
            continue;
        }
        match volume.open() {
            Ok(fs) => files_of(&*fs, volume, contents, cancel, &mut found),
            Err(error) => found.note(format!("{}: {error}", volume.name)),
        }
    }
    if cancel.is_cancelled() {
        found.note("stopped on request".to_owned());
    }
    found
}

fn files_of(
    fs: &dyn FileSystem,
    volume: &Volume,
    contents: &AtomicBool,
    cancel: &Cancel,
    found: &mut LostFiles,
) {
    let Ok(all) = Pattern::parse("*") else { return };
    let walked = walk(fs, &volume.name, &all, &mut |met| {
        if cancel.is_cancelled() {
            return Next::Stop;
        }
        if found.files.len() >= FILES {
            found.note(format!("{}: more than {FILES} files", volume.name));
            return Next::Stop;
        }
        match met {
            Met::Failed(path, error) => found.note(format!("{path}: {error}")),
            Met::Left(_) => {}
            Met::Here(here) => {
                let path = here.path.to_string();
                if here.node.kind == Kind::File && here.node.obstacle.is_none() {
                    file(fs, &path, here.node.id, None, contents, found);
                }
                match fs.extras(here.node.id) {
                    Ok(extras) => {
                        for stream in extras.streams {
                            let path = format!("{path}:{}", super::path::text(&stream.name));
                            let name = Some(&stream.name);
                            file(fs, &path, here.node.id, name, contents, found);
                        }
                    }
                    Err(error) => found.note(format!("{path}: {error}")),
                }
            }
        }
        Next::On
    });
    if let Err(error) = walked {
        found.note(format!("{}: {error}", volume.name));
    }
}

fn file(
    fs: &dyn FileSystem,
    path: &str,
    node: guestfs::NodeId,
    stream: Option<&Name>,
    contents: &AtomicBool,
    found: &mut LostFiles,
) {
    match fs.open(node, stream) {
        Err(error) => found.note(format!("{path}: {error}")),
        Ok(mut content) => {
            let bytes = content.len();
            contents.store(true, Ordering::Relaxed);
            let lost = lost_in(&mut *content);
            contents.store(false, Ordering::Relaxed);
            match lost {
                Ok(lost) if lost.is_empty() => {}
                Ok(lost) => found.files.push(LostFile {
                    path: path.to_owned(),
                    bytes,
                    lost: lost.into_iter().map(LostRange::from).collect(),
                }),
                // Where it lies is lost itself.
                Err(error) => found.note(format!("{path}: {error}")),
            }
        }
    }
}

/// What of a file cannot be read.
fn lost_in(content: &mut dyn Content) -> guestfs::Result<Vec<ByteRange>> {
    let (mut lost, mut from): (Vec<ByteRange>, u64) = (Vec::new(), 0);
    let mut buf = vec![0; PIECE as usize];
    while let Some(data) = content.next_data(from)? {
        let mut at = data.start;
        while at < data.end {
            let end = data.end.min(at + PIECE);
            if content
                .read_at(at, &mut buf[..(end - at) as usize])
                .is_err()
            {
                let mut part = at;
                while part < end {
                    let next = end.min((part / PART + 1) * PART);
                    let good = content.read_at(part, &mut buf[..(next - part) as usize]);
                    let full = lost.len() >= RANGES;
                    match lost.last_mut() {
                        _ if good.is_ok() => {}
                        Some(last) if last.end == part => last.end = next,
                        // The last one tells of all behind it.
                        Some(last) if full => last.end = next,
                        _ => lost.push(ByteRange::new(part, next)),
                    }
                    part = next;
                }
            }
            at = end;
        }
        // Each range is behind the one before it, or this ends.
        if data.end <= from {
            break;
        }
        from = data.end;
    }
    Ok(lost)
}
