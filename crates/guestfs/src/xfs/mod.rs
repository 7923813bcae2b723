//! XFS, versions 4 and 5, through its log.
//!
//! ```text
//! superblock ─► inode (by its number alone) ─► fork ─► extents ─► contents, names, attributes
//!       └─► log ─► what it has changed, seen by all of them
//! ```
//!
//! - An inode's number says where it lies; no index is needed for it. Every block of metadata of version 5
//!   names itself (checksum, place, owner, file system), and each of these is checked when it is read.
//! - The log is replayed beside the disk: what is kept are places in the log and not bytes, and not more
//!   than a fixed number of them. A log that cannot be replayed leaves the disk as it is, and [`State`] says
//!   so.
//!
//! Sources: “XFS Algorithms & Data Structures” (the file system's own description), libfsxfs'
//! documentation of the format, and images made by mkfs.xfs and the kernel.

mod acl;
mod attribute;
mod block;
mod content;
mod folder;
mod fork;
mod inode;
mod link;
mod log;
mod superblock;
mod volume;

use std::ops::ControlFlow;

use disk::BlockRead as _;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId};
use crate::state::{How, State};
use superblock::Super;
use volume::Volume;

/// An XFS file system.
pub struct Xfs {
    volume: Volume,
    about: About,
}

impl Xfs {
    /// Opens the file system of a device.
    ///
    /// # Errors
    /// [`Error::NotThis`] where there is none, [`Error::Unsupported`] for features that are not known here,
    /// and [`Error::Damaged`] when no superblock can be trusted.
    pub fn open(device: Device) -> Result<Self> {
        let (sb, first) = Super::find(&device)?;
        let mut state = State::of(How::Clean);
        if let Some(note) = first {
            state.note(How::Damaged, note);
        }
        let len = device.len();
        let mut volume = Volume::new(device, sb);
        if let Some(changes) = log::replay(&volume, &mut state)? {
            volume.change(changes)?;
        }
        let sb = &volume.sb;
        let all = sb.blocks << sb.block_log;
        if all > len {
            let note =
                format!("it has {all} bytes, and its device only {len}: the rest is missing");
            state.note(How::Damaged, note);
        }
        let about = About {
            format: "xfs",
            label: sb.label.clone(),
            id: Uuid::from_bytes(sb.uuid).to_string(),
            len: all,
            block: sb.block,
            state,
        };
        Ok(Self { volume, about })
    }

    fn inode(&self, id: NodeId) -> Result<inode::Inode> {
        self.volume.inode(id.0)
    }

    fn folder(&self, id: NodeId) -> Result<inode::Inode> {
        let inode = self.inode(id)?;
        match inode.node.kind {
            Kind::Folder => Ok(inode),
            _ => Err(wrong(id, "no folder")),
        }
    }
}

fn wrong(id: NodeId, is: &'static str) -> Error {
    let what = format!("inode {}", id.0);
    Error::WrongKind { what, is }
}

impl FileSystem for Xfs {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        NodeId(self.volume.sb.root)
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        Ok(self.inode(id)?.node)
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        folder::list(&self.volume, &self.folder(folder)?.data, each)
    }

    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        if matches!(name.as_bytes(), b"." | b"..") {
            return Ok(None);
        }
        folder::find(&self.volume, &self.folder(folder)?.data, name)
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        let inode = self.inode(id)?;
        if let Some(stream) = stream {
            return Err(Error::NotFound(format!(
                "stream {stream} of inode {}",
                id.0
            )));
        }
        if inode.node.kind != Kind::File {
            return Err(wrong(id, "no file"));
        }
        if let Some(obstacle) = inode.node.obstacle {
            return Err(Error::Obstacle(obstacle));
        }
        let contents = content::Contents::new(&self.volume, inode.data, inode.size)?;
        Ok(Box::new(contents))
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        let inode = self.inode(id)?;
        match inode.node.kind {
            Kind::Link => link::target(&self.volume, &inode),
            _ => Err(wrong(id, "no link")),
        }
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        let inode = self.inode(id)?;
        let xattrs = match &inode.attributes {
            Some(fork) => attribute::all(&self.volume, fork)?,
            None => Vec::new(),
        };
        Ok(Extras {
            xattrs,
            ..Extras::default()
        })
    }
}
