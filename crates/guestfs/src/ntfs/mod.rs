//! NTFS, as Windows writes it since NT 4.
//!
//! A volume is a table of records (the MFT), and everything is an attribute of a record: names, contents,
//! streams, indexes of folders. [`Volume`] finds records, [`File`] the
//! attributes of a file in however many records they are, [`Stored`] their contents.
//!
//! What always holds:
//!
//! - A reference counts how often its record was used. A name whose record has another use by now leads to
//!   [`Error::NotFound`]: it is listed, since it is on the disk, and never shows another file.
//! - NTFS's own files (records 0 to 15, and so `$Extend`) are not told of.
//! - Whatever is torn, too long or leads in a circle is [`Error::Damaged`].
//! - Compression by NTFS or WOF is undone. What is encrypted, deduplicated or elsewhere is an obstacle.
//!
//! Sources: the documentation of the Linux-NTFS project and of libfsntfs; Microsoft, [MS-FSCC], [MS-XCA]
//! and [MS-PATCH].

mod attribute;
mod bits;
mod boot;
mod compressed;
mod contents;
mod ea;
mod file;
mod filename;
mod fixup;
mod index;
mod le;
mod look;
pub mod lznt1;
pub mod lzx;
mod record;
mod reparse;
mod runs;
mod security;
mod state;
mod stored;
mod upcase;
mod volume;
mod wof;
pub mod xpress;

use std::ops::ControlFlow;

use attribute::{COMPRESSED, DATA, ENCRYPTED, FILE_NAME, Form};
use compressed::Compressed;
use contents::{Plain, Resident};
use ea::Eas;
use file::File;
use filename::{FileName, ROOT, is_own};
use index::Index;
use look::Look;
use record::NUMBER;
use reparse::Meaning;
use stored::{Body, Stored};
use upcase::Upcase;
use volume::Volume;
use wof::Wof;

use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId, Obstacle, Stream};

/// The only way of compression by NTFS that there is.
const LZNT1: u16 = 1;
/// The index of names.
const NAMES: &str = "$I30";

/// A volume of NTFS.
pub struct Ntfs {
    volume: Volume,
    upcase: Upcase,
    about: About,
    root: NodeId,
}

impl Ntfs {
    /// Opens the volume on a device.
    ///
    /// # Errors
    /// [`Error::NotThis`] when it is none; [`Error::Damaged`] when nothing of it could be read.
    pub fn open(device: Device) -> Result<Self> {
        let volume = Volume::open(device)?;
        let upcase = Upcase::read(&volume)?;
        let root = File::find(&volume, ROOT)?.filter(|root| root.record().is_folder());
        let root = root.ok_or_else(|| Error::damaged("MFT record 5", "it is no folder"))?;
        let sequence = u64::from(root.record().sequence());
        let (label, state) = state::read(&volume);
        let boot = volume.boot();
        let about = About {
            format: "ntfs",
            label,
            id: format!("{:016X}", boot.serial),
            len: boot.len,
            block: boot.cluster as u32,
            state,
        };
        let mut ntfs = Self {
            root: NodeId(sequence << 48 | ROOT),
            volume,
            upcase,
            about,
        };
        ntfs.look_for_sleep();
        Ok(ntfs)
    }

    fn look_for_sleep(&mut self) {
        let found = self.find(self.root, &Name::from("hiberfil.sys"));
        let asleep = found.and_then(|found| match found {
            None => Ok(()),
            Some(found) => {
                let file = self.file(found)?;
                state::asleep(&self.volume, &file, &mut self.about.state)
            }
        });
        if let Err(error) = asleep {
            let note = format!("whether Windows is hibernated cannot be told: {error}");
            self.about.state.note(crate::How::Damaged, note);
        }
    }

    fn file(&self, id: NodeId) -> Result<File> {
        let (number, sequence) = (id.0 & NUMBER, id.0 >> 48);
        let missing = || Error::NotFound(format!("MFT record {number} of use {sequence}"));
        if number != ROOT && is_own(id.0) {
            return Err(missing());
        }
        File::find(&self.volume, id.0)?.ok_or_else(missing)
    }

    fn look(&self, id: NodeId) -> Result<Look> {
        Look::at(&self.volume, self.file(id)?)
    }

    fn names<'a>(&'a self, file: &File) -> Result<Index<'a>> {
        let number = file.record().number();
        let wrong = || Error::WrongKind {
            what: format!("MFT record {number}"),
            is: "no folder",
        };
        if !file.record().is_folder() {
            return Err(wrong());
        }
        Index::open(&self.volume, file, NAMES)?.ok_or_else(wrong)
    }

    /// The name in a folder beside which a node has one of 8.3 characters.
    fn long_name(&self, folder: NodeId, node: NodeId) -> Result<Option<Name>> {
        let mut long = None;
        self.file(node)?
            .each(&self.volume, FILE_NAME, &mut |attribute| {
                if let Form::Resident(value) = attribute.form
                    && let Some(name) = FileName::parse(value)
                    && !name.short
                    && name.folder & NUMBER == folder.0 & NUMBER
                {
                    long = Some(name.name());
                }
                Ok(())
            })?;
        Ok(long)
    }

    /// The stream of this name: the one that is spelt like it, or else one that is the same but for big and
    /// small letters.
    fn stream(&self, look: &Look, name: &Name) -> Result<Option<Stored>> {
        let Some(wanted) = name.to_utf16() else {
            return Ok(None);
        };
        let mut found: Option<Vec<u8>> = None;
        look.file.each(&self.volume, DATA, &mut |attribute| {
            let units = le::units(attribute.name);
            let same = self.upcase.compare(&units, &wanted).is_eq() && !units.is_empty();
            if same && (units == wanted || found.is_none()) {
                found = Some(attribute.name.to_vec());
            }
            Ok(())
        })?;
        let hidden = |name: &Vec<u8>| look.wof().is_some() && is_wof(name);
        match found.filter(|name| !hidden(name)) {
            Some(name) => look.file.stored(&self.volume, DATA, &name),
            None => Ok(None),
        }
    }

    fn content(&self, stored: Stored) -> Result<Box<dyn Content + '_>> {
        if let Some(obstacle) = obstacle(stored.flags) {
            return Err(Error::Obstacle(obstacle));
        }
        let volume = &self.volume;
        Ok(match stored.body {
            Body::Resident(value) => Box::new(Resident(value)),
            Body::Clusters(clusters) if stored.flags & COMPRESSED != 0 => {
                Box::new(Compressed::new(volume, clusters)?)
            }
            Body::Clusters(clusters) => Box::new(Plain { volume, clusters }),
        })
    }
}

/// Why contents of an attribute with these flags are not to be had.
fn obstacle(flags: u16) -> Option<Obstacle> {
    if flags & ENCRYPTED != 0 {
        return Some(Obstacle::Encrypted("EFS"));
    }
    let how = flags & COMPRESSED;
    (how > LZNT1).then(|| Obstacle::Unknown(format!("compression {how} of NTFS")))
}

/// Whether a name, as units of UTF-16, is that of the stream that WOF keeps chunks in.
fn is_wof(name: &[u8]) -> bool {
    wof::STREAM.encode_utf16().eq(le::units(name))
}

impl FileSystem for Ntfs {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        self.root
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let look = self.look(id)?;
        let mut links = 0;
        look.file.each(&self.volume, FILE_NAME, &mut |attribute| {
            if let Form::Resident(value) = attribute.form {
                links += u32::from(FileName::parse(value).is_some_and(|name| !name.short));
            }
            Ok(())
        })?;
        look.node(&self.volume, id, links)
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        let file = self.file(folder)?;
        let index = self.names(&file)?;
        let mut walk = index.walk()?;
        while let Some(found) = walk.next()? {
            let name = FileName::parse(&found.key);
            let name = name.ok_or_else(|| file.damaged("a name in its index is cut short"))?;
            if name.short || is_own(found.reference) {
                continue;
            }
            let entry = Entry {
                name: name.name(),
                node: NodeId(found.reference),
                kind: name.kind(),
            };
            if each(entry).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let Some(wanted) = name.to_utf16() else {
            return Ok(None);
        };
        let file = self.file(folder)?;
        let index = self.names(&file)?;
        let units = |key: &[u8]| FileName::parse(key).map(|name| name.units);
        let order = |key: &[u8]| {
            self.upcase
                .compare(&units(key).unwrap_or_default(), &wanted)
        };
        let mut walk = index.from(&order)?;
        let mut best = None;
        // Names that differ in big and small letters alone follow each other.
        while let Some(found) = walk.next()? {
            if order(&found.key).is_ne() {
                break;
            }
            let Some(own) = FileName::parse(&found.key).filter(|_| !is_own(found.reference)) else {
                continue;
            };
            let exact = own.units == wanted;
            if exact || best.is_none() {
                best = Some((own, found.reference));
            }
            if exact {
                break;
            }
        }
        let Some((own, reference)) = best else {
            return Ok(None);
        };
        let node = NodeId(reference);
        let name = match own.short {
            true => self.long_name(folder, node)?,
            false => None,
        };
        Ok(Some(Entry {
            name: name.unwrap_or_else(|| own.name()),
            node,
            kind: own.kind(),
        }))
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        let look = self.look(id)?;
        if let Some(name) = stream {
            let found = self.stream(&look, name)?;
            return self.content(found.ok_or_else(|| Error::NotFound(format!("stream {name}")))?);
        }
        let number = id.0 & NUMBER;
        let node = look.node(&self.volume, id, 0)?;
        if node.kind != Kind::File {
            return Err(Error::WrongKind {
                what: format!("MFT record {number}"),
                is: "no file with contents",
            });
        }
        if let Some(obstacle) = node.obstacle {
            return Err(Error::Obstacle(obstacle));
        }
        let Some(algorithm) = look.wof() else {
            let stored = look.file.stored(&self.volume, DATA, &[])?;
            return match stored {
                Some(stored) => self.content(stored),
                None => Err(look.file.damaged("a file without contents")),
            };
        };
        let name: Vec<u8> = wof::STREAM
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let what = format!("{} of MFT record {number}", wof::STREAM);
        let Some(stored) = look.file.stored(&self.volume, DATA, &name)? else {
            return Err(Error::damaged(
                what,
                "it is not there, and the file is compressed by it",
            ));
        };
        let stored = self.content(stored)?;
        Ok(Box::new(Wof::new(stored, what, node.len, algorithm)))
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        match self.look(id)?.meaning {
            Some(Meaning::Link(target) | Meaning::Junction(target)) => Ok(target),
            _ => Err(Error::WrongKind {
                what: format!("MFT record {}", id.0 & NUMBER),
                is: "no link",
            }),
        }
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        let look = self.look(id)?;
        let mut extras = Extras::default();
        look.file.each(&self.volume, DATA, &mut |attribute| {
            let hidden = look.wof().is_some() && is_wof(attribute.name);
            if !attribute.name.is_empty() && !hidden {
                let name = Name::from_utf16(&le::units(attribute.name));
                let len = match &attribute.form {
                    Form::Resident(value) => value.len() as u64,
                    Form::Spread(spread) => spread.len,
                };
                extras.streams.push(Stream { name, len });
            }
            Ok(())
        })?;
        look.file.each(&self.volume, FILE_NAME, &mut |attribute| {
            if let Form::Resident(value) = attribute.form
                && let Some(name) = FileName::parse(value).filter(|name| name.short)
            {
                extras.short_name = Some(name.name());
            }
            Ok(())
        })?;
        if let Some(Eas(bytes)) = look.eas {
            // By the name that ntfs-3g gives it, as the bytes that it takes and gives.
            extras.xattrs.push((Name::from("system.ntfs_ea"), bytes));
        }
        extras.security = security::of(&self.volume, &look.file)?;
        // Compression by WOF is undone.
        let undone = matches!(look.meaning, Some(Meaning::Wof(_)));
        extras.reparse = look.reparse.filter(|_| !undone);
        Ok(extras)
    }
}
