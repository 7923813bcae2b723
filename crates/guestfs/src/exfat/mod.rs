//! exFAT.
//!
//! ```text
//! boot region ─► root folder ─► bitmap, up-case table, label
//!                           └─► sets of entries ─► files, folders: a chain of the FAT, or a row
//! ```
//!
//! A file is known by the place of the first entry of its set: of the entry's number on the volume,
//! doubled, the lowest bit says whether its folder is a row of clusters. The root is 0.
//!
//! Times come with the zone that they were written in, and are given in UTC; those without are taken as UTC.
//!
//! Invariants:
//!
//! - Nothing is believed whose checksum does not hold: boot region (of which there is a copy), up-case table,
//!   sets of entries. A folder with a bad set gives all others, and then an error.
//! - A folder does not tell which one is above it. One that is damaged so that it contains itself can be
//!   walked down without an end: who walks must bound how deep.
//! - The volume is in use where an operating system said so and did not take it back. There is no journal.
//!
//! Sources: Microsoft's “exFAT file system specification”, which is public since 2019.

mod boot;
mod folder;
mod set;
mod upcase;

use std::ops::ControlFlow;

use disk::BlockRead as _;

use self::boot::Boot;
use self::folder::Folder;
use self::set::Set;
use self::upcase::Upcase;
use crate::clusters::{Clustered, Clusters};
use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId, Times};
use crate::partitions::le;
use crate::state::{How, State};

const ROOT: NodeId = NodeId(0);
const FOLDER: u32 = 0x10;
/// Read-only, hidden, system, folder, archive.
const ATTRIBUTES: u16 = 0x37;

/// A volume of exFAT.
pub struct ExFat {
    clusters: Clusters,
    root: Folder,
    upcase: Upcase,
    about: About,
}

impl ExFat {
    /// Opens a volume.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else; [`Error::Damaged`] when it cannot be told where its parts lie.
    pub fn open(device: Device) -> Result<Self> {
        let boot = Boot::read(&device)?;
        let mut state = State::of(How::Clean);
        if boot.is_dirty {
            state.note(How::InUse, "it was in use: it was not unmounted before");
        }
        if boot.has_failed {
            state.note(How::Damaged, "the guest has met read or write errors on it");
        }
        if boot.is_copy {
            state.note(
                How::Damaged,
                "its boot region is damaged: the copy of it was read",
            );
        }
        let device_len = device.len();
        if boot.len > device_len {
            let note = format!(
                "it says that it has {} bytes, and there are {device_len}",
                boot.len
            );
            state.note(How::Damaged, note);
        }
        let mut volume = Self {
            clusters: Clusters::new(device, boot.shape),
            root: Folder {
                first: boot.root,
                is_row: false,
                len: None,
            },
            upcase: Upcase::ascii(),
            about: About {
                format: "exfat",
                label: String::new(),
                id: format!("{:04X}-{:04X}", boot.serial >> 16, boot.serial & 0xffff),
                len: boot.len,
                block: boot.shape.size,
                state,
            },
        };
        volume.read_root();
        Ok(volume)
    }

    /// Label and up-case table, which stand at the start of the root folder.
    fn read_root(&mut self) {
        let (mut label, mut table) = (None, None);
        let read = self.entries(self.root, &mut |_, raw| {
            match raw[0] {
                folder::LABEL => label = Some(*raw),
                folder::UPCASE => table = Some(*raw),
                _ => {}
            }
            match label.is_some() && table.is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let mut note = |note: String| self.about.state.note(How::Damaged, note);
        if let Err(error) = read {
            note(format!("its root folder cannot be read: {error}"));
        }
        if let Some(raw) = label {
            let units = raw.as_chunks::<2>().0.iter().skip(1);
            let count = usize::from(raw[1]).min(11);
            let units: Vec<u16> = units
                .take(count)
                .map(|pair| le(pair, 0, 2) as u16)
                .collect();
            self.about.label = String::from_utf16_lossy(&units);
        }
        match table.map(|raw| Upcase::read(&self.clusters, &raw)) {
            Some(Ok(table)) => self.upcase = table,
            Some(Err(error)) => note(format!(
                "{error}; names are compared by the letters of ASCII"
            )),
            None => note(
                "it has no up-case table: names are compared by the letters of ASCII".to_owned(),
            ),
        }
    }

    fn set_of(&self, id: NodeId) -> Result<Set> {
        let place = (id.0 >> 1).saturating_mul(set::ENTRY as u64);
        let set = self.set(place, id.0 & 1 != 0)?;
        set.ok_or_else(|| Error::NotFound(format!("entry {}", id.0)))
    }

    fn folder(&self, id: NodeId) -> Result<Folder> {
        if id == ROOT {
            return Ok(self.root);
        }
        let set = self.set_of(id)?;
        if set.kind() != Kind::Folder {
            return Err(Error::WrongKind {
                what: format!("{} (entry {})", Name::from_utf16(&set.units), id.0),
                is: "no folder",
            });
        }
        if let Some(obstacle) = set.obstacle {
            return Err(Error::Obstacle(obstacle));
        }
        if set.first == self.root.first {
            return Err(Error::damaged(
                format!("folder {}", Name::from_utf16(&set.units)),
                "it leads to the root folder",
            ));
        }
        Ok(Folder {
            first: set.first,
            is_row: set.is_row,
            len: Some(set.len),
        })
    }
}

fn id(folder: Folder, place: u64) -> NodeId {
    let number = place / set::ENTRY as u64;
    NodeId((number << 1) | u64::from(folder.is_row))
}

fn entry(folder: Folder, place: u64, set: &Set) -> Entry {
    Entry {
        name: Name::from_utf16(&set.units),
        node: id(folder, place),
        kind: Some(set.kind()),
    }
}

impl FileSystem for ExFat {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let node = Node {
            id,
            kind: Kind::Folder,
            len: 0,
            links: 1,
            owner: None,
            times: Times::default(),
            attributes: Some(FOLDER),
            obstacle: None,
        };
        if id == ROOT {
            return Ok(node);
        }
        let set = self.set_of(id)?;
        let kind = set.kind();
        Ok(Node {
            kind,
            len: if kind == Kind::File { set.len } else { 0 },
            times: set.times,
            attributes: Some(u32::from(set.attributes & ATTRIBUTES)),
            obstacle: set.obstacle,
            ..node
        })
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        let folder = self.folder(folder)?;
        self.sets(folder, &mut |place, set| each(entry(folder, place, &set)))
    }

    /// Great and small letters are the same, by the volume's own table.
    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let folder = self.folder(folder)?;
        let Some(units) = name.to_utf16() else {
            return Ok(None);
        };
        let wanted = self.upcase.folded(&units);
        let (mut exact, mut alike) = (None, None);
        let read = self.sets(folder, &mut |place, set| {
            if set.units == units {
                exact = Some(entry(folder, place, &set));
                return ControlFlow::Break(());
            }
            if alike.is_none()
                && set.units.len() == wanted.len()
                && self.upcase.folded(&set.units) == wanted
            {
                alike = Some(entry(folder, place, &set));
            }
            ControlFlow::Continue(())
        });
        match exact.or(alike) {
            Some(found) => Ok(Some(found)),
            None => read.map(|()| None),
        }
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        if let Some(stream) = stream {
            return Err(Error::NotFound(format!("the stream {stream}")));
        }
        let is_folder = |is| Error::WrongKind {
            what: format!("entry {}", id.0),
            is,
        };
        if id == ROOT {
            return Err(is_folder("the root folder"));
        }
        let set = self.set_of(id)?;
        if set.kind() == Kind::Folder {
            return Err(is_folder("a folder"));
        }
        if let Some(obstacle) = set.obstacle {
            return Err(Error::Obstacle(obstacle));
        }
        let content = Clustered::new(&self.clusters, set.first, set.is_row, set.len, set.valid)?;
        Ok(Box::new(content))
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        self.node(id)?;
        Err(Error::WrongKind {
            what: format!("entry {}", id.0),
            is: "no link: exFAT has none",
        })
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        self.node(id)?;
        Ok(Extras::default())
    }
}
