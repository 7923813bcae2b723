//! FAT12, FAT16 and FAT32, with long names (VFAT).
//!
//! ```text
//! boot sector ─► FAT (which cluster follows which) ─► root folder ─► entries ─► files, folders
//! ```
//!
//! A file is known by the place of its entry: of the entry's number on the volume, doubled, the lowest bit
//! says whether a long name lies before it. The root is 0.
//!
//! What is not to be known from the disk:
//!
//! - Times are local ones of no known zone. They are given as if they were UTC.
//! - Short names without a long one are of the code page of who wrote them. They are read as page 437.
//!
//! Invariants:
//!
//! - A folder is listed only if it begins with an entry of itself and belongs to the folder in which it
//!   was found; so a walk down the tree ends.
//! - A file whose chain ends too early, is a circle or leads nowhere gives what lies before that, and then
//!   [`Error::Damaged`](crate::Error). That two files share a cluster is only to be seen by reading the
//!   whole table, which is not done.
//! - The volume is in use where an operating system said so and did not take it back. There is no journal.
//!
//! Sources: Microsoft's “FAT: General Overview of On-Disk Format” (1.03); for the flags of volumes in use
//! and the bits for small letters the public sources of Windows' own driver (fastfat, MIT).

mod boot;
mod entry;
mod folder;
mod names;

use std::ops::ControlFlow;

use disk::BlockRead as _;

use self::boot::Boot;
use self::entry::{Is, Raw};
use self::folder::Folder;
use crate::clusters::{Clustered, Clusters, Width};
use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId, Times};
use crate::partitions::le;
use crate::state::{How, State};

const ROOT: NodeId = NodeId(0);
const FOLDER: u32 = 0x10;
/// Bytes of both tables that are compared when the volume is opened: all of FAT12 and FAT16.
const COMPARED: u64 = 128 << 10;

/// A volume of FAT.
pub struct Fat {
    clusters: Clusters,
    root: Folder,
    about: About,
}

impl Fat {
    /// Opens a volume.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else; [`Error::Damaged`] when it cannot be told where its parts lie.
    pub fn open(device: Device) -> Result<Self> {
        let boot = Boot::read(&device)?;
        let root = match boot.shape.width {
            Width::Fat32 => Folder::Chain(boot.root_cluster),
            _ => Folder::Fixed(boot.root),
        };
        let clusters = Clusters::new(device, boot.shape);
        let mut fat = Self {
            clusters,
            root,
            about: About {
                format: "vfat",
                label: names::label(&boot.label),
                id: boot.serial.map_or_else(String::new, |id| {
                    format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
                }),
                len: boot.len,
                block: boot.shape.size,
                state: State::of(How::Clean),
            },
        };
        // What mkfs.fat and Windows write where there is none.
        if fat.about.label == "NO NAME" {
            fat.about.label.clear();
        }
        fat.read_state(&boot)?;
        fat.read_label();
        Ok(fat)
    }

    fn is_32(&self) -> bool {
        self.clusters.shape.width == Width::Fat32
    }

    fn read_state(&mut self, boot: &Boot) -> Result<()> {
        let shape = self.clusters.shape;
        let state = &mut self.about.state;
        let mut second = [0; 4];
        let (closed, no_error) = match shape.width {
            Width::Fat12 => (1, 1),
            Width::Fat16 => (0x8000, 0x4000),
            _ => (0x0800_0000, 0x0400_0000),
        };
        let width = shape.width.bytes(1);
        let len = usize::try_from(width).unwrap_or(4);
        // FAT12 has no room for flags.
        if shape.width != Width::Fat12 {
            let field = second.get_mut(..len).unwrap_or_default();
            self.clusters.cached.read_at(shape.table + width, field)?;
        }
        let flags = match shape.width {
            Width::Fat12 => u64::MAX,
            _ => le(&second, 0, 4),
        };
        if boot.is_dirty || flags & closed == 0 {
            state.note(How::InUse, "it was in use: it was not unmounted before");
        }
        if flags & no_error == 0 {
            state.note(How::Damaged, "the guest has met read or write errors on it");
        }
        let device_len = self.clusters.device.len();
        if boot.len > device_len {
            let note = format!(
                "it says that it has {} bytes, and there are {device_len}",
                boot.len
            );
            state.note(How::Damaged, note);
        }
        if let Some(other) = shape.other {
            let len = boot.table_len.min(COMPARED) as usize;
            let (mut one, mut two) = (vec![0; len], vec![0; len]);
            let cached = &self.clusters.cached;
            let is_same = cached.read_at(shape.table, &mut one).is_ok()
                && cached.read_at(other, &mut two).is_ok()
                && one == two;
            if !is_same {
                let how = match state.how {
                    How::InUse => How::InUse,
                    _ => How::Damaged,
                };
                state.note(
                    how,
                    "its two file allocation tables differ: the first one counts",
                );
            }
        }
        Ok(())
    }

    /// The label in the root folder goes before the one in the boot sector.
    fn read_label(&mut self) {
        let mut label = None;
        let read = self.entries(self.root, &mut |_, raw| {
            if raw.is() != Is::Label {
                return ControlFlow::Continue(());
            }
            label = Some(names::label(raw.short_bytes()));
            ControlFlow::Break(())
        });
        if let Some(label) = label {
            self.about.label = label;
        }
        if let Err(error) = read {
            let note = format!("its root folder cannot be read: {error}");
            self.about.state.note(How::Damaged, note);
        }
    }

    /// The entry that a node is known by.
    fn raw(&self, id: NodeId) -> Result<Raw> {
        let place = (id.0 >> 1).saturating_mul(32);
        let is_fixed = match self.root {
            Folder::Fixed(range) => range.start <= place && place < range.end,
            Folder::Chain(_) => false,
        };
        if is_fixed || self.clusters.around(place).is_some() {
            let mut bytes = [0; 32];
            self.clusters.cached.read_at(place, &mut bytes)?;
            let raw = Raw(bytes);
            if raw.is() == Is::Node {
                return Ok(raw);
            }
        }
        Err(Error::NotFound(format!("entry {}", id.0)))
    }

    fn folder(&self, id: NodeId) -> Result<Folder> {
        if id == ROOT {
            return Ok(self.root);
        }
        let raw = self.raw(id)?;
        if raw.kind() != Kind::Folder {
            return Err(Error::WrongKind {
                what: format!("entry {} ({})", id.0, raw.short()),
                is: "no folder",
            });
        }
        let first = raw.cluster(self.is_32());
        self.check_folder(first, (id.0 >> 1).saturating_mul(32))?;
        Ok(Folder::Chain(first))
    }
}

fn id(found: &entry::Found) -> NodeId {
    NodeId((found.place / 32) << 1 | u64::from(found.long.is_some()))
}

fn named(found: &entry::Found) -> Entry {
    Entry {
        name: found.name(),
        node: id(found),
        kind: Some(found.raw.kind()),
    }
}

impl FileSystem for Fat {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let (kind, len, times, attributes) = match id {
            ROOT => (Kind::Folder, 0, Times::default(), FOLDER),
            _ => {
                let raw = self.raw(id)?;
                (raw.kind(), raw.len(), raw.times(), raw.attributes())
            }
        };
        Ok(Node {
            id,
            kind,
            len,
            links: 1,
            owner: None,
            times,
            attributes: Some(attributes),
            obstacle: None,
        })
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        self.found(self.folder(folder)?, &mut |found| each(named(&found)))
    }

    /// Great and small letters are the same, and a name of 8.3 characters leads there too.
    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let wanted = name.to_str().map(names::folded);
        let (mut alike, mut by_short) = (None, None);
        let mut exact = None;
        let same = |name: &str| wanted.as_deref() == Some(&names::folded(name));
        let read = self.found(self.folder(folder)?, &mut |found| {
            let own = named(&found);
            if own.name == *name {
                exact = Some(own);
                return ControlFlow::Break(());
            }
            let best = match own.name.to_str().is_some_and(same) {
                true => &mut alike,
                false if same(&found.raw.short()) => &mut by_short,
                false => return ControlFlow::Continue(()),
            };
            best.get_or_insert(own);
            ControlFlow::Continue(())
        });
        match exact.or(alike).or(by_short) {
            Some(found) => Ok(Some(found)),
            None => read.map(|()| None),
        }
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        if let Some(stream) = stream {
            return Err(Error::NotFound(format!("the stream {stream}")));
        }
        let is_folder = Error::WrongKind {
            what: format!("entry {}", id.0),
            is: "a folder",
        };
        if id == ROOT {
            return Err(is_folder);
        }
        let raw = self.raw(id)?;
        if raw.kind() == Kind::Folder {
            return Err(is_folder);
        }
        let (first, len) = (raw.cluster(self.is_32()), raw.len());
        Ok(Box::new(Clustered::new(
            &self.clusters,
            first,
            false,
            len,
            len,
        )?))
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        self.node(id)?;
        Err(Error::WrongKind {
            what: format!("entry {}", id.0),
            is: "no link: FAT has none",
        })
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        let has_long = id.0 & 1 != 0;
        let short = match has_long {
            true => Some(self.raw(id)?.short()),
            false => None,
        };
        Ok(Extras {
            short_name: short.as_deref().map(Name::from),
            ..Extras::default()
        })
    }
}
