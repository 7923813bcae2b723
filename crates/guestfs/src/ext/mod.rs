//! ext2, ext3 and ext4.
//!
//! ```text
//! superblock ─► journal ─► Overlay ─► Volume (group descriptors, inodes) ─► map ─► contents
//!                                                                      └─► dir, htree ─► names
//! ```
//!
//! The journal is replayed first, beside the disk, and everything behind it is read through that: also
//! contents, which may be in the journal as well. Checksums of metadata are checked wherever the file system
//! has them, each time something is read; what is wrong is an error and never an answer.
//!
//! Sources: the kernel's documentation of ext4's data structures, and e2fsprogs' manual pages; shown against
//! the kernel and `debugfs`, see `docs/guest-disks.md`.

mod bytes;
mod content;
mod dir;
mod encrypted;
mod feature;
mod fold;
mod hash;
mod htree;
mod inode;
mod journal;
mod map;
mod open;
mod sum;
mod superblock;
mod volume;
mod xattr;

use std::ops::ControlFlow;

use content::Stored;
use feature::incompat;
use inode::{Inode, flag};
use volume::Volume;

use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId, Obstacle};

/// The inode of the folder above all.
const ROOT: u32 = 2;
const FSCRYPT: Obstacle = Obstacle::Encrypted("fscrypt");

/// An ext2, ext3 or ext4 file system.
pub struct Ext {
    volume: Volume,
    about: About,
}

impl Ext {
    /// Opens a file system, and replays its journal beside the disk if that is not empty.
    ///
    /// # Errors
    /// [`Error::NotThis`] without a superblock; [`Error::Unsupported`] for one with features that are not
    /// known; [`Error::Damaged`] when there is no whole superblock, descriptor of the first group or root.
    pub fn open(device: Device) -> Result<Self> {
        let (volume, about) = open::open(device)?;
        Ok(Self { volume, about })
    }

    /// An inode that a name may lead to.
    fn inode(&self, id: NodeId) -> Result<Inode> {
        let number = u32::try_from(id.0).unwrap_or(0);
        if number != ROOT && number < self.volume.sb.first_inode() {
            return Err(Error::NotFound(format!("inode {}", id.0)));
        }
        self.volume.inode(number)
    }

    fn folder(&self, id: NodeId) -> Result<Inode> {
        let inode = self.inode(id)?;
        match inode.is_folder() {
            true => Ok(inode),
            false => Err(wrong_kind(&inode, "no folder")),
        }
    }

    /// Whether the names of a folder are the same but for case.
    fn folds(&self, folder: &Inode) -> bool {
        folder.has(flag::CASEFOLD) && self.volume.sb.has_incompat(incompat::CASEFOLD)
    }
}

fn wrong_kind(inode: &Inode, is: &'static str) -> Error {
    let what = inode.name();
    Error::WrongKind { what, is }
}

/// Why the contents of an inode are not to be had.
fn obstacle(inode: &Inode) -> Option<Obstacle> {
    if inode.has(flag::ENCRYPTED) {
        Some(FSCRYPT)
    } else if inode.is_file() && inode.has(flag::COMPRESSED) {
        Some(Obstacle::Unknown("compressed blocks".into()))
    } else {
        None
    }
}

impl FileSystem for Ext {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        NodeId(ROOT.into())
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        let inode = self.inode(id)?;
        let kind = inode.kind();
        let len = match kind {
            Kind::File | Kind::Link => inode.size(),
            _ => 0,
        };
        Ok(Node {
            id,
            kind,
            len,
            links: inode.links(),
            owner: Some(inode.owner()),
            times: inode.times(),
            attributes: None,
            obstacle: obstacle(&inode),
        })
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        let folder = self.folder(folder)?;
        let encrypted = folder.has(flag::ENCRYPTED);
        self.volume.names(&folder, &mut |found| {
            let name = match encrypted {
                true => encrypted::shown(found.name),
                false => Name::new(found.name),
            };
            let kind = match found.kind {
                // A fast commit names no kind.
                None => self.volume.fast.inode(found.inode).and_then(|_| {
                    let inode = self.volume.inode(found.inode).ok()?;
                    Some(inode.kind())
                }),
                kind => kind,
            };
            Ok(each(Entry {
                name,
                node: NodeId(found.inode.into()),
                kind,
            }))
        })
    }

    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let folder = self.folder(folder)?;
        let stored;
        let mut wanted = name.as_bytes();
        if folder.has(flag::ENCRYPTED) {
            let Some(bytes) = encrypted::stored(name) else {
                return Ok(None);
            };
            stored = bytes;
            wanted = &stored;
        }
        let folds = self.folds(&folder) && !folder.has(flag::ENCRYPTED);
        let (mut exact, mut like) = (None, None);
        let mut each = |found: dir::Found<'_>| {
            if found.name == wanted {
                exact = Some(found.inode);
                return Ok(ControlFlow::Break(()));
            }
            if folds && like.is_none() && fold::same(found.name, wanted) {
                like = Some((Name::new(found.name), found.inode));
            }
            Ok(ControlFlow::Continue(()))
        };
        if !self.volume.near(&folder, wanted, &mut each)? {
            self.volume.names(&folder, &mut each)?;
        }
        let found = exact.map(|inode| (name.clone(), inode)).or(like);
        Ok(found.map(|(name, inode)| Entry {
            name,
            node: NodeId(inode.into()),
            kind: None,
        }))
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        let inode = self.inode(id)?;
        if let Some(name) = stream {
            return Err(Error::NotFound(format!(
                "a stream “{name}” of {}",
                inode.name()
            )));
        }
        if !inode.is_file() {
            return Err(wrong_kind(&inode, "no file"));
        }
        match obstacle(&inode) {
            Some(obstacle) => Err(Error::Obstacle(obstacle)),
            None => Ok(Box::new(Stored::new(&self.volume, inode)?)),
        }
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        let inode = self.inode(id)?;
        if inode.kind() != Kind::Link {
            return Err(wrong_kind(&inode, "no symbolic link"));
        }
        if let Some(obstacle) = obstacle(&inode) {
            return Err(Error::Obstacle(obstacle));
        }
        let (size, block) = (inode.size(), self.volume.sb.block);
        let stored = inode.has(flag::EXTENTS) || inode.has(flag::INLINE_DATA);
        // With values in inodes of their own blocks tell nothing.
        let values = self.volume.sb.incompat & incompat::EA_INODE != 0;
        let has_blocks = !values && inode.has_blocks(block, self.volume.sb.cluster());
        if size < 60 && !stored && !has_blocks {
            return Ok(Name::new(&inode.block()[..size as usize]));
        }
        Ok(Name::new(Stored::new(&self.volume, inode)?.all(block)?))
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        let inode = self.inode(id)?;
        Ok(Extras {
            xattrs: self.volume.xattrs(&inode)?,
            ..Extras::default()
        })
    }
}
